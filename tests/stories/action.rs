//! What a job of GitHub's runs, with the variables that it has there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    agents::agent,
    harness::{Machine, Piped, until},
};

/// A job on this machine.
fn job(machine: &Machine, inputs: &[(&str, &str)]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/action/run");
    let mut command = Command::new(script);
    machine.set_env(&mut command);
    let mut path = PathBuf::from(env!("CARGO_BIN_EXE_pillion"))
        .parent()
        .unwrap()
        .as_os_str()
        .to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let workspace = machine.path("workspace");
    fs::create_dir_all(&workspace).unwrap();
    command
        .current_dir(&workspace)
        .env("PATH", path)
        .env("GITHUB_WORKSPACE", &workspace)
        .env("GITHUB_STEP_SUMMARY", machine.path("summary.md"))
        .env("GITHUB_OUTPUT", machine.path("output"))
        .envs(
            inputs
                .iter()
                .map(|(name, value)| (format!("INPUT_{name}"), *value)),
        )
        .stdin(Stdio::null());
    command
}

#[test]
fn an_agent_works_in_a_job_and_its_outcome_is_the_steps() {
    let anna = Machine::new();
    let agent = format!("-- {}", agent());
    let inputs = [
        ("AGENT", agent.as_str()),
        ("PROMPT", "say:hello ask say:bye"),
        ("PERMISSIONS", "allow-all"),
    ];
    let mut run = Piped::start(job(&anna, &inputs));
    assert_eq!(run.wait_exit().code(), Some(0), "{}", run.err.text());
    let output = fs::read_to_string(anna.path("output")).unwrap();
    assert!(
        output.contains("outcome=done\n") && output.contains("bye"),
        "{output}"
    );
    let summary = fs::read_to_string(anna.path("summary.md")).unwrap();
    for text in [
        "is at work on",
        "asks something",
        "is done",
        "pillion join pillion",
    ] {
        assert!(summary.contains(text), "{text}: {summary}");
    }
    // It fails as the run does.
    let crash = format!("{agent} crash");
    let inputs = [("AGENT", crash.as_str()), ("PROMPT", "say:x")];
    let mut run = Piped::start(job(&anna, &inputs));
    assert_eq!(run.wait_exit().code(), Some(1), "{}", run.err.text());
    let mut run = Piped::start(job(&anna, &[("AGENT", "claude")]));
    assert_ne!(run.wait_exit().code(), Some(0));
    assert!(
        run.err.text().contains("say what the agent is to do"),
        "{}",
        run.err.text()
    );
}

#[test]
fn the_shell_of_a_job_is_shared_until_it_is_let_go() {
    let anna = Machine::new();
    let key = anna.path("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status();
    assert!(made.unwrap().success());
    let public = fs::read_to_string(anna.path("key.pub")).unwrap();
    let inputs = [
        ("MODE", "share"),
        ("PEOPLE", public.trim()),
        ("MAX_TIME", "10m"),
    ];
    let mut run = Piped::start(job(&anna, &inputs));
    run.out.wait_for("Join it with: pillion join pillion");
    let summary = fs::read_to_string(anna.path("summary.md")).unwrap();
    assert!(
        summary.contains("The shell of this job is shared"),
        "{summary}"
    );
    let allowed: Value = serde_json::from_str(&anna.run(&["allow", "--json"])).unwrap();
    assert_eq!(allowed["mode"], "invited");
    assert!(
        allowed["people"][0]["rights"].to_string().contains("type"),
        "{allowed}"
    );
    fs::write(anna.path("workspace/continue"), "").unwrap();
    assert_eq!(run.wait_exit().code(), Some(0));
    until("its session has ended", || {
        let all: Value = serde_json::from_str(&anna.run(&["ls", "--all", "--json"])).unwrap();
        (all[0]["state"] == "ended").then_some(())
    });
}
