//! Links, told with the real binary in real terminals: how one is made, works and ends.

use crate::harness::service::Service;
use crate::harness::untrusted::Untrusted;
use crate::harness::ways::{Shared, join_text, joined, refused, share};
use crate::harness::{
    Machine, PREFIX, Piped, SIZE, Term, VIEWER, answer, assert_no_trace, audited, press,
    request_and_grant, until, wait_for_file,
};
use pillion::clock::unix_ms;
use pillion_proto::{LinkRecord, Ticket};

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
    // To join by it a machine needs to know of nothing: the record speaks for itself, anybody who brings it.
    assert!(joined(&bert, &link).contains("seen-2"));
    // In a terminal, and as people paste it.
    let viewer = bert.join(
        VIEWER,
        &format!(" pillion join '{link}'\n"),
        &["--name", "bert"],
    );
    viewer.wait_for("view only");

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
#[test]
fn a_session_started_again_knows_its_service_and_who_can_join() {
    let anna = Machine::new();
    let service = Service::start();
    service.trusted_by(&anna);
    let flags = ["--signal", service.url(), "--allow", "invited"];
    let mut shared = share(&anna, &flags);
    let (link, id) = (shared.link.clone().unwrap(), anna.session());
    let id = id["session"].as_str().unwrap().to_owned();
    shared.host.send("exit\r");
    assert_eq!(shared.host.wait_code(), Some(0));

    // Nothing of it is said again.
    let again = share(&anna, &["--restart", &id]);
    assert_eq!(again.link, Some(link));
    drop(again);
    let host = Term::start(
        anna.pillion(&["--share", "--restart", &id, "--", "cat"]),
        SIZE,
    );
    host.wait_for("Others who have this knock");
}

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
    viewer.send(&publish);
    shared
        .host
        .wait_for("A command asks (Ctrl-] answers): Publish a link to this session");
    answer(&mut shared.host, "n", |_| viewer.text().contains("end-2"));
    viewer.wait_for("the person at the host's terminal said no");
    assert!(anna.fails(1, &["link", "--off"]).contains("no link"));

    viewer.send(&publish);
    shared
        .host
        .wait_for("A command asks (Ctrl-] answers): Publish a link to this session");
    answer(&mut shared.host, "y", |_| viewer.text().contains("end-2"));
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
    shared.host.send(&format!("{PREFIX} "));
    let link_page = "This link works like the";
    press(&mut shared.host, "l link", "l", |host| {
        host.text().contains(link_page)
    });
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
    shared.host.wait_for("The link has ended");
    link_ends(&bert, &link, &shared);

    // A key counts once the panel has stood for a moment as it is.
    press(&mut shared.host, "l link", "o", |host| {
        let text = host.text();
        text.contains("Asking the link service") || text.contains("Say it aloud")
    });
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

/// A relay, and nothing else of the service's.
fn relay_at(listen: std::net::SocketAddr, dir: &std::path::Path) -> impl Drop + use<> {
    let data = dir.to_owned();
    let (started, is_there) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut config = pillion_signal::Config::new("127.0.0.1:0".parse().unwrap(), data);
            config.relay = Some(pillion_signal::RelayConfig {
                listen,
                quic: None,
                secret: Some("secret".to_owned()),
                max_connections: 64,
            });
            let service = pillion_signal::Service::start(config).await.unwrap();
            started.send(()).unwrap();
            let _ = stopped.await;
            drop(service);
        });
    });
    is_there.recv().unwrap();
    struct Ends(
        Option<tokio::sync::oneshot::Sender<()>>,
        Option<std::thread::JoinHandle<()>>,
    );
    impl Drop for Ends {
        fn drop(&mut self) {
            drop(self.0.take());
            let _ = self.1.take().map(std::thread::JoinHandle::join);
        }
    }
    Ends(Some(stop), Some(thread))
}

#[test]
fn a_host_says_once_that_no_relay_is_reached_and_once_that_one_is_again() {
    let anna = Machine::new();
    // A port where nothing is, for a while.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = free.local_addr().unwrap();
    drop(free);
    let secret = anna.path("secret");
    std::fs::write(&secret, "secret").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut share = anna.pillion(&["share", "--", "sh", "-c", "read end"]);
    share
        .env("PILLION_RELAY", format!("http://{listen}"))
        .env("PILLION_RELAY_SECRET_FILE", &secret);
    let mut host = Term::start(share, SIZE);
    host.wait_for("No relay was reached yet");
    let lost = "No relay can be reached.";
    let reached = "A relay is reached";
    let dir = tempfile::tempdir().unwrap();
    let relay = relay_at(listen, &dir.path().join("one"));
    host.wait_for(reached);
    host.wait_gone(reached);
    assert!(!host.raw_text().contains(lost), "it was said before");
    drop(relay);
    host.wait_for(lost);
    host.wait_gone(lost);
    let _relay = relay_at(listen, &dir.path().join("two"));
    host.wait_for(reached);
    assert_eq!(host.raw_text().matches(lost).count(), 1);
    host.send("x\r");
    host.wait_exit();
}
