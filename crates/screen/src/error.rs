//! Why bytes from a host could not be turned into a screen or into history.

use thiserror::Error;

/// What was wrong with bytes that should have described a screen or history. Always the fault of
/// who made the bytes (or of what carried them), never of who decodes; after a frame failed, ask
/// for a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A frame came before any snapshot, or after an error that only a snapshot mends.
    #[error("a frame came where only a snapshot can be understood; ask the host for a snapshot")]
    NeedSnapshot,
    /// The frame after a snapshot did not reset the compression context.
    #[error(
        "the frame continues a compression context this viewer does not have; ask for a snapshot"
    )]
    NeedReset,
    /// A snapshot that does not start from a blank screen, or a blank screen in mid-frame.
    #[error("a snapshot must start from a blank screen, and nothing else may")]
    Misplaced,
    /// The compressed data is damaged or not of the kind we make.
    #[error("the compressed data is damaged: {0}")]
    Compression(&'static str),
    /// More came out of the decompressor than any real screen needs.
    #[error("the data is larger than {limit} bytes, more than any screen needs")]
    TooLarge {
        /// The limit that was passed, in bytes.
        limit: usize,
    },
    /// A frame that would keep its viewer busy without describing anything.
    #[error("the frame writes its screen over and over")]
    TooMuchWork,
    /// A screen whose links and marks need more memory than a viewer should spend.
    #[error("the screen's styles, links and marks need more than {limit} bytes")]
    TooRich {
        /// The limit that was passed, in bytes.
        limit: usize,
    },
    /// The bytes end in the middle of something.
    #[error("the data ends in the middle of {0}")]
    Truncated(&'static str),
    /// Bytes follow where the data should have ended.
    #[error("{0} bytes follow the end of the data")]
    Trailing(usize),
    /// An operation this version does not know.
    #[error("operation {0:#04x} is unknown; the host may be newer: please upgrade pillion here")]
    UnknownOp(u8),
    /// A value outside its range.
    #[error("{0} is out of range")]
    Invalid(&'static str),
}
