//! Control stream, host to viewer.

use bytes::{Bytes, BytesMut};
use pillion_caps::{AccessMode, Rights};
use serde::{Deserialize, Serialize};

use super::{
    AdmittedBy, DropReason, EndReason, KeyBytes, NoticeKind, OwnLabel, ParticipantId, Ping,
    ProtocolError, RefusalReason, RequestRefusal, RightReason, SignatureBytes, TrackId,
    access_mode, bounded, get, put,
};
use crate::{
    framer::encode_message,
    growing,
    limits::{
        MAX_CLAIMS_IN_HELLO, MAX_GRANT, MAX_KNOCKS, MAX_NAME, MAX_ROSTER_PART, MAX_SENTENCE,
        MAX_SOFTWARE, MAX_TRACKS_PART,
    },
    tag,
    text::Text,
    version::Version,
};

/// The host's answer to a hello it accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version agreed on.
    pub version: Version,
    /// The host's program and version.
    pub software: Text<MAX_SOFTWARE>,
    /// The session's name; unverified.
    pub session_name: Text<MAX_NAME>,
    /// What the host calls themselves; unverified.
    pub host_name: Text<MAX_NAME>,
    /// The host's identity key.
    pub host_identity: KeyBytes,
    /// The identity key's signature over the session key.
    pub host_certificate: SignatureBytes,
    /// Who the viewer is here.
    pub you: ParticipantId,
    /// What the viewer may do now.
    #[serde(with = "growing::one")]
    pub right: RightChanged,
    /// Whether edit can be granted in this session at all.
    pub read_only: bool,
    /// Newest input of this join instance the host has taken in, whatever became of it: what is
    /// above is numbered from here and sent again, and nothing else is.
    pub accepted: u64,
    /// The tracks, at most [`MAX_TRACKS_PART`].
    #[serde(with = "growing::list")]
    pub tracks: Vec<TrackInfo>,
    /// The track that the host's own terminal shows.
    pub shows: TrackId,
}

/// Why a join was refused, for programs; [`RefusalReason`] says more, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedCode(pub u8);

impl RefusedCode {
    /// No version in common.
    pub const VERSION: RefusedCode = RefusedCode(1);
    /// The ticket is not one of this session's, or was replaced.
    pub const TICKET: RefusedCode = RefusedCode(2);
    /// A presented grant does not hold.
    pub const GRANT: RefusedCode = RefusedCode(3);
    /// This identity is barred.
    pub const BARRED: RefusedCode = RefusedCode(4);
    /// A proof does not verify.
    pub const PROOF: RefusedCode = RefusedCode(5);
    /// The session is not shared (any more).
    pub const NOT_SHARED: RefusedCode = RefusedCode(6);
    /// Too many at once.
    pub const BUSY: RefusedCode = RefusedCode(7);
    /// The peer did not keep to the protocol.
    pub const PROTOCOL: RefusedCode = RefusedCode(8);
    /// The host's own session, joined from inside itself.
    pub const SELF: RefusedCode = RefusedCode(9);
    /// The host did not let this person in: said no, did not answer, or lets nobody like them in.
    pub const NOT_ADMITTED: RefusedCode = RefusedCode(10);

    /// Whether trying again later could help.
    pub fn is_final(self) -> bool {
        self != RefusedCode::BUSY
    }
}

/// The host lets the viewer not in, or not on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// For programs.
    pub code: RefusedCode,
    /// For people; `None` for a reason of a newer version.
    #[serde(with = "growing::known")]
    pub why: Option<RefusalReason>,
}

/// Somebody in the roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParticipantInfo {
    /// Number.
    pub id: ParticipantId,
    /// Chosen name; unverified.
    pub name: Text<MAX_NAME>,
    /// Identity key.
    pub identity: KeyBytes,
    /// Rights.
    pub rights: Rights,
    /// Whether this is the host.
    pub host: bool,
    /// Connected right now.
    pub here: bool,
    /// Connected, but nothing was heard for a few seconds: killed, or cut off.
    pub silent: bool,
    /// Typed within the last two seconds.
    #[serde(default)]
    pub types: bool,
}

/// A change of the roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterChange {
    /// New or changed, at most [`MAX_ROSTER_PART`].
    #[serde(with = "growing::list")]
    pub changed: Vec<ParticipantInfo>,
    /// Gone.
    pub gone: Vec<ParticipantId>,
}

/// What the viewer may do from now on, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RightChanged {
    /// The rights.
    pub rights: Rights,
    /// When it ends by itself, in milliseconds since the Unix epoch.
    pub until_unix_ms: Option<u64>,
    /// Changes each time the right to type is taken from this person. Inputs say under which value
    /// they were typed: one that was still on its way when the right was taken away is not written,
    /// even if the right was given again since.
    pub edit_epoch: u32,
    /// Who changed it and why; `None` for a reason of a newer version.
    #[serde(with = "growing::known")]
    pub why: Option<RightReason>,
}

/// The host's answer to a request for edit, when it is no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestAnswer {
    /// Why; `None` for a reason of a newer version.
    #[serde(with = "growing::known")]
    pub why: Option<RequestRefusal>,
}

/// Intents of this join instance for one track were done up to a number: what they held was written to the
/// source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The viewer's own number.
    pub upto: u64,
    /// The same moment in the count that the track's frames carry as `echoed`.
    pub host_seq: u64,
    /// Which track's; `None` for intents that are for no track.
    pub track: Option<TrackId>,
}

/// Sharing ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Who ended it and how; `None` for a reason of a newer version.
    #[serde(with = "growing::known")]
    pub why: Option<EndReason>,
    /// When, in milliseconds since the Unix epoch.
    pub at_unix_ms: u64,
}

/// Intents for one track that were not done, and never will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The newest number dropped; the oldest is the track's next above the last accepted.
    pub upto: u64,
    /// Why; `None` for a reason of a newer version.
    #[serde(with = "growing::known")]
    pub why: Option<DropReason>,
    /// Which track's; `None` for intents that are for no track.
    pub track: Option<TrackId>,
}

/// How a track stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "TravellingState", into = "TravellingState")]
pub enum TrackState {
    /// Running.
    Live,
    /// The program ended with this code.
    Exited(i32),
    /// The program was ended by this signal.
    Killed(i32),
    /// A state of a newer version.
    Unknown(u8),
}

/// A [`TrackState`] as it travels: by number, with what belongs to it.
#[derive(Serialize, Deserialize)]
struct TravellingState {
    number: u8,
    code: i32,
}

impl From<TravellingState> for TrackState {
    fn from(TravellingState { number, code }: TravellingState) -> TrackState {
        match number {
            0 => TrackState::Live,
            1 => TrackState::Exited(code),
            2 => TrackState::Killed(code),
            other => TrackState::Unknown(other),
        }
    }
}

impl From<TrackState> for TravellingState {
    fn from(state: TrackState) -> TravellingState {
        let (number, code) = match state {
            TrackState::Live => (0, 0),
            TrackState::Exited(code) => (1, code),
            TrackState::Killed(code) => (2, code),
            TrackState::Unknown(number) => (number, 0),
        };
        TravellingState { number, code }
    }
}

/// What a track is a stream of. It travels by number; a viewer lists a track of a kind that it doesn't know
/// and skips what is on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub enum TrackKind {
    /// A screen and the lines above it.
    Terminal,
    /// Numbered [`Entry`](crate::Entry)s, which fold into a state.
    Log,
    /// A small map that changes. Nothing makes one yet.
    State,
    /// An agent's conversation: entries as of a log, which fold into what is shown of it.
    Conversation,
    /// A kind of a newer version.
    Unknown(u8),
}

impl From<u8> for TrackKind {
    fn from(number: u8) -> TrackKind {
        match number {
            0 => TrackKind::Terminal,
            1 => TrackKind::Log,
            2 => TrackKind::State,
            3 => TrackKind::Conversation,
            other => TrackKind::Unknown(other),
        }
    }
}

impl From<TrackKind> for u8 {
    fn from(kind: TrackKind) -> u8 {
        match kind {
            TrackKind::Terminal => 0,
            TrackKind::Log => 1,
            TrackKind::State => 2,
            TrackKind::Conversation => 3,
            TrackKind::Unknown(number) => number,
        }
    }
}

/// A track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackInfo {
    /// Number.
    pub id: TrackId,
    /// Kind.
    pub kind: TrackKind,
    /// What it is called; unverified.
    pub title: Text<MAX_NAME>,
    /// State.
    pub state: TrackState,
    /// Who opened it.
    pub opener: ParticipantId,
    /// A terminal's columns; 0 for any other kind.
    pub cols: u16,
    /// A terminal's rows.
    pub rows: u16,
    /// The first line, or entry, that viewers may read.
    pub visible_from: u64,
}

/// Tracks that are new, changed or gone. Several changes of one track come as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracksChange {
    /// New or changed, at most [`MAX_TRACKS_PART`].
    #[serde(with = "growing::list")]
    pub changed: Vec<TrackInfo>,
    /// No longer there to look at, or never there: also the answer to who looks at one that is not.
    pub gone: Vec<TrackId>,
}

/// The host's own terminal shows another track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostShows {
    /// Which.
    pub track: TrackId,
}

/// Something happened on tracks that the viewer doesn't look at, once or often; told once a second at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// Which, at most [`MAX_TRACKS_PART`].
    pub tracks: Vec<TrackId>,
}

/// A grant for the viewer to keep and present when it reconnects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantPush {
    /// The grant's bytes, at most [`MAX_GRANT`].
    pub grant: Bytes,
}

/// Something that the host tells a viewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What; `None` for a notice of a newer version.
    #[serde(with = "growing::known")]
    pub what: Option<NoticeKind>,
}

/// The host is being asked whether to let the viewer in: nothing of the session is told before a
/// welcome, and a refusal follows if nobody answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// How the host sees them.
    #[serde(with = "growing::one")]
    pub you: OwnLabel,
    /// How long it may take at most from now on, in milliseconds.
    pub wait_ms: u32,
}

/// What came of a [`CommandRequest`](crate::CommandRequest).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandAnswer {
    /// The request's number.
    pub id: u32,
    /// Its verb's number.
    pub verb: u16,
    /// Whether it was carried out.
    pub done: bool,
    /// What came of it, or why it was not carried out (`pillion_session::verbs`).
    pub body: Bytes,
}

/// Somebody who knocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnockInfo {
    /// Their number, which they keep when they are let in.
    pub id: ParticipantId,
    /// Chosen name; unverified.
    pub name: Text<MAX_NAME>,
    /// Identity key; proved.
    pub identity: KeyBytes,
    /// What they hold; `None` for something of a newer version.
    #[serde(with = "growing::known")]
    pub holds: Option<AdmittedBy>,
    /// What they proved to be beside their key, at most [`MAX_CLAIMS_IN_HELLO`].
    pub claims: Vec<Text<MAX_SENTENCE>>,
}

/// Everybody who knocks, and who may come in: the whole of it each time, to those who manage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Knocks {
    /// Who may come in; `None` for a mode of a newer version.
    #[serde(with = "access_mode")]
    pub allow: Option<AccessMode>,
    /// At most [`MAX_KNOCKS`].
    #[serde(with = "growing::list")]
    pub knocks: Vec<KnockInfo>,
}

/// What a host says on the control stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromHost {
    /// You are in.
    Welcome(Box<Welcome>),
    /// You are not.
    Refused(Refused),
    /// Who is here.
    Roster(RosterChange),
    /// What you may do.
    Right(RightChanged),
    /// No.
    RequestAnswer(RequestAnswer),
    /// Input was written.
    Accepted(Accepted),
    /// Answer to a ping.
    Pong(Ping),
    /// It is over.
    Ended(Ended),
    /// Input was not written.
    Dropped(Dropped),
    /// Tracks began, changed or are gone.
    Tracks(TracksChange),
    /// What the host looks at.
    Shows(HostShows),
    /// Where something happens.
    Activity(Activity),
    /// A grant to keep.
    Grant(GrantPush),
    /// Something to know.
    Notice(Notice),
    /// You are being announced.
    Waiting(Waiting),
    /// What came of managing.
    CommandAnswer(CommandAnswer),
    /// Who knocks.
    Knocks(Knocks),
    /// A message from a newer version: skipped.
    Unknown(u8),
}

impl FromHost {
    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            FromHost::Welcome(welcome) => put(out, tag::host::WELCOME, welcome),
            FromHost::Refused(refused) => put(out, tag::host::REFUSED, refused),
            FromHost::Roster(change) => put(out, tag::host::ROSTER, change),
            FromHost::Right(right) => put(out, tag::host::RIGHT, right),
            FromHost::RequestAnswer(answer) => put(out, tag::host::REQUEST_ANSWER, answer),
            FromHost::Accepted(accepted) => put(out, tag::host::ACCEPTED, accepted),
            FromHost::Pong(ping) => put(out, tag::host::PONG, ping),
            FromHost::Ended(ended) => put(out, tag::host::ENDED, ended),
            FromHost::Dropped(dropped) => put(out, tag::host::DROPPED, dropped),
            FromHost::Tracks(change) => put(out, tag::host::TRACKS, change),
            FromHost::Shows(shows) => put(out, tag::host::SHOWS, shows),
            FromHost::Activity(activity) => put(out, tag::host::ACTIVITY, activity),
            FromHost::Grant(grant) => put(out, tag::host::GRANT, grant),
            FromHost::Notice(notice) => put(out, tag::host::NOTICE, notice),
            FromHost::Waiting(waiting) => put(out, tag::host::WAITING, waiting),
            FromHost::CommandAnswer(answer) => put(out, tag::host::COMMAND_ANSWER, answer),
            FromHost::Knocks(knocks) => put(out, tag::host::KNOCKS, knocks),
            FromHost::Unknown(tag) => encode_message(out, *tag, &[]),
        }
    }

    /// Reads a message cut by a [`Framer`](crate::Framer).
    ///
    /// # Errors
    /// Anything that is not exactly one message within its bounds.
    pub fn decode(tag: u8, payload: &[u8]) -> Result<FromHost, ProtocolError> {
        Ok(match tag {
            tag::host::WELCOME => {
                let welcome: Welcome = get(payload, "a welcome")?;
                bounded(
                    welcome.tracks.len() <= MAX_TRACKS_PART,
                    "a welcome with too many tracks",
                )?;
                FromHost::Welcome(Box::new(welcome))
            }
            tag::host::REFUSED => FromHost::Refused(get(payload, "a refusal")?),
            tag::host::ROSTER => {
                let change: RosterChange = get(payload, "a roster")?;
                bounded(
                    change.changed.len() <= MAX_ROSTER_PART && change.gone.len() <= MAX_ROSTER_PART,
                    "a roster message with too many entries",
                )?;
                FromHost::Roster(change)
            }
            tag::host::RIGHT => FromHost::Right(get(payload, "a right")?),
            tag::host::REQUEST_ANSWER => FromHost::RequestAnswer(get(payload, "an answer")?),
            tag::host::ACCEPTED => FromHost::Accepted(get(payload, "an acceptance")?),
            tag::host::PONG => FromHost::Pong(get(payload, "a pong")?),
            tag::host::ENDED => FromHost::Ended(get(payload, "an ending")?),
            tag::host::DROPPED => FromHost::Dropped(get(payload, "a drop")?),
            tag::host::TRACKS => {
                let change: TracksChange = get(payload, "a change of tracks")?;
                bounded(
                    change.changed.len() <= MAX_TRACKS_PART && change.gone.len() <= MAX_TRACKS_PART,
                    "a message with too many tracks",
                )?;
                FromHost::Tracks(change)
            }
            tag::host::SHOWS => FromHost::Shows(get(payload, "what the host looks at")?),
            tag::host::ACTIVITY => {
                let activity: Activity = get(payload, "where something happens")?;
                bounded(
                    activity.tracks.len() <= MAX_TRACKS_PART,
                    "a message with too many tracks",
                )?;
                FromHost::Activity(activity)
            }
            tag::host::GRANT => {
                let push: GrantPush = get(payload, "a grant")?;
                bounded(push.grant.len() <= MAX_GRANT, "an oversized grant")?;
                FromHost::Grant(push)
            }
            tag::host::NOTICE => FromHost::Notice(get(payload, "a notice")?),
            tag::host::WAITING => FromHost::Waiting(get(payload, "a waiting")?),
            tag::host::COMMAND_ANSWER => FromHost::CommandAnswer(get(payload, "an answer")?),
            tag::host::KNOCKS => {
                let knocks: Knocks = get(payload, "who knocks")?;
                let bounds = |knock: &KnockInfo| knock.claims.len() <= MAX_CLAIMS_IN_HELLO;
                bounded(
                    knocks.knocks.len() <= MAX_KNOCKS && knocks.knocks.iter().all(bounds),
                    "a message with too many who knock",
                )?;
                FromHost::Knocks(knocks)
            }
            other => FromHost::Unknown(other),
        })
    }
}
