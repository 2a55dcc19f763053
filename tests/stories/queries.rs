//! What a program asks its terminal is answered exactly once, anybody who watches.

use crate::harness::{Machine, Piped, Term, contains, until, wait_for_file};

/// Asks, keeps all that comes until `!`, and writes it to the file named.
const ASK: &str = r#"
stty raw -echo
printf 'ready\r\n'
IFS= read -r -d '!' start
printf '\033[c\033]10;?\033\\\033]11;?\033\\\033[6n'
IFS= read -r -d R first
printf 'answered\r\n'
IFS= read -r -d '!' rest
printf '%sR%s' "$first" "$rest" > "$1.part"
mv "$1.part" "$1"
"#;

enum Host {
    Tty(Term),
    Headless(Piped),
}

impl Host {
    fn send(&mut self, keys: &str) {
        match self {
            Host::Tty(term) => term.send(keys),
            Host::Headless(piped) => piped.send(keys),
        }
    }

    fn wait_for(&self, text: &str) {
        match self {
            Host::Tty(term) => term.wait_for(text),
            Host::Headless(piped) => piped.out.wait_for(text),
        }
    }
}

/// Asks with so many viewers, the first of them an editor, and gives what the program read.
fn answers(has_tty: bool, viewers: usize) -> Vec<u8> {
    let anna = Machine::new();
    let (script, file) = (anna.path("ask"), anna.path("answers"));
    std::fs::write(&script, ASK).unwrap();
    let program = [
        "--tty",
        "--",
        "bash",
        script.to_str().unwrap(),
        file.to_str().unwrap(),
    ];
    let (mut host, ticket) = if has_tty {
        let (term, ticket) = anna.share(crate::harness::SIZE, &program);
        (Host::Tty(term), ticket)
    } else {
        let (piped, ticket) = anna.share_piped(&program);
        (Host::Headless(piped), ticket)
    };
    host.wait_for("ready");
    let token = anna.run(&["grant", "--link", "--edit", "--uses", "1"]);
    let machines: Vec<_> = (0..viewers).map(|_| Machine::new()).collect();
    let mut here = Vec::new();
    for (number, machine) in machines.iter().enumerate() {
        let grant = ["--grant", token.trim()];
        let viewer = machine.watch(&ticket, if number == 0 { &grant } else { &[] });
        viewer.wait_for(if number == 0 { "edit for" } else { "view only" });
        here.push(viewer);
    }

    host.send("!");
    host.wait_for("answered");
    for viewer in &here {
        viewer.wait_for("answered");
        assert!(
            viewer.asked().is_empty(),
            "a viewer's terminal was asked: {:?}",
            viewer.asked()
        );
    }
    // What the editor's terminal might have said would be in front of what the editor types.
    match here.first_mut() {
        Some(editor) => editor.send("~!"),
        None => host.send("~!"),
    }
    wait_for_file(&file);
    if let Host::Tty(term) = &host {
        let asked = term.asked();
        // Pillion's own question comes first: where the cursor is.
        assert_eq!(asked, ["DSR 6", "DA1", "OSC 10", "OSC 11", "DSR 6"]);
    }
    std::fs::read(&file).unwrap()
}

fn count(bytes: &[u8], part: &[u8]) -> usize {
    bytes
        .windows(part.len())
        .filter(|window| *window == part)
        .count()
}

fn check(read: &[u8]) {
    let shown = read.escape_ascii().to_string();
    for part in [&b"\x1b[?"[..], b"]10;rgb:", b"]11;rgb:", b"R", b"~"] {
        assert_eq!(count(read, part), 1, "{} in {shown}", part.escape_ascii());
    }
    assert_eq!(
        count(read, b"\x1b["),
        2,
        "a device attributes report and a cursor report: {shown}"
    );
    assert_eq!(count(read, b"\x1b]"), 2, "two colours: {shown}");
    assert!(
        read.ends_with(b"R~"),
        "nothing after the last answer: {shown}"
    );
}

#[test]
fn the_hosts_own_terminal_answers_once() {
    for viewers in [0, 1, 3] {
        let read = answers(true, viewers);
        check(&read);
        assert!(
            contains(&read, b"]10;rgb:c0c0/c1c1/c2c2"),
            "another terminal answered"
        );
    }
}

#[test]
fn without_a_terminal_the_emulator_answers_once() {
    for viewers in [0, 1, 3] {
        check(&answers(false, viewers));
    }
}

#[test]
fn what_was_typed_ahead_is_not_lost_to_the_question_where_the_cursor_is() {
    let anna = Machine::new();
    let mut command = anna.pillion(&["--share", "-q", "--", "bash", "--norc", "--noprofile"]);
    command.env("PS1", "> ");
    let mut host = Term::start(command, crate::harness::SIZE);
    host.send("echo ahead-$((1+1))\r");
    host.wait_for("ahead-2");
    until("one question", || (host.asked() == ["DSR 6"]).then_some(()));
}
