//! Joining a session: the viewer's loop, and what it looks up when it connects again.

pub mod claim_renewal;
pub mod conversation;
pub mod editor;
mod host_lookup;
pub mod viewer_loop;
