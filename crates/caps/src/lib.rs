//! Capability tokens: issue, narrow, verify, revoke.
//!
//! A [`Grant`] is a chain of signed blocks: the session's key signs the root, and anybody who a block
//! names (with the right to delegate) may sign a narrower one after it. Presenting a grant takes
//! more than its bytes: the joiner proves possession of its identity key, and of the link key when
//! the grant names one, by signing what binds this very connection ([`Proof`]). The host's
//! [`Ledger`] holds what a signature cannot say: which grants were issued, used and revoked.
//!
//! ```text
//! host:    Grant::issue ─▶ Ledger::issue ─▶ write the event ─▶ hand the grant out
//! viewer:  Grant::from_bytes, Proof::signing_input(identity), Proof::new(link)  ──hello──▶
//! host:    Proof::verify_identity ─▶ Ledger::redeem ─▶ write the event ─▶ Ledger::admit
//! always:  Ledger::check before acting on a VerifiedGrant; Ledger::revoke_… takes effect at once
//! ```
//!
//! The crate is pure: time and random bytes come in as arguments. It compares no secrets (every
//! check is a signature over public values), so there is nothing to time.
//!
//! Start reading at [`Ledger::redeem`]; `keys.rs` and `wire.rs` are the ground it stands on.

mod access;
mod binding;
mod checkpoint;
mod event;
mod grant;
mod keys;
mod ledger;
mod proof;
mod refusal;
mod rights;
mod time;
mod wire;

pub use access::{Access, AccessMode, MAX_ENTRIES, MAX_SUBJECT_BYTES, Subject, UnknownAccessMode};
pub use binding::{Binding, BindingKind, PeerEndpoint, ProofContext};
pub use checkpoint::{
    ChainHead, Checkpoint, CheckpointFault, FrameChain, LineChain, SignedCheckpoint, StateDigest,
};
pub use event::LedgerEvent;
pub use grant::{
    Audience, EmailAddress, Grant, GrantId, MAX_BLOCKS, MAX_EMAIL_BYTES, MAX_GRANT_BYTES, Terms,
};
pub use keys::{BadSignature, Domain, PublicKey, SecretKey, Signature, SigningInput, sign, verify};
pub use ledger::{
    GrantStatus, Ledger, MAX_GRANTS, MAX_PEOPLE, MAX_REDEMPTIONS, Redemption, VerifiedGrant,
};
pub use proof::{Proof, Role, SessionCertificate, VerifiedIdentity};
pub use refusal::{Bound, Limited, Malformed, Refusal, Tagged, Unprovable};
pub use rights::{Right, Rights, UnknownRight};
pub use time::{CLOCK_SKEW_MILLIS, UnixMillis};
