//! Who says yes at the host: a background job of an editor's, a program that covers the question, a paste,
//! a command that gives up.

use std::process::Command;

use crate::harness::{
    Machine, PREFIX, Piped, QUESTION, SIZE, Term, answer, answer_open, request_and_grant, until,
    wait_for_file,
};

const PILLION: &str = env!("CARGO_BIN_EXE_pillion");

/// Presses the prefix, and waits for the question.
fn open_question(host: &mut Term) {
    host.send(PREFIX);
    host.wait_for(QUESTION);
}

/// Answers the question that is open at the host until it is gone.
fn answers(host: &mut Term, key: &str) {
    answer_open(host, key, |host| !host.text().contains(QUESTION));
}

/// A command that waits in the background until the file `go` is there, and leaves what it printed and
/// its exit code.
fn job(machine: &Machine, name: &str, command: &str) -> String {
    let (go, done) = (machine.path(name), machine.path(&format!("{name}.done")));
    let (go, done) = (go.display(), done.display());
    format!(
        "clear; (while [ ! -e {go} ]; do sleep 0.05; done; {command} > {done}.part 2>&1; \
         echo code-$? >> {done}.part; mv {done}.part {done}) & disown; echo left-{name}-$((1+1))\r"
    )
}

/// Lets such a command go on.
fn let_go(machine: &Machine, go: &str) {
    std::fs::write(machine.path(go), "").unwrap();
}

fn result(machine: &Machine, go: &str) -> String {
    wait_for_file(&machine.path(&format!("{go}.done")))
}

#[test]
fn a_background_job_does_not_outwait_the_yes() {
    let (anna, eve) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    let id: serde_json::Value = serde_json::from_str(&eve.run(&["id", "--json"])).unwrap();
    let (key, print) = (
        id["key"].as_str().unwrap(),
        id["fingerprint"].as_str().unwrap(),
    );
    let mut viewer = eve.watch(&ticket, &["--name", "eve"]);
    request_and_grant(&mut viewer, &mut host);
    for (name, command) in [
        ("one", format!("{PILLION} allow {key} --manage")),
        ("two", format!("{PILLION} stop; {PILLION} share")),
    ] {
        viewer.send(&job(&anna, name, &command));
        viewer.wait_for(&format!("left-{name}-2"));
    }
    anna.run(&["revoke", "--all"]);
    viewer.wait_for("view only");
    viewer.send(&format!("{PREFIX}q"));
    assert_eq!(viewer.wait_code(), Some(0));
    until("eve to be away", || anna.who().is_empty().then_some(()));

    let_go(&anna, "one");
    host.wait_for("A command asks (Ctrl-] answers): Let in, and give manage");
    open_question(&mut host);
    host.wait_for("Let in, and give manage (to type and say who may do what), from now on?");
    host.wait_for(&format!("key {print}"));
    host.wait_for(&format!("({key})"));
    answers(&mut host, "n");
    let said = result(&anna, "one");
    assert!(said.contains("waiting 60 s at most for a yes"), "{said}");
    assert!(
        said.contains("said no") && said.ends_with("code-3\n"),
        "{said}"
    );
    assert_eq!(anna.run(&["allow"]), "link\n");

    // What narrows is done at once, and said; to share again is asked.
    let_go(&anna, "two");
    host.wait_for("A command did this: stop: Stopped sharing");
    host.wait_for("A command asks (Ctrl-] answers): Share this session");
    assert_eq!(anna.session()["state"], "private");
    open_question(&mut host);
    host.wait_for("anyone who has the ticket can join and watch");
    answers(&mut host, "n");
    let said = result(&anna, "two");
    assert!(
        said.contains("said no") && said.ends_with("code-3\n"),
        "{said}"
    );
    assert_eq!(anna.session()["state"], "private");

    // The host's own command is carried out by their own key.
    let share = anna.start(&["share"]);
    share.err.wait_for("waiting 60 s at most for a yes");
    open_question(&mut host);
    answers(&mut host, "y");
    let share = share.wait();
    assert!(share.status.success(), "{share:?}");
    assert_eq!(anna.session()["state"], "shared");
    host.wait_for("A command did this: Share this session");
}

#[test]
fn a_session_started_again_remembers_that_others_typed() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
    request_and_grant(&mut viewer, &mut host);
    viewer.send("echo typed-$((1+1))\r");
    host.wait_for("typed-2");
    anna.run(&["revoke", "--all"]);
    drop(viewer);
    let session = anna.session()["session"].as_str().unwrap().to_owned();
    host.kill();
    let (mut host, _) = anna.share_shell(&["--restart", &session]);
    let grant = anna.start(&["grant", "--link", "--edit"]);
    host.wait_for("A command asks");
    open_question(&mut host);
    host.wait_for("Make a token that gives edit (to type) for 8 h?");
    answers(&mut host, "n");
    assert_eq!(grant.wait().status.code(), Some(3));
    drop(host);

    // Where nobody is there to ask it is refused, with a way on.
    let (mut host, _) = anna.share_piped(&["--tty", "--restart", &session, "--", "cat"]);
    let said = anna.fails(3, &["grant", "--link", "--edit"]);
    assert!(
        said.contains("no terminal here") && said.contains("from their viewer"),
        "{said}"
    );
    host.kill();
}

/// Draws its own last row every 4 ms, or as often as it can.
const FORGER: &str = r#"
sub draw { syswrite(STDOUT, "\e[999;1H\e[7mMake a token to watch for 5 min? y yes  n no\e[m\e[K\e[1;1H"); }
syswrite(STDOUT, "\e[2J"); $| = 1;
while (1) { draw(); select(undef, undef, undef, 0.004); }
"#;

#[test]
fn a_program_that_draws_all_the_time_covers_no_question() {
    for size in [SIZE, (40, 10)] {
        let anna = Machine::new();
        let (mut host, _ticket) = anna.share(size, &["-q", "--", "perl", "-e", FORGER]);
        host.wait_for("watch for 5 min");
        let grant = edited_grant(&anna, &["--manage", "--expires", "3650d"]);
        let forged = |screen: &vt100::Screen| screen.contents().contains("5 min");
        // An answer at once answers nothing, whatever the program shows.
        host.send(&format!("{PREFIX}y"));
        host.wait_until("the question, and nothing of the program's", |screen| {
            let text = screen.contents();
            text.contains("is it yours?") && text.contains("y yes") && !forged(screen)
        });
        let text = host.text();
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "Make a token that gives manage (to type and say who may do what) for 3650 d?",
            "to the first person who uses it",
            "y yes n no",
        ] {
            assert!(flat.contains(part), "{part} at {size:?}:\n{text}");
        }
        answers(&mut host, "y");
        let grant = grant.wait();
        assert!(grant.status.success(), "{grant:?}");
        host.wait_until("the program again", forged);
    }
}

/// `pillion grant --link ARGS`, in a session that somebody else could type in.
fn edited_grant(anna: &Machine, args: &[&str]) -> Piped {
    let token = anna.run(&["grant", "--link", "--edit"]);
    let bert = Machine::new();
    let ticket = anna.run(&["ticket"]);
    let viewer = bert.watch(ticket.trim(), &["--name", "bert", "--grant", token.trim()]);
    viewer.wait_for("edit for");
    let mut all = vec!["grant", "--link"];
    all.extend(args);
    let grant = anna.start(&all);
    grant.err.wait_for("waiting 60 s at most for a yes");
    grant
}

#[test]
fn a_paste_answers_nothing() {
    let anna = Machine::new();
    let (mut host, _ticket) = anna.share_shell(&[]);
    host.send("clear; cat -v\r");
    host.wait_until("cat to run", |screen| screen.contents().trim() == "");
    let grant = edited_grant(&anna, &["--edit"]);
    // Between its brackets all of it is the program's.
    host.send(&format!("\x1b[200~{PREFIX}y\x1b[201~\r"));
    host.wait_for("^[[200~^]y^[[201~");
    // Without them the prefix is the prefix, and what comes with it is no answer. Nor is a flood.
    host.send(&format!("{PREFIX}{}", "y".repeat(3000)));
    host.wait_for("Too soon");
    host.send("yy");
    host.send("\x1b");
    host.wait_gone(QUESTION);
    assert!(
        !anna.run(&["audit"]).contains("granted"),
        "nothing but bert's token"
    );
    open_question(&mut host);
    answers(&mut host, "n");
    assert_eq!(grant.wait().status.code(), Some(3));
}

#[test]
fn a_command_that_gives_up_takes_its_question_back_and_can_ask_again() {
    let anna = Machine::new();
    let (mut host, _ticket) = anna.share_shell(&[]);
    let mut first = edited_grant(&anna, &["--edit"]);
    host.wait_for("A command asks");
    interrupt(&mut first);
    host.wait_gone("A command asks");

    // While it is being read, too: what is pressed then reaches nobody.
    let mut second = anna.start(&["grant", "--link", "--edit"]);
    host.wait_for("A command asks");
    open_question(&mut host);
    interrupt(&mut second);
    host.wait_for("This question is gone");
    host.send("y");
    host.wait_gone("This question is gone");
    assert!(!host.text().contains("$ y"), "{}", host.text());

    // The same again, and it is answered.
    let third = anna.start(&["grant", "--link", "--edit"]);
    host.wait_for("A command asks");
    open_question(&mut host);
    answers(&mut host, "y");
    let third = third.wait();
    assert!(third.status.success(), "{third:?}");
    assert!(String::from_utf8_lossy(&third.stdout).starts_with("pilliongrant"));
}

/// Ctrl-C.
fn interrupt(command: &mut Piped) {
    let pid = command.pid().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(sent.success());
    command.wait_exit();
}

#[test]
fn the_panel_that_is_opened_from_a_question_closes_with_its_keys() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&["-q"]);
    host.send("echo beneath-$((1+1))\r");
    host.wait_for("beneath-2");
    let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
    viewer.send(&format!("{PREFIX}e"));
    host.wait_for("asks to type");
    for (key, typed) in [("q", "x"), ("\x1b", "xy"), (PREFIX, "xyz")] {
        open_question(&mut host);
        host.send("p");
        host.wait_for("q close");
        host.send(key);
        host.wait_gone("q close");
        // What is typed next is for the program.
        host.send(&typed[typed.len() - 1..]);
        host.wait_for(&format!("$ {typed}"));
        host.wait_for("beneath-2");
    }
    answer(&mut host, "n", |host| !host.text().contains("asks to type"));
}
