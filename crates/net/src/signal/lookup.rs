//! Asks for a link's record by datagram: one round trip to a service that was not spoken to before,
//! where HTTPS takes three. See [`pillion_proto::lookup`].

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use pillion_proto::{
    LinkId,
    lookup::{LOOKUP_LEN, answered, question},
};
use reqwest::Url;
use tokio::{net::UdpSocket, sync::mpsc, task::JoinSet};

/// Most answers that wait to be looked at; anybody can send one that looks right until it is opened.
const MAX_WAITING: usize = 4;

/// A question under way. Ends when dropped.
pub(super) struct Lookup {
    answers: mpsc::Receiver<Vec<u8>>,
    _asking: JoinSet<()>,
}

impl Lookup {
    /// Asks the service of a link. Where the machine goes out through a proxy, nobody is asked: the
    /// proxy would be bypassed.
    pub(super) fn start(service: &str, id: LinkId) -> Lookup {
        let (found, answers) = mpsc::channel(MAX_WAITING);
        let mut asking = JoinSet::new();
        if let Some((host, port)) = address(service)
            && !proxied()
        {
            asking.spawn(ask(host, port, id, found));
        }
        Lookup {
            answers,
            _asking: asking,
        }
    }

    /// The next answer, not yet verified; nothing once there can be none.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        self.answers.recv().await
    }
}

async fn ask(host: String, port: u16, id: LinkId, found: mpsc::Sender<Vec<u8>>) {
    let Ok(addrs) = tokio::net::lookup_host((host, port)).await else {
        return;
    };
    let addrs: Vec<SocketAddr> = addrs.collect();
    let first = |v6: bool| addrs.iter().find(|addr| addr.is_ipv6() == v6).copied();
    let mut asking = JoinSet::new();
    for addr in [first(false), first(true)].into_iter().flatten() {
        asking.spawn(ask_at(addr, id, found.clone()));
    }
    asking.join_all().await;
}

async fn ask_at(addr: SocketAddr, id: LinkId, found: mpsc::Sender<Vec<u8>>) -> Option<()> {
    let any: SocketAddr = match addr {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.ok()?;
    socket.connect(addr).await.ok()?;
    socket.send(&question(&id)).await.ok()?;
    let mut datagram = [0; LOOKUP_LEN + 1];
    loop {
        // Nobody there is an error here, on most networks.
        let length = socket.recv(&mut datagram).await.ok()?;
        if let Some(record) = answered(&id, &datagram[..length]) {
            found.send(record).await.ok()?;
        }
    }
}

/// Host and port of a service's URL.
fn address(service: &str) -> Option<(String, u16)> {
    let url: Url = service.parse().ok()?;
    let host = url.host_str()?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), url.port_or_known_default()?))
}

/// Whether requests go out through a proxy.
fn proxied() -> bool {
    ["all_proxy", "https_proxy", "http_proxy"]
        .into_iter()
        .any(|name| {
            [name.to_owned(), name.to_uppercase()]
                .iter()
                .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_services_address_is_read_off_its_url() {
        let at = |service: &str| address(service).unwrap();
        assert_eq!(at("https://signal.example"), ("signal.example".into(), 443));
        assert_eq!(at("http://127.0.0.1:8080/path"), ("127.0.0.1".into(), 8080));
        assert_eq!(at("https://[::1]:9"), ("::1".into(), 9));
    }
}
