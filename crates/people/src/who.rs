//! Names for people that can be proved, and what a list of invited people says.
//!
//! Each has one text, which is what is stored, compared and shown:
//! ```text
//! 64 hexadecimal digits                        a Pillion key
//! ssh-ed25519 AAAA…                            an SSH key
//! anna@example.org via https://issuer.example  an address, and who vouches for it
//! team:64 hexadecimal digits/anna              a member of a team
//! ```

use std::{fmt, str::FromStr};

use pillion_caps::{EmailAddress, PublicKey, Subject};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::{
    name::{Name, NotAName},
    ssh::SshKey,
    subject::{HexPrefix, TEAM},
};

/// Longest name of a team's member, in bytes.
pub const MAX_MEMBER_NAME: usize = 64;

/// Longest URL of an issuer, in bytes.
pub const MAX_ISSUER: usize = 255;

/// Somebody, by what they can prove.
///
/// A value says nothing about whether it was proved: [`verify`](crate::verify) and the proof of the
/// identity key do. Displays, parses and serialises as the one text this module describes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// The person with this identity key.
    Key(PublicKey),
    /// Anybody who holds this SSH key.
    Ssh(SshKey),
    /// Who reads the mail of this address, as an issuer says.
    Email {
        /// The address.
        address: Address,
        /// Who vouches for it.
        issuer: Issuer,
    },
    /// Whom a team's key calls a member.
    Team {
        /// The team's key.
        team: PublicKey,
        /// The member's name in it.
        member: MemberName,
    },
}

impl Who {
    /// How it was proved, for people: "an SSH key", "an e-mail address", …
    pub const fn proof(&self) -> &'static str {
        match self {
            Who::Key(_) => "a Pillion key",
            Who::Ssh(_) => "an SSH key",
            Who::Email { .. } => "an e-mail address",
            Who::Team { .. } => "a team's certificate",
        }
    }

    /// A short text for lists and notices; not unique where fingerprints are cut.
    pub fn short(&self) -> String {
        match self {
            Who::Key(key) => format!("key {}", key.fingerprint()),
            Who::Ssh(key) => format!("ssh {}", key.fingerprint()),
            Who::Email { address, .. } => address.to_string(),
            Who::Team { team, member } => format!("{member} of team {}", team.fingerprint()),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Key(key) => key.fmt(f),
            Who::Ssh(key) => key.fmt(f),
            Who::Email { address, issuer } => write!(f, "{address}{VIA}{issuer}"),
            Who::Team { team, member } => write!(f, "{TEAM}{team}/{member}"),
        }
    }
}

impl FromStr for Who {
    type Err = NotAPerson;

    fn from_str(text: &str) -> Result<Self, NotAPerson> {
        match text.parse()? {
            Invited::One(who) => Ok(who),
            Invited::Address(_) => Err(NotAPerson::NoIssuer),
            Invited::Team(_) => Err(NotAPerson::NoMember),
        }
    }
}

const VIA: &str = " via ";

/// What one entry of a list of invited people means.
///
/// Beside the texts of [`Who`] it reads an address alone (no matter who vouches for it, of those the host
/// trusts) and `team:…` alone (any member); an SSH key may have its comment behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invited {
    /// Exactly this.
    One(Who),
    /// This address, by any issuer the host trusts.
    Address(Address),
    /// Every member of the team.
    Team(PublicKey),
}

impl Invited {
    /// Whether `who` is meant.
    pub fn covers(&self, who: &Who) -> bool {
        match (self, who) {
            (Invited::One(one), who) => one == who,
            (Invited::Address(wanted), Who::Email { address, .. }) => wanted == address,
            (Invited::Team(wanted), Who::Team { team, .. }) => wanted == team,
            (Invited::Address(_) | Invited::Team(_), _) => false,
        }
    }
}

impl Invited {
    /// As the list of a session names it.
    pub fn subject(&self) -> Subject {
        let subject = self.to_string().parse();
        // Printable ASCII of 519 bytes at most: an address and an issuer.
        subject.unwrap_or_else(|_| unreachable!("{self} is no subject"))
    }
}

impl From<Who> for Invited {
    fn from(who: Who) -> Self {
        Invited::One(who)
    }
}

impl fmt::Display for Invited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Invited::One(who) => who.fmt(f),
            Invited::Address(address) => address.fmt(f),
            Invited::Team(team) => write!(f, "{TEAM}{team}"),
        }
    }
}

impl FromStr for Invited {
    type Err = NotAPerson;

    fn from_str(text: &str) -> Result<Self, NotAPerson> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NotAPerson::Empty);
        }
        if let Some(rest) = text.strip_prefix(TEAM) {
            let (team, member) = match rest.split_once('/') {
                Some((team, member)) => (team, Some(member.parse()?)),
                None => (rest, None),
            };
            let team = team.parse().map_err(|_| NotAPerson::Team)?;
            return Ok(match member {
                Some(member) => Invited::One(Who::Team { team, member }),
                None => Invited::Team(team),
            });
        }
        // Before the address: a key's comment often is one.
        if SshKey::looks_like(text) {
            return Ok(Invited::One(Who::Ssh(text.parse()?)));
        }
        if let Some((address, issuer)) = text.split_once(VIA) {
            let (address, issuer) = (address.trim().parse()?, issuer.trim().parse()?);
            return Ok(Invited::One(Who::Email { address, issuer }));
        }
        if text.contains('@') {
            return Ok(Invited::Address(text.parse()?));
        }
        match text.parse() {
            Ok(key) => Ok(Invited::One(Who::Key(key))),
            Err(_) => Err(NotAPerson::Unknown),
        }
    }
}

/// Why a text names nobody, and what would.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotAPerson {
    /// Nothing was given.
    #[error("nobody is named: give a key, an e-mail address or a team")]
    Empty,
    /// None of the forms.
    #[error(
        "this names nobody: give a Pillion key (64 hexadecimal digits, as `pillion id` prints it), \
         an SSH key (ssh-ed25519 AAAA…), an e-mail address, or team:KEY"
    )]
    Unknown,
    /// An SSH key of a kind that isn't supported.
    #[error(
        "SSH keys of the kind {0} are not supported, only ssh-ed25519: make one with \
         `ssh-keygen -t ed25519`"
    )]
    SshKind(String),
    /// No SSH key.
    #[error("this SSH key is damaged or cut short: copy the whole line of the .pub file")]
    SshKey,
    /// 64 digits that are no key.
    #[error(
        "these 64 hexadecimal digits are no Pillion key: copy the line that `pillion id` prints"
    )]
    Key,
    /// More digits than anything has.
    #[error(
        "hexadecimal digits are the beginning of a fingerprint (4 and more), a grant's id (32) or a Pillion key (64)"
    )]
    Digits,
    /// A list of keys where one person is to be named.
    #[error(
        "this is a list of keys, and somebody is to be named here: give a number, a name or a fingerprint from \
         `pillion who`, or one key"
    )]
    KeyList,
    /// A forge's user that can't be one.
    #[error("this is no user of a forge: write forge:NAME with letters, digits, - _ .")]
    ForgeUser,
    /// Not even a name.
    #[error("{0}")]
    Name(NotAName),
    /// No address.
    #[error(
        "this is no e-mail address of at most {} bytes of plain ASCII",
        pillion_caps::MAX_EMAIL_BYTES
    )]
    Address,
    /// No issuer.
    #[error(
        "this is no issuer: give the https:// URL that its tokens name as \"iss\", without query, \
         of at most {MAX_ISSUER} bytes"
    )]
    Issuer,
    /// No team.
    #[error("this is no team: write team: and the 64 hexadecimal digits of `pillion team show`")]
    Team,
    /// No member's name.
    #[error(
        "this is no member's name: use 1 to {MAX_MEMBER_NAME} of the letters a to z, digits, and \
         . _ + -"
    )]
    Member,
    /// One person is wanted, and an address alone may be vouched for by several issuers.
    #[error("the issuer is missing: write ADDRESS via https://…")]
    NoIssuer,
    /// One person is wanted, not a team.
    #[error("the member is missing: write team:KEY/NAME")]
    NoMember,
}

/// An e-mail address, in lower case: no mail system in use gives `Anna@` and `anna@` to two people,
/// and a ban mustn't be evaded by a capital letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(String);

impl Address {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Address {
    type Err = NotAPerson;

    fn from_str(text: &str) -> Result<Self, NotAPerson> {
        let address: EmailAddress = text.parse().map_err(|_| NotAPerson::Address)?;
        let address = address.to_string().to_ascii_lowercase();
        let (local, domain) = address.split_once('@').ok_or(NotAPerson::Address)?;
        let atom =
            |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+-/=?^_`{|}~".contains(&byte);
        let host = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        match local.bytes().all(atom) && domain.bytes().all(host) {
            true => Ok(Self(address)),
            false => Err(NotAPerson::Address),
        }
    }
}

/// Who vouches for addresses: the URL of an OpenID Connect issuer, exactly as its tokens write it.
///
/// `https://`, or `http://` on this very machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Issuer(String);

impl Issuer {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Issuer {
    type Err = NotAPerson;

    fn from_str(text: &str) -> Result<Self, NotAPerson> {
        let (rest, secure) = match text.strip_prefix("https://") {
            Some(rest) => (rest, true),
            None => (
                text.strip_prefix("http://").ok_or(NotAPerson::Issuer)?,
                false,
            ),
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
        let path = |byte: u8| byte.is_ascii_graphic() && !b"?#@\\\"<>".contains(&byte);
        let fits = text.len() <= MAX_ISSUER
            && !authority.is_empty()
            && authority.bytes().all(plain)
            && rest.bytes().all(path);
        match fits && (secure || is_loopback(authority)) {
            true => Ok(Self(text.to_owned())),
            false => Err(NotAPerson::Issuer),
        }
    }
}

/// Whether a URL's `host:port` is this machine, by a number or by the one name that can't lead
/// elsewhere (RFC 6761, 6.3).
fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix("[::1]") {
        Some(port) => return port.is_empty() || port.starts_with(':'),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "127.0.0.1" || host == "localhost"
}

/// What a team calls a member: a [`Name`] of 1 to [`MAX_MEMBER_NAME`] ASCII letters, digits and `. _ + -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberName(String);

impl MemberName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MemberName {
    type Err = NotAPerson;

    fn from_str(text: &str) -> Result<Self, NotAPerson> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
        if !(1..=MAX_MEMBER_NAME).contains(&text.len()) || !text.bytes().all(fits) {
            return Err(NotAPerson::Member);
        }
        // Anybody can make a team and call its members anything.
        text.parse::<Name>().map_err(NotAPerson::Name)?;
        Ok(Self(text.to_owned()))
    }
}

/// Serialised as its text, in binary formats too. Those are read only as they are written: one value has one encoding.
macro_rules! serde_as_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let by_people = deserializer.is_human_readable();
                let text = String::deserialize(deserializer)?;
                let value: Self = text.parse().map_err(de::Error::custom)?;
                match by_people || value.to_string() == text {
                    true => Ok(value),
                    false => Err(de::Error::custom("not as it is written")),
                }
            }
        }
    )*};
}

serde_as_text!(
    Who, Invited, Address, Issuer, MemberName, SshKey, Name, HexPrefix
);

#[cfg(test)]
mod tests {
    use pillion_caps::SecretKey;
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
    const SSH: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";

    fn key() -> PublicKey {
        SecretKey::from_bytes(&[1; 32]).public()
    }

    fn everybody() -> [(Who, String); 4] {
        [
            (Who::Key(key()), KEY.to_owned()),
            (Who::Ssh(SshKey::new(key())), SSH.to_owned()),
            (
                Who::Email {
                    address: "anna@example.org".parse().unwrap(),
                    issuer: "https://issuer.example/realm".parse().unwrap(),
                },
                "anna@example.org via https://issuer.example/realm".to_owned(),
            ),
            (
                Who::Team {
                    team: key(),
                    member: "anna".parse().unwrap(),
                },
                format!("team:{KEY}/anna"),
            ),
        ]
    }

    #[test]
    fn golden_texts_and_back() {
        for (who, text) in everybody() {
            assert_eq!(who.to_string(), text);
            assert_eq!(text.parse(), Ok(who.clone()));
            assert_eq!(text.parse(), Ok(Invited::One(who.clone())));
            let bytes = postcard::to_allocvec(&who).unwrap();
            assert_eq!(&bytes[1..], text.as_bytes(), "its text, behind a length");
            assert_eq!(postcard::from_bytes(&bytes), Ok(who));
        }
    }

    #[test]
    fn what_people_write_otherwise_means_the_same() {
        for (text, meant) in [
            (format!("  {}\n", KEY.to_uppercase()), KEY.to_owned()),
            (format!("{SSH} anna@example.org"), SSH.to_owned()),
            (format!("{SSH}   laptop of anna"), SSH.to_owned()),
            (
                "Anna@Example.ORG via https://i.example".to_owned(),
                "anna@example.org via https://i.example".to_owned(),
            ),
            ("Anna@example.org".to_owned(), "anna@example.org".to_owned()),
            (format!("team:{KEY}"), format!("team:{KEY}")),
        ] {
            assert_eq!(text.parse::<Invited>().unwrap().to_string(), meant);
        }
    }

    #[test]
    fn each_entry_covers_whom_it_means_and_nobody_else() {
        let invited = |text: &str| text.parse::<Invited>().unwrap();
        let covered = |entry: &str| {
            everybody()
                .into_iter()
                .filter(|(who, _)| invited(entry).covers(who))
                .map(|(_, text)| text)
                .collect::<Vec<_>>()
        };
        for (_, text) in everybody() {
            assert_eq!(covered(&text), std::slice::from_ref(&text));
        }
        let [_, _, (_, email), (_, member)] = everybody();
        assert_eq!(covered("anna@example.org"), [email]);
        assert_eq!(covered(&format!("team:{KEY}")), [member]);
        let nobody: [String; 0] = [];
        assert_eq!(
            covered("anna@example.org via https://other.example"),
            nobody
        );
        assert_eq!(covered(&format!("team:{KEY}/bert")), nobody);
        let other = SecretKey::from_bytes(&[2; 32]).public();
        assert_eq!(covered(&other.to_string()), nobody);
        assert_eq!(covered(&format!("team:{other}")), nobody);
    }

    #[test]
    fn what_names_nobody_is_told_what_would() {
        for (text, why) in [
            (" \n", NotAPerson::Empty),
            ("anna", NotAPerson::Unknown),
            (&KEY[1..], NotAPerson::Unknown),
            (&SSH[..60], NotAPerson::SshKey),
            (
                "ssh-rsa AAAAB3NzaC1yc2E",
                NotAPerson::SshKind("ssh-rsa".to_owned()),
            ),
            ("@example.org", NotAPerson::Address),
            ("anna@", NotAPerson::Address),
            ("anna b@example.org", NotAPerson::Address),
            ("anna@exämple.org", NotAPerson::Address),
            ("\"anna\"@example.org", NotAPerson::Address),
            ("anna@evil.example@example.org", NotAPerson::Address),
            ("Anna<anna@example.org>", NotAPerson::Address),
            ("a@b.example via http://i.example", NotAPerson::Issuer),
            ("a@b.example via https://", NotAPerson::Issuer),
            ("a@b.example via https://u@i.example", NotAPerson::Issuer),
            ("a@b.example via https://i.example/?q", NotAPerson::Issuer),
            (
                "a@b.example via http://127.0.0.1.evil.example",
                NotAPerson::Issuer,
            ),
            ("team:", NotAPerson::Team),
            ("team:8a88", NotAPerson::Team),
        ] {
            assert_eq!(text.parse::<Invited>(), Err(why), "{text:?}");
        }
        let member = format!("team:{KEY}/anna müller").parse::<Invited>();
        assert_eq!(member, Err(NotAPerson::Member));
        assert_eq!("anna@b.example".parse::<Who>(), Err(NotAPerson::NoIssuer));
        assert_eq!(
            format!("team:{KEY}").parse::<Who>(),
            Err(NotAPerson::NoMember)
        );
    }

    #[test]
    fn an_issuer_on_this_machine_may_do_without_tls() {
        for text in [
            "http://127.0.0.1:8080",
            "http://localhost/a",
            "http://[::1]:80/x",
        ] {
            assert!(text.parse::<Issuer>().is_ok(), "{text}");
        }
        assert!("http://[::1].example".parse::<Issuer>().is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_what_is_read_comes_back(text in ".{0,80}") {
            for text in [text.clone(), format!("team:{text}"), format!("{SSH} {text}"),
                format!("a@b via https://{text}"), format!("a{text}@b.example")] {
                if let Ok(invited) = text.parse::<Invited>() {
                    prop_assert_eq!(invited.to_string().parse(), Ok(invited));
                }
            }
        }
    }
}
