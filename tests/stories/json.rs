//! What `--json` prints, by its shape: programs read it, so fields are only added.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use crate::harness::{Machine, service::Service, until, ways::share};

/// A value's type, of objects and arrays that of what is in them.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        // Entries may differ; together they have what any has.
        Value::Array(all) => match all.first() {
            Some(Value::Object(_)) => {
                let mut fields = serde_json::Map::new();
                for one in all.iter().filter_map(Value::as_object) {
                    for (name, value) in one {
                        fields.insert(name.clone(), shape(value));
                    }
                }
                Value::Array(vec![fields.into()])
            }
            Some(first) => Value::Array(vec![shape(first)]),
            None => Value::Array(Vec::new()),
        },
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect(),
    }
}

fn names(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| names(one, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                found.push(name.clone());
                names(value, found);
            }
        }
        _ => {}
    }
}

#[test]
fn what_programs_read_has_the_shape_that_is_documented() {
    let [anna, bert, carl] = [(); 3].map(|()| Machine::new());
    let service = Service::start();
    service.known_to(&anna);
    service.known_to(&bert);
    let shared = share(&anna, &["--code"]);
    let viewer = bert.watch(&shared.ticket, &["--name", "bert"]);
    viewer.wait_for("view only");
    until("the viewer's path to be known", || {
        let who = anna.who();
        (who[0]["rtt_ms"].is_number() && who[0]["path"] == "direct").then_some(())
    });
    let key = carl.run(&["id"]).trim().to_owned();
    anna.run(&["people", "add", "carl", &key]);
    anna.run(&["allow", &key, "--edit"]);

    let mut shapes = BTreeMap::from([("share".to_owned(), shape(&shared.object))]);
    let id = anna.session()["session"].as_str().unwrap().to_owned();
    let commands: &[&[&str]] = &[
        &["share", &id],
        &["ticket"],
        &["link"],
        &["code"],
        &["who"],
        &["grant", "--link", "--edit"],
        &["allow"],
        &["new"],
        &["ls"],
        &["ls", &id],
        &["audit"],
        &["id"],
        &["people"],
        &["team", "new", "core"],
        &["team", "add", "core", "carl", &key],
        &["team", "show"],
        &["team", "remove", "core", "carl"],
        &["device", "ls"],
        &["config", "show"],
    ];
    for command in commands {
        let printed = anna.run(&[command, &["--json"][..]].concat());
        let value: Value = serde_json::from_str(&printed).unwrap();
        let mut name = command.join(" ");
        for (long, short) in [(&id, "SESSION"), (&key, "KEY")] {
            name = name.replace(long.as_str(), short);
        }
        // Of events there are many; what each has is in the session's own golden file.
        if name == "audit" {
            let entries = value.as_array().unwrap();
            let always = |entry: &Value| {
                ["at", "unix_ms", "event"]
                    .iter()
                    .all(|name| entry.get(name).is_some())
            };
            assert!(
                !entries.is_empty() && entries.iter().all(always),
                "{printed}"
            );
            continue;
        }
        shapes.insert(name, shape(&value));
    }

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = root.join("tests/stories/json.golden");
    let lines: String = shapes
        .iter()
        .map(|(command, shape)| format!("{command}: {shape}\n"))
        .collect();
    if std::env::var_os("PILLION_BLESS").is_some() {
        std::fs::write(&golden, &lines).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(golden).unwrap_or_default(),
        lines,
        "--json prints other fields; on purpose? PILLION_BLESS=1, and docs/json.md"
    );

    let documented = std::fs::read_to_string(root.join("docs/json.md")).unwrap();
    let mut all = Vec::new();
    shapes.values().for_each(|shape| names(shape, &mut all));
    for name in all {
        assert!(
            documented.contains(&format!("`{name}`")),
            "docs/json.md lacks {name}"
        );
    }
}
