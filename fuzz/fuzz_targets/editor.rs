//! An editor at a conversation: lines that begin with `<` are entries of the conversation's log, others are the editor's,
//! and an empty one looks. Whatever comes, the editor is sent one line of JSON for each message, and every request that
//! has been answered was made.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_conversation::{About, Conversation, Editor, EditorOutput, Seen};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let mut shown = Conversation::new();
    let mut editor = Editor::new(About {
        name: "pillion".to_owned(),
        version: "1".to_owned(),
        session: "s".to_owned(),
    });
    for (at, line) in text.lines().enumerate() {
        let seen = Seen {
            conversation: (shown.next() > 0).then_some(&shown),
            title: "t",
            you: "k",
            may_prompt: true,
            may_approve: at % 2 == 0,
            away: None,
        };
        match line.strip_prefix('<') {
            Some(entry) => shown.apply_text(entry),
            None if line.is_empty() => editor.look(&seen),
            None => editor.handle_line(line, &seen),
        }
        while let Some(output) = editor.poll() {
            match output {
                EditorOutput::Send(line) => {
                    assert!(!line.contains('\n'));
                    let message: serde_json::Value = serde_json::from_str(&line).expect("it is JSON");
                    assert_eq!(message["jsonrpc"], "2.0");
                }
                EditorOutput::Want { number, .. } => match number % 3 {
                    0 => editor.done(number, Err("no")),
                    1 => editor.done(number, Ok(())),
                    _ => {}
                },
                EditorOutput::Say(_) => {}
            }
        }
    }
    editor.end("over");
});
