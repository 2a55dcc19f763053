//! Commands: the vocabulary, how they are carried out, what needs a yes, and what the log says of it.

pub(in crate::host) mod audit;
pub(in crate::host) mod confirm;
pub(in crate::host) mod execute;
pub(in crate::host) mod gate;
pub(in crate::host) mod question;
pub(in crate::host) mod remote_commands;
pub mod verbs;

use self::{audit::Attribution, confirm::Confirms};

/// Commands that wait for a yes, and what the log says of commands and of typing.
pub(in crate::host) struct Commands {
    confirms: Confirms,
    attribution: Attribution,
}

impl Commands {
    pub(in crate::host) fn new(remote_input: bool, now_us: u64) -> Commands {
        Commands {
            confirms: Confirms::new(remote_input),
            attribution: Attribution::new(now_us),
        }
    }

    /// Input of somebody else reaches the program.
    pub(in crate::host) fn note_remote_input(&mut self) {
        self.confirms.note_remote_input();
    }
}
