//! Editors of both versions at conversations with agents of both versions: what they are sent is golden, line by line.
//! `tests/schema` holds the same lines to the protocol's own types. `BLESS=1` writes them.

use std::{fmt::Write as _, path::Path};

use pillion_conversation::{
    About, Answer, Conversation, ConversationRequest, Editor, EditorOutput, Seen,
};
use serde_json::{Value, json};

const ANNA: &str = "anna-key";

/// A conversation, an editor of Anna's, and what they say.
struct Talk {
    shown: Conversation,
    editor: Editor,
    at_ms: u64,
    next_id: u64,
    may_prompt: bool,
    may_approve: bool,
    transcript: String,
    /// Numbers of requests to the host that have no answer.
    wants: Vec<(u64, ConversationRequest)>,
    /// What the editor was sent.
    sent: Vec<Value>,
}

impl Talk {
    fn new() -> Talk {
        Talk {
            shown: Conversation::new(),
            editor: Editor::new(About {
                name: "pillion".to_owned(),
                version: "1.0".to_owned(),
                session: "shared".to_owned(),
            }),
            at_ms: 1_764_500_000_000,
            next_id: 1,
            may_prompt: true,
            may_approve: true,
            transcript: String::new(),
            wants: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// An entry of the conversation's log.
    fn entry(&mut self, what: Value) {
        let mut entry = what;
        entry["at"] = json!(self.at_ms);
        self.at_ms += 1;
        self.shown.apply_text(&entry.to_string());
    }

    fn agent(&mut self, message: Value) {
        self.entry(json!({"agent": message}));
    }

    fn update(&mut self, update: Value) {
        self.agent(
            json!({"method": "session/update", "params": {"sessionId": "s", "update": update}}),
        );
    }

    fn host(
        &mut self,
        method: &str,
        params: Value,
        by: Option<(&str, &str)>,
        prompt: Option<u64>,
    ) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let mut entry =
            json!({"host": {"jsonrpc": "2.0", "id": id, "method": method, "params": params}});
        if let Some((id, name)) = by {
            entry["by"] = json!({"id": id, "name": name, "right": "prompt"});
        }
        if let Some(prompt) = prompt {
            entry["prompt"] = json!(prompt);
        }
        self.entry(entry);
        id
    }

    fn queued(&mut self, number: u64, by: (&str, &str), text: &str) {
        let by = json!({"id": by.0, "name": by.1, "right": "prompt"});
        self.entry(json!({"note": {"kind": "queued", "prompt": number, "by": by, "text": text}}));
    }

    fn prompted(&mut self, number: u64, by: (&str, &str), text: &str) -> u64 {
        let params = json!({"sessionId": "s", "prompt": [{"type": "text", "text": text}]});
        self.host("session/prompt", params, Some(by), Some(number))
    }

    /// The editor says a line.
    fn says(&mut self, line: &Value) {
        let line = line.to_string();
        writeln!(self.transcript, "> {line}").unwrap();
        let seen = Seen {
            conversation: (self.shown.next() > 0).then_some(&self.shown),
            title: "work",
            you: ANNA,
            may_prompt: self.may_prompt,
            may_approve: self.may_approve,
            away: None,
        };
        self.editor.handle_line(&line, &seen);
        self.drain();
    }

    fn look(&mut self) {
        let seen = Seen {
            conversation: (self.shown.next() > 0).then_some(&self.shown),
            title: "work",
            you: ANNA,
            may_prompt: self.may_prompt,
            may_approve: self.may_approve,
            away: None,
        };
        self.editor.look(&seen);
        self.drain();
    }

    fn done(&mut self, result: Result<(), &str>) {
        let (number, _) = self.wants.remove(0);
        self.editor.done(number, result);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.editor.poll() {
            match output {
                EditorOutput::Send(line) => {
                    assert!(!line.contains('\n'));
                    writeln!(self.transcript, "< {line}").unwrap();
                    self.sent.push(serde_json::from_str(&line).unwrap());
                }
                EditorOutput::Want { number, request } => {
                    writeln!(self.transcript, "? {request:?}").unwrap();
                    self.wants.push((number, request));
                }
                EditorOutput::Say(text) => writeln!(self.transcript, "! {text}").unwrap(),
            }
        }
    }

    fn initialize(&mut self, version: u64) {
        self.says(
            &json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
                "protocolVersion": version,
                "clientInfo": {"name": "ed", "version": "1"},
                "clientCapabilities": {"session": {"notices": {}}, "subagents": {}},
                "info": {"name": "ed", "version": "1"},
                "capabilities": {},
            }}),
        );
    }

    fn request(&mut self, id: u64, method: &str, mut params: Value) {
        params["sessionId"] = json!("shared");
        self.says(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
    }

    /// The answer to one of the editor's requests.
    fn answer(&self, id: u64) -> Option<&Value> {
        let mut sent = self.sent.iter();
        sent.find(|line| line["id"] == id && line["method"].is_null())
    }

    /// Updates of a kind that the editor was sent.
    fn updates(&self, kind: &str) -> Vec<&Value> {
        let updates = self.sent.iter().map(|line| &line["params"]["update"]);
        updates
            .filter(|update| update["sessionUpdate"] == kind)
            .collect()
    }

    fn asked(&self) -> Option<&Value> {
        let mut sent = self.sent.iter().rev();
        sent.find(|line| line["method"] == "session/request_permission")
    }
}

/// An agent begins.
fn begin(talk: &mut Talk, version: u64) {
    talk.entry(
        json!({"note": {"kind": "started", "environment": {"command": ["agent"], "cwd": "/work"}}}),
    );
    let id = talk.host("initialize", json!({}), None, None);
    talk.agent(json!({"id": id, "result": {"protocolVersion": version, "agentInfo": {"name": "a", "version": "1"}}}));
    let id = talk.host("session/new", json!({"cwd": "/work"}), None, None);
    let name = if version == 1 { "id" } else { "configId" };
    talk.agent(json!({"id": id, "result": {"sessionId": "s", "configOptions": [
        {name: "mode", "name": "Mode", "category": "mode", "type": "select", "currentValue": "ask",
            "options": [{"value": "ask", "name": "Ask"}, {"value": "auto", "name": "Auto", "description": "No questions"}]},
        {name: "fast", "name": "Fast", "type": "boolean", "currentValue": true}]}}));
    let input = match version {
        1 => json!({"hint": "what"}),
        _ => json!({"type": "text", "hint": "what"}),
    };
    talk.update(json!({"sessionUpdate": "available_commands_update", "availableCommands": [
        {"name": "compact", "description": "Sums up", "input": input}, {"name": "init", "description": ""}]}));
}

/// A turn with one of everything, up to an open question.
fn first_half(talk: &mut Talk, version: u64) -> u64 {
    talk.queued(0, ("bo-key", "bo"), "fix it");
    let id = talk.prompted(0, ("bo-key", "bo"), "fix it");
    if version == 2 {
        talk.update(json!({"sessionUpdate": "user_message", "messageId": "u", "content": [{"type": "text", "text": "fix it"}]}));
        talk.agent(json!({"id": id, "result": {"messageId": "u"}}));
        talk.update(json!({"sessionUpdate": "state_update", "state": "running"}));
    }
    for piece in ["I thi", "nk"] {
        talk.update(json!({"sessionUpdate": "agent_thought_chunk", "messageId": "t", "content": {"type": "text", "text": piece}}));
    }
    let first = if version == 1 {
        "tool_call"
    } else {
        "tool_call_update"
    };
    talk.update(json!({"sessionUpdate": first, "toolCallId": "read", "title": "Read a.rs", "kind": "read", "status": "in_progress",
        "rawInput": {"path": "a.rs"}, "locations": [{"path": "/work/a.rs", "line": 3}]}));
    let diff = match version {
        1 => {
            json!({"type": "diff", "path": "/work/a.rs", "oldText": "one\ntwo\n", "newText": "one\n2\n"})
        }
        _ => {
            json!({"type": "diff", "changes": [{"operation": "modify", "path": "/work/a.rs"}], "patch": {"format": "git_patch",
            "text": "--- a/a.rs\n+++ b/a.rs\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"}})
        }
    };
    talk.update(
        json!({"sessionUpdate": "tool_call_update", "toolCallId": "read", "status": "completed",
        "content": [{"type": "content", "content": {"type": "text", "text": "done"}}, diff]}),
    );
    talk.update(json!({"sessionUpdate": first, "toolCallId": "make", "title": "Run make", "kind": "execute", "status": "in_progress"}));
    if version == 1 {
        let meta = |meta: Value| json!({"sessionUpdate": "tool_call_update", "toolCallId": "make", "_meta": meta});
        talk.update(meta(
            json!({"terminal_info": {"terminal_id": "term", "cwd": "/work", "command": "make"}}),
        ));
        talk.update(meta(json!({"terminal_output": {"terminal_id": "term", "data": "\u{1b}[31mcc\u{1b}[0m a.c\r\n"}})));
        talk.update(meta(
            json!({"terminal_exit": {"terminal_id": "term", "exit_code": 2}}),
        ));
    } else {
        talk.update(json!({"sessionUpdate": "terminal_update", "terminalId": "term", "command": "make", "cwd": "/work"}));
        talk.update(json!({"sessionUpdate": "terminal_output_chunk", "terminalId": "term", "data": "G1szMW1jYxtbMG0gYS5jDQo="}));
        talk.update(json!({"sessionUpdate": "tool_call_update", "toolCallId": "make", "content": [{"type": "terminal", "terminalId": "term"}]}));
        talk.update(json!({"sessionUpdate": "terminal_update", "terminalId": "term", "exitStatus": {"exitCode": 2}}));
    }
    talk.update(
        json!({"sessionUpdate": "tool_call_update", "toolCallId": "make", "status": "failed"}),
    );
    let entries = json!([{"content": "look", "priority": "high", "status": "completed"},
        {"content": "act", "priority": "odd", "status": "in_progress"}]);
    talk.update(match version {
        1 => json!({"sessionUpdate": "plan", "entries": entries}),
        _ => json!({"sessionUpdate": "plan_update", "plan": {"type": "items", "planId": "p", "entries": entries}}),
    });
    talk.update(json!({"sessionUpdate": "usage_update", "used": 1200, "size": 200_000, "cost": {"amount": 0.02, "currency": "USD"}}));
    talk.update(json!({"sessionUpdate": "subagent_update", "sessionId": "child", "title": "Searcher", "state": {"state": "running"}}));
    talk.agent(json!({"method": "session/update", "params": {"sessionId": "child", "update": {
        "sessionUpdate": "agent_message_chunk", "messageId": "c", "content": {"type": "text", "text": "found"}}}}));
    talk.update(json!({"sessionUpdate": "notice", "severity": "warning", "title": "Slow model", "description": "It takes its time"}));
    talk.update(json!({"sessionUpdate": "somersault"}));
    let options = json!([{"optionId": "yes", "name": "Allow", "kind": "allow_once"},
        {"optionId": "always", "name": "Always", "kind": "allow_always"}, {"optionId": "no", "name": "Reject", "kind": "reject_once"}]);
    let call = json!({"toolCallId": "write", "title": "Write b.rs", "kind": "edit"});
    talk.update(json!({"sessionUpdate": first, "toolCallId": "write", "title": "Write b.rs", "kind": "edit", "status": "pending"}));
    if version == 2 {
        talk.update(json!({"sessionUpdate": "state_update", "state": "requires_action"}));
    }
    talk.agent(match version {
        1 => json!({"id": 0, "method": "session/request_permission", "params": {"sessionId": "s", "toolCall": call, "options": options}}),
        _ => json!({"id": 0, "method": "session/request_permission", "params": {"sessionId": "s", "title": "Write b.rs?",
            "subject": {"type": "tool_call", "toolCall": call}, "options": options}}),
    });
    id
}

/// The question is answered by whom it is, and the turn ends.
fn second_half(talk: &mut Talk, version: u64, prompt: u64, by: (&str, &str)) {
    talk.entry(
        json!({"host": {"id": 0, "result": {"outcome": {"outcome": "selected", "optionId": "yes"}}},
        "by": {"id": by.0, "name": by.1, "right": "approve"}}),
    );
    if version == 2 {
        talk.update(json!({"sessionUpdate": "state_update", "state": "running"}));
    }
    talk.update(
        json!({"sessionUpdate": "tool_call_update", "toolCallId": "write", "status": "completed"}),
    );
    for piece in ["It is ", "done."] {
        talk.update(json!({"sessionUpdate": "agent_message_chunk", "messageId": "m", "content": {"type": "text", "text": piece}}));
        talk.look();
    }
    end(talk, version, prompt, "end_turn");
}

fn end(talk: &mut Talk, version: u64, prompt: u64, stop: &str) {
    match version {
        1 => talk.agent(json!({"id": prompt, "result": {"stopReason": stop}})),
        _ => talk
            .update(json!({"sessionUpdate": "state_update", "state": "idle", "stopReason": stop})),
    }
}

fn golden(name: &str, transcript: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/editor/{name}.golden"));
    if std::env::var_os("BLESS").is_some() {
        #[allow(clippy::disallowed_methods)] // For who has changed them.
        std::fs::write(&path, transcript).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    for (now, known) in transcript.lines().zip(known.lines()) {
        assert_eq!(now, known, "{name}");
    }
    assert_eq!(transcript.lines().count(), known.lines().count(), "{name}");
}

/// Everything between an agent and an editor, of these versions.
fn all(agent: u64, editor: u64) -> Talk {
    let mut talk = Talk::new();
    talk.initialize(editor);
    talk.request(
        1,
        "session/new",
        json!({"cwd": "/elsewhere", "mcpServers": []}),
    );
    assert!(talk.sent.len() == 1, "there is no conversation yet");
    begin(&mut talk, agent);
    talk.look();
    assert_eq!(talk.answer(1).unwrap()["result"]["sessionId"], "shared");
    // Another's turn, with one's own prompt behind it.
    let bos = first_half(&mut talk, agent);
    talk.look();
    let content = json!([{"type": "text", "text": "and test it"}]);
    talk.request(2, "session/prompt", json!({"prompt": content}));
    let ConversationRequest::Prompt { text } = &talk.wants[0].1 else {
        panic!("{:?}", talk.wants);
    };
    assert_eq!(text, "and test it");
    talk.queued(1, (ANNA, "anna"), "and test it");
    talk.done(Ok(()));
    talk.look();
    assert_eq!(
        talk.answer(2).is_some(),
        editor == 2,
        "version 2 answers at once"
    );
    // The question is answered in the editor.
    let asked = talk.asked().unwrap()["id"].as_u64().unwrap();
    talk.says(&json!({"jsonrpc": "2.0", "id": asked, "result": {"outcome": {"outcome": "selected", "optionId": "yes"}}}));
    let answer = Answer::Choice("yes".to_owned());
    assert!(
        matches!(&talk.wants[0].1, ConversationRequest::Answer { answer: given, .. } if *given == answer)
    );
    talk.done(Ok(()));
    second_half(&mut talk, agent, bos, (ANNA, "anna"));
    talk.look();
    // One's own turn.
    let own = talk.prompted(1, (ANNA, "anna"), "and test it");
    if agent == 2 {
        talk.agent(json!({"id": own, "result": {"messageId": "u2"}}));
        talk.update(json!({"sessionUpdate": "state_update", "state": "running"}));
    }
    talk.update(json!({"sessionUpdate": "agent_message_chunk", "messageId": "n", "content": {"type": "text", "text": "It works."}}));
    talk.look();
    assert_eq!(talk.answer(2).is_some(), editor == 2);
    end(&mut talk, agent, own, "end_turn");
    talk.look();
    assert!(talk.answer(2).is_some());
    // A setting.
    let set = json!({"configId": "mode", "type": "id", "value": "auto"});
    talk.request(3, "session/set_config_option", set);
    talk.done(Ok(()));
    talk.look();
    let id = talk.host(
        "session/set_config_option",
        json!({"sessionId": "s", "configId": "mode", "value": "auto"}),
        None,
        None,
    );
    let name = if agent == 1 { "id" } else { "configId" };
    talk.agent(json!({"id": id, "result": {"configOptions": [
        {name: "mode", "name": "Mode", "category": "mode", "type": "select", "currentValue": "auto",
            "options": [{"value": "ask", "name": "Ask"}, {"value": "auto", "name": "Auto"}]}]}}));
    talk.look();
    // It comes again, and is replayed to.
    let again = if editor == 1 {
        "session/load"
    } else {
        "session/resume"
    };
    talk.request(
        4,
        again,
        json!({"cwd": "/", "mcpServers": [], "replayFrom": {"type": "start"}}),
    );
    talk.request(5, "session/list", json!({}));
    talk.request(6, "session/close", json!({}));
    talk
}

#[test]
fn what_editors_are_sent_is_golden() {
    for agent in [1, 2] {
        for editor in [1, 2] {
            let talk = all(agent, editor);
            golden(&format!("agent-{agent}-editor-{editor}"), &talk.transcript);
        }
    }
}

/// What is shown in the end of updates, in whichever pieces they came: texts by message, and tools.
fn shown_of(updates: &[&Value]) -> Value {
    let mut all = serde_json::Map::new();
    for update in updates {
        let kind = update["sessionUpdate"].as_str().unwrap();
        if let (Some(id), Some(text)) = (
            update["messageId"].as_str(),
            update["content"]["text"].as_str(),
        ) {
            let known = all.entry(id).or_insert(json!(""));
            *known = json!(format!("{}{text}", known.as_str().unwrap()));
        }
        if kind.starts_with("tool_call") {
            let known = all
                .entry(update["toolCallId"].as_str().unwrap())
                .or_insert(json!({}));
            for (name, value) in update.as_object().unwrap() {
                known[name] = value.clone();
            }
            known["sessionUpdate"] = json!("");
        }
    }
    Value::Object(all)
}

#[test]
fn a_replay_shows_what_live_updates_showed() {
    for (agent, editor) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
        let talk = all(agent, editor);
        let loaded = talk.transcript.find("> {\"id\":4").unwrap();
        let live = talk.transcript[..loaded].lines().count();
        let at = talk
            .transcript
            .lines()
            .take(live)
            .filter(|line| line.starts_with("< "))
            .count();
        let of = |lines: &[Value]| {
            let updates: Vec<&Value> = lines.iter().map(|line| &line["params"]["update"]).collect();
            let updates: Vec<&Value> = updates
                .into_iter()
                .filter(|update| update.is_object())
                .collect();
            shown_of(&updates)
        };
        let (mut live, mut replayed) = (of(&talk.sent[..at]), of(&talk.sent[at..]));
        // Version 1 shows who writes a prompt their own text by itself.
        for one in [&mut live, &mut replayed] {
            one.as_object_mut().unwrap().remove("prompt-1");
        }
        assert_eq!(live, replayed, "{agent} {editor}");
    }
}

#[test]
fn who_may_watch_is_told_so_and_is_asked_nothing() {
    let mut talk = Talk::new();
    (talk.may_prompt, talk.may_approve) = (false, false);
    talk.initialize(1);
    begin(&mut talk, 1);
    talk.request(1, "session/load", json!({}));
    talk.request(
        2,
        "session/prompt",
        json!({"prompt": [{"type": "text", "text": "x"}]}),
    );
    let error = &talk.answer(2).unwrap()["error"];
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("ask its host for the right to prompt"),
        "{error}"
    );
    assert!(talk.wants.is_empty());
    first_half(&mut talk, 1);
    talk.look();
    assert!(talk.asked().is_none());
    // The right comes later, and the question with it.
    talk.may_approve = true;
    talk.look();
    assert!(talk.asked().is_some());
    // And goes.
    talk.may_approve = false;
    talk.look();
    assert_eq!(talk.sent.last().unwrap()["method"], "$/cancel_request");
}

#[test]
fn a_question_that_somebody_else_answers_is_taken_back() {
    for version in [1, 2] {
        let mut talk = Talk::new();
        talk.initialize(version);
        begin(&mut talk, version);
        talk.request(
            1,
            "session/attach",
            json!({"historyPolicy": "pending_only", "clientInfo": {"name": "dash"}}),
        );
        assert_eq!(talk.answer(1).unwrap()["result"]["clientId"], "dash");
        let prompt = first_half(&mut talk, version);
        talk.look();
        let asked = talk.asked().unwrap()["id"].clone();
        second_half(&mut talk, version, prompt, ("bo-key", "bo"));
        talk.look();
        let taken_back = talk
            .sent
            .iter()
            .find(|line| line["method"] == "$/cancel_request")
            .unwrap();
        assert_eq!(taken_back["params"]["requestId"], asked);
        let resolved = talk.updates("permission_resolved");
        assert_eq!(
            resolved[0]["outcome"],
            json!({"kind": "selected", "optionId": "yes"})
        );
        // An answer that was on its way counts for nothing.
        talk.says(&json!({"jsonrpc": "2.0", "id": asked, "result": {"outcome": {"outcome": "selected", "optionId": "no"}}}));
        assert!(talk.wants.is_empty());
    }
}

#[test]
fn an_answer_that_is_refused_is_asked_for_again_and_a_claim_hides_the_question() {
    let mut talk = Talk::new();
    talk.initialize(1);
    begin(&mut talk, 1);
    talk.request(1, "session/load", json!({}));
    first_half(&mut talk, 1);
    talk.look();
    let first = talk.asked().unwrap()["id"].clone();
    talk.says(&json!({"jsonrpc": "2.0", "id": first, "result": {"outcome": {"outcome": "selected", "optionId": "always"}}}));
    assert!(
        matches!(talk.wants[0].1, ConversationRequest::AllowAlike { .. }),
        "{:?}",
        talk.wants
    );
    talk.done(Err("somebody else is about to answer this question"));
    assert_eq!(
        talk.updates("notice").last().unwrap()["title"],
        "somebody else is about to answer this question"
    );
    let (item, _) = talk.shown.open_questions().next().unwrap();
    talk.entry(json!({"note": {"kind": "claimed", "question": item, "by": {"id": "bo-key", "name": "bo", "right": "approve"}}}));
    talk.look();
    assert_eq!(talk.asked().unwrap()["id"], first, "it is somebody else's");
    talk.entry(json!({"note": {"kind": "claimed", "question": item, "by": null}}));
    talk.look();
    let second = talk.asked().unwrap()["id"].clone();
    assert_ne!(second, first);
    // What makes no choice leaves it to others.
    talk.says(
        &json!({"jsonrpc": "2.0", "id": second, "result": {"outcome": {"outcome": "cancelled"}}}),
    );
    talk.look();
    assert!(talk.wants.is_empty());
    assert_eq!(talk.asked().unwrap()["id"], second);
}

#[test]
fn cancel_takes_back_what_waits_or_stops_the_turn() {
    let mut talk = Talk::new();
    talk.initialize(1);
    begin(&mut talk, 1);
    talk.request(1, "session/load", json!({}));
    let prompt = first_half(&mut talk, 1);
    talk.request(
        2,
        "session/prompt",
        json!({"prompt": [{"type": "text", "text": "mine"}]}),
    );
    talk.done(Ok(()));
    talk.queued(1, (ANNA, "anna"), "mine");
    talk.look();
    let cancel =
        json!({"jsonrpc": "2.0", "method": "session/cancel", "params": {"sessionId": "shared"}});
    talk.says(&cancel);
    assert_eq!(
        talk.wants.remove(0).1,
        ConversationRequest::Withdraw { prompt: 1 }
    );
    assert!(talk.wants.is_empty(), "another's turn goes on");
    talk.entry(json!({"note": {"kind": "withdrawn", "prompt": 1, "by": {"id": ANNA, "name": "anna", "right": "prompt"}}}));
    talk.look();
    assert_eq!(talk.answer(2).unwrap()["result"]["stopReason"], "cancelled");
    // Without one's own it is the turn that is seen.
    talk.says(&cancel);
    assert_eq!(talk.wants.remove(0).1, ConversationRequest::Cancel);
    end(&mut talk, 1, prompt, "cancelled");
    talk.look();
}

#[test]
fn a_prompt_ends_with_an_error_of_the_agents_or_with_the_agent() {
    let mut talk = Talk::new();
    talk.initialize(1);
    begin(&mut talk, 1);
    talk.request(1, "session/load", json!({}));
    for (id, number) in [(2, 0), (3, 1)] {
        talk.request(
            id,
            "session/prompt",
            json!({"prompt": [{"type": "text", "text": "same"}]}),
        );
        talk.done(Ok(()));
        talk.queued(number, (ANNA, "anna"), "same");
        talk.look();
    }
    let first = talk.prompted(0, (ANNA, "anna"), "same");
    talk.agent(
        json!({"id": first, "error": {"code": -32603, "message": "the model answered 500"}}),
    );
    talk.look();
    assert_eq!(
        talk.answer(2).unwrap()["error"]["message"],
        "the model answered 500"
    );
    assert!(talk.answer(3).is_none());
    talk.entry(
        json!({"note": {"kind": "ended", "exit": {"code": 101, "signal": "", "fault": ""}}}),
    );
    talk.look();
    let said = talk.answer(3).unwrap()["error"]["message"].to_string();
    assert!(said.contains("exit code 101"), "{said}");
    assert_eq!(
        talk.wants.remove(0).1,
        ConversationRequest::Withdraw { prompt: 1 }
    );
    talk.editor.end("the session has ended");
    talk.drain();
    talk.request(
        9,
        "session/prompt",
        json!({"prompt": [{"type": "text", "text": "x"}]}),
    );
    assert_eq!(
        talk.answer(9).unwrap()["error"]["message"],
        "the session has ended"
    );
}

#[test]
fn a_turn_goes_on_between_its_prompt_and_what_the_agent_says_first() {
    let mut talk = Talk::new();
    talk.initialize(2);
    begin(&mut talk, 2);
    talk.request(1, "session/new", json!({}));
    let own = talk.prompted(0, (ANNA, "anna"), "x");
    talk.look();
    // The answer says that it was taken, and nothing of whether it works.
    talk.agent(json!({"id": own, "result": {"messageId": "u"}}));
    talk.look();
    talk.update(json!({"sessionUpdate": "state_update", "state": "running"}));
    talk.look();
    end(&mut talk, 2, own, "end_turn");
    talk.look();
    let states = talk.updates("state_update");
    let states: Vec<&Value> = states.into_iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["idle", "running", "idle"]);
}

#[test]
fn what_is_no_message_or_unknown_is_answered_in_words() {
    let mut talk = Talk::new();
    talk.request(1, "session/new", json!({}));
    assert_eq!(talk.answer(1).unwrap()["error"]["code"], -32600);
    talk.initialize(7);
    assert_eq!(talk.answer(0).unwrap()["result"]["protocolVersion"], 2);
    begin(&mut talk, 1);
    talk.request(2, "session/dance", json!({}));
    assert_eq!(talk.answer(2).unwrap()["error"]["code"], -32601);
    talk.says(&json!({"jsonrpc": "2.0", "id": 3, "method": "session/resume", "params": {"sessionId": "other"}}));
    assert_eq!(talk.answer(3).unwrap()["error"]["code"], -32002);
    talk.says(&json!([1]));
    assert_eq!(talk.sent.last().unwrap()["id"], Value::Null);
}
