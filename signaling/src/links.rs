//! `/v1/links/ID`: link records.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Extension, Path, State, rejection::BytesRejection},
    http::StatusCode,
    response::Response,
};
use pillion_proto::{
    LinkId, LinkRecord, RecordError, VerifiedRecord,
    link::{LINK_CLOCK_SKEW_MILLIS, MAX_LINK_RECORD},
    lookup::LinkTag,
};

use crate::{
    clock,
    http::{App, Asker, Refusal, body, octets},
    store::{Entry, Key, Kind, Put, Store, StoreError},
};

type Sent = Result<Bytes, BytesRejection>;

/// `PUT`: takes the place of an older record.
pub(crate) async fn publish(
    State(app): State<Arc<App>>,
    Extension(from): Extension<Asker>,
    Path(id): Path<String>,
    sent: Sent,
) -> Result<StatusCode, Refusal> {
    keep(&app, from, verified(&id, sent)?).await
}

/// `DELETE`: a tombstone takes the place of the record, and keeps older ones away until they have
/// expired.
pub(crate) async fn end(
    State(app): State<Arc<App>>,
    Extension(from): Extension<Asker>,
    Path(id): Path<String>,
    sent: Sent,
) -> Result<StatusCode, Refusal> {
    let record = verified(&id, sent)?;
    if record.is_live() {
        let text = "to remove a link, send its signed tombstone; this is a live record";
        return Err(Refusal::Unacceptable(text.to_owned()));
    }
    keep(&app, from, record).await
}

/// `GET`: the record, if the link lives.
pub(crate) async fn resolve(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let id = parse(&id)?;
    let found = app.store.get(key(&id.tag()), clock::now()).await;
    match found.map_err(Refusal::Store)? {
        Some(entry) if entry.live => Ok(octets(entry.bytes)),
        _ => Err(Refusal::NotFound("this link has ended, or never was")),
    }
}

/// Whether a link has a live record now.
pub(crate) async fn is_live(store: &dyn Store, id: &LinkId) -> Result<bool, StoreError> {
    let found = store.get(key(&id.tag()), clock::now()).await?;
    Ok(found.is_some_and(|entry| entry.live))
}

fn verified(id: &str, sent: Sent) -> Result<VerifiedRecord, Refusal> {
    let id = parse(id)?;
    let sent = body(sent, MAX_LINK_RECORD)?;
    LinkRecord::verify(&sent, &id, clock::now()).map_err(|error| match error {
        RecordError::TooBig { .. } => Refusal::TooBig(MAX_LINK_RECORD),
        error => Refusal::Unacceptable(error.to_string()),
    })
}

async fn keep(
    app: &App,
    Asker(from): Asker,
    record: VerifiedRecord,
) -> Result<StatusCode, Refusal> {
    let times = record.times();
    let entry = Entry {
        seq: times.seq,
        // Readers tolerate this much, so an older record must be kept away for as long.
        expires: times.expires.saturating_add(LINK_CLOCK_SKEW_MILLIS),
        live: record.is_live(),
        bytes: Bytes::copy_from_slice(record.as_bytes()),
    };
    let key = key(&record.id().tag());
    let put = app.store.put(key, entry, from.own(), clock::now()).await;
    match put.map_err(Refusal::Store)? {
        Put::Stored | Put::Same => Ok(StatusCode::NO_CONTENT),
        Put::Lower => Err(Refusal::Conflict("a newer record of this link is kept")),
    }
}

fn parse(id: &str) -> Result<LinkId, Refusal> {
    id.parse()
        .map_err(|error: pillion_proto::LinkError| Refusal::Unacceptable(error.to_string()))
}

/// Records are kept under a hash of their id, so that a datagram can ask for one without naming it.
pub(crate) fn key(tag: &LinkTag) -> Key {
    Key {
        kind: Kind::Link,
        id: *tag.as_bytes(),
    }
}
