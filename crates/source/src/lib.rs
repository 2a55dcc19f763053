//! What a session shares: a program in a pseudo-terminal, beside the terminal of the host.
//!
//! ```text
//! keys of the host ─▶ Keys ─▶ (the session) ─▶ Pty::write ─▶ program
//! terminal of the host ◀─ TtyWriter ◀─ reader thread ◀─ program
//!                                           └─▶ Source::next ─▶ (the session)
//! ```
//!
//! One thread per program reads its pseudo-terminal. What it reads goes to the host's own terminal
//! first, unparsed, and then to [`Source::next`] through a queue bounded in bytes. A slow terminal or
//! a slow session makes the program wait, as any terminal does; nothing grows.
//!
//! Nothing here decides who may type: anybody who holds the [`Pty`] may.

mod attached;
mod child;
mod gate;
mod input;
mod keys;
mod orphans;
mod outlet;
mod piped;
mod program;
mod pty;
mod queue;
mod reader;
mod ready;
mod signals;
mod size;
mod stdout;
mod tty;
mod wake;

pub use attached::AttachedTty;
pub use child::ExitStatus;
pub use gate::{HELD_LIMIT, Hold, HoldMode, TtyWriter};
pub use input::{Accepted, INPUT_LIMIT, InputError};
pub use keys::Keys;
pub use orphans::{WaitedFor, adopt_orphans, start_waited_for};
pub use piped::Piped;
pub use program::{Program, SpawnError};
pub use pty::{LineMode, Pty};
pub use queue::{OUTSTANDING_LIMIT, Source, SourceEvent};
pub use signals::{ExitSignal, ExitSignals};
pub use size::{Size, SizeError};
pub use stdout::StdoutGone;
pub use tty::{
    HostTty, RESTORE_SCREEN_MODES, TtyChange, TtyError, isolate_panics, restore_host_terminal,
};
