//! The configuration file, the folders everything is kept in, and how times are written.

pub mod agents;
pub mod config;
pub mod paths;
pub mod span;
