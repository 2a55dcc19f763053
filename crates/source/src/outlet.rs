//! Where a program's output is shown at the moment: terminals come and go while it runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::gate::{Passed, TtyWriter};
use crate::wake::Waker;

/// Where the reader thread writes what it has read.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    /// Locked while output passes: a gate that was taken away has let all of it go before another one is
    /// here.
    shown: Mutex<Option<TtyWriter>>,
    /// The same one, for who takes it away, which must not wait for a terminal that takes nothing.
    current: Mutex<Option<TtyWriter>>,
}

impl Outlet {
    pub(crate) fn new(tty: Option<TtyWriter>) -> Self {
        Self {
            shown: Mutex::new(tty.clone()),
            current: Mutex::new(tty),
        }
    }

    /// Shows the output elsewhere from here on, or nowhere. The gate of before is closed.
    pub(crate) fn show_on(&self, tty: Option<TtyWriter>, waker: &Arc<Waker>) {
        let before = std::mem::replace(&mut *lock(&self.current), tty.clone());
        if let Some(before) = before {
            // The one who writes to it stops, and the other lock is free.
            before.close();
        }
        if let Some(tty) = &tty {
            tty.attach(waker);
        }
        *lock(&self.shown) = tty;
    }

    /// Writes to the terminal, if there is one, then delivers.
    pub(crate) fn pass(&self, read: Bytes, deliver: impl FnOnce(Bytes)) -> Passed {
        let mut shown = lock(&self.shown);
        let Some(tty) = &*shown else {
            deliver(read);
            return Passed::On;
        };
        let passed = tty.pass(read, deliver);
        if passed == Passed::Gone {
            let gone = shown.take();
            drop(shown);
            let mut current = lock(&self.current);
            let same = |current: &TtyWriter| gone.as_ref().is_some_and(|gone| gone.is(current));
            if current.as_ref().is_some_and(same) {
                *current = None;
            }
        }
        passed
    }

    /// Writes what was kept for the terminal, if its gate is free.
    pub(crate) fn flush_kept(&self) {
        if let Some(tty) = &*lock(&self.shown) {
            tty.flush_kept();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
