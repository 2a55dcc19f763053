//! What a conversation looks like after what was said in it.

use pillion_conversation::{
    Activity, Author, Conversation, Entry, Environment, Exit, ItemBody, ItemId, Logged, Message,
    Note, Notice, Outcome, Prompt, Question, Stop, Thread, Tool, ToolStatus, limits,
};
use serde_json::{Value, json};

/// A conversation that is driven by what both sides say.
#[derive(Default)]
struct Talk {
    conversation: Conversation,
    at: u64,
    requests: u64,
}

impl Talk {
    /// One whose agent runs, speaks this version and has a session `s`.
    fn begun(version: u64) -> Talk {
        let mut talk = Talk::default();
        talk.note(Note::Started {
            environment: Environment::default(),
        });
        let info = if version == 1 { "agentInfo" } else { "info" };
        let id = talk.ask("initialize", json!({}));
        talk.reply(
            id,
            json!({"protocolVersion": version, info: {"name": "scripted", "version": "1"}}),
        );
        let id = talk.ask("session/new", json!({"cwd": "/src"}));
        talk.reply(id, json!({"sessionId": "s"}));
        talk
    }

    fn log(&mut self, what: Logged<'_>) {
        self.at += 1;
        let entry = Entry {
            at_ms: self.at,
            what,
        };
        self.conversation.apply_text(&entry.encode());
    }

    fn note(&mut self, note: Note) {
        self.log(Logged::Note(note));
    }

    fn agent(&mut self, message: Value) {
        let text = message.to_string();
        self.log(Logged::FromAgent(Message::parse(&text).unwrap()));
    }

    fn host(&mut self, message: Value, by: Option<Author>, prompt: Option<u64>) {
        let text = message.to_string();
        let message = Message::parse(&text).unwrap();
        self.log(Logged::ToAgent {
            message,
            by,
            prompt,
        });
    }

    /// A request of ours: its id.
    fn ask(&mut self, method: &str, params: Value) -> u64 {
        self.requests += 1;
        let id = self.requests;
        self.host(
            json!({"id": id, "method": method, "params": params}),
            None,
            None,
        );
        id
    }

    fn reply(&mut self, id: u64, result: Value) {
        self.agent(json!({"id": id, "result": result}));
    }

    fn prompt(&mut self, by: &str, text: &str) -> u64 {
        self.requests += 1;
        let id = self.requests;
        let params = json!({"sessionId": "s", "prompt": [{"type": "text", "text": text}]});
        let message = json!({"id": id, "method": "session/prompt", "params": params});
        self.host(message, Some(author(by)), None);
        id
    }

    fn update(&mut self, update: Value) {
        self.update_of("s", update);
    }

    fn update_of(&mut self, session: &str, update: Value) {
        let params = json!({"sessionId": session, "update": update});
        self.agent(json!({"method": "session/update", "params": params}));
    }

    fn text(&mut self, kind: &str, id: Option<&str>, text: &str) {
        let content = json!({"type": "text", "text": text});
        let mut update = json!({"sessionUpdate": kind, "content": content});
        if let Some(id) = id {
            update["messageId"] = id.into();
        }
        self.update(update);
    }

    fn permission(&mut self, id: u64, tool: &str) -> ItemId {
        let params = json!({"sessionId": "s", "toolCall": {"toolCallId": tool, "title": "Write a.rs"},
            "options": [{"optionId": "yes", "name": "Allow", "kind": "allow_once"},
                {"optionId": "no", "name": "Reject", "kind": "reject_once"}]});
        self.agent(json!({"id": id, "method": "session/request_permission", "params": params}));
        self.conversation.open_questions().last().unwrap().0
    }

    fn answer(&mut self, id: u64, by: &str, choice: &str) {
        let outcome = json!({"outcome": {"outcome": "selected", "optionId": choice}});
        self.host(json!({"id": id, "result": outcome}), Some(author(by)), None);
    }

    fn main(&self) -> &Thread {
        &self.conversation.threads()[0]
    }

    /// What is shown, one word and text for each item.
    fn shown(&self) -> Vec<String> {
        self.conversation
            .items()
            .map(|(_, item)| shown(&item.body))
            .collect()
    }

    fn tool(&self, id: &str) -> &Tool {
        let id = self.conversation.tool(0, id).unwrap();
        match &self.conversation.item(id).unwrap().body {
            ItemBody::Tool(tool) => tool,
            other => panic!("{other:?}"),
        }
    }

    fn question(&self, id: ItemId) -> &Question {
        self.conversation.question(id).unwrap()
    }
}

fn author(name: &str) -> Author {
    Author {
        id: format!("key of {name}"),
        name: name.to_owned(),
        right: "prompt".to_owned(),
    }
}

fn shown(body: &ItemBody) -> String {
    let texts = |blocks: &[pillion_conversation::Block]| {
        blocks
            .iter()
            .map(|block| block.text.as_str())
            .collect::<Vec<_>>()
            .join("|")
    };
    match body {
        ItemBody::Prompt(Prompt { by, content, .. }) => {
            let by = by.as_ref().map_or("somebody", |by| &by.name);
            format!("{by}: {}", texts(content))
        }
        ItemBody::Response(message) => format!("says: {}", texts(&message.content)),
        ItemBody::Thought(message) => format!("thinks: {}", texts(&message.content)),
        ItemBody::Tool(tool) => format!("tool {}: {:?}", tool.title, tool.status()),
        ItemBody::Terminal(terminal) => format!("terminal {}", terminal.id),
        ItemBody::Question(question) => {
            let outcome = question.outcome.as_ref().map_or("open", |one| &one.word);
            format!("asks {}: {outcome}", question.title)
        }
        ItemBody::TurnEnd(end) => format!("ends: {}{}", end.stop_word, end.error),
        ItemBody::Notice(notice) => {
            format!(
                "{}: {}{}",
                notice.word,
                notice.title,
                notice.description.as_str()
            )
        }
        ItemBody::Unknown(unknown) => format!("{} × {}", unknown.kind, unknown.count),
        ItemBody::Newer(number) => format!("newer {number}"),
    }
}

#[test]
fn a_turn_of_version_1() {
    let mut talk = Talk::begun(1);
    assert_eq!(talk.conversation.agent().name, "scripted");
    assert_eq!(talk.conversation.activity(0), Activity::Idle);
    let prompt = talk.prompt("bo", "fix it");
    assert_eq!(talk.conversation.activity(0), Activity::Working);
    talk.text("agent_thought_chunk", None, "let me ");
    talk.text("agent_thought_chunk", None, "see");
    talk.text("agent_message_chunk", None, "I'll ");
    talk.text("agent_message_chunk", None, "look");
    talk.update(
        json!({"sessionUpdate": "tool_call", "toolCallId": "t", "title": "Read a.rs",
        "kind": "read", "status": "pending", "rawInput": {"path": "a.rs"},
        "locations": [{"path": "/src/a.rs", "line": 3}]}),
    );
    talk.update(json!({"sessionUpdate": "tool_call_update", "toolCallId": "t", "status": "completed",
        "title": null, "content": [{"type": "content", "content": {"type": "text", "text": "fn main"}}]}));
    talk.text("agent_message_chunk", None, "done");
    talk.reply(
        prompt,
        json!({"stopReason": "end_turn", "usage": {"totalTokens": 77}}),
    );
    let expected = [
        "bo: fix it",
        "thinks: let me see",
        "says: I'll look",
        "tool Read a.rs: Completed",
        "says: done",
        "ends: end_turn",
    ];
    assert_eq!(talk.shown(), expected);
    assert_eq!(talk.conversation.activity(0), Activity::Idle);
    let tool = talk.tool("t");
    assert_eq!(tool.input.as_str(), r#"{"path":"a.rs"}"#);
    assert_eq!(tool.locations[0].line, Some(3));
    assert_eq!(tool.content[0].block.text.as_str(), "fn main");
}

#[test]
fn a_turn_of_version_2_with_its_echo_before_or_after_the_answer() {
    for echo_first in [true, false] {
        let mut talk = Talk::begun(2);
        let prompt = talk.prompt("bo", "fix it");
        let echo = json!({"sessionUpdate": "user_message", "messageId": "u",
            "content": [{"type": "text", "text": "fix it\n<context/>"}]});
        if echo_first {
            talk.update(echo.clone());
            talk.reply(prompt, json!({"messageId": "u"}));
        } else {
            talk.reply(prompt, json!({"messageId": "u"}));
            talk.update(echo);
        }
        talk.update(json!({"sessionUpdate": "state_update", "state": "running"}));
        assert_eq!(talk.conversation.activity(0), Activity::Working);
        talk.text("agent_message_chunk", Some("m"), "half");
        let whole = json!([{"type": "text", "text": "the whole"}]);
        talk.update(json!({"sessionUpdate": "agent_message", "messageId": "m", "content": whole}));
        talk.update(
            json!({"sessionUpdate": "tool_call_update", "toolCallId": "t", "title": "List"}),
        );
        for piece in ["a\n", "b\n"] {
            let content = json!({"type": "content", "content": {"type": "text", "text": piece}});
            talk.update(
                json!({"sessionUpdate": "tool_call_content_chunk", "toolCallId": "t",
                "content": content}),
            );
        }
        talk.update(
            json!({"sessionUpdate": "tool_call_update", "toolCallId": "t", "title": null,
            "status": "completed"}),
        );
        talk.update(
            json!({"sessionUpdate": "state_update", "state": "idle", "stopReason": "end_turn"}),
        );
        // An agent may say so again.
        talk.update(
            json!({"sessionUpdate": "state_update", "state": "idle", "stopReason": "end_turn"}),
        );
        let expected = [
            "bo: fix it",
            "says: the whole",
            "tool : Completed",
            "ends: end_turn",
        ];
        assert_eq!(talk.shown(), expected, "{echo_first}");
        assert_eq!(talk.tool("t").content[0].block.text.as_str(), "a\nb\n");
        assert_eq!(talk.conversation.activity(0), Activity::Idle);
    }
}

#[test]
fn a_state_that_nobody_knows_shows_as_work() {
    let mut talk = Talk::begun(2);
    for (state, activity) in [
        ("idle", Activity::Idle),
        ("dreaming", Activity::Working),
        ("requires_action", Activity::NeedsAnswer),
        ("unknown", Activity::Working),
    ] {
        talk.update(json!({"sessionUpdate": "state_update", "state": state}));
        assert_eq!(talk.conversation.activity(0), activity, "{state}");
    }
}

#[test]
fn echoes_join_their_prompts_and_others_stand_for_themselves() {
    let mut talk = Talk::begun(1);
    talk.prompt("bo", "fix all of it");
    // An echo in pieces, as codex sends it.
    talk.text("user_message_chunk", Some("u1"), "fix all");
    talk.text("user_message_chunk", Some("u1"), " of it");
    talk.text("user_message_chunk", Some("u2"), "some other client's");
    talk.text("user_message_chunk", Some("u2"), " prompt");
    assert_eq!(
        talk.shown(),
        ["bo: fix all of it", "somebody: some other client's prompt"]
    );
}

#[test]
fn waiting_prompts_are_changed_and_sent_in_their_order() {
    let mut talk = Talk::begun(1);
    for (prompt, name) in [(1, "bo"), (2, "al"), (3, "bo")] {
        let (by, text) = (author(name), format!("prompt {prompt}"));
        talk.note(Note::Queued { prompt, by, text });
    }
    let by = author("bo");
    talk.note(Note::Edited {
        prompt: 3,
        by: by.clone(),
        text: "better".into(),
    });
    talk.note(Note::Moved {
        prompt: 3,
        by: by.clone(),
        before: Some(1),
    });
    talk.note(Note::Held {
        prompt: 2,
        by: by.clone(),
        held: true,
    });
    talk.note(Note::Withdrawn { prompt: 1, by });
    let queue: Vec<_> = talk
        .conversation
        .queue()
        .iter()
        .map(|one| {
            (
                one.number,
                one.by.name.as_str(),
                one.text.as_str(),
                one.held,
            )
        })
        .collect();
    assert_eq!(
        queue,
        [(3, "bo", "better", false), (2, "al", "prompt 2", true)]
    );
    let params = json!({"sessionId": "s", "prompt": [{"type": "text", "text": "better"}]});
    let message = json!({"id": 9, "method": "session/prompt", "params": params});
    talk.host(message, Some(author("bo")), Some(3));
    assert_eq!(talk.conversation.queue().len(), 1);
    assert_eq!(talk.shown(), ["bo: better"]);
}

#[test]
fn a_permission_is_claimed_answered_once_and_makes_its_tool() {
    let mut talk = Talk::begun(1);
    talk.prompt("bo", "write");
    let question = talk.permission(0, "t");
    assert_eq!(talk.conversation.activity(0), Activity::NeedsAnswer);
    assert_eq!(talk.tool("t").title, "Write a.rs");
    talk.note(Note::Claimed {
        question,
        by: Some(author("al")),
    });
    assert_eq!(talk.question(question).claimed_by, Some(author("al")));
    talk.answer(0, "al", "yes");
    talk.answer(0, "bo", "no");
    let outcome = talk.question(question).outcome.clone().unwrap();
    assert_eq!(
        (outcome.word.as_str(), outcome.choice.as_str()),
        (Outcome::SELECTED, "yes")
    );
    assert_eq!(outcome.by, Some(author("al")));
    assert_eq!(talk.question(question).claimed_by, None);
    assert_eq!(talk.conversation.open_questions().count(), 0);
    assert_eq!(talk.conversation.activity(0), Activity::Working);
}

#[test]
fn our_ids_and_the_agents_are_two_spaces() {
    let mut talk = Talk::begun(1);
    let prompt = talk.prompt("bo", "write");
    let question = talk.permission(prompt, "t");
    talk.reply(prompt, json!({"stopReason": "end_turn"}));
    assert!(talk.question(question).is_open());
    talk.answer(prompt, "bo", "yes");
    assert!(!talk.question(question).is_open());
}

#[test]
fn an_id_that_is_used_again_replaces_the_question_that_had_it() {
    let mut talk = Talk::begun(1);
    let first = talk.permission(0, "t");
    let second = talk.permission(0, "u");
    assert_eq!(
        talk.question(first).outcome.as_ref().unwrap().word,
        Outcome::REPLACED
    );
    assert!(talk.question(second).is_open());
}

#[test]
fn a_question_ends_when_the_agent_takes_it_back_or_ends() {
    let mut talk = Talk::begun(1);
    let first = talk.permission(0, "t");
    talk.agent(json!({"method": "$/cancel_request", "params": {"requestId": 0}}));
    assert_eq!(
        talk.question(first).outcome.as_ref().unwrap().word,
        Outcome::WITHDRAWN
    );
    talk.prompt("bo", "go on");
    let second = talk.permission(1, "u");
    let exit = Exit {
        signal: "SIGKILL".into(),
        ..Exit::default()
    };
    talk.note(Note::Ended { exit });
    assert_eq!(
        talk.question(second).outcome.as_ref().unwrap().word,
        Outcome::AGENT_ENDED
    );
    assert_eq!(talk.conversation.activity(0), Activity::Stopped);
    assert_eq!(talk.tool("u").status(), ToolStatus::LeftOpen);
    assert_eq!(talk.shown().last().unwrap(), "ended: ");
}

#[test]
fn permissions_of_version_2() {
    let mut talk = Talk::begun(2);
    let options = json!([{"optionId": "a", "name": "Yes", "kind": "allow_once"}]);
    let params = json!({"sessionId": "s", "title": "Run ls?", "description": "It lists",
        "subject": {"type": "command", "command": "ls -l", "cwd": "/src"}, "options": options});
    talk.agent(json!({"id": "p-1", "method": "session/request_permission", "params": params}));
    let (_, question) = talk.conversation.open_questions().next().unwrap();
    assert_eq!(
        (question.title.as_str(), question.command.as_str()),
        ("Run ls?", "ls -l")
    );
    assert_eq!(question.request, "\"p-1\"");
    let params = json!({"sessionId": "s", "title": "Edit?", "options": options,
        "subject": {"type": "tool_call", "toolCall": {"toolCallId": "t", "kind": "edit"}}});
    talk.agent(json!({"id": 1, "method": "session/request_permission", "params": params}));
    assert_eq!(talk.conversation.open_questions().count(), 2);
    assert_eq!(talk.tool("t").kind_word, "edit");
}

#[test]
fn a_form_is_a_question_and_its_answers_are_known() {
    for (answer, word) in [
        (
            json!({"action": "accept", "content": {"name": "x"}}),
            Outcome::SELECTED,
        ),
        (json!({"action": "decline"}), Outcome::DECLINED),
        (json!({"action": "cancel"}), Outcome::CANCELLED),
    ] {
        let mut talk = Talk::begun(1);
        let params = json!({"sessionId": "s", "mode": "form", "message": "Which?",
            "requestedSchema": {"type": "object"}});
        talk.agent(json!({"id": 4, "method": "elicitation/create", "params": params}));
        let (id, question) = talk.conversation.open_questions().next().unwrap();
        assert_eq!(question.form.as_str(), r#"{"type":"object"}"#);
        talk.host(json!({"id": 4, "result": answer}), Some(author("bo")), None);
        assert_eq!(talk.question(id).outcome.as_ref().unwrap().word, word);
    }
}

#[test]
fn diffs_of_both_versions() {
    let mut talk = Talk::begun(1);
    talk.update(
        json!({"sessionUpdate": "tool_call", "toolCallId": "t", "title": "Edit", "content": [
        {"type": "diff", "path": "/a", "oldText": "x", "newText": "y"},
        {"type": "diff", "path": "/b", "oldText": null, "newText": "new"},
        {"type": "diff", "changes": [{"operation": "move", "path": "/c", "oldPath": "/d"}],
            "patch": {"format": "git_patch", "text": "diff --git"}}]}),
    );
    let content = &talk.tool("t").content;
    let diff = |at: usize| (&content[at].diff, &content[at].diff.changes[0]);
    let (texts, change) = diff(0);
    assert_eq!(change.operation, "modify");
    assert_eq!(texts.old_text.as_ref().unwrap().as_str(), "x");
    let (texts, change) = diff(1);
    assert_eq!((change.operation.as_str(), &texts.old_text), ("add", &None));
    let (patch, change) = diff(2);
    assert_eq!(
        (change.operation.as_str(), change.old_path.as_str()),
        ("move", "/d")
    );
    assert_eq!(patch.patch.as_str(), "diff --git");
}

#[test]
fn command_output_comes_as_it_is_printed_in_both_versions() {
    let mut talk = Talk::begun(1);
    let meta = |meta: Value| json!({"sessionUpdate": "tool_call_update", "toolCallId": "t", "_meta": meta});
    talk.update(meta(
        json!({"terminal_info": {"terminal_id": "x", "cwd": "/src"}}),
    ));
    talk.update(meta(
        json!({"terminal_output_delta": {"terminal_id": "x", "data": "a\r\n"}}),
    ));
    talk.update(meta(
        json!({"terminal_output": {"terminal_id": "x", "data": "b"}}),
    ));
    talk.update(meta(
        json!({"terminal_exit": {"terminal_id": "x", "exit_code": 3, "signal": null}}),
    ));
    talk.update(
        json!({"sessionUpdate": "terminal_update", "terminalId": "y", "command": "ls",
        "output": {"data": "YQ=="}}),
    );
    talk.update(
        json!({"sessionUpdate": "terminal_output_chunk", "terminalId": "y", "data": "Yg=="}),
    );
    talk.update(
        json!({"sessionUpdate": "terminal_update", "terminalId": "y",
        "exitStatus": {"exitCode": null, "signal": "SIGTERM"}}),
    );
    let terminal = |id| {
        let item = talk.conversation.terminal(0, id).unwrap();
        match &talk.conversation.item(item).unwrap().body {
            ItemBody::Terminal(terminal) => terminal,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(terminal("x").output.bytes(), b"a\r\nb");
    assert_eq!(terminal("x").exit.as_ref().unwrap().code, Some(3));
    assert_eq!(talk.tool("t").content[0].refers_to, "x");
    assert_eq!(
        (terminal("y").command.as_str(), terminal("y").output.bytes()),
        ("ls", &b"ab"[..])
    );
    assert_eq!(terminal("y").exit.as_ref().unwrap().signal, "SIGTERM");
}

#[test]
fn what_can_be_set_is_known_however_it_is_said() {
    let mut talk = Talk::default();
    talk.note(Note::Started {
        environment: Environment::default(),
    });
    let id = talk.ask("session/new", json!({}));
    talk.reply(id, json!({"sessionId": "s",
        "modes": {"currentModeId": "ask", "availableModes": [{"id": "ask", "name": "Ask"}, {"id": "yolo", "name": "Yolo"}]},
        "models": {"currentModelId": "big", "availableModels": [{"modelId": "big", "name": "Big"}]}}));
    let value = |talk: &Talk| talk.main().mode().unwrap().value.clone();
    assert_eq!(value(&talk), "ask");
    assert_eq!(talk.main().mode().unwrap().values.len(), 2);
    assert_eq!(talk.main().model().unwrap().values[0].name, "Big");
    let id = talk.ask(
        "session/set_mode",
        json!({"sessionId": "s", "modeId": "yolo"}),
    );
    assert_eq!(value(&talk), "ask");
    talk.reply(id, json!({}));
    assert_eq!(value(&talk), "yolo");
    talk.update(json!({"sessionUpdate": "current_mode_update", "currentModeId": "ask"}));
    assert_eq!(value(&talk), "ask");
    talk.update(json!({"sessionUpdate": "config_option_update", "configOptions": [
        {"id": "mode", "name": "Mode", "category": "mode", "type": "select", "currentValue": "plan",
            "options": [{"group": "g", "name": "G", "options": [{"value": "plan", "name": "Plan"}]}]},
        {"configId": "fast", "name": "Fast", "type": "boolean", "currentValue": true}]}));
    assert_eq!(value(&talk), "plan");
    assert_eq!(talk.main().mode().unwrap().values[0].id, "plan");
    assert_eq!(talk.main().options[1].value, "true");
}

#[test]
fn plans_commands_usage_and_titles_are_the_newest() {
    let mut talk = Talk::begun(2);
    let steps = |status| json!([{"content": "look", "priority": "high", "status": status}]);
    talk.update(json!({"sessionUpdate": "plan_update",
        "plan": {"type": "items", "planId": "p", "entries": steps("pending")}}));
    talk.update(json!({"sessionUpdate": "plan_update",
        "plan": {"type": "items", "planId": "p", "entries": steps("completed")}}));
    talk.update(json!({"sessionUpdate": "plan", "entries": steps("in_progress")}));
    let statuses: Vec<_> = talk
        .main()
        .plans
        .iter()
        .map(|plan| plan.steps[0].status.clone())
        .collect();
    assert_eq!(statuses, ["completed", "in_progress"]);
    talk.update(json!({"sessionUpdate": "plan_removed", "planId": "p"}));
    assert_eq!(talk.main().plans.len(), 1);
    talk.update(
        json!({"sessionUpdate": "available_commands_update", "availableCommands": [
        {"name": "compact", "description": "Sum up", "input": {"type": "text", "hint": "how"}}]}),
    );
    assert_eq!(talk.main().commands[0].hint, "how");
    talk.update(
        json!({"sessionUpdate": "usage_update", "used": 10, "size": 100,
        "cost": {"amount": 0.5, "currency": "USD"}}),
    );
    talk.update(json!({"sessionUpdate": "usage_update", "used": 20, "size": 100}));
    let usage = &talk.main().usage;
    assert_eq!(
        (usage.used, usage.size, usage.cost),
        (Some(20), Some(100), Some(0.5))
    );
    talk.update(json!({"sessionUpdate": "session_info_update", "title": "Fixing"}));
    assert_eq!(talk.main().title, "Fixing");
    assert!(talk.shown().is_empty());
}

#[test]
fn subagents_have_threads_of_their_own() {
    let mut talk = Talk::begun(1);
    talk.prompt("bo", "delegate");
    talk.update(
        json!({"sessionUpdate": "subagent_update", "sessionId": "child", "title": "Searcher",
        "state": {"state": "running"}}),
    );
    let content = json!({"type": "text", "text": "found"});
    talk.update_of(
        "child",
        json!({"sessionUpdate": "agent_message_chunk", "content": content}),
    );
    let child = &talk.conversation.threads()[1];
    assert_eq!((child.title.as_str(), child.parent), ("Searcher", Some(0)));
    assert_eq!(talk.conversation.activity(1), Activity::Working);
    let (_, item) = talk.conversation.items().next_back().unwrap();
    assert_eq!(
        (item.thread, shown(&item.body).as_str()),
        (1, "says: found")
    );
}

#[test]
fn updates_before_the_session_is_known_are_its() {
    let mut talk = Talk::default();
    let id = talk.ask("session/new", json!({}));
    talk.update_of(
        "early",
        json!({"sessionUpdate": "session_info_update", "title": "T"}),
    );
    talk.reply(id, json!({"sessionId": "early"}));
    assert_eq!(talk.conversation.threads().len(), 1);
    assert_eq!(talk.main().title, "T");
}

#[test]
fn what_is_not_known_is_counted_and_nothing_is_lost_by_it() {
    let mut talk = Talk::begun(1);
    for _ in 0..3 {
        talk.update(json!({"sessionUpdate": "dance", "to": "music"}));
    }
    talk.agent(json!({"method": "_session/retrying", "params": {}}));
    talk.agent(json!({"id": 1, "method": "craft/drain", "params": {}}));
    talk.agent(json!({"id": 99, "result": null}));
    talk.agent(json!({"method": "session/update", "params": {"sessionId": 3}}));
    talk.conversation.apply_text("no entry");
    let expected = [
        "dance × 3",
        "_session/retrying × 1",
        "craft/drain × 1",
        "an answer to no request × 1",
        "session/update × 1",
        "entry × 1",
    ];
    assert_eq!(talk.shown(), expected);
}

#[test]
fn wrong_types_are_taken_as_not_said() {
    let mut talk = Talk::begun(1);
    talk.update(
        json!({"sessionUpdate": "tool_call", "toolCallId": "t", "title": 3, "status": [],
        "content": "x", "locations": {}, "rawInput": null}),
    );
    talk.update(json!({"sessionUpdate": "tool_call", "toolCallId": 3}));
    talk.update(json!({"sessionUpdate": "agent_message_chunk", "content": 7}));
    talk.update(json!({"sessionUpdate": "usage_update", "used": -1, "size": "x", "cost": 1}));
    talk.update(json!({"sessionUpdate": "available_commands_update", "availableCommands": 1}));
    assert_eq!(talk.tool("t").title, "");
    assert_eq!(talk.main().usage.used, None);
}

#[test]
fn stop_reasons_and_errors_end_a_turn() {
    for (word, stop) in [
        ("max_tokens", Stop::MaxTokens),
        ("cancelled", Stop::Cancelled),
        ("bored", Stop::Other),
    ] {
        let mut talk = Talk::begun(1);
        let prompt = talk.prompt("bo", "go");
        talk.update(json!({"sessionUpdate": "tool_call", "toolCallId": "t", "title": "Run"}));
        talk.reply(prompt, json!({"stopReason": word}));
        assert_eq!(talk.tool("t").status(), ToolStatus::LeftOpen);
        let (_, item) = talk.conversation.items().next_back().unwrap();
        let ItemBody::TurnEnd(end) = &item.body else {
            panic!("{item:?}")
        };
        assert_eq!((end.stop(), end.stop_word.as_str()), (stop, word));
        // Work that goes on after the turn is shown.
        talk.update(
            json!({"sessionUpdate": "tool_call_update", "toolCallId": "t", "status": "completed"}),
        );
        assert_eq!(talk.tool("t").status(), ToolStatus::Completed);
    }
    let mut talk = Talk::begun(1);
    let prompt = talk.prompt("bo", "go");
    let error =
        json!({"code": -32603, "message": "Internal error", "data": {"details": "no credit"}});
    talk.agent(json!({"id": prompt, "error": error}));
    assert_eq!(
        talk.shown().last().unwrap(),
        "ends: Internal error: no credit"
    );
    let mode = talk.ask("session/set_mode", json!({"modeId": "x"}));
    talk.agent(json!({"id": mode, "error": {"code": -32602}}));
    assert_eq!(
        talk.shown().last().unwrap(),
        "error: session/set_mode: error -32602"
    );
}

#[test]
fn what_an_agent_tells_again_while_it_loads_is_not_shown_twice() {
    let mut talk = Talk::begun(1);
    let prompt = talk.prompt("bo", "fix it");
    talk.text("agent_message_chunk", Some("m"), "half an ans");
    talk.note(Note::Ended {
        exit: Exit::default(),
    });
    talk.note(Note::Started {
        environment: Environment::default(),
    });
    assert_eq!(talk.conversation.activity(0), Activity::Idle);
    let id = talk.ask("session/load", json!({"sessionId": "s"}));
    assert!(id > prompt);
    talk.text("user_message_chunk", Some("u"), "fix it");
    talk.text("agent_message_chunk", Some("other"), "[Function Call: x]");
    talk.update(json!({"sessionUpdate": "usage_update", "used": 5, "size": 10}));
    talk.reply(id, json!({}));
    talk.text("agent_message_chunk", Some("new"), "again");
    let expected = ["bo: fix it", "says: half an ans", "ended: ", "says: again"];
    assert_eq!(talk.shown(), expected);
    assert_eq!(talk.main().usage.used, Some(5));
}

#[test]
fn what_an_agent_that_was_started_again_names_as_before_is_new() {
    let mut talk = Talk::begun(1);
    talk.prompt("bo", "fix it");
    talk.text("agent_message_chunk", Some("m-1"), "half an ans");
    let tool = |status| json!({"sessionUpdate": "tool_call", "toolCallId": "t-1", "title": "Look", "status": status});
    talk.update(tool("completed"));
    talk.note(Note::Ended {
        exit: Exit::default(),
    });
    talk.note(Note::Started {
        environment: Environment::default(),
    });
    let id = talk.ask("session/new", json!({"cwd": "/src"}));
    talk.reply(id, json!({"sessionId": "s"}));
    // Who came meanwhile goes on with the same.
    let mut late = Conversation::from_snapshot(&talk.conversation.snapshot()).unwrap();
    assert_eq!(late, talk.conversation);
    talk.text("user_message_chunk", Some("u-1"), "fix it");
    talk.text("agent_message_chunk", Some("m-1"), "again");
    talk.update(tool("pending"));
    let shown = talk.shown();
    assert_eq!(shown[0..2], ["bo: fix it", "says: half an ans"]);
    assert!(shown.contains(&"says: again".to_owned()), "{shown:?}");
    assert_eq!(talk.tool("t-1").status(), ToolStatus::Pending);
    for (kind, id, text) in [
        ("user_message_chunk", "u-1", "fix it"),
        ("agent_message_chunk", "m-1", "again"),
    ] {
        let update = json!({"sessionUpdate": kind, "messageId": id, "content": {"type": "text", "text": text}});
        let message =
            json!({"method": "session/update", "params": {"sessionId": "s", "update": update}});
        let message = message.to_string();
        let entry = Entry {
            at_ms: 99,
            what: Logged::FromAgent(Message::parse(&message).unwrap()),
        };
        late.apply_text(&entry.encode());
    }
    let texts: Vec<String> = late
        .items()
        .map(|(_, item)| self::shown(&item.body))
        .collect();
    assert!(texts.contains(&"says: again".to_owned()), "{texts:?}");
}

#[test]
fn a_session_that_is_adopted_is_shown_as_the_agent_tells_it() {
    let mut talk = Talk::default();
    talk.note(Note::Started {
        environment: Environment::default(),
    });
    talk.ask("session/load", json!({"sessionId": "s"}));
    talk.text("user_message_chunk", Some("u"), "earlier");
    assert_eq!(talk.shown(), ["somebody: earlier"]);
}

#[test]
fn lines_that_are_no_messages_are_shown_cut() {
    let mut talk = Talk::begun(1);
    talk.note(Note::Garbage {
        text: "npm warn".into(),
        bytes: 8,
    });
    talk.note(Note::Oversized {
        text: "{".into(),
        bytes: 100_000_000,
    });
    let omitted: Vec<u64> = talk
        .conversation
        .items()
        .map(|(_, item)| match &item.body {
            ItemBody::Notice(notice) => notice.description.omitted(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(omitted, [0, 99_999_999]);
    assert_eq!(talk.shown()[0], "garbage: npm warn");
}

#[test]
fn ids_that_are_too_long_are_said() {
    let mut talk = Talk::begun(1);
    let long = "x".repeat(limits::MAX_ID + 1);
    talk.update(json!({"sessionUpdate": "tool_call", "toolCallId": long, "title": "Run"}));
    assert!(talk.shown()[0].starts_with(Notice::LONG_ID));
}

#[test]
fn somebody_who_may_see_less_sees_what_began_later() {
    let mut talk = Talk::begun(1);
    talk.prompt("bo", "secret plans");
    let question = talk.permission(0, "t");
    let from = talk.conversation.next();
    talk.text("agent_message_chunk", None, "hello");
    let seen = talk.conversation.visible_from(from);
    let shown: Vec<_> = seen.items().map(|(_, item)| shown(&item.body)).collect();
    assert_eq!(shown, ["says: hello"]);
    // What waits for an answer is there whenever it was asked.
    assert!(seen.question(question).unwrap().is_open());
    let joined = Conversation::from_snapshot(&seen.snapshot()).unwrap();
    assert_eq!(joined, seen);
}

#[test]
fn the_state_is_bounded_whatever_comes() {
    let mut talk = Talk::begun(1);
    let question = talk.permission(0, "asked before");
    let large = "x".repeat(150_000);
    for number in 0..30 {
        talk.text("agent_message_chunk", Some(&format!("{number}")), &large);
    }
    let text = json!({"type": "content", "content": {"type": "text", "text": large}});
    talk.update(
        json!({"sessionUpdate": "tool_call", "toolCallId": "large", "title": large,
        "rawInput": large, "content": vec![text; 5]}),
    );
    for number in 0..=limits::MAX_ITEMS {
        talk.text("agent_message_chunk", Some(&format!("small {number}")), "x");
    }
    let long = &large[..300];
    let words = |name: &str| {
        let word = json!({"name": name, "description": long, "input": {"hint": long}});
        Value::from(vec![word; limits::MAX_CHOICES + 1])
    };
    for thread in 0..10 {
        let session = format!("child {thread}");
        for (kind, field) in [
            ("available_commands_update", "availableCommands"),
            ("config_option_update", "configOptions"),
            ("plan", "entries"),
        ] {
            talk.update_of(&session, json!({"sessionUpdate": kind, field: words("x")}));
        }
    }
    for thread in 0..=limits::MAX_THREADS {
        let update = json!({"sessionUpdate": "session_info_update", "title": "x"});
        talk.update_of(&format!("other {thread}"), update);
    }
    for request in 1..=limits::MAX_OPEN_QUESTIONS as u64 {
        talk.permission(request, "t");
    }
    for prompt in 0..100 {
        talk.note(Note::Queued {
            prompt,
            by: author("bo"),
            text: large[..20_000].into(),
        });
    }
    let conversation = &talk.conversation;
    assert!(conversation.items().count() <= limits::MAX_ITEMS);
    assert!(conversation.threads().len() <= limits::MAX_THREADS);
    assert_eq!(
        conversation.open_questions().count(),
        limits::MAX_OPEN_QUESTIONS
    );
    assert!(
        conversation
            .question(question)
            .is_none_or(|question| !question.is_open())
    );
    let snapshot = conversation.snapshot();
    assert!(snapshot.len() < 8 * 1024 * 1024, "{}", snapshot.len());
    assert_eq!(
        &Conversation::from_snapshot(&snapshot).unwrap(),
        conversation
    );
}

#[test]
fn a_question_stays_answerable_when_its_item_is_no_longer_held() {
    let mut talk = Talk::begun(1);
    let question = talk.permission(7, "t");
    for number in 0..limits::MAX_ITEMS + 10 {
        talk.text("agent_message_chunk", Some(&format!("{number}")), "x");
    }
    assert!(talk.conversation.item(question).is_none());
    assert_eq!(talk.conversation.activity(0), Activity::NeedsAnswer);
    talk.note(Note::Claimed {
        question,
        by: Some(author("bo")),
    });
    let mut joined = Conversation::from_snapshot(&talk.conversation.snapshot()).unwrap();
    assert_eq!(
        joined.question(question).unwrap().claimed_by,
        Some(author("bo"))
    );
    talk.answer(7, "bo", "yes");
    assert_eq!(talk.conversation.open_questions().count(), 0);
    joined.apply_text(r#"{"at":1,"note":{"kind":"closed","question":0,"why":"withdrawn"}}"#);
    assert_eq!(joined.next(), talk.conversation.next());
}
