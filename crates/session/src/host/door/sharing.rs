//! When and to whom the session is open: sharing, its ticket, its end.

use iroh_base::EndpointAddr;
use pillion_caps::{Refusal, SecretKey};
use pillion_proto::{EndReason, Ended, FromHost, RefusalReason, RelayToken, Text, Ticket};

use crate::{
    audit::AuditEvent,
    host::{
        Host,
        api::HostOutput,
        commands::{
            execute::refused,
            verbs::{CommandError, Done, Reply},
        },
        context::Context,
        door::Door,
        people::People,
        people::standing::ChangeReason,
        timers::Timer,
    },
    types::ConnId,
};

/// How long a ticket waits for the first address of an endpoint that just began to listen, in
/// microseconds. A ticket without addresses holds, too: the endpoint's id is enough.
const ADDRESS_WITHIN_US: u64 = 2_000_000;

/// How the session stands towards the outside.
pub(in crate::host) struct Sharing {
    /// The key whose holders may join.
    pub(in crate::host) link: Option<SecretKey>,
    addr: EndpointAddr,
    relay_token: Option<RelayToken>,
    /// Who waits for a ticket.
    waiting: Vec<u64>,
}

impl Sharing {
    pub(in crate::host) fn new(
        addr: EndpointAddr,
        link: Option<SecretKey>,
        relay_token: Option<RelayToken>,
    ) -> Sharing {
        Sharing {
            link,
            addr,
            relay_token,
            waiting: Vec::new(),
        }
    }
}

impl Host {
    /// Opens the session from what is on the screen now, or from as far back as was ever open.
    pub(in crate::host) fn share(&mut self, from_start: bool) -> Result<(), CommandError> {
        self.door.request_certificate(&mut self.cx);
        self.check_running()?;
        if !self.cx.shared {
            self.open_records()?;
            let tracks = self.tracks.ids();
            for id in &tracks {
                if let Some(track) = self.tracks.get_mut(*id) {
                    if !from_start {
                        track.hide_so_far();
                    }
                    track.begin_log();
                }
                self.tracks.log_history(&mut self.cx, *id);
                self.carry_out_orders(*id);
            }
            self.cx.shared = true;
            self.cx.push(HostOutput::Listen);
            let shown = self.tracks.shown_track();
            let from = shown.map_or(0, |track| track.visible_from.0);
            self.cx.log_event(&AuditEvent::Shared { from_line: from });
            for id in tracks {
                self.tracks.frame(&mut self.cx, id);
            }
        }
        Ok(())
    }

    /// Writes down what opens the session and to whom, before it is open.
    fn open_records(&mut self) -> Result<(), CommandError> {
        self.keep_door().map_err(|refusal| refused(&refusal))?;
        if self.door.sharing.link.is_none() {
            let seed = link_seed(&mut self.cx);
            let kept = self.people.records().keep_link(&seed);
            kept.map_err(|error| refused(&Refusal::NotRecorded(error)))?;
            self.door.change_link(&mut self.cx, seed);
        }
        Ok(())
    }

    pub(in crate::host) fn check_running(&self) -> Result<(), CommandError> {
        match self.tracks.any_live() {
            true => Ok(()),
            false => Err(CommandError::ProgramEnded),
        }
    }

    /// Ends sharing. The program goes on, and what was granted is taken back: nothing given in this
    /// session opens the next one.
    pub(in crate::host) fn stop(&mut self) -> Result<(), CommandError> {
        self.check_shared()?;
        let by = Text::cut(&self.cx.names.host);
        for id in self.tracks.ids() {
            self.tracks.log_margin(&mut self.cx, id);
        }
        self.end_sharing(EndReason::Stopped { by });
        // A host that starts again must not open to earlier tickets. What of this can't be written is
        // said with the answer.
        let _ = self.people.records().replace_link(None);
        self.people.revoke_all();
        // Nobody is told any more. But what they typed by it is not written by what they are given later.
        self.people
            .refresh_standings(&mut self.cx, ChangeReason::Revoked);
        Ok(())
    }

    /// Tells everybody that it is over, and closes.
    pub(in crate::host) fn end_sharing(&mut self, why: EndReason) {
        let now = self.cx.now;
        self.tracks.sign_all(&mut self.cx);
        self.cx.shared = false;
        self.door.sharing.link = None;
        self.door.codes.forget();
        let ended = FromHost::Ended(Ended {
            why: Some(why.clone()),
            at_unix_ms: now.unix_ms,
        });
        self.cx.broadcast(&[ended]);
        let viewers: Vec<ConnId> = self.cx.conns.viewers().collect();
        for conn in viewers {
            self.close(conn, 0);
        }
        let joining: Vec<ConnId> = self.cx.conns.iter().map(|(conn, _)| conn).collect();
        for conn in joining {
            self.refuse(conn, &RefusalReason::NotShared.into());
        }
        self.door.end_visits(&mut self.cx, &self.people);
        self.cx.log_event(&AuditEvent::Ended { why });
        self.cx.push(HostOutput::StopListening);
        self.cx.timers.clear(Timer::Tickets);
        for request in std::mem::take(&mut self.door.sharing.waiting) {
            self.commands
                .done(&mut self.cx, request, Err(CommandError::SharingEnded));
        }
    }

    pub(in crate::host) fn check_shared(&self) -> Result<(), CommandError> {
        match self.cx.shared {
            true => Ok(()),
            false => Err(CommandError::NotShared),
        }
    }

    /// Answers with the ticket once it says where the endpoint is.
    pub(in crate::host) fn ticket_when_reachable(&mut self, request: u64) {
        if !self.door.sharing.addr.is_empty() {
            return self.answer_ticket(request);
        }
        self.door.sharing.waiting.push(request);
        let until = self.cx.now.mono_us.saturating_add(ADDRESS_WITHIN_US);
        self.cx.timers.set_if_unset(Timer::Tickets, until);
    }

    fn answer_ticket(&mut self, request: u64) {
        let ticket = self.door.ticket().ok_or(CommandError::NotShared);
        let done = ticket.map(|ticket| Done::from(Reply::Ticket(ticket)));
        self.commands.done(&mut self.cx, request, done);
    }

    /// The endpoint can be reached differently.
    pub(in crate::host) fn on_addresses(&mut self, addr: EndpointAddr) {
        self.door.sharing.addr.addrs = addr.addrs;
        if !self.door.sharing.addr.is_empty() {
            self.answer_waiting();
        }
    }

    /// Answers those who wait for a ticket, as the endpoint can be reached now.
    pub(in crate::host) fn answer_waiting(&mut self) {
        self.cx.timers.clear(Timer::Tickets);
        for request in std::mem::take(&mut self.door.sharing.waiting) {
            self.answer_ticket(request);
        }
    }
}

impl Door {
    /// The ticket, as the endpoint can be reached now.
    pub(in crate::host) fn ticket(&self) -> Option<String> {
        let Sharing {
            addr, relay_token, ..
        } = &self.sharing;
        let link = self.sharing.link.as_ref()?.to_bytes();
        Some(Ticket::new(addr.clone(), link, relay_token.clone()).to_string())
    }

    /// Makes another ticket, and the one before open nothing.
    pub(in crate::host) fn replace_ticket(
        &mut self,
        cx: &mut Context,
        people: &mut People,
    ) -> Result<(), CommandError> {
        let seed = link_seed(cx);
        let kept = people.records().replace_link(Some(&seed));
        self.change_link(cx, seed);
        cx.log_event(&AuditEvent::TicketReplaced);
        kept.map_err(CommandError::TicketNotRecorded)
    }

    fn change_link(&mut self, cx: &mut Context, seed: [u8; 32]) {
        self.sharing.link = Some(SecretKey::from_bytes(&seed));
        self.codes.forget();
        cx.push(HostOutput::LinkChanged(seed));
    }
}

/// The seed of another link key, of which a ticket carries half.
fn link_seed(cx: &mut Context) -> [u8; 32] {
    let [secret, _] = *cx.random().as_chunks().0 else {
        unreachable!("32 bytes are two times 16")
    };
    *pillion_proto::link_seed(&secret)
}
