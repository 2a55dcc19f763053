//! The one line that is left when a shared session has ended: how long it was shared, who came, who typed how much.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use pillion_store::SessionReader;
use pillion_tui::words::span;

use super::audit::{self, Entry};

/// People who are named.
const MAX_NAMED: usize = 3;

/// What to say of a session's last run, and how to see it again; `None` of one that was not shared.
pub fn of_session(sessions: &Path, id: &str) -> Option<String> {
    let reader = SessionReader::open(sessions, id).ok()?;
    let (entries, _) = audit::read(&reader).ok()?;
    let name = reader.meta().name.clone();
    let said = of_entries(&entries, &name)?;
    Some(format!(
        "{said} Replay: pillion export {id}. Restart: pillion share --restart {id}"
    ))
}

fn of_entries(entries: &[Entry], name: &str) -> Option<String> {
    let run = entries
        .iter()
        .rposition(|entry| entry.event == "started_again")
        .map_or(0, |at| at + 1);
    let entries = &entries[run..];
    let shared = entries.iter().find(|entry| entry.event == "shared")?;
    let last = entries.last().map_or(shared.unix_ms, |entry| entry.unix_ms);
    let lasted = span(last.saturating_sub(shared.unix_ms).max(1000));
    let field = |entry: &Entry, name: &str| Some(entry.fields.get(name)?.as_str()?.to_owned());
    let viewers: BTreeSet<String> = entries
        .iter()
        .filter(|entry| entry.event == "joined")
        .filter_map(|entry| field(entry, "identity"))
        .collect();
    let viewers = match viewers.len() {
        0 => "nobody joined".to_owned(),
        1 => "1 viewer".to_owned(),
        many => format!("{many} viewers"),
    };
    let mut typed: BTreeMap<String, u64> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.event == "typed") {
        let who = field(entry, "name").unwrap_or_else(|| "somebody".to_owned());
        let bytes = entry.fields.get("bytes").and_then(|bytes| bytes.as_u64());
        *typed.entry(who).or_default() += bytes.unwrap_or(0);
    }
    let more = typed.len().saturating_sub(MAX_NAMED);
    let mut by: Vec<String> = typed
        .into_iter()
        .take(MAX_NAMED)
        .map(|(who, bytes)| format!("{bytes} bytes typed by {who}"))
        .collect();
    if more > 0 {
        by.push(format!("more by {more} others"));
    }
    by.insert(0, viewers);
    let name = pillion_screen::clean::clean_title(name, 64);
    Some(format!(
        "“{name}” was shared for {lasted}: {}.",
        by.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    fn entry(unix_ms: u64, event: &str, fields: Value) -> Entry {
        let fields: Map<String, Value> = fields.as_object().cloned().unwrap_or_default();
        let event = event.to_owned();
        Entry {
            unix_ms,
            event,
            fields,
        }
    }

    #[test]
    fn how_long_who_and_by_whom_is_said_of_the_last_run() {
        let entries = [
            entry(0, "shared", json!({})),
            entry(1, "joined", json!({"identity": "cc", "name": "carl"})),
            entry(5, "started_again", json!({})),
            entry(10_000, "shared", json!({})),
            entry(20_000, "joined", json!({"identity": "aa", "name": "bert"})),
            entry(30_000, "joined", json!({"identity": "aa", "name": "bert"})),
            entry(40_000, "typed", json!({"name": "bert", "bytes": 7})),
            entry(50_000, "typed", json!({"name": "bert", "bytes": 12})),
            entry(730_000, "ended", json!({})),
        ];
        let said = "“demo” was shared for 12 min: 1 viewer, 19 bytes typed by bert.";
        assert_eq!(of_entries(&entries, "demo").as_deref(), Some(said));
        let alone = "“demo” was shared for 1 s: nobody joined.";
        assert_eq!(of_entries(&entries[3..4], "demo").as_deref(), Some(alone));
        assert_eq!(of_entries(&entries[4..], "demo"), None);
    }
}
