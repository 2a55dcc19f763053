//! Reading and packing history on a thread of its own: a keystroke on its way through the host never
//! waits for the disk or for a compression.

use std::{
    panic::AssertUnwindSafe,
    sync::mpsc::{SyncSender, sync_channel},
};

use pillion_screen::LineId;
use pillion_session::{HistoryJob, PackedHistory};
use pillion_source::isolate_panics;
use pillion_store::HistoryRead;
use tokio::sync::mpsc;

/// Jobs that may wait: more than the state machine gives at once.
const MAX_JOBS: usize = 8;

/// How much less the thread counts than the program and the host (nice(2)): it works for people who look
/// back.
#[cfg(target_os = "linux")]
const NICE: i32 = 5;

/// What a job reads of the log; nothing where it wants no line of it.
type Work = (Box<HistoryJob>, Option<HistoryRead>);

/// The thread, once there was something to do.
#[derive(Default)]
pub(super) struct Packer(Option<Thread>);

struct Thread {
    work: SyncSender<Work>,
    packed: mpsc::Receiver<PackedHistory>,
}

impl Packer {
    /// Has a reply made. Who asked hears nothing where that can't be, and asks again.
    pub(super) fn begin(&mut self, job: Box<HistoryJob>, read: Option<HistoryRead>) {
        if self.0.is_none() {
            match start() {
                Ok(thread) => self.0 = Some(thread),
                Err(error) => tracing::error!(%error, "history can't be read: no thread"),
            }
        }
        if let Some(thread) = &self.0
            && let Err(error) = thread.work.try_send((job, read))
        {
            tracing::error!(%error, "history can't be read");
        }
    }

    /// The next reply that is made.
    pub(super) async fn packed(&mut self) -> PackedHistory {
        if let Some(thread) = &mut self.0
            && let Some(packed) = thread.packed.recv().await
        {
            return packed;
        }
        std::future::pending().await
    }
}

fn start() -> std::io::Result<Thread> {
    let (work, jobs) = sync_channel::<Work>(MAX_JOBS);
    let (done, packed) = mpsc::channel(MAX_JOBS);
    let run = move || {
        // On Linux a thread's own; refused, it counts as much as the others.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::setpriority_process(None, NICE);
        for (job, read) in jobs {
            // What it reads may be damaged in ways nobody thought of.
            let made = isolate_panics(AssertUnwindSafe(|| make(&job, read)));
            let Ok(packed) = made else { continue };
            if done.blocking_send(packed).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("history".into())
        .spawn(run)?;
    Ok(Thread { work, packed })
}

fn make(job: &HistoryJob, read: Option<HistoryRead>) -> PackedHistory {
    let chunks = match read.map(|read| read.run()).transpose() {
        Ok(chunks) => chunks.unwrap_or_default(),
        Err(error) => {
            tracing::warn!(%error, "history could not be read");
            Vec::new()
        }
    };
    let chunks = chunks.into_iter();
    job.pack(
        chunks
            .map(|chunk| (LineId(chunk.first), chunk.count, chunk.bytes.into()))
            .collect(),
    )
}
