//! Folding in parts is folding at once, and a snapshot with what follows is the whole.

use pillion_conversation::{Conversation, Masker};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

/// Something that an agent or the host says, often of the same few things.
fn entry() -> impl Strategy<Value = Value> {
    let id = || select(vec!["a", "b", "c"]);
    let session = || select(vec!["s", "s", "s", "child"]);
    let text = || prop_oneof![20 => "[a-z]{0,4}", 1 => Just("x".repeat(40_000))];
    let block = move || text().prop_map(|text| json!({"type": "text", "text": text}));
    let message = select(vec![
        "agent_message_chunk",
        "agent_thought_chunk",
        "user_message_chunk",
        "agent_message",
        "user_message",
        "session_message_chunk",
        "never heard of",
    ]);
    let messages = (message, prop::option::of(id()), block()).prop_map(
        |(kind, id, content)| json!({"sessionUpdate": kind, "messageId": id, "content": content}),
    );
    let status = select(vec!["pending", "in_progress", "completed", "odd"]);
    let tools = (id(), status, prop::option::of(block()), any::<bool>()).prop_map(
        |(id, status, content, meta)| {
            let content = content.map(|content| json!([{"type": "content", "content": content}]));
            let mut update = json!({"sessionUpdate": "tool_call_update", "toolCallId": id,
                "status": status, "content": content});
            if meta {
                update["_meta"] = json!({"terminal_info": {"terminal_id": id},
                    "terminal_output": {"terminal_id": id, "data": "out"}});
            }
            update
        },
    );
    let states = select(vec![
        json!({"sessionUpdate": "state_update", "state": "running"}),
        json!({"sessionUpdate": "state_update", "state": "idle", "stopReason": "end_turn"}),
        json!({"sessionUpdate": "plan", "entries": [{"content": "x", "status": "pending"}]}),
        json!({"sessionUpdate": "current_mode_update", "currentModeId": "ask"}),
        json!({"sessionUpdate": "subagent_update", "sessionId": "child", "title": "x"}),
        json!({"sessionUpdate": "config_option_update", "configOptions": [{"id": "mode", "category": "mode"}]}),
    ]);
    let updates =
        (session(), prop_oneof![messages, tools, states]).prop_map(|(session, update)| {
            json!({"at": 1, "agent": {"method": "session/update",
            "params": {"sessionId": session, "update": update}}})
        });
    let number = || 0_u64..4;
    let requests = (number(), id()).prop_map(|(request, tool)| {
        json!({"at": 2, "agent": {"id": request, "method": "session/request_permission",
            "params": {"sessionId": "s", "toolCall": {"toolCallId": tool}, "options": []}}})
    });
    let calls = (number(), select(vec!["session/prompt", "session/new", "session/load", "initialize"]), block())
        .prop_map(|(id, method, block)| {
            json!({"at": 3, "host": {"id": id, "method": method,
                "params": {"sessionId": "s", "prompt": [block]}}, "by": {"id": "k", "name": "n", "right": "r"}})
        });
    let answers = (number(), any::<bool>(), id()).prop_map(|(id, agent, message)| {
        let side = if agent { "agent" } else { "host" };
        json!({"at": 4, side: {"id": id, "result": {"stopReason": "end_turn", "sessionId": "s",
            "messageId": message, "protocolVersion": 2, "outcome": {"outcome": "cancelled"}}}})
    });
    let by = || json!({"id": "k", "name": "n", "right": "r"});
    let notes = (number(), number(), 0..8).prop_map(move |(one, other, kind)| {
        let note = match kind {
            0 => json!({"kind": "started", "environment": {}}),
            1 => json!({"kind": "ended", "exit": {}}),
            2 => json!({"kind": "queued", "prompt": one, "by": by(), "text": "x"}),
            3 => json!({"kind": "moved", "prompt": one, "by": by(), "before": other}),
            4 => json!({"kind": "withdrawn", "prompt": one, "by": by()}),
            5 => json!({"kind": "claimed", "question": one, "by": by()}),
            6 => json!({"kind": "closed", "question": one, "why": "withdrawn"}),
            _ => json!({"kind": "later"}),
        };
        json!({"at": 5, "note": note})
    });
    prop_oneof![6 => updates, 1 => requests, 1 => calls, 1 => answers, 2 => notes]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_snapshot_and_the_rest_are_the_whole(
        entries in prop::collection::vec(entry(), 0..60),
        cut in any::<prop::sample::Index>(),
    ) {
        let entries: Vec<String> = entries.iter().map(Value::to_string).collect();
        let cut = cut.index(entries.len() + 1);
        let mut whole = Conversation::new();
        let mut parts = Conversation::new();
        for (at, entry) in entries.iter().enumerate() {
            if at == cut {
                parts = Conversation::from_snapshot(&parts.snapshot()).unwrap();
            }
            whole.apply_text(entry);
            parts.apply_text(entry);
        }
        prop_assert_eq!(whole.next(), entries.len() as u64);
        let joined = Conversation::from_snapshot(&whole.snapshot()).unwrap();
        prop_assert_eq!(&joined, &whole);
        prop_assert_eq!(parts, whole);
    }

    #[test]
    fn no_entry_makes_it_panic(entries in prop::collection::vec(entry(), 0..20), flip in any::<u64>()) {
        let mut conversation = Conversation::new();
        let mut masker = Masker::new([("A_TOKEN", "pending_or_not")]);
        for entry in &entries {
            // Break it somewhere.
            let mut text = entry.to_string();
            let at = text.floor_char_boundary(flip as usize % text.len());
            text.insert(at, (flip % 128) as u8 as char);
            conversation.apply_text(&masker.mask(&text));
        }
        prop_assert_eq!(conversation.next(), entries.len() as u64);
    }

    #[test]
    fn a_broken_snapshot_is_refused_or_bounded(
        entries in prop::collection::vec(entry(), 0..30),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut conversation = Conversation::new();
        for entry in &entries {
            conversation.apply_text(&entry.to_string());
        }
        let mut bytes = conversation.snapshot();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(mut read) = Conversation::from_snapshot(&bytes) {
            for entry in &entries {
                read.apply_text(&entry.to_string());
            }
            read.snapshot();
        }
    }
}
