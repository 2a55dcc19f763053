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
