//! Lists of SSH keys at addresses, fetched when the session asks for them.

use std::{future::pending, time::Duration};

use pillion_people::SshKey;
use pillion_prove::keys;
use tokio::{
    runtime::Builder,
    task::{JoinHandle, JoinSet, spawn_blocking},
    time::timeout,
};

/// How long fetching may take: somebody waits for it, and six seconds at most.
const FETCH_TIME: Duration = Duration::from_secs(5);

/// Lists as they were found, by their addresses.
pub(super) type Found = Vec<(String, Vec<SshKey>)>;

/// Fetches lists, all of a request at once.
#[derive(Default)]
pub(super) struct Fetcher(Option<JoinHandle<Found>>);

impl Fetcher {
    /// Begins to, in place of what was asked for before. On a thread of its own: reading the system's
    /// certificates and a TLS handshake take milliseconds, and keys are typed meanwhile.
    pub(super) fn fetch(&mut self, from: Vec<String>) {
        self.0 = Some(spawn_blocking(move || {
            match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(found(from)),
                Err(error) => {
                    tracing::warn!(%error, "lists of keys can't be fetched");
                    Vec::new()
                }
            }
        }));
    }

    /// Waits for what was found; those that could not be had in time are not among it.
    pub(super) async fn next(&mut self) -> Found {
        let found = match &mut self.0 {
            Some(task) => task.await,
            None => pending().await,
        };
        self.0 = None;
        found.unwrap_or_else(|error| {
            tracing::warn!(%error, "fetching lists of keys broke off");
            Vec::new()
        })
    }
}

async fn found(from: Vec<String>) -> Found {
    let mut fetches = JoinSet::new();
    for address in from {
        fetches.spawn(timeout(FETCH_TIME, async move {
            match keys::at(&address).await {
                Ok(keys) => Some((address, keys)),
                Err(error) => {
                    tracing::warn!(%error, "a list of keys was not fetched");
                    None
                }
            }
        }));
    }
    let done = fetches.join_all().await;
    done.into_iter().filter_map(Result::ok).flatten().collect()
}
