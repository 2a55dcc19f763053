//! Pillion as a library: everything the `pillion` command is wired from.
//!
//! The parts are crates of their own (see `ARCHITECTURE.md`); here they are put together: a
//! [`hosting`] loop that runs a program and shares it, a [`viewing`] loop that joins a session, and what
//! both need of the machine they run on.

pub mod clock;
pub mod hosting;
pub mod identity;
pub mod sessions;
pub mod settings;
pub mod terminal;
pub mod viewing;

pub use pillion_announce as announce;
pub use pillion_bundle as bundle;
pub use pillion_caps as caps;
pub use pillion_code as code;
pub use pillion_conversation as conversation;
pub use pillion_net as net;
pub use pillion_people as people;
pub use pillion_proto as proto;
pub use pillion_prove as prove;
pub use pillion_screen as screen;
pub use pillion_session as session;
pub use pillion_source as source;
pub use pillion_store as store;
pub use pillion_tui as tui;
