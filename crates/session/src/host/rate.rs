//! How often something may happen.

pub(in crate::host) use pillion_share::Bucket;
