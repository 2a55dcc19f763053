//! What somebody sees of a conversation, and what their keys do.

#[path = "common/talk.rs"]
mod talk;

use std::{num::NonZeroU16, path::Path};

use pillion_conversation::{
    Answer, ChangeSet, ChangedFile, ConversationRequest, Exit, Note, Trust,
};
use pillion_screen::{Size, width::is_disputed};
use pillion_session::Now;
use pillion_tui::{ConversationAction, ConversationContext, ConversationUi, Depth, Notify};
use talk::{Talk, author, id_of, quoted};

/// Somebody in front of a terminal that isn't ours.
struct Desk {
    ui: ConversationUi,
    tty: vt100::Parser,
    cols: u16,
    rows: u16,
    now_ms: u64,
    may_prompt: bool,
    may_approve: bool,
    may_manage: bool,
    prompters: Vec<(String, String)>,
    host_away: bool,
    me: String,
}

impl Desk {
    fn new(cols: u16, rows: u16) -> Desk {
        Desk::with(cols, rows, Depth::True)
    }

    fn with(cols: u16, rows: u16, depth: Depth) -> Desk {
        let of = |n| NonZeroU16::new(n).unwrap();
        Desk {
            ui: ConversationUi::new(depth, Size::clamped(cols, rows)),
            tty: vt100::Parser::new(of(rows), of(cols), 0),
            cols,
            rows,
            now_ms: 0,
            may_prompt: true,
            may_approve: true,
            may_manage: false,
            prompters: Vec::new(),
            host_away: false,
            me: id_of("ann"),
        }
    }

    fn cx<'a>(&'a self, talk: &'a Talk) -> ConversationContext<'a> {
        ConversationContext {
            conversation: &talk.conversation,
            now: Now {
                mono_us: self.now_ms * 1000,
                unix_ms: talk.at_ms,
            },
            may_prompt: self.may_prompt,
            may_approve: self.may_approve,
            may_manage: self.may_manage,
            prompters: &self.prompters,
            me: &self.me,
            host_away: self.host_away,
        }
    }

    fn look(&mut self, talk: &Talk) -> Vec<u8> {
        let mut out = Vec::new();
        let mut ui = std::mem::replace(
            &mut self.ui,
            ConversationUi::new(Depth::True, Size::clamped(1, 1)),
        );
        ui.draw(&self.cx(talk), &mut out);
        self.ui = ui;
        self.tty.process(&out);
        out
    }

    fn types(&mut self, talk: &Talk, bytes: impl AsRef<[u8]>) -> Vec<ConversationAction> {
        let mut ui = std::mem::replace(
            &mut self.ui,
            ConversationUi::new(Depth::True, Size::clamped(1, 1)),
        );
        let actions = ui.keys(&self.cx(talk), bytes.as_ref(), false);
        self.ui = ui;
        self.look(talk);
        actions
    }

    fn later(&mut self, talk: &Talk, ms: u64) -> Vec<ConversationAction> {
        self.now_ms += ms;
        let mut ui = std::mem::replace(
            &mut self.ui,
            ConversationUi::new(Depth::True, Size::clamped(1, 1)),
        );
        let actions = ui.tick(&self.cx(talk), false);
        self.ui = ui;
        self.look(talk);
        actions
    }

    fn screen(&self) -> String {
        let rows = self.tty.screen().rows(0, self.cols);
        rows.map(|row| row.trim_end().to_owned() + "\n").collect()
    }

    fn state(&self) -> String {
        self.screen().lines().last().unwrap().trim().to_owned()
    }

    #[track_caller]
    fn sees(&self, text: &str) {
        assert!(
            self.screen().contains(text),
            "{text:?} is not in\n{}",
            self.screen()
        );
    }

    #[track_caller]
    fn sees_not(&self, text: &str) {
        assert!(
            !self.screen().contains(text),
            "{text:?} is in\n{}",
            self.screen()
        );
    }

    /// What is seen is what stands in the file of this name, which is written again where `BLESS` is set.
    #[track_caller]
    fn is_golden(&self, name: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/conversation")
            .join(format!("{name}.{}x{}.txt", self.cols, self.rows));
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, self.screen()).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            golden == self.screen(),
            "{} is not what is seen:\n{}",
            path.display(),
            self.screen()
        );
    }
}

/// A turn with a bit of everything, which has come to its end.
fn a_turn() -> Talk {
    let mut talk = Talk::begun();
    let prompt = talk.prompt(
        "ann",
        "The parser drops the last line. Please fix it, and say what was wrong with it.",
    );
    talk.thinks("**Looking at it**\nThe parser is in `src/parser.rs`.\nLet me look.");
    talk.reads("r1", "src/parser.rs");
    talk.reads("r2", "src/lib.rs");
    talk.tool(
        "g1",
        r#""title":"grep \"fn lines\"","kind":"search","status":"completed""#,
    );
    talk.reads("r3", "tests/parser.rs");
    talk.update(r#""sessionUpdate":"plan","entries":[{"content":"Read the parser","priority":"high","status":"completed"},{"content":"Fix the loop","priority":"high","status":"in_progress"},{"content":"Run the tests","priority":"low","status":"pending"}]"#);
    talk.says("I found it: the loop ends *before* the last line.\n\n```rust\nwhile end < text.len() {\n```\n\nSee [the docs](https://doc.rust-lang.org/std) for `lines`.");
    let old = quoted(
        "fn parse(text: &str) {\n    let mut end = 0;\n    while end < text.len() {\n        step();\n    }\n}\n",
    );
    let new = quoted(
        "fn parse(text: &str) {\n    let mut end = 0;\n    while end <= text.len() {\n        step();\n    }\n}\n",
    );
    talk.tool("e1", &format!(
        r#""title":"Edit src/parser.rs","kind":"edit","status":"completed","locations":[{{"path":"src/parser.rs","line":3}}],"content":[{{"type":"diff","path":"src/parser.rs","oldText":{old},"newText":{new}}}]"#
    ));
    let output = quoted(
        "\u{1b}[32mtest a ... ok\u{1b}[0m\ntest b ... ok\ntest c ... ok\ntest d ... ok\n\ntest result: ok. 4 passed\n",
    );
    talk.tool("x1", &format!(
        r#""title":"cargo test","kind":"execute","status":"completed","rawInput":{{"command":"cargo test"}},"content":[{{"type":"content","content":{{"type":"text","text":{output}}}}}]"#
    ));
    talk.says("\n\nDone. What was wrong:\n\n- the bound was exclusive\n- nothing tested it");
    talk.update(r#""sessionUpdate":"usage_update","used":31234,"size":200000,"cost":{"amount":0.1234,"currency":"USD"}"#);
    talk.ends(prompt, "end_turn");
    talk
}

/// A question about a command, in a turn that runs.
fn a_question(command: &str) -> (Talk, u64) {
    let mut talk = Talk::begun();
    talk.prompt("bo", "clean up");
    talk.says("I'll remove what was built.");
    let command = quoted(command);
    let question = talk.permission(7, &format!(
        r#""toolCallId":"t","title":"Remove the build","kind":"execute","status":"pending","rawInput":{{"command":{command}}}"#
    ));
    (talk, question)
}

#[test]
fn a_turn_is_seen_whole() {
    let talk = a_turn();
    for (cols, rows) in [(80, 24), (40, 10), (80, 60)] {
        let mut desk = Desk::new(cols, rows);
        desk.look(&talk);
        desk.is_golden("turn");
    }
}

#[test]
fn a_question_is_seen_with_its_command() {
    let (talk, _) = a_question("rm -rf target && git status");
    for (cols, rows) in [(80, 24), (40, 10)] {
        let mut desk = Desk::new(cols, rows);
        desk.look(&talk);
        desk.is_golden("question");
    }
}

/// A turn in which much goes wrong.
fn a_bad_day() -> Talk {
    let mut talk = Talk::begun();
    let prompt = talk.prompt("bo\u{202e}\u{1b}[31m", "do it\nall");
    talk.note(Note::Garbage {
        text: "npm warn \u{1b}]0;title\u{7}deprecated".into(),
        bytes: 24,
    });
    talk.update(r#""sessionUpdate":"mood_update","mood":"good""#);
    talk.update(r#""sessionUpdate":"mood_update","mood":"better""#);
    talk.tool("t1", r#""title":"TodoWrite","kind":"think","status":"completed","rawInput":{"todos":[{"content":"first","status":"completed"},{"content":"second","status":"in_progress"},{"content":"third","status":"pending"}]}"#);
    talk.tool("x1", r#""title":"make","kind":"execute","status":"in_progress","rawInput":{"command":["make","-C","my dir"]},"_meta":{"terminal_info":{"terminal_id":"pty","command":"make","cwd":"/src"}}"#);
    let data = quoted("cc a.c\r\n10%\r100%\r\n\u{1b}[31merror:\u{1b}[0m no rule\r\n");
    talk.tool("x1", &format!(r#""status":"failed","_meta":{{"terminal_output":{{"terminal_id":"pty","data":{data}}},"terminal_exit":{{"terminal_id":"pty","exit_code":2}}}}"#));
    talk.update(r#""sessionUpdate":"subagent_update","subagent":{"sessionId":"sub","title":"explore"},"sessionId":"sub","title":"explore""#);
    talk.update_of("sub", r#""sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"I am somebody else."}"#);
    talk.permission(
        3,
        r#""toolCallId":"e2","title":"Write b.c","kind":"edit","status":"pending""#,
    );
    talk.answer(3, "bo", "no");
    talk.tool("e2", r#""status":"failed""#);
    talk.update(r#""sessionUpdate":"agent_message_chunk","content":{"type":"resource_link","uri":"file:///a.txt","name":"a.txt"}"#);
    talk.ends(prompt, "max_tokens");
    let prompt = talk.prompt("ann", "go on");
    talk.agent(&format!(
        r#"{{"id":{prompt},"error":{{"code":-32603,"message":"model answered 500"}}}}"#
    ));
    talk.note(Note::Ended {
        exit: Exit {
            code: Some(1),
            ..Exit::default()
        },
    });
    talk
}

#[test]
fn what_goes_wrong_is_seen_and_cleaned() {
    let talk = a_bad_day();
    for (cols, rows) in [(80, 50), (40, 10)] {
        let mut desk = Desk::new(cols, rows);
        desk.look(&talk);
        desk.is_golden("bad_day");
        assert_eq!(desk.state(), "ended: exit code 1");
    }
}

#[test]
fn a_change_is_asked_about_with_its_lines() {
    let mut talk = Talk::begun();
    talk.prompt("bo", "rename it");
    let old = quoted("one\ntwo\nthree\n");
    let new = quoted("one\n2\nthree\nfour\n");
    talk.permission(1, &format!(
        r#""toolCallId":"t","title":"Edit a.txt","kind":"edit","status":"pending","content":[{{"type":"diff","path":"a.txt","oldText":{old},"newText":{new}}}]"#
    ));
    talk.queued(1, "ann", "then run the tests\nplease");
    talk.queued(2, "bo", "and commit");
    talk.note(Note::Held {
        prompt: 2,
        by: author("bo"),
        held: true,
    });
    for (cols, rows) in [(80, 24), (40, 10)] {
        let mut desk = Desk::new(cols, rows);
        desk.look(&talk);
        desk.is_golden("change");
    }
}

fn prompt(text: &str) -> Vec<ConversationAction> {
    vec![ConversationAction::Prompt { text: text.into() }]
}

fn answered(question: u64, choice: &str) -> Vec<ConversationAction> {
    vec![ConversationAction::Answer {
        question,
        answer: Answer::Choice(choice.into()),
    }]
}

#[test]
fn a_prompt_is_written_and_sent() {
    let talk = a_turn();
    let mut desk = Desk::new(40, 12);
    desk.look(&talk);
    assert_eq!(desk.types(&talk, "fix it"), []);
    desk.sees("› fix it");
    // Alt-Enter and Ctrl-J, a paste with its own line ends, and what may not be shown.
    desk.types(&talk, "\x1b\r");
    desk.types(&talk, "\n");
    desk.types(&talk, "\x1b[200~and\r\ntest\x1b[31m it\x1b[201~");
    desk.sees("  test[31m it");
    assert_eq!(
        desk.types(&talk, "\r"),
        prompt("fix it\n\nand\ntest[31m it")
    );
    desk.sees("Write to the agent");
    assert_eq!(desk.types(&talk, "\r"), []);
    // Typed in one piece with what sends it.
    assert_eq!(desk.types(&talk, "again\r"), prompt("again"));
}

#[test]
fn the_cursor_stands_where_is_written() {
    let talk = a_turn();
    let mut desk = Desk::new(40, 12);
    desk.look(&talk);
    desk.types(&talk, "ab日");
    assert_eq!(desk.tty.screen().cursor_position(), (10, 6));
    desk.types(&talk, "\x1b[D\x1b[D");
    assert_eq!(desk.tty.screen().cursor_position(), (10, 3));
    desk.types(&talk, "x");
    assert_eq!(desk.types(&talk, "\r"), prompt("axb日"));
}

#[test]
fn a_key_that_comes_too_soon_is_no_answer() {
    let (talk, question) = a_question("make");
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    assert_eq!(desk.types(&talk, "y"), []);
    desk.sees("Too soon");
    desk.later(&talk, 399);
    assert_eq!(desk.types(&talk, "y"), []);
    desk.later(&talk, 400);
    // Not with anything else in the same read, nor by Enter.
    for keys in ["yy", "y\r", "\r", "xy", "\x1b[200~y\x1b[201~"] {
        assert_eq!(desk.types(&talk, keys), [], "{keys:?}");
        desk.types(&talk, "\t");
        desk.types(&talk, "\x15");
        desk.types(&talk, "\x1b[Z");
        desk.types(&talk, "\t");
    }
    desk.later(&talk, 400);
    assert_eq!(desk.types(&talk, "y"), answered(question, "once"));
    // One answer is enough.
    desk.sees("on its way");
    assert_eq!(desk.types(&talk, "y"), []);
}

#[test]
fn answers_have_the_keys_of_their_kind_and_their_number() {
    for (key, choice) in [
        ("y", "once"),
        ("1", "once"),
        ("2", "always"),
        ("3", "no"),
        ("n", "no"),
    ] {
        let (talk, question) = a_question("make");
        let mut desk = Desk::new(80, 24);
        desk.look(&talk);
        desk.later(&talk, 400);
        assert_eq!(desk.types(&talk, key), answered(question, choice), "{key}");
    }
}

#[test]
fn a_long_command_is_seen_to_its_end_before_a_yes() {
    let command: String = (0..60).map(|n| format!("echo {n}\n")).collect();
    let (talk, question) = a_question(&command);
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    desk.later(&talk, 400);
    desk.is_golden("long_command");
    assert_eq!(desk.types(&talk, "y"), []);
    // The end by itself is not all of it.
    desk.types(&talk, "\x1b[F");
    desk.later(&talk, 400);
    assert_eq!(desk.types(&talk, "y"), []);
    desk.types(&talk, "\x1b[H");
    for _ in 0..8 {
        desk.types(&talk, "\x1b[6~");
    }
    desk.sees("echo 59");
    assert_eq!(desk.types(&talk, "y"), []);
    desk.later(&talk, 400);
    assert_eq!(desk.types(&talk, "y"), answered(question, "once"));
}

#[test]
fn a_no_needs_no_reading() {
    let command: String = (0..60).map(|n| format!("echo {n}\n")).collect();
    let (talk, question) = a_question(&command);
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    desk.later(&talk, 400);
    assert_eq!(desk.types(&talk, "n"), answered(question, "no"));
}

#[test]
fn a_command_that_changes_is_read_again() {
    let (mut talk, question) = a_question("make");
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    desk.later(&talk, 400);
    talk.tool("t", r#""status":"in_progress""#);
    desk.look(&talk);
    talk.tool("t", r#""rawInput":{"command":"make install"}"#);
    desk.look(&talk);
    desk.sees("make install");
    assert_eq!(desk.types(&talk, "y"), []);
    desk.later(&talk, 400);
    assert_eq!(desk.types(&talk, "y"), answered(question, "once"));
}

#[test]
fn a_question_does_not_interrupt_a_prompt_that_is_written() {
    let mut talk = Talk::begun();
    talk.prompt("bo", "go");
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    desk.types(&talk, "tr");
    let question = talk.permission(1, r#""toolCallId":"t","title":"Run ls""#);
    desk.look(&talk);
    desk.later(&talk, 1000);
    assert_eq!(desk.types(&talk, "y"), []);
    desk.sees("› try");
    desk.sees("Tab answers");
    desk.types(&talk, "\t");
    desk.later(&talk, 400);
    assert_eq!(desk.types(&talk, "n"), answered(question, "no"));
    // What was written is still there.
    talk.answer(1, "ann", "no");
    desk.look(&talk);
    assert_eq!(desk.types(&talk, " it\r"), prompt("try it"));
    desk.sees("Reject by you");
}

#[test]
fn a_claimed_question_is_left_to_its_holder() {
    let (mut talk, question) = a_question("make");
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    desk.later(&talk, 400);
    assert_eq!(
        desk.types(&talk, "c"),
        [ConversationAction::Claim { question }]
    );
    talk.note(Note::Claimed {
        question,
        by: Some(author("bo")),
    });
    desk.look(&talk);
    desk.sees("bo d159-ec67 is handling it");
    assert_eq!(desk.state(), "needs approval: bo is handling it");
    desk.later(&talk, 400);
    assert_eq!(desk.types(&talk, "y"), []);
    desk.sees("bo is handling this");
    talk.note(Note::Claimed {
        question,
        by: Some(author("ann")),
    });
    desk.look(&talk);
    desk.sees("You are handling it");
    desk.later(&talk, 400);
    assert_eq!(
        desk.types(&talk, "c"),
        [ConversationAction::Release { question }]
    );
    assert_eq!(desk.types(&talk, "y"), answered(question, "once"));
}

#[test]
fn without_the_right_to_approve_nothing_is_answered() {
    let (talk, _) = a_question("make");
    let mut desk = Desk::new(80, 24);
    desk.may_approve = false;
    desk.look(&talk);
    desk.sees("Only those with the right to approve");
    desk.later(&talk, 400);
    assert_eq!(desk.types(&talk, "y"), []);
    desk.sees("› y");
}

#[test]
fn without_the_right_to_prompt_nothing_is_written() {
    let talk = a_turn();
    let mut desk = Desk::new(80, 24);
    desk.may_prompt = false;
    desk.look(&talk);
    desk.sees("You watch this conversation.");
    assert_eq!(desk.types(&talk, "hello\r"), []);
    desk.sees("Ask the host for it");
    desk.sees_not("hello");
    desk.later(&talk, 6000);
    desk.sees_not("Ask the host for it");
    assert!(desk.tty.screen().hide_cursor());
}

#[test]
fn a_turn_is_stopped_by_the_second_press() {
    let mut talk = Talk::begun();
    let prompt = talk.prompt("ann", "go");
    for key in ["\x03", "\x1b"] {
        let mut desk = Desk::new(80, 24);
        desk.look(&talk);
        let press = |desk: &mut Desk| {
            let mut actions = desk.types(&talk, key);
            // A lone ESC is the key once nothing follows it.
            actions.extend(desk.later(&talk, 30));
            actions
        };
        assert_eq!(press(&mut desk), []);
        desk.sees("again within 2 s");
        desk.later(&talk, 2000);
        assert_eq!(press(&mut desk), []);
        assert_eq!(press(&mut desk), [ConversationAction::Cancel]);
        assert_eq!(press(&mut desk), []);
    }
    talk.ends(prompt, "cancelled");
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    desk.types(&talk, "\x03");
    assert_eq!(desk.types(&talk, "\x03"), []);
    desk.sees("Nothing runs");
    desk.sees("turn stopped");
}

#[test]
fn a_waiting_prompt_is_changed_and_taken_back() {
    let mut talk = Talk::begun();
    talk.prompt("bo", "go");
    talk.queued(1, "ann", "first");
    talk.queued(2, "bo", "not mine");
    talk.queued(3, "ann", "second");
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    desk.types(&talk, "\x1b[A");
    desk.sees("› second");
    desk.types(&talk, "\x1b[A");
    desk.sees("› first");
    assert_eq!(
        desk.types(&talk, " of all\r"),
        [ConversationAction::EditQueued {
            prompt: 1,
            text: "first of all".into()
        }]
    );
    desk.types(&talk, "\x1b[A");
    assert_eq!(
        desk.types(&talk, "\x0f"),
        [ConversationAction::Hold {
            prompt: 3,
            held: true
        }]
    );
    assert_eq!(
        desk.types(&talk, "\x18"),
        [ConversationAction::Withdraw { prompt: 3 }]
    );
    desk.sees("Write to the agent");
    // One that is sent while it is changed becomes a new one.
    desk.types(&talk, "\x1b[A");
    desk.types(&talk, "!");
    talk.note(Note::Withdrawn {
        prompt: 3,
        by: author("bo"),
    });
    desk.look(&talk);
    desk.sees("no longer waits");
    assert_eq!(desk.types(&talk, "\r"), prompt("second!"));
    // Into the turn that runs.
    desk.types(&talk, "now");
    assert_eq!(
        desk.types(&talk, "\x13"),
        [ConversationAction::Amend { text: "now".into() }]
    );
}

#[test]
fn what_is_looked_back_at_stays_while_more_comes() {
    let mut talk = Talk::begun();
    talk.prompt("ann", "count");
    for n in 0..40 {
        talk.update(&format!(r#""sessionUpdate":"agent_message_chunk","messageId":"m{n}","content":{{"type":"text","text":"number {n}"}}"#));
    }
    let mut desk = Desk::new(40, 12);
    desk.look(&talk);
    desk.sees("number 39");
    desk.types(&talk, "\x1b[5~");
    desk.sees("looking back");
    desk.sees_not("number 39");
    let seen: Vec<String> = desk.screen().lines().take(9).map(str::to_owned).collect();
    for n in 40..60 {
        talk.update(&format!(r#""sessionUpdate":"agent_message_chunk","messageId":"m{n}","content":{{"type":"text","text":"number {n}"}}"#));
        desk.look(&talk);
    }
    assert_eq!(desk.screen().lines().take(9).collect::<Vec<_>>(), seen);
    // To the beginning, by the wheel a little down, and to the end again.
    desk.types(&talk, "\x1b[H");
    desk.sees("› you (prompt): count");
    desk.types(&talk, "\x1b[<65;2;2M");
    desk.sees_not("count");
    desk.types(&talk, "\x1b[F");
    desk.sees("number 59");
    desk.sees_not("looking back");
    for _ in 0..100 {
        desk.types(&talk, "\x1b[<64;2;2M");
    }
    desk.sees("› you (prompt): count");
    for _ in 0..100 {
        desk.types(&talk, "\x1b[<65;2;2M");
    }
    desk.sees("number 59");
    desk.sees_not("looking back");
}

#[test]
fn items_are_chosen_and_opened() {
    let talk = a_turn();
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    desk.sees_not("test b ... ok");
    desk.types(&talk, "\t");
    desk.types(&talk, "\r");
    desk.sees("test b ... ok");
    desk.types(&talk, " ");
    desk.sees_not("test b ... ok");
    // The reads, out of sight, come into sight.
    desk.types(&talk, "\t");
    desk.sees("read 3 files, searched once");
    desk.types(&talk, " ");
    desk.sees("tests/parser.rs");
    desk.types(&talk, "\t\r");
    desk.sees("The parser is in src/parser.rs.");
    // Writing goes to the line again.
    desk.types(&talk, "x");
    assert_eq!(desk.types(&talk, "\r"), prompt("x"));
}

/// A conversation whose agent has changed two files.
fn changed() -> Talk {
    let mut talk = Talk::begun();
    let patch = "diff --git a/src/a.rs b/src/a.rs\n--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n";
    let modified = ChangedFile {
        operation: "modify".to_owned(),
        path: "src/a.rs".to_owned(),
        added: 1,
        removed: 1,
        patch: patch.to_owned(),
        ..ChangedFile::default()
    };
    let made = ChangedFile {
        operation: "add".to_owned(),
        path: "b.bin".to_owned(),
        binary: true,
        ..ChangedFile::default()
    };
    let set = |files: &[&ChangedFile]| ChangeSet {
        files: files.iter().copied().cloned().collect(),
        left_out: 0,
    };
    talk.note(Note::Changed {
        turn: 2,
        start: set(&[&modified, &made]),
        of_turn: set(&[&made]),
    });
    talk
}

#[test]
fn what_changed_is_listed_opened_and_commented_on() {
    let talk = changed();
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    desk.types(&talk, "\x07");
    desk.look(&talk);
    desk.is_golden("changes");
    desk.types(&talk, "\r");
    desk.look(&talk);
    desk.sees("-two");
    // From the line that went to the one that came.
    desk.types(&talk, "\x1b[B");
    desk.types(&talk, "c");
    desk.types(&talk, "why a digit?");
    desk.types(&talk, "\r");
    desk.look(&talk);
    desk.is_golden("comment");
    desk.types(&talk, "c");
    desk.types(&talk, "and another");
    desk.types(&talk, "\r");
    desk.types(&talk, "x");
    desk.look(&talk);
    desk.sees_not("and another");
    let sent = desk.types(&talk, "s");
    assert_eq!(
        sent,
        prompt("Comments on what changed:\n\nsrc/a.rs:2\n> +2\nwhy a digit?\n")
    );
    // They are sent once, and the line for a prompt is there again.
    desk.look(&talk);
    desk.sees_not("why a digit?");
    desk.types(&talk, "\x07");
    desk.types(&talk, "t");
    desk.look(&talk);
    desk.sees("Changed in turn 2: 1 file");
    desk.sees_not("a.rs");
}

#[test]
fn who_may_watch_sees_what_changed_and_comments_on_nothing() {
    let talk = changed();
    let mut desk = Desk::new(80, 24);
    desk.may_prompt = false;
    desk.look(&talk);
    desk.types(&talk, "\x07");
    desk.types(&talk, "\r");
    desk.types(&talk, "c");
    desk.look(&talk);
    desk.sees("+2");
    desk.sees("comments become a prompt");
    assert_eq!(desk.types(&talk, "s"), []);
}

#[test]
fn the_plan_is_opened_by_a_key() {
    let talk = a_turn();
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    desk.sees_not("◦ Run the tests");
    desk.types(&talk, "\x14");
    desk.sees("✓ Read the parser");
    desk.sees("◦ Run the tests");
}

#[test]
fn the_state_line_says_what_is_so() {
    let mut desk = Desk::new(80, 24);
    let mut talk = Talk::unready();
    desk.look(&talk);
    assert_eq!(desk.state(), "not ready: the agent begins");
    talk = Talk::begun();
    desk.look(&talk);
    assert_eq!(desk.state(), "idle");
    let prompt = talk.prompt("bo", "go");
    desk.look(&talk);
    assert_eq!(desk.state(), "working");
    talk.thinks("hm");
    desk.look(&talk);
    assert_eq!(desk.state(), "thinking");
    talk.tool(
        "t",
        r#""title":"cargo test","kind":"execute","status":"in_progress""#,
    );
    desk.look(&talk);
    assert_eq!(desk.state(), "running cargo test");
    desk.later(&talk, 12_000);
    assert_eq!(desk.state(), "running cargo test │ no word for 12 s");
    talk.tool("t", r#""status":"completed""#);
    talk.says("so");
    desk.look(&talk);
    assert_eq!(desk.state(), "answering");
    talk.ends(prompt, "end_turn");
    desk.look(&talk);
    assert_eq!(desk.state(), "idle");
    desk.host_away = true;
    desk.look(&talk);
    assert_eq!(desk.state(), "host away");
    desk.types(&talk, "x\r");
    desk.sees("The host is away");
}

#[test]
fn an_update_costs_what_it_changes() {
    let mut talk = a_turn();
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    assert_eq!(desk.look(&talk), b"");
    talk.prompt("bo", "more");
    desk.look(&talk);
    talk.says("a");
    desk.look(&talk);
    talk.says("b");
    let out = desk.look(&talk);
    assert!(out.len() < 40, "{:?}", String::from_utf8_lossy(&out));
}

#[test]
fn without_colours_signs_say_it() {
    let talk = a_turn();
    let mut desk = Desk::with(80, 60, Depth::Mono);
    let out = desk.look(&talk);
    desk.is_golden("turn");
    let text = String::from_utf8_lossy(&out).into_owned();
    let colours = text.split("\x1b[").filter(|sequence| {
        let params = sequence.split('m').next().unwrap_or_default();
        params
            .split(';')
            .any(|n| n.len() == 2 && (n.starts_with('3') || n.starts_with('4')))
            && params
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b';')
    });
    assert_eq!(colours.count(), 0);
}

#[test]
fn what_is_alike_is_allowed_for_the_session() {
    let (talk, question) = a_question("make");
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    assert_eq!(desk.types(&talk, "a"), []);
    desk.later(&talk, 400);
    assert_eq!(
        desk.types(&talk, "a"),
        [ConversationAction::AllowAlike { question }]
    );
    assert_eq!(desk.types(&talk, "y"), []);
}

#[test]
fn a_form_is_filled_in_field_by_field() {
    let mut talk = Talk::begun();
    talk.prompt("bo", "go");
    talk.agent(r#"{"id":1,"method":"elicitation/create","params":{"sessionId":"s","mode":"form","message":"Which database?","requestedSchema":{"type":"object","properties":{"kind":{"type":"string","title":"Kind","enum":["pg","sqlite"]},"name":{"type":"string","title":"Name","description":"As in the settings"},"backup":{"type":"boolean"}},"required":["kind","backup"]}}}"#);
    let (question, _) = talk.conversation.open_questions().next().unwrap();
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    desk.is_golden("form");
    assert_eq!(desk.state(), "needs an answer");
    assert_eq!(desk.types(&talk, "2"), []);
    desk.sees("1 of 3: Kind");
    desk.later(&talk, 400);
    assert_eq!(desk.types(&talk, "2"), []);
    desk.sees("2 of 3: Name");
    // Text is text, whatever keys mean elsewhere.
    desk.types(&talk, "my ");
    desk.types(&talk, "\x1b[200~db\n\x1b[201~");
    desk.sees("› my db");
    desk.later(&talk, 400);
    assert_eq!(desk.types(&talk, "\r"), []);
    desk.sees("3 of 3: backup");
    desk.later(&talk, 400);
    let filled = r#"{"kind":"sqlite","name":"my db","backup":true}"#;
    assert_eq!(
        desk.types(&talk, "y"),
        [ConversationAction::Answer {
            question,
            answer: Answer::Form(filled.into())
        }]
    );
}

#[test]
fn a_form_is_declined_whatever_it_asks() {
    let mut talk = Talk::begun();
    talk.prompt("bo", "go");
    talk.agent(r#"{"id":1,"method":"elicitation/create","params":{"sessionId":"s","message":"Which?","requestedSchema":{"type":"object","properties":{"many":{"type":"array"}}}}}"#);
    let (question, _) = talk.conversation.open_questions().next().unwrap();
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    desk.sees("can't be filled in here");
    desk.later(&talk, 400);
    assert_eq!(
        desk.types(&talk, "\x04"),
        [ConversationAction::Answer {
            question,
            answer: Answer::Decline
        }]
    );
}

#[test]
fn version_2_shows_patches_and_terminals() {
    let mut talk = Talk::unready();
    let id = talk.ask("initialize", "{}");
    talk.reply(
        id,
        r#"{"protocolVersion":2,"info":{"name":"codex","version":"1"}}"#,
    );
    let id = talk.ask("session/new", "{}");
    talk.reply(id, r#"{"sessionId":"s"}"#);
    let id = talk.prompt("ann", "change it");
    talk.reply(id, r#"{"messageId":"u1"}"#);
    talk.update(r#""sessionUpdate":"state_update","state":"running""#);
    let patch = quoted(
        "diff --git a/src/a.rs b/src/a.rs\n--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1,2 +1,2 @@\n fn a() {\n-old\n+new\n",
    );
    talk.tool("e", &format!(
        r#""title":"Edit a.rs","kind":"edit","status":"completed","content":[{{"type":"diff","changes":[{{"operation":"modify","path":"src/a.rs"}}],"patch":{{"format":"git_patch","text":{patch}}}}}]"#
    ));
    talk.tool("x", r#""title":"ls","kind":"execute","status":"in_progress","content":[{"type":"terminal","terminalId":"p"}]"#);
    talk.update(
        r#""sessionUpdate":"terminal_update","terminalId":"p","command":"ls","cwd":"/src""#,
    );
    // "a.rs\nb.rs\n"
    talk.update(
        r#""sessionUpdate":"terminal_output_chunk","terminalId":"p","data":"YS5ycwpiLnJzCg==""#,
    );
    talk.update(r#""sessionUpdate":"state_update","state":"requires_action""#);
    talk.agent(r#"{"id":"q","method":"session/request_permission","params":{"sessionId":"s","title":"Remove it?","description":"It is not needed.","subject":{"type":"command","command":"rm src/b.rs","cwd":"/src"},"options":[{"optionId":"a","name":"Yes","kind":"allow_once"},{"optionId":"b","name":"No, and tell it what to do","kind":"reject_once"}]}}"#);
    for (cols, rows) in [(80, 24), (40, 10)] {
        let mut desk = Desk::new(cols, rows);
        desk.look(&talk);
        desk.is_golden("version_2");
    }
}

#[test]
fn a_response_that_goes_on_is_laid_out_as_one_that_is_there() {
    let text = "# A\n\nSome *text*.\n\n- one\n\n- two\n\n  more of it\n\n```rs\nlet a;\n\nlet b;\n```\n\nAnd **so** on.\n\n> x\n\ny";
    let mut talk = Talk::begun();
    let mut desk = Desk::new(40, 40);
    talk.prompt("ann", "go");
    let mut said = String::new();
    for ch in text.chars() {
        talk.says(&ch.to_string());
        said.push(ch);
        desk.look(&talk);
        let mut fresh = Desk::new(40, 40);
        fresh.look(&talk);
        assert_eq!(desk.screen(), fresh.screen(), "{said:?}");
    }
}

#[test]
fn a_click_opens_what_it_is_on() {
    let talk = a_turn();
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    let row = |desk: &Desk| {
        desk.screen()
            .lines()
            .position(|row| row.contains("cargo test"))
            .unwrap()
    };
    let click = format!("\x1b[<0;5;{}M", row(&desk) + 1);
    desk.types(&talk, &click);
    desk.sees("test b ... ok");
    let click = format!("\x1b[<0;5;{}M", row(&desk) + 1);
    desk.types(&talk, &click);
    desk.sees_not("test b ... ok");
}

/// An agent with a mode, a model and commands.
fn an_agent_with_options() -> Talk {
    let mut talk = a_turn();
    talk.update(r#""sessionUpdate":"config_option_update","configOptions":[{"id":"mode","name":"Mode","category":"mode","type":"select","currentValue":"ask","options":[{"value":"ask","name":"Ask","description":"asks for everything"},{"value":"auto","name":"Auto"}]},{"id":"model","name":"Model","category":"model","type":"select","currentValue":"big","options":[{"value":"big","name":"Big 5"},{"value":"small","name":"Small 5"}]}]"#);
    talk.update(r#""sessionUpdate":"available_commands_update","availableCommands":[{"name":"review","description":"Looks at what changed","input":{"hint":"what"}},{"name":"reset","description":"Begins again"},{"name":"init","description":"x"}]"#);
    talk.note(Note::Allowed {
        rule: 4,
        by: author("bo"),
        tool: "execute".into(),
        command: "cargo test".into(),
    });
    talk
}

#[test]
fn what_can_be_set_is_listed_and_set() {
    let talk = an_agent_with_options();
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    assert!(desk.state().ends_with("Ask │ Big 5"), "{}", desk.state());
    desk.types(&talk, "\x10");
    desk.is_golden("menu");
    desk.types(&talk, "\x1b[B\r");
    desk.sees("1 Big 5 (now)");
    assert_eq!(
        desk.types(&talk, "2"),
        [ConversationAction::SetOption {
            option: "model".into(),
            value: "small".into()
        }]
    );
    desk.sees_not("what can be set");
    desk.types(&talk, "\x10");
    assert_eq!(
        desk.types(&talk, "3"),
        [ConversationAction::EndRule { rule: 4 }]
    );
    // Esc goes from the values to the list, and from there to the line.
    desk.types(&talk, "\x10");
    desk.types(&talk, "1");
    desk.sees("asks for everything");
    desk.types(&talk, "\x1b");
    desk.later(&talk, 30);
    desk.sees("what can be set");
    desk.types(&talk, "\x1b");
    desk.later(&talk, 30);
    desk.sees_not("what can be set");
    // The mode is for those who are asked.
    desk.may_approve = false;
    desk.types(&talk, "\x10");
    desk.sees("1 Model: Big 5");
    desk.sees_not("Mode: Ask");
}

#[test]
fn commands_are_found_by_their_beginning() {
    let talk = an_agent_with_options();
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    desk.types(&talk, "/re");
    desk.sees("/review  what  Looks at what changed  (Tab)");
    desk.sees("/reset  Begins again");
    desk.sees_not("/init");
    desk.types(&talk, "\t");
    desk.sees("› /review");
    desk.sees_not("Looks at what changed");
    assert_eq!(desk.types(&talk, "it\r"), prompt("/review it"));
}

#[test]
fn everything_is_opened_by_one_key() {
    let talk = a_turn();
    let mut desk = Desk::new(80, 60);
    desk.look(&talk);
    desk.types(&talk, "\x12");
    desk.sees("test b ... ok");
    desk.sees("tests/parser.rs");
    desk.sees("Let me look.");
    desk.types(&talk, "\x12");
    desk.sees_not("test b ... ok");
}

#[test]
fn a_prompt_that_waits_for_a_yes_gets_it_from_the_list() {
    let mut talk = Talk::begun();
    talk.queued(1, "bo", "delete it all");
    talk.note(Note::NeedsYes { prompt: 1 });
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    desk.sees("waits for a yes (Ctrl-P), by bo");
    desk.types(&talk, "\x10");
    assert_eq!(
        desk.types(&talk, "1"),
        [ConversationAction::Hold {
            prompt: 1,
            held: false
        }]
    );
}

#[test]
fn how_far_somebody_is_trusted_is_said_in_the_list() {
    let mut talk = Talk::begun();
    talk.note(Note::Trusted {
        person: id_of("bo"),
        how: "reads-only".into(),
        by: author("ann"),
    });
    let mut desk = Desk::new(80, 24);
    desk.prompters = vec![(id_of("bo"), "bo".into()), (id_of("cy"), "cy".into())];
    desk.look(&talk);
    desk.types(&talk, "\x10");
    desk.sees_not("prompts of bo");
    desk.types(&talk, "\x1b");
    desk.later(&talk, 30);
    desk.may_manage = true;
    desk.types(&talk, "\x10");
    desk.sees("1 prompts of bo: reads-only");
    desk.sees("2 prompts of cy: ask");
    desk.types(&talk, "1");
    desk.is_golden("trust");
    assert_eq!(
        desk.types(&talk, "4"),
        [ConversationAction::Trust {
            person: id_of("bo"),
            trust: Trust::Trusted
        }]
    );
}

#[test]
fn waiting_prompts_change_places_and_are_others_for_who_manages() {
    let mut talk = Talk::begun();
    for (number, by) in [(1, "bo"), (2, "ann"), (3, "ann"), (4, "bo")] {
        talk.queued(number, by, &format!("prompt {number}"));
    }
    let moved = |prompt, before| [ConversationAction::Move { prompt, before }];
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    // The newest of ann's own comes into the line first.
    desk.types(&talk, "\x1b[A");
    desk.sees("› changing queued by you: prompt 3");
    assert_eq!(desk.types(&talk, "\x1b[1;3A"), moved(3, Some(2)));
    assert_eq!(desk.types(&talk, "\x1b[1;3B"), moved(3, None));
    desk.types(&talk, "\x1b[A");
    assert_eq!(desk.types(&talk, "\x1b[1;3A"), [], "not before bo's");
    desk.sees("It can't go there");
    assert_eq!(desk.types(&talk, "\x1b[1;3B"), moved(2, Some(4)));
    desk.types(&talk, "\x1b");
    desk.later(&talk, 30);
    // The list has the person's own, and all of them for who manages.
    desk.types(&talk, "\x10");
    desk.sees_not("what waits, by bo");
    desk.types(&talk, "1");
    desk.sees("1 change it");
    desk.types(&talk, "1");
    desk.sees("› prompt 2");
    desk.types(&talk, "\x1b");
    desk.later(&talk, 30);
    desk.may_manage = true;
    desk.types(&talk, "\x10");
    desk.sees("4 what waits, by bo d159-ec67: prompt 4");
    desk.types(&talk, "4");
    desk.is_golden("queued");
    assert_eq!(desk.types(&talk, "1"), moved(4, Some(3)));
    for (key, action) in [
        (
            "2",
            ConversationAction::Hold {
                prompt: 4,
                held: true,
            },
        ),
        ("3", ConversationAction::Withdraw { prompt: 4 }),
    ] {
        desk.types(&talk, "\x10");
        desk.types(&talk, "4");
        assert_eq!(desk.types(&talk, key), [action]);
    }
}

#[test]
fn an_agent_is_started_again_by_who_manages() {
    let mut talk = a_turn();
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    assert_eq!(desk.types(&talk, "\x1b[15~"), []);
    desk.sees("by who manages the session");
    desk.may_manage = true;
    assert_eq!(desk.types(&talk, "\x1b[15~"), [], "it may be a slip");
    desk.sees("F5 again within 2 s");
    desk.later(&talk, 2_000);
    assert_eq!(desk.types(&talk, "\x1b[15~"), []);
    assert_eq!(desk.types(&talk, "\x1b[15~"), [ConversationAction::Restart]);
    talk.note(Note::CancelIgnored);
    desk.look(&talk);
    desk.sees("the agent was to stop 10 s ago and goes on: F5 starts it again");
    talk.note(Note::Ended {
        exit: Exit {
            code: Some(101),
            ..Exit::default()
        },
    });
    desk.look(&talk);
    assert!(
        desk.state().contains("F5 starts it again"),
        "{}",
        desk.state()
    );
    // Of one that has ended nothing is lost.
    assert_eq!(desk.types(&talk, "\x1b[15~"), [ConversationAction::Restart]);
}

#[test]
fn a_conversation_is_called_something_else() {
    let talk = a_turn();
    let mut desk = Desk::new(80, 24);
    desk.may_manage = true;
    desk.look(&talk);
    desk.types(&talk, "\x101");
    desk.sees("What this conversation is called");
    assert_eq!(
        desk.types(&talk, "The parser\r"),
        [ConversationAction::Rename {
            title: "The parser".into()
        }]
    );
    desk.types(&talk, "\x101");
    desk.types(&talk, "not this\x03");
    desk.sees_not("not this");
    assert_eq!(desk.types(&talk, "go on\r"), prompt("go on"));
}

#[test]
fn a_question_rings_once_for_who_may_answer_it() {
    let rings = |out: &[u8]| out.iter().filter(|byte| **byte == 0x07).count();
    let mut talk = Talk::begun();
    let asks = |talk: &mut Talk, id: u64, title: &str| {
        talk.agent(&format!(
            r#"{{"id":{id},"method":"session/request_permission","params":{{"sessionId":"s","title":{},"options":[{{"optionId":"y","name":"Yes","kind":"allow_once"}}]}}}}"#,
            quoted(title)
        ));
    };
    asks(&mut talk, 1, "Write a.rs");
    let mut desk = Desk::new(80, 24);
    desk.ui = ConversationUi::new(Depth::True, Size::clamped(80, 24)).notifying(Notify::Osc9);
    assert_eq!(rings(&desk.look(&talk)), 0, "it was there before");
    asks(&mut talk, 2, "Write b.rs\x1b]0;x\x07;");
    let out = desk.look(&talk);
    let said = String::from_utf8_lossy(&out).into_owned();
    assert!(
        said.ends_with("\x07\x1b]9;the agent asks: Write b.rs]0,x,\x07"),
        "{said:?}"
    );
    assert_eq!(rings(&desk.look(&talk)), 0, "once");
    desk.may_approve = false;
    asks(&mut talk, 3, "Write c.rs");
    assert_eq!(rings(&desk.look(&talk)), 0, "it is for others");
}

#[test]
fn what_keys_do_is_shown_until_the_next() {
    let talk = a_turn();
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    let before = desk.screen();
    desk.types(&talk, "\x1bOP");
    desk.is_golden("help");
    assert_eq!(desk.types(&talk, "x"), []);
    assert_eq!(desk.screen(), before);
}

#[test]
fn a_person_who_goes_on_writing_answers_nothing() {
    let (talk, _) = a_question("make");
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    // What was meant for the line, a key every 200 ms.
    for key in "any ideas? yes, 123".chars() {
        assert_eq!(desk.types(&talk, key.to_string()), [], "{key}");
        desk.later(&talk, 200);
    }
}

#[test]
fn nothing_of_ours_has_a_disputed_width() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conversation");
    let mut seen = 0;
    for file in std::fs::read_dir(dir).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let disputed: String = text
            .chars()
            .filter(|ch| *ch != '\n' && is_disputed(*ch))
            .collect();
        assert_eq!(disputed, "");
        seen += 1;
    }
    assert!(seen > 10);
}

#[test]
fn a_refused_prompt_comes_back() {
    let talk = a_turn();
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    assert_eq!(
        desk.types(&talk, "a long thought\r"),
        prompt("a long thought")
    );
    let now = desk.cx(&talk).now;
    desk.ui.say(now, "64 prompts wait already");
    desk.ui.give_back("a long thought");
    desk.look(&talk);
    desk.sees("64 prompts wait already");
    desk.sees("› a long thought");
    // Not over what is written meanwhile.
    desk.ui.give_back("another");
    assert_eq!(desk.types(&talk, "\r"), prompt("a long thought"));
}

#[test]
fn a_question_without_a_title_has_its_tools() {
    let mut talk = Talk::begun();
    talk.prompt("bo", "go");
    talk.tool("w", r#""title":"Write a.txt","kind":"edit","status":"pending","rawInput":{"path":"a.txt","content":"one\\ntwo"}"#);
    let question = talk.permission(1, r#""toolCallId":"w""#);
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    desk.sees("  edit Write a.txt");
    desk.sees("content: one");
    desk.later(&talk, 400);
    assert_eq!(desk.types(&talk, "y"), answered(question, "once"));
    talk.answer(1, "ann", "once");
    desk.look(&talk);
    desk.sees("? Write a.txt – Allow once by you");
}

#[test]
fn a_question_comes_before_looking_at_items() {
    let mut talk = a_turn();
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    desk.types(&talk, "\t");
    let question = talk.permission(1, r#""toolCallId":"t","title":"Run ls""#);
    desk.look(&talk);
    desk.later(&talk, 400);
    assert_eq!(desk.types(&talk, "n"), answered(question, "no"));
}

#[test]
fn an_agent_that_works_wakes_nobody_before_its_silence_is_said() {
    let mut talk = Talk::begun();
    let desk = &mut Desk::new(80, 24);
    desk.look(&talk);
    assert_eq!(desk.ui.wake_at(&desk.cx(&talk)), None);
    talk.prompt("bo", "go");
    desk.look(&talk);
    assert_eq!(desk.ui.wake_at(&desk.cx(&talk)), Some(10_000_000));
    desk.later(&talk, 10_000);
    assert_eq!(desk.ui.wake_at(&desk.cx(&talk)), Some(11_000_000));
}

#[test]
fn what_is_wanted_is_a_request_of_the_same_kind() {
    let (talk, question) = a_question("make");
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    desk.later(&talk, 400);
    let action = desk.types(&talk, "n").remove(0);
    assert_eq!(
        ConversationRequest::from(action),
        ConversationRequest::Answer {
            question,
            answer: Answer::Choice("no".into()),
        }
    );
}

#[test]
fn what_a_terminal_prints_is_seen_as_it_comes() {
    let mut talk = Talk::begun();
    talk.prompt("bo", "go");
    talk.tool("x", r#""title":"ls","kind":"execute","status":"in_progress","content":[{"type":"terminal","terminalId":"p"}]"#);
    talk.update(r#""sessionUpdate":"terminal_update","terminalId":"p","command":"ls""#);
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    desk.sees_not("a.rs");
    // "a.rs\n"
    talk.update(r#""sessionUpdate":"terminal_output_chunk","terminalId":"p","data":"YS5ycwo=""#);
    desk.look(&talk);
    desk.sees("a.rs");
}

#[test]
fn a_response_that_is_replaced_is_laid_out_again() {
    let mut talk = Talk::begun();
    talk.prompt("bo", "go");
    let say = |talk: &mut Talk, text: &str| {
        talk.update(&format!(
            r#""sessionUpdate":"agent_message","messageId":"m","content":[{{"type":"text","text":{}}}]"#,
            quoted(text)
        ));
    };
    say(&mut talk, "first\n\nsecond\n\nthird");
    let mut desk = Desk::new(80, 24);
    desk.look(&talk);
    desk.sees("first");
    say(&mut talk, "other\n\nsecond\n\nthird and more");
    desk.look(&talk);
    desk.sees("other");
    desk.sees("third and more");
    desk.sees_not("first");
}
