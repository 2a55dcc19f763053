//! Doing what no world should, when it is asked to.

use bytes::{Bytes, BytesMut};
use pillion_caps::{Audience, Grant, LedgerEvent, PublicKey, Rights, Subject, Terms, UnixMillis};
use pillion_proto::{TrackKind, TrackMsg};
use pillion_session::{ConnId, HostOutput, Stream};

use super::{Sabotage, TERMINAL, World, hosting::Record, invariants::token};

impl World {
    /// Does what no world should, when it is asked to.
    pub(super) fn sabotage_now(&mut self) {
        match self.sabotage {
            Sabotage::WriteWithoutRight => self.write_without_right(),
            Sabotage::ShowWhoKnocks => self.show_who_knocks(),
            Sabotage::CloseOthers => self.close_others(),
            Sabotage::KeepToken => self.show_ended_tokens(),
            Sabotage::ObeyAnybody | Sabotage::OutliveManager | Sabotage::KeepBanned => {
                self.sabotage_ledger();
            }
            _ => {}
        }
    }

    /// Sends the beginning of the screen to somebody who waits at the door.
    fn show_who_knocks(&mut self) {
        let mut conns = self.conns.iter();
        let waits = conns.find(|(id, conn)| {
            let out = conn.watch.waited && conn.watch.welcomed.is_none();
            out && conn.host_open && !self.closed.contains(&ConnId(**id))
        });
        let Some(conn) = waits.map(|(id, _)| ConnId(*id)) else {
            return;
        };
        let (track, epoch) = (TERMINAL, 0);
        let mut bytes = BytesMut::new();
        TrackMsg::Open {
            track,
            epoch,
            kind: TrackKind::Terminal,
        }
        .encode(&mut bytes);
        let send = HostOutput::Send {
            to: (conn, Stream::Track { id: epoch }).into(),
            bytes: bytes.freeze(),
        };
        self.observe(None, &[], &[send]);
    }

    /// Has the host's first terminal closed by somebody who looks at it.
    fn close_others(&mut self) {
        let mut conns = self.conns.iter();
        let is_in = conns.find(|(id, conn)| {
            let open = conn.host_open && !self.closed.contains(&ConnId(**id));
            conn.watch.welcomed.is_some() && open
        });
        if let Some(conn) = is_in.map(|(id, _)| ConnId(*id)) {
            let from = (conn, Stream::Input { epoch: 0 });
            let close = HostOutput::Terminate { track: TERMINAL };
            self.observe(Some(from), &[], &[close]);
        }
    }

    /// Has the host die once it lost what ended tokens, and shows those to the next one.
    fn show_ended_tokens(&mut self) {
        let Some(side) = &self.host else { return };
        if side.lost_end {
            self.sabotaged = true;
            return self.crash();
        }
        if !std::mem::take(&mut self.sabotaged) {
            return;
        }
        let people = 0..self.people.len();
        let people: Vec<usize> = people.filter(|one| !self.people[*one].hostile).collect();
        let tokens: Vec<_> = self.tokens.iter().rev().take(4).cloned().collect();
        for (person, (grant, key)) in people.into_iter().zip(tokens) {
            let ticket = self.ticket.clone();
            self.sit_down(person, ticket, vec![(grant, Some(key))]);
        }
    }

    fn write_without_right(&mut self) {
        let conns: Vec<(u64, usize)> = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.watch.welcomed.is_some() && conn.host_open)
            .map(|(id, conn)| (*id, conn.seat))
            .collect();
        for (id, seat) in conns {
            let last = self.seats[seat].typed.len();
            let may = self.seats[seat].viewer.view().rights.exceeds_view();
            if last > 0 && !may {
                let bytes = Bytes::from(token(seat, last - 1));
                let write = HostOutput::Write {
                    track: TERMINAL,
                    seq: 0,
                    bytes,
                };
                let from = (ConnId(id), Stream::Input { epoch: 0 });
                return self.observe(Some(from), &[], &[write]);
            }
        }
    }

    /// Has the host write down, once, what nobody who is in may have wanted.
    fn sabotage_ledger(&mut self) {
        let unix_ms = self.host_unix_ms();
        let is_in = self.conns.iter().filter_map(|(id, conn)| {
            let open = conn.host_open && !self.closed.contains(&ConnId(*id));
            conn.watch.welcomed.filter(|_| open)?;
            let hello = conn.watch.hello.as_ref()?;
            Some((ConnId(*id), PublicKey::from_bytes(&hello.identity).ok()?))
        });
        let is_in: Vec<(ConnId, PublicKey)> = is_in.collect();
        for (conn, key) in is_in {
            let ends = self.model.manages_until(key, unix_ms);
            let event = match (self.sabotage, ends) {
                (Sabotage::ObeyAnybody, None) => LedgerEvent::Allowed {
                    who: Subject::key(&key),
                    rights: Rights::VIEW,
                },
                (Sabotage::KeepBanned, _) => LedgerEvent::Barred(key),
                (Sabotage::OutliveManager, Some(ends)) => {
                    let terms = Terms {
                        session: self.session.public(),
                        rights: Rights::EDIT,
                        audience: Audience::Key(key),
                        not_before: UnixMillis(unix_ms),
                        expires: UnixMillis(ends + 1),
                        uses: None,
                    };
                    match Grant::issue(&self.session, terms, self.dice.bytes()) {
                        Ok(grant) => LedgerEvent::Issued(grant),
                        Err(_) => continue,
                    }
                }
                _ => continue,
            };
            // Its own host bars; anything else is the word of who sent it.
            let from = (self.sabotage != Sabotage::KeepBanned).then_some((conn, Stream::Control));
            return self.observe(from, &[Record::Ledger(event.to_bytes().into())], &[]);
        }
    }
}
