//! An iroh relay in the same process, for those the service knows.
//!
//! It forwards sealed packets between peers that find no direct path. Let in is who shows, as the
//! bearer token iroh sends along,
//! - a [`RelayToken`] of a link that has a live record: its host, and the viewers whose ticket
//!   carries the token; or
//! - the relay's shared secret, if it has one.
//!
//! It is asked at each connection, not again while one lasts.

use std::{fmt, sync::Arc};

use anyhow::Context as _;
use iroh_relay::server::{
    Access, AccessControl, CertConfig, ClientRequest, QuicConfig, RelayConfig as Iroh, Server,
    ServerConfig, TlsConfig,
};
use pillion_proto::RelayToken;
use sha2::{Digest as _, Sha256};

use crate::{
    config::{RelayConfig, Tls},
    http::App,
    links,
};

pub(crate) async fn start(
    config: &RelayConfig,
    tls: Option<&Tls>,
    app: Arc<App>,
) -> anyhow::Result<Server> {
    let listen = config.listen;
    let mut relay = match tls {
        // Plain HTTP is only for the probe for captive portals; nobody needs to reach it.
        Some(_) => Iroh::new(([127, 0, 0, 1], 0)),
        None => Iroh::new(listen),
    };
    if let Some(Tls(tls)) = tls {
        let server_config = (**tls).clone();
        relay.tls = Some(TlsConfig::new(listen, CertConfig::Manual { server_config }));
    }
    relay.access = Arc::new(Admission {
        secret: config.secret.as_ref().map(|text| hash(text)),
        app,
    });
    let mut server = ServerConfig::default();
    server.relay = Some(relay);
    if let Some(quic) = config.quic {
        anyhow::ensure!(
            tls.is_some(),
            "QUIC address discovery needs a certificate: give --tls-cert and --tls-key, or leave out --relay-quic"
        );
        server.quic = Some(QuicConfig::new(quic));
    }
    Server::spawn(server)
        .await
        .with_context(|| format!("the relay cannot listen on {listen}"))
}

struct Admission {
    /// SHA-256 of the shared secret.
    secret: Option<[u8; 32]>,
    app: Arc<App>,
}

impl Admission {
    async fn judge(&self, token: Option<&str>) -> Result<(), &'static str> {
        let token = token.ok_or("this relay is for hosts with a live link and their viewers")?;
        // Hashes are compared, so the time it takes says nothing of the secret.
        if self.secret.is_some_and(|secret| secret == hash(token)) {
            return Ok(());
        }
        let id = token
            .parse::<RelayToken>()
            .ok()
            .and_then(|token| token.verify().ok())
            .ok_or("this is not a relay token: ask the host for a new ticket")?;
        match links::is_live(&*self.app.store, &id).await {
            Ok(true) => Ok(()),
            Ok(false) => Err("the link this token belongs to has ended"),
            Err(_) => Err("the relay cannot check tokens now; try again in a moment"),
        }
    }
}

impl AccessControl for Admission {
    async fn on_connect(&self, request: &ClientRequest) -> Access {
        match self.judge(request.auth_token().as_deref()).await {
            Ok(()) => {
                self.app.metrics.relay_admitted.inc();
                Access::Allow
            }
            Err(reason) => {
                self.app.metrics.relay_refused.inc();
                Access::Deny {
                    reason: Some(reason.to_owned()),
                }
            }
        }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admission(…)")
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}
