//! What changes where an agent works: as people see it, as scripts read it, and as the next prompt.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::{
    agents::{agent, call},
    harness::{Machine, Piped, until},
};

fn git(at: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(at)
        .args(["-c", "user.name=a", "-c", "user.email=a@b"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What changed, for scripts, once `done` says that it is so.
fn changed(machine: &Machine, flags: &[&str], what: &str, done: impl Fn(&Value) -> bool) -> Value {
    let mut all = vec!["conversation", "--changes", "--json"];
    all.extend(flags);
    until(what, || {
        let output = machine.output(&all);
        let value = serde_json::from_slice(&output.stdout).ok()?;
        done(&value).then_some(value)
    })
}

#[test]
fn what_changes_is_seen_by_all_and_a_comment_on_a_line_is_the_next_prompt() {
    let (anna, bo, carol) = (Machine::new(), Machine::new(), Machine::new());
    call(&bo, "bo");
    let repo = anna.path("repo");
    fs::create_dir(&repo).unwrap();
    git(&repo, &["init", "-q", "-b", "main"]);
    fs::write(repo.join("a.txt"), "one\ntwo\nthree\n").unwrap();
    git(&repo, &["add", "."]);
    git(&repo, &["commit", "-q", "-m", "first"]);
    let agent = agent();
    let cwd = repo.to_str().unwrap();
    let mut begin = anna.pillion(&[
        "agent", "--detach", "--json", "--share", "--cwd", cwd, "--", &agent,
    ]);
    begin.env("DEPLOY_TOKEN", "hunter2-hunter2");
    let begun = Piped::start(begin).wait();
    let begun: Value = serde_json::from_slice(&begun.stdout).unwrap();
    let ticket = begun["ticket"].as_str().unwrap().to_owned();
    let session = begun["session"].as_str().unwrap().to_owned();
    // A first turn changes nothing, which is known once it has ended.
    anna.run(&["prompt", "say:first"]);
    let known = changed(&anna, &[], "it is known what changed", |value| {
        value["known"] == true
    });
    assert_eq!(known["files"], serde_json::json!([]), "{known}");
    let mut bert = bo.join((80, 24), &ticket, &["--name", "bo"]);
    bert.wait_for("first");
    anna.run(&["grant", "bo", "--can", "prompt"]);
    bert.wait_for("Write to the agent");
    // In the second one, files change.
    anna.run(&["prompt", "say:begun wait"]);
    bert.wait_for("begun");
    fs::write(repo.join("a.txt"), "one\n2\nthree\n").unwrap();
    fs::write(repo.join("new.txt"), "token=hunter2-hunter2\n").unwrap();
    let before = git(&repo, &["status", "--porcelain"]);
    anna.run(&["conversation", "--cancel"]);
    let start = changed(&anna, &[], "two files changed", |value| {
        value["files"][1].is_object()
    });
    assert_eq!(start["files"][0]["path"], "a.txt", "{start}");
    assert_eq!(
        (&start["files"][0]["added"], &start["files"][0]["removed"]),
        (&1.into(), &1.into())
    );
    assert_eq!(git(&repo, &["status", "--porcelain"]), before);
    let of_turn = changed(&anna, &["--turn", "2"], "the turn's", |_| true);
    assert_eq!(of_turn["files"], start["files"]);
    let of_first = changed(&anna, &["--turn", "1"], "the first turn's", |_| true);
    assert_eq!(of_first["files"], serde_json::json!([]), "{of_first}");
    // Secrets are hidden in it as everywhere.
    let text = anna.run(&["conversation", "--changes"]);
    assert!(
        text.contains("+token=hun*") && !text.contains("hunter2-hunter2"),
        "{text}"
    );
    // Who comes late sees it at once, and comments on nothing.
    let mut late = carol.join((80, 24), &ticket, &["--name", "carol"]);
    late.wait_for("begun");
    late.send("\x07");
    late.wait_for("Changed since the start: 2 files +2 -1");
    late.send("\r");
    late.wait_for("-two");
    late.send("c");
    late.wait_for("comments become a prompt");
    // A comment on a line is the next prompt.
    bert.send("\x07");
    bert.wait_for("Changed since the start: 2 files");
    bert.send("\r");
    bert.wait_for("-two");
    bert.send("\x1b[B");
    bert.send("c");
    bert.wait_for("comment ›");
    bert.send("say:why-a-digit");
    bert.wait_for("say:why-a-digit");
    bert.send("\r");
    bert.wait_for("1 comment");
    bert.send("s");
    until("it was sent", || {
        let said = anna.run(&["conversation"]);
        let asked = said.contains("> bo") && said.contains("a.txt:2") && said.contains("> +2");
        (asked && said.matches("why-a-digit").count() == 2).then_some(())
    });
    anna.output(&["close", "--all", "--session", &session]);
}

#[test]
fn where_there_is_no_repository_it_is_said() {
    let anna = Machine::new();
    let agent = agent();
    let folder = anna.path("plain");
    fs::create_dir(&folder).unwrap();
    let cwd = folder.to_str().unwrap();
    let mut begin = anna.pillion(&["agent", "--detach", "--json", "--cwd", cwd, "--", &agent]);
    // Whatever the folder for tests is in.
    begin.env("GIT_CEILING_DIRECTORIES", anna.path(""));
    let begun = Piped::start(begin).wait();
    let begun: Value = serde_json::from_slice(&begun.stdout).unwrap();
    anna.run(&["prompt", "say:hello"]);
    until("it is said why nothing is known", || {
        let output = anna.output(&["conversation", "--changes"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code() == Some(4) && said.contains("no git repository")).then_some(())
    });
    let session = begun["session"].as_str().unwrap();
    anna.output(&["close", "--all", "--session", session]);
}
