//! The messages of both versions, as far as the machine makes or reads them.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{MAX_PARTS, Setup, StartFault};
use crate::{fold::read, json::Json, model::ChoiceKind};

/// JSON-RPC's code for somebody who has to log in first.
const AUTH_REQUIRED: i64 = -32000;

/// One offer of both versions: what each has that the other lacks stands beside it, and every agent that was
/// tried leaves alone what it doesn't know.
pub(super) fn initialize(setup: &Setup) -> Value {
    let info = json!({"name": setup.name, "title": setup.name, "version": setup.version});
    json!({
        "protocolVersion": 2,
        "clientInfo": info,
        "clientCapabilities": {
            "fs": {"readTextFile": false, "writeTextFile": false},
            "terminal": false,
            "plan": {},
            "session": {"notices": {}, "compaction": {}},
            "subagents": {},
            "elicitation": {"form": {}},
            "_meta": {"terminal_output": true},
        },
        "info": info,
        "capabilities": {"elicitation": {"form": {}}},
    })
}

/// What an agent says of itself that matters when it goes on from before.
pub(super) struct Continues {
    /// It goes on with a session without telling it again.
    pub(super) resumes: bool,
    /// It goes on with a session, and tells it again.
    pub(super) loads: bool,
    /// A prompt may hold whole texts.
    pub(super) embeds: bool,
    pub(super) is_gemini: bool,
}

impl Continues {
    /// From its answer to `initialize`.
    pub(super) fn of(answer: Json<'_>) -> Continues {
        let [first, second, name, other] =
            answer.fields(["agentCapabilities", "capabilities", "agentInfo", "info"]);
        let at = |json: Option<Json<'_>>, path: &[&str]| {
            let mut found = json;
            for name in path {
                found = found.and_then(|json| json.get(name));
            }
            found.is_some_and(|found| !found.is_null() && found.boolean() != Some(false))
        };
        let name = name.or(other).and_then(|info| info.get("name"));
        let name = name.and_then(Json::text);
        Continues {
            resumes: at(first, &["sessionCapabilities", "resume"]),
            loads: at(first, &["loadSession"]),
            embeds: at(first, &["promptCapabilities", "embeddedContext"])
                || at(second, &["session", "prompt", "embeddedContext"]),
            is_gemini: name.is_some_and(|name| name.contains("gemini")),
        }
    }
}

/// A prompt, and what was said before where the agent has to be told of it.
pub(super) fn prompt(text: &str, transcript: &str, embeds: bool) -> Value {
    const BEFORE: &str = "This is what was said before, for you to go on from; \
                          the task is what follows it.";
    let said = json!({"type": "text", "text": text});
    match (transcript, embeds) {
        ("", _) => json!([said]),
        (transcript, true) => {
            let text = format!("{BEFORE}\n\n{transcript}");
            let uri = "pillion:///transcript.md";
            let resource = json!({"uri": uri, "mimeType": "text/markdown", "text": text});
            json!([{"type": "resource", "resource": resource}, said])
        }
        (transcript, false) => {
            json!([{"type": "text", "text": format!("{BEFORE}\n\n{transcript}---\n\n")}, said])
        }
    }
}

/// What can be answered to a permission.
pub(super) fn choices(options: Json<'_>) -> Vec<(String, ChoiceKind)> {
    let choices = read::choices(options).into_iter().take(MAX_PARTS);
    choices.map(|one| (one.id.clone(), one.kind())).collect()
}

/// What an update says of the session's state.
pub(super) fn state(update: Json<'_>) -> Option<Cow<'_, str>> {
    let [kind, state] = update.fields(["sessionUpdate", "state"]);
    match kind?.text()?.as_ref() {
        "state_update" => state?.text(),
        _ => None,
    }
}

pub(super) fn start_fault(error: Json<'_>) -> StartFault {
    let said = read::error(error);
    match error.get("code").and_then(Json::integer) {
        Some(AUTH_REQUIRED) => StartFault::NeedsLogin(said),
        _ => StartFault::Refused(said),
    }
}
