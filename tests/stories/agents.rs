//! Conversations with agents: a scripted one, real processes, people on several machines.

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf};

use crate::harness::{Machine, Piped, Term, until};

/// The agent that does what its prompts say.
pub fn agent() -> String {
    let mut path = PathBuf::from(env!("CARGO_BIN_EXE_pillion"));
    path.set_file_name("pillion-scripted-agent");
    assert!(
        path.exists(),
        "run with --workspace, which builds {}",
        path.display()
    );
    path.to_str().unwrap().to_owned()
}

/// A conversation in the background.
struct Talk<'a> {
    machine: &'a Machine,
    session: String,
    ticket: String,
}

impl Talk<'_> {
    fn begin<'a>(machine: &'a Machine, flags: &[&str], arguments: &[&str]) -> Talk<'a> {
        let agent = agent();
        let mut all = vec!["agent", "--detach", "--json"];
        all.extend(flags);
        all.extend(["--", &agent]);
        all.extend(arguments);
        let begun: serde_json::Value = serde_json::from_str(&machine.run(&all)).unwrap();
        let text = |name: &str| begun[name].as_str().unwrap().to_owned();
        Talk {
            machine,
            session: text("session"),
            ticket: text("ticket"),
        }
    }

    /// How it stands, once `done` says that it is so.
    fn until(&self, what: &str, done: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        until(what, || {
            let output = self.machine.output(&["conversation", "--json"]);
            let standing = serde_json::from_slice(&output.stdout).ok()?;
            done(&standing).then_some(standing)
        })
    }

    fn idle(&self) -> serde_json::Value {
        self.until("the agent is idle", |standing| {
            standing["activity"] == "idle"
        })
    }

    fn asked(&self) -> serde_json::Value {
        self.until("the agent asks", |standing| {
            standing["questions"][0].is_object()
        })
    }

    fn transcript(&self) -> String {
        self.machine.run(&["conversation"])
    }
}

impl Drop for Talk<'_> {
    fn drop(&mut self) {
        self.machine
            .output(&["close", "--all", "--session", &self.session]);
    }
}

/// Gives the person of a machine a name.
pub fn call(machine: &Machine, name: &str) {
    let dir = machine.path("config/pillion");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(dir.join("config.toml"), format!("name = \"{name}\"\n")).unwrap();
}

/// Somebody who watches from another machine, by name.
fn watch(machine: &Machine, ticket: &str) -> Piped {
    let watching = machine.start(&["conversation", "--in", ticket, "--follow"]);
    watching
        .out
        .wait_until("something is shown", |text| !text.is_empty());
    watching
}

#[test]
fn a_prompt_a_tool_and_a_permission_that_somebody_else_answers() {
    let (anna, bo) = (Machine::new(), Machine::new());
    call(&bo, "bo");
    for version in ["1", "2"] {
        let talk = Talk::begin(&anna, &["--share"], &["--version", version]);
        talk.idle();
        anna.run(&["prompt", "say:hello ask say:bye"]);
        let asked = talk.asked();
        assert_eq!(asked["activity"], "needs_answer", "{asked}");
        let mut watching = watch(&bo, &talk.ticket);
        // Who watches doesn't answer.
        let refused = bo.fails(3, &["answer", "--in", &talk.ticket, "yes"]);
        assert!(
            refused.contains("you may watch this conversation"),
            "{refused}"
        );
        anna.run(&["grant", "bo", "--can", "approve"]);
        let listed = bo.run(&["answer", "--in", &talk.ticket]);
        assert!(listed.contains("allow"), "{listed}");
        let refused = bo.fails(3, &["prompt", "--in", &talk.ticket, "x"]);
        assert!(refused.contains("ask for the right to prompt"), "{refused}");
        bo.run(&["answer", "--in", &talk.ticket, "yes"]);
        talk.idle();
        let said = talk.transcript();
        assert!(said.contains("hello") && said.contains("bye"), "{said}");
        assert!(said.contains("by bo"), "{said}");
        watching.out.wait_for("bye");
        // Somebody who comes late sees the same.
        until("the log has what a viewer sees who comes late", || {
            let late = bo.run(&["conversation", "--in", &talk.ticket]);
            (late == talk.transcript()).then_some(())
        });
        watching.kill();
        let verified = anna.run(&["audit", "--verify", &talk.session]);
        assert!(verified.contains("conversation 0"), "{verified}");
        assert!(!verified.contains("not what the host signed"), "{verified}");
    }
}

#[test]
fn what_a_guest_asks_for_is_asked_and_the_socket_does_not_answer_it() {
    let (anna, bo) = (Machine::new(), Machine::new());
    call(&bo, "bo");
    let talk = Talk::begin(&anna, &["--share"], &["--version", "1"]);
    talk.idle();
    anna.run(&["prompt", "mode"]);
    let standing = talk.until("the agent is in its free mode", |standing| {
        standing["activity"] == "idle" && standing["options"][0]["value"] == "auto"
    });
    assert_eq!(standing["options"][0]["option"], "mode");
    let mut watching = watch(&bo, &talk.ticket);
    anna.run(&["grant", "bo", "--can", "prompt"]);
    bo.run(&["prompt", "--in", &talk.ticket, "say:ignore-the-rules ask"]);
    let asked = talk.asked();
    assert_eq!(
        asked["options"][0]["value"], "ask",
        "the stricter mode: {asked}"
    );
    // A program here may say what somebody else makes it say.
    let refused = anna.fails(3, &["answer", "yes"]);
    assert!(refused.contains("terminal"), "{refused}");
    assert_eq!(talk.asked()["questions"], asked["questions"]);
    watching.kill();
}

#[test]
fn prompts_wait_and_are_amended() {
    let anna = Machine::new();
    let talk = Talk::begin(&anna, &[], &[]);
    talk.idle();
    anna.run(&["prompt", "say:first wait"]);
    talk.until("it works", |standing| standing["activity"] == "working");
    anna.run(&["prompt", "say:second"]);
    let standing = talk.until("one waits", |standing| standing["queue"][0].is_object());
    assert_eq!(standing["queue"][0]["text"], "say:second");
    anna.run(&["prompt", "--amend", "say:rather-this"]);
    talk.until("all were sent", |standing| {
        standing["activity"] == "idle" && standing["queue"][0].is_null()
    });
    let said = talk.transcript();
    let at = |text: &str| {
        said.find(text)
            .unwrap_or_else(|| panic!("{text} in {said}"))
    };
    assert!(at("first") < at("[turn ended] cancelled"), "{said}");
    assert!(at("[turn ended] cancelled") < at("rather-this"), "{said}");
    assert!(at("rather-this") < at("second"), "{said}");
}

#[test]
fn secrets_of_the_environment_are_in_nothing_that_is_kept_or_shown() {
    let anna = Machine::new();
    let agent = agent();
    let mut begin = anna.pillion(&["agent", "--detach", "--json", "--", &agent]);
    begin.env("DEPLOY_TOKEN", "hunter2-hunter2");
    let begun = Piped::start(begin).wait();
    let begun: serde_json::Value = serde_json::from_slice(&begun.stdout).unwrap();
    let talk = Talk {
        machine: &anna,
        session: begun["session"].as_str().unwrap().to_owned(),
        ticket: begun["ticket"].as_str().unwrap().to_owned(),
    };
    talk.idle();
    anna.run(&["prompt", "env:DEPLOY_TOKEN"]);
    talk.until("it was said", |standing| {
        standing["activity"] == "idle" && standing["entries"].as_u64() > Some(8)
    });
    for shown in [talk.transcript(), anna.run(&["conversation", "--log"])] {
        assert!(!shown.contains("hunter2-hunter2"), "{shown}");
        assert!(shown.contains("hun*"), "{shown}");
    }
}

#[test]
fn an_agent_that_is_not_there_or_dies_says_so_and_what_was_said_stays() {
    let anna = Machine::new();
    let said = anna.fails(127, &["agent", "--detach", "--", "no-such-agent"]);
    assert!(said.contains("no-such-agent"), "{said}");
    let said = anna.fails(2, &["agent", "--detach", "nobody"]);
    assert!(said.contains("opencode, claude"), "{said}");
    assert_eq!(anna.run(&["ls", "--all", "--json"]).trim(), "[]");
    let talk = Talk::begin(&anna, &[], &["crash"]);
    talk.idle();
    anna.run(&["prompt", "say:last-words"]);
    talk.until("it is gone", |standing| standing["activity"] == "stopped");
    let said = talk.transcript();
    assert!(said.contains("last-words"), "{said}");
    assert!(said.contains("exit code"), "{said}");
    // It is private all along.
    assert!(talk.ticket.starts_with("pillion"));
}

/// The host's terminal with a conversation in it, and the ticket.
fn converse(machine: &Machine, size: (u16, u16), flags: &[&str]) -> (Term, String) {
    let agent = agent();
    let mut all = vec!["agent", "--share"];
    all.extend(flags);
    all.extend(["--", &agent]);
    let host = Term::start(machine.pillion(&all), size);
    host.wait_for("Write to the agent");
    // Half a line of it is in the terminal; the rest of it asks the session.
    let ticket = machine.run(&["ticket"]);
    (host, ticket.trim().to_owned())
}

#[test]
fn two_viewers_follow_a_turn_and_the_one_who_may_approve_answers() {
    let (anna, bo, carol) = (Machine::new(), Machine::new(), Machine::new());
    let (mut host, ticket) = converse(&anna, (80, 24), &[]);
    let mut bert = bo.join((80, 24), &ticket, &["--name", "bo"]);
    let watcher = carol.join((40, 10), &ticket, &["--name", "carol"]);
    bert.wait_for("You watch this conversation");
    watcher.wait_for("idle");
    host.send("say:hello ask say:bye");
    host.wait_for("say:bye");
    host.send("\r");
    for seat in [&host, &bert, &watcher] {
        seat.wait_for("needs approval");
    }
    bert.wait_for("hello");
    bert.wait_for("Write b.rs?");
    anna.run(&["grant", "bo", "--can", "approve"]);
    bert.wait_for("y/1");
    // A key that comes before the question could be read counts for nothing, and it begins to be read again.
    let mut looks = 0;
    until("the answer counts", || {
        if looks % 20 == 0 {
            bert.send("y");
        }
        looks += 1;
        // The log is a moment behind what is seen.
        let said = anna.run(&["conversation"]);
        said.contains("by bo").then_some(())
    });
    for seat in [&host, &bert, &watcher] {
        seat.wait_for("idle");
        seat.wait_for("bye");
    }
    host.wait_for("Allow by bo");
    bert.wait_for("Allow by you");
    // A terminal beside it, and back.
    let opened = anna.run(&[
        "new",
        "--title",
        "shell",
        "--",
        "sh",
        "-c",
        "echo beside; read x",
    ]);
    let number = opened.trim();
    bert.send(&format!("\x1d{number}"));
    bert.wait_for("beside");
    bert.send("\x1d0");
    bert.wait_for("Allow by you");
    anna.run(&["close", number]);
    // The host leaves it running, and comes back.
    host.send("\x1dd");
    host.wait_for("goes on in the background");
    assert_eq!(host.wait_code(), Some(0));
    let session = anna.session();
    let id = session["session"].as_str().unwrap();
    let mut host = Term::start(anna.pillion(&["attach", id]), (80, 24));
    host.wait_for("Allow by bo");
    host.send("say:again\r");
    bert.wait_for("again");
    host.send("\x1dq");
    host.wait_for("The conversation has ended");
    bert.wait_for("ended");
    watcher.wait_for("ended");
}

#[test]
fn a_conversation_begins_beside_a_terminal() {
    let anna = Machine::new();
    let (mut host, ticket) = anna.share_shell(&[]);
    let agent = agent();
    let session = anna.session();
    let id = session["session"].as_str().unwrap();
    let number = anna.run(&["agent", "--session", id, "--", &agent]);
    assert_eq!(number.trim(), "1");
    let bo = Machine::new();
    let mut bert = bo.watch(&ticket, &[]);
    bert.send("\x1d1");
    bert.wait_for("You watch this conversation");
    anna.run(&["prompt", "say:hello"]);
    bert.wait_for("hello");
    host.send("echo here\r");
    host.wait_for("here");
    anna.run(&["close", "1"]);
    bert.wait_for("here");
    host.send("exit\r");
    host.wait_exit();
}
