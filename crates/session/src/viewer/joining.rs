//! Coming in: what the viewer proves, and what the host proves to it.

use pillion_caps::{Binding, Domain, Grant, Proof, PublicKey, Role, SecretKey, Signature, verify};
use pillion_proto::{
    GrantProof, Hello, ProtocolError, Resume, Text, VersionRange, Welcome,
    limits::{MAX_CLAIMS_IN_HELLO, MAX_NAME, MAX_PADDING},
};
use pillion_screen::clean::clean_name;

use super::{Connected, Phase, Viewer, ViewerConfig};

/// The largest screen that the answer to a resumption without padding has room for, in bytes: three
/// times the viewer's first packet of 1200 bytes, less the host's handshake, which fills another.
const SHOWN_WITHOUT_PADDING: usize = 2000;

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

    /// The first message that counts, with proofs that hold on this connection alone.
    pub(super) fn hello(&mut self, connected: &Connected) -> Hello {
        let subscribe = self.receivers.subscription();
        let ViewerConfig {
            identity, session, ..
        } = &self.config;
        let binding = Binding {
            exporter: connected.exporter,
            host_endpoint: *session,
            viewer_endpoint: connected.own_endpoint,
            session: *session,
        };
        let prove = |key: &SecretKey, grant, role| {
            (*Proof::new(key, &binding, grant, role).as_bytes()).into()
        };
        let grants = self.grants.iter().filter_map(|(bytes, link)| {
            let id = Some(Grant::from_bytes(bytes).ok()?.id());
            let proof = match link {
                Some(link) => prove(link, id, Role::Link),
                None => prove(identity, id, Role::Identity),
            };
            Some(GrantProof {
                grant: bytes.clone(),
                proof,
            })
        });
        let link = self.config.link.as_ref();
        let claims = self.config.claims.iter().take(MAX_CLAIMS_IN_HELLO);
        Hello {
            versions: VersionRange::OURS,
            software: Text::cut(&self.config.software),
            name: Text::cut(&clean_name(&self.config.name, MAX_NAME)),
            join: self.config.join,
            identity: *identity.public().as_bytes(),
            identity_proof: prove(identity, None, Role::Identity),
            link: link.map(|link| (*link.public().as_bytes(), prove(link, None, Role::Link))),
            grants: grants.collect(),
            read_only: self.config.read_only,
            claims: claims.cloned().collect(),
            subscribe,
        }
    }

    /// Takes the host's answer in, once its identity is proved to be its own.
    pub(super) fn on_welcome(&mut self, welcome: Welcome) -> Result<(), ProtocolError> {
        let identity = PublicKey::from_bytes(&welcome.host_identity)
            .map_err(|_| ProtocolError::Malformed("a host's key"))?;
        let certificate = Signature::from_bytes(welcome.host_certificate.into());
        let session = self.config.session;
        verify(
            &identity,
            Domain::SessionCertificate,
            session.as_bytes(),
            &certificate,
        )
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
        self.set_right(&welcome.right);
        self.changed = true;
        if !self.receivers.is_fresh() {
            self.set_phase(Phase::Live);
        }
        self.resume_typing(welcome.accepted);
        if was_asking && !self.view.right.exceeds_view() {
            self.view.asking = false;
            self.on_request_edit();
        }
        Ok(())
    }
}
