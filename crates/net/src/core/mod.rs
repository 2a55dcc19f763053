//! What a connection is made of: streams that say what they are for, what waits to be sent, what is
//! waited for, how it travels.

pub mod code;
pub(crate) mod connection;
pub(crate) mod outgoing;
pub(crate) mod path;
pub(crate) mod pending;
