//! `/pkarr/KEY`: address records, by the pkarr relay API
//! (<https://github.com/pubky/pkarr/blob/main/design/relays.md>), which iroh's publisher and
//! resolver speak. KEY is a public key in z-base-32; the body is a signature, a time in
//! microseconds and a DNS packet.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Extension, Path, State, rejection::BytesRejection},
    http::StatusCode,
    response::Response,
};
use iroh_base::PublicKey;
use iroh_dns::pkarr::SignedPacket;

use crate::{
    clock,
    http::{App, Asker, Refusal, body, octets},
    store::{Entry, Key, Kind, Put},
};

/// Longest body, in bytes: a packet without the key it is kept under.
pub(crate) const MAX_PAYLOAD: usize = SignedPacket::MAX_BYTES - 32;

/// How long an address record is kept after it was made, in milliseconds: a day. Hosts publish
/// again every few minutes.
const LIFETIME: u64 = 24 * 60 * 60 * 1000;

/// How far its time may be ahead of ours, in milliseconds.
const SKEW: u64 = 2 * 60 * 1000;

/// `PUT`: takes the place of an older record.
pub(crate) async fn publish(
    State(app): State<Arc<App>>,
    Extension(Asker(from)): Extension<Asker>,
    Path(key): Path<String>,
    sent: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let public = parse(&key)?;
    let sent = body(sent, MAX_PAYLOAD)?;
    let packet = SignedPacket::from_relay_payload(&public, &sent)
        .map_err(|error| Refusal::Unacceptable(format!("this is no address record: {error}")))?;
    let now = clock::now();
    let micros = packet.timestamp().as_micros();
    let made = micros / 1000;
    if made > now.saturating_add(SKEW) {
        let minutes = (made - now) / 60_000;
        let text = format!(
            "the record was made {minutes} minutes from now: set the clock of the machine that made it"
        );
        return Err(Refusal::Unacceptable(text));
    }
    let expires = made.saturating_add(LIFETIME);
    if expires < now {
        let hours = (now - made) / 3_600_000;
        let text = format!(
            "the record was made {hours} hours ago, and counts for a day: publish a new one, or set the clock"
        );
        return Err(Refusal::Unacceptable(text));
    }
    let entry = Entry {
        seq: micros,
        expires,
        live: true,
        bytes: sent,
    };
    let put = app.store.put(stored(&public), entry, from.own(), now).await;
    match put.map_err(Refusal::Store)? {
        Put::Stored | Put::Same => Ok(StatusCode::NO_CONTENT),
        Put::Lower => Err(Refusal::Conflict("a newer record of this key is kept")),
    }
}

/// `GET`: the record.
pub(crate) async fn resolve(
    State(app): State<Arc<App>>,
    Path(key): Path<String>,
) -> Result<Response, Refusal> {
    let public = parse(&key)?;
    let found = app.store.get(stored(&public), clock::now()).await;
    match found.map_err(Refusal::Store)? {
        Some(entry) => Ok(octets(entry.bytes)),
        None => Err(Refusal::NotFound("no addresses are known for this key")),
    }
}

fn parse(key: &str) -> Result<PublicKey, Refusal> {
    let wrong = || Refusal::Unacceptable("a key is 52 letters and digits in z-base-32".to_owned());
    // The length first: the decoder would take any.
    if key.len() != 52 {
        return Err(wrong());
    }
    PublicKey::from_z32(key).map_err(|_| wrong())
}

fn stored(key: &PublicKey) -> Key {
    Key {
        kind: Kind::Pkarr,
        id: *key.as_bytes(),
    }
}
