//! A session's link and codes: what the keeper's thread is told, and what it tells.

use pillion_caps::SecretKey;
use pillion_net::signal::{Keeper, News, Shared, SignalService};
use pillion_proto::{LinkSecret, LinkUrl, RelayToken, Ticket};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// Which service, and whether a link is wanted from it.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The service.
    pub service: SignalService,
    /// Publish a link. Codes are made when asked for, either way.
    pub link: bool,
}

/// One session's link.
pub struct Links {
    wanted: Option<Wanted>,
    session: SecretKey,
    /// Seed of the ticket's link key, while there is a ticket.
    seed: Option<Zeroizing<[u8; 32]>>,
    addr: Option<iroh_base::EndpointAddr>,
    /// Secret of the record that lets this session use the service's relay, if it has to.
    relay: Option<LinkSecret>,
    keeper: Option<Keeper>,
}

impl Links {
    /// Nothing is shared yet. `seed` is the link key's of an earlier run, whose link this one keeps;
    /// `relay` says that the relay is one's own and has no other secret.
    pub fn new(
        wanted: Option<Wanted>,
        session: SecretKey,
        seed: Option<[u8; 32]>,
        relay: bool,
    ) -> Links {
        let relay = relay && wanted.is_some();
        Links {
            wanted,
            relay: relay.then(|| LinkSecret::for_relay(&session.to_bytes())),
            session,
            seed: seed.map(Zeroizing::new),
            addr: None,
            keeper: None,
        }
    }

    /// What the host shows its relay, and its tickets carry.
    pub fn relay_token(&self) -> Option<RelayToken> {
        self.relay.as_ref().map(LinkSecret::relay_token)
    }

    /// The ticket is another one from now on.
    pub fn ticket(&mut self, seed: [u8; 32]) {
        self.seed = Some(Zeroizing::new(seed));
        self.tell();
    }

    /// The session can be reached differently.
    pub fn addresses(&mut self, addr: &iroh_base::EndpointAddr) {
        self.addr = Some(addr.clone());
        self.tell();
    }

    /// Nothing is shared any more: the link ends.
    pub fn stop(&mut self) {
        self.seed = None;
        self.addr = None;
        if let Some(keeper) = &self.keeper {
            keeper.share(None);
        }
    }

    /// The link, while the session is shared with one.
    ///
    /// # Errors
    /// Why there is none, and how to get one.
    pub fn url(&self) -> Result<String, String> {
        let wanted = self.wanted()?;
        if !wanted.link {
            return Err(
                "this session was started without --link; `pillion ticket` prints its ticket"
                    .to_owned(),
            );
        }
        let secret = self.secret().ok_or(NOT_SHARED)?;
        LinkUrl::new(
            &wanted.service.url.to_string(),
            secret.id(),
            secret.key().clone(),
        )
        .map(|url| url.to_string())
        .map_err(|error| error.to_string())
    }

    /// Asks for a spoken code; it comes when the service has answered.
    ///
    /// # Errors
    /// Why there can be none.
    pub fn code(&self) -> Result<oneshot::Receiver<Result<String, String>>, String> {
        self.wanted()?;
        match &self.keeper {
            Some(keeper) if self.seed.is_some() => Ok(keeper.code()),
            _ => Err(NOT_SHARED.to_owned()),
        }
    }

    /// The next thing the person should hear.
    pub async fn news(&mut self) -> News {
        match &mut self.keeper {
            Some(keeper) => keeper.news().await,
            None => std::future::pending().await,
        }
    }

    /// Ends the link, and waits until the service knows or does not answer (a second at most).
    pub async fn end(self) {
        if let Some(keeper) = self.keeper {
            keeper.end().await;
        }
    }

    fn wanted(&self) -> Result<&Wanted, String> {
        self.wanted.as_ref().ok_or_else(|| {
            "there is no link service: give one with --signal URL, or with signal in the settings (pillion config edit), when the session starts"
                .to_owned()
        })
    }

    fn secret(&self) -> Option<LinkSecret> {
        let seed = self.seed.as_ref()?;
        Some(LinkSecret::derive(&self.session.to_bytes(), seed))
    }

    fn tell(&mut self) {
        let (Some(wanted), Some(seed), Some(addr)) = (&self.wanted, &self.seed, &self.addr) else {
            return;
        };
        let shared = Shared {
            secret: LinkSecret::derive(&self.session.to_bytes(), seed),
            ticket: Ticket::new(addr.clone(), seed.clone(), self.relay_token()),
            session: *self.session.public().as_bytes(),
            publish: wanted.link,
            relay: self.relay.clone(),
        };
        if self.keeper.is_none() {
            self.keeper = match Keeper::start(wanted.service.clone()) {
                Ok(keeper) => Some(keeper),
                Err(error) => {
                    tracing::warn!(%error, "no link is published");
                    None
                }
            };
        }
        if let Some(keeper) = &self.keeper {
            keeper.share(Some(shared));
        }
    }
}

const NOT_SHARED: &str =
    "this session is not shared; `pillion share` starts that and prints the ticket";
