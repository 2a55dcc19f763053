//! What goes into a [`Host`](super::Host) and what comes out of it.

use bytes::Bytes;
use pillion_caps::{Ledger, PublicKey, SecretKey};
use pillion_people::{Invited, Issuer, Removals, SshKey, SubjectRef, Trust};
use pillion_proto::{
    AccessMode, ParticipantId, PathKind, RelayToken, Rights, TrackId, TrackKind, TrackState,
};
use pillion_screen::{LineId, Size};
use pillion_share::Network;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use thiserror::Error;

use crate::host::{
    commands::question::Question,
    people::records::Records,
    tracks::pack::{HistoryJob, PackedHistory},
};
use crate::types::{ConnId, Stream};

/// What a host is made from.
pub struct HostConfig {
    /// The session's key: its endpoint id, and the root of every grant.
    pub session_key: SecretKey,
    /// The person's key.
    pub identity: SecretKey,
    /// Fresh randomness for link keys and grant ids; never written down.
    pub seed: [u8; 32],
    /// The session's name.
    pub name: String,
    /// What the host calls themselves.
    pub host_name: String,
    /// Program and version, told to peers.
    pub software: String,
    /// Edit can't be granted in this session.
    pub read_only: bool,
    /// How long an edit grant lasts unless said otherwise, in milliseconds (8 h by default).
    pub edit_ttl_ms: u64,
    /// The program that the session begins with, as its terminal is called until it says something.
    pub program: String,
    /// Its terminal's size at the start.
    pub size: Size,
    /// Whether a terminal of the host's is attached: it answers the program's queries then, and can
    /// confirm commands that widen rights.
    pub has_tty: bool,
    /// The session's ledger: a new one, or what the entries of earlier runs make.
    pub ledger: Ledger,
    /// Where the session is kept.
    pub records: Box<dyn Records>,
    /// The link key's seed of an earlier run, so that tickets stay valid.
    pub link: Option<[u8; 32]>,
    /// What tickets carry for the relay, where it asks for something.
    pub relay_token: Option<RelayToken>,
    /// Who may come in, unless the ledger says otherwise.
    pub allow: AccessMode,
    /// How long somebody who knocks waits for an answer at most, in milliseconds (2 min by default).
    pub knock_wait_ms: u64,
    /// Lists of keys that an earlier run followed, as it gave them to be kept.
    pub lists: Vec<SubscribedKeyList>,
}

/// A list of SSH keys at an address that is looked at again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscribedKeyList {
    /// The address.
    pub from: String,
    /// What those may do whose keys it lists.
    pub right: Rights,
    /// Its keys when it was looked at last.
    pub keys: Vec<SshKey>,
}

/// What happens to a host.
pub enum HostInput {
    /// The program wrote. `more` says that more is already waiting.
    Output {
        /// The track.
        track: TrackId,
        /// The bytes.
        bytes: Bytes,
        /// Whether more output is waiting behind it.
        more: bool,
    },
    /// Input with this number was written to a track's program.
    Written {
        /// The track.
        track: TrackId,
        /// The number from [`HostOutput::Write`].
        seq: u64,
    },
    /// Input up to this number that was not written never will be: something that ends or stops the program
    /// (Ctrl-C) was typed behind it, and a terminal throws away what was not read then.
    Discarded {
        /// The track.
        track: TrackId,
        /// The number from [`HostOutput::Write`].
        upto: u64,
    },
    /// The answer to [`HostOutput::Spawn`]: the program runs.
    Spawned {
        /// The track.
        track: TrackId,
    },
    /// The other answer: it does not.
    SpawnFailed {
        /// The track, which never was.
        track: TrackId,
        /// For people.
        why: String,
    },
    /// Something begins that says entries: a log track. [`HostOutput::Done`] has its number.
    OpenLog {
        /// Comes back.
        request: u64,
        /// What to call it.
        title: String,
    },
    /// A log track's source says something.
    Entry {
        /// The track.
        track: TrackId,
        /// What it says something about, in place of what was said before; empty for nothing.
        key: String,
        /// JSON, at most [`MAX_ENTRY`](pillion_proto::limits::MAX_ENTRY) bytes.
        json: Bytes,
    },
    /// A track's program ended, or a log track's source.
    Exited {
        /// The track.
        track: TrackId,
        /// How.
        state: TrackState,
    },
    /// A terminal changed size.
    Resized {
        /// The track.
        track: TrackId,
        /// The new size.
        size: Size,
    },
    /// The host's own terminal went away (or came back).
    Tty {
        /// Whether there is one now.
        attached: bool,
    },
    /// Somebody resumes an earlier TLS session, and its handshake is under way: what it says until
    /// [`HostInput::Proved`] may be a recording of what was said once before. Only anybody who held the
    /// earlier session can read what is said to it.
    EarlyConnected {
        /// The connection.
        conn: ConnId,
        /// The other end's endpoint id, proved in the earlier session.
        peer: PublicKey,
        /// Where it comes from, as far as that is known.
        from: Network,
    },
    /// The handshake of a connection that began early is complete.
    Proved {
        /// The connection.
        conn: ConnId,
        /// Its exported keying material.
        exporter: [u8; 32],
    },
    /// Somebody connected; nothing is known of them but that TLS holds.
    Connected {
        /// The connection.
        conn: ConnId,
        /// The other end's endpoint id.
        peer: PublicKey,
        /// Where it comes from, as far as that is known.
        from: Network,
        /// The connection's exported keying material.
        exporter: [u8; 32],
    },
    /// Bytes came.
    Received {
        /// The connection.
        conn: ConnId,
        /// The stream.
        stream: Stream,
        /// The bytes after the stream's kind byte, in order.
        bytes: Bytes,
    },
    /// How the connection travels changed.
    Path {
        /// The connection.
        conn: ConnId,
        /// Direct or relayed.
        kind: PathKind,
        /// Round trip, in microseconds.
        rtt_us: u32,
    },
    /// A connection is gone.
    Disconnected {
        /// The connection.
        conn: ConnId,
    },
    /// Where the endpoint can be reached, for tickets; told at the start and on every change.
    Addresses {
        /// Addresses and relay.
        addr: iroh_base::EndpointAddr,
    },
    /// Somebody on the host's side wants something.
    Command {
        /// Comes back in [`HostOutput::Done`].
        request: u64,
        /// Who.
        by: Actor,
        /// What.
        command: Command,
    },
    /// The host at its own terminal confirms (or not) what [`HostNotice::Confirm`] asked.
    Confirmed {
        /// From the notice.
        request: u64,
        /// The answer.
        yes: bool,
    },
    /// Anybody who gave this command has gone and waits for no answer.
    Withdrawn {
        /// From [`HostInput::Command`].
        request: u64,
    },
    /// The answer to [`HostOutput::ReadHistory`].
    History(PackedHistory),
    /// The other end has all of a stream that was finished, or wants no more of it.
    Delivered {
        /// The connection.
        conn: ConnId,
        /// The stream.
        stream: Stream,
    },
    /// Whom to believe when somebody says who they are. Told at the start and on every change, and in
    /// answer to every [`HostOutput::FetchKeys`], whatever came of it.
    Trust(Box<Trust>),
    /// Somebody gave the right spoken code, and is being given a ticket for their endpoint alone
    /// ([`pillion_proto::Ticket::for_endpoint`]).
    CodeUsed {
        /// The code's number.
        number: u32,
        /// The endpoint id they proved to come with.
        guest: PublicKey,
    },
    /// What teams took back is more than when [`HostInput::Trust`] was told: memberships among it end now.
    Removals(Vec<Removals>),
    /// What lists of keys say now, by their addresses: the answer to [`HostOutput::FetchLists`], without
    /// those that could not be had.
    KeyLists(Vec<(String, Vec<SshKey>)>),
    /// Time passed.
    Tick,
}

/// Who gives a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    /// A key pressed at the host's own terminal.
    Tty,
    /// A program of the host's account, through the control socket. Once somebody else has typed, or
    /// may, this proves nothing, so what widens rights is confirmed at the terminal.
    Socket,
}

/// Whom a command is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// Somebody or a grant, by what a person named them by, or by the identity key that a list or a question showed.
    One(SubjectRef),
    /// Exactly these, whom a question showed.
    Exactly(Vec<Invited>),
    /// Anybody who holds one of the SSH keys of a list.
    Keys {
        /// Where the list is, for people: a file or an address.
        from: String,
        /// The keys.
        keys: Vec<SshKey>,
        /// Whether it is an address, where keys that are added later are to be found.
        is_address: bool,
    },
    /// Everyone who came by a link grant.
    Links,
    /// Everyone.
    All,
}

impl From<SubjectRef> for Target {
    fn from(whom: SubjectRef) -> Target {
        Target::One(whom)
    }
}

impl From<PublicKey> for Target {
    fn from(key: PublicKey) -> Target {
        Target::One(SubjectRef::key(key))
    }
}

/// What can be asked of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Start sharing (again) from what is on the screen now (`from_start`: from the first line).
    Share {
        /// From the first line rather than from the top of the screen.
        from_start: bool,
    },
    /// End sharing; the program goes on.
    Stop,
    /// The ticket; `new` makes the old one stop working.
    Ticket {
        /// Replace it.
        new: bool,
    },
    /// Who is here.
    Who,
    /// How the session stands.
    Status,
    /// The session's tracks.
    Tracks,
    /// Open another terminal.
    New {
        /// What to call it; empty for what its program says.
        title: String,
        /// What to run; empty for what the host's terminals run.
        command: Vec<String>,
    },
    /// End a track's program, or forget a track that ended.
    Close {
        /// Which.
        track: TrackId,
    },
    /// Show another terminal on the host's own.
    Show {
        /// Which.
        track: TrackId,
    },
    /// Give a participant a right.
    Grant {
        /// Whom.
        target: Target,
        /// What.
        right: Rights,
        /// For how long, in milliseconds; the session's default when `None`.
        ttl_ms: Option<u64>,
    },
    /// Make a token for somebody who is not here yet.
    GrantLink {
        /// What.
        right: Rights,
        /// For how long, in milliseconds.
        ttl_ms: Option<u64>,
        /// How many people may use it.
        uses: NonZeroU32,
    },
    /// Say no to a request for edit.
    Refuse {
        /// Whose.
        target: Target,
    },
    /// Take edit away.
    Revoke {
        /// Whose, or which grant.
        target: Target,
    },
    /// Put somebody out, and bar that identity and what else they proved to be. As whatever takes something
    /// from a person, it ends the tokens they came with.
    Kick {
        /// Whom.
        target: Target,
    },
    /// Say who may come in; without `allow`, tell how it stands.
    Open {
        /// From now on.
        allow: Option<AccessMode>,
    },
    /// Put somebody on the list of who may come in, here or not.
    Allow {
        /// Whom.
        target: Target,
        /// What they may do.
        right: Rights,
    },
    /// Let somebody in who knocks, and put them on the list.
    Admit {
        /// Whom.
        target: Target,
    },
    /// Turn somebody away who knocks; if nobody like that does, say no to their request for edit.
    TurnAway {
        /// Whom.
        target: Target,
        /// Bar them, too.
        for_good: bool,
    },
    /// Keep out anybody who is or proves to be this, here or not.
    Ban {
        /// Whom; as for [`Command::Allow`].
        target: Target,
    },
    /// Undo that.
    Unban {
        /// Whom.
        target: Target,
    },
    /// Use a link service from now on, in place of any other.
    UseService {
        /// Its URL. The driver has parsed it.
        service: String,
        /// Publish a link there; else only spoken codes are exchanged by it. A link that is published
        /// goes along.
        link: bool,
    },
    /// End the link; the session goes on.
    EndLink,
    /// A spoken code is to be made by the link service in use. The driver does it.
    Code,
}

/// What a command brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Done {
    /// A sentence for who asked.
    Said(String),
    /// The ticket.
    Ticket(String),
    /// A grant token and when it ends, in milliseconds since the Unix epoch.
    Token {
        /// The string.
        token: String,
        /// The grant's id, for `revoke`.
        grant: String,
        /// Its end.
        expires_unix_ms: u64,
    },
    /// Who is here.
    Who(Vec<ParticipantStatus>),
    /// How the session stands.
    Status(SessionStatus),
    /// The tracks, by number.
    Tracks(Vec<TrackStatus>),
    /// The track that was opened, or is shown.
    Opened(TrackId),
    /// Who may come in.
    Door {
        /// The rule.
        allow: AccessMode,
        /// The list.
        people: Vec<(String, Rights)>,
        /// Who is kept out.
        banned: Vec<String>,
        /// Addresses of lists that are looked at again.
        followed: Vec<String>,
    },
}

/// One line of `pillion who`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParticipantStatus {
    /// Number.
    pub id: ParticipantId,
    /// Name, cleaned; unverified.
    pub name: String,
    /// Identity key.
    pub identity: PublicKey,
    /// Rights.
    pub right: Rights,
    /// When the right falls back to view, in milliseconds since the Unix epoch.
    pub until_unix_ms: Option<u64>,
    /// Connected now.
    pub here: bool,
    /// Connected, but nothing was heard of them for a few seconds.
    pub silent: bool,
    /// Has asked for edit and waits.
    pub asking: bool,
    /// Is not in, and waits to be let in.
    pub knocking: bool,
    /// How they proved who they are, or what let them in; for people.
    pub proof: String,
    /// How the connection travels.
    pub path: PathKind,
    /// Round trip, in microseconds, once known.
    pub rtt_us: Option<u32>,
    /// Frames this viewer is behind.
    pub lag_frames: u64,
}

/// One line of `pillion ls SESSION`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackStatus {
    /// Number.
    pub id: TrackId,
    /// Kind.
    pub kind: TrackKind,
    /// Title, cleaned; unverified.
    pub title: String,
    /// Whether it runs, and how it ended.
    pub state: TrackState,
    /// Who opened it.
    pub opener: ParticipantId,
    /// What they call themselves.
    pub opener_name: String,
    /// Columns and rows; `None` when it can't be looked at any more.
    pub size: Option<(u16, u16)>,
    /// The host's own terminal shows it.
    pub shown: bool,
    /// Viewers who look at it.
    pub viewers: u32,
}

/// How a session stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// Name.
    pub name: String,
    /// Shared right now.
    pub shared: bool,
    /// Viewers connected.
    pub viewers: u32,
    /// When it started, in milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
    /// Edit can't be granted.
    pub read_only: bool,
}

/// Why a command was not carried out. The text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum CommandError {
    /// Nobody is meant by that.
    #[error("nobody here {whom}; `pillion who` lists who is here")]
    Unknown {
        /// What nobody is or has: "is called \"anna\"", "has the number 3".
        whom: String,
    },
    /// More than one is meant by that.
    #[error(
        "\"{name}\" could be any of {}; say which by the number, the whole fingerprint or the whole id",
        choices.join(", ")
    )]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// "2 anna (7f3a-…)" each.
        choices: Vec<String>,
    },
    /// Not in this state of the session.
    #[error("{0}")]
    NotNow(String),
    /// Not by this actor.
    #[error("{0}")]
    NotAllowed(String),
}

/// Something the person at the host should see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostNotice {
    /// Asks for edit; answered by [`Command::Grant`] or [`Command::Refuse`].
    EditRequested {
        /// Who.
        id: ParticipantId,
        /// Name, cleaned.
        name: String,
        /// Identity key.
        identity: PublicKey,
        /// What let them in, and what they proved to be.
        proof: String,
        /// What is asked.
        question: Question,
    },
    /// Knocks; answered by [`Command::Admit`] or [`Command::TurnAway`].
    Knocked {
        /// Who, by the number they keep when they are let in.
        id: ParticipantId,
        /// Name, cleaned.
        name: String,
        /// Identity key.
        identity: PublicKey,
        /// How they proved who they are.
        proof: String,
        /// What is asked.
        question: Question,
    },
    /// A knock was answered, or anybody who knocked left: take the notice away.
    KnockGone {
        /// Whose.
        id: ParticipantId,
    },
    /// A request was answered, withdrawn or its viewer left: take the notice away.
    RequestGone {
        /// Whose.
        id: ParticipantId,
    },
    /// A command that widens rights waits for a yes at this terminal.
    Confirm {
        /// Goes into [`HostInput::Confirmed`].
        request: u64,
        /// What is about to happen.
        question: Question,
    },
    /// Such a command waits no longer, however that ended: take the question away.
    ConfirmGone {
        /// From [`HostNotice::Confirm`].
        request: u64,
    },
    /// A command through the control socket changed who may come in or do what.
    ChangedBySocket {
        /// What it did.
        what: String,
    },
    /// Somebody came.
    Joined {
        /// Who.
        id: ParticipantId,
        /// Name, cleaned.
        name: String,
        /// Identity key.
        identity: PublicKey,
        /// What let them in, and what they proved to be.
        proof: String,
    },
    /// Somebody left.
    Left {
        /// Who.
        id: ParticipantId,
        /// Name, cleaned.
        name: String,
    },
    /// Somebody came or went several times since it was last said of them.
    Visits {
        /// Who.
        id: ParticipantId,
        /// Name, cleaned.
        name: String,
        /// Times they came.
        joins: u64,
        /// Connected now.
        here: bool,
    },
    /// Anything else worth a line.
    Said(String),
}

/// What goes into the session's log. Opaque to the store but for the numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEntry {
    /// A track begins: everything else of it comes after.
    Track {
        /// Track.
        track: TrackId,
        /// Kind.
        kind: TrackKind,
        /// What it was called when it was opened, or else its program.
        title: String,
        /// When.
        unix_ms: u64,
    },
    /// A frame's uncompressed body; `snapshot` ones stand alone.
    Frame {
        /// Track.
        track: TrackId,
        /// Number.
        number: u64,
        /// Stands alone.
        snapshot: bool,
        /// When.
        unix_ms: u64,
        /// The body.
        raw: Bytes,
    },
    /// Lines that became final, or entries of a log track.
    History {
        /// Track.
        track: TrackId,
        /// Line of the first record, or the first entry's number.
        first: LineId,
        /// Records.
        count: u32,
        /// Encoded lines, or [`Entry`](pillion_proto::Entry)s.
        bytes: Bytes,
    },
    /// Lines that left the screen and may still change; it takes the place of what the log has of
    /// lines from `first` on that are not final.
    Margin {
        /// Track.
        track: TrackId,
        /// When.
        unix_ms: u64,
        /// Line of the first record.
        first: LineId,
        /// Records; there may be none.
        count: u32,
        /// Encoded lines. When the last record is marked as continued and is the line the screen
        /// begins in, the screen goes on with it.
        bytes: Bytes,
    },
    /// Something happened: one JSON object (who came, what was granted by whom, …).
    Event {
        /// When.
        unix_ms: u64,
        /// The object.
        json: String,
    },
}

/// What a host wants done. In order.
#[derive(Debug)]
pub enum HostOutput {
    /// Send these bytes on a stream; the first ones on a track stream open it.
    Send {
        /// Connection.
        conn: ConnId,
        /// Stream.
        stream: Stream,
        /// Bytes, shared between all who are sent the same.
        bytes: Bytes,
    },
    /// Drop what is unsent on this stream: a newer one replaces it.
    Reset {
        /// Connection.
        conn: ConnId,
        /// Stream.
        stream: Stream,
    },
    /// No more bytes follow on this stream.
    Finish {
        /// Connection.
        conn: ConnId,
        /// Stream.
        stream: Stream,
    },
    /// Who it is was said and checked: the connection counts no longer as a stranger's, and may be sent
    /// as much as a viewer sends.
    Accepted {
        /// Connection.
        conn: ConnId,
    },
    /// Close the connection once what was sent before is delivered (bounded wait).
    Close {
        /// Connection.
        conn: ConnId,
        /// Application error code ([`pillion_proto::RefusedCode`], 0 for a normal end).
        code: u8,
        /// For people.
        reason: String,
    },
    /// Start this program on a terminal of this size, and say [`HostInput::Spawned`] or
    /// [`HostInput::SpawnFailed`].
    Spawn {
        /// The track that its output is of.
        track: TrackId,
        /// The command; empty for what the host's terminals run.
        command: Vec<String>,
        /// The size.
        size: Size,
    },
    /// End this track's program as closing a terminal does; [`HostInput::Exited`] says when it has.
    Terminate {
        /// The track.
        track: TrackId,
    },
    /// Show this terminal on the host's own from now on.
    Show {
        /// The track.
        track: TrackId,
    },
    /// The session's last program ended: nothing more will come of it.
    SessionEnded {
        /// How the program ended that the session began with.
        state: TrackState,
    },
    /// Write authorised input to a track's program, in order, and say [`HostInput::Written`] when done. How much
    /// may wait for that is bounded here, so it is never dropped; [`HostInput::Discarded`] is the exception.
    Write {
        /// Track.
        track: TrackId,
        /// Counts the inputs of the track.
        seq: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// Answer the program's terminal query (only without a terminal of the host's).
    Answer {
        /// Track.
        track: TrackId,
        /// The bytes.
        bytes: Bytes,
    },
    /// The link key's seed is another one from now on: links and codes carry it.
    LinkChanged([u8; 32]),
    /// Append to the log.
    Log(LogEntry),
    /// Read settled lines from the log, [`pack`](HistoryJob::pack) them, and say [`HostInput::History`]:
    /// on another thread, since a keystroke may come meanwhile.
    ReadHistory(Box<HistoryJob>),
    /// Tell the person at the host.
    Notice(HostNotice),
    /// A command's result.
    Done {
        /// From the command.
        request: u64,
        /// What came of it.
        result: Result<Done, CommandError>,
    },
    /// Fetch this issuer's keys, if it is one that is trusted, and say [`HostInput::Trust`]: somebody
    /// waits for it, six seconds at most.
    FetchKeys {
        /// Whose.
        issuer: Issuer,
    },
    /// Fetch the lists of keys at these addresses and say [`HostInput::KeyLists`], whatever came of it:
    /// somebody may wait for it, six seconds at most.
    FetchLists {
        /// Where they are.
        from: Vec<String>,
    },
    /// Start listening for viewers.
    Listen,
    /// Sharing ended: stop listening once every connection is closed.
    StopListening,
    /// Use this link service, and publish the session's link there if `link`; see
    /// [`Command::UseService`].
    UseService {
        /// Its URL, as it was asked for.
        service: String,
        /// Publish a link.
        link: bool,
    },
    /// End the session's link, if one is published.
    EndLink,
}
