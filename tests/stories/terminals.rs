//! Several terminals in one session.

use crate::harness::{Machine, SIZE, until};

#[test]
fn another_terminal_takes_the_place_of_one_that_ends_and_the_exit_code_is_the_first_ones() {
    let anna = Machine::new();
    let (mut host, ticket) = anna.share(
        SIZE,
        &["--", "sh", "-c", "echo on the first; read x; exit 7"],
    );
    let bert = Machine::new();
    let viewer = bert.watch(&ticket, &["--name", "bert"]);
    viewer.wait_for("on the first");

    let second = "echo on the second; read x; echo read $x; read x; exit 3";
    let said = anna.run(&["new", "--title", "logs", "--", "sh", "-c", second]);
    assert!(said.contains('1'), "{said}");
    let session = anna.session()["session"].as_str().unwrap().to_owned();
    let listed = anna.run(&["ls", &session]);
    assert!(
        listed.contains("logs") && listed.contains("running"),
        "{listed}"
    );

    host.send("\r");
    host.wait_for("on the second");
    viewer.wait_for("on the second");
    let listed = anna.run(&["ls", &session]);
    assert!(listed.contains("ended with 7"), "{listed}");
    // What is typed goes to what is shown.
    host.send("typed\r");
    host.wait_for("read typed");
    viewer.wait_for("read typed");
    host.send("\r");
    assert_eq!(host.wait_code(), Some(7));
    viewer.wait_raw("ended with code 7");

    let output = anna.output(&["export", &session]);
    let (text, said) = (output.stdout, String::from_utf8(output.stderr).unwrap());
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("on the first") && !text.contains("read typed"),
        "{text}"
    );
    assert!(
        said.contains("has others as well: 1 (logs). --terminal N"),
        "{said}"
    );
    let text = anna.run(&["export", &session, "--terminal", "all"]);
    assert!(text.contains("on the first"), "{text}");
    assert!(text.contains("[terminal 1: logs]"), "{text}");
    assert!(text.contains("read typed"), "{text}");
    let text = anna.run(&["export", &session, "--terminal", "1"]);
    assert!(
        !text.contains("on the first") && text.contains("read typed"),
        "{text}"
    );
    let said = anna.fails(1, &["export", &session, "--terminal", "7"]);
    assert!(said.contains("no terminal 7; it has 0, 1"), "{said}");

    let cast = ["export", &session, "--format", "cast", "--terminal"];
    let recorded = anna.run(&[&cast[..], &["1"]].concat());
    assert!(recorded.contains("read typed"), "{recorded}");
    let said = anna.fails(1, &[&cast[..], &["all"]].concat());
    assert!(said.contains("export each by its number"), "{said}");
    let output = anna.output(&cast[..4]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--terminal N exports one"), "{said}");
}

#[test]
fn a_terminal_is_closed_and_one_that_does_not_start_says_why() {
    let anna = Machine::new();
    let (mut host, _) = anna.share(SIZE, &["--", "sh", "-c", "echo ready; read x"]);
    host.wait_for("ready");
    anna.run(&["new", "--", "sh", "-c", "trap '' TERM; read x"]);
    anna.run(&["close", "1"]);
    let session = anna.session()["session"].as_str().unwrap().to_owned();
    until("the terminal to end", || {
        let listed = anna.run(&["ls", &session]);
        listed.contains("ended by signal").then_some(())
    });
    let said = anna.fails(1, &["new", "--", "/no/such/program"]);
    assert!(said.contains("no terminal was opened"), "{said}");
    let said = anna.fails(1, &["close", "9"]);
    assert!(said.contains("has no terminal 9"), "{said}");
    host.send("\r");
    assert_eq!(host.wait_code(), Some(0));
}
