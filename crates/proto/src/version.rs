//! Versions and how two peers agree on one.
//!
//! The ALPN names the protocol family only: a version mismatch there would surface as an opaque TLS
//! alert. The version itself is agreed in the first flight, so that a person reads which side to
//! upgrade.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The application protocol name in the TLS handshake.
pub const ALPN: &[u8] = b"pillion";

/// A protocol version. What each changed:
///
/// * 1 — the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version(pub u16);

impl Version {
    /// The newest version this build speaks.
    pub const NEWEST: Version = Version(1);
    /// The oldest version this build still speaks.
    pub const OLDEST: Version = Version(1);
}

/// The versions a peer speaks, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRange {
    /// The oldest.
    pub oldest: Version,
    /// The newest.
    pub newest: Version,
}

impl VersionRange {
    /// What this build speaks.
    pub const OURS: VersionRange = VersionRange {
        oldest: Version::OLDEST,
        newest: Version::NEWEST,
    };

    /// The newest version both speak. `self` is the host's range, `viewer` the joiner's.
    ///
    /// # Errors
    /// Which side is too old, in words for the person who joins.
    pub fn agree(self, viewer: VersionRange) -> Result<Version, VersionMismatch> {
        let newest = self.newest.min(viewer.newest);
        if newest >= self.oldest && newest >= viewer.oldest && viewer.oldest <= viewer.newest {
            Ok(newest)
        } else if viewer.newest < self.oldest {
            Err(VersionMismatch::ViewerTooOld {
                viewer: viewer.newest.0,
                host: self.oldest.0,
            })
        } else {
            Err(VersionMismatch::HostTooOld {
                viewer: viewer.oldest.0,
                host: self.newest.0,
            })
        }
    }
}

/// Two peers without a version in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionMismatch {
    /// The joiner is behind.
    #[error(
        "this host needs protocol {host} and you speak {viewer}: please upgrade pillion on your side (the viewer's)"
    )]
    ViewerTooOld {
        /// The joiner's newest.
        viewer: u16,
        /// The host's oldest.
        host: u16,
    },
    /// The host is behind.
    #[error(
        "you need protocol {viewer} and this host speaks {host}: please upgrade pillion on the host's side"
    )]
    HostTooOld {
        /// The joiner's oldest.
        viewer: u16,
        /// The host's newest.
        host: u16,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(oldest: u16, newest: u16) -> VersionRange {
        VersionRange {
            oldest: Version(oldest),
            newest: Version(newest),
        }
    }

    #[test]
    fn the_newest_common_version_is_agreed() {
        assert_eq!(range(1, 3).agree(range(2, 5)), Ok(Version(3)));
        assert_eq!(range(1, 3).agree(range(1, 1)), Ok(Version(1)));
    }

    #[test]
    fn the_side_behind_is_named() {
        let text = range(3, 4).agree(range(1, 2)).unwrap_err().to_string();
        assert!(text.contains("upgrade pillion on your side"), "{text}");
        let text = range(1, 2).agree(range(3, 4)).unwrap_err().to_string();
        assert!(
            text.contains("upgrade pillion on the host's side"),
            "{text}"
        );
    }

    #[test]
    fn an_inverted_range_agrees_with_nothing() {
        assert!(range(1, 3).agree(range(3, 1)).is_err());
    }
}
