//! Waiting for a file descriptor on tokio's reactor.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// `fd`, registered. It should be non-blocking.
///
/// # Panics
/// Outside of a tokio runtime with IO.
#[allow(unsafe_code)]
pub(crate) fn register(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, stays the same, and is closed only by its drop, which the `AsyncFd`
    // does after deregistering it; nobody can exchange it, for `AsyncFd` gives it out shared only.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}
