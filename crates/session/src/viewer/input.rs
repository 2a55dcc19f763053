//! What the person types: numbered, sent, and kept until the host has it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use pillion_proto::{
    InputStream, Intent, IntentMsg, Right,
    limits::{MAX_INPUT, MAX_UNCONFIRMED_INPUT},
};

use crate::types::Stream;

use super::{Phase, TERMINAL, Viewer, ViewerOutput};

/// Bytes that may wait here until the program has read what was typed before, before no more is taken from the
/// terminal ([`Viewer::takes_keys`]): a large paste still leaves the prefix key behind it within reach.
const MAX_PENDING_BYTES: usize = 1024 * 1024;

/// Inputs that may.
const MAX_PENDING: usize = 8192;

/// Room that is left for what was read from the terminal already, in bytes and in inputs.
const MARGIN_BYTES: usize = 64 * 1024;
const MARGIN: usize = 64;

/// What waited longer for a connection is not typed any more, in microseconds: the screen has moved
/// on.
const MAX_WAIT_US: u64 = 5_000_000;

/// Time without an answer to input after which its stream is given up, in microseconds (or four
/// round trips, if that is longer); doubled each time.
const STUCK_US: u64 = 1_000_000;

/// How recently the host must have been heard for that: no new stream on a dead connection.
const HEARD_WITHIN_US: u64 = 1_500_000;

/// The same hint is given at most so often, in microseconds.
const HINT_EVERY_US: u64 = 5_000_000;

/// One input that the host has not confirmed.
struct Pending {
    id: u64,
    bytes: Bytes,
    /// What the host called the stretch of holding the right it was typed in.
    edit_epoch: u32,
    typed_at_us: u64,
    sent: bool,
}

/// Everything typed that is not yet in the program.
pub(super) struct InputSender {
    epoch: u32,
    opened: bool,
    next_id: u64,
    /// What the host calls this stretch of holding the right to type.
    edit_epoch: u32,
    /// Newest input that the person was told is lost.
    dropped: u64,
    pending: VecDeque<Pending>,
    bytes: usize,
    /// How much of that was sent on this connection: as much as may be on its way.
    sent_bytes: usize,
    /// Since when the host has let us in on this connection.
    in_since_us: Option<u64>,
    /// When it was last heard on the one before.
    cut_at_us: u64,
    /// When the host last took something, or something began to wait for that.
    progress_at_us: u64,
    tries: u32,
    hinted_at_us: Option<u64>,
}

impl InputSender {
    pub(super) fn new() -> InputSender {
        InputSender {
            epoch: 0,
            opened: false,
            next_id: 1,
            edit_epoch: 0,
            dropped: 0,
            pending: VecDeque::new(),
            bytes: 0,
            sent_bytes: 0,
            in_since_us: None,
            cut_at_us: 0,
            progress_at_us: 0,
            tries: 0,
            hinted_at_us: None,
        }
    }

    /// The connection is gone, and its input streams with it; the host was last heard then.
    pub(super) fn disconnected(&mut self, heard_at_us: u64) {
        self.epoch = 0;
        self.opened = false;
        self.tries = 0;
        if self.in_since_us.take().is_some() {
            self.cut_at_us = heard_at_us;
        }
        self.send_all_again();
    }

    fn send_all_again(&mut self) {
        self.sent_bytes = 0;
        for pending in &mut self.pending {
            pending.sent = false;
        }
    }

    /// How long an input waited for a connection. What waits for the program doesn't count: it is typed when
    /// that reads, as into any terminal.
    fn waited_us(&self, pending: &Pending) -> u64 {
        let began = pending.typed_at_us.max(self.cut_at_us);
        let in_since = self.in_since_us.unwrap_or_default();
        in_since.saturating_sub(began)
    }

    /// When sent input counts as stuck.
    pub(super) fn stuck_at_us(&self, rtt_us: u32) -> Option<u64> {
        self.pending.front().filter(|pending| pending.sent)?;
        let patience = STUCK_US.max(4 * u64::from(rtt_us)) << self.tries.min(4);
        Some(self.progress_at_us.saturating_add(patience))
    }

    fn forget_upto(&mut self, upto: u64, now_us: u64) {
        while let Some(front) = self.pending.front()
            && front.id <= upto
        {
            self.bytes -= front.bytes.len();
            if front.sent {
                self.sent_bytes -= front.bytes.len();
            }
            self.pending.pop_front();
            self.progress_at_us = now_us;
            self.tries = 0;
        }
    }

    /// Goes on where the host is, which has taken in the inputs up to `known`. Nothing that is left
    /// was sent on this connection, so it is numbered again, without what `is_lost`; whether there
    /// was any of that.
    fn go_on_from(&mut self, known: u64, is_lost: impl Fn(&Pending) -> bool) -> bool {
        let before = self.pending.len();
        self.pending.retain(|pending| !is_lost(pending));
        let lost = before > self.pending.len();
        self.next_id = known.saturating_add(1);
        self.bytes = 0;
        for pending in &mut self.pending {
            pending.id = self.next_id;
            self.next_id = self.next_id.saturating_add(1);
            self.bytes += pending.bytes.len();
        }
        lost
    }
}

impl Viewer {
    /// Whether anything typed here may leave. There is no other way to the host's program.
    fn may_type(&self) -> bool {
        self.view.right.has(Right::Type) && !self.config.read_only && !self.view.read_only
    }

    /// The person typed.
    pub(super) fn on_keys(&mut self, bytes: &Bytes) {
        if bytes.is_empty() {
            return;
        }
        if !self.may_type() {
            return self.hint(match () {
                () if self.config.read_only => {
                    "you joined with --read-only: what you type goes nowhere"
                }
                () if self.view.read_only => {
                    "this session is for watching: edit can't be granted in it"
                }
                () if self.view.asking => {
                    "you may watch, not type, until the host answers your request"
                }
                () => "you may watch, not type: ask the host for edit",
            });
        }
        let count = bytes.len().div_ceil(MAX_INPUT);
        let full = self.typing.bytes + bytes.len() > MAX_PENDING_BYTES + MARGIN_BYTES
            || self.typing.pending.len() + count > MAX_PENDING + MARGIN;
        if full {
            return self
                .say("not typed: too much is still on its way to the host; try again in a moment");
        }
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            let bytes = rest.split_to(rest.len().min(MAX_INPUT));
            let typing = &mut self.typing;
            typing.bytes += bytes.len();
            let (id, typed_at_us) = (typing.next_id, self.now.mono_us);
            typing.next_id += 1;
            typing.pending.push_back(Pending {
                id,
                bytes,
                edit_epoch: typing.edit_epoch,
                typed_at_us,
                sent: false,
            });
        }
        self.send_typed();
        self.count_unconfirmed();
    }

    fn hint(&mut self, text: &str) {
        let now = self.now.mono_us;
        let hinted = self.typing.hinted_at_us;
        if hinted.is_none_or(|at| now.saturating_sub(at) >= HINT_EVERY_US) {
            self.typing.hinted_at_us = Some(now);
            self.say(text);
        }
    }

    /// Whether to read on from the terminal. While the program reads slower than is typed, it is not: what is
    /// typed then waits in the terminal, and nothing is lost. Without a connection there is nothing to wait
    /// for; the person must be able to leave then.
    pub fn takes_keys(&self) -> bool {
        let typing = &self.typing;
        !self.is_in() || typing.bytes < MAX_PENDING_BYTES && typing.pending.len() < MAX_PENDING
    }

    /// Sends what was not sent on this connection, as much as may be on its way.
    pub(super) fn send_typed(&mut self) {
        let typing = &self.typing;
        let first = typing.pending.partition_point(|pending| pending.sent);
        let fits =
            |pending: &Pending| typing.sent_bytes + pending.bytes.len() <= MAX_UNCONFIRMED_INPUT;
        let is_waiting = typing.pending.get(first).is_some_and(fits);
        if !is_waiting || !self.may_type() || !self.is_in() || self.view.phase == Phase::Ended {
            return;
        }
        let now = self.now.mono_us;
        let typing = &mut self.typing;
        let mut out = BytesMut::new();
        if !typing.opened {
            typing.opened = true;
            InputStream {
                join: self.config.join,
            }
            .encode(&mut out);
        }
        if first == 0 {
            typing.progress_at_us = now;
        }
        for at in first..typing.pending.len() {
            let waited = typing.waited_us(&typing.pending[at]) / 1000;
            let pending = &mut typing.pending[at];
            if typing.sent_bytes + pending.bytes.len() > MAX_UNCONFIRMED_INPUT {
                break;
            }
            typing.sent_bytes += pending.bytes.len();
            pending.sent = true;
            IntentMsg {
                id: pending.id,
                waited_ms: u32::try_from(waited).unwrap_or(u32::MAX),
                edit_epoch: pending.edit_epoch,
                what: Intent::Keys {
                    track: TERMINAL,
                    bytes: pending.bytes.clone(),
                },
            }
            .encode(&mut out);
        }
        let stream = Stream::Input {
            epoch: typing.epoch,
        };
        self.send_on(stream, out.freeze());
    }

    /// Notes what the host calls this stretch of holding the right to type.
    pub(super) fn set_tenure(&mut self, edit_epoch: u32) {
        self.typing.edit_epoch = edit_epoch;
    }

    /// On a new connection: what the host has is forgotten, what is too old or was typed with
    /// another right is given up, the rest is sent again.
    pub(super) fn resume_typing(&mut self, known: u64) {
        let (now, may_type) = (self.now.mono_us, self.may_type());
        let typing = &mut self.typing;
        let first = typing
            .pending
            .front()
            .map_or(typing.next_id, |pending| pending.id);
        // A host that knows less than it confirmed, or more than it was sent, runs another program.
        let is_other = known.saturating_add(1) < first || known >= typing.next_id;
        if !is_other {
            typing.forget_upto(known, now);
        }
        typing.dropped = typing.dropped.min(known);
        typing.in_since_us = Some(now);
        let (edit_epoch, cut_at_us) = (typing.edit_epoch, typing.cut_at_us);
        let lost = typing.go_on_from(known, |pending| {
            let waited = now.saturating_sub(pending.typed_at_us.max(cut_at_us));
            is_other || !may_type || pending.edit_epoch != edit_epoch || waited > MAX_WAIT_US
        });
        if lost {
            self.say("what you typed while the connection was gone was not typed on the host");
        }
        self.send_typed();
        self.count_unconfirmed();
    }

    pub(super) fn on_accepted(&mut self, upto: u64) {
        let upto = upto.min(self.typing.next_id - 1);
        self.typing.forget_upto(upto, self.now.mono_us);
        self.send_typed();
        self.count_unconfirmed();
    }

    pub(super) fn on_dropped(&mut self, upto: u64, text: &str) {
        let known = upto.min(self.typing.next_id - 1);
        self.typing.forget_upto(known, self.now.mono_us);
        self.send_typed();
        self.count_unconfirmed();
        // A host repeats itself to who comes back.
        if upto > self.typing.dropped {
            self.typing.dropped = upto;
            self.say(text);
        }
    }

    fn count_unconfirmed(&mut self) {
        let count = self.typing.pending.len();
        self.changed |= self.view.unconfirmed != count;
        self.view.unconfirmed = count;
    }

    /// Sends input on a new stream when the old one seems stuck while the host is there. The host
    /// knows the numbers it has seen.
    pub(super) fn resend_stuck_input(&mut self) {
        let now = self.now.mono_us;
        let is_stuck = self
            .typing
            .stuck_at_us(self.view.rtt_us)
            .is_some_and(|at| now >= at);
        if !is_stuck {
            return;
        }
        let heard_at = self.link.as_ref().map_or(0, |link| link.heard_at_us);
        // Without the right nothing could be sent on the new stream, and numbers have no gaps.
        let may_type = self.may_type();
        let typing = &mut self.typing;
        typing.progress_at_us = now;
        if !may_type || now.saturating_sub(heard_at) > HEARD_WITHIN_US {
            return;
        }
        typing.tries = typing.tries.saturating_add(1);
        self.out.push_back(ViewerOutput::Reset {
            stream: Stream::Input {
                epoch: typing.epoch,
            },
        });
        typing.epoch = typing.epoch.saturating_add(1);
        typing.opened = false;
        typing.send_all_again();
        self.send_typed();
    }
}
