//! Pillion as a library: everything the `pillion` command is wired from.
//!
//! The parts are crates of their own (see `ARCHITECTURE.md`); here they are put together: a
//! [`hosting`] loop that runs a program and shares it, a [`viewer_loop`] loop that rides along, and what
//! both need of the machine they run on.

pub mod audit;
pub mod claim_renewal;
pub mod clock;
pub mod config;
pub mod console;
pub mod contacts;
pub mod control;
pub mod devices;
pub mod export;
mod host_lookup;
pub mod hosting;
pub mod paths;
mod printer;
pub mod proving;
pub mod qr;
pub mod recording;
pub mod retention;
pub mod select;
pub mod span;
pub mod teams;
pub mod viewer_loop;

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
