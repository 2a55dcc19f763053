//! A program under test.

#![allow(dead_code)] // Each test file uses a part of it.

use std::future::Future;
use std::time::Duration;

use pillion_source::{ExitStatus, Program, Pty, Source, SourceEvent, TtyWriter};

/// How long a condition may take, far beyond what any needs, so that a broken test fails instead of
/// hanging.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Run {
    pub pty: Pty,
    pub source: Source,
    /// What it printed so far.
    pub printed: Vec<u8>,
}

impl Run {
    pub fn sh(script: &str) -> Self {
        Self::program(&Program::new(["/bin/sh", "-c", script]), None)
    }

    pub fn program(program: &Program, tty: Option<TtyWriter>) -> Self {
        let (pty, source) = Pty::spawn(program, tty).unwrap();
        let printed = Vec::new();
        Self {
            pty,
            source,
            printed,
        }
    }

    pub fn type_in(&self, keys: &str) {
        self.pty.write(keys.to_owned().into_bytes().into()).unwrap();
    }

    pub async fn next(&mut self) -> SourceEvent {
        let event = soon(self.source.next()).await.unwrap();
        if let SourceEvent::Output(bytes) = &event {
            assert!(!bytes.is_empty());
            self.printed.extend_from_slice(bytes);
        }
        event
    }

    /// Waits until it has printed `text`, and forgets everything up to it.
    pub async fn prints(&mut self, text: &str) {
        loop {
            let found = self
                .printed
                .windows(text.len())
                .position(|w| w == text.as_bytes());
            if let Some(start) = found {
                self.printed.drain(..start + text.len());
                return;
            }
            if let SourceEvent::Exited(status) = self.next().await {
                let printed = String::from_utf8_lossy(&self.printed);
                panic!("ended with {status:?} before it printed {text:?}: {printed:?}");
            }
        }
    }

    /// Waits until it has ended: all that it printed, and how it ended.
    pub async fn finish(&mut self) -> (Vec<u8>, ExitStatus) {
        loop {
            if let SourceEvent::Exited(status) = self.next().await {
                return (std::mem::take(&mut self.printed), status);
            }
        }
    }
}

/// What comes within [`PATIENCE`].
pub async fn soon<F: Future>(future: F) -> F::Output {
    let waited = tokio::time::timeout(PATIENCE, future);
    waited.await.expect("it took too long")
}
