//! The machine against an agent that is a few lines of text.

use super::*;

fn setup() -> Setup {
    Setup {
        cwd: "/src".into(),
        name: "pillion".into(),
        version: "1".into(),
        earlier: None,
    }
}

/// All that it has to say: what it sends, and what it tells.
fn drain(client: &mut Client) -> (Vec<Value>, Vec<ClientEvent>) {
    let (mut sent, mut told) = (Vec::new(), Vec::new());
    while let Some(output) = client.poll() {
        match output {
            ClientOutput::Send { line, .. } => {
                assert!(!line.contains('\n'));
                sent.push(serde_json::from_str(&line).unwrap());
            }
            ClientOutput::Event(event) => told.push(event),
        }
    }
    (sent, told)
}

fn line(client: &mut Client, message: &Value) -> (Vec<Value>, Vec<ClientEvent>) {
    client.handle_line(&message.to_string());
    drain(client)
}

/// One that has a session `s`.
fn ready(version: u64) -> Client {
    let mut client = Client::new(setup(), 0);
    let (sent, _) = drain(&mut client);
    assert_eq!(sent[0]["params"]["protocolVersion"], 2);
    let (sent, _) = line(
        &mut client,
        &json!({"id": 1, "result": {"protocolVersion": version}}),
    );
    assert_eq!(sent[0]["method"], "session/new");
    let (_, told) = line(&mut client, &json!({"id": 2, "result": {"sessionId": "s"}}));
    assert!(matches!(&told[..], [ClientEvent::Ready { version: v, .. }] if *v == version));
    client
}

fn permission(id: u64, session: &str) -> Value {
    json!({"id": id, "method": "session/request_permission", "params": {"sessionId": session,
        "options": [{"optionId": "y", "name": "Yes", "kind": "allow_once"}]}})
}

fn state(state: &str) -> Value {
    let update = json!({"sessionUpdate": "state_update", "state": state});
    json!({"method": "session/update", "params": {"sessionId": "s", "update": update}})
}

#[test]
fn one_prompt_at_a_time_in_both_versions() {
    let mut client = ready(1);
    client.prompt("go", Some(7), None).unwrap();
    assert_eq!(client.prompt("more", None, None), Err(NotSent::Busy));
    let (sent, _) = drain(&mut client);
    let end = json!({"id": sent[0]["id"], "result": {"stopReason": "never heard of"}});
    assert_eq!(line(&mut client, &end).1, [ClientEvent::TurnEnded]);
    client.prompt("more", None, None).unwrap();

    let mut client = ready(2);
    client.prompt("go", None, None).unwrap();
    let (sent, _) = drain(&mut client);
    // Idle from before the prompt arrived ends nothing.
    assert_eq!(line(&mut client, &state("idle")).1, []);
    let taken = json!({"id": sent[0]["id"], "result": {"messageId": "u"}});
    assert_eq!(line(&mut client, &taken).1, []);
    assert_eq!(line(&mut client, &state("running")).1, []);
    assert_eq!(line(&mut client, &state("never heard of")).1, []);
    assert!(client.is_busy());
    assert_eq!(
        line(&mut client, &state("idle")).1,
        [ClientEvent::TurnEnded]
    );
}

#[test]
fn a_question_has_one_answer_and_only_its_own_choices() {
    let mut client = ready(1);
    client.prompt("go", None, None).unwrap();
    let (_, told) = line(&mut client, &permission(0, "s"));
    let [ClientEvent::Asked(id)] = &told[..] else {
        panic!("{told:?}")
    };
    let choice = |id: &str| Answer::Choice(id.to_owned());
    assert_eq!(
        client.answer(id, &choice("allow_always"), None),
        Err(NotSent::NoSuchChoice)
    );
    assert_eq!(
        client.answer(id, &Answer::Decline, None),
        Err(NotSent::NoSuchChoice)
    );
    client.answer(id, &choice("y"), None).unwrap();
    assert_eq!(client.answer(id, &choice("y"), None), Err(NotSent::NotOpen));
    let (sent, _) = drain(&mut client);
    let answer = json!({"jsonrpc": "2.0", "id": 0,
        "result": {"outcome": {"outcome": "selected", "optionId": "y"}}});
    assert_eq!(sent, [answer]);
}

#[test]
fn forms_are_filled_in_declined_or_cancelled() {
    for (answer, action) in [
        (Answer::Form(r#"{"a":1}"#.into()), "accept"),
        (Answer::Decline, "decline"),
        (Answer::Cancel, "cancel"),
    ] {
        let mut client = ready(1);
        let ask = json!({"id": "f", "method": "elicitation/create", "params": {"sessionId": "s"}});
        let (_, told) = line(&mut client, &ask);
        let [ClientEvent::Asked(id)] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(
            client.answer(id, &Answer::Form("[]".into()), None),
            Err(NotSent::NoSuchChoice)
        );
        client.answer(id, &answer, None).unwrap();
        let (sent, _) = drain(&mut client);
        assert_eq!(
            (&sent[0]["id"], &sent[0]["result"]["action"]),
            (&json!("f"), &json!(action))
        );
    }
}

#[test]
fn every_question_is_answered_when_the_turn_is_cancelled_or_ends() {
    let mut client = ready(1);
    client.prompt("go", None, None).unwrap();
    let (sent, _) = drain(&mut client);
    let prompt = sent[0]["id"].clone();
    line(&mut client, &permission(0, "s"));
    client.cancel(100, None).unwrap();
    let (sent, _) = drain(&mut client);
    assert_eq!(sent[0]["result"]["outcome"]["outcome"], "cancelled");
    assert_eq!(sent[1]["method"], "session/cancel");
    // What it asks after that is answered at once, and asks nobody.
    let (sent, told) = line(&mut client, &permission(1, "s"));
    assert_eq!(sent[0]["result"]["outcome"]["outcome"], "cancelled");
    assert!(
        !told
            .iter()
            .any(|event| matches!(event, ClientEvent::Asked(_)))
    );
    line(
        &mut client,
        &json!({"id": prompt, "result": {"stopReason": "cancelled"}}),
    );

    client.prompt("again", None, None).unwrap();
    let (sent, _) = drain(&mut client);
    line(&mut client, &permission(2, "s"));
    line(&mut client, &permission(3, "a subagent's"));
    let end = json!({"id": sent[0]["id"], "result": {"stopReason": "end_turn"}});
    let (sent, _) = line(&mut client, &end);
    assert_eq!((sent.len(), &sent[0]["id"]), (1, &json!(2)));
    assert_eq!(client.open_questions().count(), 1);
}

#[test]
fn a_question_that_is_taken_back_is_answered_all_the_same() {
    let mut client = ready(1);
    line(&mut client, &permission(5, "s"));
    let (sent, told) = line(
        &mut client,
        &json!({"method": "$/cancel_request", "params": {"requestId": 5}}),
    );
    assert_eq!(sent[0]["result"]["outcome"]["outcome"], "cancelled");
    assert_eq!(told, [ClientEvent::Closed(MessageId::from(5))]);
}

#[test]
fn an_id_that_is_used_again_asks_again() {
    let mut client = ready(1);
    line(&mut client, &permission(0, "s"));
    let (_, told) = line(&mut client, &permission(0, "s"));
    let id = MessageId::from(0);
    assert_eq!(
        told,
        [ClientEvent::Closed(id.clone()), ClientEvent::Asked(id)]
    );
}

#[test]
fn a_cancel_that_nothing_comes_of_is_said_once() {
    let mut client = ready(1);
    assert_eq!(client.cancel(0, None), Err(NotSent::Idle));
    client.prompt("go", None, None).unwrap();
    client.cancel(1_000, None).unwrap();
    drain(&mut client);
    client.tick(1_000 + CANCEL_LIMIT_MS - 1);
    assert_eq!(drain(&mut client).1, []);
    client.tick(client.deadline_ms().unwrap());
    assert_eq!(drain(&mut client).1, [ClientEvent::CancelIgnored]);
    assert_eq!(client.deadline_ms(), None);
}

#[test]
fn what_is_not_offered_is_refused_and_a_write_is_only_acknowledged() {
    let mut client = ready(1);
    let ask = |method: &str| json!({"id": 3, "method": method, "params": {"path": "/etc/passwd"}});
    for method in [
        "fs/read_text_file",
        "terminal/create",
        "craft/drainMidTurnQueue",
    ] {
        let (sent, told) = line(&mut client, &ask(method));
        assert_eq!(sent[0]["error"]["code"], -32601, "{method}");
        assert_eq!(told, [ClientEvent::NotOffered(method.into())]);
    }
    let (sent, _) = line(&mut client, &ask("fs/write_text_file"));
    assert_eq!(sent[0]["result"], json!({}));
}

#[test]
fn an_agent_that_does_not_begin_says_why() {
    let begin = |answers: &[Value]| {
        let mut client = Client::new(setup(), 0);
        let mut told = Vec::new();
        for answer in answers {
            told.extend(line(&mut client, answer).1);
        }
        assert_eq!(client.prompt("x", None, None), Err(NotSent::NotReady));
        told
    };
    let failed = |fault| vec![ClientEvent::Failed(fault)];
    let version = |version: u64| json!({"id": 1, "result": {"protocolVersion": version}});
    assert_eq!(begin(&[version(3)]), failed(StartFault::Version(3)));
    let login = json!({"id": 2, "error": {"code": -32000, "message": "Authentication required"}});
    let told = begin(&[version(1), login]);
    assert_eq!(
        told,
        failed(StartFault::NeedsLogin("Authentication required".into()))
    );
    let broken = json!({"id": 1, "error": {"code": -32603, "message": "no model"}});
    assert_eq!(
        begin(&[broken]),
        failed(StartFault::Refused("no model".into()))
    );
    assert_eq!(
        begin(&[version(2), json!({"id": 2, "result": {}})]),
        failed(StartFault::NoSession)
    );
    let mut client = Client::new(setup(), 0);
    drain(&mut client);
    client.tick(START_LIMIT_MS);
    assert_eq!(drain(&mut client).1, failed(StartFault::Silent));
}

#[test]
fn garbage_is_never_answered() {
    let mut client = ready(1);
    for text in ["npm warn", "[1]", "{}", "[{\"id\":1,\"method\":\"m\"}]", ""] {
        client.handle_line(text);
        let (sent, told) = drain(&mut client);
        assert_eq!(
            (sent.len(), told),
            (0, vec![ClientEvent::Garbage]),
            "{text}"
        );
    }
    // An answer to nothing does nothing.
    assert_eq!(
        line(&mut client, &json!({"id": 77, "result": {}})),
        (vec![], vec![])
    );
}

/// What one says that goes on from before, once the agent has said this of itself; and whether it can be prompted.
fn going_on(earlier: Earlier, agent: Value) -> (Client, Value) {
    let mut client = Client::new(
        Setup {
            earlier: Some(earlier),
            ..setup()
        },
        0,
    );
    drain(&mut client);
    let (mut sent, _) = line(&mut client, &json!({"id": 1, "result": agent}));
    (client, sent.remove(0))
}

#[test]
fn an_agent_that_is_started_again_goes_on_with_its_session_where_it_can() {
    let earlier = || Earlier {
        session: "old".into(),
        may_repeat: true,
        is_young: false,
        transcript: "## anna\n\nfix it\n\n".into(),
    };
    let resumes = json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": true,
        "sessionCapabilities": {"resume": {}}}});
    let loads = json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": true},
        "agentInfo": {"name": "gemini-cli"}});
    for (agent, method) in [
        (resumes.clone(), "session/resume"),
        (loads.clone(), "session/load"),
        (json!({"protocolVersion": 2}), "session/resume"),
    ] {
        let (mut client, sent) = going_on(earlier(), agent);
        assert_eq!(sent["method"], method);
        assert_eq!(sent["params"]["sessionId"], "old");
        let (_, told) = line(&mut client, &json!({"id": 2, "result": {}}));
        assert!(
            matches!(&told[..], [ClientEvent::Ready { session, .. }] if session == "old"),
            "{told:?}"
        );
        client.prompt("and now?", None, None).unwrap();
        let (sent, _) = drain(&mut client);
        assert_eq!(
            sent[0]["params"]["prompt"],
            json!([{"type": "text", "text": "and now?"}])
        );
    }
    // What not everybody may see is not told again, and what would be lost is not loaded.
    let hidden = Earlier {
        may_repeat: false,
        ..earlier()
    };
    let young = Earlier {
        is_young: true,
        ..earlier()
    };
    let never = Earlier {
        session: String::new(),
        ..earlier()
    };
    for (earlier, agent) in [
        (hidden, loads.clone()),
        (young, loads),
        (never, resumes.clone()),
        (earlier(), json!({"protocolVersion": 1})),
    ] {
        let (_, sent) = going_on(earlier, agent);
        assert_eq!(sent["method"], "session/new");
    }
}

#[test]
fn an_agent_that_lost_its_session_is_told_what_was_said_once() {
    let earlier = Earlier {
        session: "old".into(),
        transcript: "## anna\n\nfix it\n\n".into(),
        ..Earlier::default()
    };
    let agents = [
        json!({"protocolVersion": 1, "agentCapabilities": {"sessionCapabilities": {"resume": {}},
            "promptCapabilities": {"embeddedContext": true}}}),
        json!({"protocolVersion": 2, "capabilities": {"session": {"prompt": {"embeddedContext": {}}}}}),
        json!({"protocolVersion": 2}),
    ];
    for (at, agent) in agents.into_iter().enumerate() {
        let (mut client, sent) = going_on(earlier.clone(), agent);
        assert_eq!(sent["method"], "session/resume");
        let gone = json!({"id": 2, "error": {"code": -32602, "message": "no such session"}});
        let (sent, told) = line(&mut client, &gone);
        assert_eq!(
            (&sent[0]["method"], &told[..]),
            (&json!("session/new"), &[][..])
        );
        line(
            &mut client,
            &json!({"id": 3, "result": {"sessionId": "new"}}),
        );
        client.prompt("and now?", None, None).unwrap();
        let (sent, _) = drain(&mut client);
        let prompt = &sent[0]["params"]["prompt"];
        let before = match at {
            2 => &prompt[0]["text"],
            _ => &prompt[0]["resource"]["text"],
        };
        assert!(
            before.as_str().unwrap().contains("## anna\n\nfix it"),
            "{prompt}"
        );
        assert_eq!(prompt[1], json!({"type": "text", "text": "and now?"}));
        let method = |client: &mut Client| {
            client.turn = None;
            client.prompt("more", None, None).unwrap();
            drain(client).0[0]["params"]["prompt"].clone()
        };
        assert_eq!(
            method(&mut client),
            json!([{"type": "text", "text": "more"}])
        );
    }
}
