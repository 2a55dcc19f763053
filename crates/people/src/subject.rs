//! Whom a text means, by its form alone.
//!
//! There is one order, and it looks at nothing but the text, so nobody who is here can change what a text means by
//! what they call themselves:
//!
//! ```text
//! 3                                        a participant's number
//! 7f3a, 7f3a-91c2-…                        the beginning of a key's fingerprint or of a grant's id
//! 32 hexadecimal digits                    a grant's id
//! 64 hexadecimal digits                    a Pillion key
//! ssh-ed25519 AAAA…                        an SSH key
//! team:KEY/anna, team:KEY                  a member of a team, any member
//! forge:anna, https://…, ./keys, anna.pub  the SSH keys of a list
//! anna@example.org [via https://…]         an address, and who vouches for it
//! anything else                            a name
//! ```

use std::{fmt, str::FromStr};

use pillion_caps::{GrantId, PublicKey};
use serde::{Deserialize, Serialize};

use crate::{
    name::Name,
    ssh::SshKey,
    who::{Invited, NotAPerson, Who},
};

/// Fewest hexadecimal digits that mean the beginning of a fingerprint or of a grant's id.
pub(crate) const MIN_PREFIX: usize = 4;

/// Digits of a grant's id, and of a key.
const GRANT_DIGITS: usize = 32;
const KEY_DIGITS: usize = 64;

/// What a text that names somebody is by its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    Empty,
    Number(u32),
    /// Hexadecimal digits in lower case, [`MIN_PREFIX`] at least; the text may have dashes between them.
    Digits(String),
    Ssh,
    Team,
    Forge,
    Url,
    /// Of a file.
    Path,
    /// Anything with an `@`.
    Address,
    Name,
}

impl Form {
    pub(crate) fn of(text: &str) -> Form {
        let text = text.trim();
        let starts = |start: &str| {
            let head = text.get(..start.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(start))
        };
        let is_word = !text.contains(char::is_whitespace);
        if text.is_empty() {
            return Form::Empty;
        }
        // As many digits as a number has: a grant or a key of nothing but zeros before its last digits is none.
        if text.len() <= NUMBER_DIGITS
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(number) = text.parse()
        {
            return Form::Number(number);
        }
        match hex_digits(text) {
            Some(digits) => Form::Digits(digits),
            None if starts("ssh-") || SshKey::looks_like(text) => Form::Ssh,
            None if starts(TEAM) => Form::Team,
            None if starts(FORGE) => Form::Forge,
            None if starts("https://") || starts("http://") => Form::Url,
            None if ["/", "./", "../", "~/"].into_iter().any(starts) => Form::Path,
            None if text.contains('@') => Form::Address,
            None if is_word && (text.ends_with(".pub") || text.ends_with("_keys")) => Form::Path,
            None => Form::Name,
        }
    }
}

/// Most digits of a participant's number.
const NUMBER_DIGITS: usize = 10;

pub(crate) const TEAM: &str = "team:";
const FORGE: &str = "forge:";

/// The digits of a text that is nothing but hexadecimal digits and dashes.
fn hex_digits(text: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    if !text.bytes().all(fits) {
        return None;
    }
    let digits = text.chars().filter(|ch| *ch != '-');
    let digits: String = digits.map(|ch| ch.to_ascii_lowercase()).collect();
    (digits.len() >= MIN_PREFIX).then_some(digits)
}

/// The beginning of a key's fingerprint or of a grant's id: 4 to 63 hexadecimal digits, but never the 32 of a whole
/// grant's id.
///
/// Displays in groups of four as fingerprints do, and parses with dashes anywhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HexPrefix(String);

impl HexPrefix {
    /// Whether a key begins so.
    pub fn begins(&self, key: &PublicKey) -> bool {
        key.to_string().starts_with(&self.0)
    }

    /// Whether a grant's id begins so.
    pub fn begins_grant(&self, grant: &GrantId) -> bool {
        grant.to_string().starts_with(&self.0)
    }
}

impl fmt::Display for HexPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups = Vec::new();
        let mut rest = self.0.as_str();
        while let Some((group, after)) = rest.split_at_checked(4) {
            groups.push(group);
            rest = after;
        }
        groups.extend((!rest.is_empty()).then_some(rest));
        f.write_str(&groups.join("-"))?;
        match groups.len() {
            // It could be a number otherwise.
            1 => f.write_str("-"),
            _ => Ok(()),
        }
    }
}

impl FromStr for HexPrefix {
    type Err = NotAPerson;

    fn from_str(text: &str) -> Result<Self, NotAPerson> {
        match text.parse()? {
            SubjectRef::Prefix(prefix) => Ok(prefix),
            _ => Err(NotAPerson::Digits),
        }
    }
}

/// Whom a command or a request is about, as somebody named them: what they are meant by, and not yet who that is.
///
/// Parses as this module describes, and displays as a text that parses to the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SubjectRef {
    /// The participant with this number.
    Number(u32),
    /// This grant.
    Grant(GrantId),
    /// The one participant or grant that begins so.
    Prefix(HexPrefix),
    /// Anybody who is or proves to be this, here or not.
    Provable(Invited),
    /// The one participant who is called so.
    Name(Name),
}

impl SubjectRef {
    /// Exactly the holder of this key.
    pub fn key(key: PublicKey) -> SubjectRef {
        SubjectRef::Provable(Invited::One(Who::Key(key)))
    }

    /// The key, if that is what somebody is meant by.
    pub fn as_key(&self) -> Option<PublicKey> {
        match self {
            SubjectRef::Provable(Invited::One(Who::Key(key))) => Some(*key),
            _ => None,
        }
    }
}

impl fmt::Display for SubjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubjectRef::Number(number) => number.fmt(f),
            SubjectRef::Grant(grant) => grant.fmt(f),
            SubjectRef::Prefix(prefix) => prefix.fmt(f),
            SubjectRef::Provable(invited) => invited.fmt(f),
            SubjectRef::Name(name) => name.fmt(f),
        }
    }
}

impl FromStr for SubjectRef {
    type Err = NotAPerson;

    fn from_str(text: &str) -> Result<Self, NotAPerson> {
        match text.parse()? {
            SubjectText::One(one) => Ok(one),
            SubjectText::Keys(_) => Err(NotAPerson::KeyList),
        }
    }
}

/// Where a list of SSH keys is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyListRef {
    /// A forge's user: letters, digits and `- _ .`, at most 64.
    Forge(String),
    /// At this address; what it is worth is for who fetches it.
    Url(String),
    /// In this file.
    File(String),
}

/// All that a text can name: what a person writes behind `pillion allow` and in the panels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectText {
    /// Somebody, some people by one thing they prove, or a grant.
    One(SubjectRef),
    /// The SSH keys of a list, which has to be read first.
    Keys(KeyListRef),
}

impl FromStr for SubjectText {
    type Err = NotAPerson;

    fn from_str(text: &str) -> Result<Self, NotAPerson> {
        let text = text.trim();
        Ok(SubjectText::One(match Form::of(text) {
            Form::Empty => return Err(NotAPerson::Empty),
            Form::Number(number) => SubjectRef::Number(number),
            Form::Digits(digits) => match digits.len() {
                GRANT_DIGITS => SubjectRef::Grant(digits.parse().map_err(|_| NotAPerson::Digits)?),
                KEY_DIGITS => SubjectRef::key(digits.parse().map_err(|_| NotAPerson::Key)?),
                0..KEY_DIGITS => SubjectRef::Prefix(HexPrefix(digits)),
                _ => return Err(NotAPerson::Digits),
            },
            Form::Team => {
                let rest = text.get(TEAM.len()..).unwrap_or_default();
                SubjectRef::Provable(format!("{TEAM}{rest}").parse()?)
            }
            Form::Ssh | Form::Address => SubjectRef::Provable(text.parse()?),
            Form::Forge => {
                let user = text.get(FORGE.len()..).unwrap_or_default();
                return forge_user(user).map(SubjectText::Keys);
            }
            Form::Url => return Ok(SubjectText::Keys(KeyListRef::Url(text.to_owned()))),
            Form::Path => return Ok(SubjectText::Keys(KeyListRef::File(text.to_owned()))),
            Form::Name => SubjectRef::Name(text.parse().map_err(NotAPerson::Name)?),
        }))
    }
}

fn forge_user(user: &str) -> Result<KeyListRef, NotAPerson> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match (1..=64).contains(&user.len()) && user.bytes().all(fits) {
        true => Ok(KeyListRef::Forge(user.to_owned())),
        false => Err(NotAPerson::ForgeUser),
    }
}

#[cfg(test)]
mod tests {
    use pillion_caps::SecretKey;
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
    const SSH: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";

    fn one(text: &str) -> SubjectRef {
        text.parse()
            .unwrap_or_else(|error| panic!("{text:?}: {error}"))
    }

    fn provable(text: &str) -> SubjectRef {
        SubjectRef::Provable(text.parse().unwrap())
    }

    #[test]
    fn each_form_means_one_thing() {
        let prefix = |digits: &str| SubjectRef::Prefix(HexPrefix(digits.to_owned()));
        let name = |name: &str| SubjectRef::Name(name.parse().unwrap());
        for (text, meant) in [
            ("3", SubjectRef::Number(3)),
            (" 3 ", SubjectRef::Number(3)),
            ("1234", SubjectRef::Number(1234)),
            ("4294967295", SubjectRef::Number(u32::MAX)),
            ("007", SubjectRef::Number(7)),
            ("00000000007", prefix("00000000007")),
            (
                "00000000000000000000000000000007",
                SubjectRef::Grant("00000000000000000000000000000007".parse().unwrap()),
            ),
            ("1234-", prefix("1234")),
            ("12345678901", prefix("12345678901")),
            ("7f3a", prefix("7f3a")),
            ("7F3A-91c", prefix("7f3a91c")),
            ("8a88-e3dd-7409-f195", prefix("8a88e3dd7409f195")),
            (&KEY[..31], prefix(&KEY[..31])),
            (&KEY[..33], prefix(&KEY[..33])),
            (
                &KEY[..32],
                SubjectRef::Grant(KEY[..32].parse::<GrantId>().unwrap()),
            ),
            (KEY, provable(KEY)),
            (&KEY.to_uppercase(), provable(KEY)),
            (SSH, provable(SSH)),
            (&format!("{SSH} carol@example.org"), provable(SSH)),
            (
                &format!("TEAM:{KEY}/anna"),
                provable(&format!("team:{KEY}/anna")),
            ),
            (
                "carol@example.pub via https://i.example",
                provable("carol@example.pub via https://i.example"),
            ),
            ("Carol@example.pub", provable("carol@example.pub")),
            ("carol", name("carol")),
            ("7f3", name("7f3")),
            ("7f3a_", name("7f3a_")),
            ("sofie k", name("sofie k")),
        ] {
            assert_eq!(one(text), meant, "{text:?}");
            assert_eq!(one(&meant.to_string()), meant);
        }
        for (text, list) in [
            ("forge:eve", KeyListRef::Forge("eve".to_owned())),
            (
                "https://a.example/@x.keys",
                KeyListRef::Url("https://a.example/@x.keys".to_owned()),
            ),
            (
                "./carol@laptop.pub",
                KeyListRef::File("./carol@laptop.pub".to_owned()),
            ),
            ("carol.pub", KeyListRef::File("carol.pub".to_owned())),
        ] {
            assert_eq!(text.parse(), Ok(SubjectText::Keys(list)));
            assert_eq!(text.parse::<SubjectRef>(), Err(NotAPerson::KeyList));
        }
    }

    #[test]
    fn what_has_a_form_and_is_not_it_is_never_a_name() {
        let no_key = "0200000000000000000000000000000000000000000000000000000000000000";
        assert!(no_key.parse::<PublicKey>().is_err());
        for (text, why) in [
            ("", NotAPerson::Empty),
            (no_key, NotAPerson::Key),
            (&format!("{KEY}0"), NotAPerson::Digits),
            ("ssh-ed25519 AAAA", NotAPerson::SshKey),
            ("SSH-ED25519 AAAA", NotAPerson::Unknown),
            ("team:anna", NotAPerson::Team),
            ("@anna", NotAPerson::Address),
            ("forge:../x", NotAPerson::ForgeUser),
            ("forge:", NotAPerson::ForgeUser),
        ] {
            assert_eq!(text.parse::<SubjectText>(), Err(why), "{text:?}");
        }
        let emoji = "anna☺".parse::<SubjectText>();
        assert!(matches!(emoji, Err(NotAPerson::Name(_))), "{emoji:?}");
    }

    #[test]
    fn it_travels_as_what_it_is_and_is_checked_on_arrival() {
        for text in ["3", "7f3a-91c2", &KEY[..32], KEY, "a@b.example", "carol"] {
            let one = one(text);
            let json = serde_json::to_string(&one).unwrap();
            assert_eq!(serde_json::from_str::<SubjectRef>(&json).unwrap(), one);
            let bytes = postcard::to_allocvec(&one).unwrap();
            assert_eq!(postcard::from_bytes::<SubjectRef>(&bytes).unwrap(), one);
        }
        for json in [
            r#"{"Name":"carol@example.org"}"#,
            r#"{"Name":"7f3a"}"#,
            r#"{"Name":"carol☺"}"#,
            r#"{"Prefix":"7f3"}"#,
            r#"{"Prefix":"carol"}"#,
            r#"{"Provable":"carol"}"#,
        ] {
            assert!(serde_json::from_str::<SubjectRef>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_prefix_begins_what_it_begins() {
        let key = SecretKey::from_bytes(&[1; 32]).public();
        let prefix = |text: &str| text.parse::<HexPrefix>().unwrap();
        assert!(prefix(&key.fingerprint()).begins(&key));
        assert!(prefix("8a88-").begins(&key));
        assert!(!prefix("8a89").begins(&key));
        assert!(prefix("8a88").begins_grant(&KEY[..32].parse::<GrantId>().unwrap()));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_what_is_read_comes_back(
            text in prop_oneof![
                ".{0,80}", "[0-9a-f-]{0,70}", "[a-z0-9@:/. -]{0,40}",
                "(team:|TEAM:|forge:|ssh-ed25519 |~/|sk-)[a-z0-9/@ ]{0,30}",
            ],
        ) {
            if let Ok(SubjectText::One(one)) = text.parse() {
                prop_assert_eq!(one.to_string().parse(), Ok(one));
            }
        }
    }
}
