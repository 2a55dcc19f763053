//! A session's link and codes: what the keeper's thread is told, and what it tells.

use pillion_caps::SecretKey;
use pillion_net::{
    RelayCa,
    signal::{LinkPublisher, PublisherEvent, Shared, SignalService, SignalUrl},
};
use pillion_proto::{LinkSecret, LinkUrl, RelayToken, Ticket};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::hosting::session_dir::KeptService;

/// Which service, and whether a link is wanted from it.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// The service.
    pub service: SignalService,
    /// Publish a link. Codes are made when asked for, either way.
    pub link: bool,
}

/// One session's link.
pub struct Links {
    wanted: Option<LinkConfig>,
    /// Whom to trust for the certificate of a service that is named later.
    ca: Option<RelayCa>,
    session: SecretKey,
    /// Seed of the ticket's link key, while there is a ticket.
    seed: Option<Zeroizing<[u8; 32]>>,
    addr: Option<iroh_base::EndpointAddr>,
    /// Secret of the record that lets this session use the service's relay, if it has to.
    relay: Option<LinkSecret>,
    keeper: Option<LinkPublisher>,
}

impl Links {
    /// Nothing is shared yet. `seed` is the link key's of an earlier run, whose link this one keeps;
    /// `relay` says that the relay is one's own and has no other secret.
    pub fn new(
        wanted: Option<LinkConfig>,
        ca: Option<RelayCa>,
        session: SecretKey,
        seed: Option<[u8; 32]>,
        relay: bool,
    ) -> Links {
        let relay = relay && wanted.is_some();
        Links {
            wanted,
            ca,
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

    /// The service that is meant: the one that is named, else the session's.
    ///
    /// # Errors
    /// It is none, or there is none; how to name one.
    pub fn service(&self, named: Option<&str>) -> Result<SignalUrl, String> {
        let url: SignalUrl = match named {
            Some(named) => named.parse().map_err(|error| format!("{named}: {error}"))?,
            None => return Ok(self.wanted()?.service.url.clone()),
        };
        match &self.wanted {
            // What lets the host use its relay is kept at the service, too.
            Some(wanted) if self.relay.is_some() && wanted.service.url != url => Err(format!(
                "this session's relay takes it in on the word of {}, so its link and codes stay there",
                wanted.service.url
            )),
            _ => Ok(url),
        }
    }

    /// Whether this service is the session's, and, if `link`, the link is published there.
    pub fn uses(&self, service: &SignalUrl, link: bool) -> bool {
        let wanted = self.wanted.as_ref();
        wanted.is_some_and(|wanted| wanted.service.url == *service && (wanted.link || !link))
    }

    /// The service that a link is published at whenever the session is shared.
    pub fn publishes_at(&self) -> Option<String> {
        let wanted = self.wanted.as_ref().filter(|wanted| wanted.link)?;
        Some(wanted.service.url.to_string())
    }

    /// The service, as a session keeps it that may be started again.
    pub fn kept(&self) -> Option<KeptService> {
        let LinkConfig { service, link } = self.wanted.as_ref()?;
        let (url, link) = (service.url.to_string(), *link);
        Some(KeptService { url, link })
    }

    /// Uses this service from now on; with `link` the link is published there. At the service before
    /// it ends.
    pub fn use_service(&mut self, url: SignalUrl, link: bool) {
        let before = self.wanted.take();
        let link = link || before.as_ref().is_some_and(|wanted| wanted.link);
        let service = match before {
            Some(before) if before.service.url == url => before.service,
            _ => {
                self.keeper = None;
                let ca = self.ca.clone();
                SignalService { url, ca }
            }
        };
        self.wanted = Some(LinkConfig { service, link });
        self.tell();
    }

    /// Ends the link. Codes are made still.
    pub fn end_link(&mut self) {
        if let Some(wanted) = &mut self.wanted {
            wanted.link = false;
            self.tell();
        }
    }

    /// Whether there is a link to end.
    ///
    /// # Errors
    /// There is none; how to get one.
    pub fn has_link(&self) -> Result<(), String> {
        match &self.wanted {
            Some(wanted) if wanted.link => Ok(()),
            _ => Err("this session has no link; `pillion link` makes one".to_owned()),
        }
    }

    /// The link, while the session is shared with one.
    ///
    /// # Errors
    /// Why there is none, and how to get one.
    pub fn url(&self) -> Result<String, String> {
        let wanted = self.wanted()?;
        self.has_link()?;
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
    pub async fn news(&mut self) -> PublisherEvent {
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

    fn wanted(&self) -> Result<&LinkConfig, String> {
        self.wanted.as_ref().ok_or_else(|| {
            "there is no link service: name one with --signal URL, or with signal in the settings (pillion config edit) before the session starts"
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
            self.keeper = match LinkPublisher::start(wanted.service.clone()) {
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
