//! A link service that is not to be trusted, and anybody who is on the way to it: what they see, and what
//! they can do.

use crate::harness::untrusted::{Tamper, Untrusted};
use crate::harness::ways::{join_text, joined, link_of, refused, share};
use crate::harness::{Machine, until};
use pillion::{
    clock::unix_ms,
    net::signal::{JoinError, Resolver},
};
use pillion_proto::{LinkRecord, LinkSecret, LinkUrl, Ticket, Times, lookup};

/// Answers each datagram with these, until the test is over.
fn answering(socket: std::net::UdpSocket, answers: Vec<Vec<u8>>) {
    std::thread::spawn(move || {
        let mut question = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            assert!(lookup::asked(&question[..length]).is_some());
            for answer in &answers {
                let _ = socket.send_to(answer, from);
            }
        }
    });
}

#[test]
fn a_link_is_resolved_by_a_datagram_while_nothing_else_answers() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let service = Untrusted::start();
    let shared = share(&anna, &["--link", "--signal", &service.url()]);
    let link = link_of(&shared.link.clone().unwrap());
    let record = until("the record", || service.newest(&link.id.to_string()));
    // Connections to this one are never taken, so that a request waits until it gives up.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = mute.local_addr().unwrap();
    let answer = lookup::answer(&record, [1; 24]).unwrap();
    answering(std::net::UdpSocket::bind(addr).unwrap(), vec![answer]);
    let there = LinkUrl::new(&format!("http://{addr}"), link.id, link.key).unwrap();
    let output = join_text(&bert, &there.to_string(), &[]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn answers_by_datagram_that_are_not_the_hosts_change_nothing() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let service = Untrusted::start();
    let url = service.url();
    let shared = share(&anna, &["--link", "--signal", &url]);
    let other = share(&carl, &["--link", "--signal", &url]);
    let link = link_of(&shared.link.clone().unwrap());
    let other = link_of(&other.link.clone().unwrap());
    let newest = |link: &LinkUrl| until("the record", || service.newest(&link.id.to_string()));
    let (own, swapped) = (newest(&link), newest(&other));
    // Who knows the link's id can make an answer, but no record.
    let mut forged = own.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let secret = LinkSecret::derive(&[1; 32], &[2; 32]);
    let mut renamed = LinkRecord::seal(&secret, Times::starting(unix_ms(), 0), b"x", [3; 24])
        .unwrap()
        .as_bytes()
        .to_vec();
    renamed[2..34].copy_from_slice(link.id.as_bytes());
    let mut answers = vec![b"pillion!".to_vec(), vec![0; 1200], own.to_vec()];
    for record in [swapped.as_ref(), &forged, &renamed] {
        answers.push(lookup::answer(record, [1; 24]).unwrap());
    }
    let at = url.strip_prefix("http://").unwrap();
    answering(std::net::UdpSocket::bind(at).unwrap(), answers);
    joined(&bert, &link.to_string());
    assert!(service.resolved() > 0);
}

#[test]
fn the_service_learns_no_ticket_no_key_and_no_name() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let service = Untrusted::start();
    let url = service.url();
    let shared = share(&anna, &["--link", "--code", "--signal", &url]);
    let (link, code) = (shared.link.clone().unwrap(), shared.code.clone().unwrap());
    joined(&bert, &link);
    // One request, so one round trip once there is a connection to the service.
    let before = service.resolved();
    assert!(join_text(&bert, &link, &[]).status.success());
    assert_eq!(service.resolved(), before + 1);
    let output = join_text(&bert, &code, &["--signal", &url, "--name", "secretbert"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let ticket: Ticket = shared.ticket.parse().unwrap();
    let parsed = link_of(&link);
    // What a service must see shows that looking finds things at all.
    assert!(service.saw(parsed.id.to_string().as_bytes()));
    let words: Vec<&str> = code.split('-').collect();
    let key = link.split_once('#').unwrap().1;
    let port = ticket.addr.ip_addrs().next().unwrap().port().to_string();
    for (what, secret) in [
        ("the ticket", shared.ticket.as_bytes()),
        ("the ticket's bytes", &ticket.to_bytes()[..]),
        ("the ticket's secret", &ticket.link[..]),
        ("what that follows from", &ticket.link[..16]),
        ("the session's key", &ticket.addr.id.as_bytes()[..]),
        ("the host's addresses", format!(":{port}").as_bytes()),
        ("the link's key", key.as_bytes()),
        ("the link's key", &parsed.key.as_bytes()[..]),
        ("the code", code.as_bytes()),
        ("a word", words[1].as_bytes()),
        ("a word", words[2].as_bytes()),
        ("a session's name", b"secretname"),
        ("a person's name", b"secretbert"),
    ] {
        assert!(!service.saw(secret), "the service saw {what}");
    }
    // Nor do logs.
    for machine in [&anna, &bert] {
        for secret in [key, &shared.ticket] {
            assert!(!machine.log().contains(secret));
        }
    }
}

#[test]
fn a_service_that_lies_about_a_link_is_not_believed() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let service = Untrusted::start();
    let url = service.url();
    let shared = share(&anna, &["--link", "--signal", &url]);
    let other = share(&carl, &["--link", "--signal", &url]);
    let link = shared.link.clone().unwrap();
    joined(&bert, &link);
    joined(&bert, &other.link.clone().unwrap());

    service.tamper(Tamper::Swap);
    let said = refused(&bert, 3, &link, &[]);
    assert!(said.contains("the record of another link"), "{said}");
    // Any bit, from the version to the signature.
    let bits = service
        .newest(&link_of(&link).id.to_string())
        .unwrap()
        .len()
        * 8;
    for bit in [0, 9, 20, 300, 340, 420, 500, 700, 1000, bits - 1] {
        service.tamper(Tamper::Flip(bit));
        let said = refused(&bert, 3, &link, &[]);
        assert!(said.contains("is not to be trusted"), "bit {bit}: {said}");
    }
    service.tamper(Tamper::Withhold);
    let said = refused(&bert, 4, &link, &[]);
    assert!(said.contains("withholds"), "{said}");
    service.tamper(Tamper::Page);
    let said = refused(&bert, 3, &link, &[]);
    assert!(said.contains("is not to be trusted"), "{said}");
    assert!(!said.contains("doctype"), "{said}");
    service.tamper(Tamper::Redirect);
    let said = refused(&bert, 5, &link, &[]);
    assert!(said.contains("sends elsewhere"), "{said}");

    // The other link, and this one once the service behaves, are none the worse.
    service.tamper(Tamper::Nothing);
    joined(&bert, &other.link.clone().unwrap());
    joined(&bert, &link);
}

/// A link of the test's own making.
struct Made {
    secret: LinkSecret,
    link: LinkUrl,
}

impl Made {
    fn at(service: &Untrusted) -> Made {
        let secret = LinkSecret::derive(&[1; 32], &[2; 32]);
        let link = LinkUrl::new(&service.url(), secret.id(), secret.key().clone()).unwrap();
        Made { secret, link }
    }

    fn put(&self, service: &Untrusted, times: Times, ticket: &Ticket) {
        let record = LinkRecord::seal(&self.secret, times, &ticket.to_bytes(), [3; 24]).unwrap();
        service.put(&self.secret.id().to_string(), record.as_bytes());
    }
}

const MINUTE: u64 = 60_000;

#[test]
fn old_records_end_with_their_time_and_never_come_after_newer_ones() {
    let anna = Machine::new();
    let service = Untrusted::start();
    let ticket: Ticket = share(&anna, &[]).ticket.parse().unwrap();
    let made = Made::at(&service);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut resolver = Resolver::new(made.link.clone(), None).unwrap();
    let mut resolve = |now: u64| runtime.block_on(resolver.resolve(move || now));

    let now = unix_ms();
    made.put(&service, Times::starting(now, 0), &ticket);
    assert_eq!(resolve(now).unwrap(), ticket);
    // Ten minutes it counts, and two minutes clocks may differ.
    assert_eq!(resolve(now + 11 * MINUTE).unwrap(), ticket);
    let error = resolve(now + 13 * MINUTE).unwrap_err();
    assert!(
        matches!(error, JoinError::EndedOrWithheld { .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("expired 3 minutes ago"),
        "{error}"
    );
    // A clock that is an hour behind says so.
    let error = resolve(now - 60 * MINUTE).unwrap_err().to_string();
    assert!(error.contains("60 minutes from now"), "{error}");
    assert!(error.contains("set the clocks"), "{error}");

    // The host has moved on; the service hands out what was there before.
    made.put(&service, Times::starting(now + 1, now + 7), &ticket);
    assert_eq!(resolve(now).unwrap(), ticket);
    service.tamper(Tamper::Replay);
    let error = resolve(now).unwrap_err();
    assert!(matches!(error, JoinError::Replayed { .. }), "{error}");
}

#[test]
fn a_viewer_that_cannot_find_the_host_asks_the_link_again() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let service = Untrusted::start();
    let mut shared = share(&anna, &[]);
    let ticket: Ticket = shared.ticket.parse().unwrap();
    let made = Made::at(&service);
    let mut nowhere = ticket.clone();
    nowhere.addr.addrs.clear();
    made.put(&service, Times::starting(unix_ms(), 0), &nowhere);
    let viewer = bert.join_piped(&made.link.to_string(), &["--follow"]);
    viewer.err.wait_for("nowhere to be found");

    made.put(&service, Times::starting(unix_ms(), unix_ms()), &ticket);
    until("the viewer", || (!anna.who().is_empty()).then_some(()));
    shared.host.send("echo found-$((1+1))\rexit\r");
    viewer.out.wait_for("found-2");
    assert!(service.resolved() >= 2);
}

/// The TCP sockets on which a process listens, by their inodes.
fn listening(pid: u32) -> Vec<String> {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let sockets: Vec<String> = fds
        .filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
        .filter_map(|target| {
            let target = target.to_str()?.strip_prefix("socket:[")?;
            Some(target.strip_suffix(']')?.to_owned())
        })
        .collect();
    assert!(!sockets.is_empty(), "it has sockets");
    let tables =
        ["tcp", "tcp6"].map(|table| std::fs::read_to_string(format!("/proc/{pid}/net/{table}")));
    let rows = tables
        .iter()
        .flatten()
        .flat_map(|table| table.lines().skip(1));
    rows.map(|row| row.split_whitespace().collect::<Vec<_>>())
        // 0A is LISTEN.
        .filter(|row| row[3] == "0A" && sockets.iter().any(|socket| socket == row[9]))
        .map(|row| row[9].to_owned())
        .collect()
}

#[test]
fn nothing_a_browser_could_speak_to_listens() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (host, ticket) = anna.share_shell(&[]);
    let viewer = bert.watch(&ticket, &["--name", "bert"]);
    for pid in [host.session_pid(), viewer.pid()] {
        assert_eq!(listening(pid), Vec::<String>::new());
    }
    // This process does, when it wants to.
    let here = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(!listening(std::process::id()).is_empty());
    drop(here);
}
