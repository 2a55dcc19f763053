//! The main job, told with the real binary in real terminals.

use std::process::Command;

use crate::harness::{
    Machine, PREFIX, SIZE, Term, answer, assert_no_trace, request_and_grant, until, wait_for_file,
};

const PILLION: &str = env!("CARGO_BIN_EXE_pillion");

/// Lines of a screen, without the blanks behind them.
fn lines(term: &Term) -> Vec<String> {
    term.text()
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// The identity of the one viewer called so, as commands take it.
fn id_of(machine: &Machine, name: &str) -> String {
    until(&format!("{name} to be here"), || {
        let who = machine.who();
        let person = who
            .iter()
            .find(|person| person["name"] == name && person["here"] == true)?;
        Some(person["id"].to_string())
    })
}

#[test]
fn share_join_see_request_grant_type_revoke_stop() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&["--name", "demo"]);
    host.send("echo hello-$((40+2))\r");
    host.wait_for("hello-42");

    let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
    viewer.wait_for("hello-42");
    viewer.wait_for("demo");

    // What is typed without the right goes nowhere, and the viewer is told how to ask.
    viewer.send("x");
    viewer.wait_for("asks the host to let you type");
    id_of(&anna, "bert");

    // Asking shows at the host, and a key there answers.
    request_and_grant(&mut viewer, &mut host);
    host.wait_gone("asks to type");

    viewer.send("echo typed-$((20+1))-by-bert\r");
    host.wait_for("typed-21-by-bert");
    viewer.wait_for("typed-21-by-bert");
    assert!(
        !host.text().contains("$ x"),
        "a key typed before the grant reached the shell"
    );

    // Revoked in the middle of a line: what comes after does not arrive.
    viewer.send("echo before");
    host.wait_for("echo before");
    anna.run(&["revoke", "bert"]);
    viewer.wait_for("revoked");
    viewer.send("AFTER");
    host.send("-host\r");
    host.wait_for("before-host");
    viewer.wait_for("before-host");
    assert!(!host.text().contains("AFTER"));

    anna.run(&["stop"]);
    assert_eq!(viewer.wait_code(), Some(0));
    assert!(
        viewer.raw_text().contains("stopped sharing"),
        "the viewer is told who ended it"
    );

    // The shell is still there.
    host.send("echo still-$((1+1))\r");
    host.wait_for("still-2");
    host.send("exit 7\r");
    assert_eq!(host.wait_code(), Some(7));
}

#[test]
fn a_viewer_gets_its_terminal_back_as_it_was() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (_host, ticket) = anna.share_shell(&[]);
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile"]);
    bert.set_env(&mut command);
    command.env("PILLION_TICKET", &ticket);
    let mut shell = Term::start(command, SIZE);
    shell.send("stty -a > before; echo here\r");
    shell.wait_for("\nhere");
    let before = shell.screen();
    shell.send(&format!("{PILLION} join --name bert\r"));
    shell.wait_for("view only");
    shell.send(&format!("{PREFIX}q"));
    shell.wait_until("the screen from before", |screen| {
        screen.contents().contains("\nhere")
    });
    shell.send("stty -a > after; cmp before after && echo same-modes\r");
    shell.wait_for("\nsame-modes");
    let after = shell.screen();
    for is in [
        vt100::Screen::alternate_screen,
        vt100::Screen::hide_cursor,
        vt100::Screen::application_cursor,
    ] {
        assert_eq!(is(&before), is(&after));
    }
    assert_eq!(before.mouse_protocol_mode(), after.mouse_protocol_mode());
}

#[test]
fn a_notice_leaves_no_trace() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    host.send("printf '\\e[7m%-79s\\e[m\\n' {1..22}\r");
    host.wait_until("the prompt, all of it", |screen| {
        screen.contents().trim_end().ends_with("\n$") && screen.cursor_position() == (23, 2)
    });
    let before = host.screen();
    let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
    viewer.send(&format!("{PREFIX}e"));
    host.wait_for("asks to type");
    answer(&mut host, "n", |_| viewer.text().contains("said no"));
    assert_no_trace(&before, &host, SIZE, "the notice");
}

#[test]
fn the_panel_shows_who_is_here_and_goes_without_a_trace() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    host.send("seq 40\r");
    host.wait_until("the prompt, all of it", |screen| {
        screen.contents().contains("\n40") && screen.cursor_position() == (23, 2)
    });
    let before = host.screen();
    let _viewer = bert.watch(&ticket, &["--name", "bert"]);
    host.send(&format!("{PREFIX} "));
    host.wait_for("r stop typing");
    host.wait_for("bert");
    host.send("q");
    assert_no_trace(&before, &host, SIZE, "the panel");
}

#[test]
fn a_stalled_viewer_says_so_and_goes_on_where_it_was() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
    request_and_grant(&mut viewer, &mut host);

    // Nothing comes from a process that does not run, as from a machine whose network is gone.
    signal(host.session_pid(), "STOP");
    viewer.wait_for("no word from the host");
    viewer.send("echo once-$((1+1))\r");
    viewer.wait_for("connecting (try");
    signal(host.session_pid(), "CONT");

    viewer.wait_for("once-2");
    host.wait_for("once-2");
    host.send("echo done-$((2+2))\r");
    viewer.wait_for("done-4");
    let typed = lines(&host).iter().filter(|line| *line == "once-2").count();
    assert_eq!(
        typed,
        1,
        "what was typed meanwhile is typed once:\n{}",
        host.text()
    );
    assert_eq!(anna.who().len(), 1, "it is the same participant");
}

#[test]
fn a_token_is_one_persons() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let (host, ticket) = anna.share_shell(&[]);
    // For one use, where nothing else is said.
    let token = anna.run(&["grant", "--link", "--edit"]);
    let token = token.trim();

    let mut viewer = bert.watch(&ticket, &["--name", "bert", "--grant", token]);
    viewer.wait_for("edit for");
    viewer.send("echo by-$((1+1))-bert\r");
    host.wait_for("by-2-bert");

    // Somebody else comes too late, and may watch.
    let mut late = carl.watch(&ticket, &["--name", "carl", "--grant", token]);
    late.wait_for("used up");
    late.send("CARL");
    late.wait_for("view only");

    // Coming back is no new use.
    viewer.send(&format!("{PREFIX}q"));
    assert_eq!(viewer.wait_code(), Some(0));
    let mut again = bert.watch(&ticket, &["--name", "bert", "--grant", token]);
    again.wait_for("edit for");
    again.send("echo again-$((1+1))\r");
    host.wait_for("again-2");
    assert!(!host.text().contains("CARL"));
}

#[test]
fn a_new_ticket_takes_the_place_of_the_old_one() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let (mut host, old) = anna.share_shell(&[]);
    let viewer = bert.watch(&old, &["--name", "bert"]);
    assert_eq!(anna.run(&["ticket"]).trim(), old);
    let new = anna.run(&["ticket", "--new"]).trim().to_owned();
    assert_ne!(new, old);

    let mut refused = carl.join(SIZE, &old, &[]);
    assert_eq!(refused.wait_code(), Some(3));
    assert!(
        refused.raw_text().contains("may have replaced it"),
        "{}",
        refused.raw_text()
    );
    carl.watch(&new, &["--name", "carl"]);

    // Who was here stays.
    host.send("echo both-$((1+1))\r");
    viewer.wait_for("both-2");
}

#[test]
fn who_is_kicked_stays_out() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
    id_of(&anna, "bert");
    anna.run(&["kick", "bert"]);
    assert_eq!(viewer.wait_code(), Some(3));
    assert!(viewer.raw_text().contains("removed you"));
    let mut again = bert.join(SIZE, &ticket, &["--name", "another"]);
    assert_eq!(again.wait_code(), Some(3));
    host.send("echo on-$((1+1))\r");
    host.wait_for("on-2");
}

#[test]
fn a_name_that_two_have_is_refused_with_the_choices() {
    let (anna, bert, other) = (Machine::new(), Machine::new(), Machine::new());
    let (_host, ticket) = anna.share_shell(&[]);
    let viewers = [
        bert.watch(&ticket, &["--name", "bert"]),
        other.watch(&ticket, &["--name", "bert"]),
    ];
    let who = until("both to be here", || {
        Some(anna.who()).filter(|who| who.len() == 2)
    });
    let said = anna.fails(1, &["grant", "bert", "--edit"]);
    assert!(said.contains("could be any of"), "{said}");
    for person in &who {
        assert!(
            said.contains(person["fingerprint"].as_str().unwrap().get(..9).unwrap()),
            "{said}"
        );
    }
    anna.run(&["grant", &who[1]["id"].to_string(), "--edit"]);
    until("one of them to have it", || {
        let may: Vec<_> = viewers
            .iter()
            .filter(|viewer| viewer.text().contains("edit for"))
            .collect();
        (may.len() == 1).then_some(())
    });
    let said = anna.fails(4, &["grant", "nobody", "--edit"]);
    assert!(said.contains("pillion who"), "{said}");
}

#[test]
fn a_read_only_session_gives_nobody_edit() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (_host, ticket) = anna.share_shell(&["--read-only"]);
    let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
    let id = id_of(&anna, "bert");
    for args in [
        &["grant", &id, "--edit"][..],
        &["grant", "--link", "--edit"],
    ] {
        let said = anna.fails(1, args);
        assert!(said.contains("--read-only"), "{said}");
    }
    viewer.send(&format!("{PREFIX}e"));
    viewer.wait_for("read-only: nobody can be given edit");
}

#[test]
fn a_read_only_viewer_never_types() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    let mut viewer = bert.watch(&ticket, &["--name", "bert", "--read-only"]);
    let id = id_of(&anna, "bert");
    anna.run(&["grant", &id, "--edit"]);
    until("the grant", || {
        anna.run(&["who"]).contains("edit").then_some(())
    });
    viewer.send("TYPED");
    viewer.wait_for("--read-only");
    host.send("echo fence-$((1+1))\r");
    viewer.wait_for("fence-2");
    assert!(!host.text().contains("TYPED"), "{}", host.text());
}

#[test]
fn edit_that_expires_is_over_and_the_viewer_is_told() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
    let id = id_of(&anna, "bert");
    anna.run(&["grant", &id, "--edit", "--expires", "5s"]);
    viewer.wait_for("edit for");
    viewer.wait_for("it expired");
    viewer.wait_for("view only");
    viewer.send("LATE");
    viewer.wait_for("asks the host to let you type");
    host.send("echo fence-$((1+1))\r");
    viewer.wait_for("fence-2");
    assert!(!host.text().contains("LATE"), "{}", host.text());
}

#[test]
fn sharing_later_shows_the_screen_of_then_and_nothing_before() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let mut host = Term::start(anna.pillion(&["--", "bash", "--norc", "--noprofile"]), SIZE);
    host.wait_for("$ ");
    assert_eq!(anna.session()["state"], "private");
    host.send("for i in {1..100}; do echo secret-$i; done\r");
    host.wait_for("secret-100");
    host.send("clear; echo open-$((1+1))\r");
    host.wait_until("a clear screen", |screen| {
        let text = screen.contents();
        text.contains("open-2") && !text.contains("secret")
    });

    // From inside, the session is the one we are in.
    let file = anna.path("shared.json");
    let (part, name) = (anna.path("part"), file.display());
    host.send(&format!(
        "{PILLION} share --json > {0} && mv {0} {name}\r",
        part.display()
    ));
    let shared: serde_json::Value = serde_json::from_str(&wait_for_file(&file)).unwrap();
    let ticket = shared["ticket"].as_str().unwrap();
    assert_eq!(anna.session()["state"], "shared");

    let mut viewer = bert.watch(ticket, &["--name", "bert"]);
    viewer.wait_for("open-2");
    host.send("for i in {1..60}; do echo shown-$i; done\r");
    viewer.wait_for("shown-60");
    viewer.send(&format!("{PREFIX}["));
    viewer.wait_for("line ");
    viewer.send("\x1b[1~");
    viewer.wait_for("line 1 of");
    viewer.wait_for("shown-1\n");
    assert!(!viewer.raw_text().contains("secret"), "{}", viewer.text());
}

#[test]
fn joining_from_inside_itself_is_refused() {
    let anna = Machine::new();
    let (mut host, ticket) = anna.share_shell(&[]);
    let file = anna.path("ticket");
    std::fs::write(&file, &ticket).unwrap();
    host.send(&format!(
        "clear; {PILLION} join - < {}; echo code-$?\r",
        file.display()
    ));
    host.wait_for("code-3");
    host.wait_for("Join from another terminal");
}

#[test]
fn the_prefix_twice_is_the_key_itself() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
    request_and_grant(&mut viewer, &mut host);
    host.wait_gone("asks to type");
    host.send("clear; cat -v\r");
    host.wait_until("cat to run", |screen| screen.contents().trim() == "");
    host.send(&format!("{PREFIX}{PREFIX}h\r"));
    host.wait_for("^]h\n^]h");
    viewer.wait_for("^]h\n^]h");
    viewer.send(&format!("{PREFIX}{PREFIX}v\r"));
    host.wait_for("^]v\n^]v");
}

#[test]
fn what_widens_rights_needs_the_hosts_own_key_while_an_editor_is_here() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
    request_and_grant(&mut viewer, &mut host);
    host.wait_gone("asks to type");

    // The editor can type commands; that makes them nobody's word.
    let grant = format!(
        "clear; {PILLION} grant --link --edit --uses 1 2>&1 | cut -c 1-60; echo end-$((1+1))\r"
    );
    viewer.send(&grant);
    host.wait_for("Make a token");
    answer(&mut host, "n", |_| viewer.text().contains("end-2"));
    viewer.wait_for("said no");

    viewer.send(&grant);
    host.wait_for("Make a token");
    answer(&mut host, "y", |_| viewer.text().contains("end-2"));
    viewer.wait_for("pilliongrant");
}

#[test]
fn what_widens_rights_is_refused_where_nobody_can_confirm_it() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (host, ticket) = anna.share_piped(&["--tty", "--", "bash", "--norc", "--noprofile"]);
    let token = anna.run(&["grant", "--link", "--edit"]);
    let mut viewer = bert.watch(&ticket, &["--name", "bert", "--grant", token.trim()]);
    viewer.wait_for("edit for");
    let said = anna.fails(3, &["grant", "--link", "--edit"]);
    assert!(said.contains("no terminal here"), "{said}");
    // What narrows is done at once.
    anna.run(&["revoke", "--all"]);
    viewer.wait_for("revoked");
    anna.run(&["grant", "--link", "--edit"]);
    viewer.send("NO");
    viewer.wait_for("asks the host to let you type");
    assert!(!host.out.text().contains("NO"));
}
