//! The sessions of this machine: which one is meant, how to ask one that runs, and what they leave on disk.

pub mod audit;
pub mod changes;
pub mod control;
pub mod conversation;
pub mod export;
pub mod farewell;
pub mod fork;
pub mod recording;
pub mod retention;
pub mod select;
pub mod verify;
