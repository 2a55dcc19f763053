//! Several terminals in one session.

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Machine, PREFIX, SIZE, Term, VIEWER, assert_no_trace, assert_same, until};

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

#[test]
fn the_host_opens_another_terminal_goes_round_and_types_where_it_looks() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&["-q"]);
    let viewer = bert.watch(&ticket, &["--name", "bert"]);
    host.send("echo zero-$((1+1))\r");
    host.wait_for("zero-2");
    // What is typed behind the key, and read together with it, is for the new one.
    host.send(&format!("{PREFIX}cecho one-$((1+1))\r"));
    host.wait_for("one-2");
    host.wait_for("This is terminal 1 (");
    assert!(!host.text().contains("zero-2"), "{}", host.text());
    viewer.wait_for("one-2");
    assert_same(&host, &viewer, SIZE);

    host.send(&format!("{PREFIX}necho back-$((1+1))\r"));
    host.wait_for("back-2");
    host.wait_for("This is terminal 0 (");
    assert!(host.text().contains("zero-2"), "{}", host.text());
    assert!(!host.text().contains("one-2"), "{}", host.text());
    assert_same(&host, &viewer, SIZE);
    host.send(&format!("{PREFIX}1echo again-$((1+1))\r"));
    host.wait_for("again-2");
    assert!(host.text().contains("one-2"), "{}", host.text());
    host.send(&format!("{PREFIX}p"));
    host.wait_for("back-2");
    host.send(&format!("{PREFIX}7echo lost\r"));
    host.wait_for("has no terminal 7");
    assert!(!host.text().contains("lost"), "not for this one");

    // The program's own title is the terminal's while it is shown.
    host.send("printf '\\033]2;zero%s\\007' title\r");
    host.wait_raw("\x1b]2;zerotitle");
    host.send(&format!("{PREFIX}1printf '\\033]2;one%s\\007' title\r"));
    host.wait_raw("\x1b]2;onetitle");
    let written = host.raw().len();
    host.send(&format!("{PREFIX}0"));
    host.wait_for("This is terminal 0 (zerotitle)");
    let since = String::from_utf8_lossy(&host.raw()[written..]).into_owned();
    assert!(since.contains("\x1b]2;zerotitle"), "{since}");

    host.send(&format!("{PREFIX}1exit 5\r"));
    host.wait_for("Terminal 1 (onetitle) ended with code 5; this is terminal 0 (zerotitle).");
    host.wait_for("back-2");
    assert_same(&host, &viewer, SIZE);
    host.send(&format!("{PREFIX}n"));
    host.wait_for("There is no other terminal");
    // The prefix alone says what may follow it.
    host.send(PREFIX);
    host.wait_for("Space panel  c new terminal");
    host.send("\x1b");
    host.wait_gone("Space panel");
    host.send("exit 4\r");
    assert_eq!(host.wait_code(), Some(4));
    viewer.wait_raw("ended with code 4");
}

/// What a program has set on a terminal.
fn modes(term: &Term) -> String {
    let screen = term.screen();
    format!(
        "{:?}",
        (
            screen.alternate_screen(),
            screen.application_cursor(),
            screen.application_keypad(),
            screen.bracketed_paste(),
            screen.mouse_protocol_mode(),
            screen.mouse_protocol_encoding(),
            screen.hide_cursor(),
        )
    )
}

#[test]
fn an_editor_in_one_terminal_and_a_shell_in_another_are_what_they_were() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&["-q"]);
    let viewer = bert.watch(&ticket, &["--name", "bert"]);
    host.send("echo beneath-$((1+1))\r");
    host.wait_for("beneath-2");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/args.rs");
    host.send(&format!(
        "vim -u NONE -i NONE -n -N -c 'syntax on' -c 'set number ruler mouse=a' -R {source}\r"
    ));
    host.wait_for("//! The command line");
    host.send("G");
    host.wait_for("Bot");
    assert_same(&host, &viewer, SIZE);
    let (editor, editor_modes) = (host.screen(), modes(&host));

    // The program waits for a line, so that nothing more is drawn after what is compared below.
    host.send(&format!(
        "{PREFIX}cexec sh -c \"printf '\\033[1;31mred\\033[44m blue%s' 7; read line\"\r"
    ));
    host.wait_for("blue7");
    assert!(!host.screen().alternate_screen());
    assert!(!host.text().contains("//!"), "{}", host.text());
    assert_same(&host, &viewer, SIZE);
    host.wait_gone("This is terminal");
    let (shell, shell_modes) = (host.screen(), modes(&host));
    assert_ne!(shell_modes, editor_modes);

    for _ in 0..2 {
        host.send(&format!("{PREFIX}0"));
        assert_no_trace(&editor, &host, SIZE, "the shell");
        assert_eq!(modes(&host), editor_modes);
        assert_same(&host, &viewer, SIZE);
        host.send(&format!("{PREFIX}1"));
        assert_no_trace(&shell, &host, SIZE, "the editor");
        assert_eq!(modes(&host), shell_modes);
        assert_same(&host, &viewer, SIZE);
    }
    // The editor is one: it scrolls, and what was there before it comes back after it.
    host.send(&format!("{PREFIX}0gg"));
    host.wait_for("//! The command line");
    assert_same(&host, &viewer, SIZE);
    host.send(":q\r");
    host.wait_for("beneath-2");
    assert!(!host.screen().alternate_screen());
    assert_same(&host, &viewer, SIZE);
    assert!(!host.text().contains("blue7"), "{}", host.text());
    host.send("exit\r");
    host.wait_for("blue7");
    host.send("\r");
    assert_eq!(host.wait_code(), Some(0));
}

#[test]
fn the_panel_lists_terminals_and_says_where_something_happens() {
    let anna = Machine::new();
    let (mut host, _) = anna.share_shell(&["-q"]);
    let printer = "mkfifo part; mv part pipe; echo ready; cat pipe; read x; exit 6";
    anna.run(&["new", "--title", "logs", "--", "sh", "-c", printer]);
    host.wait_for("Opened terminal 1.");
    until("the pipe", || anna.path("pipe").exists().then_some(()));
    host.send(&format!("{PREFIX}1"));
    host.wait_for("ready");
    host.send(&format!("{PREFIX}0"));
    host.wait_gone("ready");
    host.send(&format!("{PREFIX} "));
    host.wait_for("terminal  0 ");
    host.wait_until("what is in each", |screen| {
        let rows: Vec<String> = screen.rows(0, SIZE.0).collect();
        let has = |row: &str, what: &str| row.contains("terminal  ") && row.contains(what);
        rows.iter().any(|row| has(row, "shown here"))
            && rows
                .iter()
                .any(|row| has(row, "1 logs") && !row.contains("new output"))
    });
    std::fs::write(anna.path("pipe"), "something\n").unwrap();
    host.wait_until("what happened in another one", |screen| {
        let mut rows = screen.rows(0, SIZE.0);
        rows.any(|row| row.contains("1 logs") && row.contains("running, new output"))
    });
    host.send("1");
    host.wait_for("something");
    host.wait_gone("r stop typing");
    host.send(&format!("{PREFIX}0"));
    host.wait_gone("something");
    // What ends elsewhere is said.
    anna.run(&["close", "1"]);
    host.wait_for("Terminal 1 (logs) was ended by signal");
    host.send("exit 2\r");
    assert_eq!(host.wait_code(), Some(2));
}

#[test]
fn all_terminals_go_along_to_another_window_of_another_size() {
    let anna = Machine::new();
    let (mut host, _) = anna.share_shell(&["-q"]);
    host.send("echo zero-$((1+1))\r");
    host.wait_for("zero-2");
    host.send(&format!("{PREFIX}cecho one-$((1+1))\r"));
    host.wait_for("one-2");
    // Who goes and leaves in one breath has gone before they leave.
    host.send(&format!("{PREFIX}0{PREFIX}1{PREFIX}d"));
    assert_eq!(host.wait_code(), Some(0));
    let mut again = Term::start(anna.pillion(&["attach"]), (100, 30));
    again.wait_for("one-2");
    again.send("stty size\r");
    again.wait_for("30 100");
    again.send(&format!("{PREFIX}0"));
    again.wait_for("zero-2");
    again.send("stty size\r");
    again.wait_for("30 100");
    // A shell that is resized while it reads a line draws that again: the line is read before.
    let sized = "until [ \"$(stty size)\" = '20 60' ]; do sleep 0.02; done; echo sized-$((1+1))";
    again.send(&format!("{PREFIX}1{sized}\r"));
    again.wait_for("echo sized-");
    again.resize(60, 20);
    again.wait_for("sized-2");
    again.send("exit 1\r");
    again.wait_for("this is terminal 0");
    again.send("exit 9\r");
    assert_eq!(again.wait_code(), Some(9));
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

/// Two terminals that print without an end, and one that says what it reads; the host looks at the first.
fn two_floods(anna: &Machine) -> (Term, String) {
    let first = "yes flood-zero & read x; kill $!; exit 7";
    let (host, ticket) = anna.share(SIZE, &["--", "sh", "-c", first]);
    host.wait_for("flood-zero");
    anna.run(&["new", "--title", "floods", "--", "yes", "flood-one"]);
    let reads = "echo on two; while read x; do echo got $x; done";
    anna.run(&["new", "--title", "reads", "--", "sh", "-c", reads]);
    (host, ticket)
}

#[test]
fn a_viewer_goes_among_three_terminals_while_two_flood() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let (mut host, ticket) = two_floods(&anna);
    let token = anna.run(&["grant", "--link", "--edit"]);
    let args = ["--name", "bert", "--grant", token.trim()];
    let mut viewer = bert.join(VIEWER, &ticket, &args);
    viewer.wait_for("flood-zero");
    viewer.send(&format!("{PREFIX}t"));
    viewer.wait_for("Terminals (3), following the host");
    viewer.send("1");
    viewer.wait_for("flood-one");
    viewer.wait_gone("flood-zero");
    viewer.send(&format!("{PREFIX}0"));
    viewer.wait_for("flood-zero");
    viewer.wait_gone("flood-one");
    viewer.send(&format!("{PREFIX}2"));
    viewer.wait_for("on two");
    viewer.wait_gone("flood-zero");
    viewer.send("one\r");
    viewer.wait_for("got one");
    viewer.wait_for("2 reads");
    viewer.wait_for("active: 0, 1");

    // The list says the same, and the arrows lead to each.
    viewer.send(&format!("{PREFIX}t"));
    viewer.wait_for(">  2 reads, running, you");
    viewer.wait_for("1 floods, running, active");
    viewer.send("\x1b[A");
    viewer.wait_for(">  1 floods");
    viewer.send("\r");
    viewer.wait_for("flood-one");
    // What is typed right behind the key is for that terminal.
    viewer.send(&format!("{PREFIX}2two\r"));
    viewer.wait_for("got two");

    // One who comes later sees what the host looks at.
    let mut late = carl.join(VIEWER, &ticket, &["--name", "carl"]);
    late.wait_for("flood-zero");
    late.send(&format!("{PREFIX}c"));
    late.wait_for("You can't open terminals");
    late.send(&format!("{PREFIX}9"));
    late.wait_for("no terminal 9; it has 0, 1 and 2.");
    let there = carl.join_piped(&ticket, &["--text", "--terminal", "2"]);
    let there = String::from_utf8(there.wait().stdout).unwrap();
    assert!(there.contains("got two"), "{there}");

    // Cut off, and back to the same one.
    signal(host.session_pid(), Signal::STOP);
    viewer.wait_for("connecting (try");
    signal(host.session_pid(), Signal::CONT);
    viewer.send("three\r");
    viewer.wait_for("got three");
    viewer.wait_for("2 reads");

    anna.run(&["close", "2"]);
    viewer.wait_for("2 reads was ended by signal");
    viewer.wait_for("flood-zero");
    viewer.send(&format!("{PREFIX}t"));
    viewer.wait_for(", following the host");
    anna.run(&["close", "1"]);
    host.send("\r");
    assert_eq!(host.wait_code(), Some(7));
    assert_eq!(viewer.wait_code(), Some(0));
    assert_eq!(late.wait_code(), Some(0));
}

#[test]
fn a_terminal_that_is_not_there_is_refused_in_words() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (_host, ticket) = anna.share(SIZE, &["--", "sh", "-c", "echo ready; read x"]);
    anna.run(&["new", "--", "sh", "-c", "read x"]);
    for way in ["--text", "--follow"] {
        let viewer = bert.join_piped(&ticket, &[way, "--terminal", "7"]);
        let output = viewer.wait();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains("no terminal 7; it has 0 and 1."), "{said}");
        assert!(output.stdout.is_empty());
    }
    let mut viewer = bert.join(VIEWER, &ticket, &["--terminal", "7"]);
    assert_eq!(viewer.wait_code(), Some(4));
    viewer.wait_raw("no terminal 7");
}

#[test]
fn following_a_terminal_ends_with_it_and_lacks_no_line() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share(SIZE, &["--", "sh", "-c", "echo ready; read x"]);
    let go = anna.path("go");
    let prints = format!(
        "echo first; until test -e {}; do sleep 0.05; done; seq -f line-%.0f 3000; exit 3",
        go.display()
    );
    anna.run(&["new", "--title", "lines", "--", "sh", "-c", &prints]);
    let viewer = bert.join_piped(&ticket, &["--follow", "--terminal", "1"]);
    let session = anna.session()["session"].as_str().unwrap().to_owned();
    until("the viewer to look", || {
        let listed = anna.run(&["ls", &session, "--json"]);
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        (listed[1]["viewers"] == 1).then_some(())
    });
    std::fs::write(&go, "").unwrap();
    let output = viewer.wait();
    let (printed, said) = (output.stdout, String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 lines ended with code 3."), "{said}");
    let lines = (1..=3000).map(|number| format!("line-{number}"));
    let expected: Vec<String> = std::iter::once("first".to_owned()).chain(lines).collect();
    let printed = String::from_utf8(printed).unwrap();
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected, "{said}");
    host.send("\r");
    assert_eq!(host.wait_code(), Some(0));
}

#[test]
fn who_may_open_terminals_opens_one_and_types_there() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (host, ticket) = anna.share(SIZE, &["--", "sh", "-c", "echo on the first; read x"]);
    host.wait_for("on the first");
    let token = anna.run(&["grant", "--link", "--can", "type,open"]);
    let args = ["--name", "bert", "--grant", token.trim()];
    let mut viewer = bert.join(VIEWER, &ticket, &args);
    viewer.wait_for("on the first");
    viewer.send(&format!("{PREFIX}c"));
    viewer.wait_gone("on the first");
    viewer.send("echo opened-$((1+1))\r");
    viewer.wait_for("opened-2");
    assert!(!host.text().contains("opened"), "{}", host.text());
    // It ends by itself: the host is followed.
    viewer.send("exit 5\r");
    viewer.wait_for("ended with code 5");
    viewer.wait_for("on the first");
}

#[test]
fn followers_miss_nothing_that_is_on_a_terminal_when_the_host_goes_to_another() {
    let (anna, bert) = (Machine::new(), Machine::new());
    // Below what stands on the host's terminal already.
    let (mut host, ticket) = anna.share(
        SIZE,
        &["--", "sh", "-c", "echo first; echo second; read x; exit 7"],
    );
    host.wait_for("second");
    let text = until("the text", || {
        let output = bert.join_piped(&ticket, &["--text"]).wait();
        let text = String::from_utf8(output.stdout).unwrap();
        text.contains("second").then_some(text)
    });
    assert!(text.starts_with("first\nsecond"), "{text:?}");

    let follower = bert.join_piped(&ticket, &["--follow", "--name", "log"]);
    until("the follower to be here", || {
        anna.run(&["who"]).contains("log").then_some(())
    });
    anna.run(&["new", "--", "sh", "-c", "echo elsewhere; read x"]);
    host.send(&format!("{PREFIX}n"));
    host.wait_for("elsewhere");
    // The first one's program runs on, and the follower has its lines.
    follower.out.wait_for("first\nsecond\n");
    host.send("\r");
    host.wait_for("second");
    host.send("\r");
    assert_eq!(host.wait_code(), Some(7));
    let output = follower.wait();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("first\nsecond\n"), "{text:?}");
    assert_eq!(text.matches("first").count(), 1, "{text:?}");
    assert_eq!(text.matches("elsewhere").count(), 1, "{text:?}");
    let text = anna.run(&["export"]);
    assert!(text.starts_with("first\nsecond\n"), "{text:?}");
}

#[test]
fn a_notice_goes_with_the_session_or_its_terminal() {
    let anna = Machine::new();
    let (mut host, _ticket) = anna.share_shell(&[]);
    host.send(&format!("{PREFIX}c"));
    host.wait_for("This is terminal 1");
    // Drawn again where the panel was.
    host.send(&format!("{PREFIX} "));
    host.wait_for("q close");
    host.send("q");
    host.wait_gone("q close");
    host.wait_for("This is terminal 1");
    host.send(&format!("{PREFIX}d"));
    assert_eq!(host.wait_code(), Some(0));
    host.wait_for("Detached from session");
    assert!(
        !host.text().contains("This is terminal 1"),
        "{}",
        host.text()
    );

    let mut host = Term::start(anna.pillion(&["attach"]), SIZE);
    until("the shell", || {
        (!host.text().trim().is_empty()).then_some(())
    });
    host.send("exit\r");
    host.wait_for("; this is terminal 0");
    host.send("exit\r");
    assert_eq!(host.wait_code(), Some(0));
    host.wait_for("was shared for");
    assert!(
        !host.text().contains("this is terminal 0"),
        "{}",
        host.text()
    );
}

#[test]
fn a_notice_makes_way_also_after_the_title_has_changed() {
    let (anna, bert) = (Machine::new(), Machine::new());
    for key in ["\r", "d"] {
        let (mut host, ticket) = anna.share_shell(&[]);
        let mut viewer = bert.watch(&ticket, &[]);
        host.wait_for("is watching now");
        host.wait_raw("1 watching");
        match key {
            // What the program writes is drawn where the notice was.
            "\r" => host.send(&"echo a line; ".repeat(30).replace("; echo", ";echo")),
            _ => host.send(&format!("{PREFIX}d")),
        }
        if key == "d" {
            assert_eq!(host.wait_code(), Some(0));
            host.wait_for("Detached from session");
        } else {
            host.send("\r");
            host.wait_until("thirty lines", |screen| {
                screen.contents().matches("\na line").count() >= 20
            });
        }
        assert!(!host.text().contains("is watching now"), "{}", host.text());
        viewer.send(&format!("{PREFIX}q"));
        viewer.wait_exit();
        if key == "d" {
            anna.run(&["close", "--all"]);
        } else {
            host.send("exit\r");
            host.wait_exit();
        }
    }
}
