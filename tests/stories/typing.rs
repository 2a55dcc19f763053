//! What is typed, pasted or piped in: none of it is lost to a program that reads slowly.

use std::{
    io::{ErrorKind, Write as _},
    path::Path,
    process::Stdio,
};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::harness::{Machine, Piped, SIZE, Term, request_and_grant, until};

/// Reads nothing until the gate is opened, and what was typed from then on into a file; says when it is ready and
/// when it has ended.
fn behind_a_gate(mode: &str, read: &str) -> Vec<String> {
    let script =
        format!("stty {mode} -echo; mkfifo gate; echo ready; cat gate; {read} >copy; echo over");
    ["--", "sh", "-c", &script].map(str::to_owned).to_vec()
}

fn open_gate(machine: &Machine) {
    std::fs::write(machine.path("gate"), "").unwrap();
}

fn numbered(count: usize) -> String {
    (1..=count).map(|n| format!("{n}\n")).collect()
}

/// Whether the lines are all there, and if not where they first differ.
fn assert_whole(copy: &Path, expected: &str) {
    let copy = std::fs::read_to_string(copy).unwrap();
    let differs = copy
        .lines()
        .zip(expected.lines())
        .find(|(have, want)| have != want);
    assert!(
        copy == expected,
        "{} of {} bytes, {differs:?}",
        copy.len(),
        expected.len()
    );
}

fn strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[test]
fn sixty_thousand_lines_are_piped_through_a_slow_reader() {
    let anna = Machine::new();
    let script = "while IFS= read -r line; do echo \"$line\"; done >copy; echo over";
    let mut command = anna.pillion(&["--share", "--tty", "-q", "--", "sh", "-c", script]);
    command.stdin(Stdio::piped());
    let mut host = Piped::start_with_input(command);
    let lines = numbered(60_000);
    host.send(&lines);
    host.end_input();
    host.out.wait_for("over");
    let output = host.wait();
    assert_eq!(output.status.code(), Some(0));
    assert_whole(&anna.path("copy"), &lines);
}

#[test]
fn a_pipe_waits_for_a_program_that_does_not_read() {
    let anna = Machine::new();
    let mut args = vec!["--share", "--tty", "-q"];
    let program = behind_a_gate("icanon", "cat");
    args.extend(strs(&program));
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let mut command = anna.pillion(&args);
    command.stdin(reader);
    let host = Piped::spawn(command);
    host.out.wait_for("ready");
    // More than the pipe, the terminal and what is kept between the two hold.
    let lines = numbered(60_000);
    let mut rest = lines.as_bytes();
    let mut opened = false;
    while !rest.is_empty() {
        match writer.write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let still = Timespec {
                    tv_sec: 0,
                    tv_nsec: 500_000_000,
                };
                let mut fds = [PollFd::new(&writer, PollFlags::OUT)];
                let waits =
                    rustix::event::poll(&mut fds, (!opened).then_some(&still)).unwrap() == 0;
                if waits && !std::mem::replace(&mut opened, true) {
                    open_gate(&anna);
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(opened, "all of it went somewhere though nobody read it");
    drop(writer);
    let output = host.wait();
    assert_eq!(output.status.code(), Some(0));
    assert_whole(&anna.path("copy"), &lines);
}

#[test]
fn the_end_of_a_pipe_is_heard_behind_part_of_a_line() {
    let anna = Machine::new();
    let script = "echo ready; cat >copy; echo heard; cat >>copy; echo over";
    let (mut host, _) = anna.share_piped(&["--tty", "-q", "--", "sh", "-c", script]);
    host.out.wait_for("ready");
    host.send("a line\nand part of one");
    host.end_input();
    host.out.wait_for("heard");
    let copy = std::fs::read_to_string(anna.path("copy")).unwrap();
    assert_eq!(copy, "a line\nand part of one");
    // As in every terminal, it is said once.
    assert!(!host.out.text().contains("over"));
}

fn paste_at_the_host(mode: &str, read: &str) -> (Machine, String) {
    let anna = Machine::new();
    let mut args = vec!["-q"];
    let program = behind_a_gate(mode, read);
    args.extend(strs(&program));
    let (mut host, _) = anna.share(SIZE, &args);
    host.wait_for("ready");
    // 1 MB.
    let mut paste = numbered(160_000);
    paste.truncate(1_000_000);
    paste.push('\n');
    host.send(&paste);
    open_gate(&anna);
    until("the paste", || {
        let copied = std::fs::metadata(anna.path("copy")).ok()?.len();
        (copied == paste.len() as u64).then_some(())
    });
    host.send("\x04");
    host.wait_for("over");
    assert_eq!(host.wait_code(), Some(0));
    (anna, paste)
}

#[test]
fn a_large_paste_into_a_program_that_reads_lines_is_whole() {
    let (anna, paste) = paste_at_the_host("icanon", "cat");
    assert_whole(&anna.path("copy"), &paste);
}

#[test]
fn a_large_paste_into_a_program_that_reads_keys_is_whole() {
    let (anna, paste) = paste_at_the_host("raw", "head -c 1000001");
    assert_whole(&anna.path("copy"), &paste);
}

#[test]
fn a_large_paste_of_an_editor_is_whole() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let mut args = vec!["-q"];
    let program = behind_a_gate("icanon", "cat");
    args.extend(strs(&program));
    let (mut host, ticket) = anna.share(SIZE, &args);
    host.wait_for("ready");
    let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
    request_and_grant(&mut viewer, &mut host);
    let paste = numbered(100_000);
    viewer.send(&paste);
    open_gate(&anna);
    until("the paste", || {
        let copied = std::fs::metadata(anna.path("copy")).ok()?.len();
        (copied == paste.len() as u64).then_some(())
    });
    viewer.send("\x04");
    host.wait_for("over");
    assert_eq!(host.wait_code(), Some(0));
    assert_whole(&anna.path("copy"), &paste);
}

/// A program that reads nothing, and how to press Ctrl-C behind a paste.
fn interrupted(host: &mut Term, press: impl FnOnce(&mut Term)) {
    host.wait_for("ready");
    press(host);
    assert_eq!(host.wait_code(), Some(130));
}

const DEAF: [&str; 5] = ["-q", "--", "sh", "-c", "echo ready; exec sleep 1000"];

#[test]
fn ctrl_c_ends_a_program_that_did_not_read_a_paste() {
    let anna = Machine::new();
    let (mut host, _) = anna.share(SIZE, &DEAF);
    interrupted(&mut host, |host| {
        host.send(&numbered(100_000));
        host.send("\x03");
    });
}

#[test]
fn an_editors_ctrl_c_ends_a_program_that_did_not_read_a_paste() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share(SIZE, &DEAF);
    let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
    host.wait_for("ready");
    request_and_grant(&mut viewer, &mut host);
    interrupted(&mut host, |_| {
        viewer.send(&numbered(30_000));
        viewer.send("\x03");
    });
}
