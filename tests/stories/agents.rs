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
pub struct Talk<'a> {
    machine: &'a Machine,
    pub session: String,
    pub ticket: String,
}

impl Talk<'_> {
    pub fn begin<'a>(machine: &'a Machine, flags: &[&str], arguments: &[&str]) -> Talk<'a> {
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
    pub fn until(
        &self,
        what: &str,
        done: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        until(what, || {
            let output = self.machine.output(&["conversation", "--json"]);
            let standing = serde_json::from_slice(&output.stdout).ok()?;
            done(&standing).then_some(standing)
        })
    }

    pub fn idle(&self) -> serde_json::Value {
        self.until("the agent is idle", |standing| {
            standing["activity"] == "idle"
        })
    }

    fn asked(&self) -> serde_json::Value {
        self.until("the agent asks", |standing| {
            standing["questions"][0].is_object()
        })
    }

    pub fn transcript(&self) -> String {
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
    let watching = machine.start(&["conversation", "--session", ticket, "--follow"]);
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
        let refused = bo.fails(3, &["answer", "--session", &talk.ticket, "yes"]);
        assert!(
            refused.contains("you may watch this conversation"),
            "{refused}"
        );
        anna.run(&["grant", "bo", "--can", "approve"]);
        let listed = bo.run(&["answer", "--session", &talk.ticket]);
        assert!(listed.contains("allow"), "{listed}");
        let refused = bo.fails(3, &["prompt", "--session", &talk.ticket, "x"]);
        assert!(refused.contains("ask for the right to prompt"), "{refused}");
        bo.run(&["answer", "--session", &talk.ticket, "yes"]);
        talk.idle();
        let said = talk.transcript();
        assert!(said.contains("hello") && said.contains("bye"), "{said}");
        assert!(said.contains("by bo"), "{said}");
        watching.out.wait_for("bye");
        // Somebody who comes late sees the same.
        until("the log has what a viewer sees who comes late", || {
            let late = bo.run(&["conversation", "--session", &talk.ticket]);
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
    bo.run(&[
        "prompt",
        "--session",
        &talk.ticket,
        "say:ignore-the-rules ask",
    ]);
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

#[test]
fn how_far_a_guest_is_trusted_counts() {
    let (anna, bo) = (Machine::new(), Machine::new());
    call(&bo, "bo");
    let talk = Talk::begin(&anna, &["--share"], &["--version", "1"]);
    talk.idle();
    anna.run(&["prompt", "mode"]);
    talk.until("the agent is in its free mode", |standing| {
        standing["activity"] == "idle" && standing["options"][0]["value"] == "auto"
    });
    let mut watching = watch(&bo, &talk.ticket);
    let said = anna.output(&["trust", "bo", "watch"]);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        said.contains("watch (they send the agent nothing)"),
        "{said}"
    );
    anna.run(&["grant", "bo", "--can", "prompt"]);
    let refused = bo.fails(3, &["prompt", "--session", &talk.ticket, "say:hello"]);
    assert!(
        refused.contains("you may watch this conversation"),
        "{refused}"
    );
    // More trust is asked about at the terminal as soon as somebody else may do something here.
    let refused = anna.fails(3, &["trust", "bo", "trusted"]);
    assert!(refused.contains("terminal"), "{refused}");
    watching.kill();
    until("nobody else is here", || {
        let who = anna.who();
        let is_here = |one: &serde_json::Value| one["name"] == "bo" && one["here"] == true;
        (!who.iter().any(is_here)).then_some(())
    });
    anna.run(&["trust", "bo", "reads-only"]);
    let standing = talk.until("it is said", |standing| {
        standing["trusted"][0]["trust"] == "reads-only"
    });
    assert_eq!(standing["options"][0]["value"], "auto");
    bo.run(&["prompt", "--session", &talk.ticket, "read ask"]);
    let asked = talk.asked();
    assert_eq!(
        asked["options"][0]["value"], "ask",
        "the stricter mode: {asked}"
    );
    assert_eq!(asked["questions"].as_array().unwrap().len(), 1, "{asked}");
    let said = talk.transcript();
    let read = said.find("Read a.rs").unwrap();
    let write = said.find("Write b.rs").unwrap();
    assert!(read < write, "what it reads is not asked about: {said}");
    let log = anna.run(&["conversation", "--log"]);
    assert!(log.contains(r#""right":"reads only""#), "{log}");
    assert!(
        !log.contains(r#""optionId":"always"}}}"#),
        "never chosen: {log}"
    );
    // Less trust needs nobody's yes, more does: the guest's prompt could have made a program ask for it.
    let refused = anna.fails(3, &["trust", "bo", "trusted"]);
    assert!(refused.contains("terminal"), "{refused}");
    anna.run(&["trust", "bo", "watch"]);
    anna.run(&["conversation", "--cancel"]);
    talk.idle();
    let refused = bo.fails(3, &["prompt", "--session", &talk.ticket, "say:hello"]);
    assert!(
        refused.contains("you may watch this conversation"),
        "{refused}"
    );
    anna.fails(2, &["trust", "bo", "blindly"]);
    anna.fails(4, &["trust", "nobody-here", "ask"]);
}

#[test]
fn who_is_trusted_makes_the_agent_work_as_the_host_does() {
    let (anna, bo) = (Machine::new(), Machine::new());
    call(&bo, "bo");
    let talk = Talk::begin(&anna, &["--share"], &["--version", "2"]);
    talk.idle();
    anna.run(&["prompt", "mode"]);
    talk.until("the agent is in its free mode", |standing| {
        standing["activity"] == "idle" && standing["options"][0]["value"] == "auto"
    });
    let mut watching = watch(&bo, &talk.ticket);
    anna.run(&["trust", "bo", "trusted"]);
    anna.run(&["grant", "bo", "--can", "prompt"]);
    bo.run(&["prompt", "--session", &talk.ticket, "say:hello wait"]);
    let standing = talk.until("it works", |standing| standing["activity"] == "working");
    assert_eq!(standing["options"][0]["value"], "auto", "{standing}");
    // What is taken back counts at once.
    anna.run(&["trust", "bo", "ask"]);
    talk.until("it is in its stricter mode", |standing| {
        standing["options"][0]["value"] == "ask"
    });
    anna.run(&["conversation", "--cancel"]);
    talk.until("the mode is set again behind the turn", |standing| {
        standing["activity"] == "idle" && standing["options"][0]["value"] == "auto"
    });
    watching.kill();
}

#[test]
fn an_agent_that_dies_or_hangs_is_started_again_and_goes_on() {
    let anna = Machine::new();
    let store = anna.path("store").to_str().unwrap().to_owned();
    let resumes: &[&str] = &["--store", &store];
    let loads: &[&str] = &["--version", "1", "--store", &store, "--replays"];
    for (arguments, tells) in [
        (&["--version", "1"][..], true),
        (&["--version", "2"][..], true),
        (resumes, false),
        (loads, false),
    ] {
        let talk = Talk::begin(&anna, &[], arguments);
        talk.idle();
        anna.run(&["prompt", "remember-me crash"]);
        talk.until("it is gone", |standing| standing["activity"] == "stopped");
        let said = talk.transcript();
        assert!(
            said.contains("half an ans") && said.contains("exit code 101"),
            "{said}"
        );
        // What is asked meanwhile waits.
        anna.run(&["prompt", "recall:remember-me"]);
        anna.run(&["conversation", "--restart"]);
        let answered = |said: &str| said.contains("\ntold:remember-me");
        let said = anna.run_until(&["conversation"], "it answers in context", answered);
        assert_eq!(
            said.matches("half an ans").count(),
            1,
            "nothing is told twice: {said}"
        );
        let log = anna.run(&["conversation", "--log"]);
        assert_eq!(log.contains("transcript.md"), tells, "{arguments:?}: {log}");
        // Killed in the middle of a turn.
        talk.idle();
        anna.run(&["prompt", "pid wait"]);
        let is_pid = |line: &str| line.trim().parse::<i32>().ok();
        let said = anna.run_until(&["conversation"], "it says its process", |said| {
            said.lines().any(|line| is_pid(line).is_some())
        });
        let pid = said.lines().find_map(is_pid).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        talk.until("it is gone", |standing| standing["activity"] == "stopped");
        anna.run(&["conversation", "--restart"]);
        talk.idle();
        anna.run(&["prompt", "say:back recall:remember-me"]);
        anna.run_until(&["conversation"], "it goes on", |said| {
            said.matches("\ntold:remember-me").count() == 2
        });
        let _ = std::fs::remove_file(anna.path("store"));
    }
}

#[test]
fn an_agent_that_goes_on_when_it_is_cancelled_is_started_again_by_a_key() {
    let (anna, bo) = (Machine::new(), Machine::new());
    let agent = agent();
    let all = ["agent", "--share", "--", &agent, "ignore-cancel"];
    let mut host = Term::start(anna.pillion(&all), (80, 24));
    host.wait_for("Write to the agent");
    let ticket = anna.run(&["ticket"]);
    let bert = bo.join((80, 24), ticket.trim(), &["--name", "bo"]);
    host.send("say:here wait\r");
    host.wait_for("here");
    bert.wait_for("here");
    host.send("\x03");
    host.wait_for("again within 2 s stops the turn");
    host.send("\x03");
    // Everybody is told, and who may do something about it how.
    for seat in [&host, &bert] {
        seat.wait_for("the agent was to stop 10 s ago and goes on");
    }
    host.send("\x1b[15~");
    host.wait_for("F5 again within 2 s");
    host.send("\x1b[15~");
    for seat in [&host, &bert] {
        seat.wait_for("the agent ended");
        seat.wait_for("idle");
    }
    host.send("recall:here\r");
    bert.wait_for("told:here");
    // It is called something else, for everybody.
    host.send("\x10");
    host.wait_for("call this conversation something else");
    host.send("2");
    host.wait_for("What this conversation is called");
    host.send("The parser\r");
    bert.wait_for("this conversation is called The parser");
    let session = anna.session();
    let id = session["session"].as_str().unwrap();
    anna.run_until(&["ls", id], "its new title", |listed| {
        listed.contains("The parser")
    });
    anna.run(&["conversation", "--rename", "The lexer"]);
    anna.run_until(&["ls", id], "its newer title", |listed| {
        listed.contains("The lexer")
    });
    host.send("\x1dq");
    host.wait_for("The conversation has ended");
}

fn git(dir: &std::path::Path, args: &[&str]) -> String {
    let mut command = std::process::Command::new("git");
    command.arg("-C").arg(dir).args(args);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("GIT_CONFIG_SYSTEM", "/dev/null");
    for (name, value) in [("NAME", "anna"), ("EMAIL", "anna@example.org")] {
        command.env(format!("GIT_AUTHOR_{name}"), value);
        command.env(format!("GIT_COMMITTER_{name}"), value);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_agent_in_a_worktree_leaves_the_checkout_as_it_is() {
    let anna = Machine::new();
    let repository = anna.path("site");
    std::fs::create_dir_all(repository.join("src")).unwrap();
    git(&repository, &["init", "--initial-branch", "main"]);
    std::fs::write(repository.join("src/a.rs"), "one\n").unwrap();
    git(&repository, &["add", "."]);
    git(&repository, &["commit", "-m", "Begin"]);
    // What is not committed stays the person's own.
    std::fs::write(repository.join("src/a.rs"), "two\n").unwrap();
    std::fs::write(repository.join("notes"), "mine\n").unwrap();
    let before = git(&repository, &["status", "--porcelain"]);
    let cwd = repository.join("src").to_str().unwrap().to_owned();
    let agent = agent();
    let begun = anna.output(&[
        "agent",
        "--detach",
        "--json",
        "--worktree",
        "--cwd",
        &cwd,
        "--title",
        "site",
        "--",
        &agent,
    ]);
    assert!(begun.status.success(), "{begun:?}");
    let said = String::from_utf8_lossy(&begun.stderr).into_owned();
    let object: serde_json::Value = serde_json::from_slice(&begun.stdout).unwrap();
    let talk = Talk {
        machine: &anna,
        session: object["session"].as_str().unwrap().to_owned(),
        ticket: object["ticket"].as_str().unwrap().to_owned(),
    };
    talk.idle();
    let branches = git(
        &repository,
        &[
            "branch",
            "--list",
            "pillion/*",
            "--format",
            "%(refname:short)",
        ],
    );
    let branch = branches.trim();
    assert!(said.contains(&format!("on the branch {branch}")), "{said}");
    assert!(said.contains("git worktree remove"), "{said}");
    anna.run(&["prompt", "cwd"]);
    let works = anna.run_until(&["conversation"], "it says where it works", |said| {
        said.lines().any(|line| line.ends_with("/src"))
    });
    let works = works.lines().find(|line| line.ends_with("/src")).unwrap();
    assert!(
        !works.starts_with(repository.to_str().unwrap().trim_end_matches("site/"))
            || !works.contains("/site/"),
        "{works}"
    );
    let works = PathBuf::from(works);
    assert_eq!(
        std::fs::read_to_string(works.join("a.rs")).unwrap(),
        "one\n"
    );
    assert_eq!(
        git(&works, &["rev-parse", "--abbrev-ref", "HEAD"]).trim(),
        branch
    );
    let log = anna.run(&["conversation", "--log"]);
    assert!(log.contains(&format!(r#""branch":"{branch}""#)), "{log}");
    assert_eq!(git(&repository, &["status", "--porcelain"]), before);
    assert_eq!(
        git(&repository, &["rev-parse", "--abbrev-ref", "HEAD"]).trim(),
        "main"
    );
    assert_eq!(
        std::fs::read_to_string(repository.join("src/a.rs")).unwrap(),
        "two\n"
    );
    drop(talk);
    // Where there is no repository, nothing begins.
    let elsewhere = anna.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let cwd = elsewhere.to_str().unwrap();
    let refused = anna.fails(
        2,
        &[
            "agent",
            "--detach",
            "--worktree",
            "--cwd",
            cwd,
            "--",
            &agent,
        ],
    );
    assert!(
        refused.contains("no worktree was made") && refused.contains("not a git repository"),
        "{refused}"
    );
    let refused = anna.fails(
        2,
        &[
            "agent",
            "--detach",
            "--cwd",
            &format!("{cwd}/none"),
            "--",
            &agent,
        ],
    );
    assert!(
        refused.contains("is no directory for an agent to work in"),
        "{refused}"
    );
}

#[test]
fn an_agent_of_the_settings_is_started_by_its_name() {
    let anna = Machine::new();
    call(&anna, "anna");
    let settings = anna.path("config/pillion/config.toml");
    let own = format!(
        "name = \"anna\"\n[agents.acme]\ncommand = [{:?}, \"--version\", \"1\"]\n\
         environment = {{ ACME_MODEL = \"big\", HOME = \"/nowhere\" }}\nneeds = [\"ACME_KEY\"]\n",
        agent()
    );
    std::fs::write(&settings, &own).unwrap();
    let refused = anna.fails(2, &["agent", "--detach", "acme"]);
    assert!(
        refused.contains("acme needs the variable ACME_KEY, which is not set"),
        "{refused}"
    );
    let mut begin = anna.pillion(&["agent", "--detach", "--json", "acme"]);
    begin.env("ACME_KEY", "k");
    let begun = Piped::start(begin).wait();
    assert!(begun.status.success(), "{begun:?}");
    let object: serde_json::Value = serde_json::from_slice(&begun.stdout).unwrap();
    let talk = Talk {
        machine: &anna,
        session: object["session"].as_str().unwrap().to_owned(),
        ticket: object["ticket"].as_str().unwrap().to_owned(),
    };
    talk.idle();
    anna.run(&["prompt", "env:ACME_MODEL env:HOME"]);
    let said = anna.run_until(&["conversation"], "what it was given", |said| {
        said.contains("turn ended")
    });
    assert!(said.contains("\nbig"), "{said}");
    assert!(
        !said.contains("/nowhere"),
        "what is set already stays: {said}"
    );
    let shown = anna.run(&["config", "show"]);
    assert!(shown.contains("[agents.acme]"), "{shown}");
    let unknown = anna.fails(2, &["agent", "--detach", "acne"]);
    assert!(unknown.contains("acme"), "{unknown}");
    drop(talk);
    std::fs::write(&settings, "[agents.acme]\nargs = [\"x\"]\n").unwrap();
    let refused = anna.fails(1, &["agent", "--detach", "acme"]);
    assert!(
        refused.contains("\"agents.acme\": there is no \"args\" of an agent"),
        "{refused}"
    );
}

#[test]
fn each_bad_habit_of_an_agent_is_said_and_the_session_stays() {
    let anna = Machine::new();
    for (habit, said) in [
        ("garbage", "npm warn deprecated"),
        ("invalid-utf8", "[garbage"),
        ("huge-line", "[oversized"),
        ("stderr-flood", "hello"),
        ("early", "hello"),
        ("unknown-update", "somersault"),
        ("unknown-stop", "lost_interest"),
        ("error-500", "the model answered 500"),
        ("work-after", "and one more thing"),
        ("leave-open", "hello"),
        ("withdraw", "hello"),
        ("read-outside", "fs/read_text_file: -32601"),
        ("write-file", "fs/write_text_file: {}"),
        ("unknown-request", "craft/drainMidTurnQueue: -32601"),
    ] {
        let talk = Talk::begin(&anna, &[], &["--version", "1", habit]);
        talk.idle();
        anna.run(&["prompt", "say:hello"]);
        anna.run_until(&["conversation"], habit, |text| {
            text.contains(said) && text.contains("hello")
        });
        let standing = talk.idle();
        assert!(
            standing["questions"].as_array().unwrap().is_empty(),
            "{habit}: {standing}"
        );
        // It goes on.
        anna.run(&["prompt", "say:again"]);
        anna.run_until(&["conversation"], habit, |text| text.contains("\nagain"));
        talk.idle();
    }
    // One that prints without end is ended with its session, and what it said is there.
    let talk = Talk::begin(&anna, &[], &["flood"]);
    talk.idle();
    anna.run(&["prompt", "say:hello"]);
    talk.until("it works", |standing| standing["activity"] == "working");
    let session = talk.session.clone();
    drop(talk);
    let kept = anna.run(&["export", &session]);
    assert!(kept.contains("and on and on"), "{} bytes", kept.len());
}
