//! Where a viewer's host is now, asked by the link it was joined with.

use std::time::{Duration, Instant};

use iroh_base::{EndpointAddr, EndpointId};
use pillion_net::signal::Resolver;
use tokio::task::JoinHandle;

use crate::clock::unix_ms;

/// Between two questions to the link service: reconnecting tries more often.
const SEEK_AGAIN: Duration = Duration::from_secs(5);

/// Looks a host up again by its link, when it is not where it was.
pub(crate) struct HostLookup {
    resolver: Option<Resolver>,
    session: EndpointId,
    seeking: Option<JoinHandle<(Resolver, Option<EndpointAddr>)>>,
    last: Option<Instant>,
}

impl HostLookup {
    /// For the session with this key; without a resolver there is nobody to ask.
    pub(crate) fn new(resolver: Option<Resolver>, session: EndpointId) -> HostLookup {
        HostLookup {
            resolver,
            session,
            seeking: None,
            last: None,
        }
    }

    /// A connection is gone, or an attempt failed: asks where the host is now, beside the next attempt.
    pub(crate) fn seek(&mut self) {
        if self.last.is_some_and(|last| last.elapsed() < SEEK_AGAIN) {
            return;
        }
        let Some(mut resolver) = self.resolver.take() else {
            return;
        };
        self.last = Some(Instant::now());
        let session = self.session;
        self.seeking = Some(tokio::spawn(async move {
            let addr = match resolver.resolve(unix_ms).await {
                // A link leads to one session; a record for another one is not its host's doing.
                Ok(ticket) if ticket.addr.id == session => Some(ticket.addr),
                Ok(_) => None,
                Err(error) => {
                    tracing::debug!(%error, "the link was not resolved again");
                    None
                }
            };
            (resolver, addr)
        }));
    }

    /// Where the host is now, once that is known.
    pub(crate) async fn found(&mut self) -> EndpointAddr {
        if let Some(seeking) = &mut self.seeking {
            let sought = seeking.await;
            self.seeking = None;
            if let Ok((resolver, addr)) = sought {
                self.resolver = Some(resolver);
                if let Some(addr) = addr {
                    return addr;
                }
            }
        }
        std::future::pending().await
    }
}
