//! What a host keeps so that it can begin again as itself, and when that counts.
//!
//! What lets somebody in or gives a right is on disk before anything follows from it: if it can't be
//! written, it was not done. What takes away takes effect first, whether or not it can be written: it is
//! owed to the disk until the disk takes it, ahead of everything else, and until then it is said that
//! it does not outlive this run.

use bytes::Bytes;
use pillion_caps::{LedgerEvent, Refusal};

use crate::host::{
    api::{HostNotice, SubscribedKeyList},
    commands::verbs::{Done, Reply, Shortfall},
    context::Context,
    people::People,
    timers::Timer,
};

/// Where a session is kept. A host waits inside [`Host::handle`](crate::Host::handle) for what it writes, since
/// nothing may follow from it before.
pub trait Records: Send {
    /// Adds entries to the ledger, all or none: durable when this returns `Ok`.
    ///
    /// # Errors
    /// Why none was written, for people.
    fn append_ledger(&mut self, entries: &[Bytes]) -> Result<(), String>;

    /// Keeps the link key's seed in place of the one before; `None` if none is to open the session.
    ///
    /// # Errors
    /// Why the one before is still kept, for people.
    fn keep_link(&mut self, seed: Option<&[u8; 32]>) -> Result<(), String>;

    /// Keeps which lists of keys are followed, in place of what was kept.
    ///
    /// # Errors
    /// Why what was kept still is, for people.
    fn keep_lists(&mut self, lists: &[SubscribedKeyList]) -> Result<(), String>;
}

/// Keeps nothing: for a session that is never started again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forgetful;

impl Records for Forgetful {
    fn append_ledger(&mut self, _: &[Bytes]) -> Result<(), String> {
        Ok(())
    }

    fn keep_link(&mut self, _: Option<&[u8; 32]>) -> Result<(), String> {
        Ok(())
    }

    fn keep_lists(&mut self, _: &[SubscribedKeyList]) -> Result<(), String> {
        Ok(())
    }
}

/// Between two tries to write what is owed, in microseconds.
const TRY_AGAIN_US: u64 = 1_000_000;

/// The records, and what they are owed.
pub(in crate::host) struct Recorder {
    records: Box<dyn Records>,
    /// Took effect and is not written, oldest first. Nothing that could undo it is written before it, so
    /// the same is here once at most, and all of it is within the ledger's own bounds.
    ledger: Vec<LedgerEvent>,
    link: Option<Option<[u8; 32]>>,
    lists: Option<Vec<SubscribedKeyList>>,
    /// What of the last changes does not outlive this run, and why, until it is said.
    shortfall: Option<Shortfall>,
}

impl Recorder {
    pub(in crate::host) fn new(records: Box<dyn Records>) -> Recorder {
        Recorder {
            records,
            ledger: Vec::new(),
            link: None,
            lists: None,
            shortfall: None,
        }
    }

    /// Writes what lets somebody in or gives a right, and all that is owed before it.
    ///
    /// # Errors
    /// None of it was written, so it must not be done.
    pub(in crate::host) fn write(&mut self, events: &[LedgerEvent]) -> Result<(), Refusal> {
        if events.is_empty() {
            return Ok(());
        }
        self.append(events).map_err(Refusal::NotRecorded)
    }

    /// Writes what took something away, now or as soon as the disk takes it.
    pub(in crate::host) fn owe(&mut self, event: LedgerEvent) {
        if !self.ledger.contains(&event) {
            self.ledger.push(event);
        }
        if let Err(error) = self.append(&[]) {
            self.not_written(&error);
        }
    }

    /// The same for what nobody asked for, and nobody need hear of.
    pub(in crate::host) fn owe_quietly(&mut self, event: LedgerEvent) {
        if !self.ledger.contains(&event) {
            self.ledger.push(event);
        }
    }

    fn append(&mut self, events: &[LedgerEvent]) -> Result<(), String> {
        let all = self.ledger.iter().chain(events);
        let all: Vec<Bytes> = all.map(|event| event.to_bytes().into()).collect();
        if !all.is_empty() {
            self.records.append_ledger(&all)?;
        }
        self.ledger.clear();
        Ok(())
    }

    /// Keeps a link key's seed that opens the session from now on.
    ///
    /// # Errors
    /// It is not kept, and another one may be.
    pub(in crate::host) fn keep_link(&mut self, seed: &[u8; 32]) -> Result<(), String> {
        self.records.keep_link(Some(seed))?;
        self.link = None;
        Ok(())
    }

    /// The same, where the one before must not open the session any more.
    pub(in crate::host) fn replace_link(&mut self, seed: Option<&[u8; 32]>) -> Result<(), String> {
        self.link = Some(seed.copied());
        let kept = self.records.keep_link(seed);
        match &kept {
            Ok(()) => self.link = None,
            Err(error) => self.not_written(error),
        }
        kept
    }

    /// Keeps lists that more is on than before.
    ///
    /// # Errors
    /// They are not kept.
    pub(in crate::host) fn keep_lists(
        &mut self,
        lists: &[SubscribedKeyList],
    ) -> Result<(), Refusal> {
        let kept = self.records.keep_lists(lists);
        kept.map_err(Refusal::NotRecorded)?;
        self.lists = None;
        Ok(())
    }

    /// Keeps lists that something is off.
    pub(in crate::host) fn owe_lists(&mut self, lists: Vec<SubscribedKeyList>) {
        match self.records.keep_lists(&lists) {
            Ok(()) => self.lists = None,
            Err(error) => {
                self.lists = Some(lists);
                self.not_written(&error);
            }
        }
    }

    fn not_written(&mut self, error: &str) {
        self.falls_short(Shortfall::NotWritten {
            error: error.to_owned(),
        });
    }

    /// Something that was just done does not outlive this run.
    pub(in crate::host) fn falls_short(&mut self, why: Shortfall) {
        self.shortfall = Some(why);
    }

    fn owes(&self) -> bool {
        !self.ledger.is_empty() || self.link.is_some() || self.lists.is_some()
    }

    /// Tries to write what is owed.
    fn settle(&mut self) -> Result<(), String> {
        self.append(&[])?;
        if let Some(seed) = self.link {
            self.records.keep_link(seed.as_ref())?;
            self.link = None;
        }
        if let Some(lists) = &self.lists {
            self.records.keep_lists(lists)?;
            self.lists = None;
        }
        Ok(())
    }
}

impl People {
    /// Says with what came of a command what of it does not outlive this run.
    pub(in crate::host) fn with_shortfall(&mut self, reply: Reply) -> Done {
        let shortfall = self.records.shortfall.take();
        Done { reply, shortfall }
    }

    /// Tells the person at the host what was done without a command and does not outlive this run.
    pub(in crate::host) fn tell_shortfall(&mut self, cx: &mut Context) {
        if let Some(shortfall) = self.records.shortfall.take() {
            cx.notice(HostNotice::FellShort(shortfall));
        }
        if self.records.owes() {
            let at = cx.now.mono_us.saturating_add(TRY_AGAIN_US);
            cx.timers.set_if_unset(Timer::Owed, at);
        }
    }

    /// Tries to write what could not be written before.
    pub(in crate::host) fn write_owed(&mut self, cx: &mut Context) {
        if self.records.owes() && self.records.settle().is_ok() {
            cx.notice(HostNotice::CaughtUp);
        }
    }
}
