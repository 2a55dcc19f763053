//! Parts of messages, read as far as they can be.

use std::borrow::Cow;

use crate::{
    bounded::BoundedText,
    json::Json,
    limits::{
        MAX_CHOICES, MAX_DESCRIPTION, MAX_ID, MAX_ITEM, MAX_LISTS, MAX_PARTS, MAX_TEXT, MAX_WORD,
    },
    model::{
        Block, Choice, Command, ConfigOption, Diff, FileChange, Location, OptionValue, Step,
        ToolContent,
    },
};

/// Cut where it is too long for a word.
pub(super) fn word(text: &str) -> String {
    cut(text, MAX_WORD)
}

fn cut(text: &str, max: usize) -> String {
    text[..text.floor_char_boundary(max)].to_owned()
}

/// A word, or nothing.
pub(super) fn string(json: Option<Json<'_>>) -> String {
    string_of(json, MAX_WORD)
}

fn string_of(json: Option<Json<'_>>, max: usize) -> String {
    json.and_then(Json::text)
        .map(|text| cut(&text, max))
        .unwrap_or_default()
}

/// A text within what an item has room for.
pub(super) struct Room(usize);

impl Room {
    pub(super) fn of_an_item() -> Room {
        Room(MAX_ITEM)
    }

    /// What is left of an item that weighs so much.
    pub(super) fn beside(weight: usize) -> Room {
        Room(MAX_ITEM.saturating_sub(weight))
    }

    fn text(&mut self, text: &str) -> BoundedText {
        let bounded = BoundedText::cut(text, self.0.min(MAX_TEXT));
        self.0 -= bounded.len();
        bounded
    }

    fn json(&mut self, json: Option<Json<'_>>) -> BoundedText {
        match json.and_then(Json::text) {
            Some(text) => self.text(&text),
            None => BoundedText::default(),
        }
    }
}

/// Blocks of content: a list, or one by itself.
pub(super) fn blocks(json: Json<'_>, room: &mut Room) -> Vec<Block> {
    match json.is_array() {
        true => json
            .items()
            .take(MAX_PARTS)
            .map(|one| block(one, room))
            .collect(),
        false if json.is_object() => vec![block(json, room)],
        false => Vec::new(),
    }
}

pub(super) fn block(json: Json<'_>, room: &mut Room) -> Block {
    let [kind, text, uri, name, mime_type, data, resource] = json.fields([
        "type", "text", "uri", "name", "mimeType", "data", "resource",
    ]);
    // What an embedded resource is stands in an object of its own.
    let [inner_text, inner_uri, inner_mime, blob] = match resource {
        Some(resource) => resource.fields(["text", "uri", "mimeType", "blob"]),
        None => [None; 4],
    };
    let data = data
        .or(blob)
        .map_or(0, |data| data.as_str().len().saturating_sub(2));
    Block {
        kind: string(kind),
        text: room.json(text.or(inner_text)),
        uri: string(uri.or(inner_uri)),
        name: string(name),
        mime_type: string(mime_type.or(inner_mime)),
        data_bytes: data as u64,
    }
}

/// Adds a block, to the text before it where both are text.
pub(super) fn append(blocks: &mut Vec<Block>, block: Block) {
    let full = blocks.iter().map(Block::weight).sum::<usize>() > MAX_ITEM;
    let room = blocks.len() < MAX_PARTS;
    match blocks.last_mut() {
        Some(last) if full => last.text.omit(block.text.len()),
        Some(last) if last.kind == "text" && block.kind == "text" => {
            last.text.push(block.text.as_str());
        }
        _ if room => blocks.push(block),
        _ => {}
    }
}

pub(super) fn tool_contents(json: Json<'_>) -> Vec<ToolContent> {
    let mut room = Room::of_an_item();
    json.items()
        .take(MAX_PARTS)
        .map(|one| tool_content(one, &mut room))
        .collect()
}

pub(super) fn tool_content(json: Json<'_>, room: &mut Room) -> ToolContent {
    let [kind, content, terminal, session] =
        json.fields(["type", "content", "terminalId", "sessionId"]);
    let kind = string(kind);
    ToolContent {
        block: match content {
            Some(content) => block(content, room),
            None => Block::default(),
        },
        diff: match kind.as_str() {
            "diff" => diff(json, room),
            _ => Diff::default(),
        },
        refers_to: string_of(terminal.or(session), MAX_ID),
        kind,
    }
}

/// Version 1 has one file's texts, version 2 what becomes of files and a patch.
fn diff(json: Json<'_>, room: &mut Room) -> Diff {
    let [path, old_text, new_text, changes, patch] =
        json.fields(["path", "oldText", "newText", "changes", "patch"]);
    let change = |json: Json<'_>| {
        let [operation, path, old_path] = json.fields(["operation", "path", "oldPath"]);
        FileChange {
            operation: string(operation),
            path: string(path),
            old_path: string(old_path),
        }
    };
    let old_text = old_text.and_then(Json::text).map(|text| room.text(&text));
    let new_text = new_text.and_then(Json::text).map(|text| room.text(&text));
    let changes = match (changes, path) {
        (Some(changes), _) => changes.items().take(MAX_PARTS).map(change).collect(),
        (None, Some(path)) => vec![FileChange {
            operation: match old_text {
                Some(_) => "modify".to_owned(),
                None => "add".to_owned(),
            },
            path: string(Some(path)),
            old_path: String::new(),
        }],
        (None, None) => Vec::new(),
    };
    Diff {
        changes,
        patch: room.json(patch.and_then(|patch| patch.get("text"))),
        old_text,
        new_text,
    }
}

pub(super) fn locations(json: Json<'_>) -> Vec<Location> {
    let location = |json: Json<'_>| {
        let [path, line] = json.fields(["path", "line"]);
        Location {
            path: string(path),
            line: line.and_then(Json::number),
        }
    };
    json.items().take(MAX_PARTS).map(location).collect()
}

pub(crate) fn choices(json: Json<'_>) -> Vec<Choice> {
    let choice = |json: Json<'_>| {
        let [id, name, kind] = json.fields(["optionId", "name", "kind"]);
        let id = id.and_then(Json::text)?;
        // One that can't be sent back as it came can't be chosen.
        (id.len() <= MAX_ID).then(|| Choice {
            id: id.into_owned(),
            name: string(name),
            kind_word: string(kind),
        })
    };
    json.items().filter_map(choice).take(MAX_PARTS).collect()
}

pub(super) fn steps(json: Json<'_>) -> Vec<Step> {
    let step = |json: Json<'_>| {
        let [content, priority, status] = json.fields(["content", "priority", "status"]);
        Step {
            content: string(content),
            priority: string_of(priority, 32),
            status: string_of(status, 32),
        }
    };
    json.items().take(MAX_CHOICES).map(step).collect()
}

pub(super) fn commands(json: Json<'_>) -> Vec<Command> {
    let command = |json: Json<'_>| {
        let [name, description, input] = json.fields(["name", "description", "input"]);
        Command {
            name: string_of(name, MAX_ID),
            description: string_of(description, MAX_DESCRIPTION),
            hint: string_of(input.and_then(|input| input.get("hint")), MAX_DESCRIPTION),
        }
    };
    json.items().take(MAX_CHOICES).map(command).collect()
}

/// The options as version 1 (`id`) and version 2 (`configId`) have them.
pub(super) fn options(json: Json<'_>) -> Vec<ConfigOption> {
    let option = |json: Json<'_>| {
        let [id, config_id, name, description, category, value, values] = json.fields([
            "id",
            "configId",
            "name",
            "description",
            "category",
            "currentValue",
            "options",
        ]);
        ConfigOption {
            id: string_of(config_id.or(id), MAX_ID),
            name: string(name),
            description: string_of(description, MAX_DESCRIPTION),
            category: string(category),
            value: match value.map(|value| (value.boolean(), value)) {
                Some((Some(on), _)) => on.to_string(),
                Some((None, value)) => string_of(Some(value), MAX_ID),
                None => String::new(),
            },
            values: values.map(option_values).unwrap_or_default(),
        }
    };
    json.items().take(MAX_LISTS).map(option).collect()
}

/// Values, those in groups among them.
fn option_values(json: Json<'_>) -> Vec<OptionValue> {
    let value = |json: Json<'_>| option_value(json, "value");
    json.items()
        .flat_map(|one| match one.get("options") {
            Some(group) => group.items().take(MAX_CHOICES).map(value).collect(),
            None => vec![value(one)],
        })
        .take(MAX_CHOICES)
        .collect()
}

fn option_value(json: Json<'_>, id: &'static str) -> OptionValue {
    let [id, name, description] = json.fields([id, "name", "description"]);
    OptionValue {
        id: string_of(id, MAX_ID),
        name: string_of(name, MAX_DESCRIPTION),
        description: string_of(description, MAX_DESCRIPTION),
    }
}

/// Version 1's modes, and the models that some agents have beside them, as an option of that category.
pub(super) fn selection(
    category: &str,
    current: Option<Json<'_>>,
    available: Option<Json<'_>>,
    id: &'static str,
) -> ConfigOption {
    let values = available.map(|all| {
        all.items()
            .take(MAX_CHOICES)
            .map(|one| option_value(one, id))
            .collect()
    });
    ConfigOption {
        id: category.to_owned(),
        category: category.to_owned(),
        value: string_of(current, MAX_ID),
        values: values.unwrap_or_default(),
        ..ConfigOption::default()
    }
}

/// An error of JSON-RPC in one line: its message, and its data where that is a text.
pub(crate) fn error(json: Json<'_>) -> String {
    let [code, message, data] = json.fields(["code", "message", "data"]);
    let details = data.and_then(|data| match data.is_object() {
        true => data.get("details").or(data.get("message")),
        false => Some(data),
    });
    let mut parts: Vec<Cow<'_, str>> = [message, details]
        .into_iter()
        .filter_map(|part| part?.text())
        .collect();
    parts.dedup();
    if parts.is_empty() {
        let code = code.and_then(Json::integer).unwrap_or_default();
        parts.push(format!("error {code}").into());
    }
    word(&parts.join(": "))
}
