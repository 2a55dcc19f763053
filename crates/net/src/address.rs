//! Where an endpoint can be reached, as a ticket says it.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use iroh::{EndpointAddr, RelayUrl, TransportAddr};
use pillion_proto::limits::MAX_TICKET_ADDRS;

/// What a ticket should carry: the relay, the `known` direct addresses and loopback, at most
/// [`MAX_TICKET_ADDRS`], the most useful ones kept.
///
/// Loopback is there although the transport leaves it out: a viewer on the same machine needs it when
/// there is no network. `bound` are the sockets, `configured` is a relay of one's own, which is known
/// before it has answered.
pub(crate) fn for_ticket(
    known: EndpointAddr,
    bound: &[SocketAddr],
    configured: Option<&RelayUrl>,
) -> EndpointAddr {
    let loopback = bound
        .iter()
        .filter(|socket| socket.ip().is_unspecified())
        .map(|socket| {
            let ip: IpAddr = match socket {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            };
            TransportAddr::Ip(SocketAddr::new(ip, socket.port()))
        });
    let relay = configured.filter(|_| known.relay_urls().next().is_none());
    let all: BTreeSet<TransportAddr> = known
        .addrs
        .into_iter()
        .chain(loopback)
        .chain(relay.cloned().map(TransportAddr::Relay))
        .collect();
    let mut all: Vec<TransportAddr> = all.into_iter().collect();
    all.sort_by_key(usefulness);
    all.truncate(MAX_TICKET_ADDRS);
    EndpointAddr::from_parts(known.id, all)
}

/// Less is more useful.
fn usefulness(addr: &TransportAddr) -> u8 {
    match addr {
        TransportAddr::Relay(_) => 0,
        TransportAddr::Ip(addr) => match addr.ip() {
            IpAddr::V4(ip) if ip.is_loopback() => 3,
            IpAddr::V4(ip) if ip.is_link_local() => 6,
            IpAddr::V4(ip) if ip.is_private() => 2,
            IpAddr::V4(_) => 1,
            IpAddr::V6(ip) if ip.is_loopback() => 7,
            IpAddr::V6(ip) if ip.is_unicast_link_local() => 8,
            IpAddr::V6(ip) if ip.is_unique_local() => 5,
            IpAddr::V6(_) => 4,
        },
        _ => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iroh::SecretKey;

    fn ip(text: &str) -> TransportAddr {
        TransportAddr::Ip(text.parse().unwrap())
    }

    #[test]
    fn loopback_and_a_relay_of_ones_own_are_there_from_the_start() {
        let id = SecretKey::from_bytes(&[7; 32]).public();
        let known = EndpointAddr::from_parts(id, [ip("192.168.1.5:4000")]);
        let relay: RelayUrl = "https://relay.example.org".parse().unwrap();
        let bound = [
            "0.0.0.0:4000".parse().unwrap(),
            "[::]:4001".parse().unwrap(),
        ];
        let addr = for_ticket(known, &bound, Some(&relay));
        let expected = [
            TransportAddr::Relay(relay),
            ip("127.0.0.1:4000"),
            ip("192.168.1.5:4000"),
            ip("[::1]:4001"),
        ];
        assert_eq!(addr.addrs, BTreeSet::from(expected));
    }

    #[test]
    fn a_socket_on_one_address_gets_no_loopback() {
        let id = SecretKey::from_bytes(&[7; 32]).public();
        let known = EndpointAddr::from_parts(id, [ip("192.168.1.5:4000")]);
        let bound = ["192.168.1.5:4000".parse().unwrap()];
        assert_eq!(for_ticket(known.clone(), &bound, None), known);
    }

    #[test]
    fn of_too_many_addresses_the_most_useful_stay() {
        let id = SecretKey::from_bytes(&[7; 32]).public();
        let relay: RelayUrl = "https://relay.example.org".parse().unwrap();
        let many = (0..100).map(|n| ip(&format!("[fe80::{n:x}]:1")));
        let known = EndpointAddr::from_parts(
            id,
            many.chain([ip("203.0.113.7:1"), TransportAddr::Relay(relay.clone())]),
        );
        let addr = for_ticket(known, &["0.0.0.0:1".parse().unwrap()], None);
        assert_eq!(addr.addrs.len(), MAX_TICKET_ADDRS);
        for kept in [
            ip("203.0.113.7:1"),
            ip("127.0.0.1:1"),
            TransportAddr::Relay(relay),
        ] {
            assert!(addr.addrs.contains(&kept), "{kept:?}");
        }
    }
}
