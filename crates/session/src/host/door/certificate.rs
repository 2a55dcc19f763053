//! The identity's word that the session is its own, which every welcome carries.
//!
//! The identity's secret may be elsewhere, so the word is asked for at the start and may come late, or not
//! at all: until it is here, hellos wait for it.

use pillion_caps::{SessionCertificate, Signature};
use pillion_proto::{RefusalReason, limits::MAX_SENTENCE};
use pillion_screen::clean::clean_name;

use crate::host::{
    Host,
    api::{HostNotice, HostOutput, LogEntry, NotVouched},
    conn::PendingOn,
    context::Context,
    door::Door,
    fault::PeerError,
};

/// How it stands with the certificate.
pub(in crate::host) enum Certificate {
    /// Asked for.
    Requested,
    /// The identity did not sign.
    Missing,
    /// Here, and checked.
    Signed(Signature),
}

impl Host {
    /// The identity has signed.
    pub(in crate::host) fn on_signed(&mut self, request: u64, signature: Signature) {
        if !self.door.awaits_signature(request) {
            return;
        }
        let session = self.cx.keys.session.public();
        let certificate = SessionCertificate::from_signature(self.cx.keys.identity, signature);
        if certificate.verify(&session).is_err() {
            return self.certificate_failed(NotVouched::OtherKey);
        }
        self.door.certificate = Certificate::Signed(signature);
        self.cx.push(HostOutput::Log(LogEntry::Certificate {
            session,
            identity: self.cx.keys.identity,
            signature,
            unix_ms: self.cx.now.unix_ms,
        }));
        self.retry_hello_of(PendingOn::Certificate);
    }

    /// The identity does not sign.
    pub(in crate::host) fn on_not_signed(&mut self, request: u64, why: &str) {
        if self.door.awaits_signature(request) {
            let why = clean_name(why, MAX_SENTENCE);
            self.certificate_failed(NotVouched::NotSigned(why));
        }
    }

    fn certificate_failed(&mut self, why: NotVouched) {
        self.door.certificate = Certificate::Missing;
        self.cx.notice(HostNotice::NotVouched { why });
        self.retry_hello_of(PendingOn::Certificate);
    }

    /// What somebody is told while nobody vouches for the session.
    pub(in crate::host) fn no_certificate() -> PeerError {
        RefusalReason::NotVouched.into()
    }
}

impl Door {
    /// Asks the identity to sign, unless it has been asked.
    pub(in crate::host) fn request_certificate(&mut self, cx: &mut Context) {
        if !matches!(self.certificate, Certificate::Missing) {
            return;
        }
        self.certificate = Certificate::Requested;
        self.sign_requests += 1;
        cx.push(HostOutput::Sign {
            request: self.sign_requests,
            input: SessionCertificate::signing_input(&cx.keys.session.public()),
        });
    }

    fn awaits_signature(&self, request: u64) -> bool {
        request == self.sign_requests && matches!(self.certificate, Certificate::Requested)
    }
}
