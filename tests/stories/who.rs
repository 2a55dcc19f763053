//! Who is meant: what somebody calls themselves gets nothing that was said to a key, an address, a number or a grant.

use crate::harness::{Machine, PREFIX, Piped, VIEWER, answer, until};
use pillion::caps::{PublicKey, SecretKey};

/// A key that nobody here has.
fn carol() -> PublicKey {
    SecretKey::from_bytes(&[5; 32]).public()
}

/// What this machine's person is known by.
fn fingerprint(machine: &Machine) -> String {
    let id: serde_json::Value = serde_json::from_str(&machine.run(&["id", "--json"])).unwrap();
    id["fingerprint"].as_str().unwrap().to_owned()
}

/// The one of this machine, once they are here or knock.
fn one(host: &Machine, machine: &Machine, state: &str) -> serde_json::Value {
    let print = fingerprint(machine);
    until(&format!("{print} to be {state}"), || {
        let who = host.who();
        let found = who.into_iter().find(|one| one["fingerprint"] == print)?;
        (found["state"] == state).then_some(found)
    })
}

#[test]
fn what_is_said_to_an_address_a_key_a_fingerprint_or_a_grant_goes_to_nobody_who_is_called_so() {
    let (anna, eve) = (Machine::new(), Machine::new());
    let (_host, ticket) = anna.share_shell(&[]);
    let key = carol().to_string();
    let print = carol().fingerprint();
    let token = anna.output(&["grant", "--link", "--edit"]);
    let said = String::from_utf8(token.stderr).unwrap();
    let grant = said.trim().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(grant.len(), 32, "{said}");

    for (name, commands) in [
        (
            "carol@example.org",
            &[
                &["allow", "carol@example.org", "--edit"][..],
                &["grant", "carol@example.org", "--edit"],
                &["kick", "carol@example.org"],
            ][..],
        ),
        (
            &key,
            &[
                &["allow", &key, "--edit"],
                &["grant", &key, "--edit"],
                &["ban", &key],
                &["unban", &key],
            ],
        ),
        (
            &print,
            &[
                &["grant", &print, "--edit"],
                &["allow", &print, "--edit"],
                &["ban", &print],
            ],
        ),
        (&grant, &[&["revoke", &grant]]),
        (&grant[..8], &[&["grant", &grant[..8], "--edit"]]),
        ("team:carol", &[&["allow", "team:carol", "--edit"]]),
    ] {
        let viewer = eve.watch(&ticket, &["--name", name]);
        let listed = one(&anna, &eve, "here");
        assert_ne!(listed["name"], name);
        for command in commands {
            anna.output(command);
            let after = one(&anna, &eve, "here");
            assert_eq!(after["right"], "view", "{name}: {command:?}");
        }
        drop(viewer);
    }
    // What was said was said to the one who was meant.
    let list = anna.run(&["allow"]);
    assert!(list.contains("edit    carol@example.org\n"), "{list}");
    assert!(!list.contains("blocked"), "{list}");
    let said = anna.fails(4, &["revoke", &grant]);
    assert!(said.contains("none with this id stands"), "{said}");
}

#[test]
fn who_knocks_and_is_called_as_anothers_key_is_not_let_in_by_it() {
    let (anna, eve) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&["--allow", "invited"]);
    let key = carol().to_string();
    let viewer = eve.join(VIEWER, &ticket, &["--name", &key]);
    let knock = one(&anna, &eve, "knocking");
    assert_eq!(knock["name"], "somebody");
    anna.run(&["allow", &key, "--edit"]);
    anna.fails(4, &["admit", &key]);
    anna.fails(4, &["admit", &carol().fingerprint()]);
    one(&anna, &eve, "knocking");
    assert!(!viewer.raw_text().contains("view only"));
    // By their own they are.
    anna.run(&["admit", &fingerprint(&eve)]);
    let here = one(&anna, &eve, "here");
    assert_eq!(here["right"], "view");
    viewer.wait_for("view only");
    host.send(&format!("{PREFIX} "));
    host.wait_for("somebody");
    // What a command did is said for a while, by key.
    host.wait_until("nothing to be called so", |screen| {
        !screen.contents().contains(&key[..8])
    });
}

#[test]
fn a_yes_at_the_terminal_is_for_the_key_that_the_question_showed() {
    let (anna, bert, eve) = (Machine::new(), Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    let editor = bert.watch(&ticket, &["--name", "bert"]);
    let print = fingerprint(&bert);
    anna.run(&["grant", &print, "--edit"]);
    editor.wait_for("edit for");

    // An editor is here, so what widens is asked at the terminal.
    let key = carol().to_string();
    let asked = Piped::start(anna.pillion(&["allow", &key, "--edit"]));
    host.wait_for("Let in, and give");
    let _viewer = eve.watch(&ticket, &["--name", &key]);
    one(&anna, &eve, "here");
    answer(&mut host, "y", |_| {
        anna.run(&["allow"]).contains(&format!("edit    {key}"))
    });
    assert!(asked.wait().status.success());
    assert_eq!(one(&anna, &eve, "here")["right"], "view");
}
