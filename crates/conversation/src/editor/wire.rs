//! Parts of messages, as each version has them.

use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use super::{diff, text as plain_text};
use crate::{
    bounded::BoundedText,
    entry::Exit,
    fold::Conversation,
    model::{
        Block, Choice, ChoiceKind, Command, ConfigOption, Diff, FileChange, ItemBody, Plan,
        Question, Terminal, Tool, ToolContent, ToolKind, ToolStatus,
    },
};

/// A block of text.
pub(super) fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// A text that may be the beginning of one, whose rest only the host has.
pub(super) fn whole(text: &BoundedText) -> String {
    match text.omitted() {
        0 => text.as_str().to_owned(),
        // The same however much is missing, so that what was sent stays the beginning of it.
        _ => format!("{}\n[… the rest is in the recording]", text.as_str()),
    }
}

/// A block of content. The model has no pictures and sounds, only that there are some.
pub(super) fn block(block: &Block) -> Value {
    let named = |what: &str| {
        let words = [what, block.mime_type.as_str(), block.name.as_str()];
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        text(&format!("[{}]", words.join(" ")))
    };
    match block.kind.as_str() {
        "text" => text(&whole(&block.text)),
        "resource_link" => {
            let name = match block.name.is_empty() {
                true => &block.uri,
                false => &block.name,
            };
            json!({"type": "resource_link", "uri": block.uri, "name": name})
        }
        "resource" if block.data_bytes == 0 => {
            json!({"type": "resource", "resource": {"uri": block.uri, "text": whole(&block.text)}})
        }
        kind => named(kind),
    }
}

/// A path, absolute as version 2 wants it.
fn absolute(version: u64, shown: &Conversation, path: &str) -> String {
    if version < 2 || path.starts_with('/') {
        return path.to_owned();
    }
    let cwd = cwd(shown);
    format!("{}/{path}", cwd.trim_end_matches('/'))
}

/// Where the agent works.
pub(super) fn cwd(shown: &Conversation) -> &str {
    let environment = shown.process().environment.as_ref();
    let cwd = environment.map_or("", |environment| environment.cwd.as_str());
    match cwd.starts_with('/') {
        true => cwd,
        false => "/",
    }
}

/// What there is to know of a tool, by the names of the protocol.
pub(super) fn tool(
    version: u64,
    shown: &Conversation,
    thread: u32,
    tool: &Tool,
) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    let title = match tool.title.is_empty() {
        true => tool.name.as_str(),
        false => tool.title.as_str(),
    };
    set("title", json!(title));
    if !tool.name.is_empty() {
        set("name", json!(tool.name));
    }
    set("kind", json!(kind(tool.kind())));
    set("status", json!(status(version, tool)));
    let content = tool.content.iter();
    let content = content.flat_map(|one| tool_content(version, shown, thread, one));
    set("content", Value::Array(content.collect()));
    let locations = tool.locations.iter().map(|one| {
        let mut location = json!({"path": absolute(version, shown, &one.path)});
        if let Some(line) = one
            .line
            .filter(|line| (1..u64::from(u32::MAX)).contains(line))
        {
            location["line"] = json!(line);
        }
        location
    });
    set("locations", Value::Array(locations.collect()));
    for (name, raw) in [("rawInput", &tool.input), ("rawOutput", &tool.output)] {
        if !raw.is_empty() {
            set(name, raw_value(raw));
        }
    }
    fields
}

/// What a tool was called with: as the agent gave it, or of what is not held whole the beginning as a text.
fn raw_value(raw: &BoundedText) -> Value {
    let value = (raw.omitted() == 0).then(|| serde_json::from_str(raw.as_str()).ok());
    value.flatten().unwrap_or_else(|| json!(whole(raw)))
}

fn kind(kind: ToolKind) -> &'static str {
    match kind {
        ToolKind::Read => "read",
        ToolKind::Edit => "edit",
        ToolKind::Delete => "delete",
        ToolKind::Move => "move",
        ToolKind::Search => "search",
        ToolKind::Execute => "execute",
        ToolKind::Think => "think",
        ToolKind::Fetch => "fetch",
        ToolKind::SwitchMode => "switch_mode",
        ToolKind::Other => "other",
    }
}

fn status(version: u64, tool: &Tool) -> &'static str {
    match tool.status() {
        ToolStatus::Pending => "pending",
        ToolStatus::InProgress | ToolStatus::Other => "in_progress",
        ToolStatus::Completed => "completed",
        ToolStatus::Failed => "failed",
        ToolStatus::Cancelled | ToolStatus::LeftOpen if version >= 2 => "cancelled",
        ToolStatus::Cancelled | ToolStatus::LeftOpen => "failed",
    }
}

fn tool_content(
    version: u64,
    shown: &Conversation,
    thread: u32,
    content: &ToolContent,
) -> Vec<Value> {
    match content.kind.as_str() {
        "content" => vec![json!({"type": "content", "content": block(&content.block)})],
        "diff" if version < 2 => diff::texts(&content.diff)
            .into_iter()
            .map(|texts| {
                json!({"type": "diff", "path": texts.path, "oldText": texts.old, "newText": texts.new})
            })
            .collect(),
        "diff" => vec![diff_of(shown, &content.diff)],
        "terminal" if version >= 2 => {
            vec![json!({"type": "terminal", "terminalId": id(thread, &content.refers_to)})]
        }
        "terminal" => {
            let item = shown.terminal(thread, &content.refers_to);
            let item = item.and_then(|item| shown.item(item));
            match item.map(|item| &item.body) {
                Some(ItemBody::Terminal(terminal)) => {
                    vec![json!({"type": "content", "content": text(&printed(terminal))})]
                }
                _ => Vec::new(),
            }
        }
        "session" => Vec::new(),
        other => {
            let said = format!("[content of kind {other}]");
            vec![json!({"type": "content", "content": text(&said)})]
        }
    }
}

fn diff_of(shown: &Conversation, diff: &Diff) -> Value {
    let change = |change: &FileChange| {
        let path = absolute(2, shown, &change.path);
        let mut one = json!({"operation": change.operation, "path": path});
        if !change.old_path.is_empty() {
            one["oldPath"] = json!(absolute(2, shown, &change.old_path));
        }
        one
    };
    let changes: Vec<Value> = diff.changes.iter().map(change).collect();
    let patch = diff::patch(diff);
    match patch.is_empty() {
        true => json!({"type": "diff", "changes": changes}),
        false => json!({
            "type": "diff", "changes": changes, "patch": {"format": "git_patch", "text": patch},
        }),
    }
}

/// A terminal as Markdown, for version 1, where terminals are the editor's.
fn printed(terminal: &Terminal) -> String {
    let output = plain_text::plain(terminal.output.bytes());
    let mut out = String::from("```console\n");
    if !terminal.command.is_empty() {
        out.push_str(&format!("$ {}\n", terminal.command));
    }
    if terminal.output.omitted() > 0 {
        out.push_str("[…]\n");
    }
    // Three backquotes would end it.
    out.push_str(&output.replace("```", "'''"));
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out.push_str("```");
    match &terminal.exit {
        Some(Exit { code: Some(0), .. }) | None => {}
        Some(Exit {
            code: Some(code), ..
        }) => out.push_str(&format!("\nexit code {code}")),
        Some(Exit { signal, .. }) => out.push_str(&format!("\n{signal}")),
    }
    out
}

/// A terminal, of version 2; its output is sent beside it.
pub(super) fn terminal(shown: &Conversation, terminal: &Terminal) -> Map<String, Value> {
    let mut fields = Map::new();
    if !terminal.command.is_empty() {
        fields.insert("command".to_owned(), json!(terminal.command));
    }
    if !terminal.cwd.is_empty() {
        fields.insert("cwd".to_owned(), json!(absolute(2, shown, &terminal.cwd)));
    }
    if let Some(exit) = &terminal.exit {
        let mut status = json!({"exitCode": exit.code});
        if !exit.signal.is_empty() {
            status["signal"] = json!(exit.signal);
        }
        fields.insert("exitStatus".to_owned(), status);
    }
    fields
}

pub(super) fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// An id of the agent's, as editors get it: what subagents use is another space.
pub(super) fn id(thread: u32, id: &str) -> String {
    match thread {
        0 => id.to_owned(),
        thread => format!("{thread}/{id}"),
    }
}

pub(super) fn command(version: u64, command: &Command) -> Value {
    let mut one = json!({"name": command.name, "description": command.description});
    if version >= 2 {
        one["type"] = json!("command");
    }
    if !command.hint.is_empty() {
        one["input"] = match version {
            1 => json!({"hint": command.hint}),
            _ => json!({"type": "text", "hint": command.hint}),
        };
    }
    one
}

/// An option; `None` of one that the editor can't show.
pub(super) fn option(version: u64, booleans: bool, option: &ConfigOption) -> Option<Value> {
    let name = match option.name.as_str() {
        "" => &option.id,
        name => name,
    };
    let is_boolean = option.values.is_empty();
    if option.id.is_empty()
        || is_boolean
            && (version < 2 && !booleans || !matches!(option.value.as_str(), "true" | "false"))
    {
        return None;
    }
    let values = option.values.iter().map(|value| {
        let name = match value.name.as_str() {
            "" => &value.id,
            name => name,
        };
        let mut one = json!({"value": value.id, "name": name});
        if !value.description.is_empty() {
            one["description"] = json!(value.description);
        }
        one
    });
    let mut one = match is_boolean {
        true => json!({"type": "boolean", "currentValue": option.value == "true"}),
        false => json!({
            "type": "select", "currentValue": option.value, "options": values.collect::<Vec<_>>(),
        }),
    };
    one[if version >= 2 { "configId" } else { "id" }] = json!(option.id);
    one["name"] = json!(name);
    if !option.description.is_empty() {
        one["description"] = json!(option.description);
    }
    if !option.category.is_empty() {
        one["category"] = json!(option.category);
    }
    Some(one)
}

/// Version 1's modes, of the option that has them.
pub(super) fn modes(option: &ConfigOption) -> Value {
    let modes = option.values.iter().map(|value| {
        let name = match value.name.as_str() {
            "" => &value.id,
            name => name,
        };
        json!({"id": value.id, "name": name})
    });
    json!({"currentModeId": option.value, "availableModes": modes.collect::<Vec<_>>()})
}

/// A plan's steps.
pub(super) fn steps(plan: &Plan) -> Vec<Value> {
    let known = |word: &str, words: [&'static str; 3], default: &'static str| {
        words
            .into_iter()
            .find(|one| *one == word)
            .unwrap_or(default)
    };
    let step = |step: &crate::Step| {
        json!({
            "content": step.content,
            "priority": known(&step.priority, ["high", "medium", "low"], "medium"),
            "status": known(&step.status, ["pending", "in_progress", "completed"], "pending"),
        })
    };
    plan.steps.iter().map(step).collect()
}

/// A plan, where plans have ids.
pub(super) fn plan(plan: &Plan) -> Value {
    match plan.steps.is_empty() && !plan.text.is_empty() {
        true => json!({"type": "markdown", "planId": plan.id, "content": whole(&plan.text)}),
        false => json!({"type": "items", "planId": plan.id, "entries": steps(plan)}),
    }
}

/// What can be answered. "Always" is made a rule of the session's where it can be, which is shown and can be taken back.
pub(super) fn choices(question: &Question) -> Vec<Value> {
    let has_once = has_once(question);
    let choice = |choice: &Choice| {
        let name = match choice.kind() {
            ChoiceKind::AllowAlways if has_once => "Allow what is like it in this session",
            _ => choice.name.as_str(),
        };
        let kind = match choice.kind() {
            ChoiceKind::AllowOnce => "allow_once",
            ChoiceKind::AllowAlways => "allow_always",
            ChoiceKind::RejectAlways => "reject_always",
            // Of what is not known no is the safer look.
            ChoiceKind::RejectOnce | ChoiceKind::Other => "reject_once",
        };
        json!({"optionId": choice.id, "name": name, "kind": kind})
    };
    question.choices.iter().map(choice).collect()
}

/// Whether it can be allowed this once, which a rule of the session's does each time.
pub(super) fn has_once(question: &Question) -> bool {
    let mut choices = question.choices.iter();
    choices.any(|choice| choice.kind() == ChoiceKind::AllowOnce)
}

/// A question's parameters but for the session.
pub(super) fn permission(
    version: u64,
    shown: &Conversation,
    thread: u32,
    item: u64,
    question: &Question,
) -> Value {
    let known = shown.tool(thread, &question.tool);
    let known = known.and_then(|item| match &shown.item(item)?.body {
        ItemBody::Tool(tool) => Some(tool),
        _ => None,
    });
    let mut call = match known {
        Some(known) => tool(version, shown, thread, known),
        None => Map::new(),
    };
    let command = whole(&question.command);
    let title = match (question.title.is_empty(), command.is_empty()) {
        (false, _) => question.title.clone(),
        (true, false) => command.clone(),
        (true, true) => "The agent asks".to_owned(),
    };
    let call_id = match question.tool.as_str() {
        "" => format!("question-{item}"),
        tool => id(thread, tool),
    };
    call.insert("toolCallId".to_owned(), json!(call_id));
    if known.is_none() {
        call.insert("title".to_owned(), json!(title));
        call.insert("status".to_owned(), json!("pending"));
        if !command.is_empty() {
            call.insert("kind".to_owned(), json!("execute"));
            call.insert("rawInput".to_owned(), json!({"command": command}));
        }
    }
    if version < 2 {
        return json!({"toolCall": call, "options": choices(question)});
    }
    let mut params = json!({"title": title, "options": choices(question)});
    if !question.description.is_empty() {
        params["description"] = json!(question.description);
    }
    params["subject"] = match question.command.is_empty() {
        true => json!({"type": "tool_call", "toolCall": call}),
        false => {
            let cwd = match question.cwd.is_empty() {
                true => cwd(shown).to_owned(),
                false => absolute(2, shown, &question.cwd),
            };
            let mut subject = json!({"type": "command", "command": command, "cwd": cwd});
            if !question.tool.is_empty() {
                subject["toolCallId"] = json!(call_id);
            }
            subject
        }
    };
    params
}
