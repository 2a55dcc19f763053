//! What every machine of a host is given: the clock, the connections, what the session is, and where what is to be
//! done goes.

use std::{collections::VecDeque, sync::Arc};

use bytes::{Bytes, BytesMut};
use pillion_caps::{PublicKey, SecretKey};
use pillion_proto::{FromHost, ParticipantId};
use rand_chacha::{ChaCha20Rng, rand_core::Rng};

use crate::{
    audit::{AuditEntry, AuditEvent, Doer},
    host::{
        api::{HostNotice, HostOutput, LogEntry, Receivers},
        conn::Conns,
        timers::Timers,
    },
    types::{ConnId, Now, Stream},
};

/// The ground that the machines stand on. A method of a machine takes it and puts into it what is to be done.
pub(in crate::host) struct Context {
    pub(in crate::host) now: Now,
    pub(in crate::host) timers: Timers,
    pub(in crate::host) conns: Conns,
    pub(in crate::host) keys: Keys,
    pub(in crate::host) names: Names,
    /// Which run of the session it is, from 0.
    pub(in crate::host) run: u32,
    pub(in crate::host) started_unix_ms: u64,
    pub(in crate::host) read_only: bool,
    pub(in crate::host) edit_ttl_ms: u64,
    /// The session is open to others.
    pub(in crate::host) shared: bool,
    pub(in crate::host) has_tty: bool,
    /// The host's terminal was closed, and the program is ended for it.
    pub(in crate::host) lost_tty: bool,
    /// Whose command is being carried out: what comes of it is theirs.
    pub(in crate::host) acting: Option<Doer>,
    /// Those who manage have not been told how it stands at the door.
    pub(in crate::host) door_changed: bool,
    /// Those whose rights changed, or who left, of which conversations were not told.
    pub(in crate::host) standings_changed: Vec<ParticipantId>,
    pub(in crate::host) rng: ChaCha20Rng,
    pub(in crate::host) out: VecDeque<HostOutput>,
    pub(in crate::host) fan_out: FanOut,
}

/// What frames that go to the same viewers as the one before need no memory for.
pub(in crate::host) struct FanOut {
    named: Vec<(ConnId, Stream)>,
    last: Arc<[(ConnId, Stream)]>,
}

impl FanOut {
    pub(in crate::host) fn new() -> FanOut {
        FanOut {
            named: Vec::new(),
            last: Arc::from([]),
        }
    }
}

/// The session's own key, and whose it is.
pub(in crate::host) struct Keys {
    pub(in crate::host) session: SecretKey,
    pub(in crate::host) identity: PublicKey,
    /// Of a viewer that is the host's own terminal.
    pub(in crate::host) owner: Option<PublicKey>,
}

/// What viewers are told, cleaned.
pub(in crate::host) struct Names {
    pub(in crate::host) session: String,
    pub(in crate::host) host: String,
    pub(in crate::host) software: String,
}

impl Context {
    /// One more thing to do.
    pub(in crate::host) fn push(&mut self, output: HostOutput) {
        self.out.push_back(output);
    }

    pub(in crate::host) fn notice(&mut self, notice: HostNotice) {
        self.push(HostOutput::Notice(notice));
    }

    pub(in crate::host) fn log(&mut self, entry: LogEntry) {
        self.push(HostOutput::Log(entry));
    }

    /// Logs what happened. If it comes of a command that is being carried out, that is who did it.
    pub(in crate::host) fn log_event(&mut self, event: &AuditEvent) {
        let doer = self.acting.clone().unwrap_or_default();
        self.log_with(event, doer);
    }

    /// Logs what happened, and who did it.
    pub(in crate::host) fn log_with(&mut self, event: &AuditEvent, doer: Doer) {
        let json = AuditEntry { event, doer }.to_json();
        let unix_ms = self.now.unix_ms;
        self.log(LogEntry::Event { unix_ms, json });
    }

    /// Says something to one peer.
    pub(in crate::host) fn send(&mut self, conn: ConnId, message: &FromHost) {
        self.send_bytes(conn, Stream::Control, encode([message]));
    }

    pub(in crate::host) fn send_bytes(&mut self, conn: ConnId, stream: Stream, bytes: Bytes) {
        let to = Receivers::from((conn, stream));
        self.push(HostOutput::Send { to, bytes });
    }

    /// Sends the same to several, who may be nobody. Whether there was anybody.
    pub(in crate::host) fn send_to_all(
        &mut self,
        to: impl Iterator<Item = (ConnId, Stream)>,
        bytes: Bytes,
    ) -> bool {
        self.fan_out.named.clear();
        self.fan_out.named.extend(to);
        let to = Receivers::of(&self.fan_out.named, &mut self.fan_out.last);
        let any = to.is_some();
        self.out.extend(to.map(|to| HostOutput::Send { to, bytes }));
        any
    }

    /// Says the same to every viewer.
    pub(in crate::host) fn broadcast(&mut self, messages: &[FromHost]) {
        let bytes = encode(messages);
        if bytes.is_empty() {
            return;
        }
        let viewers = self.conns.viewers();
        let to: Vec<(ConnId, Stream)> = viewers.map(|conn| (conn, Stream::Control)).collect();
        self.send_to_all(to.into_iter(), bytes);
    }

    /// Takes `cost` from what a connection may still ask of the host.
    pub(in crate::host) fn charge(&mut self, conn: ConnId, cost: u64) -> bool {
        let now = self.now.mono_us;
        self.conns
            .get_mut(conn)
            .is_none_or(|conn| conn.charge(now, cost))
    }

    pub(in crate::host) fn random(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }
}

fn encode<'a>(messages: impl IntoIterator<Item = &'a FromHost>) -> Bytes {
    let mut out = BytesMut::new();
    for message in messages {
        message.encode(&mut out);
    }
    out.freeze()
}
