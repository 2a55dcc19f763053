//! What becomes of a session around its program: where commands find it, what they say of one that does not answer,
//! logins that end.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Machine, Piped, SIZE, kill_process_of, until};

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

/// `pillion --share --detach -- sh -c SCRIPT`.
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
