//! What goes into a [`Viewer`](super::Viewer), what comes out of it, and what it shows.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use pillion_caps::{
    Binding, CheckpointFault, PeerEndpoint, PublicKey, SecretKey, Signature, SignedCheckpoint,
    SigningInput,
};
use pillion_proto::{
    ConversationRequest, DropReason, Ended, Entry, JoinId, Knocks, NoticeKind, OwnLabel,
    ParticipantId, ParticipantInfo, PathKind, ProtocolError, Refused, RequestRefusal, RightReason,
    Rights, TrackId, TrackInfo, TrackState,
};
use pillion_screen::{DecodeError, LineId, Screen, history::Line};

use crate::{
    host::commands::verbs::{Command, CommandError, Done},
    types::Stream,
};

/// What a viewer is made from.
pub struct ViewerConfig {
    /// The person's key. Its secret is the driver's to use: see [`ViewerOutput::Sign`].
    pub identity: PublicKey,
    /// The session's key, from the ticket.
    pub session: PublicKey,
    /// The ticket's link key.
    pub link: Option<SecretKey>,
    /// Grant tokens to present: the grant's bytes, and the link key it names if it names one.
    pub grants: Vec<(Bytes, Option<SecretKey>)>,
    /// Claims about who the person is beside their key, at most
    /// [`MAX_CLAIMS_IN_HELLO`](pillion_proto::limits::MAX_CLAIMS_IN_HELLO); the host verifies them.
    pub claims: Vec<Bytes>,
    /// What the person calls themselves.
    pub name: String,
    /// Program and version.
    pub software: String,
    /// Fresh: this run.
    pub join: JoinId,
    /// Never send input.
    pub read_only: bool,
    /// Sessions this process runs inside of (their keys' short ids), to refuse joining one's own.
    pub inside: Vec<PublicKey>,
}

/// A connection that TLS has proved.
#[derive(Debug, Clone, Copy)]
pub struct Connected {
    /// This end's endpoint, as the transport proves it to the host.
    pub own_endpoint: PeerEndpoint,
    /// What proofs on it are bound to.
    pub binding: Binding,
}

/// What happens to a viewer.
pub enum ViewerInput {
    /// A connection to the host is being made that resumes an earlier one: what is sent now arrives
    /// with its first flight, may be replayed by anyone who sees it, and may be lost.
    /// [`ViewerInput::Connected`] follows; if the host did not take what was sent, its control stream
    /// begins again there.
    EarlyConnected,
    /// A connection to the host stands.
    Connected(Connected),
    /// Bytes came.
    Received {
        /// The stream.
        stream: Stream,
        /// The bytes after the stream's kind byte, in order.
        bytes: Bytes,
    },
    /// A stream of the host's was cut or ended.
    StreamEnded {
        /// Which.
        stream: Stream,
    },
    /// How the connection travels changed.
    Path {
        /// Direct or relayed.
        kind: PathKind,
        /// Round trip, in microseconds.
        rtt_us: u32,
    },
    /// The connection is gone, or could not be made.
    Disconnected {
        /// For people.
        why: String,
    },
    /// The answer to [`ViewerOutput::Sign`]. One to an older request counts for nothing: its connection is
    /// gone.
    Signed {
        /// From the request.
        request: u64,
        /// One for each input, in order.
        signatures: Vec<Signature>,
    },
    /// The person's key does not sign what [`ViewerOutput::Sign`] asks for: it was refused, or its holder
    /// can't be reached.
    NotSigned {
        /// From the request.
        request: u64,
        /// Why, for people.
        why: String,
    },
    /// Claims to show from the next hello on, in place of [`ViewerConfig::claims`]: some had run out.
    Claims(Vec<Bytes>),
    /// The person typed.
    Keys(Bytes),
    /// The person asks for edit.
    RequestEdit,
    /// The person wants to look at these tracks, of which the first is shown; at what the host looks at, if at
    /// none.
    Look(Vec<TrackId>),
    /// The person wants another terminal.
    OpenTerminal {
        /// What to call it; empty for what its program says.
        title: String,
    },
    /// The person, who opened this track, wants it closed.
    CloseTrack(TrackId),
    /// The person wants something of a conversation.
    Converse {
        /// Which.
        track: TrackId,
        /// What.
        request: ConversationRequest,
    },
    /// Somebody wants these entries of a log track.
    WantEntries {
        /// The track.
        track: TrackId,
        /// First entry.
        from: u64,
        /// How many.
        count: u32,
    },
    /// The person wants these lines of the terminal that is shown.
    WantHistory {
        /// First line.
        from: LineId,
        /// How many.
        count: u32,
    },
    /// The person, who may manage, wants this done.
    Command(Command),
    /// The person leaves.
    Leave,
    /// Time passed.
    Tick,
}

impl ViewerInput {
    /// The answer to [`ViewerOutput::Sign`] of a driver that has the secret at hand.
    pub fn signed_with(secret: &SecretKey, request: u64, inputs: &[SigningInput]) -> ViewerInput {
        ViewerInput::Signed {
            request,
            signatures: inputs.iter().map(|input| input.sign(secret)).collect(),
        }
    }
}

/// What a viewer wants done. In order.
#[derive(Debug)]
pub enum ViewerOutput {
    /// Connect to the host (again).
    Connect,
    /// Have the person's key sign these, and say [`ViewerInput::Signed`] or [`ViewerInput::NotSigned`]. They
    /// are proofs for the connection of now: a hello waits for them, eight seconds at most.
    Sign {
        /// Goes into the answer.
        request: u64,
        /// What to sign, each by itself.
        inputs: Vec<SigningInput>,
    },
    /// Send these bytes on a stream; the first ones open it.
    Send {
        /// Stream.
        stream: Stream,
        /// Bytes.
        bytes: Bytes,
    },
    /// Give this stream up.
    Reset {
        /// Stream.
        stream: Stream,
    },
    /// No more bytes follow on this stream.
    Finish {
        /// Stream.
        stream: Stream,
    },
    /// Close the connection.
    Close,
    /// Something to show or act on.
    Event(ViewerEvent),
}

/// Something a viewer's user interface reacts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewerEvent {
    /// The view changed: draw it.
    Changed,
    /// Something to tell the person.
    Said(Box<ViewerNotice>),
    /// What came of a command, or why it was not carried out, as the host says. Either is `None` where the host's
    /// version says something that is not known here.
    Answered(Box<Result<Option<Done>, Option<CommandError>>>),
    /// Lines that were asked for, of the terminal that is shown.
    History(HistoryLines),
    /// Entries that were asked for.
    Entries(LogEntries),
    /// It is over, for good: restore the terminal, say why, exit.
    Ended {
        /// Why.
        why: Box<Ending>,
        /// Whether it is an ending as it should be (exit code 0) or a refusal.
        regular: bool,
    },
}

/// Something that a viewer tells its person. What the host said is `None` where its version says something that is not
/// known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewerNotice {
    /// What they may do changed, or was said again.
    Right {
        /// What they may do now.
        rights: Rights,
        /// Until when, in milliseconds since the Unix epoch.
        until_unix_ms: Option<u64>,
        /// Why.
        why: Option<RightReason>,
    },
    /// Their request to type was refused.
    RequestRefused(Option<RequestRefusal>),
    /// Something that they typed, or asked for if it is for no track, was not done.
    Dropped {
        /// The track it was for.
        track: Option<TrackId>,
        /// Why.
        why: Option<DropReason>,
    },
    /// The host says so.
    Host(Option<NoticeKind>),
    /// They ask to type, and nobody is asked.
    NotAsked(NotAsked),
    /// What they type goes nowhere.
    NotTyped(NotTyped),
    /// They can't open or close terminals.
    NotOpened(NotOpened),
    /// They can't ask anything of a conversation.
    NotSaid(NotSaid),
    /// There is no connection at this moment, so a command was not sent.
    NotConnected,
    /// What was typed while there was no connection is not typed on the host.
    LostWhileAway,
    /// What they looked at is gone, and they see what the host looks at.
    LookedAtGone,
    /// The track is of a kind that this version can't show.
    UnknownKind(TrackId),
    /// What came of a track is not what the host of the session signed; it is asked for again.
    NotAsSigned {
        /// The track.
        track: TrackId,
        /// What is wrong.
        fault: CheckpointFault,
    },
    /// Some history can't be shown, because more came than was asked for.
    TooMuchHistory,
    /// Some history can't be shown, because it can't be read.
    BadHistory(DecodeError),
}

/// Why nobody is asked whether a viewer may type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAsked {
    /// The viewer joined to send nothing.
    ReadOnlyViewer,
    /// They can type already.
    HasEdit,
    /// Nobody can be given it in this session.
    ReadOnly,
    /// There is no connection at this moment.
    NotConnected,
    /// The host was asked, and has not answered.
    Asked,
}

/// Why what is typed goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTyped {
    /// The viewer joined to send nothing.
    ReadOnlyViewer,
    /// Nobody can be given the right to type in this session.
    ReadOnly,
    /// The host was asked, and has not answered.
    Asked,
    /// They may watch.
    MayNotType,
    /// The program has ended.
    ProgramEnded,
    /// Too much is on its way to the host.
    TooMuch,
}

/// Why a terminal is not opened or closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOpened {
    /// The viewer joined to send nothing.
    ReadOnlyViewer,
    /// They have no right to.
    MayNotOpen,
    /// Too much is on its way to the host.
    TooMuch,
}

/// Why nothing is asked of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSaid {
    /// The viewer joined to send nothing.
    ReadOnlyViewer,
    /// They may watch.
    MayWatch,
}

/// Why a viewer is not connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interruption {
    /// The host refused it for now.
    Refused(Refused),
    /// The host did not answer.
    NoAnswer,
    /// The person's key did not sign in time.
    NotSigned,
    /// Nothing was heard from the host.
    Silence,
    /// What the driver says, cleaned.
    Transport(String),
}

/// How it ended for a viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The person left.
    Left,
    /// The session is the one this viewer runs in.
    InsideItself,
    /// The person's key does not sign: why, cleaned.
    NotSigned(String),
    /// It signed less than it was asked for.
    PartlySigned,
    /// The host refused it.
    Refused(Refused),
    /// Sharing ended.
    Ended(Ended),
    /// The host did not keep to the protocol.
    Protocol(ProtocolError),
}

/// Lines of history, as the host has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryLines {
    /// The first line that was asked for.
    pub asked: LineId,
    /// The lines, from `asked` or the oldest readable one on.
    pub lines: Vec<Line>,
    /// Lines below this are final and may be kept.
    pub settled: LineId,
}

/// Entries of a log, as the host has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntries {
    /// The track.
    pub track: TrackId,
    /// The first entry that was asked for.
    pub asked: u64,
    /// The entries, from `asked` or the oldest one there is on.
    pub entries: Vec<Entry>,
}

/// Where a viewer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Not connected: trying, or waiting to try again.
    Connecting {
        /// Tries so far, from 1.
        attempt: u32,
        /// Why the last one failed; nothing on the first.
        why: Option<Interruption>,
        /// When the next starts, on [`Now::mono_us`](crate::Now::mono_us)'s clock.
        retry_at_us: u64,
    },
    /// Connected, nothing shown yet.
    Joining,
    /// The host is being asked whether to let this viewer in.
    Knocking {
        /// How the host sees this viewer's person.
        you: OwnLabel,
        /// How long it may take at most, in milliseconds, as the host said when it was asked.
        wait_ms: u32,
        /// When it gives up, on [`Now::mono_us`](crate::Now::mono_us)'s clock.
        until_us: u64,
    },
    /// Live.
    Live,
    /// Live, but nothing was heard for a while.
    Stalled {
        /// Since when, on [`Now::mono_us`](crate::Now::mono_us)'s clock.
        since_us: u64,
    },
    /// Over.
    Ended,
}

/// Everything a viewer shows.
#[derive(Debug, Clone)]
pub struct View {
    /// Where the viewer stands.
    pub phase: Phase,
    /// The terminal that is shown, as of its newest frame.
    pub screen: Option<Screen>,
    /// That frame's number.
    pub frame: u64,
    /// How often the screen changed; only goes up.
    pub version: u64,
    /// For each of the screen's rows, the version that changed it last. A row not listed may have
    /// changed at any time.
    pub row_versions: Vec<u64>,
    /// The track that is shown, and its state.
    pub track: (TrackId, TrackState),
    /// Every track, by number; titles as they came (clean them when drawing).
    pub tracks: Vec<TrackInfo>,
    /// Tracks where something happened since they were looked at.
    pub active: BTreeSet<TrackId>,
    /// For tracks that are looked at, the newest checkpoint that agreed with what came of them: up to its
    /// frame it proves to others what the host sent.
    pub verified: BTreeMap<TrackId, SignedCheckpoint>,
    /// What the host's own terminal shows.
    pub host_shows: TrackId,
    /// This viewer shows what the host looks at.
    pub follows: bool,
    /// What it chose to look at in place of that, though it may not be shown yet: keys go there.
    pub chosen: Option<TrackId>,
    /// Session name, cleaned; unverified.
    pub session_name: String,
    /// Host name, cleaned; unverified.
    pub host_name: String,
    /// This viewer's own key, by which others can know it.
    pub identity: PublicKey,
    /// The host's identity key, proved.
    pub host_identity: Option<PublicKey>,
    /// Who this viewer is.
    pub you: Option<ParticipantId>,
    /// Everyone, by number; names as they came (clean them when drawing).
    pub roster: Vec<ParticipantInfo>,
    /// What this viewer may do.
    pub rights: Rights,
    /// Until when, in milliseconds since the Unix epoch.
    pub until_unix_ms: Option<u64>,
    /// Edit can't be granted in this session.
    pub read_only: bool,
    /// A request for edit is under way.
    pub asking: bool,
    /// Who may come in, and who knocks; told to those who manage alone. Names as they came.
    pub door: Option<Knocks>,
    /// How the connection travels.
    pub path: PathKind,
    /// Round trip, in microseconds.
    pub rtt_us: u32,
    /// How much longer than a round trip an answer of the host's took when it was last asked, in
    /// microseconds: what waits in it, or on the way.
    pub lag_us: u32,
    /// Inputs sent that the host has not confirmed.
    pub unconfirmed: usize,
}
