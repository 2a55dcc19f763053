//! Pillion as a library: everything the `pillion` command is wired from.
//!
//! The parts are crates of their own (see `ARCHITECTURE.md`); here they are put together: a
//! [`hosting`] loop that runs a program and shares it, a [`viewing`] loop that rides along, and what
//! both need of the machine they run on.

pub mod audit;
pub mod book;
pub mod clock;
pub mod config;
pub mod console;
pub mod control;
pub mod devices;
pub mod export;
pub mod hosting;
pub mod keep;
pub mod paths;
mod printer;
pub mod proving;
pub mod qr;
pub mod recording;
pub mod renewing;
mod seeker;
pub mod select;
pub mod span;
pub mod teams;
pub mod viewing;

pub use pillion_caps as caps;
pub use pillion_code as code;
pub use pillion_net as net;
pub use pillion_people as people;
pub use pillion_proto as proto;
pub use pillion_prove as prove;
pub use pillion_screen as screen;
pub use pillion_session as session;
pub use pillion_source as source;
pub use pillion_store as store;
pub use pillion_tui as tui;
