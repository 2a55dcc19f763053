//! What is wrong, cut short, from somebody else or made to break things: each gets a sentence that
//! says what to do, and the host's shell lives.

use std::{
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    process::Command,
    time::{Duration, Instant},
};

use crate::harness::{Machine, PREFIX, SIZE, Term, VIEWER, assert_same, until};
use pillion::{
    caps::{PublicKey, SecretKey},
    clock::Clock,
    net::{NetOptions, RelayChoice, ViewerNet, random_bytes},
    proto::{FromViewer, JoinId, Ticket, Version, VersionRange},
    session::{Stream, Viewer, ViewerConfig, ViewerEvent, ViewerInput, ViewerOutput},
};

/// The shell does what it is told.
fn assert_alive(host: &mut Term) {
    host.send("\x15echo alive-$((20+2))\r");
    host.wait_for("alive-22");
}

/// What `join --text` says to a ticket or token, and its exit code.
fn join_says(machine: &Machine, ticket: &str, args: &[&str]) -> (Option<i32>, String) {
    let mut all = vec!["--text"];
    all.extend(args);
    let output = machine.join_piped(ticket, &all).wait();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn tickets_and_tokens_that_are_none_are_named() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    let token = anna.run(&["grant", "--link", "--edit"]).trim().to_owned();
    let cut = &ticket[..ticket.len() - 7];
    let mut altered = ticket.clone().into_bytes();
    altered[60] = if altered[60] == b'a' { b'b' } else { b'a' };
    let altered = String::from_utf8(altered).unwrap();
    let cases: &[(&str, &[&str], &str)] = &[
        ("hello", &[], "a ticket starts with \"pillion\""),
        (cut, &[], "damaged or cut short"),
        (&token, &[], "grant token, not a ticket"),
        (&ticket, &["--grant", &ticket], "ticket, not a grant token"),
        (&ticket, &["--grant", "hello"], "not a grant token"),
        (&ticket, &["--grant", &token[..40]], "damaged or cut short"),
    ];
    for (ticket, args, part) in cases {
        let (code, said) = join_says(&bert, ticket, args);
        assert_eq!(code, Some(1), "{ticket} {args:?}: {said}");
        assert!(said.contains(part), "{ticket} {args:?}: {said}");
    }
    // One character changed: another key, another link or nothing at all, and never a session.
    let (code, said) = join_says(&bert, &altered, &[]);
    assert!(
        code.is_some_and(|code| code != 0) && !said.is_empty(),
        "{code:?} {said}"
    );
    assert_alive(&mut host);
}

#[test]
fn a_foreign_ticket_and_a_foreign_token_open_nothing() {
    let (anna, other, bert) = (Machine::new(), Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    let (_host, others) = other.share_shell(&[]);
    let mut foreign: Ticket = ticket.parse().unwrap();
    foreign.link = others.parse::<Ticket>().unwrap().link;
    let (code, said) = join_says(&bert, &foreign.to_string(), &[]);
    assert_eq!(code, Some(3));
    assert!(said.contains("does not open this session"), "{said}");

    let token = other.run(&["grant", "--link", "--edit"]);
    let (code, said) = join_says(&bert, &ticket, &["--grant", token.trim()]);
    assert_eq!(code, Some(1));
    assert!(said.contains("another session"), "{said}");
    assert_alive(&mut host);
}

#[test]
fn expired_and_revoked_tokens_let_watch_and_say_so() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    let short = anna.run(&["grant", "--link", "--edit", "--expires", "1s"]);
    let made = Instant::now();
    let revoked = anna.run(&["grant", "--link", "--edit"]);
    anna.run(&["revoke", "--link"]);
    let viewer = bert.watch(&ticket, &["--grant", revoked.trim()]);
    viewer.wait_for("revoked");
    viewer.wait_for("view only");
    drop(viewer);
    until("the token's end", || {
        (made.elapsed() > Duration::from_millis(1500)).then_some(())
    });
    let viewer = bert.watch(&ticket, &["--grant", short.trim()]);
    viewer.wait_until("a word of its end", |screen| {
        let text = screen.contents();
        text.contains("expired") || text.contains("revoked")
    });
    viewer.wait_for("view only");
    assert_alive(&mut host);
}

#[test]
fn a_host_that_is_gone_is_tried_again_until_the_viewer_leaves() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    host.send("echo last-$((1+1))\r");
    let mut viewer = bert.watch(&ticket, &[]);
    viewer.wait_for("last-2");
    host.kill();
    viewer.wait_for("no word from the host");
    viewer.wait_for("connecting (try");
    assert!(
        viewer.text().contains("last-2"),
        "what was there is still to be read"
    );
    viewer.send(&format!("{PREFIX}q"));
    assert_eq!(viewer.wait_code(), Some(0));

    let (code, said) = join_says(&bert, &ticket, &[]);
    assert_eq!(code, Some(5), "{said}");
    assert!(!said.is_empty());

    // Somebody who comes only now: nothing is there to watch, and Ctrl-C ends the wait.
    let mut join = bert.pillion(&["join"]);
    join.env("PILLION_TICKET", &ticket);
    let mut late = Term::start(join, VIEWER);
    late.wait_for("connecting");
    late.send("ls\r");
    late.wait_for("You are not connected yet. Ctrl-C leaves.");
    assert!(!late.text().contains("You are watching"));
    late.send("\x03");
    assert_eq!(late.wait_code(), Some(0));
}

#[test]
fn settings_that_are_none_are_named_with_the_nearest() {
    let anna = Machine::new();
    let config = anna.path("config/pillion");
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config)
        .unwrap();
    let file = config.join("config.toml");
    for (content, part) in [
        ("prefix_kye = \"ctrl-a\"\n", "did you mean \"prefix_key\""),
        ("keep = \"forever\"\n", "30d"),
        ("prefix_key = \"ctrl-c\"\n", "prefix key"),
        ("name = [1]\n", "name"),
        ("= 1\n", "TOML"),
    ] {
        std::fs::write(&file, content).unwrap();
        let said = anna.fails(1, &["--share", "--", "true"]);
        assert!(
            said.contains(part) && said.contains("config.toml"),
            "{content}: {said}"
        );
    }
}

#[test]
fn flags_that_are_none_are_refused_with_help() {
    let anna = Machine::new();
    for args in [
        &["--shrae"][..],
        &["--json"],
        &["--share", "--relay", "not a url"],
        &["grant", "bert"],
        &["grant", "--link", "--edit", "--uses", "0"],
        &["grant", "--link", "--edit", "--expires", "soon"],
        &["grant", "bert", "--link", "--edit"],
        &["join", "--text", "--follow", "ticket"],
        &["export", "--format", "gif"],
        &["revoke"],
    ] {
        let said = anna.fails(2, args);
        assert!(
            said.contains("--help") || said.contains("Usage"),
            "{args:?}: {said}"
        );
    }
    let said = anna.fails(4, &["who"]);
    assert!(said.contains("pillion share"), "{said}");
}

#[test]
fn folders_open_to_others_are_not_used() {
    let anna = Machine::new();
    let dir = anna.path("config/pillion");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let said = anna.fails(1, &["--share", "-q", "--", "true"]);
    assert!(said.contains("chmod 700"), "{said}");
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(
        anna.output(&["--share", "-q", "--", "true"]).status.code(),
        Some(0)
    );
}

#[test]
fn terminals_of_any_size() {
    let anna = Machine::new();
    for size in [(1, 1), (2, 1), (1000, 500)] {
        let machine = Machine::new();
        // No line editor: bash's divides by zero in a single column.
        let script = "stty size > part; mv part size; read end; exit 3";
        let (mut host, ticket) = machine.share(size, &["-q", "--", "sh", "-c", script]);
        let seen = crate::harness::wait_for_file(&machine.path("size"));
        assert_eq!(seen.trim(), format!("{} {}", size.1, size.0));
        let output = anna.join_piped(&ticket, &["--text"]).wait();
        assert_eq!(output.status.code(), Some(0), "{size:?}");
        host.send("end\r");
        assert_eq!(host.wait_code(), Some(3));
    }
    let (mut host, ticket) = anna.share_shell(&["-q"]);
    host.send("echo X\r");
    for size in [(1, 1), (3, 2), (1000, 500)] {
        let bert = Machine::new();
        let mut viewer = bert.join(size, &ticket, &[]);
        viewer.wait_until("something of the session", |screen| {
            !screen.contents().trim().is_empty()
        });
        viewer.resize(VIEWER.0, VIEWER.1);
        viewer.wait_for("\nX");
        viewer.send(&format!("{PREFIX}q"));
        assert_eq!(viewer.wait_code(), Some(0));
    }
    assert_alive(&mut host);
}

#[test]
fn a_storm_of_resizes_ends_with_the_same_screen() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&["-q"]);
    let viewer = bert.watch(&ticket, &[]);
    host.send("seq -f 'line %.0f is here to be wrapped again' 300\r");
    host.wait_for("line 300");
    for n in 0..200_u16 {
        host.resize(1 + n * 7 % 150, 1 + n * 3 % 60);
        viewer.resize(1 + n * 5 % 150, 1 + n * 11 % 60);
    }
    host.resize(SIZE.0, SIZE.1);
    viewer.resize(VIEWER.0, VIEWER.1);
    host.send("\x15clear; stty size; seq 20\r");
    host.wait_for("24 80\n1\n");
    host.wait_for("\n20");
    assert_same(&host, &viewer, SIZE);
    assert_alive(&mut host);
}

#[test]
fn output_that_is_no_text() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&["-q"]);
    let viewer = bert.watch(&ticket, &[]);
    host.send("printf '\\xff\\xfe\\xc3(\\xf0\\x9f\\x98 \\xed\\xa0\\x80 end\\n'\r");
    viewer.wait_for(" end\n");
    // Random bytes may leave any mode set; `reset` is what people type then.
    host.send("head -c 300000 /dev/urandom; reset; clear; echo sane-$((1+1))\r");
    viewer.wait_for("sane-2");
    assert_alive(&mut host);
}

#[test]
fn a_line_of_100_mb_takes_little_memory() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&["-q"]);
    let viewer = bert.watch(&ticket, &[]);
    host.send("head -c 100000000 /dev/zero | tr '\\0' x; echo; echo done-$((1+1))\r");
    host.wait_for("\ndone-2");
    viewer.wait_for("\ndone-2");
    let peak = crate::harness::peak(host.session_pid());
    assert!(peak < 96 << 20, "the host took {} MiB", peak >> 20);
    let peak = crate::harness::peak(viewer.pid());
    assert!(peak < 96 << 20, "the viewer took {} MiB", peak >> 20);
    assert_alive(&mut host);
}

#[test]
fn a_program_that_dies_at_once() {
    let (anna, bert) = (Machine::new(), Machine::new());
    for (script, code) in [("exit 9", 9), ("kill -KILL $$", 137)] {
        let (mut host, ticket) = anna.share(SIZE, &["-q", "--", "sh", "-c", script]);
        assert_eq!(host.wait_code(), Some(code));
        let (code, said) = join_says(&bert, &ticket, &[]);
        assert_eq!(code, Some(5), "{said}");
    }
}

#[test]
fn a_dead_sessions_leftovers_are_in_nobodys_way() {
    let anna = Machine::new();
    let (mut host, _) = anna.share_shell(&[]);
    let id = anna.session()["session"].as_str().unwrap().to_owned();
    host.kill();
    let socket = anna.path(&format!("state/pillion/sessions/{id}/control"));
    assert!(socket.exists(), "a killed host leaves its socket");
    let said = anna.fails(4, &["stop", &id]);
    assert!(said.contains("pillion ls"), "{said}");
    assert!(
        !socket.exists(),
        "the first command that meets it clears it away"
    );
    let (mut host, _) = anna.share_shell(&[]);
    anna.run(&["who"]);
    anna.run(&["stop"]);
    assert_alive(&mut host);
    // It goes with what was recorded.
    anna.run(&["rm", &id]);
    assert!(!socket.parent().unwrap().exists());
}

/// Something that connects to a host without being a viewer.
struct Stranger {
    net: ViewerNet,
    viewer: Viewer,
    identity: SecretKey,
    clock: Clock,
}

impl Stranger {
    fn new(ticket: &Ticket) -> Stranger {
        let mut net = ViewerNet::new(RelayChoice::None, NetOptions::default());
        net.set_host(ticket.addr.clone());
        let clock = Clock::start();
        let identity = SecretKey::from_bytes(&random_bytes().unwrap());
        let config = ViewerConfig {
            identity: identity.public(),
            session: PublicKey::from_bytes(ticket.addr.id.as_bytes()).unwrap(),
            link: Some(SecretKey::from_bytes(&ticket.link)),
            grants: Vec::new(),
            claims: Vec::new(),
            name: "stranger".to_owned(),
            software: "stranger".to_owned(),
            join: JoinId(random_bytes().unwrap()),
            read_only: true,
            inside: Vec::new(),
        };
        Stranger {
            net,
            viewer: Viewer::new(config, clock.now()),
            identity,
            clock,
        }
    }

    /// Connects, changes what it says by `alter`, and gives what it was told in the end.
    async fn told(ticket: &Ticket, alter: impl Fn(Stream, bytes::Bytes) -> bytes::Bytes) -> String {
        let mut this = Stranger::new(ticket);
        loop {
            while let Some(output) = this.viewer.poll() {
                let output = match output {
                    ViewerOutput::Send { stream, bytes } => ViewerOutput::Send {
                        stream,
                        bytes: alter(stream, bytes),
                    },
                    other => other,
                };
                match this.net.apply(output) {
                    Some(ViewerOutput::Sign { request, inputs }) => {
                        let signed = ViewerInput::signed_with(&this.identity, request, &inputs);
                        this.viewer.handle(this.clock.now(), signed);
                    }
                    Some(ViewerOutput::Event(ViewerEvent::Ended { why, .. })) => {
                        this.net.close().await;
                        return pillion_tui::words::ending(&why, pillion_tui::words::Zone::UTC);
                    }
                    _ => {}
                }
            }
            let input = match this
                .viewer
                .wake_at()
                .map(|at| this.clock.instant(at).into())
            {
                Some(at) => tokio::time::timeout_at(at, this.net.next_input())
                    .await
                    .unwrap_or(ViewerInput::Tick),
                None => this.net.next_input().await,
            };
            this.viewer.handle(this.clock.now(), input);
        }
    }
}

fn on_loopback<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(crate::harness::PATIENCE, work)
            .await
            .expect("an answer in time")
    })
}

#[test]
fn who_speaks_garbage_is_put_out_and_the_session_goes_on() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    let viewer = bert.watch(&ticket, &[]);
    let ticket: Ticket = ticket.parse().unwrap();
    let garbage: &[&[u8]] = &[
        &[0xff; 400],
        b"GET / HTTP/1.1\r\n\r\n",
        &[0, 0, 0, 0],
        &[0, 0, 0, 3, 1, 0xff, 0xff],
    ];
    for bytes in garbage {
        let text = on_loopback(Stranger::told(&ticket, |_, _| {
            bytes::Bytes::copy_from_slice(bytes)
        }));
        assert!(
            text.contains("upgrade") || text.contains("protocol"),
            "{text}"
        );
    }
    host.send("echo on-$((1+1))\r");
    viewer.wait_for("on-2");
    assert_alive(&mut host);
}

#[test]
fn who_speaks_another_version_is_told_which_side_to_upgrade() {
    let anna = Machine::new();
    let (mut host, ticket) = anna.share_shell(&[]);
    let ticket: Ticket = ticket.parse().unwrap();
    for (versions, part) in [((0, 0), "on your side"), ((900, 901), "on the host's side")] {
        let range = VersionRange {
            oldest: Version(versions.0),
            newest: Version(versions.1),
        };
        let text = on_loopback(Stranger::told(&ticket, |stream, bytes| {
            altered(stream, bytes, range)
        }));
        assert!(
            text.contains("please upgrade pillion") && text.contains(part),
            "{text}"
        );
    }
    assert_alive(&mut host);
}

/// A hello that says to speak other versions.
fn altered(stream: Stream, bytes: bytes::Bytes, versions: VersionRange) -> bytes::Bytes {
    let mut framer = pillion::proto::Framer::new(1 << 20);
    framer.push(&bytes);
    match framer.next_message() {
        Ok(Some((tag, payload))) if stream == Stream::Control => {
            match FromViewer::decode(tag, &payload) {
                Ok(FromViewer::Hello(mut hello)) => {
                    hello.versions = versions;
                    let mut out = bytes::BytesMut::new();
                    FromViewer::Hello(hello).encode(&mut out);
                    out.freeze()
                }
                _ => bytes,
            }
        }
        _ => bytes,
    }
}

#[test]
fn who_speaks_another_protocol_gets_no_connection() {
    let anna = Machine::new();
    let (mut host, ticket) = anna.share_shell(&[]);
    let ticket: Ticket = ticket.parse().unwrap();
    on_loopback(async {
        let endpoint = iroh::Endpoint::builder(iroh::endpoint::presets::Minimal)
            .relay_mode(iroh::RelayMode::Disabled)
            .bind()
            .await
            .unwrap();
        assert!(endpoint.connect(ticket.addr.clone(), b"h3").await.is_err());
        endpoint.close().await;
    });
    // Nor is a datagram that is no QUIC answered by anything but silence.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for addr in ticket.addr.ip_addrs().filter(|addr| addr.is_ipv4()) {
        for noise in [&b""[..], &[0; 1200], &[0xff; 1200]] {
            // The machine's other addresses may not be reachable from loopback.
            let _ = socket.send_to(noise, addr);
        }
    }
    assert_alive(&mut host);
}

#[test]
fn a_viewer_whose_terminal_goes_away_leaves() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    let viewer = bert.watch(&ticket, &["--name", "bert"]);
    until("bert to be here", || {
        anna.run(&["who"]).contains("bert").then_some(())
    });
    let status = Command::new("kill")
        .args(["-HUP", &viewer.pid().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
    until("bert to be gone", || {
        let who = anna.who();
        who.iter()
            .all(|person| person["here"] == false)
            .then_some(())
    });
    assert_alive(&mut host);
}
