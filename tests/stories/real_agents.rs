//! Agents that people use, opencode and codex, with a scripted model on loopback: see `tests/agents`.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{
    editors::Editor,
    harness::{Machine, Piped, until},
    skip::skip,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agents")
}

/// The model that the agents ask.
pub struct Model {
    child: Child,
    url: String,
}

impl Model {
    /// Starts it, on loopback.
    pub fn start() -> Model {
        let mut child = Command::new("node")
            .arg(folder().join("model.mjs"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut port).unwrap();
        // What it is asked is for who looks for a fault.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        let url = format!("http://127.0.0.1:{}/v1", port.trim());
        Model { child, url }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A conversation with one of them, in a folder of its own.
struct Talk<'a> {
    machine: &'a Machine,
    work: PathBuf,
    session: String,
    ticket: String,
}

impl<'a> Talk<'a> {
    fn begin(machine: &'a Machine, agent: &[&str], environment: &[(&str, String)]) -> Talk<'a> {
        let work = machine.path("work");
        std::fs::create_dir(&work).unwrap();
        let mut all = vec!["agent", "--detach", "--share", "--json", "--"];
        all.extend(agent);
        let mut command = machine.pillion(&all);
        command.current_dir(&work);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let output = Piped::start(command).wait();
        let begun: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        let text = |name: &str| begun[name].as_str().unwrap().to_owned();
        Talk {
            machine,
            work,
            session: text("session"),
            ticket: text("ticket"),
        }
    }

    fn until(&self, what: &str, done: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        until(what, || {
            let output = self.machine.output(&["conversation", "--json"]);
            let standing = serde_json::from_slice(&output.stdout).ok()?;
            done(&standing).then_some(standing)
        })
    }

    fn idle(&self) -> serde_json::Value {
        self.until("the agent is idle", |standing| {
            standing["activity"] == "idle"
        })
    }

    fn mode(&self, mode: &str) {
        self.until(mode, |standing| {
            let options = standing["options"].as_array().unwrap();
            let is_set = |one: &serde_json::Value| one["option"] == "mode" && one["value"] == mode;
            standing["activity"] != "stopped" && options.iter().any(is_set)
        });
    }
}

impl Drop for Talk<'_> {
    fn drop(&mut self) {
        self.machine
            .output(&["close", "--all", "--session", &self.session]);
    }
}

/// Somebody who watches, once the host knows them by `name`.
fn guest(host: &Machine, guest: &Machine, talk: &Talk<'_>, rights: &str) -> Piped {
    let watching = guest.start(&["conversation", "--session", &talk.ticket, "--follow"]);
    until("the guest is in", || {
        let who = host.who();
        let here = |one: &&serde_json::Value| one["here"] == true && one["id"] != 0;
        who.iter().any(|one| here(&one)).then_some(())
    });
    let id = host
        .who()
        .iter()
        .find_map(|one| one["id"].as_u64().filter(|id| *id > 0));
    host.run(&["grant", &id.unwrap().to_string(), "--can", rights]);
    watching
}

/// The agent opencode, where `tests/setup` has installed it.
pub fn opencode() -> Option<String> {
    let agent = folder().join("node_modules/opencode-linux-x64/bin/opencode");
    agent.exists().then(|| agent.to_str().unwrap().to_owned())
}

/// What it needs to work without a network, asking this model.
pub fn opencode_environment(model: &Model) -> Vec<(&'static str, String)> {
    let config = serde_json::json!({
        "model": "scripted/scripted", "small_model": "scripted/scripted", "share": "disabled", "autoupdate": false,
        "permission": {"bash": "ask", "edit": "ask"},
        "provider": {"scripted": {
            "npm": "@ai-sdk/openai-compatible", "name": "Scripted",
            "options": {"baseURL": model.url, "apiKey": "scripted-key-0001"},
            "models": {"scripted": {
                "name": "Scripted", "reasoning": true, "tool_call": true,
                "limit": {"context": 200_000, "output": 8000}, "cost": {"input": 3, "output": 15},
            }},
        }},
    });
    let off = || "1".to_owned();
    vec![
        ("OPENCODE_CONFIG_CONTENT", config.to_string()),
        ("OPENCODE_DISABLE_MODELS_FETCH", off()),
        ("OPENCODE_DISABLE_AUTOUPDATE", off()),
        ("OPENCODE_DISABLE_LSP_DOWNLOAD", off()),
        ("OPENCODE_DISABLE_DEFAULT_PLUGINS", off()),
    ]
}

#[test]
fn opencode_asks_before_it_runs_a_command_and_a_guest_says_yes() {
    let Some(agent) = opencode() else {
        return skip("opencode is not installed: tests/setup does that");
    };
    let (anna, bo) = (Machine::new(), Machine::new());
    let model = Model::start();
    let environment = opencode_environment(&model);
    let talk = Talk::begin(&anna, &[&agent, "acp"], &environment);
    talk.idle();
    anna.run(&["prompt", "hello there"]);
    until("it has answered", || {
        anna.run(&["conversation"])
            .contains("You said: hello there")
            .then_some(())
    });
    talk.idle();
    anna.run(&["prompt", "run: echo made > made.txt"]);
    let asked = talk.until("it asks", |standing| standing["questions"][0].is_object());
    assert_eq!(
        asked["questions"][0]["title"], "echo made > made.txt",
        "{asked}"
    );
    assert!(!talk.work.join("made.txt").exists());
    let mut watching = guest(&anna, &bo, &talk, "approve");
    bo.run(&["answer", "--session", &talk.ticket, "yes"]);
    talk.idle();
    let made = std::fs::read_to_string(talk.work.join("made.txt")).unwrap();
    assert_eq!(made, "made\n");
    until("the log has what a viewer sees who comes late", || {
        let late = bo.run(&["conversation", "--session", &talk.ticket]);
        (late == anna.run(&["conversation"])).then_some(())
    });
    watching.out.wait_for("It returned");
    watching.kill();
    // An editor sees all of it, and its own turn is one like others.
    let mut editor = Editor::start(&bo, 1, &[&talk.ticket]);
    editor.attach();
    editor.shown("user_message_chunk", "run: echo made > made.txt");
    editor.shown("agent_message_chunk", "It returned");
    let mut own = Editor::start(&anna, 1, &[&talk.session]);
    own.attach();
    let prompt = own.prompt("run: echo again > again.txt");
    let question = own.question(1);
    assert!(
        question["params"]["toolCall"]
            .to_string()
            .contains("again.txt"),
        "{question}"
    );
    own.select(&question, "once");
    assert_eq!(own.turn_end(prompt), "\"end_turn\"");
    assert!(talk.work.join("again.txt").exists());
    editor.shown("user_message_chunk", "run: echo again > again.txt");
}

#[test]
fn codex_is_in_its_strictest_mode_while_a_guest_has_it_work() {
    let agent = folder().join("node_modules/.bin/codex-acp");
    if !agent.exists() {
        return skip("codex is not installed: tests/setup does that");
    }
    let (anna, bo) = (Machine::new(), Machine::new());
    let model = Model::start();
    let home = anna.path("codex");
    std::fs::create_dir(&home).unwrap();
    let config = format!(
        r#"model = "gpt-5"
model_provider = "scripted"
approval_policy = "on-request"
sandbox_mode = "read-only"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.scripted]
name = "Scripted"
base_url = "{}"
env_key = "SCRIPTED_KEY"
wire_api = "responses"
"#,
        model.url
    );
    std::fs::write(home.join("config.toml"), config).unwrap();
    let environment = [
        ("CODEX_HOME", home.to_str().unwrap().to_owned()),
        ("SCRIPTED_KEY", "scripted-key-0001".to_owned()),
        ("NO_BROWSER", "1".to_owned()),
    ];
    let talk = Talk::begin(&anna, &[agent.to_str().unwrap()], &environment);
    talk.idle();
    anna.run(&["prompt", "hello there"]);
    until("it has answered", || {
        anna.run(&["conversation"])
            .contains("You said: hello there")
            .then_some(())
    });
    // It is free to change files for its host, and for nobody else.
    talk.mode("agent");
    let mut watching = guest(&anna, &bo, &talk, "prompt,approve");
    bo.run(&[
        "prompt",
        "--session",
        &talk.ticket,
        "write: made.txt by-a-guest",
    ]);
    talk.mode("read-only");
    let asked = talk.until("it asks", |standing| standing["questions"][0].is_object());
    assert!(!talk.work.join("made.txt").exists(), "{asked}");
    bo.run(&["answer", "--session", &talk.ticket, "yes"]);
    talk.mode("agent");
    talk.idle();
    let made = std::fs::read_to_string(talk.work.join("made.txt")).unwrap();
    assert_eq!(made.trim(), "by-a-guest");
    until("the log has what a viewer sees who comes late", || {
        let late = bo.run(&["conversation", "--session", &talk.ticket]);
        (late == anna.run(&["conversation"])).then_some(())
    });
    watching.kill();
}
