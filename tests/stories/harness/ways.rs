//! Sharing with every way in, and joining by one.

use std::process::Output;

use pillion_proto::LinkUrl;

use super::{Machine, Piped, SIZE, Term, until, wait_for_file};

/// What the host was shown.
pub struct Shared {
    pub host: Term,
    pub ticket: String,
    pub link: Option<String>,
    pub code: Option<String>,
    /// All of it.
    pub object: serde_json::Value,
}

/// `pillion share --json ARGS` in a terminal, with a shell at its prompt.
pub fn share(machine: &Machine, args: &[&str]) -> Shared {
    let file = machine.fresh("shared");
    let mut all = vec!["--share", "--json", "--name", "secretname", "--ticket-file"];
    all.push(file.to_str().unwrap());
    all.extend(args);
    all.extend(["--", "bash", "--norc", "--noprofile"]);
    let host = Term::start(machine.pillion(&all), SIZE);
    let object: serde_json::Value = serde_json::from_str(&wait_for_file(&file)).unwrap();
    host.wait_for("$ ");
    let text = |name: &str| Some(object[name].as_str()?.to_owned());
    Shared {
        host,
        ticket: text("ticket").unwrap(),
        link: text("link"),
        code: text("code"),
        object: object.clone(),
    }
}

pub fn join_text(machine: &Machine, what: &str, args: &[&str]) -> Output {
    let mut command = machine.pillion(&["join", "--text"]);
    command.args(args).env("PILLION_TICKET", what);
    Piped::start(command).wait()
}

/// Joins; must be refused with this exit code. What was said.
pub fn refused(machine: &Machine, code: i32, what: &str, args: &[&str]) -> String {
    let output = join_text(machine, what, args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

/// Joins until that works: the record may be on its way.
pub fn joined(machine: &Machine, what: &str) -> String {
    until("the link to work", || {
        let output = join_text(machine, what, &[]);
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap())
    })
}

pub fn link_of(text: &str) -> LinkUrl {
    text.parse().unwrap()
}
