//! An agent's conversation and its code, taken elsewhere.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    agents::agent,
    harness::{Machine, until},
};

fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=Anna", "-c", "user.email=anna@site.example"])
        .args(args)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// A repository with something committed, staged, changed, untracked, ignored and secret.
fn repository(machine: &Machine) -> PathBuf {
    let site = machine.path("site");
    fs::create_dir(&site).unwrap();
    git(&site, &["init", "-q", "-b", "main"]);
    for (name, text) in [
        ("a.txt", "one\n"),
        ("b.txt", "two\n"),
        (".gitignore", "out/\n"),
    ] {
        fs::write(site.join(name), text).unwrap();
    }
    git(&site, &["add", "-A"]);
    git(&site, &["commit", "-q", "-m", "first"]);
    fs::write(site.join("a.txt"), "staged\n").unwrap();
    git(&site, &["add", "a.txt"]);
    fs::write(site.join("b.txt"), "changed\n").unwrap();
    fs::write(site.join("new.txt"), "untracked\n").unwrap();
    fs::write(site.join(".env"), "TOKEN=secret\n").unwrap();
    fs::create_dir(site.join("out")).unwrap();
    fs::write(site.join("out/o"), "ignored\n").unwrap();
    site
}

const DIRTY: &str = "M  a.txt\n M b.txt\n?? new.txt\n";

/// Begins a conversation there and has the agent hear of something: its session.
fn talk(machine: &Machine, site: &Path) -> String {
    let agent = agent();
    let at = site.to_str().unwrap();
    let all = [
        "agent", "--detach", "--json", "--title", "Tidy up", "--cwd", at, "--", &agent,
    ];
    let begun: Value = serde_json::from_str(&machine.run(&all)).unwrap();
    let session = begun["session"].as_str().unwrap().to_owned();
    machine.run(&["prompt", "--session", &session, "remember-me say:noted"]);
    machine.run_until(
        &["conversation", "--session", &session],
        "it has answered",
        |said| said.contains("noted\n[turn ended]"),
    );
    session
}

/// What a fork printed: where it is, and the session that goes on there.
fn forked(printed: &str) -> (PathBuf, String) {
    let mut lines = printed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let (place, session) = (lines.next().unwrap(), lines.next().unwrap());
    assert_eq!(place["branch"], "pillion/tidy-up", "{printed}");
    let left = place["left_out"].as_array().unwrap();
    let mut left: Vec<_> = left
        .iter()
        .map(|one| (one["path"].as_str().unwrap(), one["why"].as_str().unwrap()))
        .collect();
    left.sort_unstable();
    assert_eq!(left, [(".env", "secret"), ("out/", "ignored")]);
    let folder = PathBuf::from(place["folder"].as_str().unwrap());
    (folder, session["session"].as_str().unwrap().to_owned())
}

/// The agent that goes on knows what was said, and works in the fork.
fn goes_on(machine: &Machine, session: &str, folder: &Path) {
    machine.run(&["prompt", "--session", session, "recall:remember-me"]);
    machine.run_until(
        &["conversation", "--session", session],
        "it knows",
        |said| said.contains("told:remember-me"),
    );
    let log = machine.run(&["conversation", "--session", session, "--log"]);
    let started = log
        .lines()
        .find(|line| line.contains("\"started\""))
        .unwrap();
    assert!(started.contains(folder.to_str().unwrap()), "{started}");
    machine.run(&["close", "--all", "--session", session]);
}

#[test]
fn a_session_is_forked_with_its_code_as_it_lies_there_and_its_agent_goes_on() {
    let anna = Machine::new();
    let site = repository(&anna);
    let session = talk(&anna, &site);
    let (folder, fork) = forked(&anna.run(&["fork", &session, "--detach", "--json"]));
    assert_eq!(folder, anna.path("site-tidy-up"));
    assert_eq!(git(&folder, &["status", "--porcelain"]), DIRTY);
    assert_eq!(git(&folder, &["log", "--format=%s"]), "first\n");
    assert_eq!(
        fs::read_to_string(folder.join("new.txt")).unwrap(),
        "untracked\n"
    );
    assert!(!folder.join(".env").exists() && !folder.join("out").exists());
    goes_on(&anna, &fork, &folder);
    // What was there is as it was.
    let there = DIRTY.replace("??", "?? .env\n??");
    assert_eq!(git(&site, &["status", "--porcelain"]), there);
    assert_eq!(
        git(&site, &["branch", "--format=%(refname)"]),
        "refs/heads/main\n"
    );
    // Once more, when it has ended: beside the first, which is in nobody's way.
    anna.run(&["close", "--all", "--session", &session]);
    until("it has ended", || {
        let all: Value = serde_json::from_str(&anna.run(&["ls", "--all", "--json"])).unwrap();
        let ended = all
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["state"] == "ended");
        ended.then_some(())
    });
    let again = anna.run(&["fork", &session, "--no-agent", "--json", "--with-secrets"]);
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(
        again["folder"],
        anna.path("site-tidy-up-1").to_str().unwrap()
    );
    assert!(anna.path("site-tidy-up-1/.env").exists());
}

#[test]
fn a_file_brings_both_to_another_machine_and_runs_nothing_by_itself() {
    let (anna, bo) = (Machine::new(), Machine::new());
    let site = repository(&anna);
    let session = talk(&anna, &site);
    let file = anna.path("run.pillion");
    let file = file.to_str().unwrap();
    anna.run(&["export", &session, "--format", "pillion", "--output", file]);
    anna.run(&["close", "--all", "--session", &session]);
    let into = bo.path("fork");
    let into = into.to_str().unwrap();
    // Who says no agent gets the code, and how to go on.
    let output = bo.output(&["fork", file, "--into", into]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("on the branch pillion/tidy-up"), "{said}");
    assert!(said.contains("pillion agent --cwd"), "{said}");
    assert_eq!(bo.run(&["ls", "--all", "--json"]).trim(), "[]");
    assert_eq!(git(&bo.path("fork"), &["status", "--porcelain"]), DIRTY);
    let taken = bo.fails(1, &["fork", file, "--into", into]);
    assert!(
        taken.contains("is there already: name another folder"),
        "{taken}"
    );
    let agent = agent();
    let into = bo.path("other");
    let all = [
        "fork",
        file,
        "--into",
        into.to_str().unwrap(),
        "--detach",
        "--json",
        "--",
        &agent,
    ];
    let (folder, fork) = forked(&bo.run(&all));
    goes_on(&bo, &fork, &folder);
    // A file that is cut short, and one that is something else.
    let bytes = fs::read(file).unwrap();
    let (cut, other) = (bo.path("cut.pillion"), bo.path("other.pillion"));
    fs::write(&cut, &bytes[..bytes.len() - 1]).unwrap();
    fs::write(&other, "hello, this is no bundle").unwrap();
    for (file, why) in [
        (&cut, "damaged or cut short"),
        (&other, "no bundle of pillion's"),
    ] {
        let into = bo.path("nowhere");
        let all = [
            "fork",
            file.to_str().unwrap(),
            "--into",
            into.to_str().unwrap(),
        ];
        let said = bo.fails(1, &all);
        assert!(said.contains(why), "{said}");
        assert!(!into.exists());
    }
}
