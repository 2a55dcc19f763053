//! Coming in: what the viewer proves, and what the host proves to it.

use bytes::Bytes;
use pillion_caps::{
    Grant, GrantId, Proof, ProofContext, PublicKey, Role, SecretKey, SessionCertificate, Signature,
};
use pillion_proto::{
    FromViewer, GrantProof, Hello, ProtocolError, Resume, Text, VersionRange, Welcome,
    limits::{MAX_CLAIMS_IN_HELLO, MAX_NAME, MAX_PADDING, MAX_SENTENCE},
};
use pillion_screen::clean::clean_name;

use super::{Connected, Ending, Phase, Viewer, ViewerOutput};

/// The largest screen that the answer to a resumption without padding has room for, in bytes: three
/// times the viewer's first packet of 1200 bytes, less the host's handshake, which fills another.
const SHOWN_WITHOUT_PADDING: usize = 2000;

/// A hello that lacks the proofs by the person's key.
pub(super) struct UnsignedHello {
    link: Option<(PublicKey, Proof)>,
    /// Those without a proof are for the person's key.
    grants: Vec<(Bytes, GrantId, Option<Proof>)>,
    claims: Vec<Bytes>,
}

impl Viewer {
    /// What is asked before anything can be proved. Nothing in it is this viewer's own.
    pub(super) fn resume(&self) -> Resume {
        // As much as the screen weighed last, and a third more: the host may answer threefold.
        let screen = self.receivers.snapshot_bytes() / 3 * 4;
        let padding = screen.saturating_sub(SHOWN_WITHOUT_PADDING).div_ceil(3);
        Resume {
            versions: VersionRange::OURS,
            padding: vec![0; padding.min(MAX_PADDING)].into(),
            track: self.receivers.chosen().first().copied(),
        }
    }

    /// Asks for what the person's key has to sign on this connection; the hello follows when it has.
    pub(super) fn ask_to_sign(&mut self, connected: &Connected) {
        let session = self.config.session;
        let context = ProofContext {
            binding: connected.binding,
            host_endpoint: session,
            viewer_endpoint: connected.own_endpoint,
            session,
        };
        let hello = self.unsigned_hello(&context);
        // In the order in which they are put into the hello.
        let grants = hello.grants.iter().filter(|(_, _, proof)| proof.is_none());
        let grants = grants.map(|(_, id, _)| Some(*id));
        let inputs = [None].into_iter().chain(grants);
        let inputs = inputs.map(|grant| Proof::signing_input(&context, grant, Role::Identity));
        let inputs = inputs.collect();
        self.sign_requests += 1;
        let request = self.sign_requests;
        if let Some(link) = &mut self.link {
            link.unsigned = Some(hello);
        }
        self.out.push_back(ViewerOutput::Sign { request, inputs });
    }

    /// What a hello says, with the proofs by keys that ride in tickets and tokens.
    fn unsigned_hello(&self, context: &ProofContext) -> UnsignedHello {
        let prove = |key: &SecretKey, grant| Proof::new(key, context, grant, Role::Link);
        let grants = self.grants.iter().filter_map(|(bytes, link)| {
            let id = Grant::from_bytes(bytes).ok()?.id();
            let proof = link.as_ref().map(|link| prove(link, Some(id)));
            Some((bytes.clone(), id, proof))
        });
        let link = self.config.link.as_ref();
        let claims = self.config.claims.iter().take(MAX_CLAIMS_IN_HELLO);
        UnsignedHello {
            link: link.map(|link| (link.public(), prove(link, None))),
            grants: grants.collect(),
            claims: claims.cloned().collect(),
        }
    }

    /// The person's key has signed: the first message that counts goes out, with proofs that hold on this
    /// connection alone.
    pub(super) fn on_signed(&mut self, request: u64, signatures: &[Signature]) {
        let Some(unsigned) = self.take_unsigned(request) else {
            return;
        };
        let mut proofs = signatures.iter().copied().map(Proof::from_signature);
        let Some(hello) = self.signed_hello(unsigned, &mut proofs) else {
            return self.end(Ending::PartlySigned, false);
        };
        if let Some(link) = &mut self.link {
            link.since_us = self.now.mono_us;
        }
        self.send(&FromViewer::Hello(Box::new(hello)));
    }

    /// `None` if there are too few proofs.
    fn signed_hello(
        &mut self,
        unsigned: UnsignedHello,
        proofs: &mut impl Iterator<Item = Proof>,
    ) -> Option<Hello> {
        let identity_proof = proofs.next()?;
        let mut grants = Vec::new();
        for (grant, _, proof) in unsigned.grants {
            let proof = proof.or_else(|| proofs.next())?;
            grants.push(GrantProof {
                grant,
                proof: (*proof.as_bytes()).into(),
            });
        }
        let link = unsigned.link;
        let subscribe = self.receivers.subscription();
        Some(Hello {
            versions: VersionRange::OURS,
            software: Text::cut(&self.config.software),
            name: Text::cut(&clean_name(&self.config.name, MAX_NAME)),
            join: self.config.join,
            identity: *self.config.identity.as_bytes(),
            identity_proof: (*identity_proof.as_bytes()).into(),
            link: link.map(|(key, proof)| (*key.as_bytes(), (*proof.as_bytes()).into())),
            grants,
            read_only: self.config.read_only,
            claims: unsigned.claims,
            subscribe,
        })
    }

    /// The person's key does not sign: without that there is nothing to say to the host. It is not asked
    /// again, because somebody may have said no.
    pub(super) fn on_not_signed(&mut self, request: u64, why: &str) {
        if self.take_unsigned(request).is_some() {
            let why = clean_name(why, MAX_SENTENCE);
            self.end(Ending::NotSigned(why), false);
        }
    }

    /// The hello that waits for the answer to this request.
    fn take_unsigned(&mut self, request: u64) -> Option<UnsignedHello> {
        if request != self.sign_requests {
            return None;
        }
        self.link.as_mut()?.unsigned.take()
    }

    /// Takes the host's answer in, once its identity is proved to be its own.
    pub(super) fn on_welcome(&mut self, welcome: Welcome) -> Result<(), ProtocolError> {
        let identity = PublicKey::from_bytes(&welcome.host_identity)
            .map_err(|_| ProtocolError::Malformed("a host's key"))?;
        let certificate = Signature::from_bytes(welcome.host_certificate.into());
        SessionCertificate::from_signature(identity, certificate)
            .verify(&self.config.session)
            .map_err(|_| ProtocolError::Malformed("a host's identity that is not its own"))?;
        if let Some(link) = &mut self.link {
            link.welcomed = true;
        }
        self.failures = 0;
        self.was_in = true;
        self.view.session_name = clean_name(welcome.session_name.as_str(), MAX_NAME);
        self.view.host_name = clean_name(welcome.host_name.as_str(), MAX_NAME);
        self.view.host_identity = Some(identity);
        self.view.you = Some(welcome.you);
        self.view.roster.clear();
        self.view.read_only = welcome.read_only;
        self.on_first_tracks(welcome.tracks, welcome.shows);
        let was_asking = self.view.asking;
        self.set_right(welcome.right);
        self.changed = true;
        if !self.receivers.is_fresh() {
            self.set_phase(Phase::Live);
        }
        self.resume_typing(welcome.accepted);
        if was_asking && !self.view.rights.exceeds_view() {
            self.view.asking = false;
            self.on_request_edit();
        }
        Ok(())
    }
}
