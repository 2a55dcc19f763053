//! Who the user is and whom they know: proofs, contacts, teams and their own devices.

pub mod contacts;
pub mod devices;
pub mod proving;
pub mod teams;
