//! Who somebody is, by what they already have.
//!
//! A [`Who`] names a person: by a Pillion key, an SSH key, an e-mail address that an issuer vouches
//! for, or as a member of a team. A [`Claim`] is the proof of one that a viewer sends along in its
//! hello. What it is worth lies in what it binds: the *identity key*, which the hello proves on this
//! very connection. So a claim that was overheard, or that a host passes on, is worth nothing to
//! anybody who hasn't that key.
//!
//! ```text
//! SSH key    an SSHSIG, by the key itself, over identity · session · expiry
//! e-mail     an OpenID Connect ID token, whose nonce is a hash of identity · salt
//! team       a certificate, by the team's key, over identity · name · time
//! ```
//!
//! A host's list of who may come in is made of [`Invited`]s; [`Invited::covers`] says whether a
//! proved [`Who`] is meant by one.
//!
//! A person who names somebody does it in a [`SubjectText`]: its form alone says by what they are meant, and only
//! what has no form is a [`Name`].
//!
//! The crate is pure: time, random bytes and the issuers' keys come in as arguments ([`Trust`]).
//!
//! Start reading at [`verify`].

pub mod agent;
mod claim;
mod keyfile;
mod name;
mod oidc;
mod ssh;
mod subject;
mod team;
mod who;
mod wire;

pub use claim::{
    Claim, ClaimError, ClaimPart, EmailClaim, MAX_CLAIM, MAX_CLAIMS, MAX_SSH_LIFE_MILLIS,
    SALT_BYTES, SshClaim, Trust, TrustedIssuer, verify,
};
pub use keyfile::{KeyFileError, MAX_KEY_FILE, SshSecret};
pub use name::{MAX_NAME, Name, NotAName, Reading, plain_name};
pub use oidc::{Jwks, JwksError, MAX_JWKS, MAX_JWKS_KEYS, TokenError, nonce};
pub use ssh::{KeyList, KeyListError, MAX_KEY_LIST, MAX_LISTED_KEYS, SshKey, SshSignature};
pub use subject::{HexPrefix, KeyListRef, SubjectRef, SubjectText};
pub use team::{
    MAX_MEMBERSHIP_MILLIS, MAX_REMOVED, Membership, MembershipId, Removals, Serial, TeamKey,
    TextError,
};
pub use who::{Address, Invited, Issuer, MAX_ISSUER, MAX_MEMBER_NAME, MemberName, NotAPerson, Who};
