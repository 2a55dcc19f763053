//! Listening for viewers, and the link beside it.

use anyhow::{Context, Result};
use pillion_caps::PublicKey;
use pillion_net::{HostNet, NetError, NetOptions, RelayChoice, signal::PublisherEvent};
use pillion_session::HostInput;

use crate::hosting::{Hosting, Options, overlay::Overlay, reach::Reach, session_dir};

impl Hosting {
    /// Opens the endpoint, if it is not open: before the session is shared, so that its ticket says
    /// where it is.
    pub(super) async fn listen(&mut self) -> Result<()> {
        if self.net.is_none() {
            let net = self.bind().await.context("the session cannot be shared")?;
            if let Err(error) = session_dir::keep_sockets(&self.log, &net.sockets()) {
                tracing::warn!(%error, "where the session listens was not written down");
            }
            let addr = net.addr();
            self.reach = Reach::of(&net, &self.options.relay);
            self.net = Some(net);
            self.tell(HostInput::Addresses { addr });
        }
        Ok(())
    }

    /// Listens where the run before did, if nobody else does by now, so that its tickets lead here.
    async fn bind(&mut self) -> Result<HostNet, NetError> {
        let Options { relay, net, .. } = &self.options;
        let before = std::mem::take(&mut self.sockets);
        if net.bind.is_empty() && !before.is_empty() {
            let again = NetOptions {
                bind: before,
                ..net.clone()
            };
            match HostNet::bind(&self.key, relay.clone(), again).await {
                Ok(net) => return Ok(net),
                Err(error) => tracing::info!(%error, "the ports of before can't be had"),
            }
        }
        HostNet::bind(&self.key, relay.clone(), net.clone()).await
    }

    /// Whether people beyond this network can reach the session through a relay, as it is known in a moment. Nothing
    /// where there is to be none.
    pub async fn has_relay(&mut self) -> Option<bool> {
        let net = self.net.as_ref()?;
        match self.options.relay {
            RelayChoice::None => None,
            _ => Some(self.reach.at_first(net).await),
        }
    }

    /// It is another matter than before.
    pub(super) fn reach_changed(&mut self, overlay: Option<&mut Overlay>) {
        let said = self.reach.news(self.net.as_ref());
        match overlay {
            Some(overlay) => overlay.remark(self.clock.now(), said),
            None => crate::say!("pillion: {said}"),
        }
    }

    /// What became of the link or a code: at the terminal, or where a headless host is looked after.
    pub(super) fn link_news(&mut self, news: PublisherEvent, overlay: Option<&mut Overlay>) {
        match (news, overlay) {
            (PublisherEvent::Published, _) => tracing::info!("the link is published"),
            (PublisherEvent::CodeUsed { number, guest }, _) => {
                match PublicKey::from_bytes(&guest) {
                    Ok(guest) => self.tell(HostInput::CodeUsed { number, guest }),
                    // Nobody can connect with it.
                    Err(error) => {
                        tracing::info!(%error, "a code was used for an endpoint that is no key")
                    }
                }
            }
            (PublisherEvent::Said(text), Some(overlay)) => {
                overlay.remark(self.clock.now(), &text);
            }
            (PublisherEvent::Said(text), None) => crate::say!("pillion: {text}"),
        }
    }
}
