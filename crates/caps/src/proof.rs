//! Proofs of possession: a signature over what makes this connection this connection.
//!
//! Both ends know all that is signed, so a proof is 64 bytes and needs no challenge. It names the
//! connection's [`Binding`](crate::Binding), which no other connection shares, so a recorded proof is
//! worth nothing.

use serde::{Deserialize, Serialize};

use crate::{
    binding::{PeerEndpoint, ProofContext},
    grant::GrantId,
    keys::{BadSignature, Domain, PublicKey, SecretKey, Signature, SigningInput, verify},
    refusal::Refusal,
};

/// What the proving key is, in the connection.
///
/// A grant made for a key needs no role of its own: that key must be the identity, and the identity
/// is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    pub fn new(
        secret: &SecretKey,
        context: &ProofContext,
        grant: Option<GrantId>,
        role: Role,
    ) -> Self {
        Self(Self::signing_input(context, grant, role).sign(secret))
    }

    /// What the holder of a key signs to prove that, where its secret is not at hand; the signature is
    /// the proof ([`from_signature`](Self::from_signature)).
    pub fn signing_input(
        context: &ProofContext,
        grant: Option<GrantId>,
        role: Role,
    ) -> SigningInput {
        SigningInput::new(Domain::Proof, &message(context, grant, role))
    }

    /// Checks that the other end holds the secret of `key`.
    ///
    /// # Errors
    /// [`Refusal::NotHolder`] if the signature is by another key or for another connection, grant or
    /// role.
    pub fn verify(
        &self,
        key: &PublicKey,
        context: &ProofContext,
        grant: Option<GrantId>,
        role: Role,
    ) -> Result<(), Refusal> {
        verify(key, Domain::Proof, &message(context, grant, role), &self.0)
            .map_err(|BadSignature| Refusal::NotHolder(role))
    }

    /// Checks a proof in [`Role::Identity`] and keeps the outcome as a value.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_identity(
        &self,
        key: PublicKey,
        context: &ProofContext,
        grant: Option<GrantId>,
    ) -> Result<VerifiedIdentity, Refusal> {
        self.verify(&key, context, grant, Role::Identity)?;
        let context = context.clone();
        Ok(VerifiedIdentity { key, context })
    }

    /// The proof that a signature is, if it is one of its [`signing_input`](Self::signing_input).
    pub const fn from_signature(signature: Signature) -> Self {
        Self(signature)
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
    context: ProofContext,
}

impl VerifiedIdentity {
    /// The identity.
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// What it was proved in.
    pub const fn context(&self) -> &ProofContext {
        &self.context
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
        Self {
            identity: identity.public(),
            signature: Self::signing_input(session).sign(identity),
        }
    }

    /// What the identity signs, where its secret is not at hand.
    pub fn signing_input(session: &PublicKey) -> SigningInput {
        SigningInput::new(Domain::SessionCertificate, session.as_bytes())
    }

    /// The certificate that a signature by `identity` makes, if it is one of its
    /// [`signing_input`](Self::signing_input).
    pub const fn from_signature(identity: PublicKey, signature: Signature) -> Self {
        Self {
            identity,
            signature,
        }
    }

    /// The identity's signature.
    pub const fn signature(&self) -> &Signature {
        &self.signature
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

/// What a proof signs: role, binding (kind and bytes), host, the viewer's endpoint (0, or 1 and the key),
/// session, then 0, or 1 and the grant's id.
fn message(context: &ProofContext, grant: Option<GrantId>, role: Role) -> Vec<u8> {
    let mut message = vec![role.tag()];
    message.extend(context.binding.signed());
    message.extend(context.host_endpoint.as_bytes());
    match context.viewer_endpoint {
        PeerEndpoint::Unproved => message.push(0),
        PeerEndpoint::Proved(key) => {
            message.push(1);
            message.extend(key.as_bytes());
        }
    }
    message.extend(context.session.as_bytes());
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
    use crate::binding::Binding;

    fn secret(seed: u8) -> SecretKey {
        SecretKey::from_bytes(&[seed; 32])
    }

    fn context() -> ProofContext {
        ProofContext {
            binding: Binding::tls_exporter([9; 32]),
            host_endpoint: secret(2).public(),
            viewer_endpoint: PeerEndpoint::Proved(secret(3).public()),
            session: secret(4).public(),
        }
    }

    const GRANT: Option<GrantId> = Some(GrantId::from_bytes([5; 16]));

    #[test]
    fn golden_proof_and_certificate() {
        let proof = Proof::new(&secret(1), &context(), GRANT, Role::Link);
        assert_eq!(
            HEXLOWER.encode(proof.as_bytes()),
            "fde82b746925f681a183537e4cc623f21744a32a73e6945de00b9749d818b6c61d01ebca992ebc56\
             23fa50290f9a413c48635d7180a29c907bc96c4f742d8601"
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
        let context = context();
        let mut expected = vec![2];
        expected.push(1);
        expected.extend([9; 32]);
        expected.extend(context.host_endpoint.as_bytes());
        expected.push(1);
        expected.extend(secret(3).public().as_bytes());
        expected.extend(context.session.as_bytes());
        assert_eq!(
            message(&context, GRANT, Role::Link),
            [&expected[..], &[1], &[5; 16]].concat()
        );
        expected[0] = 1;
        assert_eq!(
            message(&context, None, Role::Identity),
            [&expected[..], &[0]].concat()
        );
        let unproved = ProofContext {
            viewer_endpoint: PeerEndpoint::Unproved,
            ..context
        };
        let host_ends = 2 + 32 + 32;
        expected.splice(host_ends..host_ends + 33, [0]);
        assert_eq!(
            message(&unproved, None, Role::Identity),
            [&expected[..], &[0]].concat()
        );
    }

    #[test]
    fn a_proof_is_for_one_key_connection_grant_and_role() {
        let proof = Proof::new(&secret(1), &context(), GRANT, Role::Identity);
        let key = secret(1).public();
        let verified = proof.verify_identity(key, &context(), GRANT).unwrap();
        assert_eq!((verified.key(), verified.context()), (key, &context()));

        let others = [
            ProofContext {
                binding: Binding::tls_exporter([8; 32]),
                ..context()
            },
            ProofContext {
                host_endpoint: key,
                ..context()
            },
            ProofContext {
                viewer_endpoint: PeerEndpoint::Proved(key),
                ..context()
            },
            ProofContext {
                viewer_endpoint: PeerEndpoint::Unproved,
                ..context()
            },
            ProofContext {
                session: key,
                ..context()
            },
            ProofContext {
                host_endpoint: secret(3).public(),
                viewer_endpoint: PeerEndpoint::Proved(context().host_endpoint),
                ..context()
            },
        ];
        let refused = Err(Refusal::NotHolder(Role::Identity));
        for other in &others {
            assert_eq!(proof.verify(&key, other, GRANT, Role::Identity), refused);
        }
        let other_grant = Some(GrantId::from_bytes([6; 16]));
        for grant in [None, other_grant] {
            let verdict = proof.verify(&key, &context(), grant, Role::Identity);
            assert_eq!(verdict, refused);
        }
        let verdict = proof.verify(&secret(2).public(), &context(), GRANT, Role::Identity);
        assert_eq!(verdict, refused);
        let verdict = proof.verify(&key, &context(), GRANT, Role::Link);
        assert_eq!(verdict, Err(Refusal::NotHolder(Role::Link)));
    }

    #[test]
    fn every_altered_bit_of_a_proof_is_refused() {
        let proof = Proof::new(&secret(1), &context(), GRANT, Role::Identity);
        for bit in 0..512 {
            let mut bytes = *proof.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let altered = Proof::from_bytes(bytes);
            let verdict = altered.verify_identity(secret(1).public(), &context(), GRANT);
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
    fn what_is_exported_is_never_shown() {
        assert!(!format!("{:?}", context()).contains("9, 9"));
    }

    #[test]
    fn a_proof_over_another_kind_of_binding_is_refused() {
        let web = Binding::web_transport(&[1; 32], &[2; 32], &[3; 32]);
        let value = web.signed()[1..].try_into().unwrap();
        let of = |binding| ProofContext {
            binding,
            ..context()
        };
        let (web, tls) = (of(web), of(Binding::tls_exporter(value)));
        for (made, checked) in [(&web, &tls), (&tls, &web)] {
            let proof = Proof::new(&secret(1), made, None, Role::Identity);
            let key = secret(1).public();
            assert!(proof.verify(&key, made, None, Role::Identity).is_ok());
            let verdict = proof.verify(&key, checked, None, Role::Identity);
            assert_eq!(verdict, Err(Refusal::NotHolder(Role::Identity)));
        }
    }

    #[test]
    fn serde_carries_the_bare_bytes() {
        let proof = Proof::new(&secret(1), &context(), None, Role::Identity);
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
            let on = |bytes| ProofContext { binding: Binding::tls_exporter(bytes), ..context() };
            let proof = Proof::new(&secret(1), &on(ours), grant, Role::Link);
            let key = secret(1).public();
            prop_assert!(proof.verify(&key, &on(ours), grant, Role::Link).is_ok());
            prop_assert!(proof.verify(&key, &on(theirs), grant, Role::Link).is_err());
        }
    }
}
