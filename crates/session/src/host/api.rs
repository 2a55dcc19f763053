//! What goes into a [`Host`](super::Host) and what comes out of it.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use pillion_caps::{
    Binding, Ledger, PeerEndpoint, PublicKey, SecretKey, Signature, SignedCheckpoint, SigningInput,
};
use pillion_conversation::{ClientEvent, Gate, Order};
use pillion_people::{Issuer, Removals, SshKey, Trust};
use pillion_proto::{
    AccessMode, ParticipantId, PathKind, RelayToken, Rights, TrackId, TrackKind, TrackState,
};
use pillion_screen::{LineId, Size};
use pillion_share::Network;
use serde::{Deserialize, Serialize};

use crate::host::{
    commands::{
        question::Question,
        verbs::{AgentStart, Command, CommandError, Done, Proved, Shortfall},
    },
    people::records::{Forgetful, Records},
    tracks::pack::{HistoryJob, PackedHistory},
};
use crate::types::{ConnId, Stream};

/// What a host is made from.
pub struct HostConfig {
    /// The session's key: its endpoint id, and the root of every grant.
    pub session_key: SecretKey,
    /// Which run of the session this is, from 0: tracks and frames are numbered from nought in each.
    pub run: u32,
    /// The person's key. Its secret is the driver's to use: see [`HostOutput::Sign`].
    pub identity: PublicKey,
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
    /// The session begins with a conversation with an agent of which this is known, in place of a program.
    pub conversation: Option<Gate>,
    /// The key of a viewer that is the host's own terminal: who holds it is the host.
    pub owner: Option<PublicKey>,
}

impl HostConfig {
    /// A session that is kept nowhere, with a terminal of the host's, watched by those who have its ticket. The
    /// seed has to be fresh: link keys are made from it.
    pub fn plain(
        session_key: SecretKey,
        identity: PublicKey,
        seed: [u8; 32],
        size: Size,
    ) -> HostConfig {
        HostConfig {
            ledger: Ledger::new(session_key.public()),
            session_key,
            run: 0,
            identity,
            seed,
            name: "session".to_owned(),
            host_name: "host".to_owned(),
            software: "pillion".to_owned(),
            read_only: false,
            edit_ttl_ms: 8 * 3_600_000,
            program: "sh".to_owned(),
            size,
            has_tty: true,
            records: Box::new(Forgetful),
            link: None,
            relay_token: None,
            allow: AccessMode::Link,
            knock_wait_ms: 120_000,
            lists: Vec::new(),
            conversation: None,
            owner: None,
        }
    }
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
    /// Something came of an agent's conversation.
    Conversation {
        /// The track.
        track: TrackId,
        /// An entry of its log, masked.
        entry: String,
    },
    /// Something happened to a conversation's agent, about which the log has what there is to know.
    Agent {
        /// The track.
        track: TrackId,
        /// What.
        news: ConversationNews,
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
    /// The host's own terminal came or went.
    Tty(TtyNews),
    /// Somebody resumes an earlier TLS session, and its handshake is under way: what it says until
    /// [`HostInput::HandshakeConfirmed`] may be a recording of what was said once before. Only anybody who held the
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
    HandshakeConfirmed {
        /// The connection.
        conn: ConnId,
        /// What proofs on it are bound to.
        binding: Binding,
    },
    /// Somebody connected; nothing is known of them but that TLS holds.
    Connected {
        /// The connection.
        conn: ConnId,
        /// The other end's endpoint. One that is not proved gives neither codes nor early data.
        peer: PeerEndpoint,
        /// Where it comes from, as far as that is known.
        from: Network,
        /// What proofs on it are bound to.
        binding: Binding,
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
    /// The answer to [`HostOutput::Sign`]. One to an older request counts for nothing.
    Signed {
        /// From the request.
        request: u64,
        /// The signature.
        signature: Signature,
    },
    /// The person's key does not sign what [`HostOutput::Sign`] asks for: it was refused, or its holder can't
    /// be reached.
    NotSigned {
        /// From the request.
        request: u64,
        /// Why, for people.
        why: String,
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

impl HostInput {
    /// The answer to [`HostOutput::Sign`] of a driver that has the secret at hand.
    pub fn signed_with(secret: &SecretKey, request: u64, input: &SigningInput) -> HostInput {
        HostInput::Signed {
            request,
            signature: input.sign(secret),
        }
    }
}

/// What a conversation's host acts on.
#[derive(Debug, Clone, PartialEq)]
pub enum ConversationNews {
    /// The agent's side says that something happened.
    Happened(ClientEvent),
    /// The agent takes no prompt.
    NotSent,
    /// The agent has ended.
    Ended,
}

/// What became of the host's own terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TtyNews {
    /// There is one (again).
    Attached,
    /// Another one has taken its place.
    Moved,
    /// Its person left it; the session goes on without one.
    Detached,
    /// It was closed, or the process that held it ended.
    Lost {
        /// The session goes on without one; else it ends with it.
        stays: bool,
    },
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

/// Why nobody vouched for the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotVouched {
    /// What signed is another key than the identity.
    OtherKey,
    /// It did not sign: what its holder says, cleaned.
    NotSigned(String),
}

/// Something the person at the host should see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostNotice {
    /// Asks for edit; answered by `Command::Grant` or `Command::RefuseRequest`.
    EditRequested {
        /// Who.
        id: ParticipantId,
        /// Name, cleaned.
        name: String,
        /// Identity key.
        identity: PublicKey,
        /// What let them in, and what they proved to be.
        proof: Proved,
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
        proof: Proved,
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
    ChangedBySocket(Change),
    /// Somebody came.
    Joined {
        /// Who.
        id: ParticipantId,
        /// Name, cleaned.
        name: String,
        /// Identity key.
        identity: PublicKey,
        /// What let them in, and what they proved to be.
        proof: Proved,
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
    /// What was taken away, though not by a command, does not outlive this run.
    FellShort(Shortfall),
    /// What was taken away while the disk was full is written down now.
    CaughtUp,
    /// New keys of a list could not be put on the access list.
    KeysNotListed {
        /// Where the list is.
        from: String,
        /// Why.
        error: CommandError,
    },
    /// Somebody on the access list could not be given their rights.
    RightsNotGiven(CommandError),
    /// Somebody else tried to join by what a code gave, and was refused.
    CodePassedOn {
        /// The code's number.
        number: u32,
    },
    /// The one who used a code did not join within ten minutes.
    CodeMissed {
        /// The code's number.
        number: u32,
    },
    /// The host's identity key did not sign that the session is its own, so nobody can be let in.
    NotVouched {
        /// Why not.
        why: NotVouched,
    },
    /// A viewer opened a terminal.
    TerminalOpened {
        /// Who.
        id: ParticipantId,
        /// Name, cleaned.
        name: String,
        /// Its number.
        track: TrackId,
    },
    /// A terminal's program ended, and others go on.
    TerminalEnded {
        /// Its number.
        track: TrackId,
        /// What it is called, cleaned.
        title: String,
        /// How it ended.
        state: TrackState,
        /// What the host's terminal shows instead, with its title, if it showed this one.
        shows: Option<(TrackId, String)>,
    },
    /// A team took back the membership of somebody who was here.
    MembershipEnded {
        /// Name, cleaned.
        name: String,
    },
}

/// What a command through the control socket changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Who may join or do what: as it would have been asked.
    Widened {
        /// What, and who got it.
        question: Question,
        /// The id of the grant, of a token.
        grant: Option<String>,
    },
    /// The ticket was replaced.
    TicketReplaced,
    /// Anything else.
    Other {
        /// The command, as it is given to `pillion`.
        name: &'static str,
        /// What came of it.
        done: Done,
    },
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
    /// A frame's uncompressed body. A `snapshot` one is the state after the frame and stands alone; the frame
    /// itself comes before it, under the same number.
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
    /// The identity vouches for the session's key: whose the checkpoints are.
    Certificate {
        /// The session's key.
        session: PublicKey,
        /// The identity's.
        identity: PublicKey,
        /// Its signature.
        signature: Signature,
        /// When.
        unix_ms: u64,
    },
    /// A frame of a log track: it has the entries below `end` that no frame before it has.
    Entries {
        /// Track.
        track: TrackId,
        /// Number.
        number: u64,
        /// When.
        unix_ms: u64,
        /// Number of the first entry that it does not have.
        end: u64,
    },
    /// Nothing more comes of a track, and nobody reads it from here any more.
    Forgotten {
        /// The track.
        track: TrackId,
    },
    /// The session's signature of a track as of a frame. The frames between two that the log has are empty.
    Checkpoint {
        /// Track.
        track: TrackId,
        /// What was signed, and by it when.
        checkpoint: Box<SignedCheckpoint>,
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

/// Who is sent the same: one or several connections, each on a stream of its own.
#[derive(Clone)]
pub struct Receivers(Several);

/// A few need no memory of their own.
#[derive(Clone)]
enum Several {
    Few([(ConnId, Stream); FEW], usize),
    Many(Arc<[(ConnId, Stream)]>),
}

/// With so many an output is no larger than it is anyway.
const FEW: usize = 4;

impl Receivers {
    /// All of these; `None` if there are none. Where they are many, and those that `last` names, it is shared.
    pub(in crate::host) fn of(
        all: &[(ConnId, Stream)],
        last: &mut Arc<[(ConnId, Stream)]>,
    ) -> Option<Receivers> {
        let first = all.first()?;
        if all.len() <= FEW {
            let mut few = [*first; FEW];
            few[..all.len()].copy_from_slice(all);
            return Some(Receivers(Several::Few(few, all.len())));
        }
        if **last != *all {
            *last = Arc::from(all);
        }
        Some(Receivers(Several::Many(last.clone())))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = (ConnId, Stream)> + '_ {
        let all = match &self.0 {
            Several::Few(few, count) => &few[..*count],
            Several::Many(many) => many,
        };
        all.iter().copied()
    }
}

impl From<(ConnId, Stream)> for Receivers {
    fn from(one: (ConnId, Stream)) -> Receivers {
        Receivers(Several::Few([one; FEW], 1))
    }
}

impl fmt::Debug for Receivers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// What a host wants done. In order.
#[derive(Debug)]
pub enum HostOutput {
    /// Have the person's key sign this, that the session is theirs, and say [`HostInput::Signed`] or
    /// [`HostInput::NotSigned`]. Hellos wait for it, six seconds at most.
    Sign {
        /// Goes into the answer.
        request: u64,
        /// What to sign.
        input: SigningInput,
    },
    /// Send these bytes to each of these; the first ones on a track stream open it.
    Send {
        /// To whom.
        to: Receivers,
        /// The bytes.
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
    /// Start an agent, whose entries become this track's. If it can't be started, the log says so.
    StartAgent {
        /// The track.
        track: TrackId,
        /// What to run.
        start: AgentStart,
    },
    /// Do this with a conversation's agent.
    Order {
        /// The track.
        track: TrackId,
        /// What.
        order: Order,
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
    /// The driver is to carry this out, which was allowed and is written down: a command about the link service,
    /// of which the session knows nothing.
    Allowed(Command),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_are_those_that_were_named() {
        let all: Vec<(ConnId, Stream)> = (0..9)
            .map(|number| (ConnId(number), Stream::Track { id: 7 }))
            .collect();
        let mut last = Arc::from([]);
        assert!(Receivers::of(&[], &mut last).is_none());
        for count in 1..=all.len() {
            let to = Receivers::of(&all[..count], &mut last).unwrap();
            assert_eq!(to.iter().collect::<Vec<_>>(), all[..count]);
        }
        let kept = last.clone();
        Receivers::of(&all, &mut last).unwrap();
        assert!(Arc::ptr_eq(&kept, &last), "the same once more");
        let one = Receivers::from(all[3]);
        assert_eq!(one.iter().collect::<Vec<_>>(), [all[3]]);
    }
}
