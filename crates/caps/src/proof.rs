//! Proofs of possession: a signature over what makes this connection this connection.
//!
//! Both ends know all that is signed, so a proof is 64 bytes and needs no challenge. It names the
//! connection's exporter (RFC 8446, 7.5), which no other connection shares, so a recorded proof is
//! worth nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    grant::GrantId,
    keys::{BadSignature, Domain, PublicKey, SecretKey, Signature, sign, verify},
    refusal::Refusal,
};

/// What a proof is bound to.
#[derive(Clone, PartialEq, Eq)]
pub struct Binding {
    /// Keying material exported from this connection's TLS; secret to its two ends.
    pub exporter: [u8; 32],
    /// The endpoint key of the host.
    pub host_endpoint: PublicKey,
    /// The endpoint key of the viewer.
    pub viewer_endpoint: PublicKey,
    /// The session's key.
    pub session: PublicKey,
}

/// Hides the exporter, which is secret to the connection.
impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binding")
            .field("host_endpoint", &self.host_endpoint)
            .field("viewer_endpoint", &self.viewer_endpoint)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// What the proving key is, in the connection.
///
/// A grant made for a key needs no role of its own: that key must be the identity, and the identity
/// is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The person's long-lived key.
    Identity,
    /// The key whose secret rides in a ticket or a link.
    Link,
}

impl Role {
    const fn tag(self) -> u8 {
        match self {
            Self::Identity => 1,
            Self::Link => 2,
        }
    }

    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::Identity => "your identity key",
            Self::Link => "the link's key",
        }
    }
}

/// Proof that the other end holds a secret key, on this connection, in this role, for this grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof(Signature);

impl Proof {
    /// Proves possession of `secret`. `grant` is the id of the grant presented along, if any.
    pub fn new(secret: &SecretKey, binding: &Binding, grant: Option<GrantId>, role: Role) -> Self {
        let message = message(binding, grant, role);
        Self(sign(secret, Domain::Proof, &message))
    }

    /// Checks that the other end holds the secret of `key`.
    ///
    /// # Errors
    /// [`Refusal::NotHolder`] if the signature is by another key or for another connection, grant or
    /// role.
    pub fn verify(
        &self,
        key: &PublicKey,
        binding: &Binding,
        grant: Option<GrantId>,
        role: Role,
    ) -> Result<(), Refusal> {
        verify(key, Domain::Proof, &message(binding, grant, role), &self.0)
            .map_err(|BadSignature| Refusal::NotHolder(role.describe()))
    }

    /// Checks a proof in [`Role::Identity`] and keeps the outcome as a value.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_identity(
        &self,
        key: PublicKey,
        binding: &Binding,
        grant: Option<GrantId>,
    ) -> Result<VerifiedIdentity, Refusal> {
        self.verify(&key, binding, grant, Role::Identity)?;
        let binding = binding.clone();
        Ok(VerifiedIdentity { key, binding })
    }

    /// The proof from its 64 bytes.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(Signature::from_bytes(bytes))
    }

    /// The 64 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        self.0.as_bytes()
    }
}

/// A key whose possession was proved on a connection; only [`Proof::verify_identity`] makes one.
#[derive(Clone, Debug)]
pub struct VerifiedIdentity {
    key: PublicKey,
    binding: Binding,
}

impl VerifiedIdentity {
    /// The identity.
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// The connection it was proved on.
    pub const fn binding(&self) -> &Binding {
        &self.binding
    }
}

/// An identity's word that a session's key is its own: what a viewer learns the host's identity by.
///
/// In postcard 96 bytes: the identity's key, then its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCertificate {
    identity: PublicKey,
    signature: Signature,
}

impl SessionCertificate {
    /// Vouches for `session` with the host's identity key.
    pub fn new(identity: &SecretKey, session: &PublicKey) -> Self {
        let signature = sign(identity, Domain::SessionCertificate, session.as_bytes());
        let identity = identity.public();
        Self {
            identity,
            signature,
        }
    }

    /// The identity that vouches for `session`.
    ///
    /// # Errors
    /// [`BadSignature`] if the certificate is for another session or was altered.
    pub fn verify(&self, session: &PublicKey) -> Result<PublicKey, BadSignature> {
        let (domain, bytes) = (Domain::SessionCertificate, session.as_bytes());
        verify(&self.identity, domain, bytes, &self.signature)?;
        Ok(self.identity)
    }
}

/// What a proof signs: role, exporter, host, viewer, session, then 0, or 1 and the grant's id.
fn message(binding: &Binding, grant: Option<GrantId>, role: Role) -> Vec<u8> {
    let mut message = vec![role.tag()];
    message.extend(binding.exporter);
    message.extend(binding.host_endpoint.as_bytes());
    message.extend(binding.viewer_endpoint.as_bytes());
    message.extend(binding.session.as_bytes());
    match grant {
        None => message.push(0),
        Some(id) => {
            message.push(1);
            message.extend(id.as_bytes());
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    fn secret(seed: u8) -> SecretKey {
        SecretKey::from_bytes(&[seed; 32])
    }

    fn binding() -> Binding {
        Binding {
            exporter: [9; 32],
            host_endpoint: secret(2).public(),
            viewer_endpoint: secret(3).public(),
            session: secret(4).public(),
        }
    }

    const GRANT: Option<GrantId> = Some(GrantId::from_bytes([5; 16]));

    #[test]
    fn golden_proof_and_certificate() {
        let proof = Proof::new(&secret(1), &binding(), GRANT, Role::Link);
        assert_eq!(
            HEXLOWER.encode(proof.as_bytes()),
            "2a55146c2a618cce7e41924358d458620274cbd151e374cfe17d749ea3b35c4f53ef24f1a0aa14c3\
         9b14bbb6d51d35030b7cac098d3818e17570eef17d351102"
        );
        let certificate = SessionCertificate::new(&secret(1), &secret(4).public());
        assert_eq!(
            HEXLOWER.encode(&postcard::to_allocvec(&certificate).unwrap()),
            "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5cd698331329d2b7f5\
         a03f7d9950658347471fc5fd095283c70ea68430391199c65310a101515154b1c03fe16aa2af461e\
         f4ee2c522b54ee963594bd81e2b54602"
        );
    }

    #[test]
    fn golden_message() {
        let binding = binding();
        let mut expected = vec![2];
        expected.extend([9; 32]);
        expected.extend(binding.host_endpoint.as_bytes());
        expected.extend(binding.viewer_endpoint.as_bytes());
        expected.extend(binding.session.as_bytes());
        assert_eq!(
            message(&binding, GRANT, Role::Link),
            [&expected[..], &[1], &[5; 16]].concat()
        );
        expected[0] = 1;
        assert_eq!(
            message(&binding, None, Role::Identity),
            [&expected[..], &[0]].concat()
        );
    }

    #[test]
    fn a_proof_is_for_one_key_connection_grant_and_role() {
        let proof = Proof::new(&secret(1), &binding(), GRANT, Role::Identity);
        let key = secret(1).public();
        let verified = proof.verify_identity(key, &binding(), GRANT).unwrap();
        assert_eq!((verified.key(), verified.binding()), (key, &binding()));

        let others = [
            Binding {
                exporter: [8; 32],
                ..binding()
            },
            Binding {
                host_endpoint: key,
                ..binding()
            },
            Binding {
                viewer_endpoint: key,
                ..binding()
            },
            Binding {
                session: key,
                ..binding()
            },
            Binding {
                host_endpoint: binding().viewer_endpoint,
                viewer_endpoint: binding().host_endpoint,
                ..binding()
            },
        ];
        let refused = Err(Refusal::NotHolder("your identity key"));
        for other in &others {
            assert_eq!(proof.verify(&key, other, GRANT, Role::Identity), refused);
        }
        let other_grant = Some(GrantId::from_bytes([6; 16]));
        for grant in [None, other_grant] {
            let verdict = proof.verify(&key, &binding(), grant, Role::Identity);
            assert_eq!(verdict, refused);
        }
        let verdict = proof.verify(&secret(2).public(), &binding(), GRANT, Role::Identity);
        assert_eq!(verdict, refused);
        let verdict = proof.verify(&key, &binding(), GRANT, Role::Link);
        assert_eq!(verdict, Err(Refusal::NotHolder("the link's key")));
    }

    #[test]
    fn every_altered_bit_of_a_proof_is_refused() {
        let proof = Proof::new(&secret(1), &binding(), GRANT, Role::Identity);
        for bit in 0..512 {
            let mut bytes = *proof.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let altered = Proof::from_bytes(bytes);
            let verdict = altered.verify_identity(secret(1).public(), &binding(), GRANT);
            assert!(verdict.is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_altered_bit_of_a_certificate_is_refused() {
        let session = secret(4).public();
        let certificate = SessionCertificate::new(&secret(1), &session);
        assert_eq!(certificate.verify(&session), Ok(secret(1).public()));
        assert!(certificate.verify(&secret(5).public()).is_err());
        for bit in 0..768 {
            let mut bytes = postcard::to_allocvec(&certificate).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(altered) = postcard::from_bytes::<SessionCertificate>(&bytes) else {
                continue;
            };
            assert!(altered.verify(&session).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn the_exporter_is_never_shown() {
        assert!(!format!("{:?}", binding()).contains("exporter"));
    }

    #[test]
    fn serde_carries_the_bare_bytes() {
        let proof = Proof::new(&secret(1), &binding(), None, Role::Identity);
        let bytes = postcard::to_allocvec(&proof).unwrap();
        assert_eq!(bytes, proof.as_bytes());
        assert_eq!(postcard::from_bytes(&bytes), Ok(proof));
        let certificate = SessionCertificate::new(&secret(1), &secret(4).public());
        let bytes = postcard::to_allocvec(&certificate).unwrap();
        assert_eq!(bytes.len(), 96);
        assert_eq!(postcard::from_bytes(&bytes), Ok(certificate));
    }

    proptest! {
        #[test]
        fn a_recorded_proof_is_worth_nothing_on_another_connection(
            ours: [u8; 32],
            theirs: [u8; 32],
            grant: Option<[u8; 16]>,
        ) {
            prop_assume!(ours != theirs);
            let grant = grant.map(GrantId::from_bytes);
            let on = |exporter| Binding { exporter, ..binding() };
            let proof = Proof::new(&secret(1), &on(ours), grant, Role::Link);
            let key = secret(1).public();
            prop_assert!(proof.verify(&key, &on(ours), grant, Role::Link).is_ok());
            prop_assert!(proof.verify(&key, &on(theirs), grant, Role::Link).is_err());
        }
    }
}
