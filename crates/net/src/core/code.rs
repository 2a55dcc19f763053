//! Close codes of the driver's own; those of the session are [`pillion_proto::RefusedCode`]s, below 256.

/// The peer does not read what it is sent.
pub const TOO_SLOW: u32 = 0x100;
/// The peer does not keep to the protocol.
pub const PROTOCOL: u32 = 0x101;
/// A stream was replaced or given up.
pub const REPLACED: u32 = 0x102;
/// The process ends.
pub const ENDED: u32 = 0x103;
/// Others come, and the peer has not said who it is.
pub const STRANGER: u32 = 0x104;
