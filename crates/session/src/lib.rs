//! A session without IO: the host and the viewer as state machines.
//!
//! Both have one shape. Something happened: `handle(now, input)`. Then drain `poll()` until it is
//! `None` and do what each output says, in order. `wake_at()` tells when to call `handle` with a
//! `Tick` if nothing else happens first. Neither reads a clock, opens a socket, touches a file or
//! draws a random number: time and randomness come in. What a host has to know to be durable before it
//! goes on, it hands to its [`Records`].
//!
//! Anybody who drives them owns the streams. Bytes that arrive are passed in as they came
//! ([`Stream`] says from which stream) and cut into messages here, so that every bound is checked in
//! one place; bytes to be sent come out ready.

#[cfg(feature = "host")]
pub mod audit;
#[cfg(feature = "host")]
pub mod host;
/// Without the host half, the vocabulary of commands alone.
#[cfg(not(feature = "host"))]
mod host {
    pub mod commands {
        pub mod verbs;
    }
}
pub mod types;
pub mod viewer;

#[cfg(all(test, feature = "host"))]
mod tests;

#[cfg(feature = "host")]
pub use pillion_share::Network;

pub use host::commands::verbs::{
    self, Choice, Command, CommandError, Done, EndedLinks, ParticipantStatus, PersonLabel, Proved,
    Reply, SessionStatus, Shortfall, SubjectLabel, Target, TerminalStatus,
};
#[cfg(feature = "host")]
pub use host::{
    Actor, Change, ConversationNews, Forgetful, HistoryJob, Host, HostConfig, HostInput,
    HostNotice, HostOutput, LogEntry, NotVouched, PackedHistory, Receivers, Records,
    SubscribedKeyList, TtyNews,
};
pub use types::{ConnId, Now, Stream};
pub use viewer::{
    Connected, Ending, HistoryLines, Interruption, NotAsked, NotOpened, NotSaid, NotTyped, Phase,
    View, Viewer, ViewerConfig, ViewerEvent, ViewerInput, ViewerNotice, ViewerOutput,
};
