//! Agents that speak the Agent Client Protocol, as programs that a session runs.
//!
//! An agent is a program that reads and writes messages, one a line, on its standard input and output. What is
//! said to it and what becomes of its messages is decided in `pillion-conversation`, which has no IO; here is the
//! process ([`AgentProcess`]), and the two together with the masking stage and a clock ([`RunningAgent`]).
//!
//! The transport is a bounded reader and a queue, with no task and no channel between the pipe and the session's
//! loop: what the session does not take in stays in the pipe, and stops the agent instead of filling memory.

mod changes;
mod git;
mod lines;
mod process;
mod running;

pub use changes::ChangesBase;
pub use lines::{Line, LineBuffer};
pub use process::{AgentCommand, AgentProcess, NotStarted, ProcessEvent, Unread};
pub use running::{AgentEvent, RunningAgent};
