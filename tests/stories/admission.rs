//! Who may come in, told with the real binary: knocking, refusing, the list, the mode, a team, and
//! somebody who manages with the host.

use crate::harness::{Machine, PREFIX, SIZE, Term, VIEWER, answer, audited, until};
use pillion::{
    caps::{PublicKey, SecretKey, UnixMillis},
    clock::unix_ms,
    net::{NetOptions, RelayChoice},
    people::{Claim, Serial, TeamKey},
    proto::Ticket,
    viewing::viewer_loop::{Options, Outcome, ViewerLoop},
};

/// The one who knocks by this name, once they do.
fn knocks(machine: &Machine, name: &str) -> serde_json::Value {
    until(&format!("{name} to knock"), || {
        let who = machine.who();
        let found = who.into_iter().find(|person| person["name"] == name)?;
        (found["state"] == "knocking").then_some(found)
    })
}

fn is_here(machine: &Machine, name: &str) {
    until(&format!("{name} to be here"), || {
        let who = machine.who();
        let mut named = who.iter().filter(|person| person["name"] == name);
        named.any(|person| person["state"] == "here").then_some(())
    });
}

/// What a viewer that was not let in was shown is what it is told at the door.
fn saw_nothing(viewer: &Term) {
    let raw = viewer.raw_text();
    assert!(!raw.contains("secret-42"), "{raw}");
}

#[test]
fn who_knocks_is_shown_to_the_host_and_let_in_by_a_key() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&["--allow", "invited"]);
    host.send("clear; echo secret-$((40+2))\r");
    host.wait_for("secret-42");
    let viewer = bert.join(VIEWER, &ticket, &["--name", "bert"]);
    viewer.wait_for("the host is being asked");
    host.wait_for("Somebody knocks (Ctrl-] answers): “bert”");
    let knock = knocks(&anna, "bert");
    assert!(knock["proof"].as_str().unwrap().contains("key "));
    saw_nothing(&viewer);

    answer(&mut host, "y", |_| viewer.text().contains("secret-42"));
    viewer.wait_for("view only");
    let who = anna.who();
    assert_eq!(who[0]["id"], knock["id"]);
    assert_eq!(who[0]["state"], "here");
    host.wait_gone("knocks");

    // Coming back is free now; the list says why.
    drop(viewer);
    bert.watch(&ticket, &["--name", "bert"])
        .wait_for("secret-42");
    assert!(anna.run(&["allow"]).starts_with("invited\nview    "));
}

#[test]
fn who_knocks_sees_the_key_that_the_host_sees_in_a_narrow_terminal() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&["--allow", "invited"]);
    let viewer = bert.join((40, 8), &ticket, &["--name", "bert"]);
    let own: serde_json::Value = serde_json::from_str(&bert.run(&["id", "--json"])).unwrap();
    let key = own["fingerprint"].as_str().unwrap();
    viewer.wait_until("the key in the last row", |screen| {
        let last = screen.rows(0, 40).last();
        last.is_some_and(|row| row.contains(&format!("you are {key} │ knocking")))
    });
    host.wait_for("Somebody knocks (Ctrl-] answers): “bert”");
    host.send(PREFIX);
    host.wait_for(&format!("key {key}"));
}

#[test]
fn who_is_refused_for_good_stays_out_under_any_name() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&["--allow", "invited"]);
    host.send("echo secret-$((40+2))\r");
    host.wait_for("secret-42");
    let mut viewer = bert.join(VIEWER, &ticket, &["--name", "bert"]);
    host.wait_for("Somebody knocks (Ctrl-] answers): “bert”");
    answer(&mut host, "N", |_| {
        viewer.raw_text().contains("does not let you into")
    });
    assert_eq!(viewer.wait_code(), Some(3));
    saw_nothing(&viewer);
    let mut again = bert.join(VIEWER, &ticket, &["--name", "somebody"]);
    assert_eq!(again.wait_code(), Some(3));
    assert!(again.raw_text().contains("removed you"));
    saw_nothing(&again);
}

#[test]
fn with_nobody_to_answer_a_knock_ends_with_words_and_commands_answer_too() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let file = anna.fresh("ticket");
    let path = file.to_str().unwrap();
    let shell = ["--", "bash", "--norc", "--noprofile"];
    let mut command = anna.pillion(&[&["--share", "--ticket-file", path][..], &shell].concat());
    command
        .env("PILLION_ALLOW", "invited")
        .env("PILLION_KNOCK_WAIT", "3s");
    let _host = crate::harness::Piped::start_with_input(command);
    let ticket = crate::harness::wait_for_file(&file).trim().to_owned();

    let ignored = bert.join_piped(&ticket, &["--text"]).wait();
    let said = String::from_utf8_lossy(&ignored.stderr).into_owned();
    assert_eq!(ignored.status.code(), Some(3), "{said}");
    assert!(said.contains("the host is being asked"), "{said}");
    assert!(
        said.contains("nobody at the host answered within 3 s"),
        "{said}"
    );
    assert!(ignored.stdout.is_empty());

    let viewer = carl.join_piped(&ticket, &["--text", "--name", "carl"]);
    let id = knocks(&anna, "carl")["id"].to_string();
    anna.run(&["admit", &id]);
    assert!(viewer.wait().status.success());
    let said = anna.fails(1, &["admit", &id]);
    assert!(said.contains("knocks"), "{said}");
}

#[test]
fn the_mode_is_changed_while_the_session_runs() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let (_host, ticket) = anna.share_shell(&[]);
    assert_eq!(anna.run(&["allow"]), "link\n");
    let viewer = bert.watch(&ticket, &["--name", "bert"]);
    anna.run(&["allow", "invited"]);
    assert_eq!(anna.run(&["allow"]), "invited\n");
    let outside = carl.join(VIEWER, &ticket, &["--name", "carl"]);
    knocks(&anna, "carl");
    is_here(&anna, "bert");
    anna.run(&["allow", "link"]);
    outside.wait_for("view only");
    is_here(&anna, "carl");
    drop(viewer);

    let said = anna.fails(4, &["allow", "nobody"]);
    assert!(said.contains("pillion who"), "{said}");
    let key = SecretKey::from_bytes(&[5; 32]).public().to_string();
    anna.run(&["allow", &key, "--edit"]);
    assert!(anna.run(&["allow"]).contains(&format!("edit    {key}")));
    anna.run(&["revoke", &key]);
    assert_eq!(anna.run(&["allow"]), "link\n");
    anna.run(&["ban", &key]);
    assert!(anna.run(&["allow"]).contains(&format!("blocked {key}")));
    anna.run(&["unban", &key]);
    assert_eq!(anna.run(&["allow"]), "link\n");
}

/// Comes with a membership of a team, and leaves once the screen was shown.
fn come_as(ticket: &str, team: &TeamKey, member: &str, seed: u8) -> Outcome {
    let ticket: Ticket = ticket.parse().unwrap();
    let identity = SecretKey::from_bytes(&[seed; 32]);
    let now = UnixMillis(unix_ms());
    let ends = now.saturating_add(60_000);
    let member = member.parse().unwrap();
    let membership = team.admit(identity.public(), member, Serial(1), now, ends);
    let options = Options {
        ticket,
        grants: Vec::new(),
        claims: vec![Claim::Team(membership.unwrap()).to_bytes().into()].into(),
        identity,
        name: format!("person {seed}"),
        read_only: false,
        terminal: None,
        relay: RelayChoice::None,
        net: NetOptions::default(),
        inside: Vec::<PublicKey>::new(),
        resolver: None,
        endpoint: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { ViewerLoop::start(options).unwrap().text().await.unwrap() })
}

#[test]
fn a_teams_session_is_its_members_and_a_ban_holds_for_the_member() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let team = TeamKey::new(SecretKey::from_bytes(&[90; 32]));
    let key = team.public().to_string();
    let (_host, ticket) = anna.share_shell(&["--allow", "team", "--team", &key]);
    let mut stranger = bert.join(VIEWER, &ticket, &["--name", "bert"]);
    assert_eq!(stranger.wait_code(), Some(3));
    assert!(stranger.raw_text().contains("only members of a team"));

    assert_eq!(come_as(&ticket, &team, "carla", 60), Outcome::Left);
    let other = TeamKey::new(SecretKey::from_bytes(&[91; 32]));
    let refused = |outcome: Outcome, part: &str| match outcome {
        Outcome::Refused(text) => assert!(text.contains(part), "{text}"),
        other => panic!("{other:?}"),
    };
    refused(
        come_as(&ticket, &other, "carla", 61),
        "only members of a team",
    );

    anna.run(&["ban", &format!("team:{key}/carla")]);
    // Another key and another name are no help.
    refused(come_as(&ticket, &team, "carla", 62), "removed you");
    assert_eq!(come_as(&ticket, &team, "dora", 63), Outcome::Left);
}

#[test]
fn somebody_who_manages_lets_in_and_puts_out_from_their_viewer() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let (host, ticket) = anna.share_shell(&["--allow", "invited"]);
    let key = {
        let viewer = bert.join(VIEWER, &ticket, &["--name", "bert"]);
        let id = knocks(&anna, "bert")["id"].to_string();
        anna.run(&["admit", &id]);
        viewer.wait_for("view only");
        anna.run(&["allow", &id, "--manage"]);
        viewer.wait_for("manage for");
        viewer
    };
    let mut manager = key;
    let mut viewer = carl.join(VIEWER, &ticket, &["--name", "carl"]);
    host.wait_for("Somebody knocks (Ctrl-] answers): “carl”");
    manager.send(&format!("{PREFIX}w"));
    manager.wait_for("knocks: key");
    // The list may have opened before it heard of the knock, and then another line is chosen.
    manager.send("\x1b[A\x1b[A\x1b[A");
    manager.wait_until("the knock to be chosen", |screen| {
        let text = screen.contents();
        let chosen = |line: &str| line.contains('>') && line.contains("knocks: key");
        text.lines().any(chosen)
    });
    manager.send("y");
    viewer.wait_for("view only");
    manager.wait_for("Let in");
    host.wait_gone("knocks");

    // The second of the list; carl came after bert.
    manager.wait_until("carl to be listed", |screen| {
        let text = screen.contents();
        let listed = |line: &str| line.contains("carl") && line.contains(" view ");
        !text.contains("knocks: key") && text.lines().any(listed)
    });
    manager.send("\x1b[B");
    manager.wait_until("carl to be chosen", |screen| {
        let text = screen.contents();
        text.lines()
            .any(|line| line.contains('>') && line.contains("carl"))
    });
    manager.send("k");
    assert_eq!(viewer.wait_code(), Some(3));
    assert!(viewer.raw_text().contains("removed you"));
    manager.send("m");
    until("the mode to change", || {
        (anna.run(&["allow"]).starts_with("team\n")).then_some(())
    });

    // People who are not here, by what they will prove; what can't be done is said in words.
    let dora = SecretKey::from_bytes(&[5; 32]).public().to_string();
    manager.send("a\t");
    manager.wait_for("Let in to type:");
    manager.send(&format!("\x1b[200~{dora}\x1b[201~\r"));
    until("dora to be on the list", || {
        let listed = anna.run(&["allow"]);
        listed.contains(&format!("edit    {dora}")).then_some(())
    });
    manager.send("bevil@example.org\r");
    until("an address to be barred", || {
        let listed = anna.run(&["allow"]);
        listed.contains("blocked evil@example.org").then_some(())
    });
    manager.send("uevil@example.org\r");
    until("it to be barred no more", || {
        let listed = anna.run(&["allow"]);
        (!listed.contains("evil@example.org")).then_some(())
    });
    manager.send("bssh-rsa AAAA\r");
    manager.wait_for("only ssh-ed25519");
    manager.send("\x15nobody\r");
    manager.wait_for("Nobody here is called");

    // The log has who of the two did what.
    let bert = {
        let who = anna.who();
        let bert = who.iter().find(|who| who["name"] == "bert").unwrap();
        format!("bert ({})", bert["fingerprint"].as_str().unwrap())
    };
    let short = |key: &str| key.parse::<PublicKey>().unwrap().fingerprint();
    let said = audited(&anna);
    for what in [
        "let in carl (".to_owned(),
        "removed and blocked carl (".to_owned(),
        "opened the session to: team".to_owned(),
        format!("put {} on the list: edit", short(&dora)),
        "blocked evil@example.org".to_owned(),
        "let evil@example.org back in".to_owned(),
        "tried to block nobody".to_owned(),
    ] {
        let line = format!("{bert} {what}");
        assert!(
            said.iter().any(|said| said.starts_with(&line)),
            "{line} is not in {said:#?}"
        );
    }
    let by_command = format!("the host, by command let in {bert}");
    assert!(said.contains(&by_command), "{said:#?}");
    let all: Vec<serde_json::Value> =
        serde_json::from_str(&anna.run(&["audit", "--json"])).unwrap();
    let theirs = all
        .iter()
        .filter(|entry| entry["event"] == "command" && entry["by_name"] == "bert");
    assert!(theirs.clone().count() >= 7, "{all:#?}");
    assert!(theirs.clone().all(|entry| entry["by_grant"].is_string()));
}

#[test]
fn a_restart_knows_the_mode_the_list_and_who_is_kept_out() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&["--allow", "invited"]);
    for (machine, name) in [(&bert, "bert"), (&carl, "carl")] {
        let viewer = machine.join(VIEWER, &ticket, &["--name", name]);
        let id = knocks(&anna, name)["id"].to_string();
        anna.run(&["admit", &id]);
        viewer.wait_for("view only");
    }
    anna.run(&["kick", "carl"]);
    let session = anna.session()["session"].as_str().unwrap().to_owned();
    host.kill();

    let (_host, ticket) = anna.share(SIZE, &["--restart", &session]);
    assert!(anna.run(&["allow"]).starts_with("invited\nview    "));
    bert.watch(&ticket, &["--name", "bert"]);
    let mut kept_out = carl.join(VIEWER, &ticket, &["--name", "somebody"]);
    assert_eq!(kept_out.wait_code(), Some(3));
    assert!(kept_out.raw_text().contains("removed you"));
}

#[test]
fn a_token_ends_with_what_is_taken_from_who_came_with_it() {
    for (mode, taking) in [
        ("link", "kick"),
        ("link", "revoke"),
        ("invited", "kick"),
        ("invited", "ban"),
    ] {
        let [anna, eve, again] = [(); 3].map(|()| Machine::new());
        let (_host, ticket) = anna.share_shell(&["--allow", mode]);
        let token = anna.run(&["grant", "--link", "--edit", "--uses", "5"]);
        let mut editor = eve.watch(&ticket, &["--name", "eve", "--grant", token.trim()]);
        editor.wait_for("edit for");
        let done = anna.output(&[taking, "eve"]);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(
            done.status.success() && said.contains("The token they came with is ended as well"),
            "{taking}: {said}"
        );
        if taking != "revoke" {
            assert_eq!(editor.wait_code(), Some(3));
        }
        // Another machine has another key.
        let mut back = again.join(SIZE, &ticket, &["--name", "eve2", "--grant", token.trim()]);
        match mode {
            "invited" => {
                back.wait_for("is being asked");
            }
            _ => {
                back.wait_for("view only");
                back.send("NO");
                back.wait_for("asks the host to let you type");
            }
        }
        let list = anna.run(&["who", "--json"]);
        assert!(!list.contains("\"edit\""), "{list}");
    }
}
