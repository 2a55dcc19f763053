//! Terminal state and the screen codec.
//!
//! A host feeds a program's bytes to a [`Terminal`](emulator), an encoder turns what changed into
//! frames, and a decoder on the viewer's side turns frames back into the same [`Screen`].

mod apply;
mod body;
mod budget;
#[cfg(feature = "emulator")]
mod canon;
mod canonical;
pub mod cell;
pub mod clean;
mod compression;
pub mod damage;
pub mod decode;
mod diff;
pub mod emit;
#[cfg(feature = "emulator")]
pub mod emulator;
#[cfg(feature = "emulator")]
pub mod encode;
pub mod error;
pub mod history;
pub mod packed;
pub mod place;
pub mod screen;
mod shape;
pub mod transfer;
pub mod width;
mod wire;
#[cfg(feature = "emulator")]
mod write;

pub use cell::{Attrs, Cell, Color, Extra, Row, Style, Width, Wrap};
pub use compression::{MAX_BODY, MAX_WIRE};
pub use damage::{Damage, RowSet, Scroll};
pub use decode::Decoder;
#[cfg(feature = "emulator")]
pub use emulator::Terminal;
#[cfg(feature = "emulator")]
pub use encode::{EncodedFrame, Encoder};
pub use error::DecodeError;
pub use history::{HistoryChunk, Line, Run, decode_lines};
pub use screen::{BadSize, Cursor, CursorShape, LineId, LineSpan, Modes, Screen, Size};
