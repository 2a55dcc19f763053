//! Who is here, whom a text means, what each may do, and what they are told of it.

pub(in crate::host) mod records;
pub(in crate::host) mod resolve;
pub(in crate::host) mod rights;
pub(in crate::host) mod roster;
pub(in crate::host) mod standing;
