//! An agent that does what its prompts say, word by word, and has every bad habit of real agents as a switch.
//!
//! ```text
//! pillion-scripted-agent [--version 1|2] [--store FILE [--replays]] [TRAP]...
//! ```
//!
//! With `--store` it keeps what it was told in a file, and goes on with that when it is started again: it resumes its
//! session, or with `--replays` loads it, which tells all of it again.
//!
//! A prompt is words, done one after the other: `say:TEXT`, `think:TEXT`, `tool`, `ask` (a tool that needs a
//! permission), `edit` (one with a diff), `run` (a command with its output), `plan`, `form`, `subagent`, `mode`,
//! `usage`, `wait` (until it is cancelled), `read` (a tool that reads and needs a permission), `env:NAME` (says what a
//! variable holds), `pid` and `cwd` (says its process and its directory), `recall:TEXT` (says whether it was told that),
//! `crash` (ends in the middle), `updates:N` (so many small ones at once), `paced:N:MICROSECONDS` (so many that say when
//! they were made, so far apart), `output:MEGABYTES` (of a command). What it does not know it says.
//! With a [`Trap`] it does one thing badly.

use std::{
    collections::BTreeSet,
    env,
    io::{self, Write},
    process,
    str::FromStr,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

/// A bad habit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trap {
    /// It never answers `initialize`.
    Hang,
    /// It wants somebody to log in.
    Login,
    /// It speaks a version of its own.
    Version3,
    /// It ends in the middle of a turn.
    Crash,
    /// It ends a turn with an error.
    Error500,
    /// It prints what is no message.
    Garbage,
    /// It prints what is no text.
    InvalidUtf8,
    /// It prints a line of 100 MB.
    HugeLine,
    /// It prints updates without end in a turn.
    Flood,
    /// It fills its standard error.
    StderrFlood,
    /// It stops reading.
    Deaf,
    /// It sends updates of a kind that nobody knows.
    UnknownUpdate,
    /// It ends turns for a reason that nobody knows.
    UnknownStop,
    /// It gives every request the same id.
    ReuseIds,
    /// It leaves a permission open and asks for the next with its id.
    ReplaceQuestion,
    /// It goes on when it is cancelled.
    IgnoreCancel,
    /// It works on after it ended the turn.
    WorkAfter,
    /// It asks for a permission and ends the turn without waiting.
    LeaveOpen,
    /// It asks for a permission and takes that back.
    Withdraw,
    /// It asks for permission to use a tool that it announces nowhere else.
    Unannounced,
    /// It reads a file outside of its directory.
    ReadOutside,
    /// It writes a file through the client, which did not offer that.
    WriteFile,
    /// It asks for something that nobody knows.
    UnknownRequest,
    /// It speaks of its session before it says which that is.
    Early,
    /// It stays when its input is closed.
    Stay,
    /// It leaves a process behind that holds its output.
    LeaveChild,
}

impl FromStr for Trap {
    type Err = String;

    fn from_str(text: &str) -> Result<Trap, String> {
        let all = [
            (Trap::Hang, "hang"),
            (Trap::Login, "login"),
            (Trap::Version3, "version-3"),
            (Trap::Crash, "crash"),
            (Trap::Error500, "error-500"),
            (Trap::Garbage, "garbage"),
            (Trap::InvalidUtf8, "invalid-utf8"),
            (Trap::HugeLine, "huge-line"),
            (Trap::Flood, "flood"),
            (Trap::StderrFlood, "stderr-flood"),
            (Trap::Deaf, "deaf"),
            (Trap::UnknownUpdate, "unknown-update"),
            (Trap::UnknownStop, "unknown-stop"),
            (Trap::ReuseIds, "reuse-ids"),
            (Trap::ReplaceQuestion, "replace-question"),
            (Trap::IgnoreCancel, "ignore-cancel"),
            (Trap::WorkAfter, "work-after"),
            (Trap::LeaveOpen, "leave-open"),
            (Trap::Withdraw, "withdraw"),
            (Trap::Unannounced, "unannounced"),
            (Trap::ReadOutside, "read-outside"),
            (Trap::WriteFile, "write-file"),
            (Trap::UnknownRequest, "unknown-request"),
            (Trap::Early, "early"),
            (Trap::Stay, "stay"),
            (Trap::LeaveChild, "leave-child"),
        ];
        let found = all.into_iter().find(|(_, name)| *name == text);
        found.map(|(trap, _)| trap).ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|(_, name)| *name).collect();
            format!("no trap {text:?}: there are {}", names.join(", "))
        })
    }
}

const SESSION: &str = "scripted-1";

struct Agent {
    /// The newest version it speaks.
    speaks: u64,
    version: u64,
    traps: BTreeSet<Trap>,
    next_id: u64,
    next_name: u64,
    cancelled: bool,
    /// What it was told in its session.
    heard: String,
    /// The same before the prompt that it works on.
    recalls: String,
    /// Where it keeps that.
    store: Option<String>,
    /// It can only tell all of it again.
    replays: bool,
    /// Held, never waited for.
    left_behind: Option<process::Child>,
    input: io::Lines<io::StdinLock<'static>>,
}

fn main() {
    let mut agent = Agent {
        speaks: 2,
        version: 1,
        traps: BTreeSet::new(),
        next_id: 0,
        next_name: 0,
        cancelled: false,
        heard: String::new(),
        recalls: String::new(),
        store: None,
        replays: false,
        left_behind: None,
        input: io::stdin().lines(),
    };
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let done = match argument.as_str() {
            "--version" => match arguments.next().as_deref() {
                Some("1") => {
                    agent.speaks = 1;
                    Ok(())
                }
                Some("2") => {
                    agent.speaks = 2;
                    Ok(())
                }
                _ => Err("--version takes 1 or 2".to_owned()),
            },
            "--store" => {
                agent.store = arguments.next();
                Ok(())
            }
            "--replays" => {
                agent.replays = true;
                Ok(())
            }
            trap => trap.parse().map(|trap| {
                agent.traps.insert(trap);
            }),
        };
        if let Err(error) = done {
            complain(&error);
            process::exit(2);
        }
    }
    agent.run();
}

impl Agent {
    fn has(&self, trap: Trap) -> bool {
        self.traps.contains(&trap)
    }

    fn run(&mut self) {
        if self.has(Trap::Garbage) {
            raw(b"npm warn deprecated something@1.0.0\n[]\n{}\n{\"half\":\n");
        }
        if self.has(Trap::StderrFlood) {
            for number in 0..100_000 {
                complain(&format!("warning {number}: something is odd"));
            }
        }
        if self.has(Trap::LeaveChild) {
            self.left_behind = process::Command::new("sleep").arg("1000").spawn().ok();
        }
        while let Some(message) = self.read() {
            self.handle(&message);
        }
        if self.has(Trap::Stay) {
            loop {
                thread::sleep(Duration::from_secs(1000));
            }
        }
    }

    fn read(&mut self) -> Option<Value> {
        let line = self.input.next()?.ok()?;
        Some(serde_json::from_str(&line).expect("a client sends JSON"))
    }

    fn handle(&mut self, message: &Value) {
        let id = &message["id"];
        let params = &message["params"];
        match message["method"].as_str() {
            Some("initialize") => self.initialize(id, params),
            Some("session/new") => self.new_session(id),
            Some(method @ ("session/resume" | "session/load")) if self.can(method) => {
                self.old_session(id, params, method == "session/load");
            }
            Some("session/prompt") => self.prompt(id, params),
            Some("session/cancel") => self.cancelled = true,
            Some("session/set_mode") => {
                self.reply(id, json!({}));
                let mode = &params["modeId"];
                self.update(json!({"sessionUpdate": "current_mode_update", "currentModeId": mode}));
            }
            Some("session/set_config_option") => {
                let options = self.options(params["value"].as_str().unwrap_or_default());
                self.reply(id, json!({"configOptions": options}));
            }
            Some(method) if !id.is_null() => {
                let error = json!({"code": -32601, "message": format!("no method {method}")});
                self.send(&json!({"jsonrpc": "2.0", "id": id, "error": error}));
            }
            _ => {}
        }
    }

    fn initialize(&mut self, id: &Value, params: &Value) {
        if self.has(Trap::Hang) {
            return;
        }
        self.version = self
            .speaks
            .min(params["protocolVersion"].as_u64().unwrap_or(1));
        let version = if self.has(Trap::Version3) {
            3
        } else {
            self.version
        };
        let info = json!({"name": "scripted", "title": "Scripted agent", "version": "1.0.0"});
        let embeds = json!({"embeddedContext": true});
        let can = match (&self.store, self.replays) {
            (None, _) => json!({"promptCapabilities": embeds}),
            (_, true) => json!({"promptCapabilities": embeds, "loadSession": true}),
            (_, false) => {
                json!({"promptCapabilities": embeds, "sessionCapabilities": {"resume": {}}})
            }
        };
        self.reply(id, match self.version {
            1 => json!({"protocolVersion": version, "agentInfo": info, "agentCapabilities": can, "authMethods": []}),
            _ => json!({"protocolVersion": version, "info": info, "authMethods": [],
                "capabilities": {"session": {"prompt": {"embeddedContext": {}}}}}),
        });
    }

    /// Whether it goes on with its session in this way.
    fn can(&self, method: &str) -> bool {
        self.store.is_some() && self.replays == (method == "session/load")
    }

    fn old_session(&mut self, id: &Value, params: &Value, replays: bool) {
        let kept = self.store.as_ref().map(std::fs::read_to_string);
        let Some(Ok(kept)) = kept.filter(|_| params["sessionId"] == SESSION) else {
            let error = json!({"code": -32602, "message": "there is no such session"});
            return self.send(&json!({"jsonrpc": "2.0", "id": id, "error": error}));
        };
        self.heard = kept;
        if replays {
            let content = json!({"type": "text", "text": self.heard});
            self.update(json!({"sessionUpdate": "user_message_chunk", "content": content}));
            self.say("agent_message", "as I said");
        }
        let modes = json!({"currentModeId": "ask", "availableModes": [
            {"id": "ask", "name": "Ask"}, {"id": "auto", "name": "Automatic"}]});
        let options = self.options("ask");
        self.reply(
            id,
            match self.version {
                1 => json!({"modes": modes}),
                _ => json!({"configOptions": options}),
            },
        );
    }

    /// Remembers what a prompt says, whatever it is made of.
    fn hear(&mut self, blocks: &[Value]) {
        for block in blocks {
            for text in [&block["text"], &block["resource"]["text"]] {
                self.heard.push_str(text.as_str().unwrap_or_default());
                self.heard.push('\n');
            }
        }
        if let Some(store) = &self.store {
            std::fs::write(store, &self.heard).expect("what it was told can be kept");
        }
    }

    fn new_session(&mut self, id: &Value) {
        if self.has(Trap::Login) {
            let error = json!({"code": -32000, "message": "Authentication required"});
            return self.send(&json!({"jsonrpc": "2.0", "id": id, "error": error}));
        }
        if self.has(Trap::Early) {
            self.commands();
        }
        let modes = json!({"currentModeId": "ask", "availableModes": [
            {"id": "ask", "name": "Ask"}, {"id": "auto", "name": "Automatic"}]});
        self.reply(
            id,
            match self.version {
                1 => json!({"sessionId": SESSION, "modes": modes}),
                _ => json!({"sessionId": SESSION, "configOptions": self.options("ask")}),
            },
        );
        self.commands();
        if self.has(Trap::Deaf) {
            loop {
                thread::sleep(Duration::from_secs(1000));
            }
        }
    }

    fn options(&self, mode: &str) -> Value {
        let id = if self.version == 1 { "id" } else { "configId" };
        json!([{id: "mode", "name": "Mode", "category": "mode", "type": "select", "currentValue": mode,
            "options": [{"value": "ask", "name": "Ask"}, {"value": "auto", "name": "Automatic"}]}])
    }

    fn commands(&self) {
        let input = match self.version {
            1 => json!({"hint": "what to keep"}),
            _ => json!({"type": "text", "hint": "what to keep"}),
        };
        self.update(
            json!({"sessionUpdate": "available_commands_update", "availableCommands": [
            {"name": "compact", "description": "Sums up what was said", "input": input}]}),
        );
    }

    fn prompt(&mut self, id: &Value, params: &Value) {
        self.cancelled = false;
        let blocks = params["prompt"].as_array().cloned().unwrap_or_default();
        let text = blocks.last().map_or(&Value::Null, |last| &last["text"]);
        let text = text.as_str().unwrap_or_default().to_owned();
        if let Some((last, before)) = blocks.split_last() {
            self.hear(before);
            self.recalls.clone_from(&self.heard);
            self.hear(std::slice::from_ref(last));
        }
        if self.version == 2 {
            let message = self.name("user");
            self.update(json!({"sessionUpdate": "user_message", "messageId": message, "content": params["prompt"]}));
            self.reply(id, json!({"messageId": message}));
            self.update(json!({"sessionUpdate": "state_update", "state": "running"}));
        }
        self.fall_into_traps();
        for word in text.split_whitespace() {
            if self.cancelled && !self.has(Trap::IgnoreCancel) {
                break;
            }
            self.act(word);
        }
        if self.has(Trap::Error500) {
            let error = json!({"code": -32603, "message": "Internal error", "data": {"details": "the model answered 500"}});
            return match self.version {
                1 => self.send(&json!({"jsonrpc": "2.0", "id": id, "error": error})),
                _ => self.update(json!({"sessionUpdate": "state_update", "state": "idle",
                    "stopReason": "error", "error": error})),
            };
        }
        let stop = match self.cancelled {
            _ if self.has(Trap::UnknownStop) => "lost_interest",
            true => "cancelled",
            false => "end_turn",
        };
        let usage = json!({"totalTokens": 120, "inputTokens": 100, "outputTokens": 20});
        match self.version {
            1 => self.reply(id, json!({"stopReason": stop, "usage": usage})),
            _ => self.update(
                json!({"sessionUpdate": "state_update", "state": "idle", "stopReason": stop,
                "usage": usage}),
            ),
        }
        if self.has(Trap::WorkAfter) {
            self.say("agent_message", "and one more thing");
        }
    }

    fn fall_into_traps(&mut self) {
        if self.has(Trap::Crash) {
            self.say("agent_message", "half an ans");
            complain("thread 'main' panicked: no more");
            process::exit(101);
        }
        if self.has(Trap::InvalidUtf8) {
            raw(b"{\"broken\": \"\xff\xfe\"}\n");
        }
        if self.has(Trap::HugeLine) {
            raw(b"{\"method\":\"session/update\",\"params\":\"");
            let piece = vec![b'x'; 1024 * 1024];
            for _ in 0..100 {
                raw(&piece);
            }
            raw(b"\"}\n");
        }
        if self.has(Trap::UnknownUpdate) {
            for _ in 0..3 {
                self.update(json!({"sessionUpdate": "somersault", "height": {"metres": 2}}));
            }
        }
        if self.has(Trap::Flood) {
            loop {
                self.say("agent_message", "and on and on ");
            }
        }
        if self.has(Trap::ReplaceQuestion) {
            self.next_id = 0;
            self.permission("first");
            self.next_id = 0;
        }
        if self.has(Trap::LeaveOpen) {
            self.permission("left-open");
        }
        if self.has(Trap::Withdraw) {
            let id = self.permission("taken-back");
            self.send(&json!({"jsonrpc": "2.0", "method": "$/cancel_request", "params": {"requestId": id}}));
            self.answer_to(id);
        }
        let requests = [
            (Trap::ReadOutside, "fs/read_text_file"),
            (Trap::WriteFile, "fs/write_text_file"),
            (Trap::UnknownRequest, "craft/drainMidTurnQueue"),
        ];
        for (trap, method) in requests {
            if self.has(trap) {
                let params = json!({"sessionId": SESSION, "path": "/etc/passwd", "content": "x"});
                let id = self.request(method, &params);
                let answer = self.answer_to(id);
                self.say("agent_message", &format!("{method}: {answer}"));
            }
        }
    }

    fn act(&mut self, word: &str) {
        let (verb, text) = word.split_once(':').unwrap_or((word, ""));
        match verb {
            "say" => self.say("agent_message", text),
            "think" => self.say("agent_thought", text),
            "env" => self.say("agent_message", &env::var(text).unwrap_or_default()),
            "tool" => {
                let tool = self.tool("List the files", "search", "in_progress");
                self.end_tool(&tool, json!([{"type": "content", "content": {"type": "text", "text": "a.rs\nb.rs"}}]));
            }
            "edit" => {
                let tool = self.tool("Edit a.rs", "edit", "in_progress");
                let diff = match self.version {
                    1 => json!({"type": "diff", "path": "/src/a.rs", "oldText": "one\n", "newText": "two\n"}),
                    _ => json!({"type": "diff", "changes": [{"operation": "modify", "path": "/src/a.rs"}],
                        "patch": {"format": "git_patch", "text": "--- a/a.rs\n+++ b/a.rs\n@@ -1 +1 @@\n-one\n+two\n"}}),
                };
                self.end_tool(&tool, json!([diff]));
            }
            "ask" => self.ask("Write b.rs", "edit"),
            "read" => self.ask("Read a.rs", "read"),
            "pid" => self.say("agent_message", &process::id().to_string()),
            "cwd" => {
                let cwd = env::current_dir().unwrap_or_default();
                self.say("agent_message", &cwd.to_string_lossy());
            }
            "recall" => {
                let known = if self.recalls.contains(text) { "told" } else { "never-told" };
                self.say("agent_message", &format!("{known}:{text}"));
            }
            "updates" => {
                let message = self.name("message");
                for _ in 0..text.parse().unwrap_or(0) {
                    self.update(json!({"sessionUpdate": "agent_message_chunk", "messageId": message,
                        "content": {"type": "text", "text": "a few words "}}));
                }
            }
            "paced" => {
                let (count, apart) = text.split_once(':').unwrap_or((text, "20000"));
                for _ in 0..count.parse().unwrap_or(0) {
                    thread::sleep(Duration::from_micros(apart.parse().unwrap_or(0)));
                    let message = self.name("message");
                    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                    self.update(json!({"sessionUpdate": "agent_message_chunk", "messageId": message,
                        "content": {"type": "text", "text": format!("@{}", since.as_micros())}}));
                }
            }
            "output" => self.print(text.parse().unwrap_or(0)),
            "crash" => {
                self.say("agent_message", "half an ans");
                process::exit(101);
            }
            "run" => self.run_command(),
            "plan" => {
                let entries = json!([{"content": "look", "priority": "high", "status": "completed"},
                    {"content": "act", "priority": "medium", "status": "in_progress"}]);
                self.update(match self.version {
                    1 => json!({"sessionUpdate": "plan", "entries": entries}),
                    _ => json!({"sessionUpdate": "plan_update",
                        "plan": {"type": "items", "planId": "p", "entries": entries}}),
                });
            }
            "form" => {
                let params = json!({"sessionId": SESSION, "mode": "form", "message": "Which name?",
                    "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}});
                let id = self.request("elicitation/create", &params);
                let answer = self.answer_to(id);
                self.say("agent_message", &format!("the answer is {}", answer["action"]));
            }
            "subagent" => {
                self.update(json!({"sessionUpdate": "subagent_update", "sessionId": "child", "title": "Searcher",
                    "state": {"state": "running"}}));
                self.update_of("child", json!({"sessionUpdate": "agent_message_chunk", "messageId": "c",
                    "content": {"type": "text", "text": "found it"}}));
                self.update(json!({"sessionUpdate": "subagent_update", "sessionId": "child",
                    "state": {"state": "idle", "stopReason": "end_turn"}}));
            }
            "mode" => self.update(match self.version {
                1 => json!({"sessionUpdate": "current_mode_update", "currentModeId": "auto"}),
                _ => json!({"sessionUpdate": "config_option_update", "configOptions": self.options("auto")}),
            }),
            "usage" => self.update(json!({"sessionUpdate": "usage_update", "used": 1200, "size": 200_000,
                "cost": {"amount": 0.02, "currency": "USD"}})),
            "wait" => {
                while !self.cancelled {
                    let Some(message) = self.read() else {
                        process::exit(0);
                    };
                    self.handle(&message);
                }
                if self.has(Trap::IgnoreCancel) {
                    // For ever, but for its end.
                    while let Some(message) = self.read() {
                        self.handle(&message);
                    }
                    process::exit(0);
                }
            }
            _ => self.say("agent_message", word),
        }
    }

    /// Says it in two pieces.
    fn say(&mut self, kind: &str, text: &str) {
        let message = self.name("message");
        let middle = text.floor_char_boundary(text.len() / 2);
        for piece in [&text[..middle], &text[middle..]] {
            self.update(
                json!({"sessionUpdate": format!("{kind}_chunk"), "messageId": message,
                "content": {"type": "text", "text": piece}}),
            );
        }
    }

    fn tool(&mut self, title: &str, kind: &str, status: &str) -> String {
        let tool = self.name("tool");
        let announced = if self.version == 1 {
            "tool_call"
        } else {
            "tool_call_update"
        };
        self.update(json!({"sessionUpdate": announced, "toolCallId": tool, "title": title, "kind": kind,
            "status": status, "rawInput": {"path": "/src"}, "locations": [{"path": "/src/a.rs", "line": 1}]}));
        tool
    }

    fn end_tool(&self, tool: &str, content: Value) {
        self.update(
            json!({"sessionUpdate": "tool_call_update", "toolCallId": tool, "status": "completed",
            "content": content}),
        );
    }

    fn ask(&mut self, title: &str, kind: &str) {
        let tool = match self.has(Trap::Unannounced) {
            true => self.name("tool"),
            false => self.tool(title, kind, "pending"),
        };
        let id = self.permission_for(&tool, title, kind);
        let answer = self.answer_to(id);
        let outcome = &answer["outcome"];
        match outcome["optionId"].as_str() {
            Some("allow") => {
                self.end_tool(
                    &tool,
                    json!([{"type": "content", "content": {"type": "text", "text": "written"}}]),
                );
            }
            _ => {
                self.update(json!({"sessionUpdate": "tool_call_update", "toolCallId": tool, "status": "failed"}));
                self.say("agent_message", &format!("not written: {outcome}"));
            }
        }
    }

    fn permission(&mut self, tool: &str) -> u64 {
        self.permission_for(tool, "Write b.rs", "edit")
    }

    fn permission_for(&mut self, tool: &str, title: &str, kind: &str) -> u64 {
        let options = json!([{"optionId": "allow", "name": "Allow", "kind": "allow_once"},
            {"optionId": "always", "name": "Always allow", "kind": "allow_always"},
            {"optionId": "reject", "name": "Reject", "kind": "reject_once"}]);
        let call = json!({"toolCallId": tool, "title": title, "kind": kind});
        if self.version == 2 {
            self.update(json!({"sessionUpdate": "state_update", "state": "requires_action"}));
        }
        let params = match self.version {
            1 => json!({"sessionId": SESSION, "toolCall": call, "options": options}),
            _ => json!({"sessionId": SESSION, "title": format!("{title}?"), "options": options,
                "subject": {"type": "tool_call", "toolCall": call}}),
        };
        self.request("session/request_permission", &params)
    }

    fn run_command(&mut self) {
        let tool = self.tool("Run make", "execute", "in_progress");
        let terminal = self.name("terminal");
        if self.version == 1 {
            let meta = |meta: Value| json!({"sessionUpdate": "tool_call_update", "toolCallId": tool, "_meta": meta});
            self.update(meta(
                json!({"terminal_info": {"terminal_id": terminal, "cwd": "/src"}}),
            ));
            for data in ["cc a.c\r\n", "cc b.c\r\n"] {
                self.update(meta(
                    json!({"terminal_output": {"terminal_id": terminal, "data": data}}),
                ));
            }
            let exit = json!({"terminal_id": terminal, "exit_code": 0, "signal": null});
            self.update(meta(json!({"terminal_exit": exit})));
        } else {
            self.update(json!({"sessionUpdate": "terminal_update", "terminalId": terminal, "command": "make",
                "cwd": "/src"}));
            // "cc a.c\r\n" and "cc b.c\r\n".
            for data in ["Y2MgYS5jDQo=", "Y2MgYi5jDQo="] {
                self.update(json!({"sessionUpdate": "terminal_output_chunk", "terminalId": terminal, "data": data}));
            }
            self.update(
                json!({"sessionUpdate": "terminal_update", "terminalId": terminal,
                "exitStatus": {"exitCode": 0}}),
            );
        }
        self.end_tool(&tool, json!([{"type": "terminal", "terminalId": terminal}]));
    }

    /// So many megabytes of a command's output, 64 KiB at a time.
    fn print(&mut self, megabytes: usize) {
        let tool = self.tool("Run make", "execute", "in_progress");
        let terminal = self.name("terminal");
        let line = "cc -O2 -c a_file_with_a_long_name.c -o a_file_with_a_long_name.o\r\n";
        let data = line.repeat(64 * 1024 / line.len());
        let meta = |meta: Value| json!({"sessionUpdate": "tool_call_update", "toolCallId": tool, "_meta": meta});
        self.update(meta(
            json!({"terminal_info": {"terminal_id": terminal, "cwd": "/src"}}),
        ));
        for _ in 0..megabytes * 1_000_000 / data.len() {
            self.update(meta(
                json!({"terminal_output": {"terminal_id": terminal, "data": data}}),
            ));
        }
        self.end_tool(&tool, json!([{"type": "terminal", "terminalId": terminal}]));
    }

    /// The answer to a request of its own. What else comes meanwhile is done.
    fn answer_to(&mut self, id: u64) -> Value {
        loop {
            let Some(message) = self.read() else {
                process::exit(0);
            };
            if message["method"].is_null() && message["id"] == id {
                if self.version == 2 {
                    self.update(json!({"sessionUpdate": "state_update", "state": "running"}));
                }
                return match message["error"].is_null() {
                    true => message["result"].clone(),
                    false => message["error"]["code"].clone(),
                };
            }
            self.handle(&message);
        }
    }

    /// A name that it has not given yet.
    fn name(&mut self, what: &str) -> String {
        self.next_name += 1;
        format!("{what}-{}", self.next_name)
    }

    fn request(&mut self, method: &str, params: &Value) -> u64 {
        let id = self.next_id;
        if !self.has(Trap::ReuseIds) {
            self.next_id += 1;
        }
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    fn reply(&self, id: &Value, result: Value) {
        self.send(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }

    fn update(&self, update: Value) {
        self.update_of(SESSION, update);
    }

    fn update_of(&self, session: &str, update: Value) {
        let params = json!({"sessionId": session, "update": update});
        self.send(&json!({"jsonrpc": "2.0", "method": "session/update", "params": params}));
    }

    fn send(&self, message: &Value) {
        raw(format!("{message}\n").as_bytes());
    }
}

/// Writes bytes as they are. A client that is gone ends it.
fn raw(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    if out.write_all(bytes).and_then(|()| out.flush()).is_err() {
        process::exit(0);
    }
}

fn complain(text: &str) {
    // Nobody may be reading.
    let _ = writeln!(io::stderr(), "{text}");
}
