//! The host's own terminal: what pillion draws on it goes without a trace, and costs no output.

use std::process::Command;

use crate::harness::{
    Machine, PREFIX, SIZE, Term, answer, assert_no_trace, assert_same, request_and_grant,
    wait_for_file,
};

const PILLION: &str = env!("CARGO_BIN_EXE_pillion");

/// What the panel says about its keys.
const PANEL: &str = "r stop typing";

/// Prints what comes through a pipe, so that no key at the host's terminal is needed for it, and ends
/// with code 3 when that ends.
const PRINTER: &str = "mkfifo part; mv part pipe; echo ready; cat pipe; exit 3";

#[test]
fn last_words_behind_the_panel_are_shown_when_it_goes() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share(SIZE, &["-q", "--", "sh", "-c", PRINTER]);
    host.wait_for("ready");
    let viewer = bert.watch(&ticket, &["--name", "bert"]);
    host.send(&format!("{PREFIX} "));
    host.wait_for(PANEL);
    host.wait_for("bert");
    std::fs::write(anna.path("pipe"), "first words\nlast words\n").unwrap();
    assert_eq!(host.wait_code(), Some(3));
    let text = host.text();
    assert!(
        text.starts_with("ready\nfirst words\nlast words"),
        "all of it, in place of the panel:\n{text}"
    );
    assert!(!text.contains(PANEL), "{text}");
    drop(viewer);
}

#[test]
fn last_words_under_a_notice_are_shown() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (host, ticket) = anna.share(SIZE, &["-q", "--", "sh", "-c", PRINTER]);
    host.wait_for("ready");
    let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
    viewer.send(&format!("{PREFIX}e"));
    host.wait_for("asks to type");
    std::fs::write(anna.path("pipe"), "last words\n").unwrap();
    let mut host = host;
    assert_eq!(host.wait_code(), Some(3));
    let text = host.text();
    assert!(text.starts_with("ready\nlast words"), "{text}");
    assert!(!text.contains("asks to type"), "{text}");
}

#[test]
fn a_program_goes_on_behind_the_panel() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share(SIZE, &["-q", "--", "sh", "-c", PRINTER]);
    host.wait_for("ready");
    let viewer = bert.watch(&ticket, &["--name", "bert"]);
    host.send(&format!("{PREFIX} "));
    host.wait_for(PANEL);
    let mut pipe = std::fs::OpenOptions::new()
        .write(true)
        .open(anna.path("pipe"))
        .unwrap();
    use std::io::Write;
    pipe.write_all(b"\x1b[7mmeanwhile\x1b[m\nand on\n").unwrap();
    viewer.wait_for("and on");
    assert!(!host.text().contains("meanwhile"));
    host.send("q");
    host.wait_for("and on");
    host.wait_gone(PANEL);
    assert_same(&host, &viewer, SIZE);
}

#[test]
fn a_terminal_resized_behind_the_panel_shows_the_session_again() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&["-q"]);
    host.send("seq 40\r");
    host.wait_for("\n40\n$");
    let viewer = bert.join((100, 31), &ticket, &["--name", "bert"]);
    viewer.wait_for("\n40 ");
    host.send(&format!("{PREFIX} "));
    host.wait_for(PANEL);
    host.resize(100, 30);
    // The panel is in the middle of the new size, and nothing of the old one is left.
    host.wait_until("the panel in its new place", |screen| {
        let panels = screen.rows(0, 100).filter(|row| row.contains(PANEL));
        panels.count() == 1 && screen.contents().contains("bert")
    });
    host.send("q");
    host.wait_gone(PANEL);
    host.send("echo after-$((1+1))\r");
    host.wait_for("after-2\n$");
    assert_same(&host, &viewer, (100, 30));
}

#[test]
fn a_notice_in_a_full_terminal_leaves_no_trace() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile"]);
    anna.set_env(&mut command);
    let mut host = Term::start(command, SIZE);
    host.send("seq -f before-%g 50\r");
    host.wait_for("before-50\n$");
    let file = anna.path("ticket");
    host.send(&format!(
        "PS1='in> ' {PILLION} --share --ticket-file {} -- bash --norc --noprofile\r",
        file.display()
    ));
    let ticket = wait_for_file(&file);
    host.wait_until("the prompt, all of it", |screen| {
        screen.contents().contains("\nin>") && screen.cursor_position() == (22, 4)
    });
    let before = host.screen();
    assert!(before.contents().contains("before-50"), "it is full");
    let mut viewer = bert.watch(ticket.trim(), &["--name", "bert"]);
    viewer.send(&format!("{PREFIX}e"));
    host.wait_for("asks to type");
    answer(&mut host, "n", |_| viewer.text().contains("said no"));
    assert_no_trace(&before, &host, SIZE, "the notice");
    host.send("exit\r");
    host.wait_until("the shell that was there before", |screen| {
        screen.contents().trim_end().ends_with("\n$")
    });
}

#[test]
fn a_notice_that_changes_under_output_leaves_no_trace() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share(SIZE, &["-q", "--", "sh", "-c", PRINTER]);
    host.wait_for("ready");
    let mut pipe = std::fs::OpenOptions::new()
        .write(true)
        .open(anna.path("pipe"))
        .unwrap();
    let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
    request_and_grant(&mut viewer, &mut host);
    // Comings and goings are notices; the program prints all the while.
    for round in 0..3 {
        let other = carl.watch(&ticket, &["--name", "carl"]);
        for line in 0..40 {
            use std::io::Write;
            pipe.write_all(
                format!("\x1b[3{}mround {round} line {line}\x1b[m\n", line % 8).as_bytes(),
            )
            .unwrap();
            host.wait_for(&format!("round {round} line {line}"));
        }
        drop(other);
    }
    viewer.wait_for("round 2 line 39");
    host.wait_gone("carl");
    assert_same(&host, &viewer, SIZE);
}
