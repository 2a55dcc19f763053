//! Editors at shared conversations: a scripted one, which speaks both versions of the protocol, by the real `pillion acp`.

use serde_json::{Value, json};

use crate::{
    agents::{Talk, agent, call},
    harness::{Machine, Piped, until},
};

/// An editor with `pillion acp` as its agent.
pub struct Editor {
    pub process: Piped,
    version: u64,
    session: String,
    next_id: u64,
}

impl Editor {
    /// Starts it, and speaks with it as far as its first message.
    pub fn start(machine: &Machine, version: u64, arguments: &[&str]) -> Editor {
        let mut all = vec!["acp"];
        all.extend(arguments);
        Editor::speak(Piped::start_with_input(machine.pillion(&all)), version)
    }

    pub fn speak(process: Piped, version: u64) -> Editor {
        let mut editor = Editor {
            process,
            version,
            session: String::new(),
            next_id: 1,
        };
        let info = json!({"name": "scripted", "version": "1"});
        let answer = editor.call(
            "initialize",
            json!({
                "protocolVersion": version, "clientInfo": info, "info": info, "capabilities": {},
                "clientCapabilities": {"fs": {"readTextFile": false, "writeTextFile": false}},
            }),
        );
        assert_eq!(answer["result"]["protocolVersion"], version, "{answer}");
        editor
    }

    /// Attaches, and gives what it was answered.
    pub fn attach(&mut self) -> Value {
        let params = json!({"cwd": "/", "mcpServers": []});
        let answer = self.call("session/new", params);
        let session = answer["result"]["sessionId"].as_str();
        self.session = session.unwrap_or_else(|| panic!("{answer}")).to_owned();
        answer
    }

    /// Sends a request, and gives its number.
    pub fn request(&mut self, method: &str, mut params: Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        if params["sessionId"].is_null() && !self.session.is_empty() {
            params["sessionId"] = json!(self.session);
        }
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    /// The answer to a request.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params);
        self.answer(id)
    }

    pub fn prompt(&mut self, text: &str) -> u64 {
        let prompt = json!({"prompt": [{"type": "text", "text": text}]});
        self.request("session/prompt", prompt)
    }

    pub fn cancel(&mut self) {
        let params = json!({"sessionId": self.session});
        self.send(&json!({"jsonrpc": "2.0", "method": "session/cancel", "params": params}));
    }

    pub fn send(&mut self, message: &Value) {
        self.process.send(&format!("{message}\n"));
    }

    /// Everything that it was sent: each line is a message of the protocol, and nothing else is there.
    pub fn sent(&self) -> Vec<Value> {
        let text = self.process.out.text();
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let lines = whole.lines().map(|line| {
            let message: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            assert_eq!(message["jsonrpc"], "2.0", "{line}");
            message
        });
        lines.collect()
    }

    /// What `find` finds in what it was sent, once it does.
    pub fn until<T>(&self, what: &str, find: impl Fn(&[Value]) -> Option<T>) -> T {
        until(what, || {
            let found = find(&self.sent());
            if found.is_none() && self.process.out.is_over() {
                panic!("it ended before {what}: {}", self.process.err.text());
            }
            found
        })
    }

    pub fn answer(&self, id: u64) -> Value {
        self.until(&format!("the answer to {id}"), |sent| {
            let mut sent = sent.iter();
            sent.find(|one| one["id"] == id && one["method"].is_null())
                .cloned()
        })
    }

    /// Waits until it is shown a text in updates of a kind.
    pub fn shown(&self, kind: &str, text: &str) {
        self.until(&format!("{kind} {text:?}"), |sent| {
            texts(sent, kind).contains(text).then_some(())
        });
    }

    /// The question of the agent's that it is asked as the nth.
    pub fn question(&self, nth: usize) -> Value {
        self.until("a question", |sent| {
            let sent = sent.iter();
            let mut asked = sent.filter(|one| one["method"] == "session/request_permission");
            asked.nth(nth - 1).cloned()
        })
    }

    pub fn select(&mut self, question: &Value, option: &str) {
        let outcome = json!({"outcome": {"outcome": "selected", "optionId": option}});
        self.send(&json!({"jsonrpc": "2.0", "id": question["id"], "result": outcome}));
    }

    /// Waits for the end of the turn that a prompt began, and gives why it ended.
    pub fn turn_end(&self, prompt: u64) -> String {
        let answer = self.answer(prompt);
        if self.version == 1 {
            return answer["result"]["stopReason"].to_string();
        }
        let message = &answer["result"]["messageId"];
        assert!(message.is_string(), "{answer}");
        self.until("the end of the turn", |sent| {
            let updates = sent.iter().map(|one| &one["params"]["update"]);
            let mut updates = updates.skip_while(|one| {
                one["sessionUpdate"] != "user_message" || one["messageId"] != *message
            });
            let idle = updates
                .find(|one| one["sessionUpdate"] == "state_update" && one["state"] == "idle");
            idle.map(|idle| idle["stopReason"].to_string())
        })
    }
}

/// The texts of updates of a kind, with those that version 2 has in its place.
fn texts(sent: &[Value], kind: &str) -> String {
    let whole = kind.strip_suffix("_chunk").unwrap_or(kind);
    let mut out = String::new();
    for update in sent.iter().map(|one| &one["params"]["update"]) {
        if update["sessionUpdate"] == kind || update["sessionUpdate"] == whole {
            let content = &update["content"];
            out.push_str(content["text"].as_str().unwrap_or_default());
            for block in content.as_array().into_iter().flatten() {
                out.push_str(block["text"].as_str().unwrap_or_default());
            }
        }
    }
    out
}

#[test]
fn an_editor_of_either_version_takes_part_in_a_conversation_with_an_agent_of_either() {
    for (agent, version) in [("1", 1), ("2", 2), ("1", 2), ("2", 1)] {
        let (anna, bo) = (Machine::new(), Machine::new());
        call(&bo, "bo");
        let talk = Talk::begin(&anna, &["--share"], &["--version", agent]);
        talk.idle();
        anna.run(&["prompt", "think:hmm say:hello tool edit run plan"]);
        talk.until("it was done", |standing| {
            standing["activity"] == "idle" && standing["entries"].as_u64() > Some(20)
        });
        let mut editor = Editor::start(&bo, version, &[&talk.ticket]);
        editor.attach();
        // What was said before it came.
        editor.shown("user_message_chunk", "think:hmm say:hello");
        editor.shown("agent_thought_chunk", "hmm");
        editor.shown("agent_message_chunk", "hello");
        // By the ticket alone it is watched.
        let refused = editor.call(
            "session/prompt",
            json!({"prompt": [{"type": "text", "text": "x"}]}),
        );
        let why = refused["error"]["message"].to_string();
        assert!(
            why.contains("ask its host for the right to prompt"),
            "{why}"
        );
        // The host has an editor, too.
        let mut hosts = Editor::start(&anna, version, &[&talk.session]);
        hosts.attach();
        hosts.shown("agent_message_chunk", "hello");
        anna.run(&["grant", "bo", "--can", "prompt,approve"]);
        editor.process.err.wait_for("approve");
        // A prompt of its own, and a question of the agent's that it answers.
        let prompt = editor.prompt("say:mine ask say:after");
        editor.shown("agent_message_chunk", "mine");
        let question = editor.question(1);
        assert!(
            question["params"].to_string().contains("Write b.rs"),
            "{question}"
        );
        editor.select(&question, "allow");
        assert_eq!(editor.turn_end(prompt), "\"end_turn\"");
        editor.shown("agent_message_chunk", "after");
        until("the log says who answered", || {
            talk.transcript().contains("allow by bo").then_some(())
        });
        // Somebody else's prompt is seen, and their answer takes the question away.
        let others = hosts.prompt("say:others ask");
        editor.shown("user_message_chunk", "say:others ask");
        let second = editor.question(2);
        let question = hosts.question(2);
        hosts.select(&question, "allow");
        assert_eq!(hosts.turn_end(others), "\"end_turn\"");
        editor.until("the question is taken back", |sent| {
            let mut sent = sent.iter();
            sent.find(|one| {
                one["method"] == "$/cancel_request" && one["params"]["requestId"] == second["id"]
            })
            .map(drop)
        });
        // It stops its own turn.
        let prompt = editor.prompt("say:begun wait");
        editor.shown("agent_message_chunk", "begun");
        editor.cancel();
        assert_eq!(editor.turn_end(prompt), "\"cancelled\"");
        // The session ends under it.
        let prompt = editor.prompt("say:waiting wait");
        editor.shown("agent_message_chunk", "waiting");
        anna.run(&["close", "--all", "--session", &talk.session]);
        if version == 1 {
            let error = editor.answer(prompt)["error"]["message"].to_string();
            assert!(error.contains("ended"), "{error}");
        }
        let error = editor.call(
            "session/prompt",
            json!({"prompt": [{"type": "text", "text": "x"}]}),
        );
        assert!(
            error["error"]["message"].to_string().contains("ended"),
            "{error}"
        );
        editor.process.end_input();
        assert_eq!(editor.process.wait_exit().code(), Some(0));
    }
}

#[test]
fn an_editors_own_agent_is_shared_while_it_runs_and_ends_with_the_editor() {
    for version in [1, 2] {
        let (anna, bo) = (Machine::new(), Machine::new());
        call(&bo, "bo");
        let agent = agent();
        let number = version.to_string();
        let wrapped = ["--wrap", "--", &agent, "--version", &number];
        let mut editor = Editor::start(&anna, version, &wrapped);
        editor.attach();
        let prompt = editor.prompt("say:alone ask");
        editor.shown("agent_message_chunk", "alone");
        let question = editor.question(1);
        editor.select(&question, "allow");
        assert_eq!(editor.turn_end(prompt), "\"end_turn\"");
        // It is a session like any other, and is shared now, from here on.
        let session = anna.session();
        let id = session["session"].as_str().unwrap().to_owned();
        anna.run(&["share", &id]);
        anna.run(&["allow", "link", "--session", &id]);
        let ticket = anna.run(&["ticket", &id]).trim().to_owned();
        let mut bert = bo.join((80, 24), &ticket, &["--name", "bo"]);
        bert.wait_for("You watch this conversation");
        anna.run(&["grant", "bo", "--can", "prompt,approve"]);
        bert.wait_for("Write to the agent");
        // A viewer's prompt is seen in the editor, and what it makes the agent ask is asked there, too.
        bert.send("say:steered ask\r");
        editor.shown("user_message_chunk", "say:steered ask");
        editor.shown("agent_message_chunk", "steered");
        let question = editor.question(2);
        editor.select(&question, "allow");
        bert.wait_for("Allow by");
        // And the editor's by the viewer.
        let prompt = editor.prompt("say:last ask say:over");
        bert.wait_for("last");
        let question = editor.question(3);
        bert.wait_for("Scripted agent asks");
        let mut looks = 0;
        until("the viewer's answer counts", || {
            if looks % 20 == 0 {
                bert.send("y");
            }
            looks += 1;
            // A key that comes before the question could be read begins that again: this takes its time.
            anna.run(&["conversation"]);
            let taken_back = |one: &Value| {
                one["method"] == "$/cancel_request" && one["params"]["requestId"] == question["id"]
            };
            editor.sent().iter().any(taken_back).then_some(())
        });
        assert_eq!(editor.turn_end(prompt), "\"end_turn\"");
        // With the editor the session ends, and its recording stays.
        editor.process.end_input();
        assert_eq!(editor.process.wait_exit().code(), Some(0));
        bert.wait_for("ended");
        until("the recording is there", || {
            let said = anna.output(&["export", &id]);
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            (said.contains("alone") && said.contains("over")).then_some(())
        });
    }
}
