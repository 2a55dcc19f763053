//! The log's second thread: waits for the disk so that anybody who appends doesn't have to.

use std::fs::File;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::dir::Dir;
use crate::index::{Batch, IndexFile};

/// Jobs waiting at most; a disk slower than that gets fewer, larger ones.
const QUEUE: usize = 4;

/// Something that takes as long as the disk takes.
pub(crate) enum Job {
    /// `fdatasync` a segment.
    Sync(Arc<File>),
    /// Make the names of new segments durable.
    SyncDir(Arc<Dir>),
    /// Put index entries into the index file.
    Commit(Arc<IndexFile>, Batch),
}

/// The thread, until [`finish`](Worker::finish) or drop.
pub(crate) struct Worker {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// The last failed sync that nobody has heard of yet.
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Worker {
    pub fn start() -> io::Result<Worker> {
        let (jobs, queue) = sync_channel(QUEUE);
        let failure = Arc::new(Mutex::new(None));
        let slot = failure.clone();
        let thread = std::thread::Builder::new()
            .name("pillion-log".to_owned())
            .spawn(move || work(&queue, &slot))?;
        Ok(Worker {
            jobs: Some(jobs),
            thread: Some(thread),
            failure,
        })
    }

    /// Hands over a job; `false` if the thread is behind and the caller should come back later.
    pub fn try_send(&self, job: Job) -> bool {
        self.jobs
            .as_ref()
            .is_some_and(|jobs| jobs.try_send(job).is_ok())
    }

    /// A sync that failed since this was asked last: what it covered may be lost if power fails.
    pub fn take_failure(&self) -> Option<io::Error> {
        let mut slot = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        slot.take()
    }

    /// Waits until every job is done.
    pub fn finish(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It catches what redb may do and has nothing else to panic at.
            let _ = thread.join();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.finish();
    }
}

fn work(queue: &Receiver<Job>, failure: &Mutex<Option<io::Error>>) {
    for job in queue {
        let done = match job {
            Job::Sync(file) => file.sync_data(),
            Job::SyncDir(dir) => dir.sync(),
            Job::Commit(file, batch) => {
                file.commit(&batch);
                Ok(())
            }
        };
        if let Err(e) = done {
            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
        }
    }
}
