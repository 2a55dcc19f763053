//! What becomes of a session around its program: where commands find it, what they say of one that does not answer,
//! logins that end.

use std::{
    os::unix::fs::OpenOptionsExt as _,
    process::Command,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    process::{Pid, Signal, kill_process},
    termios::LocalModes,
};

use crate::harness::{
    Machine, PREFIX, Piped, SIZE, Term, assert_no_trace, in_pty, kill_process_of, sleeps, until,
};

const PILLION: &str = env!("CARGO_BIN_EXE_pillion");

/// What anything here may take that must not wait for somebody.
const SOON: Duration = Duration::from_secs(20);

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

/// The running sessions of a machine, from `pillion ls --json`.
fn running(machine: &Machine) -> Vec<serde_json::Value> {
    serde_json::from_str(&machine.run(&["ls", "--json"])).unwrap()
}

/// Ends a session when the test ends.
struct Ends(u32);

impl Drop for Ends {
    fn drop(&mut self) {
        kill_process_of(self.0);
    }
}

/// `pillion share --detach -- sh -c SCRIPT`.
fn detached(machine: &Machine, name: &str, script: &str) -> Ends {
    let args = [
        "--share", "--detach", "--json", "--name", name, "--", "sh", "-c",
    ];
    let output = machine.output(&[&args[..], &[script]].concat());
    assert!(output.status.success(), "{output:?}");
    let said: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    Ends(said["pid"].as_u64().unwrap() as u32)
}

/// What a command prints that comes from another login, job or account's shell.
fn elsewhere(mut command: Command, change: impl Fn(&mut Command)) -> String {
    change(&mut command);
    let output = Piped::start(command).wait();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_session_is_found_from_every_login_and_when_its_folders_are_gone() {
    let anna = Machine::new();
    let _host = anna.share(SIZE, &["--", "sh", "-c", "read end"]);
    let other = anna.path("other");
    std::fs::create_dir(&other).unwrap();
    let changes: [&dyn Fn(&mut Command); 3] = [
        &|command| _ = command.env("XDG_RUNTIME_DIR", &other),
        &|command| _ = command.env_remove("XDG_RUNTIME_DIR"),
        &|command| _ = command.env_remove("XDG_RUNTIME_DIR").env("TMPDIR", &other),
    ];
    let finds = |change: &dyn Fn(&mut Command)| {
        let listed = elsewhere(anna.pillion(&["ls"]), change);
        assert!(listed.contains(" shared "), "{listed}");
        elsewhere(anna.pillion(&["who"]), change);
    };
    for change in changes {
        finds(change);
    }
    std::fs::remove_dir_all(anna.path("run")).unwrap();
    for change in changes {
        finds(change);
    }
    // Its socket is made again.
    let id = running(&anna)[0]["session"].as_str().unwrap().to_owned();
    let socket = anna.path(&format!("state/pillion/sessions/{id}/control"));
    std::fs::remove_file(&socket).unwrap();
    assert_eq!(running(&anna)[0]["state"], "unreachable");
    until("its socket", || socket.exists().then_some(()));
    anna.run(&["who"]);
    anna.run(&["stop"]);
    assert_eq!(running(&anna)[0]["state"], "private");
}

#[test]
fn sessions_that_are_stopped_are_said_to_be_unreachable_all_within_a_second() {
    let anna = Machine::new();
    let all: Vec<Ends> = ["one", "two", "three"]
        .iter()
        .map(|name| detached(&anna, name, "exec cat"))
        .collect();
    for ends in &all[..2] {
        signal(ends.0, Signal::STOP);
    }
    let since = Instant::now();
    let listed = anna.run(&["ls"]);
    assert!(since.elapsed() < Duration::from_secs(10), "{listed}");
    for (name, state) in [
        ("one", "unreachable"),
        ("two", "unreachable"),
        ("three", "shared"),
    ] {
        let line = listed.lines().find(|line| line.contains(name)).unwrap();
        assert!(line.contains(state), "{listed}");
    }
    let pid = all[0].0;
    assert!(
        listed.contains(&format!("process {pid} does not answer: kill -CONT {pid}")),
        "{listed}"
    );
    for command in [
        &["who", "--session", "one"][..],
        &["stop", "one"],
        &["close", "1", "--session", "one"],
    ] {
        let said = anna.fails(5, command);
        assert!(
            said.contains(&format!("does not answer: its process {pid} is stopped")),
            "{said}"
        );
    }
    signal(pid, Signal::CONT);
    anna.run(&["who", "--session", "one"]);
}

/// Says which signal it got, and takes it for its end.
const TELLS: &str = "trap 'echo got-TERM; exit 5' TERM; trap 'echo got-HUP; exit 6' HUP; \
                     trap 'echo got-INT; exit 7' INT; trap 'echo got-QUIT; exit 8' QUIT; \
                     echo ready; while :; do sleep 0.05; done";

const SIGNALS: [(Signal, &str, i32); 4] = [
    (Signal::TERM, "got-TERM", 5),
    (Signal::HUP, "got-HUP", 6),
    (Signal::INT, "got-INT", 7),
    (Signal::QUIT, "got-QUIT", 8),
];

#[test]
fn every_signal_reaches_the_program_as_itself() {
    for (told, says, code) in SIGNALS {
        let anna = Machine::new();
        // To the session's process.
        let (mut host, _) = anna.share(SIZE, &["-q", "--", "sh", "-c", TELLS]);
        host.wait_for("ready");
        signal(host.session_pid(), told);
        assert_eq!(host.wait_code(), Some(code), "{says}");
        assert!(host.text().contains(says), "{}", host.text());
        // To the command that holds the terminal.
        let (mut host, _) = anna.share(SIZE, &["-q", "--", "sh", "-c", TELLS]);
        host.wait_for("ready");
        signal(host.pid(), told);
        assert_eq!(host.wait_code(), Some(code), "{says}");
        // And where there is no terminal.
        let (mut host, _) = anna.share_piped(&["-q", "--", "sh", "-c", TELLS]);
        host.out.wait_for("ready");
        signal(host.pid(), told);
        assert_eq!(host.wait_exit().code(), Some(code), "{says}");
        host.out.wait_for(says);
    }
}

#[test]
fn a_shell_that_ignores_a_signal_is_hung_up_on_and_an_interrupted_one_goes_on() {
    let anna = Machine::new();
    let (mut host, _) = anna.share_shell(&["-q"]);
    host.send("echo one-$((1+1))");
    host.wait_for("echo one");
    signal(host.session_pid(), Signal::INT);
    host.wait_for("^C");
    host.send("echo two-$((1+1))\r");
    host.wait_for("\ntwo-2");
    assert!(!host.text().contains("one-2"), "{}", host.text());
    signal(host.session_pid(), Signal::TERM);
    assert_eq!(host.wait_code(), Some(129));
}

#[test]
fn a_terminal_that_takes_nothing_keeps_nobody_from_ending() {
    for to_session in [false, true] {
        let anna = Machine::new();
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(pty_process::Size::new(SIZE.1, SIZE.0)).unwrap();
        let command = anna.pillion(&["-q", "--", "yes"]);
        let mut host = in_pty(&command).spawn(pts).unwrap();
        let session = until("the session", || {
            Some(running(&anna).first()?["pid"].as_u64()? as u32)
        });
        let _ends = Ends(session);
        until("the terminal to be full", || {
            // Only what it has room for was written to it.
            let waiting = rustix::io::ioctl_fionread(&pty).unwrap();
            (waiting > 2000).then_some(())
        });
        let since = Instant::now();
        signal(if to_session { session } else { host.id() }, Signal::TERM);
        let status = until("its end", || host.try_wait().unwrap());
        assert_eq!(status.code(), Some(143));
        assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
        until("the session to end", || {
            running(&anna).is_empty().then_some(())
        });
    }
    // Nor does a pipe.
    let anna = Machine::new();
    let mut command = anna.pillion(&["-q", "--", "yes"]);
    let (reader, writer) = std::io::pipe().unwrap();
    command.stdout(writer).stdin(std::process::Stdio::null());
    let mut host = command.spawn().unwrap();
    drop(command);
    until("the pipe to be full", || {
        (rustix::io::ioctl_fionread(&reader).unwrap() > 60_000).then_some(())
    });
    signal(host.id(), Signal::TERM);
    assert_eq!(
        until("its end", || host.try_wait().unwrap()).code(),
        Some(143)
    );
    drop(reader);
}

#[test]
fn a_viewer_whose_terminal_takes_nothing_ends_when_it_is_told_to() {
    let (anna, bert) = (Machine::new(), Machine::new());
    // Every picture is another one, so that there is always something to draw.
    let (_host, ticket) = anna.share(SIZE, &["-q", "--", "seq", "1000000000"]);
    let (pty, pts) = pty_process::blocking::open().unwrap();
    pty.resize(pty_process::Size::new(SIZE.1, SIZE.0)).unwrap();
    let command = bert.pillion(&["join", &ticket]);
    let mut viewer = in_pty(&command).spawn(pts).unwrap();
    let terminal = std::fs::OpenOptions::new()
        .write(true)
        .custom_flags(rustix::fs::OFlags::NOCTTY.bits() as i32)
        .open(format!("/proc/{}/fd/1", viewer.id()))
        .unwrap();
    until("the terminal to be full", || {
        let mut fds = [PollFd::new(&terminal, PollFlags::OUT)];
        let ready = rustix::event::poll(&mut fds, Some(&Timespec::default())).unwrap();
        (ready == 0).then_some(())
    });
    drop(terminal);
    // Then the next picture comes, and has no room.
    let full = sleeps(viewer.id());
    until("the viewer to wait for its terminal", || {
        (sleeps(viewer.id()) > full + 40).then_some(())
    });
    signal(viewer.id(), Signal::TERM);
    assert_eq!(
        until("its end", || viewer.try_wait().unwrap()).code(),
        Some(143)
    );
}

#[test]
fn a_signal_while_a_session_begins_leaves_nothing_behind() {
    let is_raw = |pty: &pty_process::blocking::Pty| {
        let modes = rustix::termios::tcgetattr(pty).unwrap().local_modes;
        !modes.contains(LocalModes::ICANON)
    };
    for when in 0..4 {
        for ends in [Signal::TERM, Signal::HUP] {
            let anna = Machine::new();
            let (pty, pts) = pty_process::blocking::open().unwrap();
            pty.resize(pty_process::Size::new(SIZE.1, SIZE.0)).unwrap();
            // Nobody answers where the cursor is, so that beginning takes as long as it can.
            let command = anna.pillion(&["--share", "-q", "--", "cat"]);
            let mut host = in_pty(&command).spawn(pts).unwrap();
            let sessions = anna.path("state/pillion/sessions");
            let socket = || {
                let dir = std::fs::read_dir(&sessions).ok()?;
                dir.flatten()
                    .map(|entry| entry.path().join("control"))
                    .find(|path| path.exists())
            };
            match when {
                0 => {}
                1 => until("its directory", || sessions.exists().then_some(())),
                2 => drop(until("its socket", socket)),
                _ => until("a raw terminal", || is_raw(&pty).then_some(())),
            }
            signal(host.id(), ends);
            let status = until("its end", || host.try_wait().unwrap());
            let code = status.code().or(Some(128 + ends.as_raw()));
            assert!(!status.success(), "{code:?}");
            assert!(!is_raw(&pty), "{when}: the terminal is given back");
            until("nothing of it to run", || {
                running(&anna).is_empty().then_some(())
            });
            assert_eq!(socket(), None, "{when}");
        }
    }
    // Where there is no terminal, in the same process.
    let anna = Machine::new();
    let pipe = anna.path("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let args = [
        "--share",
        "--ticket-file",
        pipe.to_str().unwrap(),
        "--",
        "cat",
    ];
    let mut host = Piped::start_with_input(anna.pillion(&args));
    host.err.wait_for("waiting for somebody to read");
    let id = running(&anna)[0]["session"].as_str().unwrap().to_owned();
    signal(host.pid(), Signal::INT);
    assert_eq!(host.wait_exit().code(), Some(130));
    assert!(
        !anna
            .path(&format!("state/pillion/sessions/{id}/control"))
            .exists()
    );
}

#[test]
fn a_session_outlives_the_login_it_was_started_from_where_that_was_said() {
    let anna = Machine::new();
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile"]);
    anna.set_env(&mut command);
    let mut login = Term::start(command, SIZE);
    login.wait_for("$ ");
    let (one, two, three) = (anna.path("one"), anna.path("two"), anna.path("three"));
    login.send(&format!(
        "{PILLION} --share --detach -q --name detached --ticket-file {} -- cat; echo first-$((1+1))\r",
        one.display()
    ));
    login.wait_for("first-2");
    login.send(&format!(
        "nohup {PILLION} --share -q --name nohup --ticket-file {} -- sh -c 'exec sleep 1000' > out 2>&1 < /dev/null &\r",
        two.display()
    ));
    until("the second", || two.exists().then_some(()));
    login.send(&format!(
        "{PILLION} --share -q --name bound --ticket-file {} -- sh -c 'echo third-$((1+1)); exec sleep 1000'\r",
        three.display()
    ));
    login.wait_for("third-2");
    let all = running(&anna);
    let _ends: Vec<Ends> = all
        .iter()
        .map(|one| Ends(one["pid"].as_u64().unwrap() as u32))
        .collect();
    assert_eq!(all.len(), 3);
    login.close();
    login.wait_code_closed();
    let names = || {
        let mut names: Vec<String> = running(&anna)
            .iter()
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    until("the one that was bound to it to end", || {
        (names() == ["detached", "nohup"]).then_some(())
    });
    for name in ["detached", "nohup"] {
        let ticket = std::fs::read_to_string(if name == "nohup" { &two } else { &one }).unwrap();
        let text = anna.join_piped(ticket.trim(), &["--text"]).wait();
        assert!(text.status.success(), "{text:?}");
    }
    let mut host = Term::start(anna.pillion(&["attach", "detached"]), SIZE);
    host.wait_until("its screen", |_| {
        running(&anna)
            .iter()
            .any(|one| one["terminal"] == "attached")
    });
    host.send("still here\r");
    host.wait_for("still here\nstill here");
    host.send(&format!("{PREFIX}d"));
    assert_eq!(host.wait_code(), Some(0));
}

#[test]
fn a_session_in_the_background_is_not_stopped_by_a_key() {
    let anna = Machine::new();
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile"]);
    anna.set_env(&mut command);
    let mut shell = Term::start(command, SIZE);
    shell.wait_for("$ ");
    shell.send(&format!(
        "{PILLION} --share -q --ticket-file ticket -- sh -c 'until [ -e go ]; do sleep 0.05; done; exit 4' > out &\r"
    ));
    until("the session", || anna.path("ticket").exists().then_some(()));
    shell.send("x\r");
    shell.wait_for("x: command not found");
    shell.send("jobs; echo listed-$((1+1))\r");
    shell.wait_for("listed-2");
    assert!(!shell.text().contains("Stopped"), "{}", shell.text());
    std::fs::write(anna.path("go"), "").unwrap();
    shell.send("wait %1; echo code-$?\r");
    shell.wait_for("code-4");
}

#[test]
fn a_host_without_file_descriptors_for_its_clients_rests() {
    let anna = Machine::new();
    let host = detached(&anna, "one", "exec cat");
    let id = running(&anna)[0]["session"].as_str().unwrap().to_owned();
    let socket = anna.path(&format!("state/pillion/sessions/{id}/control"));
    let open = std::fs::read_dir(format!("/proc/{}/fd", host.0))
        .unwrap()
        .count();
    let limit = |nofile: String| {
        let pid = host.0.to_string();
        let set = Command::new("prlimit")
            .args(["--pid", &pid, &nofile])
            .status();
        assert!(set.unwrap().success());
    };
    limit(format!("--nofile={open}:1024"));
    // The first to come has no descriptor there.
    let waits = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    until("nobody to be accepted", || {
        anna.log()
            .contains("a client could not be accepted")
            .then_some(())
    });
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", host.0)).unwrap();
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<u64> = rest
            .split(' ')
            .map(|field| field.parse().unwrap_or(0))
            .collect();
        fields[11] + fields[12]
    };
    let (before, refused) = (ticks(), anna.log().matches("could not be accepted").count());
    let since = Instant::now();
    until("more tries", || {
        (anna.log().matches("could not be accepted").count() > refused + 9).then_some(())
    });
    // It tries again ten times a second.
    let took = since.elapsed();
    assert!(took > Duration::from_millis(500), "ten tries in {took:?}");
    assert!(
        ticks() - before < 50,
        "{} ticks for ten tries",
        ticks() - before
    );
    limit("--nofile=1024:1024".to_owned());
    drop(waits);
    anna.run(&["who"]);
}

#[test]
fn a_wrapped_ticket_is_taken_whole_at_the_prompt_and_nothing_of_a_paste_reaches_the_shell() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (host, ticket) = anna.share(
        SIZE,
        &["-q", "--", "sh", "-c", "echo seen-$((1+1)); read end"],
    );
    host.wait_for("seen-2");
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile"]);
    bert.set_env(&mut command);
    let mut shell = Term::start(command, SIZE);
    shell.wait_for("$ ");
    let join = format!("{PILLION} join --text; echo code-$?\r");
    shell.send(&join);
    shell.wait_for("Ticket, link or code:");
    let (head, rest) = ticket.split_at(30);
    let (middle, tail) = rest.split_at(30);
    shell.send(&format!("pillion join {head}\r  {middle}\r  {tail}\r"));
    shell.wait_for("seen-2");
    shell.wait_for("code-0");
    shell.send("clear\r");
    shell.wait_gone("code-0");
    shell.send(&join);
    shell.wait_for("code:");
    shell.send("nothing of the kind\rtouch leaked\recho leaked-$((1+1))\r");
    shell.wait_for("code-1");
    shell.send("echo after-$((1+1))\r");
    shell.wait_for("after-2");
    assert!(!shell.text().contains("leaked-2"), "{}", shell.text());
    assert!(!bert.path("leaked").exists());
}

#[test]
fn folders_that_can_not_be_used_are_refused_with_what_to_do() {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, symlink};
    let fails = |machine: &Machine, change: &dyn Fn(&mut Command)| {
        let mut command = machine.pillion(&["--share", "-q", "--", "true"]);
        change(&mut command);
        let output = Piped::start(command).wait();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    // A folder of settings kept elsewhere.
    let anna = Machine::new();
    let private = |path: &std::path::Path| {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path).unwrap();
    };
    private(&anna.path("elsewhere"));
    private(&anna.path("config"));
    symlink(anna.path("elsewhere"), anna.path("config/pillion")).unwrap();
    let said = fails(&anna, &|_| {});
    assert!(
        said.contains("is a link") && said.contains("XDG_CONFIG_HOME"),
        "{said}"
    );
    // A home that is none, or can't be written to.
    let said = fails(&anna, &|command| {
        command.env("HOME", "/proc/none");
        command
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_STATE_HOME");
    });
    assert!(
        said.contains("could not be made") && said.contains("XDG_STATE_HOME"),
        "{said}"
    );
    // Somebody else's, as after su.
    let bert = Machine::new();
    private(&bert.path("config/pillion"));
    if chown(bert.path("config/pillion"), Some(65534), None).is_err() {
        crate::skip::skip("to give a folder to another user needs root");
        return;
    }
    std::fs::set_permissions(
        bert.path("config/pillion"),
        PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    let said = fails(&bert, &|_| {});
    assert!(
        said.contains("another user") && said.contains("su -"),
        "{said}"
    );
}

#[test]
fn the_panel_leaves_what_pillion_did_not_draw() {
    let anna = Machine::new();
    let file = anna.path("ticket");
    let args = [
        "--share",
        "--ticket-file",
        file.to_str().unwrap(),
        "--name",
        "greets",
    ];
    let shell = ["--", "bash", "--norc", "--noprofile"];
    let mut host = Term::start(anna.pillion(&[&args[..], &shell].concat()), SIZE);
    host.wait_for("Recorded here");
    host.wait_for("$ ");
    let before = host.screen();
    for _ in 0..2 {
        host.send(&format!("{PREFIX} "));
        host.wait_for("q close");
        host.send("q");
        host.wait_gone("q close");
        assert_no_trace(&before, &host, SIZE, "the panel");
    }
    // Where the program has the other screen itself, it is drawn over there.
    host.send("printf '\\033[?1049h\\033[Hfull-%s' screen; read line; printf '\\033[?1049l'\r");
    host.wait_for("full-screen");
    let full = host.screen();
    host.send(&format!("{PREFIX} "));
    host.wait_for("q close");
    host.send("q");
    host.wait_gone("q close");
    assert_no_trace(&full, &host, SIZE, "the panel");
}
