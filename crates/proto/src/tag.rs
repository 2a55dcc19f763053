//! Every message number of the protocol. A number is never reused; what a version added is written
//! beside it. Unknown numbers are skipped by the one who reads them, so that adding one needs no new
//! version.

/// Control stream, viewer → host.
pub mod viewer {
    /// [`Hello`](crate::Hello), version 1.
    pub const HELLO: u8 = 1;
    /// [`Ack`](crate::Ack), version 1.
    pub const ACK: u8 = 2;
    /// Ask for the edit right, version 1.
    pub const REQUEST_EDIT: u8 = 3;
    /// [`GrantProof`](crate::GrantProof), version 1.
    pub const REDEEM: u8 = 4;
    /// [`Ping`](crate::Ping), version 1.
    pub const PING: u8 = 5;
    /// The viewer leaves on purpose, version 1.
    pub const LEAVE: u8 = 6;
    /// Ask for a snapshot of a track (after damage), version 1.
    pub const NEED_SNAPSHOT: u8 = 7;
    /// [`Resume`](crate::Resume), before the hello and in early data only, version 1.
    pub const RESUME: u8 = 8;
    /// [`CommandRequest`](crate::CommandRequest), version 1.
    pub const COMMAND: u8 = 9;
    /// [`Subscribe`](crate::Subscribe), version 1.
    pub const SUBSCRIBE: u8 = 10;
}

/// Control stream, host → viewer.
pub mod host {
    /// [`Welcome`](crate::Welcome), version 1.
    pub const WELCOME: u8 = 64;
    /// [`Refused`](crate::Refused), version 1.
    pub const REFUSED: u8 = 65;
    /// [`RosterChange`](crate::RosterChange), version 1.
    pub const ROSTER: u8 = 66;
    /// [`RightChanged`](crate::RightChanged), version 1.
    pub const RIGHT: u8 = 67;
    /// [`RequestAnswer`](crate::RequestAnswer), version 1.
    pub const REQUEST_ANSWER: u8 = 68;
    /// [`Accepted`](crate::Accepted), version 1.
    pub const ACCEPTED: u8 = 69;
    /// Answer to a ping, version 1.
    pub const PONG: u8 = 70;
    /// [`Ended`](crate::Ended), version 1.
    pub const ENDED: u8 = 71;
    /// [`Dropped`](crate::Dropped), version 1.
    pub const DROPPED: u8 = 72;
    /// [`TracksChange`](crate::TracksChange), version 1.
    pub const TRACKS: u8 = 73;
    /// [`GrantPush`](crate::GrantPush), version 1.
    pub const GRANT: u8 = 74;
    /// [`Notice`](crate::Notice), version 1.
    pub const NOTICE: u8 = 75;
    /// [`Waiting`](crate::Waiting), before the welcome, version 1.
    pub const WAITING: u8 = 76;
    /// [`CommandAnswer`](crate::CommandAnswer), version 1.
    pub const COMMAND_ANSWER: u8 = 77;
    /// [`Knocks`](crate::Knocks), to those who manage, version 1.
    pub const KNOCKS: u8 = 78;
    /// [`HostShows`](crate::HostShows), version 1.
    pub const SHOWS: u8 = 79;
    /// [`Activity`](crate::Activity), version 1.
    pub const ACTIVITY: u8 = 80;
}

/// Input stream, viewer → host.
pub mod input {
    /// [`IntentMsg`](crate::IntentMsg), version 1.
    pub const INTENT: u8 = 128;
    /// [`InputStream`](crate::InputStream), the first message of the stream, version 1.
    pub const OPEN: u8 = 129;
}

/// Track stream, host → viewer.
pub mod track {
    /// Names the track and epoch; the first message of the stream, version 1.
    pub const OPEN: u8 = 160;
    /// [`SnapshotMsg`](crate::SnapshotMsg), version 1.
    pub const SNAPSHOT: u8 = 161;
    /// [`FrameMsg`](crate::FrameMsg), version 1.
    pub const FRAME: u8 = 162;
    /// [`SignedCheckpoint`](pillion_caps::SignedCheckpoint), version 1.
    pub const CHECKPOINT: u8 = 163;
}

/// History stream.
pub mod history {
    /// [`HistoryRequest`](crate::HistoryRequest), version 1.
    pub const REQUEST: u8 = 192;
    /// [`HistoryReply`](crate::HistoryReply), version 1.
    pub const REPLY: u8 = 193;
}
