//! Draws a session in a terminal and turns keys into intents.
//!
//! Nothing here does IO or reads a clock: bytes of the terminal and the time come in, bytes for the
//! terminal and actions for the session come out. The terminal itself (raw mode, size, signals) is
//! `pillion-source`'s `HostTty`, for hosts and viewers alike.
//!
//! ```text
//! terminal ─bytes─▶ ViewerUi::handle ─Action─▶ session        &View ─▶ ViewerUi::draw ─bytes─▶ terminal
//! terminal ─bytes─▶ HostUi::keys ─HostAction─▶ program, session
//!                                   &Screen ─▶ HostUi::paint ─bytes─▶ terminal (notice, panel)
//! ```

mod canvas;
pub mod charset;
pub mod clipboard;
pub mod conversation;
pub mod depth;
pub mod follow;
#[cfg(feature = "host")]
pub mod host;
pub mod keys;
mod notify;
mod pen;
pub mod prefix;
mod settled;
mod text;
pub mod viewer;
pub mod words;

pub use charset::Charset;
pub use clipboard::{Multiplexer, clipboard};
pub use conversation::{ConversationAction, ConversationContext, ConversationUi, ConversationView};
pub use depth::{Depth, DumbTerminal};
pub use follow::Follow;
#[cfg(feature = "host")]
pub use host::{HostAction, HostUi, QrRows, Sharing, TerminalRow, Want, Which};
pub use notify::Notify;
pub use prefix::{BadPrefix, Prefix};
pub use viewer::{Action, UiInput, ViewerUi, ViewerUiConfig};
