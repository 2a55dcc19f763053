//! What somebody may do in a session: a set of rights, of which three have names of their own.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// One right. On the wire it is a bit of [`Rights`]; a bit is never given another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Right {
    /// See the session.
    View = 0,
    /// Send input to a terminal. In a shell that equals the host's account.
    Type = 1,
    /// Say who may do what, and who comes in.
    Manage = 2,
    /// Pass on a grant that is no wider.
    Delegate = 3,
    /// Send prompts to an agent.
    Prompt = 4,
    /// Answer what an agent asks for permission to do.
    Approve = 5,
    /// Open terminals and conversations, and end them.
    Open = 6,
    /// Take a conversation and its code home.
    Fork = 7,
    /// Record what is shown.
    Record = 8,
    /// Read and write files at the host.
    Files = 9,
    /// Reach ports at the host.
    Forward = 10,
}

impl Right {
    /// Every right there is, in the order in which they are said.
    pub const ALL: [Right; 11] = [
        Right::View,
        Right::Type,
        Right::Prompt,
        Right::Approve,
        Right::Open,
        Right::Fork,
        Right::Record,
        Right::Files,
        Right::Forward,
        Right::Manage,
        Right::Delegate,
    ];

    /// The word, as flags and the log have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Right::View => "view",
            Right::Type => "type",
            Right::Manage => "manage",
            Right::Delegate => "delegate",
            Right::Prompt => "prompt",
            Right::Approve => "approve",
            Right::Open => "open",
            Right::Fork => "fork",
            Right::Record => "record",
            Right::Files => "files",
            Right::Forward => "forward",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// A set of rights, view among them.
///
/// On the wire 16 bits. A bit that this version does not know stays in the set, so that a grant of a newer
/// version keeps its signature and its meaning when it is passed on; nothing here is allowed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rights(u16);

impl Rights {
    /// See the session.
    pub const VIEW: Self = Self(Right::View.bit());
    /// Work in it: type, and prompt an agent.
    pub const EDIT: Self = Self::VIEW.with(Right::Type).with(Right::Prompt);
    /// Everything but to pass it on.
    pub const MANAGE: Self = Self::EDIT
        .with(Right::Approve)
        .with(Right::Open)
        .with(Right::Fork)
        .with(Right::Record)
        .with(Right::Files)
        .with(Right::Forward)
        .with(Right::Manage);

    /// The sets that have a name of their own, the widest first.
    const PRESETS: [(Self, &str); 3] = [
        (Self::MANAGE, "manage"),
        (Self::EDIT, "edit"),
        (Self::VIEW, "view"),
    ];

    /// The set of these bits, and view.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits | Right::View.bit())
    }

    /// The bits as they came: `None` without view, so that a set has one encoding.
    pub(crate) const fn from_wire(bits: u16) -> Option<Self> {
        match bits & Right::View.bit() {
            0 => None,
            _ => Some(Self(bits)),
        }
    }

    /// The bits of the wire format.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The set with one right more.
    #[must_use]
    pub const fn with(self, right: Right) -> Self {
        Self(self.0 | right.bit())
    }

    /// The set with one right less. View is in every set.
    #[must_use]
    pub const fn without(self, right: Right) -> Self {
        Self::from_bits(self.0 & !right.bit())
    }

    /// The rights of both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The rights that are in both sets.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether the right is in the set.
    pub const fn has(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }

    /// Whether every right of `other` is here.
    pub const fn allows(self, other: Self) -> bool {
        other.narrower_or_equal(self)
    }

    /// Whether `wider` has every right of this set.
    pub const fn narrower_or_equal(self, wider: Self) -> bool {
        self.0 & !wider.0 == 0
    }

    /// Whether there is anything in it but view.
    pub const fn exceeds_view(self) -> bool {
        self.0 != Self::VIEW.0
    }

    /// The rights in it that this version knows, in the order in which they are said.
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.has(*right))
    }
}

/// `view`, `edit` or `manage`, else the rights by name: `view, approve`. With `delegate` behind it.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Right::ALL
            .into_iter()
            .fold(0, |bits, right| bits | right.bit());
        let set = Self(self.0 & known).without(Right::Delegate);
        match Self::PRESETS.iter().find(|(preset, _)| *preset == set) {
            Some((_, name)) => f.write_str(name)?,
            None => {
                for (at, right) in set.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{}", right.as_str())?;
                }
            }
        }
        match self.has(Right::Delegate) {
            true => f.write_str(", delegate"),
            false => Ok(()),
        }
    }
}

/// A preset, or rights with commas between them; view is always meant too. `manage` alone, or with no
/// other than `delegate`, is the preset, and among others the one right.
impl FromStr for Rights {
    type Err = UnknownRight;

    fn from_str(text: &str) -> Result<Self, UnknownRight> {
        let words: Vec<&str> = text.split(',').map(str::trim).collect();
        let delegate = Right::Delegate.as_str();
        let named: Vec<&str> = words.iter().copied().filter(|w| *w != delegate).collect();
        let preset = match named[..] {
            [word] => Self::PRESETS.iter().find(|(_, name)| *name == word),
            _ => None,
        };
        if let Some((preset, _)) = preset {
            return Ok(match words.len() {
                1 => *preset,
                _ => preset.with(Right::Delegate),
            });
        }
        words.into_iter().try_fold(Self::VIEW, |set, word| {
            let right = Right::ALL.into_iter().find(|right| right.as_str() == word);
            match right {
                Some(right) => Ok(set.with(right)),
                None => Err(UnknownRight(word.chars().take(40).collect())),
            }
        })
    }
}

/// A word that names no right.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no right: say view, edit or manage, or some of type, prompt, approve, open, fork, record, \
     files, forward, manage and delegate with commas between them"
)]
pub struct UnknownRight(String);

/// Text where people may read it, bits on the wire.
impl Serialize for Rights {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match to.is_human_readable() {
            true => to.collect_str(self),
            false => to.serialize_u16(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Rights {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match from.is_human_readable() {
            true => String::deserialize(from)?
                .parse()
                .map_err(de::Error::custom),
            false => Self::from_wire(u16::deserialize(from)?)
                .ok_or_else(|| de::Error::custom("rights without the right to view")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_keeps_its_bit() {
        let bits = Right::ALL.map(|right| (right.as_str(), Rights::VIEW.with(right).bits()));
        let golden = [
            ("view", 0x0001),
            ("type", 0x0003),
            ("prompt", 0x0011),
            ("approve", 0x0021),
            ("open", 0x0041),
            ("fork", 0x0081),
            ("record", 0x0101),
            ("files", 0x0201),
            ("forward", 0x0401),
            ("manage", 0x0005),
            ("delegate", 0x0009),
        ];
        assert_eq!(bits, golden);
        assert_eq!(
            [Rights::VIEW, Rights::EDIT, Rights::MANAGE].map(Rights::bits),
            [0x0001, 0x0013, 0x07f7]
        );
    }

    #[test]
    fn presets_hold_the_lesser_ones_and_nothing_passes_on_by_itself() {
        assert!(Rights::MANAGE.allows(Rights::EDIT));
        assert!(Rights::EDIT.allows(Rights::VIEW));
        assert!(!Rights::EDIT.has(Right::Manage) && !Rights::EDIT.has(Right::Approve));
        assert!(!Rights::MANAGE.has(Right::Delegate));
        assert!(!Rights::VIEW.exceeds_view() && Rights::EDIT.exceeds_view());
    }

    #[test]
    fn every_set_comes_back_from_its_text() {
        for bits in 0..=0x07ff {
            let set = Rights::from_bits(bits);
            assert_eq!(set.to_string().parse(), Ok(set), "{set}");
        }
        let text = |text: &str| text.parse::<Rights>().unwrap().to_string();
        assert_eq!(text("edit"), "edit");
        assert_eq!(text("type, prompt"), "edit");
        assert_eq!(text("approve"), "view, approve");
        assert_eq!(text("manage,delegate"), "manage, delegate");
        assert_eq!(text("manage,type"), "view, type, manage");
        let error = "type,shout".parse::<Rights>().unwrap_err().to_string();
        assert!(error.starts_with("\"shout\" is no right"), "{error}");
    }

    #[test]
    fn a_right_of_a_newer_version_stays_and_allows_nothing_known() {
        let newer = Rights::from_bits(0x8001);
        assert_eq!(newer.to_string(), "view");
        assert_eq!(newer.iter().collect::<Vec<_>>(), [Right::View]);
        assert!(newer.exceeds_view() && !Rights::MANAGE.allows(newer));
        assert_eq!(newer.and(Rights::EDIT).bits(), 0x8013);
    }
}
