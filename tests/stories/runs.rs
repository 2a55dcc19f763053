//! Unattended runs: an agent works where nobody sits, and people come and go.

use serde_json::Value;

use crate::{
    agents::{agent, call},
    harness::{Machine, Piped, until},
};

/// Starts a run that somebody waits for.
fn start(machine: &Machine, task: &str, flags: &[&str], traps: &[&str]) -> Piped {
    let agent = agent();
    let mut all = vec!["run", "--json", "--prompt", task];
    all.extend(flags);
    all.extend(["--", &agent]);
    all.extend(traps);
    machine.start(&all)
}

/// What a run printed: how to join it, and what came of it.
fn printed(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn ticket(run: &Piped) -> String {
    let text = run
        .out
        .wait_until("the run is shared", |text| text.contains('\n'));
    printed(&text)[0]["ticket"].as_str().unwrap().to_owned()
}

/// Runs it to its end: its exit code, and what came of it.
fn outcome(machine: &Machine, task: &str, flags: &[&str], traps: &[&str]) -> (i32, Value) {
    let output = start(machine, task, flags, traps).wait();
    let text = String::from_utf8(output.stdout).unwrap();
    let last = printed(&text).pop().unwrap_or_default();
    (output.status.code().unwrap(), last)
}

#[test]
fn a_task_is_done_without_anybody_and_its_result_is_printed() {
    let anna = Machine::new();
    let agent = agent();
    let run = anna.output(&[
        "run",
        "--prompt",
        "say:working ask say:all-tests-pass",
        "--permissions",
        "allow-all",
        "--idle-timeout",
        "0",
        "--",
        &agent,
    ]);
    let (out, err) = (
        String::from_utf8(run.stdout).unwrap(),
        String::from_utf8(run.stderr).unwrap(),
    );
    assert_eq!(run.status.code(), Some(0), "{err}");
    assert_eq!(out, "all-tests-pass\n");
    assert!(err.contains("pillion join pillion"), "{err}");
    assert!(err.contains("The run is done."), "{err}");
    // It was asked, and who answered is on record.
    let id = anna.run(&["ls", "--all", "--json"]);
    let id = serde_json::from_str::<Value>(&id).unwrap()[0]["session"].clone();
    let said = anna.run(&["export", id.as_str().unwrap()]);
    assert!(said.contains("Write b.rs?: allow (allow all)"), "{said}");
}

#[test]
fn what_a_run_may_do_without_asking_is_said_when_it_begins() {
    let anna = Machine::new();
    let flags = ["--idle-timeout", "1s"];
    let (code, last) = outcome(&anna, "say:hello ask", &flags, &[]);
    assert_eq!((code, &last["outcome"]), (124, &"unanswered".into()));
    assert_eq!(last["result"], "hello");
    // What is asked is about an edit, which is no reading.
    let flags = ["--idle-timeout", "1s", "--permissions", "allow-reads"];
    let (code, last) = outcome(&anna, "ask", &flags, &[]);
    assert_eq!((code, &last["outcome"]), (124, &"unanswered".into()));
}

#[test]
fn each_way_to_end_has_its_word_and_its_exit_code() {
    let anna = Machine::new();
    let at_once = ["--idle-timeout", "0"];
    for (task, flags, traps, code, word) in [
        ("say:x", &at_once[..], &[][..], 0, "done"),
        (
            "wait",
            &["--max-time", "1s"][..],
            &[][..],
            124,
            "time_limit",
        ),
        (
            "usage wait",
            &["--max-cost", "0.001"][..],
            &[][..],
            124,
            "cost_limit",
        ),
        ("say:x", &at_once[..], &["crash"][..], 1, "agent_ended"),
        ("say:x", &at_once[..], &["error-500"][..], 1, "failed"),
        ("say:x", &at_once[..], &["login"][..], 1, "failed"),
    ] {
        let (got, last) = outcome(&anna, task, flags, traps);
        assert_eq!(
            (got, &last["outcome"]),
            (code, &word.into()),
            "{task} {traps:?}"
        );
    }
}

#[test]
fn people_watch_answer_and_ask_for_more_until_nobody_does() {
    let (anna, bo) = (Machine::new(), Machine::new());
    call(&bo, "bo");
    let mut run = start(
        &anna,
        "say:hello ask say:bye",
        &["--idle-timeout", "6s"],
        &[],
    );
    let ticket = ticket(&run);
    let mut watching = bo.start(&["conversation", "--session", &ticket, "--follow"]);
    watching.out.wait_for("hello");
    anna.run(&["grant", "bo", "--can", "prompt,approve"]);
    until("the question is answered", || {
        let output = bo.output(&["answer", "--session", &ticket, "yes"]);
        output.status.success().then_some(())
    });
    watching.out.wait_for("The run is done");
    bo.run(&["prompt", "--session", &ticket, "say:and-more"]);
    watching.out.wait_for("and-more");
    watching
        .out
        .wait_for("The run ends: nobody asked the agent for more");
    let status = run.wait_exit();
    assert_eq!(status.code(), Some(0));
    let all = printed(&run.out.text());
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(all[1]["outcome"], "done");
    // What was asked for later is no result of the task's.
    assert_eq!(all[1]["result"], "bye");
    watching.wait_exit();
    let said = watching.out.text();
    let (soon, end) = ("The run ends in", "The run ends: nobody");
    assert!(said.find(soon) < said.find(end), "{said}");
}

#[test]
fn a_run_in_the_background_is_ended_by_its_limits() {
    let anna = Machine::new();
    let agent = agent();
    let begun = anna.run(&[
        "run",
        "--detach",
        "--json",
        "--prompt",
        "say:one",
        "--idle-timeout",
        "2s",
        "--",
        &agent,
    ]);
    let begun = &printed(&begun)[0];
    let id = begun["session"].as_str().unwrap().to_owned();
    assert!(begun["join"].as_str().unwrap().starts_with("pillion join "));
    until("it has ended by itself", || {
        let all: Value = serde_json::from_str(&anna.run(&["ls", "--all", "--json"])).unwrap();
        (all[0]["state"] == "ended").then_some(())
    });
    let said = anna.run(&["export", &id]);
    for text in ["one", "The run is done", "The run ends: nobody asked"] {
        assert!(said.contains(text), "{text}: {said}");
    }
}

#[test]
fn a_run_that_is_interrupted_ends() {
    let anna = Machine::new();
    let mut run = start(&anna, "say:begun wait", &[], &[]);
    ticket(&run);
    until("it works", || {
        let output = anna.output(&["conversation"]);
        String::from_utf8_lossy(&output.stdout)
            .contains("begun")
            .then_some(())
    });
    let pid = rustix::process::Pid::from_raw(run.pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(run.wait_exit().code(), Some(130));
    run.err.wait_for("The run was ended");
    until("its session has ended", || {
        let all: Value = serde_json::from_str(&anna.run(&["ls", "--all", "--json"])).unwrap();
        (all[0]["state"] == "ended").then_some(())
    });
}

#[test]
fn a_session_that_is_killed_ends_the_wait_and_what_was_said_stays() {
    let anna = Machine::new();
    let mut run = start(&anna, "say:begun wait", &[], &[]);
    let text = run
        .out
        .wait_until("it is shared", |text| text.contains('\n'));
    let id = printed(&text)[0]["session"].as_str().unwrap().to_owned();
    until("it is in the log", || {
        let output = anna.output(&["conversation", "--session", &id]);
        String::from_utf8_lossy(&output.stdout)
            .contains("begun")
            .then_some(())
    });
    let pid = anna.session()["pid"].as_i64().unwrap();
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert_ne!(run.wait_exit().code(), Some(0));
    assert!(anna.run(&["export", &id]).contains("begun"));
}

#[test]
fn a_task_comes_from_a_file_or_is_piped_in_and_none_is_refused() {
    let anna = Machine::new();
    let agent = agent();
    let file = anna.path("task.md");
    std::fs::write(&file, "say:from-a-file\n").unwrap();
    let from = format!("@{}", file.display());
    let at_once = ["--idle-timeout", "0"];
    let (code, last) = outcome(&anna, &from, &at_once, &[]);
    assert_eq!((code, &last["result"]), (0, &"from-a-file".into()));
    let all = [
        "run",
        "--json",
        "--prompt",
        "-",
        "--idle-timeout",
        "0",
        "--",
        &agent,
    ];
    let mut piped = Piped::start_with_input(anna.pillion(&all));
    piped.send("say:piped-in");
    piped.end_input();
    let output = piped.wait();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed(&text)[1]["result"], "piped-in");
    for (task, what) in [
        (" ", "the prompt is empty"),
        ("@/no/such/file", "can't be read"),
    ] {
        let said = anna.fails(2, &["run", "--prompt", task, "--", &agent]);
        assert!(said.contains(what), "{said}");
    }
}

#[test]
fn it_is_announced_and_an_announcer_that_fails_fails_nothing() {
    let anna = Machine::new();
    let file = anna.path("said.jsonl");
    let command = format!("exec:cat >> {}", file.display());
    let flags = [
        "--idle-timeout",
        "0",
        "--permissions",
        "allow-all",
        "--announce",
        &command,
        "--announce",
        "slack",
        "--allow",
        "link",
        "--announce",
        "github",
    ];
    let mut run = start(&anna, "say:hello ask say:bye", &flags, &[]);
    assert_eq!(run.wait_exit().code(), Some(0));
    let said = std::fs::read_to_string(&file).unwrap();
    let said = printed(&said);
    let events: Vec<_> = said
        .iter()
        .map(|one| one["event"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["began", "needs_you", "finished"]);
    assert_eq!(said[0]["text"], "say:hello ask say:bye");
    assert_eq!(said[1]["text"], "Write b.rs?");
    assert_eq!(
        (&said[2]["text"], &said[2]["outcome"]),
        (&"bye".into(), &"done".into())
    );
    let ticket = ticket(&run);
    assert_eq!(said[0]["join"], format!("pillion join {ticket}"));
    run.err
        .wait_for("Not announced: slack: began. SLACK_WEBHOOK_URL is not set");
    run.err
        .wait_for("Not announced: github: began. This is no job of GitHub's");
}

#[test]
fn a_ticket_is_not_said_in_public_without_a_word_on_who_comes_in() {
    let anna = Machine::new();
    let agent = agent();
    let all = ["run", "--prompt", "x", "--announce", "github", "--", &agent];
    let said = anna.fails(2, &all);
    assert!(said.contains("--allow invited"), "{said}");
    let said = anna.fails(
        2,
        &["run", "--prompt", "x", "--announce", "irc:#x", "--", &agent],
    );
    assert!(said.contains("is no place to announce"), "{said}");
}
