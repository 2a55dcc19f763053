//! Waking a thread that sleeps in `poll(2)`.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};

/// The end that wakes. Cheap to call often: wakes that nobody took yet are one.
#[derive(Debug)]
pub(crate) struct Waker(PipeWriter);

/// The end that is woken: readable until [`Sleeper::clear`].
#[derive(Debug)]
pub(crate) struct Sleeper(PipeReader);

/// A pipe rather than an eventfd, because macOS has only pipes; both ends are close-on-exec.
pub(crate) fn pair() -> io::Result<(Waker, Sleeper)> {
    let (reader, writer) = io::pipe()?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    rustix::io::ioctl_fionbio(&writer, true)?;
    Ok((Waker(writer), Sleeper(reader)))
}

impl Waker {
    pub(crate) fn wake(&self) {
        // A full pipe has woken the sleeper already, and without a sleeper nobody is to be woken.
        let _ = (&self.0).write(&[0]);
    }
}

impl Sleeper {
    pub(crate) fn clear(&self) {
        let mut wakes = [0; 64];
        while (&self.0).read(&mut wakes).is_ok_and(|n| n == wakes.len()) {}
    }
}

impl AsFd for Sleeper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
