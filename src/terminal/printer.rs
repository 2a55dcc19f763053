//! Printing to standard output while something else goes on.
//!
//! Anybody who reads may be slow, or stop for good. So a thread prints, and who follows a session still hears of its
//! host and of signals meanwhile.

use std::{
    io::{self, Write},
    thread,
};

use pillion_source::StdoutGone;
use tokio::sync::{mpsc, oneshot};

/// Prints on a thread of its own.
pub struct Printer {
    pieces: mpsc::Sender<String>,
    ended: oneshot::Receiver<io::Result<()>>,
    gone: StdoutGone,
}

/// How printing goes.
pub enum Printing {
    /// There is room.
    HasRoom,
    /// Nothing can be printed any more.
    Failed(io::Error),
}

impl Printer {
    /// Starts the thread.
    ///
    /// # Errors
    /// There is none to be had.
    pub fn start() -> io::Result<Printer> {
        // One piece ahead: what comes behind it waits where it comes from.
        let (pieces, mut printed) = mpsc::channel::<String>(1);
        let (end, ended) = oneshot::channel();
        let print = move || {
            let mut result = Ok(());
            while result.is_ok()
                && let Some(piece) = printed.blocking_recv()
            {
                let mut stdout = io::stdout().lock();
                result = stdout
                    .write_all(piece.as_bytes())
                    .and_then(|()| stdout.flush());
            }
            // Nobody may wait for it any more.
            let _ = end.send(result);
        };
        thread::Builder::new()
            .name("pillion-stdout".into())
            .spawn(print)?;
        Ok(Printer {
            pieces,
            ended,
            gone: StdoutGone::watch(),
        })
    }

    /// Prints what is in `text`, if there is room, and takes it out.
    pub fn print(&self, text: &mut String) {
        if !text.is_empty()
            && let Ok(room) = self.pieces.try_reserve()
        {
            room.send(std::mem::take(text));
        }
    }

    /// Waits until nothing can be printed any more, or, if that is waited for, until there is room. May be dropped
    /// while it waits.
    pub async fn next(&mut self, for_room: bool) -> Printing {
        let Printer {
            pieces,
            ended,
            gone,
        } = self;
        tokio::select! {
            Ok(_) = pieces.reserve(), if for_room => Printing::HasRoom,
            ended = ended => Printing::Failed(match ended {
                Ok(Err(error)) => error,
                Ok(Ok(())) | Err(_) => io::ErrorKind::BrokenPipe.into(),
            }),
            () = gone.wait() => Printing::Failed(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Prints the last of it and waits until all is printed.
    ///
    /// # Errors
    /// It can't be.
    pub async fn finish(self, text: String) -> io::Result<()> {
        let Printer { pieces, ended, .. } = self;
        // If it fails, so does the wait.
        let _ = pieces.send(text).await;
        drop(pieces);
        ended
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
    }
}
