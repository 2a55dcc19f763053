//! What a session's log says of people: who came and how they proved who they are, what they were given
//! and by whom, when they typed, who was put out or turned away.

use std::collections::BTreeMap;

use pillion_caps::PublicKey;
use pillion_screen::clean::clean_title;
use pillion_session::{Command, audit::ChangeReason};
use pillion_store::{Gap, GapKind, ReadError, SessionReader};
use pillion_tui::words;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::clock;

/// Longest text of one field that a row shows, in columns.
const MAX_SHOWN: usize = 200;

/// One thing that happened, as the log has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When it was written down, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// What, by name.
    pub event: String,
    /// The rest of it; of the one who it is about always `name`, `identity` and `fingerprint`, if known.
    pub fields: Map<String, Value>,
}

/// One line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// When, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// Who did it.
    pub who: String,
    /// What they did.
    pub what: String,
}

/// Everything in a session's log, in order, and how many of its records can't be read. Where the disk
/// took no more there is an entry `lost` that says how many are missing.
///
/// # Errors
/// The log's files can't be opened.
pub fn read(reader: &SessionReader) -> Result<(Vec<Entry>, usize), ReadError> {
    let gaps = reader.gaps().filter_map(Result::ok);
    let mut gaps: Vec<Gap> = gaps.filter(|gap| gap.kind == GapKind::Events).collect();
    gaps.sort_by_key(|gap| gap.first);
    let mut gaps = gaps.into_iter().peekable();
    let (mut entries, mut unread) = (Vec::new(), 0);
    let mut people = BTreeMap::new();
    for event in reader.events(0) {
        match event {
            Ok(event) => {
                while let Some(gap) = gaps.next_if(|gap| gap.first <= event.number) {
                    entries.push(lost(event.at_ms, &gap));
                }
                match entry(event.at_ms, &event.bytes, &mut people) {
                    Some(entry) => entries.push(entry),
                    None => unread += 1,
                }
            }
            Err(ReadError::Damaged(_)) => unread += 1,
            Err(error) => return Err(error),
        }
    }
    let last_ms = entries.last().map_or(0, |entry| entry.unix_ms);
    entries.extend(gaps.map(|gap| lost(last_ms, &gap)));
    Ok((entries, unread))
}

fn lost(unix_ms: u64, gap: &Gap) -> Entry {
    Entry {
        unix_ms,
        event: "lost".to_owned(),
        fields: Map::from_iter([("count".to_owned(), gap.count.into())]),
    }
}

/// Name and identity key of each participant's number.
type People = BTreeMap<u64, (String, String)>;

fn entry(unix_ms: u64, bytes: &[u8], people: &mut People) -> Option<Entry> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(bytes) else {
        return None;
    };
    let Some(Value::String(event)) = fields.remove("event") else {
        return None;
    };
    if event == "started_again" {
        // Numbers are given again.
        people.clear();
    }
    let text =
        |fields: &Map<String, Value>, name: &str| Some(fields.get(name)?.as_str()?.to_owned());
    if let Some(id) = fields.get("id").and_then(Value::as_u64) {
        let known = people.get(&id);
        let name = text(&fields, "name").or_else(|| Some(known?.0.clone()));
        let identity = text(&fields, "identity").or_else(|| Some(known?.1.clone()));
        if let (Some(name), Some(identity)) = (name, identity) {
            fields.insert("name".to_owned(), name.clone().into());
            fields.insert("identity".to_owned(), identity.clone().into());
            people.insert(id, (name, identity));
        }
    }
    if let Some(print) = text(&fields, "identity").and_then(|key| fingerprint(&key)) {
        fields.insert("fingerprint".to_owned(), print.into());
    }
    Some(Entry {
        unix_ms,
        event,
        fields,
    })
}

/// A key as people compare it.
fn fingerprint(hex: &str) -> Option<String> {
    let key: PublicKey = hex.parse().ok()?;
    Some(key.fingerprint())
}

impl Entry {
    /// The entry as one object.
    pub fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("at".to_owned(), clock::rfc3339(self.unix_ms).into());
        object.insert("unix_ms".to_owned(), self.unix_ms.into());
        object.insert("event".to_owned(), self.event.as_str().into());
        object.extend(self.fields.clone());
        Value::Object(object)
    }

    fn text(&self, name: &str) -> Option<String> {
        let text = self.fields.get(name)?.as_str()?;
        Some(clean_title(text, MAX_SHOWN))
    }

    fn number(&self, name: &str) -> u64 {
        self.fields.get(name).and_then(Value::as_u64).unwrap_or(0)
    }

    /// Whom the entry is about: "anna (7f3a-91c2-04be-77d1)".
    fn person(&self) -> String {
        match (self.text("name"), self.text("fingerprint")) {
            (Some(name), Some(print)) => format!("{name} ({print})"),
            (None, Some(print)) => print,
            (Some(name), None) => format!("{name} (no key proved)"),
            (None, None) => "somebody".to_owned(),
        }
    }

    /// Who gave the command that it comes of.
    fn by(&self) -> String {
        match self.text("by").as_deref() {
            None => "the session".to_owned(),
            Some("host") => "the host".to_owned(),
            Some("socket") => "the host, by command".to_owned(),
            Some("rule") => "the access list".to_owned(),
            Some(key) => {
                let print = fingerprint(key).unwrap_or_else(|| key.to_owned());
                match self.text("by_name") {
                    Some(name) => format!("{name} ({print})"),
                    None => print,
                }
            }
        }
    }

    /// Who or what a grant or an entry of a list is for.
    fn whom(&self, name: &str) -> String {
        let to = self.text(name).unwrap_or_default();
        fingerprint(&to).unwrap_or(to)
    }

    /// `: WHY`, if there is a reason.
    fn why(&self) -> String {
        let said = match self.event.as_str() {
            "turned_away" if !self.fields.contains_key("why") => {
                Some("left before there was an answer".to_owned())
            }
            "turned_away" | "put_out" => self.typed("why").map(|why| words::turned_away(&why)),
            "ended" | "track_ended" => self.typed("why").map(|why| words::end_reason(Some(&why))),
            "right" => self.typed("why").map(|why: ChangeReason| {
                let said = match why {
                    ChangeReason::Revoked => "revoked",
                    ChangeReason::Expired => "expired",
                    ChangeReason::MembershipRevoked => "the team took the membership back",
                };
                said.to_owned()
            }),
            _ => self.typed("why").map(|error| words::refusal(&error)),
        };
        let said = said.or_else(|| self.text("why"));
        said.map_or_else(String::new, |said| {
            format!(": {}", clean_title(&said, MAX_SHOWN))
        })
    }

    /// A field, if it is of a kind that this version knows.
    fn typed<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let value = self.fields.get(name)?;
        serde_json::from_value(value.clone()).ok()
    }

    fn claims(&self) -> String {
        let claims = self.fields.get("claims").and_then(Value::as_array);
        let claims: Vec<String> = claims
            .into_iter()
            .flatten()
            .filter_map(|claim| Some(clean_title(claim.as_str()?, MAX_SHOWN)))
            .collect();
        match claims.is_empty() {
            true => String::new(),
            false => format!(", as {}", claims.join(", ")),
        }
    }

    /// Comings and goings that are one entry.
    fn visits(&self) -> (String, String) {
        let ms = self
            .number("to_unix_ms")
            .saturating_sub(self.number("from_unix_ms"));
        let (joins, leaves) = (self.number("joins"), self.number("leaves"));
        let what = format!(
            "joined {joins} more times and left {leaves} times within {} s",
            ms.div_ceil(1000)
        );
        match self.fields.get("identity") {
            Some(_) => (self.person(), what),
            None => ("various people".to_owned(), what),
        }
    }

    /// Who did what; `None` for what other entries say already.
    fn said(&self) -> Option<(String, String)> {
        let by_proof = || {
            let proof = self.typed("proof").map(words::admitted_by);
            let proof = proof.or_else(|| self.text("proof"));
            proof.map_or_else(String::new, |proof| format!(", by {proof}")) + &self.claims()
        };
        let right = || self.text("rights").unwrap_or_default();
        let said = match self.event.as_str() {
            "joined" => (self.person(), format!("joined{}", by_proof())),
            "left" => (self.person(), "left".to_owned()),
            "visits" => self.visits(),
            "knocked" => (self.person(), format!("knocked{}", by_proof())),
            "code_used" => {
                let what = format!("used code {}", self.number("code"));
                ("somebody".to_owned(), what)
            }
            "admitted" => (self.by(), format!("let in {}", self.person())),
            "turned_away" => {
                let others = match self.number("others") {
                    0 => String::new(),
                    others => format!(" (and {others} others before)"),
                };
                (
                    self.person(),
                    format!("was turned away{}{others}", self.why()),
                )
            }
            "asked" => (self.person(), "asked for edit".to_owned()),
            "refused" => (self.by(), format!("said no to {}", self.person())),
            "typing" => (self.person(), "began to type".to_owned()),
            "typed" => {
                let ms = self
                    .number("to_unix_ms")
                    .saturating_sub(self.number("from_unix_ms"));
                let (bytes, seconds) = (self.number("bytes"), ms.div_ceil(1000));
                let grant = self.text("grant").unwrap_or_default();
                let what = format!("typed {bytes} bytes within {seconds} s, by grant {grant}");
                (self.person(), what)
            }
            "granted" => {
                let (until, grant) = (self.number("until_unix_ms"), self.text("grant"));
                let (until, grant) = (clock::local(until), grant.unwrap_or_default());
                let what = match self.whom("to").as_str() {
                    "link" => format!("made a token for {}", right()),
                    to => format!("granted {} to {to}", right()),
                };
                (self.by(), format!("{what} until {until}, as grant {grant}"))
            }
            "redeemed" => {
                let grant = self.text("grant").unwrap_or_default();
                (self.person(), format!("used grant {grant}"))
            }
            "revoked" => {
                let what = match self.text("what").as_deref() {
                    None => format!("what {} was given", self.person()),
                    Some("links") => "every link grant".to_owned(),
                    Some("all") => "every grant".to_owned(),
                    Some(grant) => format!("grant {grant}"),
                };
                (self.by(), format!("revoked {what}"))
            }
            "right" => {
                let what = format!("has the right to {} now{}", right(), self.why());
                (self.person(), what)
            }
            "taken_back" => {
                let what = self.text("what").unwrap_or_default();
                (
                    self.person(),
                    format!("lost what the team took back: {what}"),
                )
            }
            "put_out" => (self.person(), format!("was removed{}", self.why())),
            "kicked" => (self.by(), format!("removed and blocked {}", self.person())),
            "allowed" => {
                let what = format!("put {} on the list: {}", self.whom("who"), right());
                (self.by(), what)
            }
            "disallowed" => (self.by(), format!("took {} off the list", self.whom("who"))),
            "banned" => (self.by(), format!("blocked {}", self.whom("who"))),
            "unbanned" => (self.by(), format!("let {} back in", self.whom("who"))),
            "mode" => {
                let mode = self.text("mode").unwrap_or_default();
                (self.by(), format!("opened the session to: {mode}"))
            }
            "shared" => (self.by(), "began sharing".to_owned()),
            "ended" => (self.by(), format!("ended sharing{}", self.why())),
            "link" => {
                let service = self.text("service").unwrap_or_default();
                (self.by(), format!("published a link at {service}"))
            }
            "link_service" => {
                let service = self.text("service").unwrap_or_default();
                (self.by(), format!("had codes exchanged by {service}"))
            }
            "code" => (self.by(), "had a spoken code made".to_owned()),
            "link_ended" => (self.by(), "ended the link".to_owned()),
            "terminal" => {
                let what = match self.text("state").as_deref() {
                    Some("attached") => "attached a terminal",
                    Some("moved") => "attached another terminal in place of the one before",
                    Some("detached") => "left their terminal",
                    _ => "lost their terminal",
                };
                ("the host".to_owned(), what.to_owned())
            }
            // What the log keeps for itself, and what is followed by what came of it.
            "track" | "opening" | "certificate" => return None,
            "opened" => {
                let (kind, title) = (self.text("kind"), self.text("title"));
                let what = format!(
                    "opened {} {} ({})",
                    kind.unwrap_or_default(),
                    self.number("track"),
                    title.unwrap_or_default()
                );
                (self.by(), what)
            }
            "closed" => (
                self.by(),
                format!("closed terminal {}", self.number("track")),
            ),
            "track_ended" => {
                let what = format!("ended terminal {}{}", self.number("track"), self.why());
                ("the session".to_owned(), what)
            }
            "ticket_replaced" => (self.by(), "replaced the ticket".to_owned()),
            "started_again" => {
                let command = self.text("command").unwrap_or_default();
                let what = format!("started the session again: {command}");
                ("the host".to_owned(), what)
            }
            "lost" => {
                let what = format!(
                    "could not write down {} entries: its disk was full",
                    self.number("count")
                );
                ("the host".to_owned(), what)
            }
            "command" if self.fields.get("done") == Some(&true.into()) => return None,
            "command" => {
                let command = self.fields.get("command").cloned().unwrap_or_default();
                let tried = match serde_json::from_value::<Command>(command.clone()) {
                    Ok(command) => words::attempt(&command),
                    // Of a newer version.
                    Err(_) => match command.as_object().and_then(|verb| verb.keys().next()) {
                        Some(verb) => format!("do what this pillion does not know ({verb})"),
                        None => "do what this pillion does not know".to_owned(),
                    },
                };
                let tried = clean_title(&tried, MAX_SHOWN);
                (self.by(), format!("tried to {tried}{}", self.why()))
            }
            // Of a newer version.
            other => {
                let fields = Value::Object(self.fields.clone()).to_string();
                let text = clean_title(&format!("{other} {fields}"), MAX_SHOWN);
                (self.by(), text)
            }
        };
        Some(said)
    }
}

/// The entries as lines for people. That somebody began to type is only said where the log does not say
/// for how long.
pub fn rows(entries: &[Entry]) -> Vec<Row> {
    let mut rows: Vec<Option<Row>> = Vec::new();
    let mut typing: BTreeMap<String, usize> = BTreeMap::new();
    for entry in entries {
        let key = entry.text("identity").unwrap_or_default();
        match entry.event.as_str() {
            "typing" => {
                typing.insert(key, rows.len());
            }
            "typed" => {
                if let Some(begun) = typing.remove(&key).and_then(|at| rows.get_mut(at)) {
                    *begun = None;
                }
            }
            "started_again" => typing.clear(),
            _ => {}
        }
        rows.push(entry.said().map(|(who, what)| Row {
            unix_ms: entry.unix_ms,
            who,
            what,
        }));
    }
    rows.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: &str = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";

    fn entries(events: &[Value]) -> Vec<Entry> {
        let mut people = People::new();
        let read = |event: &Value| entry(0, event.to_string().as_bytes(), &mut people);
        events.iter().filter_map(read).collect()
    }

    fn lines(events: &[Value]) -> Vec<String> {
        let rows = rows(&entries(events));
        rows.iter()
            .map(|row| format!("{}: {}", row.who, row.what))
            .collect()
    }

    #[test]
    fn everything_that_a_session_logs_is_said_in_words() {
        let golden = include_str!("../../crates/session/tests/audit.golden");
        for line in golden.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            let name = event["event"].as_str().unwrap().to_owned();
            // What is no event of a known name is said as it stands in the log.
            let said = lines(&[event]).concat();
            assert!(!said.contains('{'), "{name}: {said}");
        }
    }

    #[test]
    fn terminals_that_come_and_go_are_said_by_number_and_title() {
        let said = lines(&[
            json!({"event": "track", "track": 0, "place": 0, "run": 1, "kind": 0, "title": "sh"}),
            json!({"event": "opened", "track": 1, "kind": "terminal", "title": "logs", "by": "socket"}),
            json!({"event": "closed", "track": 1, "by": KEY, "by_name": "anna"}),
            json!({"event": "track_ended", "track": 1, "why": {"exited": 0}}),
        ]);
        assert_eq!(said.len(), 3, "{said:?}");
        assert_eq!(said[0], "the host, by command: opened terminal 1 (logs)");
        assert!(said[1].contains("anna") && said[1].ends_with("closed terminal 1"));
        assert_eq!(
            said[2],
            "the session: ended terminal 1: the program ended with code 0"
        );
    }

    #[test]
    fn a_number_is_the_person_who_last_came_by_it_until_the_session_starts_again() {
        let said = lines(&[
            json!({"event": "joined", "id": 1, "name": "anna", "identity": KEY, "proof": "ticket"}),
            json!({"event": "asked", "id": 1, "name": "anna"}),
            json!({"event": "left", "id": 1}),
            json!({"event": "visits", "id": 1, "name": "anna", "identity": KEY, "joins": 40, "leaves": 39,
                "here": true, "from_unix_ms": 1_000, "to_unix_ms": 21_500}),
            json!({"event": "started_again", "run": 2, "command": "bash"}),
            json!({"event": "left", "id": 1}),
        ]);
        let anna = "anna (8a88-e3dd-7409-f195)";
        assert_eq!(
            said,
            [
                format!("{anna}: joined, by the ticket"),
                format!("{anna}: asked for edit"),
                format!("{anna}: left"),
                format!("{anna}: joined 40 more times and left 39 times within 21 s"),
                "the host: started the session again: bash".to_owned(),
                "somebody: left".to_owned(),
            ]
        );
    }

    #[test]
    fn that_somebody_began_to_type_is_said_where_nothing_says_for_how_long() {
        let typing =
            json!({"event": "typing", "id": 1, "name": "anna", "identity": KEY, "grant": "ab"});
        let typed = json!({"event": "typed", "id": 1, "name": "anna", "identity": KEY, "grant": "ab",
            "from_unix_ms": 1000, "to_unix_ms": 5500, "bytes": 7, "inputs": 3});
        let again = json!({"event": "started_again", "run": 2, "command": "sh"});
        let said = lines(&[typing.clone(), typed, typing.clone(), again, typing]);
        assert_eq!(said.len(), 4, "{said:?}");
        assert!(
            said[0].ends_with("typed 7 bytes within 5 s, by grant ab"),
            "{said:?}"
        );
        assert!(said[1].ends_with("began to type") && said[3].ends_with("began to type"));
    }

    #[test]
    fn a_command_that_was_carried_out_is_told_by_what_came_of_it() {
        let granted = json!({"event": "granted", "by": "socket", "to": KEY, "rights": "edit",
            "until_unix_ms": 0, "grant": "cd"});
        let command = |done: bool| {
            json!({"event": "command", "by": "socket", "done": done,
            "command": {"Stop": {}}, "why": "NotShared"})
        };
        let said = lines(&[granted, command(true), command(false)]);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("the host, by command: granted edit to 8a88-e3dd-7409-f195"));
        assert_eq!(
            said[1],
            "the host, by command: tried to stop sharing: this session is not shared; `pillion share` starts that and \
             prints the ticket"
        );
    }

    #[test]
    fn what_the_disk_did_not_take_is_said() {
        let gap = Gap {
            kind: GapKind::Events,
            track: 0,
            first: 3,
            count: 12,
        };
        let rows = rows(&[lost(5, &gap)]);
        assert!(rows[0].what.contains("12 entries") && rows[0].unix_ms == 5);
    }

    #[test]
    fn what_a_log_holds_is_never_more_than_text() {
        let said = lines(&[
            json!({"event": "joined", "id": 1, "name": "\u{1b}[2Janna\n", "identity": "no key"}),
            json!({"event": "of the future\u{7}", "by": "\u{1b}]0;x\u{7}", "deep": [[[1]]]}),
            json!({"event": 5}),
            json!([1, 2]),
        ]);
        assert_eq!(said.len(), 2);
        assert!(
            said.iter().all(|line| !line.chars().any(char::is_control)),
            "{said:?}"
        );
        let mut people = People::new();
        for bytes in [&b"\xff\xfe"[..], b"", b"{", b"null"] {
            assert_eq!(entry(0, bytes, &mut people), None);
        }
    }
}
