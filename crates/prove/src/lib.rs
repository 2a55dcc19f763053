//! Proving who one is, and learning whom to believe: where `pillion-people` meets the machine.
//!
//! ```text
//! viewer   ssh::claim    an ssh-agent or a key file signs          ─▶ Claim
//!          oidc::sign_in a browser, a loopback redirect, the issuer ─▶ Claim
//! host     keys::read    a file, an address, a forge's USER.keys    ─▶ SshKey …
//!          oidc::Issuers the issuer's keys, fetched when wanted     ─▶ Jwks
//! ```
//!
//! Nothing here decides who may come in. Secrets are neither logged nor shown, and files that hold
//! them are their owner's alone ([`private`]).

pub mod http;
pub mod keys;
pub mod oidc;
pub mod private;
pub mod ssh;
