//! Leaving and staying away: on every way out the host is told, and nothing spins, panics or lingers.

use std::{
    io::{PipeWriter, Read as _, Write as _},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::service::Service;
use crate::harness::{
    Machine, PREFIX, Piped, SIZE, Term, VIEWER, in_pty, sleeps, until, wait_for_file,
};

/// How soon who left is gone from the list: far below the 30 s after which QUIC gives a connection up, and far above
/// what a goodbye takes.
const SOON: Duration = Duration::from_secs(8);

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

/// A session that prints what comes through a pipe.
fn printing(machine: &Machine) -> (Piped, String, PipeWriter) {
    let file = machine.fresh("ticket");
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = machine.pillion(&[
        "--share",
        "--ticket-file",
        file.to_str().unwrap(),
        "--",
        "sh",
        "-c",
        "echo ready; exec cat",
    ]);
    command.stdin(reader);
    let host = Piped::spawn(command);
    let ticket = wait_for_file(&file);
    host.out.wait_for("ready");
    (host, ticket.trim().to_owned(), writer)
}

/// Waits for a program's end.
fn code_of(child: &mut Child) -> Option<i32> {
    until("the end of a program", || child.try_wait().unwrap()).code()
}

fn wait_here(host: &Machine, name: &str) {
    until(&format!("{name} to be here"), || {
        let who = host.who();
        who.iter().any(|one| one["name"] == name).then_some(())
    });
}

fn assert_left(host: &Machine, name: &str, since: Instant) {
    until(&format!("{name} to be gone"), || {
        let who = host.who();
        who.iter().all(|one| one["name"] != name).then_some(())
    });
    assert!(since.elapsed() < SOON, "{name}: {:?}", since.elapsed());
}

/// Time on a processor, user and system, in ticks of 10 ms.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let times: Vec<u64> = fields
        .skip(11)
        .take(2)
        .map(|n| n.parse().unwrap())
        .collect();
    times.iter().sum()
}

#[test]
fn an_idle_viewer_sleeps() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (_host, ticket, _input) = printing(&anna);
    let viewer = bert.watch(&ticket, &["--name", "bert"]);
    wait_here(&anna, "bert");
    let mut since = (sleeps(viewer.pid()), Instant::now());
    // Forty wake-ups take some seven seconds; what wakes forty times a second never takes two for them.
    until("forty wake-ups in two seconds or more", || {
        if sleeps(viewer.pid()) < since.0 + 40 {
            return None;
        }
        let (_, began) = std::mem::replace(&mut since, (sleeps(viewer.pid()), Instant::now()));
        (began.elapsed() > Duration::from_secs(2)).then_some(())
    });
}

#[test]
fn a_follower_that_lost_its_connection_waits_and_comes_back() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (host, ticket, mut input) = printing(&anna);
    let lines = |from, to| {
        (from..=to)
            .map(|n| format!("line {n}\n"))
            .collect::<String>()
    };
    let follower = bert.join_piped(&ticket, &["--follow", "--name", "log"]);
    wait_here(&anna, "log");
    input.write_all(lines(1, 100).as_bytes()).unwrap();
    follower.out.wait_for("line 50\n");
    signal(host.pid(), Signal::STOP);
    let before = ticks(follower.pid());
    follower.err.wait_for("trying again until you press Ctrl-C");
    let spent = ticks(follower.pid()) - before;
    assert!(spent < 100, "{spent} ticks spent on waiting");
    signal(host.pid(), Signal::CONT);
    input.write_all(lines(101, 200).as_bytes()).unwrap();
    follower.out.wait_for("line 170\n");
    drop(input);
    let output = follower.wait();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let text = text.strip_prefix("ready\n").unwrap_or(&text);
    assert_eq!(text, lines(1, 200));
}

#[test]
fn a_follower_ends_on_signals_and_says_goodbye() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (_host, ticket, _input) = printing(&anna);
    for (ends, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut follower = bert.join_piped(&ticket, &["--follow", "--name", "log"]);
        wait_here(&anna, "log");
        let since = Instant::now();
        signal(follower.pid(), ends);
        assert_eq!(follower.wait_exit().code(), Some(code));
        assert_left(&anna, "log", since);
    }
}

#[test]
fn a_follower_that_nobody_reads_ends_though_nothing_is_printed() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (_host, ticket, _input) = printing(&anna);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = bert.pillion(&["join", "--follow", "--name", "log"]);
    command.env("PILLION_TICKET", &ticket);
    command.stdin(Stdio::null()).stdout(writer);
    let mut follower = command.stderr(Stdio::piped()).spawn().unwrap();
    drop(command);
    wait_here(&anna, "log");
    let since = Instant::now();
    drop(reader);
    assert_eq!(code_of(&mut follower), Some(0));
    assert_left(&anna, "log", since);
    let mut said = String::new();
    let mut err = follower.stderr.take().unwrap();
    err.read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
}

#[test]
fn a_follower_whose_output_is_not_read_still_ends_on_a_signal() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (_host, ticket, mut input) = printing(&anna);
    let (_reader, writer) = std::io::pipe().unwrap();
    let mut command = bert.pillion(&["join", "--follow", "--name", "log"]);
    command.env("PILLION_TICKET", &ticket);
    command.stdin(Stdio::null()).stdout(writer);
    let mut follower = command.spawn().unwrap();
    wait_here(&anna, "log");
    // More than a pipe holds.
    let line = "x".repeat(70) + "\n";
    input.write_all(line.repeat(5_000).as_bytes()).unwrap();
    let since = Instant::now();
    signal(follower.id(), Signal::TERM);
    assert_eq!(code_of(&mut follower), Some(143));
    assert_left(&anna, "log", since);
}

#[test]
fn a_viewer_ends_on_signals_and_says_goodbye() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (_host, ticket, _input) = printing(&anna);
    for (ends, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
        wait_here(&anna, "bert");
        let since = Instant::now();
        signal(viewer.pid(), ends);
        assert_eq!(viewer.wait_code(), Some(code));
        assert!(viewer.raw_text().contains("\x1b[?1049l"), "given back");
        assert_left(&anna, "bert", since);
    }
}

#[test]
fn a_viewer_that_leaves_finds_its_terminal_as_it_was() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (_host, ticket, _input) = printing(&anna);
    let mut shell = std::process::Command::new("sh");
    let script = "printf 'one\\ntwo\\nthree'; \"$@\"; printf four; read line";
    let join = bert.pillion(&["join", "--name", "bert"]);
    shell.args(["-c", script, "sh"]).arg(join.get_program());
    shell.args(join.get_args());
    bert.set_env(&mut shell);
    shell.env("PILLION_TICKET", &ticket);
    let mut viewer = Term::start(shell, VIEWER);
    viewer.wait_for("ready");
    viewer.send(&format!("{PREFIX}q"));
    viewer.wait_for("\nfour");
    let screen = viewer.screen();
    assert!(
        screen.contents().contains("threeYou left"),
        "{}",
        screen.contents()
    );
    assert_eq!(screen.cursor_position(), (3, 4), "{}", screen.contents());
    viewer.send("\r");
    assert_eq!(viewer.wait_code(), Some(0));
}

#[test]
fn a_viewer_whose_terminal_is_gone_says_goodbye_and_does_not_panic() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (_host, ticket, _input) = printing(&anna);
    // Closed as a window is, and once more where the signal that comes with that is ignored.
    for nohup in [false, true] {
        let (mut pty, pts) = pty_process::blocking::open().unwrap();
        let (cols, rows) = VIEWER;
        pty.resize(pty_process::Size::new(rows, cols)).unwrap();
        let mut command = bert.pillion(&["join", "--name", "bert"]);
        if nohup {
            let mut wrapped = std::process::Command::new("sh");
            let script = "trap '' HUP; exec \"$@\"";
            wrapped
                .args(["-c", script, "sh"])
                .arg(command.get_program());
            wrapped.args(command.get_args());
            bert.set_env(&mut wrapped);
            command = wrapped;
        }
        command.env("PILLION_TICKET", &ticket);
        let mut viewer = in_pty(&command).spawn(pts).unwrap();
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("ready") {
            let mut buffer = [0; 4096];
            let read = pty.read(&mut buffer).unwrap();
            seen.extend_from_slice(&buffer[..read]);
        }
        wait_here(&anna, "bert");
        let since = Instant::now();
        drop(pty);
        assert_eq!(code_of(&mut viewer), Some(129));
        assert_left(&anna, "bert", since);
    }
}

#[test]
fn a_viewer_that_was_killed_is_said_to_be_silent() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let (_host, ticket, _input) = printing(&anna);
    let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
    let mut other = carl.watch(&ticket, &["--name", "carl"]);
    wait_here(&anna, "bert");
    wait_here(&anna, "carl");
    let since = Instant::now();
    viewer.kill();
    until("the silence to be noticed", || {
        let who = anna.who();
        let state = |name: &str| {
            let one = who.iter().find(|one| one["name"] == name);
            one.map(|one| one["state"].as_str().unwrap().to_owned())
        };
        assert_eq!(state("carl").as_deref(), Some("here"));
        (state("bert")? == "silent").then_some(())
    });
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    assert!(anna.run(&["who"]).contains("silent"));
    other.send("\x1dw");
    other.wait_for("bert");
    other.wait_for("silent");
}

#[test]
fn a_host_that_is_told_to_end_says_goodbye_and_gives_its_terminal_back() {
    for (ends, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let (anna, bert) = (Machine::new(), Machine::new());
        let script = "printf '\\033[?1049h'; echo ready; exec sleep 1000";
        let (mut host, ticket) = anna.share(SIZE, &["-q", "--", "sh", "-c", script]);
        host.wait_for("ready");
        let follower = bert.join_piped(&ticket, &["--follow", "--name", "log"]);
        wait_here(&anna, "log");
        let since = Instant::now();
        signal(host.pid(), ends);
        assert_eq!(host.wait_code(), Some(code));
        let output = follower.wait();
        assert_eq!(output.status.code(), Some(0));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("ended"), "{said}");
        assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
        assert!(host.raw_text().contains("\x1b[?1049l"), "given back");
    }
}

#[test]
fn a_host_whose_terminal_is_gone_says_goodbye() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let file = anna.fresh("ticket");
    let (pty, pts) = pty_process::blocking::open().unwrap();
    pty.resize(pty_process::Size::new(SIZE.1, SIZE.0)).unwrap();
    let command = anna.pillion(&[
        "--share",
        "--ticket-file",
        file.to_str().unwrap(),
        "--",
        "sleep",
        "1000",
    ]);
    let mut host = in_pty(&command).spawn(pts).unwrap();
    let ticket = wait_for_file(&file);
    let follower = bert.join_piped(ticket.trim(), &["--follow", "--name", "log"]);
    wait_here(&anna, "log");
    let since = Instant::now();
    drop(pty);
    let output = follower.wait();
    assert_eq!(output.status.code(), Some(0));
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    assert_eq!(code_of(&mut host), Some(129));
}

#[test]
fn a_host_whose_messages_nobody_reads_goes_on() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let service = Service::start();
    for machine in [&anna, &bert] {
        service.trusted_by(machine);
    }
    let file = anna.fresh("ticket");
    let file = file.to_str().unwrap();
    let mut args = vec!["--share", "--json", "--ticket-file", file];
    args.extend(["--code", "--signal", service.url()]);
    args.extend(["--", "sh", "-c", "echo ready; read end; exit 7"]);
    let mut command = anna.pillion(&args);
    let (mut reader, writer) = std::io::pipe().unwrap();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(writer);
    // Its log goes the same way.
    command.env("PILLION_LOG", "/dev/stderr");
    let mut host = command.spawn().unwrap();
    drop(command);
    let ways: serde_json::Value = serde_json::from_str(&wait_for_file(file.as_ref())).unwrap();
    let code = ways["code"].as_str().unwrap().to_owned();
    let mut first = [0; 1];
    reader.read_exact(&mut first).unwrap();
    drop(reader);
    let number = code.split('-').next().unwrap();
    let wrong = match code.contains("zebra") {
        true => format!("{number}-walnut-yogurt"),
        false => format!("{number}-zebra-zebra"),
    };
    bert.fails(3, &["join", &wrong, "--text", "--signal", service.url()]);
    // It said so to nobody, and has another one.
    assert_ne!(anna.run(&["code"]).trim(), code);
    host.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert_eq!(code_of(&mut host), Some(7));
}

#[test]
fn a_command_whose_output_nobody_reads_ends_quietly() {
    let anna = Machine::new();
    let (_host, _, _input) = printing(&anna);
    for args in [
        &["ls"][..],
        &["who"],
        &["ticket"],
        &["audit"],
        &["config", "show"],
        &["completions", "bash"],
        &["id"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = anna.pillion(args);
        command.stdin(Stdio::null()).stdout(writer);
        let output = command.stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
        assert!(
            !said.contains("panicked") && !said.contains("pillion:"),
            "{said}"
        );
    }
    // Nobody hears why, and the code says it.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = anna.pillion(&["kick", "nobody"]);
    let status = command
        .stdin(Stdio::null())
        .stderr(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(4));
}

#[test]
fn moments_are_on_the_clock_of_the_one_who_reads_them() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    let mut join = bert.pillion(&["join", &ticket]);
    join.env("TZ", "<+0530>-5:30");
    let mut viewer = Term::start(join, VIEWER);
    viewer.wait_for("view only");
    let listed = |zone: &str| {
        let mut command = anna.pillion(&["ls"]);
        let output = command.env("TZ", zone).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(listed("UTC0").contains(" +00:00"), "{}", listed("UTC0"));
    assert!(listed("<-03>3").contains(" -03:00"), "{}", listed("<-03>3"));
    anna.run(&["stop"]);
    viewer.wait_exit();
    let said = viewer.raw_text();
    assert!(said.contains("+05:30)") && !said.contains("UTC"), "{said}");
    host.send("exit\r");
    host.wait_exit();
}

#[test]
fn empty_lists_say_why_they_are_empty_and_what_to_do() {
    let anna = Machine::new();
    let said = |args: &[&str]| {
        let output = anna.output(args);
        assert!(output.status.success(), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said(&["ls"]).contains("`pillion ls --all` lists ended ones"));
    let all = said(&["ls", "--all"]);
    assert!(
        all.contains("There is no session") && !all.contains("--all"),
        "{all}"
    );
    let (mut host, _ticket) = anna.share_shell(&[]);
    assert!(said(&["who"]).contains("`pillion ticket`"));
    anna.run(&["stop"]);
    let private = said(&["who"]);
    assert!(
        private.contains("private. `pillion share` shares it"),
        "{private}"
    );
    host.send("exit\r");
    host.wait_exit();
}
