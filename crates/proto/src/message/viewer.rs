//! Control stream, viewer to host.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::{JoinId, KeyBytes, ProtocolError, SignatureBytes, TrackId, bounded, get, put};
use crate::{
    framer::encode_message,
    growing,
    limits::{
        MAX_CLAIM, MAX_CLAIMS_IN_HELLO, MAX_GRANT, MAX_GRANTS_IN_HELLO, MAX_NAME, MAX_PADDING,
        MAX_SOFTWARE, MAX_SUBSCRIPTIONS,
    },
    tag,
    text::Text,
    version::VersionRange,
};

/// The viewer's first message, in the first flight after the handshake. Its proofs sign the
/// connection's keying material, so a recorded hello proves nothing on another connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Versions the viewer speaks.
    pub versions: VersionRange,
    /// The viewer's program and version, for logs.
    pub software: Text<MAX_SOFTWARE>,
    /// What the person calls themselves; unverified.
    pub name: Text<MAX_NAME>,
    /// This run of the viewer.
    pub join: JoinId,
    /// The person's long-lived key.
    pub identity: KeyBytes,
    /// Proof of holding `identity`, over this connection.
    pub identity_proof: SignatureBytes,
    /// The ticket's link key and proof of holding it.
    pub link: Option<(KeyBytes, SignatureBytes)>,
    /// Grants presented at once, at most [`MAX_GRANTS_IN_HELLO`].
    #[serde(with = "growing::list")]
    pub grants: Vec<GrantProof>,
    /// This viewer promises never to send input (`join --read-only`).
    pub read_only: bool,
    /// Who the person says they are beside their key: an SSH key, an e-mail address, a team. At most
    /// [`MAX_CLAIMS_IN_HELLO`], each at most [`MAX_CLAIM`] bytes, and each bound to `identity`, which
    /// alone is proved here; what a claim holds is for its verifier.
    pub claims: Vec<Bytes>,
    /// What the viewer looks at from the welcome on.
    #[serde(with = "growing::one")]
    pub subscribe: Subscribe,
}

/// What a viewer looks at from now on: the whole of it each time, so that saying it twice is harmless. The
/// frames of these tracks are sent; of the others only title, state and activity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribe {
    /// What the host's own terminal shows, whatever that is at any time.
    pub follow: bool,
    /// These, at most [`MAX_SUBSCRIPTIONS`]; one that is not there is answered as gone.
    pub tracks: Vec<TrackId>,
}

impl Subscribe {
    /// To what the host looks at.
    pub const FOLLOW: Subscribe = Subscribe {
        follow: true,
        tracks: Vec::new(),
    };

    fn is_bounded(&self) -> Result<(), ProtocolError> {
        bounded(
            self.tracks.len() <= MAX_SUBSCRIPTIONS,
            "a subscription to too many tracks",
        )
    }
}

/// What a returning viewer says in early data (TLS 1.3 0-RTT), before the connection's keying material
/// is known: "show me the screen of now". It may be replayed by anyone who recorded it, so it carries
/// no proof, no grant, no input and no secret, and changes nothing at the host; who asks is known by
/// the resumed TLS session alone. The hello follows on the same stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// Versions the viewer speaks.
    pub versions: VersionRange,
    /// Means nothing, at most [`MAX_PADDING`]. Until the handshake has proved the viewer's address, a
    /// host may send three times as many bytes as came from there (RFC 9000, 8.1): this makes room for
    /// the screen.
    pub padding: Bytes,
    /// The track to show; what the host looks at when `None`, or when it is not there.
    pub track: Option<TrackId>,
}

/// A grant and the proof that its holder is on this connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantProof {
    /// The grant's bytes (`pillion_caps::Grant`), at most [`MAX_GRANT`].
    pub grant: Bytes,
    /// Proof of holding the key the grant names.
    pub proof: SignatureBytes,
}

/// The viewer has shown everything up to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Which track.
    pub track: TrackId,
    /// The epoch of the track stream it came on.
    pub epoch: u32,
    /// Newest frame applied.
    pub frame: u64,
}

/// What a participant with the right to manage wants done. The hello on the same connection proved whose key it comes
/// from.
///
/// The verb travels as a number and a message of its own, so a host can say of a verb that it does not know that it
/// does not know it, and a verb can gain fields. What the verbs are is `pillion_session::verbs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRequest {
    /// Comes back in the answer; counts the requests of a connection.
    pub id: u32,
    /// The verb's number.
    pub verb: u16,
    /// The rest of it.
    pub body: Bytes,
}

/// A sign of life; the answer carries the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Chosen by the sender.
    pub nonce: u64,
}

#[derive(Serialize, Deserialize)]
struct NeedSnapshot {
    track: TrackId,
}

/// What a viewer says on the control stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromViewer {
    /// First of all, but for a [`Resume`].
    Hello(Box<Hello>),
    /// Progress.
    Ack(Ack),
    /// "May I type?"
    RequestEdit,
    /// A grant that came after the hello.
    Redeem(GrantProof),
    /// A sign of life.
    Ping(Ping),
    /// Goodbye.
    Leave,
    /// The track's state is damaged or stale here; send a snapshot.
    NeedSnapshot(TrackId),
    /// Before all else, in early data.
    Resume(Resume),
    /// Something only who manages may ask for.
    Command(CommandRequest),
    /// What the viewer looks at.
    Subscribe(Subscribe),
    /// A message from a newer version: skipped.
    Unknown(u8),
}

impl FromViewer {
    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            FromViewer::Hello(hello) => put(out, tag::viewer::HELLO, hello),
            FromViewer::Ack(ack) => put(out, tag::viewer::ACK, ack),
            FromViewer::RequestEdit => encode_message(out, tag::viewer::REQUEST_EDIT, &[]),
            FromViewer::Redeem(grant) => put(out, tag::viewer::REDEEM, grant),
            FromViewer::Ping(ping) => put(out, tag::viewer::PING, ping),
            FromViewer::Leave => encode_message(out, tag::viewer::LEAVE, &[]),
            FromViewer::NeedSnapshot(track) => {
                put(
                    out,
                    tag::viewer::NEED_SNAPSHOT,
                    &NeedSnapshot { track: *track },
                );
            }
            FromViewer::Resume(resume) => put(out, tag::viewer::RESUME, resume),
            FromViewer::Command(request) => put(out, tag::viewer::COMMAND, request),
            FromViewer::Subscribe(subscribe) => put(out, tag::viewer::SUBSCRIBE, subscribe),
            FromViewer::Unknown(tag) => encode_message(out, *tag, &[]),
        }
    }

    /// Reads a message cut by a [`Framer`](crate::Framer).
    ///
    /// # Errors
    /// Anything that is not exactly one message within its bounds.
    pub fn decode(tag: u8, payload: &[u8]) -> Result<FromViewer, ProtocolError> {
        Ok(match tag {
            tag::viewer::HELLO => {
                let hello: Hello = get(payload, "a hello")?;
                bounded(
                    hello.grants.len() <= MAX_GRANTS_IN_HELLO,
                    "a hello with too many grants",
                )?;
                for grant in &hello.grants {
                    bounded(
                        grant.grant.len() <= MAX_GRANT,
                        "a hello with an oversized grant",
                    )?;
                }
                bounded(
                    hello.claims.len() <= MAX_CLAIMS_IN_HELLO,
                    "a hello with too many claims",
                )?;
                for claim in &hello.claims {
                    bounded(claim.len() <= MAX_CLAIM, "a hello with an oversized claim")?;
                }
                hello.subscribe.is_bounded()?;
                FromViewer::Hello(Box::new(hello))
            }
            tag::viewer::ACK => FromViewer::Ack(get(payload, "an acknowledgement")?),
            tag::viewer::REQUEST_EDIT => FromViewer::RequestEdit,
            tag::viewer::REDEEM => {
                let grant: GrantProof = get(payload, "a grant")?;
                bounded(grant.grant.len() <= MAX_GRANT, "an oversized grant")?;
                FromViewer::Redeem(grant)
            }
            tag::viewer::PING => FromViewer::Ping(get(payload, "a ping")?),
            tag::viewer::LEAVE => FromViewer::Leave,
            tag::viewer::NEED_SNAPSHOT => {
                let NeedSnapshot { track } = get(payload, "a request for a snapshot")?;
                FromViewer::NeedSnapshot(track)
            }
            tag::viewer::RESUME => {
                let resume: Resume = get(payload, "a resumption")?;
                bounded(
                    resume.padding.len() <= MAX_PADDING,
                    "a resumption with too much padding",
                )?;
                FromViewer::Resume(resume)
            }
            tag::viewer::COMMAND => FromViewer::Command(get(payload, "a request to manage")?),
            tag::viewer::SUBSCRIBE => {
                let subscribe: Subscribe = get(payload, "a subscription")?;
                subscribe.is_bounded()?;
                FromViewer::Subscribe(subscribe)
            }
            other => FromViewer::Unknown(other),
        })
    }
}
