//! Hearing that nobody reads standard output any more.

use std::future::pending;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::ready;

/// Tells when anybody who reads standard output has gone (`… | head`), also while there is nothing to print.
#[derive(Debug)]
pub struct StdoutGone(Option<AsyncFd<OwnedFd>>);

impl StdoutGone {
    /// Watches from now on. What can't be waited for, a file say, doesn't go.
    ///
    /// # Panics
    /// Outside of a tokio runtime with IO.
    pub fn watch() -> Self {
        let stdout = rustix::stdio::stdout();
        // A terminal says it with a signal.
        if rustix::termios::isatty(stdout) {
            return Self(None);
        }
        let copy = rustix::io::fcntl_dupfd_cloexec(stdout, 3);
        Self(
            copy.ok()
                .and_then(|copy| ready::register(copy, Interest::ERROR).ok()),
        )
    }

    /// Waits for it. May be dropped while it waits.
    pub async fn wait(&self) {
        if let Some(stdout) = &self.0
            && stdout.ready(Interest::ERROR).await.is_ok()
        {
            return;
        }
        pending().await
    }
}
