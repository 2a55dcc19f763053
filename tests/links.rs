//! Links and codes, told with the real binary in real terminals: with the real service, and with one
//! that is not to be trusted, what it sees and what it can do.

mod harness;
#[path = "harness/service.rs"]
mod service;
#[path = "harness/untrusted.rs"]
mod untrusted;

use std::process::Output;

use harness::{
    Machine, PREFIX, Piped, SIZE, Term, VIEWER, answer, assert_no_trace, audited,
    request_and_grant, until, wait_for_file,
};
use pillion::{
    caps::SecretKey,
    clock::unix_ms,
    net::{
        NetOptions, RelayChoice,
        signal::{JoinError, Resolver, SignalService, redeem},
    },
    viewing::{Options, Outcome, Viewing},
};
use pillion_proto::{LinkRecord, LinkSecret, LinkUrl, Ticket, Times, lookup};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use service::Service;
use untrusted::{Tamper, Untrusted};

/// What the host was shown.
struct Shared {
    host: Term,
    ticket: String,
    link: Option<String>,
    code: Option<String>,
}

/// `pillion --share --json ARGS` in a terminal, with a shell at its prompt.
fn share(machine: &Machine, args: &[&str]) -> Shared {
    let file = machine.fresh("shared");
    let mut all = vec!["--share", "--json", "--name", "secretname", "--ticket-file"];
    all.push(file.to_str().unwrap());
    all.extend(args);
    all.extend(["--", "bash", "--norc", "--noprofile"]);
    let host = Term::start(machine.pillion(&all), SIZE);
    let object: serde_json::Value = serde_json::from_str(&wait_for_file(&file)).unwrap();
    host.wait_for("$ ");
    let text = |name: &str| Some(object[name].as_str()?.to_owned());
    Shared {
        host,
        ticket: text("ticket").unwrap(),
        link: text("link"),
        code: text("code"),
    }
}

fn join_text(machine: &Machine, what: &str, args: &[&str]) -> Output {
    let mut command = machine.pillion(&["join", "--text"]);
    command.args(args).env("PILLION_TICKET", what);
    Piped::start(command).wait()
}

/// Joins; must be refused with this exit code. What was said.
fn refused(machine: &Machine, code: i32, what: &str, args: &[&str]) -> String {
    let output = join_text(machine, what, args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

/// Joins until that works: the record may be on its way.
fn joined(machine: &Machine, what: &str) -> String {
    until("the link to work", || {
        let output = join_text(machine, what, &[]);
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap())
    })
}

fn link_of(text: &str) -> LinkUrl {
    text.parse().unwrap()
}

#[test]
fn a_link_works_like_a_ticket_until_it_is_replaced_or_the_sharing_stops() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let service = Service::start();
    // In the settings it needs no flag.
    service.known_to(&anna);
    let mut shared = share(&anna, &[]);
    let link = shared.link.clone().unwrap();
    assert!(link.starts_with(&format!("{}/s/", service.url())), "{link}");
    shared.host.send("echo seen-$((1+1))\r");
    shared.host.wait_for("seen-2");
    // To join by it a machine needs to know of nothing: the record speaks for itself, whoever brings it.
    assert!(joined(&bert, &link).contains("seen-2"));
    // In a terminal, and as people paste it.
    let viewer = bert.join(
        VIEWER,
        &format!(" pillion join '{link}'\n"),
        &["--name", "bert"],
    );
    viewer.wait_for(" direct");

    assert_eq!(anna.run(&["link"]).trim(), link);
    assert_eq!(anna.run(&["ticket"]).trim(), shared.ticket);
    anna.run(&["ticket", "--new"]);
    let new = anna.run(&["link"]).trim().to_owned();
    assert_ne!(new, link);
    // That there is no record is believed only of the service itself.
    until("a word on the certificate", || {
        let output = join_text(&bert, &link, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code() == Some(5) && said.contains("certificate")).then_some(())
    });
    service.trusted_by(&bert);
    until("the old link's end", || {
        let output = join_text(&bert, &link, &[]);
        (output.status.code() == Some(4)).then_some(())
    });
    let said = refused(&bert, 4, &link, &[]);
    assert!(
        said.contains("has ended, or the link service withholds it"),
        "{said}"
    );
    joined(&bert, &new);

    anna.run(&["stop"]);
    until("the link's end", || {
        let output = join_text(&bert, &new, &[]);
        (output.status.code() == Some(4)).then_some(())
    });
    // Ended it is, and the session's program goes on.
    shared.host.send("echo on-$((1+1))\r");
    shared.host.wait_for("on-2");
}

#[test]
fn a_link_ends_with_the_program() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let service = Service::start();
    service.trusted_by(&anna);
    service.trusted_by(&bert);
    let mut shared = share(&anna, &["--link", "--signal", service.url()]);
    let link = shared.link.clone().unwrap();
    joined(&bert, &link);
    let said = audited(&anna);
    let published = format!("published a link at {}", service.url());
    assert!(
        said.iter().any(|line| line.contains(&published)),
        "{said:?}"
    );
    shared.host.send("exit\r");
    assert_eq!(shared.host.wait_code(), Some(0));
    let said = refused(&bert, 4, &link, &[]);
    assert!(said.contains("has ended, or"), "{said}");
}

#[test]
fn a_session_started_again_keeps_its_link() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let service = Service::start();
    service.known_to(&anna);
    service.trusted_by(&bert);
    let mut first = share(&anna, &[]);
    let link = first.link.clone().unwrap();
    joined(&bert, &link);
    // As in a power cut: nothing is said to the service, or to anybody.
    first.host.kill();
    let id = anna.session()["session"].as_str().unwrap().to_owned();
    let again = share(&anna, &["--restart", &id]);
    assert_eq!(again.link, Some(link.clone()));
    joined(&bert, &link);
}

/// The link stops working, and the session does not.
fn link_ends(machine: &Machine, link: &str, shared: &Shared) {
    until("the link's end", || {
        let output = join_text(machine, link, &[]);
        (output.status.code() == Some(4)).then_some(())
    });
    let said = refused(machine, 4, link, &[]);
    assert!(
        said.contains("has ended, or the link service withholds it"),
        "{said}"
    );
    joined(machine, &shared.ticket);
}

#[test]
fn a_running_session_gets_a_link_and_loses_it() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let service = Service::start();
    for machine in [&anna, &bert] {
        service.trusted_by(machine);
    }
    let url = service.url().to_owned();
    // The service was named for a code, so there is no link.
    let mut shared = share(&anna, &["--code", "--signal", &url]);
    let said = anna.fails(1, &["link", "--off"]);
    assert!(
        said.contains("this session has no link; `pillion link` makes one"),
        "{said}"
    );

    shared.host.send("echo seen-$((1+1))\r");
    shared.host.wait_for("seen-2");
    let output = anna.output(&["link", "--qr"]);
    let link = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert!(link.starts_with(&format!("{url}/s/")), "{link}");
    // Once it is printed it works.
    let came = join_text(&bert, &link, &[]);
    assert!(String::from_utf8_lossy(&came.stdout).contains("seen-2"));
    let drawn = String::from_utf8(output.stderr).unwrap();
    let row = |line: &str| line.chars().filter(|c| "█▀▄".contains(*c)).count();
    assert!(drawn.lines().any(|line| row(line) > 30), "{drawn}");
    assert!(!drawn.contains("does not work"), "{drawn}");
    assert_eq!(anna.run(&["link"]).trim(), link);
    let output = anna.output(&["ticket"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains(&link));

    anna.run(&["link", "--off"]);
    link_ends(&bert, &link, &shared);
    let output = anna.output(&["ticket"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("link"));
    // Codes need none.
    let code = anna.run(&["code"]);
    assert!(
        join_text(&bert, &code, &["--signal", &url])
            .status
            .success()
    );

    // It is the same link again: the ticket is the same.
    assert_eq!(anna.run(&["link"]).trim(), link);
    joined(&bert, &link);
    let said = audited(&anna);
    let published = format!("the host, by command published a link at {url}");
    let count = said.iter().filter(|line| **line == published).count();
    assert_eq!(count, 2, "{said:#?}");
    let ended = "the host, by command ended the link";
    assert!(said.iter().any(|line| line == ended), "{said:#?}");
}

#[test]
fn a_session_that_knew_of_no_service_is_told_of_one() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let (first, second) = (Service::start(), Untrusted::start());
    for machine in [&anna, &bert, &carl] {
        first.trusted_by(machine);
    }
    let shared = share(&anna, &[]);
    for command in ["link", "code"] {
        let said = anna.fails(1, &[command]);
        assert!(
            said.contains("there is no link service: name one with --signal URL"),
            "{said}"
        );
        let said = anna.fails(2, &[command, "--signal", "ftp://nowhere"]);
        assert!(said.contains("--signal"), "{said}");
    }
    // By a code alone there is no link.
    let code = anna.run(&["code", "--signal", first.url()]);
    let output = join_text(&bert, &code, &["--signal", first.url()]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(anna.fails(1, &["link", "--off"]).contains("no link"));
    let link = anna.run(&["link"]).trim().to_owned();
    assert!(link.starts_with(first.url()), "{link}");
    joined(&bert, &link);

    // At another service it is another link, and the first one ends.
    let moved = anna
        .run(&["link", "--signal", &second.url()])
        .trim()
        .to_owned();
    assert!(moved.starts_with(&second.url()), "{moved}");
    joined(&carl, &moved);
    link_ends(&bert, &link, &shared);

    // One that does not answer is used all the same, and said.
    let nowhere = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let output = anna.output(&["link", "--signal", &nowhere]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(output.stdout.starts_with(nowhere.as_bytes()), "{said}");
    assert!(
        said.contains("the link does not work yet: the link service"),
        "{said}"
    );
    assert!(said.contains("cannot be reached"), "{said}");

    anna.run(&["stop"]);
    let said = anna.fails(1, &["link"]);
    assert!(
        said.contains("this session is not shared; `pillion share` starts that"),
        "{said}"
    );
}

#[test]
fn a_session_whose_relay_asks_its_link_service_stays_with_that() {
    let anna = Machine::new();
    let (first, second) = (Untrusted::start(), Untrusted::start());
    let relay = ["--relay", "http://127.0.0.1:9", "--signal", &first.url()];
    let shared = share(&anna, &relay);
    let link = shared.link.clone().unwrap();
    let said = anna.fails(1, &["link", "--signal", &second.url()]);
    assert!(said.contains("so its link and codes stay there"), "{said}");
    anna.run(&["link", "--off"]);
    assert_eq!(anna.run(&["link", "--signal", &first.url()]).trim(), link);
}

#[test]
fn while_somebody_else_types_a_link_is_published_by_the_hosts_own_key() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let service = Service::start();
    for machine in [&anna, &bert, &carl] {
        service.trusted_by(machine);
    }
    let mut shared = share(&anna, &[]);
    let mut viewer = bert.watch(&shared.ticket, &["--name", "bert"]);
    request_and_grant(&mut viewer, &mut shared.host);

    // The editor can type commands; that makes them nobody's word.
    let pillion = env!("CARGO_BIN_EXE_pillion");
    let publish = format!(
        "clear; {pillion} link --signal {}; echo end-$((1+1))\r",
        service.url()
    );
    let ended = |viewer: &Term| viewer.text().contains("end-2");
    viewer.send(&publish);
    shared
        .host
        .wait_for("Publish a link to this session at http");
    answer(&mut shared.host, "n", &viewer, ended);
    viewer.wait_for("the person at the host's terminal said no");
    assert!(anna.fails(1, &["link", "--off"]).contains("no link"));

    viewer.send(&publish);
    shared
        .host
        .wait_for("Publish a link to this session at http");
    answer(&mut shared.host, "y", &viewer, ended);
    viewer.wait_for(&format!("{}/s/", service.url()));
    // What there is already is said, and ended, at once.
    let link = anna.run(&["link"]).trim().to_owned();
    joined(&carl, &link);
    anna.run(&["link", "--off"]);
    link_ends(&carl, &link, &shared);
}

/// What a camera reads off a terminal, each module eight pixels wide.
fn read_qr(screen: &vt100::Screen) -> Option<String> {
    const PIXELS: usize = 8;
    let (rows, cols) = screen.size();
    let (rows, cols) = (usize::from(rows.get()), usize::from(cols.get()));
    let is_light = |x: usize, y: usize| {
        let cell = screen.cell((y / 2) as u16, x as u16);
        let cell = cell.filter(|cell| cell.bgcolor() == vt100::Color::Idx(16));
        match (cell.map_or("", |cell| cell.contents()), y % 2) {
            ("█", _) | ("▀", 0) | ("▄", 1) => 230,
            _ => 20,
        }
    };
    let (width, height) = (cols * PIXELS, 2 * rows * PIXELS);
    let pixel = |x: usize, y: usize| is_light(x / PIXELS, y / PIXELS);
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, pixel);
    let grids = image.detect_grids();
    grids.first()?.decode().ok().map(|(_, text)| text)
}

#[test]
fn the_panel_shows_a_link_for_a_camera_ends_it_and_makes_codes() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let service = Service::start();
    for machine in [&anna, &bert] {
        service.trusted_by(machine);
    }
    let url = service.url().to_owned();
    let mut shared = share(&anna, &["--quiet", "--code", "--signal", &url]);
    shared.host.send("clear; echo seen-$((1+1))\r");
    shared.host.wait_until("the prompt, all of it", |screen| {
        screen.contents().starts_with("seen-2\n$ ") && screen.cursor_position() == (1, 2)
    });
    let before = shared.host.screen();
    shared.host.send(&format!("{PREFIX}p"));
    shared.host.wait_for("l link");
    shared.host.send("l");
    shared.host.wait_for("This link works like the");
    let mut seen = None;
    shared
        .host
        .wait_until("a QR code that can be read", |screen| {
            seen = read_qr(screen);
            seen.is_some()
        });
    let link = seen.unwrap();
    assert!(link.starts_with(&format!("{url}/s/")), "{link}");
    assert_eq!(anna.run(&["link"]).trim(), link);
    assert!(joined(&bert, &link).contains("seen-2"));

    shared.host.send("x");
    shared.host.wait_for("End the link?");
    shared.host.send("y");
    shared.host.wait_for("the link has ended");
    link_ends(&bert, &link, &shared);

    shared.host.send("o");
    let mut code = None;
    shared.host.wait_until("a code", |screen| {
        let text = screen.contents();
        let said = text.split("Say it aloud: ").nth(1);
        code = said.and_then(|said| Some(said.split_once(". It works")?.0.to_owned()));
        code.is_some()
    });
    let output = join_text(&bert, &code.unwrap(), &["--signal", &url]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    shared.host.send("q");
    shared.host.wait_gone("l link");
    // A word about the code's use may come over a row for some seconds.
    shared.host.wait_gone("was used");
    assert_no_trace(&before, &shared.host, SIZE, "the panel with a link");
    let said = audited(&anna);
    for what in [
        format!("the host published a link at {url}"),
        "the host ended the link".to_owned(),
    ] {
        assert!(said.contains(&what), "{what} is not in {said:#?}");
    }
}

#[test]
fn a_link_that_is_cut_short_or_changed_is_told_so() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let service = Service::start();
    service.known_to(&anna);
    service.trusted_by(&bert);
    // It ends with its host, and the record may not be there yet.
    let shared = share(&anna, &[]);
    let link = shared.link.clone().unwrap();
    let (bare, key) = link.split_once('#').unwrap();
    let said = refused(&bert, 1, bare, &[]);
    assert!(said.contains("the part from # on is missing"), "{said}");
    let said = refused(&bert, 1, &format!("{bare}#{}", &key[..10]), &[]);
    assert!(said.contains("after # there must be 22"), "{said}");
    let wrong = format!("{bare}#AAAAAAAAAAAAAAAAAAAAAA");
    let said = until("the record to be there, and not to open", || {
        let output = join_text(&bert, &wrong, &[]);
        (output.status.code() == Some(3)).then_some(output.stderr)
    });
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("the key in this link (after #)"), "{said}");
    let nobody = format!("{}/s/{}#{key}", service.url(), "A".repeat(43));
    let said = refused(&bert, 4, &nobody, &[]);
    assert!(said.contains("withholds"), "{said}");
}

#[test]
fn with_the_service_down_the_session_starts_and_says_so() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let addr = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let url = format!("http://{addr}");
    let mut shared = share(&anna, &["--link", "--code", "--signal", &url]);
    assert_eq!(shared.code, None);
    shared
        .host
        .wait_for("the link does not work yet, the ticket does");
    shared.host.send("echo seen-$((1+1))\r");
    shared.host.wait_for("seen-2");
    assert!(joined(&bert, &shared.ticket).contains("seen-2"));
    let link = shared.link.unwrap();
    let said = refused(&bert, 5, &link, &[]);
    assert!(said.contains("cannot be reached"), "{said}");
    let said = anna.fails(1, &["code"]);
    assert!(said.contains("cannot be reached"), "{said}");

    // And when it is over.
    let _service = Untrusted::on(std::net::TcpListener::bind(addr).unwrap());
    shared
        .host
        .wait_for("the link service has this session's link again");
    joined(&bert, &link);
}

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
fn a_relay_of_ones_own_counts_on_a_record_that_ends_with_the_sharing() {
    let anna = Machine::new();
    let service = Untrusted::start();
    let (url, relay) = (service.url(), "https://127.0.0.1:9");
    // A code alone asks for no link, and the relay's token is wanted all the same.
    let shared = share(&anna, &["--code", "--signal", &url, "--relay", relay]);
    let token = |ticket: &str| ticket.parse::<Ticket>().unwrap().relay.unwrap();
    let first = token(&shared.ticket);
    let id = first.verify().unwrap();
    let record = |live: bool| {
        until("the record for the relay", || {
            let bytes = service.newest(&id.to_string())?;
            let record = LinkRecord::verify(&bytes, &id, unix_ms()).unwrap();
            (record.is_live() == live).then_some(())
        });
    };
    record(true);
    // The host comes back to its relay with what it showed first, whatever became of its ticket.
    let new = anna.run(&["ticket", "--new"]);
    assert!(token(new.trim()) == first);
    record(true);
    anna.run(&["stop"]);
    record(false);

    // Without a relay of its own, a ticket carries nothing for one.
    let plain = share(&anna, &["--signal", &url]);
    assert_eq!(plain.ticket.parse::<Ticket>().unwrap().relay, None);
}

#[test]
fn a_link_or_code_without_a_service_is_told_what_it_needs() {
    let machine = Machine::new();
    let said = machine.fails(1, &["--share", "--link", "--", "true"]);
    assert!(said.contains("--signal"), "{said}");
    let said = refused(&machine, 1, "7-guitar-lantern", &[]);
    assert!(said.contains("--signal"), "{said}");
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

#[test]
fn a_code_brings_one_person_in() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let service = Service::start();
    for machine in [&anna, &bert, &carl] {
        service.trusted_by(machine);
    }
    let url = service.url().to_owned();
    let mut shared = share(&anna, &["--code", "--signal", &url]);
    assert_eq!(
        shared.link, None,
        "a service named for a code gives no link"
    );
    let code = shared.code.clone().unwrap();
    shared.host.send("echo seen-$((1+1))\r");
    shared.host.wait_for("seen-2");
    // As people write down what they are told.
    let spoken = format!(" {}\n", code.replace('-', " ").to_uppercase());
    let output = join_text(&bert, &spoken, &["--signal", &url]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("seen-2"),
        "{said}"
    );
    shared.host.wait_for("was used; it works for nobody else");
    let said = refused(&carl, 3, &code, &["--signal", &url]);
    assert!(
        said.contains("somebody has used this code already"),
        "{said}"
    );

    // Another one for the next.
    let next = anna.run(&["code"]);
    let output = join_text(&carl, &next, &["--signal", &url]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Joins by a ticket with this endpoint key, and leaves once the screen was shown.
async fn come_with(ticket: &Ticket, endpoint: Option<SecretKey>, seed: u8) -> Outcome {
    let options = Options {
        ticket: ticket.clone(),
        grants: Vec::new(),
        claims: Vec::new().into(),
        identity: SecretKey::from_bytes(&[seed; 32]),
        name: format!("person {seed}"),
        read_only: false,
        relay: RelayChoice::None,
        net: NetOptions::default(),
        inside: Vec::new(),
        resolver: None,
        endpoint,
    };
    Viewing::start(options).unwrap().text().await.unwrap()
}

#[test]
fn what_a_code_gives_is_for_the_viewer_that_typed_it_and_the_audit_says_so() {
    let anna = Machine::new();
    let service = Untrusted::start();
    let url = service.url();
    let shared = share(&anna, &["--code", "--signal", &url]);
    let code: pillion_code::Code = shared.code.clone().unwrap().parse().unwrap();
    let number = code.number();
    let url = url.parse().unwrap();
    let service = SignalService { url, ca: None };
    let endpoint = SecretKey::from_bytes(&[77; 32]);
    let own = endpoint.public();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let ticket = redeem(&service, &code, own.as_bytes()).await.unwrap();
        // Passed on, it opens nothing: a viewer with any other endpoint key is refused.
        match come_with(&ticket, None, 60).await {
            Outcome::Refused(text) => {
                assert!(text.contains("given by a code to another viewer"), "{text}");
            }
            other => panic!("{other:?}"),
        }
        shared
            .host
            .wait_for(&format!("by what code {number} gave, and"));
        let came = come_with(&ticket, Some(endpoint.clone()), 61).await;
        assert_eq!(came, Outcome::Left);
        let whole: Ticket = shared.ticket.parse().unwrap();
        assert_eq!(come_with(&whole, None, 62).await, Outcome::Left);
        // And it ends with the ticket it comes of.
        anna.run(&["ticket", "--new"]);
        match come_with(&ticket, Some(endpoint), 61).await {
            Outcome::Refused(text) => {
                assert!(text.contains("does not open this session"), "{text}");
            }
            other => panic!("{other:?}"),
        }
    });
    let audit = anna.run_until(&["audit"], "everybody", |out| out.contains("person 62"));
    let line = |part: &str| {
        let mut lines = audit.lines();
        lines
            .find(|line| line.contains(part))
            .unwrap_or_else(|| panic!("{part}: {audit}"))
    };
    line(&format!("used code {number}"));
    assert!(line("person 60").contains("was turned away"), "{audit}");
    let came = line("person 61");
    assert!(
        came.contains(&format!("came in, by code {number}")),
        "{audit}"
    );
    assert!(
        line("person 62").contains("came in, by the ticket"),
        "{audit}"
    );
}

#[test]
fn a_wrong_guess_burns_the_code_and_the_host_is_told() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let service = Service::start();
    for machine in [&anna, &bert] {
        service.trusted_by(machine);
    }
    let url = service.url().to_owned();
    let shared = share(&anna, &["--code", "--signal", &url]);
    let code = shared.code.clone().unwrap();
    let number = code.split('-').next().unwrap();
    let wrong = match code.contains("zebra") {
        true => format!("{number}-walnut-yogurt"),
        false => format!("{number}-zebra-zebra"),
    };
    let said = refused(&bert, 3, &wrong, &["--signal", &url]);
    assert!(
        said.contains("the host says that the code was wrong"),
        "{said}"
    );
    shared.host.wait_for("somebody tried code");
    let said = refused(&bert, 3, &code, &["--signal", &url]);
    assert!(said.contains("used this code already"), "{said}");
    // A slip that is in no code costs nothing: it is not sent.
    let said = refused(
        &bert,
        1,
        &format!("{number}-zebrra-zebra"),
        &["--signal", &url],
    );
    assert!(said.contains("\"zebra\" would be"), "{said}");
}

#[test]
fn a_service_that_plays_a_part_in_the_exchange_gets_nothing() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let service = Untrusted::start();
    let url = service.url();

    // It guesses for itself, before anybody else can.
    service.tamper(Tamper::Guess(|offer| {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let code = "7-zebra-zebra".parse().unwrap();
        let guess = pillion_code::Guess::new(&code, &[1; 32], offer, &mut rng).unwrap();
        guess.message().to_vec()
    }));
    let shared = share(&anna, &["--code", "--signal", &url]);
    shared.host.wait_for("somebody tried code");
    let code = shared.code.clone().unwrap();
    let said = refused(&bert, 3, &code, &["--signal", &url]);
    assert!(
        said.contains("somebody has used this code already"),
        "{said}"
    );

    // It gives the guest an offer of its own making, for words it made up.
    service.tamper(Tamper::Nothing);
    let code = anna.run(&["code"]).trim().to_owned();
    let mut rng = ChaCha20Rng::from_seed([2; 32]);
    let forged = pillion_code::Offer::new(&"7-zebra-zebra".parse().unwrap(), &mut rng);
    service.tamper(Tamper::Host(0, forged.message().to_vec()));
    let said = refused(&bert, 3, &code, &["--signal", &url]);
    assert!(said.contains("the code was wrong"), "{said}");

    // It makes up the answer.
    service.tamper(Tamper::Nothing);
    let code = anna.run(&["code"]).trim().to_owned();
    service.tamper(Tamper::Host(1, [vec![1, 1], vec![7; 200]].concat()));
    let said = refused(&bert, 3, &code, &["--signal", &url]);
    assert!(said.contains("the service in between changed"), "{said}");

    let ticket: Ticket = shared.ticket.parse().unwrap();
    assert!(!service.saw(&ticket.link[..]));
    assert!(!service.saw(shared.ticket.as_bytes()));
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

#[test]
fn a_ticket_finds_its_host_by_the_services_address_records() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let service = Service::start();
    service.known_to(&anna);
    service.known_to(&bert);
    let file = anna.fresh("ticket");
    let args = [
        "--share",
        "--ticket-file",
        file.to_str().unwrap(),
        "--",
        "cat",
    ];
    let mut host = anna.pillion(&args);
    // Without a relay there is nothing else to publish.
    host.env("PILLION_PUBLISH_ADDRESSES", "true");
    let _host = Piped::start_with_input(host);
    let mut ticket: Ticket = wait_for_file(&file).parse().unwrap();
    ticket.addr.addrs.clear();
    joined(&bert, &ticket.to_string());
    // Where nobody looks, nobody is found.
    let said = refused(&bert, 5, &ticket.to_string(), &["--resolve", "none"]);
    assert!(said.contains("nowhere to be found"), "{said}");
}

#[test]
fn a_qr_code_is_drawn_with_the_ways_to_join() {
    let anna = Machine::new();
    let service = Untrusted::start();
    let args = [
        "--share",
        "--link",
        "--qr",
        "--signal",
        &service.url(),
        "--",
        "sh",
        "-c",
        "echo ready; read line",
    ];
    let mut host = Term::start(anna.pillion(&args), (100, 50));
    host.wait_for("/s/");
    // Half blocks, black on white, with a quiet zone above.
    host.wait_until("a QR code", |screen| {
        let text = screen.contents();
        text.lines()
            .any(|line| line.trim().chars().filter(|c| "█▀▄".contains(*c)).count() > 30)
    });
    host.wait_for("ready");
    host.send("\r");
    assert_eq!(host.wait_code(), Some(0));

    let mut dumb = anna.pillion(&args);
    dumb.env("TERM", "dumb");
    let mut host = Term::start(dumb, (120, 70));
    host.wait_for("################");
    assert!(!host.raw_text().contains('█'));
    host.wait_for("ready");
    host.send("\r");
    assert_eq!(host.wait_code(), Some(0));
}
