//! Who comes in: what a hello is checked for, what the door answers, and who waits in front of it.

pub(in crate::host) mod admission;
pub(in crate::host) mod certificate;
pub(in crate::host) mod codes;
pub(in crate::host) mod comings;
pub(in crate::host) mod early_data;
pub(in crate::host) mod hello;
pub(in crate::host) mod key_lists;
pub(in crate::host) mod knocks;
pub(in crate::host) mod membership_revocation;
pub(in crate::host) mod places;
pub(in crate::host) mod visits;
