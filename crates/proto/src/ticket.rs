//! The strings people paste: tickets and grant tokens.
//!
//! Both are `iroh-tickets` kinds: a lower-case prefix that names the kind, then base32. The last bytes
//! are a check sum, so that a string cut short by a copy is told from a wrong one.
//!
//! A ticket is typed, pasted and read aloud, so its text is as short as it can be: of a host with a public
//! relay and up to two IPv4 addresses it has at most 110 characters, which are two lines of a terminal.

use std::{collections::BTreeSet, fmt, net::SocketAddr, str::FromStr};

use iroh_base::{EndpointAddr, EndpointId, RelayUrl, TransportAddr};
use iroh_tickets::{ParseError, Ticket as Kind};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    limits::{MAX_GRANT, MAX_TICKET_ADDRS, MAX_TICKET_CHARS},
    link::{RelayToken, expand},
    message::KeyBytes,
};

/// What one joins with: where the session is, and the secret that proves one was given the ticket.
///
/// The endpoint id (and a relay, when the host uses one) is enough to find a host whose addresses
/// changed; addresses are hints. The secret never crosses the wire: the joiner signs with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The session's key, which is its endpoint id, and where it was last reachable.
    pub addr: EndpointAddr,
    /// Seed of the link key; short in the ticket if [`link_seed`] made it.
    pub link: Zeroizing<[u8; 32]>,
    /// What the host's relay lets the joiner in by, where it asks for something.
    pub relay: Option<RelayToken>,
}

/// What one presents beside a ticket to be given a right: a signed grant, and the secret of the link
/// key it names.
#[derive(Clone, PartialEq, Eq)]
pub struct GrantToken {
    /// The session the grant is for.
    pub session: KeyBytes,
    /// The grant's bytes (`pillion_caps::Grant`).
    pub grant: Vec<u8>,
    /// Seed of the link key the grant names.
    pub link: Zeroizing<[u8; 32]>,
}

/// Why a pasted string is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TicketError {
    /// Nothing was given.
    #[error("no {wanted} was given: paste the whole line the host was shown")]
    Empty {
        /// "ticket" or "grant token".
        wanted: &'static str,
    },
    /// A string of another kind, which is named.
    #[error("this is {found}, not a {wanted}: {hint}")]
    WrongKind {
        /// What it is.
        found: &'static str,
        /// What was wanted.
        wanted: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// Not a string of ours at all.
    #[error(
        "this is not a {wanted}: a {wanted} starts with \"{prefix}\"; paste the whole line the host was shown"
    )]
    NotOurs {
        /// What was wanted.
        wanted: &'static str,
        /// How one starts.
        prefix: &'static str,
    },
    /// Cut short or mistyped.
    #[error("this {wanted} is damaged or cut short: copy it again, whole")]
    Damaged {
        /// What was wanted.
        wanted: &'static str,
    },
    /// Made by a version this one does not know.
    #[error("this {wanted} was made by a newer pillion: please upgrade pillion on this side")]
    Newer {
        /// What was wanted.
        wanted: &'static str,
    },
}

const TICKET: &str = "pillion";
const TOKEN: &str = "pilliongrant";
const TICKET_WORD: &str = "ticket";
const TOKEN_WORD: &str = "grant token";

/// A grant token's layout: this byte, postcard, a check sum.
const LAYOUT: u8 = 1;

/// A ticket's layout is the first two bits of its first byte; what the other bits are is said at
/// [`Head`].
const TICKET_LAYOUT: u8 = 0b01;

/// The relays that everybody may use, by number: a ticket names one of these in three bits. The
/// network layer's own defaults; a number is never given to another relay.
pub const PUBLIC_RELAYS: [&str; 4] = [
    "https://use1-1.relay.n0.iroh.link./",
    "https://usw1-1.relay.n0.iroh.link./",
    "https://euc1-1.relay.n0.iroh.link./",
    "https://aps1-1.relay.n0.iroh.link./",
];

/// IPv4 addresses that need no tail: six bytes each.
const SHORT_ADDRS: usize = 3;

/// Addresses in a ticket that is read by people: of a host with a relay, and of one without.
const TEXT_ADDRS: [usize; 2] = [2, 4];

/// Bytes of a ticket's check sum.
const TICKET_CHECK: usize = 3;

/// The first byte of a ticket: two bits of layout, three for the relay (0: none, or in the tail;
/// otherwise one more than its number in [`PUBLIC_RELAYS`]), two for how many IPv4 addresses follow
/// the secret, and one for a tail after those.
struct Head {
    relay: u8,
    addrs: u8,
    tail: bool,
}

impl Head {
    fn to_byte(&self) -> u8 {
        TICKET_LAYOUT << 6 | self.relay << 3 | self.addrs << 1 | u8::from(self.tail)
    }

    fn from_byte(byte: u8) -> Option<Head> {
        (byte >> 6 == TICKET_LAYOUT).then_some(Head {
            relay: byte >> 3 & 0b111,
            addrs: byte >> 1 & 0b11,
            tail: byte & 1 == 1,
        })
    }
}

/// What most tickets do without.
#[derive(Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tail {
    /// Addresses and relays that have no short form.
    addrs: BTreeSet<TransportAddr>,
    /// The second half of a seed that doesn't follow from the first ([`link_seed`]).
    seed: Option<[u8; 16]>,
    relay: Option<RelayToken>,
}

/// The seed of a link key, from 128 random bits: those, and what follows from them. So a ticket carries
/// sixteen bytes of it, and everything else is made with all 32.
pub fn link_seed(secret: &[u8; 16]) -> Zeroizing<[u8; 32]> {
    let mut seed = Zeroizing::new([0; 32]);
    let (first, second) = seed.split_at_mut(16);
    first.copy_from_slice(secret);
    let rest: Zeroizing<[u8; 16]> = expand(b"", secret, b"pillion link seed v1");
    second.copy_from_slice(rest.as_slice());
    seed
}

#[derive(Serialize, Deserialize)]
struct TokenBody {
    session: KeyBytes,
    grant: Vec<u8>,
    link: KeyBytes,
}

impl Kind for Ticket {
    const KIND: &'static str = TICKET;

    /// For text: the addresses that help most, not all of them.
    fn encode_bytes(&self) -> Vec<u8> {
        let (ips, relays): (Vec<_>, Vec<_>) = self.addr.addrs.iter().partition(|addr| addr.is_ip());
        let has_relay = relays.iter().any(|addr| addr.is_relay());
        let most = TEXT_ADDRS[usize::from(!has_relay)];
        let is_local = |addr: &TransportAddr| matches!(addr, TransportAddr::Ip(addr) if addr.ip().is_loopback());
        let only_local = ips.iter().all(|addr| is_local(addr));
        let mut ips: Vec<&TransportAddr> = ips
            .into_iter()
            .filter(|addr| only_local || !is_local(addr))
            .collect();
        ips.sort_by_key(|addr| matches!(addr, TransportAddr::Ip(SocketAddr::V6(_))));
        ips.truncate(most);
        self.encode(relays.into_iter().take(1).chain(ips).cloned())
    }

    fn decode_bytes(bytes: &[u8]) -> Result<Self, ParseError> {
        let damaged = || ParseError::verification_failed("damaged");
        let (body, check) = bytes
            .split_last_chunk::<TICKET_CHECK>()
            .ok_or_else(damaged)?;
        if *check != ticket_checksum(body) {
            return Err(damaged());
        }
        let (head, rest) = body.split_first().ok_or_else(damaged)?;
        let head = Head::from_byte(*head).ok_or_else(|| ParseError::verification_failed(NEWER))?;
        let (id, rest) = rest.split_first_chunk::<32>().ok_or_else(damaged)?;
        let id = EndpointId::from_bytes(id).map_err(|_| damaged())?;
        let (secret, mut rest) = rest.split_first_chunk::<16>().ok_or_else(damaged)?;
        let mut link = link_seed(secret);
        let mut addr = EndpointAddr::new(id);
        for _ in 0..head.addrs {
            let (at, after) = rest.split_first_chunk::<6>().ok_or_else(damaged)?;
            let [a, b, c, d, port @ ..] = *at;
            addr = addr.with_ip_addr(([a, b, c, d], u16::from_be_bytes(port)).into());
            rest = after;
        }
        if let Some(number) = head.relay.checked_sub(1) {
            let url = PUBLIC_RELAYS.get(usize::from(number));
            // A relay that is not known here: its host may still be found by its other addresses.
            if let Some(url) = url.and_then(|url| url.parse().ok()) {
                addr = addr.with_relay_url(url);
            }
        }
        let mut relay = None;
        if head.tail {
            // What a newer version adds comes after what is known here.
            let (tail, _) = postcard::take_from_bytes::<Tail>(rest).map_err(|_| damaged())?;
            if tail.addrs.len() > MAX_TICKET_ADDRS {
                return Err(ParseError::verification_failed("too many addresses"));
            }
            addr.addrs.extend(tail.addrs);
            if let Some(second) = tail.seed {
                link[16..].copy_from_slice(&second);
            }
            relay = tail.relay;
        } else if !rest.is_empty() {
            return Err(damaged());
        }
        Ok(Ticket { addr, link, relay })
    }
}

impl Kind for GrantToken {
    const KIND: &'static str = TOKEN;

    fn encode_bytes(&self) -> Vec<u8> {
        seal(&TokenBody {
            session: self.session,
            grant: self.grant.clone(),
            link: *self.link,
        })
    }

    fn decode_bytes(bytes: &[u8]) -> Result<Self, ParseError> {
        let body: TokenBody = open(bytes)?;
        if body.grant.len() > MAX_GRANT {
            return Err(ParseError::verification_failed("oversized grant"));
        }
        Ok(GrantToken {
            session: body.session,
            grant: body.grant,
            link: Zeroizing::new(body.link),
        })
    }
}

impl Ticket {
    /// A session's ticket. The relay's token goes along only if there is a relay to show it to.
    pub fn new(addr: EndpointAddr, link: Zeroizing<[u8; 32]>, relay: Option<RelayToken>) -> Ticket {
        let relay = relay.filter(|_| addr.relay_urls().next().is_some());
        Ticket { addr, link, relay }
    }

    /// The relay that asks for something, and what to show it.
    pub fn relay(&self) -> Option<(&RelayUrl, &RelayToken)> {
        Some((self.addr.relay_urls().next()?, self.relay.as_ref()?))
    }

    /// The ticket as a spoken code gives it to the one who joins with the endpoint key `endpoint`: to anybody
    /// else it opens nothing.
    pub fn for_endpoint(mut self, endpoint: &KeyBytes) -> Ticket {
        self.link = link_for_endpoint(&self.link, endpoint);
        self
    }

    /// The ticket where it is not text: in a link's record, behind a code.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let addrs = self.addr.addrs.iter().take(MAX_TICKET_ADDRS);
        Zeroizing::new(self.encode(addrs.cloned()))
    }

    fn encode(&self, addrs: impl Iterator<Item = TransportAddr>) -> Vec<u8> {
        let (first, second) = self.link.split_at(16);
        let mut secret = Zeroizing::new([0; 16]);
        secret.copy_from_slice(first);
        let mut tail = Tail {
            relay: self.relay.clone(),
            ..Tail::default()
        };
        if *link_seed(&secret) != *self.link {
            let mut rest = [0; 16];
            rest.copy_from_slice(second);
            tail.seed = Some(rest);
        }
        let mut head = Head {
            relay: 0,
            addrs: 0,
            tail: false,
        };
        let mut short = Vec::new();
        for addr in addrs {
            match &addr {
                TransportAddr::Ip(SocketAddr::V4(at)) if usize::from(head.addrs) < SHORT_ADDRS => {
                    head.addrs += 1;
                    short.extend_from_slice(&at.ip().octets());
                    short.extend_from_slice(&at.port().to_be_bytes());
                }
                TransportAddr::Relay(url) if head.relay == 0 && number(url).is_some() => {
                    head.relay = number(url).map_or(0, |number| number + 1);
                }
                _ => {
                    tail.addrs.insert(addr);
                }
            }
        }
        head.tail = tail != Tail::default();
        let mut bytes = vec![head.to_byte()];
        bytes.extend_from_slice(self.addr.id.as_bytes());
        bytes.extend_from_slice(secret.as_slice());
        bytes.extend_from_slice(&short);
        if head.tail {
            bytes = postcard::to_extend(&tail, bytes).expect("our own strings always encode");
        }
        let check = ticket_checksum(&bytes);
        bytes.extend_from_slice(&check);
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TicketError> {
        Self::decode_bytes(bytes).map_err(|error| why_not(error, TICKET_WORD, TICKET))
    }
}

/// A relay's number in [`PUBLIC_RELAYS`].
fn number(url: &RelayUrl) -> Option<u8> {
    let at = PUBLIC_RELAYS
        .iter()
        .position(|known| *known == url.as_str())?;
    u8::try_from(at).ok()
}

/// Seed of the link key in the ticket that is for one endpoint alone, from the seed in the whole ticket. A
/// host accepts that key from this endpoint only, and need not remember to whom it gave one.
pub fn link_for_endpoint(link: &[u8; 32], endpoint: &KeyBytes) -> Zeroizing<[u8; 32]> {
    expand(endpoint, link, b"pillion ticket for one endpoint v1")
}

impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        let text = tidy(text, TICKET_WORD)?;
        // The token's prefix begins with the ticket's, so the longer one is looked for first.
        if text.starts_with(TOKEN) {
            return Err(TicketError::WrongKind {
                found: "a grant token",
                wanted: TICKET_WORD,
                hint: "join with the ticket, and give this one with --grant",
            });
        }
        parse(&text, TICKET_WORD)
    }
}

impl FromStr for GrantToken {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        let text = tidy(text, TOKEN_WORD)?;
        if text.starts_with(TICKET) && !text.starts_with(TOKEN) {
            return Err(TicketError::WrongKind {
                found: "a ticket",
                wanted: TOKEN_WORD,
                hint: "a grant token is what `pillion grant --link --edit` prints",
            });
        }
        parse(&text, TOKEN_WORD)
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.encode_string())
    }
}

impl fmt::Display for GrantToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.encode_string())
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({}, link: …)", self.addr.id.fmt_short())
    }
}

impl fmt::Debug for GrantToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GrantToken(…)")
    }
}

/// What a paste brings along: blanks, line breaks of a wrapped mail, a `pillion join ` in front.
fn tidy(text: &str, wanted: &'static str) -> Result<String, TicketError> {
    let text = text.trim();
    let text = text.strip_prefix("pillion join ").unwrap_or(text);
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if text.is_empty() {
        return Err(TicketError::Empty { wanted });
    }
    if text.len() > MAX_TICKET_CHARS {
        return Err(TicketError::Damaged { wanted });
    }
    Ok(text.to_ascii_lowercase())
}

fn parse<K: Kind>(text: &str, wanted: &'static str) -> Result<K, TicketError> {
    if let Some(found) = other_kind(text) {
        return Err(TicketError::WrongKind {
            found,
            wanted,
            hint: "it belongs to another program",
        });
    }
    K::decode_string(text).map_err(|error| why_not(error, wanted, K::KIND))
}

fn why_not(error: ParseError, wanted: &'static str, prefix: &'static str) -> TicketError {
    match error {
        ParseError::Kind { .. } => TicketError::NotOurs { wanted, prefix },
        ParseError::Verify { message: NEWER, .. } => TicketError::Newer { wanted },
        _ => TicketError::Damaged { wanted },
    }
}

/// Kinds of other programs on the same transport that get pasted by mistake.
fn other_kind(text: &str) -> Option<&'static str> {
    match text {
        t if t.starts_with("endpoint") => Some("an iroh endpoint ticket"),
        t if t.starts_with("node") => Some("an iroh node ticket"),
        t if t.starts_with("blob") => Some("an iroh blob ticket"),
        t if t.starts_with("doc") => Some("an iroh document ticket"),
        _ => None,
    }
}

const NEWER: &str = "made by a newer version";
const CHECK: usize = 4;

fn seal<T: Serialize>(body: &T) -> Vec<u8> {
    let mut bytes = vec![LAYOUT];
    bytes = postcard::to_extend(body, bytes).expect("our own strings always encode");
    let check = checksum(&bytes);
    bytes.extend_from_slice(&check);
    bytes
}

fn open<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, ParseError> {
    let damaged = || ParseError::verification_failed("damaged");
    let (body, check) = bytes.split_last_chunk::<CHECK>().ok_or_else(damaged)?;
    if *check != checksum(body) {
        return Err(damaged());
    }
    match body.split_first() {
        Some((&LAYOUT, rest)) => match postcard::take_from_bytes(rest) {
            Ok((value, [])) => Ok(value),
            _ => Err(damaged()),
        },
        Some(_) => Err(ParseError::verification_failed(NEWER)),
        None => Err(damaged()),
    }
}

/// The last bytes of the check sum of a token's layout.
fn ticket_checksum(bytes: &[u8]) -> [u8; TICKET_CHECK] {
    let [_, check @ ..] = checksum(bytes);
    check
}

/// FNV-1a, 32 bit: a slip of the hand, not an attacker, is what this finds; signatures do the rest.
fn checksum(bytes: &[u8]) -> [u8; CHECK] {
    let mut hash = 0x811c_9dc5_u32;
    for byte in bytes {
        hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    }
    hash.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LinkSecret;
    use proptest::prelude::*;

    /// The public key of the secret made of ones.
    fn session() -> EndpointId {
        iroh_base::SecretKey::from_bytes(&[1; 32]).public()
    }

    fn ticket() -> Ticket {
        let addr = EndpointAddr::new(session())
            .with_ip_addr("192.0.2.1:4433".parse().unwrap())
            .with_relay_url("https://relay.example".parse().unwrap());
        Ticket::new(addr, link_seed(&[7; 16]), None)
    }

    /// The usual one: a public relay, and two addresses.
    fn usual() -> Ticket {
        let addr = EndpointAddr::new(session())
            .with_ip_addr("192.168.178.23:49152".parse().unwrap())
            .with_ip_addr("203.0.113.7:49152".parse().unwrap())
            .with_relay_url(PUBLIC_RELAYS[2].parse().unwrap());
        Ticket::new(addr, link_seed(&[7; 16]), None)
    }

    /// The same of a host whose relay asks for a token.
    fn relayed() -> Ticket {
        let token = LinkSecret::for_relay(&[1; 32]).relay_token();
        let Ticket { addr, link, .. } = ticket();
        Ticket::new(addr, link, Some(token))
    }

    fn token() -> GrantToken {
        GrantToken {
            session: [3; 32],
            grant: b"a grant".to_vec(),
            link: Zeroizing::new([9; 32]),
        }
    }

    #[test]
    fn golden_strings() {
        assert_eq!(
            ticket().to_string(),
            "pillioniofiry65oqe7dfp5klns2pf2lvzmuzyjx4ozieq36n2iqanub5xvybyha4dqobyha4dqobyha4dqob6aaabacekraeabm2duoryhgorpf5zgk3dbpexgk6dbnvygyzjpaaaplbrz"
        );
        assert_eq!(
            relayed().to_string(),
            "pillioniofiry65oqe7dfp5klns2pf2lvzmuzyjx4ozieq36n2iqanub5xvybyha4dqobyha4dqobyha4dqob6aaabacekraeabm2duoryhgorpf5zgk3dbpexgk6dbnvygyzjpaaaw5ioxcvm7gx33mu2leoumjyzli5oyp6jdruu4se3ibhg4htgwrkdzuybnmr2albucfcldavdwzacmap2br5v5opngachxs7onuqz5cqc5uef3ycx64pmod2xnxudq2qx3e4iuxp4tsze3bl2wpujmsidamciv7e"
        );
        assert_eq!(
            token().to_string(),
            "pilliongrantaebqgaydambqgaydambqgaydambqgaydambqgaydambqgaydambqgb3bebtxeylooqeqscijbeeqscijbeeqscijbeeqscijbeeqscijbeeqscijbeeqsa332j3a"
        );
    }

    #[test]
    fn the_usual_one_fits_into_two_lines() {
        assert_eq!(usual().to_string().len(), 110);
        assert!(usual().to_string().len() + "pillion join ".len() <= 2 * 80);
        let direct = Ticket {
            addr: EndpointAddr::new(session()).with_ip_addr("10.0.0.1:1".parse().unwrap()),
            ..usual()
        };
        assert!(direct.to_string().len() <= 100);
    }

    #[test]
    fn text_carries_the_addresses_that_help_and_bytes_carry_all() {
        let addr = [
            "127.0.0.1:1",
            "[::1]:1",
            "[2001:db8::1]:1",
            "10.0.0.1:1",
            "10.0.0.2:1",
        ]
        .iter()
        .fold(EndpointAddr::new(session()), |addr, at| {
            addr.with_ip_addr(at.parse().unwrap())
        });
        let read = |addr: &EndpointAddr| -> Vec<String> {
            let ticket = Ticket::new(addr.clone(), link_seed(&[7; 16]), None);
            assert_eq!(Ticket::from_bytes(&ticket.to_bytes()), Ok(ticket.clone()));
            let read: Ticket = ticket.to_string().parse().unwrap();
            read.addr.ip_addrs().map(ToString::to_string).collect()
        };
        assert_eq!(read(&addr), ["10.0.0.1:1", "10.0.0.2:1", "[2001:db8::1]:1"]);
        let relayed = addr.with_relay_url(PUBLIC_RELAYS[0].parse().unwrap());
        assert_eq!(read(&relayed), ["10.0.0.1:1", "10.0.0.2:1"]);
        let local = EndpointAddr::new(session()).with_ip_addr("127.0.0.1:1".parse().unwrap());
        assert_eq!(read(&local), ["127.0.0.1:1"], "nothing else is known");
    }

    #[test]
    fn a_ticket_with_more_in_it_is_read_for_what_is_known() {
        let mut bytes = relayed().encode_bytes();
        bytes.truncate(bytes.len() - TICKET_CHECK);
        bytes.extend_from_slice(b"a field of a newer version");
        let check = ticket_checksum(&bytes);
        bytes.extend_from_slice(&check);
        assert_eq!(Ticket::from_bytes(&bytes), Ok(relayed()));
    }

    #[test]
    fn golden_key_for_one_endpoint() {
        let one = ticket().for_endpoint(&[5; 32]);
        assert_eq!(one.addr, ticket().addr);
        assert_eq!(
            data_encoding::HEXLOWER.encode(&one.link[..]),
            "cb6cc12d704f9ea7d296365b965c53e5489c4705fc66f7cde4790cd5c02d5f0c"
        );
        assert_ne!(one.link, ticket().for_endpoint(&[6; 32]).link);
    }

    #[test]
    fn they_come_back() {
        assert_eq!(ticket().to_string().parse(), Ok(ticket()));
        assert_eq!(token().to_string().parse(), Ok(token()));
        assert_eq!(Ticket::from_bytes(&ticket().to_bytes()), Ok(ticket()));
        assert_eq!(usual().to_string().parse(), Ok(usual()));
        let bare = Ticket {
            addr: EndpointAddr::new(session()),
            ..ticket()
        };
        assert_eq!(bare.to_string().parse(), Ok(bare));
        assert_eq!(relayed().to_string().parse(), Ok(relayed()));
    }

    #[test]
    fn a_relays_token_goes_with_its_relay() {
        let (ticket, token) = (relayed(), LinkSecret::for_relay(&[1; 32]).relay_token());
        let (url, shown) = ticket.relay().unwrap();
        assert_eq!(url.host_str(), Some("relay.example"));
        assert_eq!(shown, &token);
        let direct = EndpointAddr::new(session()).with_ip_addr("192.0.2.1:4433".parse().unwrap());
        let direct = Ticket::new(direct, ticket.link.clone(), Some(token));
        assert!(direct.relay.is_none() && direct.relay().is_none());
    }

    #[test]
    fn what_a_paste_brings_along_is_left_out() {
        let text = ticket().to_string();
        let (one, two) = text.split_at(40);
        for pasted in [
            format!("  {text}\n"),
            format!("pillion join {text}"),
            format!("{one}\r\n{two}"),
            text.to_uppercase(),
        ] {
            assert_eq!(pasted.parse(), Ok(ticket()), "{pasted}");
        }
    }

    #[test]
    fn a_string_of_another_kind_is_named() {
        let wrong = |text: &str| match text.parse::<Ticket>() {
            Err(TicketError::WrongKind { found, .. }) => found,
            other => panic!("{other:?}"),
        };
        assert_eq!(wrong(&token().to_string()), "a grant token");
        let endpoint = iroh_tickets::endpoint::EndpointTicket::new(EndpointAddr::new(session()));
        assert_eq!(wrong(&endpoint.to_string()), "an iroh endpoint ticket");
        match ticket().to_string().parse::<GrantToken>() {
            Err(TicketError::WrongKind {
                found: "a ticket",
                hint,
                ..
            }) => {
                assert!(hint.contains("grant --link"));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_string_of_ours_is_told_how_one_starts() {
        let error = "hello".parse::<Ticket>().unwrap_err();
        assert!(
            error.to_string().contains("starts with \"pillion\""),
            "{error}"
        );
        let error = "https://example.com".parse::<GrantToken>().unwrap_err();
        assert!(
            error.to_string().contains("starts with \"pilliongrant\""),
            "{error}"
        );
        assert_eq!(
            " \n".parse::<Ticket>(),
            Err(TicketError::Empty { wanted: "ticket" })
        );
    }

    #[test]
    fn one_cut_short_anywhere_is_told_so() {
        for (text, prefix) in [(ticket().to_string(), TICKET), (token().to_string(), TOKEN)] {
            for end in prefix.len()..text.len() {
                let damaged = match prefix {
                    TOKEN => text[..end].parse::<GrantToken>().map(|_| ()),
                    _ => text[..end].parse::<Ticket>().map(|_| ()),
                };
                assert!(
                    matches!(damaged, Err(TicketError::Damaged { .. })),
                    "{end} {damaged:?}"
                );
            }
        }
    }

    #[test]
    fn one_of_a_newer_layout_asks_for_an_upgrade() {
        let mut bytes = ticket().encode_bytes();
        bytes.truncate(bytes.len() - TICKET_CHECK);
        bytes[0] = (TICKET_LAYOUT + 1) << 6;
        let check = ticket_checksum(&bytes);
        bytes.extend_from_slice(&check);
        let text = format!(
            "{TICKET}{}",
            data_encoding::BASE32_NOPAD.encode(&bytes).to_lowercase()
        );
        assert_eq!(
            text.parse::<Ticket>(),
            Err(TicketError::Newer { wanted: "ticket" })
        );
    }

    #[test]
    fn what_is_too_large_is_refused() {
        assert!("pillion".repeat(2000).parse::<Ticket>().is_err());
        let large = GrantToken {
            grant: vec![0; MAX_GRANT + 1],
            ..token()
        };
        assert!(large.to_string().parse::<GrantToken>().is_err());
    }

    #[test]
    fn more_addresses_than_a_ticket_carries_are_left_out() {
        let mut addr = EndpointAddr::new(session());
        for port in 1..100 {
            addr = addr.with_ip_addr(([127, 0, 0, 1], port).into());
        }
        let many = Ticket { addr, ..ticket() };
        let read = Ticket::from_bytes(&many.to_bytes()).unwrap();
        assert_eq!(read.addr.addrs.len(), MAX_TICKET_ADDRS);
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?}", ticket()).contains("7, 7"));
        assert!(!format!("{:?}", token()).contains("9, 9"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = text.parse::<Ticket>();
            let _ = text.parse::<GrantToken>();
            let _ = format!("pillion{text}").parse::<Ticket>();
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Ticket::from_bytes(&bytes);
            let _ = GrantToken::decode_bytes(&bytes);
        }

        #[test]
        fn a_changed_character_is_noticed(at: prop::sample::Index, with in "[a-z2-7]") {
            let text = ticket().to_string();
            let at = TICKET.len() + at.index(text.len() - TICKET.len());
            let mut changed = text.clone();
            changed.replace_range(at..=at, &with);
            prop_assume!(changed != text);
            prop_assert!(changed.parse::<Ticket>().is_err());
        }

        #[test]
        fn any_ticket_comes_back(link: [u8; 32], ports in prop::collection::btree_set(any::<u16>(), 0..16)) {
            let mut addr = EndpointAddr::new(session());
            for port in ports {
                addr = addr.with_ip_addr(([10, 0, 0, 1], port).into());
            }
            let ticket = Ticket::new(addr, Zeroizing::new(link), None);
            let text: Ticket = ticket.to_string().parse().unwrap();
            prop_assert_eq!(&text.link, &ticket.link);
            prop_assert!(text.addr.addrs.is_subset(&ticket.addr.addrs));
            prop_assert_eq!(Ticket::from_bytes(&ticket.to_bytes()), Ok(ticket));
        }
    }
}
