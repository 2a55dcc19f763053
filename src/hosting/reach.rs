//! Whether people beyond this network can reach the host: through a relay, by which they find each other, too.

use std::{pin::Pin, time::Duration};

use pillion_net::{HostNet, RelayChoice};

/// How long the first words of a session wait to know it.
const FIRST_WORDS: Duration = Duration::from_secs(1);

/// What can be said of it, and what is said when that changes.
#[derive(Default)]
pub(super) struct Reach {
    /// What was said last.
    reached: bool,
    /// The opposite of it; nothing while there is to be no relay.
    next: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Reach {
    /// Of an endpoint that was opened.
    pub(super) fn of(net: &HostNet, relay: &RelayChoice) -> Reach {
        let mut reach = Reach {
            reached: true,
            next: None,
        };
        if !matches!(relay, RelayChoice::None) {
            reach.await_next(net);
        }
        reach
    }

    /// Whether a relay is reached within a moment, for the first words.
    pub(super) async fn at_first(&mut self, net: &HostNet) -> bool {
        self.reached = tokio::time::timeout(FIRST_WORDS, net.relay_is(true))
            .await
            .is_ok();
        self.await_next(net);
        self.reached
    }

    fn await_next(&mut self, net: &HostNet) {
        self.next = Some(Box::pin(net.relay_is(!self.reached)));
    }

    /// Waits until there is something to say.
    pub(super) async fn changed(&mut self) {
        match &mut self.next {
            Some(next) => next.await,
            None => std::future::pending().await,
        }
    }

    /// What is to be said once it has changed.
    pub(super) fn news(&mut self, net: Option<&HostNet>) -> &'static str {
        self.reached = !self.reached;
        self.next = None;
        if let Some(net) = net {
            self.await_next(net);
        }
        match self.reached {
            true => "A relay is reached: people anywhere can join.",
            false => {
                "No relay can be reached. Until one can, only people who reach this machine directly can join."
            }
        }
    }
}
