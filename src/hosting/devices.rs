//! Keeps the person's other devices informed of what runs here, while a session is shared.
//!
//! On a thread of its own with a runtime of its own, as links are: a service that answers late is never
//! between a key and its echo. Each running session says for all of this device, so that it does not
//! matter which of them ends first.

use std::{thread::JoinHandle, time::Duration};

use pillion_net::signal::SignalService;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    identity::devices::{Devices, Directory},
    settings::paths::Paths,
};

/// A record is left again after so long, of the ten minutes it counts for.
const REFRESH: Duration = Duration::from_secs(180);

/// Between two looks at whether this device was linked or unlinked.
const LOOK: Duration = Duration::from_secs(2);

/// Changes come in bursts while an endpoint starts; so long is waited for the next.
const SETTLE: Duration = Duration::from_millis(200);

/// After a failure.
const RETRY: Duration = Duration::from_secs(20);

/// How long the last word may take: a second to ask the other sessions, of which one may not answer, and one for the
/// service.
const FAREWELL: Duration = Duration::from_secs(2);

/// The thread, until it is dropped or [`end`](Self::end)ed.
pub(super) struct Publisher {
    changes: mpsc::Sender<()>,
    ended: oneshot::Receiver<()>,
    _thread: JoinHandle<()>,
}

impl Publisher {
    /// Starts the thread for the session `id`; `None`, which is logged, if the system gives none.
    pub(super) fn start(service: SignalService, paths: Paths, id: String) -> Option<Publisher> {
        let (changes, changed) = mpsc::channel(1);
        let (done, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let thread = runtime.and_then(|runtime| {
            std::thread::Builder::new()
                .name("devices".to_owned())
                .spawn(move || {
                    runtime.block_on(run(service, paths, id, changed));
                    runtime.shutdown_background();
                    let _ = done.send(());
                })
        });
        match thread {
            Ok(thread) => Some(Publisher {
                changes,
                ended,
                _thread: thread,
            }),
            Err(error) => {
                tracing::warn!(%error, "other devices will not know of this session");
                None
            }
        }
    }

    /// Something about the session is different now.
    pub(super) fn changed(&self) {
        // One that waits already says as much.
        let _ = self.changes.try_send(());
    }

    /// Says that the session is gone, and waits until the service knows or does not answer.
    pub(super) async fn end(self) {
        let Publisher { changes, ended, .. } = self;
        drop(changes);
        let _ = tokio::time::timeout(FAREWELL, ended).await;
    }
}

async fn run(service: SignalService, paths: Paths, id: String, mut changed: mpsc::Receiver<()>) {
    let mut directory = match Directory::new(&service, &paths) {
        Ok(directory) => directory,
        Err(error) => return tracing::warn!(%error, "other devices will not know of this session"),
    };
    let mut known = None;
    let mut due = Instant::now();
    loop {
        tokio::select! {
            change = changed.recv() => match change {
                Some(()) => due = due.min(Instant::now() + SETTLE),
                None => break,
            },
            () = tokio::time::sleep_until(due.min(Instant::now() + LOOK)) => {}
        }
        let now = Devices::changed_at(&paths);
        if now == known && Instant::now() < due {
            continue;
        }
        known = now;
        let told = async {
            let caught_up = directory.catch_up().await?;
            directory.publish(None, caught_up).await
        };
        let wait = match told.await {
            Ok(()) => REFRESH,
            Err(error) => {
                tracing::info!(%error, "other devices don't know what runs here");
                RETRY
            }
        };
        due = Instant::now() + wait;
    }
    let farewell = directory.publish(Some(&id), false);
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}
