//! A session's own process, and the terminals that come to it and go: leaving, closing, taking over, and each
//! of the processes killed.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{
    Machine, PREFIX, Piped, SIZE, Term, answer_open, assert_same, kill_process_of,
    request_and_grant, until, wait_for_file,
};

const PILLION: &str = env!("CARGO_BIN_EXE_pillion");

/// What a session's process leaves on a terminal that is given back.
const GIVEN_BACK: &str = "\x1b[?1049l";

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

/// The process of the one session of a machine.
fn session_pid(machine: &Machine) -> u32 {
    let all: Vec<serde_json::Value> =
        serde_json::from_str(&machine.run(&["ls", "--json"])).unwrap();
    let [one] = &all[..] else {
        panic!("not one running session: {all:?}")
    };
    one["pid"].as_u64().unwrap() as u32
}

/// Waits until the session's terminal is in this state.
fn wait_terminal(machine: &Machine, state: &str) {
    until(&format!("a terminal that is {state}"), || {
        (machine.session()["terminal"] == state).then_some(())
    });
}

/// Ends a session that has no terminal when the test ends.
struct Ends(u32);

impl Drop for Ends {
    fn drop(&mut self) {
        kill_process_of(self.0);
    }
}

/// `pillion share --detach ARGS`; the ticket.
fn share_detached(machine: &Machine, args: &[&str]) -> (Ends, String) {
    let file = machine.fresh("ticket");
    let mut all = vec![
        "--share",
        "--detach",
        "--ticket-file",
        file.to_str().unwrap(),
    ];
    all.extend(args);
    if !args.contains(&"--") {
        all.extend(["--", "bash", "--norc", "--noprofile"]);
    }
    let output = machine.output(&all);
    assert!(output.status.success(), "{output:?}");
    let ticket = std::fs::read_to_string(file).unwrap();
    (Ends(session_pid(machine)), ticket.trim().to_owned())
}

/// `pillion attach ARGS` in a terminal.
fn attach(machine: &Machine, size: (u16, u16), args: &[&str]) -> Term {
    let mut all = vec!["attach"];
    all.extend(args);
    Term::start(machine.pillion(&all), size)
}

/// A script in a terminal, which runs on when the `pillion` in it has ended.
fn script(machine: &Machine, text: &str) -> Term {
    let mut command = Command::new("sh");
    command.args(["-c", text]);
    machine.set_env(&mut command);
    Term::start(command, SIZE)
}

#[test]
fn leaving_closing_and_attaching_elsewhere_harms_no_viewer() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&["-q"]);
    let _ends = Ends(host.session_pid());
    let viewer = bert.watch(&ticket, &["--name", "bert"]);
    host.send("echo first-$((1+1))\r");
    viewer.wait_for("first-2");
    assert_eq!(anna.session()["terminal"], "attached");

    // The prefix and d leave the terminal as it was found.
    host.send(&format!("{PREFIX}d"));
    assert_eq!(host.wait_code(), Some(0));
    assert!(host.raw_text().contains(GIVEN_BACK), "given back");
    let text = host.text();
    let (shown, said) = text.split_once("Detached from session").unwrap();
    assert!(shown.contains("first-2"), "what was there stays: {text}");
    assert!(said.contains("pillion attach"), "{text}");
    viewer.wait_for("left their terminal; the session goes on");
    wait_terminal(&anna, "detached");
    drop(host);

    // Another terminal, of another size, shows what the session shows.
    let mut other = attach(&anna, (100, 30), &[]);
    other.wait_for("first-2\n$");
    viewer.wait_for("is at their terminal again");
    other.send("tput cols; echo second-$((1+1))\r");
    other.wait_for("100\nsecond-2\n$");
    viewer.wait_for("second-2");
    assert_same(&other, &viewer, (80, 24));
    assert_eq!(anna.session()["terminal"], "attached");
    other.send("sleep 1000 &\r");

    // Who has left once has said that the session may go on without them.
    other.close();
    assert_eq!(other.wait_code_closed(), Some(129));
    viewer.wait_for("lost their terminal; the session goes on");
    wait_terminal(&anna, "detached");
    assert_eq!(anna.who().len(), 1);

    // The program's own end ends it, with its code.
    let mut last = attach(&anna, SIZE, &[]);
    last.wait_for("second-2");
    last.send("kill %1; exit 7\r");
    assert_eq!(last.wait_code(), Some(7));
    viewer.wait_for("ended");
    assert_eq!(anna.session()["state"], "ended");
}

#[test]
fn a_session_in_the_background_says_how_it_is_joined_and_attached() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let output = anna.output(&["--share", "--detach", "--name", "night", "--", "cat"]);
    assert!(output.status.success(), "{output:?}");
    let _ends = Ends(session_pid(&anna));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let id = anna.session()["session"].as_str().unwrap().to_owned();
    let ticket = said
        .split_whitespace()
        .find(|word| word.starts_with("pillionaf") || word.len() > 60);
    let ticket = ticket.unwrap_or_else(|| panic!("no ticket: {said}"));
    assert!(said.contains(&format!("pillion attach {id}")), "{said}");
    let follower = bert.join_piped(ticket, &["--follow", "--name", "log"]);
    until("the follower to be here", || {
        (!anna.who().is_empty()).then_some(())
    });
    let mut host = attach(&anna, SIZE, &["night"]);
    host.wait_until("its screen", |_| anna.session()["terminal"] == "attached");
    host.send("hello\r");
    host.wait_for("hello\nhello");
    // As with any program whose input ends.
    host.send("\x04");
    assert_eq!(host.wait_code(), Some(0));
    let output = follower.wait();
    assert!(String::from_utf8_lossy(&output.stdout).contains("hello"));
}

#[test]
fn what_can_not_be_started_in_the_background_is_said_at_once() {
    let anna = Machine::new();
    let said = anna.fails(127, &["--detach", "--", "no-such-program-here"]);
    assert!(said.contains("no-such-program-here"), "{said}");
    let said = anna.fails(4, &["--detach", "--restart", "nothing"]);
    assert!(said.contains("nothing"), "{said}");
    let mut host = Term::start(anna.pillion(&["--", "no-such-program-here"]), SIZE);
    assert_eq!(host.wait_code(), Some(127));
    assert!(host.text().contains("was not found"), "{}", host.text());
    assert_eq!(anna.run(&["ls", "--json"]).trim(), "[]");
}

#[test]
fn one_terminal_at_a_time_and_taking_over_is_said() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (_ends, ticket) = share_detached(&anna, &[]);
    let viewer = bert.watch(&ticket, &["--name", "bert"]);
    let mut first = attach(&anna, SIZE, &[]);
    first.wait_for("$");
    first.send("echo first-$((1+1))\r");
    viewer.wait_for("first-2");
    let mut second = attach(&anna, SIZE, &[]);
    assert_eq!(first.wait_code(), Some(0));
    assert!(
        first.text().contains("was attached to another terminal"),
        "{}",
        first.text()
    );
    assert!(first.raw_text().contains(GIVEN_BACK));
    second.wait_for("first-2");
    second.send("echo second-$((1+1))\r");
    viewer.wait_for("second-2");
    assert!(!first.text().contains("second"));

    // Two at once: one has it, the other hears so.
    let mut both = [attach(&anna, SIZE, &[]), attach(&anna, SIZE, &[])];
    assert_eq!(second.wait_code(), Some(0));
    let loser = until("one of two to lose", || {
        both.iter()
            .position(|one| one.text().contains("was attached to another terminal"))
    });
    let [a, b] = &mut both;
    let (lost, has) = if loser == 0 { (a, b) } else { (b, a) };
    assert_eq!(lost.wait_code(), Some(0));
    has.wait_for("second-2");
    has.send("echo third-$((1+1))\r");
    viewer.wait_for("third-2");
    assert_same(has, &viewer, SIZE);
    let audit = crate::harness::audited(&anna).join("\n");
    assert!(
        audit.contains("attached another terminal in place of"),
        "{audit}"
    );
}

#[test]
fn a_terminal_that_takes_nothing_is_taken_over_all_the_same() {
    let anna = Machine::new();
    let (_ends, _) = share_detached(&anna, &["--", "sh", "-c", "read go; yes"]);
    // Nobody reads what this one is sent, as behind a connection that has died.
    let (pty, pts) = pty_process::blocking::open().unwrap();
    pty.resize(pty_process::Size::new(24, 80)).unwrap();
    let command = anna.pillion(&["attach"]);
    let mut stuck = crate::harness::in_pty(&command).spawn(pts).unwrap();
    wait_terminal(&anna, "attached");
    (&pty).write_all(b"\r").unwrap();
    let session = session_pid(&anna);
    until("the program to wait for it", || {
        // The thread that reads the program sleeps in poll(2) once the terminal is full.
        let mut fds = [rustix::event::PollFd::new(
            &pty,
            rustix::event::PollFlags::IN,
        )];
        rustix::event::poll(&mut fds, None).unwrap();
        let waiting = rustix::io::ioctl_fionread(&pty).unwrap();
        (waiting > 2000).then_some(())
    });
    let mut other = attach(&anna, SIZE, &[]);
    other.wait_for("y\ny\ny");
    other.send("\x03");
    assert_eq!(other.wait_code(), Some(130));
    until("its process to end", || {
        (!std::path::Path::new(&format!("/proc/{session}")).exists()).then_some(())
    });
    drop(pty);
    stuck.wait().unwrap();
}

#[test]
fn a_full_screen_program_is_shown_whole_and_what_was_beneath_it_when_it_ends() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let draws = "printf 'beneath\\n\\033[?1049h\\033[H\\033[7mtop\\033[m\\033[5;10Hmiddle\\033[?25l'; \
                 read go; printf '\\033[?1049l\\033[?25h'; read end";
    let (_ends, ticket) = share_detached(&anna, &["--", "sh", "-c", draws]);
    let viewer = bert.watch(&ticket, &["--name", "bert"]);
    viewer.wait_for("middle");
    let mut host = attach(&anna, SIZE, &[]);
    host.wait_for("middle");
    assert_same(&host, &viewer, SIZE);
    assert!(host.screen().alternate_screen());
    host.send("\r");
    host.wait_for("beneath");
    viewer.wait_for("beneath");
    assert!(!host.screen().alternate_screen());
    assert_same(&host, &viewer, SIZE);
}

#[test]
fn a_killed_session_process_leaves_the_terminal_as_it_was_and_says_where_its_log_is() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let file = anna.fresh("ticket");
    let host = script(
        &anna,
        &format!(
            "{PILLION} --share -q --ticket-file {} -- sh -c \
             'printf \"\\033[?1049h\\033[?1000hinside\"; exec sleep 1000'; echo code-$?; stty -a; read end",
            file.display()
        ),
    );
    let ticket = wait_for_file(&file);
    host.wait_for("inside");
    let viewer = bert.watch(ticket.trim(), &["--name", "bert"]);
    let id = anna.session()["session"].as_str().unwrap().to_owned();
    kill_process_of(session_pid(&anna));
    host.wait_for("code-137");
    host.wait_for(" icanon");
    host.wait_for(" echo ");
    let text = host.text().replace('\n', "");
    assert!(text.contains("was killed, or crashed"), "{text}");
    let log = anna.path("state/pillion/sessions").join(&id);
    assert!(text.contains(&log.display().to_string()), "{text}");
    assert!(!host.screen().alternate_screen());
    assert_eq!(
        host.screen().mouse_protocol_mode(),
        vt100::MouseProtocolMode::None
    );
    assert!(anna.run(&["export", &id]).contains("inside") || log.is_dir());
    drop(viewer);

    // Attached from elsewhere, too, where it is nobody's child.
    let (ends, _) = share_detached(&anna, &["--", "sh", "-c", "echo here; exec sleep 1000"]);
    let mut host = attach(&anna, SIZE, &[]);
    host.wait_for("here");
    kill_process_of(ends.0);
    assert_eq!(host.wait_code(), Some(1));
    assert!(
        host.text().contains("was killed, or crashed"),
        "{}",
        host.text()
    );
}

#[test]
fn a_killed_command_is_a_lost_terminal_which_gets_its_settings_back() {
    for stay in [false, true] {
        let (anna, bert) = (Machine::new(), Machine::new());
        let file = anna.fresh("ticket");
        let host = script(
            &anna,
            &format!(
                "PILLION_STAY={stay} {PILLION} --share -q --ticket-file {} -- sh -c \
                 'printf \"\\033[?1049hinside\"; exec sleep 1000' < /dev/tty & echo $! > pid; wait; echo code-$?; \
                 until stty -a | grep -q ' icanon'; do sleep 0.05; done; echo restored; read end",
                file.display()
            ),
        );
        let ticket = wait_for_file(&file);
        host.wait_for("inside");
        let ends = Ends(session_pid(&anna));
        let follower = bert.join_piped(ticket.trim(), &["--follow", "--name", "log"]);
        until("the follower to be here", || {
            (!anna.who().is_empty()).then_some(())
        });
        let pid = std::fs::read_to_string(anna.path("pid")).unwrap();
        signal(pid.trim().parse().unwrap(), Signal::KILL);
        host.wait_for("restored");
        assert!(!host.screen().alternate_screen());
        if stay {
            wait_terminal(&anna, "detached");
            let audit = crate::harness::audited(&anna).join("\n");
            assert!(audit.contains("lost their terminal"), "{audit}");
            let mut again = attach(&anna, SIZE, &[]);
            again.wait_for("inside");
            again.send(&format!("{PREFIX}d"));
            assert_eq!(again.wait_code(), Some(0));
            drop(follower);
        } else {
            let output = follower.wait();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains("the host's terminal was closed"), "{said}");
            until("the session to end", || {
                (anna.session()["state"] == "ended").then_some(())
            });
        }
        drop(ends);
    }
}

#[test]
fn a_command_that_is_stopped_gives_the_terminal_back_and_takes_it_again() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile"]);
    anna.set_env(&mut command);
    let mut host = Term::start(command, SIZE);
    let file = anna.path("ticket");
    host.send(&format!(
        "PS1='in> ' {PILLION} --share -q --ticket-file {} -- bash --norc --noprofile\r",
        file.display()
    ));
    let ticket = wait_for_file(&file);
    host.wait_for("\nin> ");
    let viewer = bert.watch(ticket.trim(), &["--name", "bert"]);
    host.send("sleep 3 && echo meanwhile-$((1+1))\r");
    let job = until("the command", || {
        let pids = Command::new("pgrep")
            .args(["-P", &host.pid().to_string()])
            .output()
            .unwrap();
        String::from_utf8(pids.stdout).unwrap().trim().parse().ok()
    });
    signal(job, Signal::TSTP);
    host.wait_for("Stopped");
    wait_terminal(&anna, "detached");
    host.send("echo outside-$((1+1)); stty -a | grep -o ' icanon'\r");
    host.wait_for("outside-2");
    // The program goes on without it.
    viewer.wait_for("meanwhile-2");
    assert!(!host.text().contains("meanwhile-2"));
    host.send("fg\r");
    host.wait_for("meanwhile-2\nin>");
    assert_same(&host, &viewer, SIZE);
    host.send("exit 5\r");
    host.wait_for("exit\n$");
    host.send("echo code-$?\r");
    host.wait_for("code-5");
}

#[test]
fn a_command_in_the_background_waits_for_its_terminal() {
    let anna = Machine::new();
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile"]);
    anna.set_env(&mut command);
    let mut host = Term::start(command, SIZE);
    host.wait_for("$ ");
    host.send(&format!(
        "{PILLION} -q -- sh -c 'echo in-$((1+1)); read x; exit 6' &\r"
    ));
    until("the job to be stopped", || {
        host.send("\r");
        host.text().contains("Stopped").then_some(())
    });
    assert_eq!(anna.run(&["ls", "--json"]).trim(), "[]");
    host.send("clear; fg\r");
    host.wait_for("in-2");
    host.send("\r");
    host.wait_for("\n$");
    host.send("echo code-$?\r");
    host.wait_for("code-6");
}

#[test]
fn who_is_told_to_end_goes_and_the_session_that_stays_stays() {
    for ends in [Signal::TERM, Signal::HUP, Signal::INT] {
        let anna = Machine::new();
        let (_ends, _) = share_detached(&anna, &["--", "sh", "-c", "echo here; exec sleep 1000"]);
        let mut host = attach(&anna, SIZE, &[]);
        host.wait_for("here");
        signal(host.pid(), ends);
        assert_eq!(host.wait_code(), Some(128 + ends.as_raw()));
        assert!(host.raw_text().contains(GIVEN_BACK));
        wait_terminal(&anna, "detached");
        // The session's own process passes it on to its program.
        let mut host = attach(&anna, SIZE, &[]);
        host.wait_for("here");
        signal(session_pid(&anna), Signal::TERM);
        assert_eq!(host.wait_code(), Some(143));
    }
}

#[test]
fn what_can_not_be_attached_is_refused_with_what_to_do() {
    let anna = Machine::new();
    // No terminal here.
    let (ends, _) = share_detached(&anna, &["--", "bash", "--norc", "--noprofile"]);
    let said = anna.fails(1, &["attach"]);
    assert!(said.contains("no terminal here"), "{said}");
    // Inside of itself, and from a terminal that a program in it made.
    let mut host = attach(&anna, SIZE, &[]);
    host.wait_for("$");
    host.send(&format!("clear; {PILLION} attach; echo one-$?\r"));
    host.wait_for("one-3");
    assert!(host.text().contains("inside of itself"), "{}", host.text());
    host.send(&format!(
        "clear; script -qec '{PILLION} attach' /dev/null; echo two-$?\r"
    ));
    host.wait_for("two-3");
    assert!(
        host.text().contains("inside the session"),
        "{}",
        host.text()
    );
    // Neither from one that was started so that its parent is gone.
    let (out, done) = (anna.path("out"), anna.path("done"));
    host.send(&format!(
        "clear; setsid --fork sh -c 'script -qec \"{PILLION} attach\" {}; echo > {}'\r",
        out.display(),
        done.display()
    ));
    wait_for_file(&done);
    let said = std::fs::read_to_string(&out).unwrap();
    assert!(said.contains("inside the session"), "{said}");
    drop(host);
    drop(ends);

    // One whose output goes elsewhere.
    let (_host, _) = anna.share_piped(&["--", "cat"]);
    let id = until("the session", || {
        let all: Vec<serde_json::Value> =
            serde_json::from_str(&anna.run(&["ls", "--json"])).unwrap();
        all.into_iter().find(|one| one["terminal"] == "none")
    });
    let mut refused = attach(&anna, SIZE, &[id["session"].as_str().unwrap()]);
    assert_eq!(refused.wait_code(), Some(1));
    assert!(
        refused.text().contains("without a terminal"),
        "{}",
        refused.text()
    );
    let mut refused = attach(&anna, SIZE, &["nothing"]);
    assert_eq!(refused.wait_code(), Some(4));
}

#[test]
fn a_session_bound_to_its_terminal_moves_only_with_a_yes_once_others_typed() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&["-q"]);
    let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
    request_and_grant(&mut viewer, &mut host);
    viewer.send("echo typed-$((1+1))\r");
    host.wait_for("typed-2");
    let mut other = attach(&anna, SIZE, &[]);
    other.wait_for("waiting 60 s at most for a yes");
    host.wait_for("A command asks");
    host.send(PREFIX);
    host.wait_for("Move this session to another terminal");
    answer_open(&mut host, "n", |_| other.text().contains("said no"));
    assert_eq!(other.wait_code(), Some(3));
    host.wait_for("typed-2");

    let other = attach(&anna, SIZE, &[]);
    other.wait_for("waiting 60 s at most for a yes");
    host.send(PREFIX);
    host.wait_for("Move this session to another terminal");
    answer_open(&mut host, "y", |host| {
        host.text().contains("another terminal. `pillion attach")
    });
    assert_eq!(host.wait_code(), Some(0));
    other.wait_for("typed-2");
    drop(other);
}

#[test]
fn another_users_command_is_refused() {
    if !rustix::process::geteuid().is_root() {
        crate::skip::skip("to be another user needs root");
        return;
    }
    let anna = Machine::new();
    let (_ends, _) = share_detached(&anna, &["--", "cat"]);
    let id = anna.session()["session"].as_str().unwrap().to_owned();
    let dir = anna.path(&format!("state/pillion/sessions/{id}"));
    let socket = dir.join("control");
    // Somebody has opened all of it.
    let above = ["", "state", "state/pillion", "state/pillion/sessions"];
    let above = above.map(|path| anna.path(path));
    let opened: Vec<_> = above.into_iter().chain([dir, socket.clone()]).collect();
    let modes: Vec<_> = opened
        .iter()
        .map(|path| std::fs::metadata(path).unwrap().permissions())
        .collect();
    for path in &opened {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(path, open).unwrap();
    }
    let script = r#"
        use Socket; $| = 1;
        socket(S, AF_UNIX, SOCK_STREAM, 0); connect(S, sockaddr_un($ARGV[0])) or die $!;
        syswrite(S, "\"Attach\"\n"); print scalar <S>;
    "#;
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--clear-groups", "perl", "-e", script])
        .arg(&socket)
        .stdin(Stdio::null());
    let output = Piped::start(command).wait();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("OtherUser"), "{output:?}");
    for (path, mode) in opened.iter().zip(modes) {
        std::fs::set_permissions(path, mode).unwrap();
    }
    assert_eq!(anna.session()["terminal"], "detached");
}

#[test]
fn a_session_in_the_background_is_ended_with_all_its_terminals() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let file = anna.path("ticket");
    let command = ["sh", "-c", "trap '' HUP; echo zero; read x"];
    let share = [
        "--share",
        "--detach",
        "--ticket-file",
        file.to_str().unwrap(),
        "--",
    ];
    let started = anna.output(&[&share[..], &command].concat());
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    let id = anna.session()["session"].as_str().unwrap().to_owned();
    assert!(
        said.contains(&format!("pillion close --all --session {id}` ends it")),
        "{said}"
    );
    let _ends = Ends(session_pid(&anna));
    let viewer = bert.watch(std::fs::read_to_string(&file).unwrap().trim(), &[]);
    let opened = anna.output(&["new", "--", "sh", "-c", "exit 3"]);
    let said = String::from_utf8_lossy(&opened.stderr).into_owned();
    assert!(
        said.contains("Opened terminal 1. Ctrl-] 1 goes there"),
        "{said}"
    );
    assert_eq!(opened.stdout, b"1\n");
    anna.run(&["new", "--", "cat"]);
    let said = anna.fails(2, &["close"]);
    assert!(said.contains("<NUMBER|--all>"), "{said}");
    let closed = anna.output(&["close", "--all"]);
    let said = String::from_utf8_lossy(&closed.stderr).into_owned();
    assert!(
        closed.status.success() && said == format!("Session {id} has ended.\n"),
        "{said}"
    );
    assert_eq!(anna.session()["state"], "ended");
    viewer.wait_raw("ended");
    let said = anna.fails(4, &["close", "--all", "--session", &id]);
    assert!(said.contains("there is no running session"), "{said}");
}
