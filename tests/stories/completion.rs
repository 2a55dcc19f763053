//! What shells complete: sessions, people and settings, as they are at that moment.

use std::process::Command;

use crate::harness::Machine;

/// What bash is offered for the last word.
fn offered(machine: &Machine, words: &[&str]) -> Vec<String> {
    let mut command: Command = machine.pillion(&["--", "pillion"]);
    command
        .args(words)
        .env("PILLION_COMPLETE", "bash")
        .env("_CLAP_IFS", "\n")
        .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
        .env("_CLAP_COMPLETE_COMP_TYPE", "9")
        .env("_CLAP_COMPLETE_SPACE", "false");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn commands_sessions_people_and_settings_are_completed() {
    let (anna, bert) = (Machine::new(), Machine::new());
    assert_eq!(offered(&anna, &["sto"]), ["stop"]);
    let values = |words: &[&str]| {
        let mut offered = offered(&anna, words);
        offered.retain(|one| !one.starts_with('-'));
        offered
    };
    assert!(values(&["stop", ""]).is_empty());
    assert_eq!(
        offered(&anna, &["config", "show", "prefix"]),
        ["prefix_key"]
    );
    assert_eq!(offered(&anna, &["share", "--allow", "inv"]), ["invited"]);

    let (_host, ticket) = anna.share_shell(&[]);
    let id = anna.session()["session"].as_str().unwrap().to_owned();
    for words in [["who", &id[..3]], ["share", &id[..3]], ["export", &id[..3]]] {
        assert_eq!(offered(&anna, &words), [id.as_str()], "{words:?}");
    }
    assert_eq!(
        offered(&anna, &["who", "--session", &id[..3]]),
        [id.as_str()]
    );
    // Only what can be meant.
    assert!(values(&["rm", ""]).is_empty());
    assert_eq!(values(&["stop", ""]), [id.as_str()]);

    let viewer = bert.watch(&ticket, &["--name", "bert"]);
    viewer.wait_for("view only");
    let number = anna.who()[0]["id"].to_string();
    assert_eq!(offered(&anna, &["kick", ""]).first(), Some(&number));
    let key = bert.run(&["id"]).trim().to_owned();
    anna.run(&["people", "add", "bert", &key]);
    assert_eq!(offered(&anna, &["people", "remove", "be"]), ["bert"]);
    assert_eq!(offered(&anna, &["ban", &key[..5]]), [key]);
}

#[test]
fn each_shell_is_given_a_script() {
    let anna = Machine::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = anna.run(&["completions", shell]);
        assert!(script.contains("PILLION_COMPLETE"), "{shell}: {script}");
    }
}
