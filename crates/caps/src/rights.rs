//! What a grant lets its holder do.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::refusal::Malformed;

/// A set of rights. It always holds view; manage implies edit; so no set of them is contradictory.
///
/// On the wire one byte: bit 0 view, 1 edit, 2 manage, 3 delegate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Rights(u8);

impl Rights {
    /// See the session.
    pub const VIEW: Self = Self(0b0001);
    /// View, and send input. In a shell that equals the host's account.
    pub const EDIT: Self = Self(0b0011);
    /// Edit, and change other participants' rights.
    pub const MANAGE: Self = Self(0b0111);
    /// View, and pass on a narrower grant.
    pub const DELEGATE: Self = Self(0b1001);

    const NAMES: [(Self, &str); 4] = [
        (Self::MANAGE, "manage"),
        (Self::EDIT, "edit"),
        (Self::VIEW, "view"),
        (Self::DELEGATE, "delegate"),
    ];

    /// Reads the byte of the wire format. Unknown bits, and rights without those they imply, are
    /// refused.
    pub fn from_bits(bits: u8) -> Result<Self, Malformed> {
        let known = Self::NAMES
            .iter()
            .filter(|(right, _)| bits & right.0 == right.0)
            .fold(0, |known, (right, _)| known | right.0);
        match bits {
            0 => Err(Malformed::Rights(bits)),
            _ if known != bits => Err(Malformed::Rights(bits)),
            _ => Ok(Self(bits)),
        }
    }

    /// The byte of the wire format.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The rights of both sets together.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every right of `other` is here.
    pub const fn allows(self, other: Self) -> bool {
        other.narrower_or_equal(self)
    }

    /// Whether `wider` has every right of this set.
    pub const fn narrower_or_equal(self, wider: Self) -> bool {
        self.0 & !wider.0 == 0
    }
}

impl TryFrom<u8> for Rights {
    type Error = Malformed;

    fn try_from(bits: u8) -> Result<Self, Malformed> {
        Self::from_bits(bits)
    }
}

impl From<Rights> for u8 {
    fn from(rights: Rights) -> u8 {
        rights.0
    }
}

/// `view`, `edit` or `manage` (the widest stands for those it implies), and `, delegate`.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = Self::NAMES.iter().find(|(right, _)| self.allows(*right));
        f.write_str(widest.map_or("none", |(_, name)| name))?;
        if self.allows(Self::DELEGATE) {
            f.write_str(", delegate")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_six_of_all_bytes_are_rights() {
        let valid: Vec<u8> = (0..=u8::MAX)
            .filter(|bits| Rights::from_bits(*bits).is_ok())
            .collect();
        assert_eq!(valid, [1, 3, 7, 9, 11, 15]);
    }

    #[test]
    fn rights_imply_the_lesser_ones() {
        assert!(Rights::MANAGE.allows(Rights::EDIT));
        assert!(Rights::EDIT.allows(Rights::VIEW));
        assert!(!Rights::EDIT.allows(Rights::MANAGE));
        assert!(!Rights::MANAGE.allows(Rights::DELEGATE));
        assert!(!Rights::DELEGATE.allows(Rights::EDIT));
    }

    #[test]
    fn every_pair_of_valid_sets_unites_to_a_valid_set() {
        let sets = [1, 3, 7, 9, 11, 15].map(|bits| Rights::from_bits(bits).unwrap());
        for left in sets {
            for right in sets {
                let both = left.and(right);
                assert_eq!(Rights::from_bits(both.bits()), Ok(both));
                assert!(both.allows(left) && right.narrower_or_equal(both));
            }
        }
    }

    #[test]
    fn rights_are_named_by_the_widest() {
        let named = [1, 3, 7, 9, 11, 15].map(|bits| Rights::from_bits(bits).unwrap().to_string());
        let expected = [
            "view",
            "edit",
            "manage",
            "view, delegate",
            "edit, delegate",
            "manage, delegate",
        ];
        assert_eq!(named, expected);
    }
}
