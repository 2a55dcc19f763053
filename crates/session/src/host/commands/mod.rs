//! Commands: the vocabulary, how they are carried out, what needs a yes, and what the log says of it.

pub(in crate::host) mod audit;
pub(in crate::host) mod confirm;
pub(in crate::host) mod execute;
pub(in crate::host) mod question;
pub(in crate::host) mod remote_commands;
pub(in crate::host) mod sharing;
pub mod verbs;
