//! What was said, as a text for an agent that goes on without having heard it.

use crate::{
    fold::Conversation,
    model::{Block, Item, ItemBody},
};

/// Longest transcript, in bytes: the newest of what was said.
pub const MAX_TRANSCRIPT: usize = 96 * 1024;

/// Most bytes of one text in it.
const MAX_PIECE: usize = 8 * 1024;

/// From where an agent that is started again goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// The agent's own id of its session; empty if it had none.
    pub session: String,
    /// Everybody who sees the conversation may see all of it, so that the agent may tell it again.
    pub may_repeat: bool,
    /// The session was begun or loaded less than a minute ago.
    pub is_young: bool,
    /// What was said, in Markdown; empty if nothing was.
    pub transcript: String,
}

impl Earlier {
    /// From where the agent of a conversation goes on.
    pub fn of(shown: &Conversation) -> Earlier {
        Earlier {
            session: shown.threads()[0].session.clone(),
            may_repeat: shown.first_item() == 0,
            is_young: false,
            transcript: transcript(shown),
        }
    }
}

/// What was said to and by the agent itself, the newest whole.
fn transcript(shown: &Conversation) -> String {
    let (mut pieces, mut room) = (Vec::new(), MAX_TRANSCRIPT);
    for (_, item) in shown.items().rev().filter(|(_, item)| item.thread == 0) {
        let Some(piece) = piece(item) else {
            continue;
        };
        let Some(left) = room.checked_sub(piece.len()) else {
            pieces.push("(What was said before this is left out.)\n\n".to_owned());
            break;
        };
        room = left;
        pieces.push(piece);
    }
    pieces.reverse();
    pieces.concat()
}

fn piece(item: &Item) -> Option<String> {
    Some(match &item.body {
        ItemBody::Prompt(prompt) => {
            let name = prompt.by.as_ref().map_or("", |by| by.name.as_str());
            let name = if name.is_empty() { "The user" } else { name };
            format!("## {name}\n\n{}\n\n", text(&prompt.content))
        }
        ItemBody::Response(said) => format!("## You\n\n{}\n\n", text(&said.content)),
        ItemBody::Tool(tool) => {
            let title = if tool.title.is_empty() {
                &tool.name
            } else {
                &tool.title
            };
            let files: Vec<&str> = tool.locations.iter().map(|at| at.path.as_str()).collect();
            let at = match files.is_empty() {
                true => String::new(),
                false => format!(", {}", files.join(", ")),
            };
            format!("- You used a tool: {title} ({}{at})\n\n", tool.status_word)
        }
        ItemBody::Question(question) => {
            let became = question.outcome.as_ref().map_or("open", |outcome| {
                match outcome.choice.is_empty() {
                    true => &outcome.word,
                    false => &outcome.choice,
                }
            });
            format!("- You asked: {} ({became})\n\n", question.title)
        }
        ItemBody::TurnEnd(end) if !end.error.is_empty() => {
            format!("- Your turn ended: {}\n\n", cut(&end.error))
        }
        _ => return None,
    })
}

fn text(content: &[Block]) -> String {
    // What was given of an earlier transcript is in this one.
    let mut texts = content.iter().filter(|block| block.kind == "text");
    let first = texts.next().map_or("", |block| block.text.as_str());
    let mut all = cut(first).to_owned();
    for block in texts {
        all.push_str(cut(block.text.as_str()));
    }
    all
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_PIECE)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Author, Entry, Logged, Message};

    fn said(shown: &mut Conversation, by: Option<&str>, text: &str) {
        let (message, what) = match by {
            Some(_) => (
                format!(
                    r#"{{"id":2,"method":"session/prompt","params":{{"sessionId":"s","prompt":[{{"type":"resource","resource":{{"uri":"x","text":"earlier"}}}},{{"type":"text","text":"{text}"}}]}}}}"#
                ),
                by,
            ),
            None => (
                format!(
                    r#"{{"method":"session/update","params":{{"sessionId":"s","update":{{"sessionUpdate":"agent_message_chunk","content":{{"type":"text","text":"{text}"}}}}}}}}"#
                ),
                None,
            ),
        };
        let message = Message::parse(&message).unwrap();
        let what = match what {
            Some(name) => Logged::ToAgent {
                message,
                by: Some(Author {
                    name: name.into(),
                    ..Author::default()
                }),
                prompt: None,
            },
            None => Logged::FromAgent(message),
        };
        shown.apply(&Entry { at_ms: 1, what });
    }

    #[test]
    fn the_newest_of_what_was_said_is_in_it_and_no_transcript_of_before() {
        let mut shown = Conversation::new();
        shown.apply_text(r#"{"at":1,"host":{"id":1,"method":"session/new","params":{}}}"#);
        shown.apply_text(r#"{"at":1,"agent":{"id":1,"result":{"sessionId":"s"}}}"#);
        said(&mut shown, Some("anna"), "fix it");
        said(&mut shown, None, "half an ans");
        let earlier = Earlier::of(&shown);
        assert_eq!(earlier.session, "s");
        assert!(earlier.may_repeat);
        assert_eq!(
            earlier.transcript,
            "## anna\n\nfix it\n\n## You\n\nhalf an ans\n\n"
        );
        for _ in 0..50 {
            said(&mut shown, Some("bo"), &"x".repeat(MAX_PIECE));
        }
        said(&mut shown, None, "the end");
        let earlier = Earlier::of(&shown);
        assert!(earlier.transcript.len() < MAX_TRANSCRIPT + 100);
        assert!(earlier.transcript.starts_with("(What was said before"));
        assert!(earlier.transcript.ends_with("the end\n\n"));
        // Who came later doesn't see the beginning, and the agent is not made to tell it.
        assert!(!Earlier::of(&shown.visible_from(shown.next())).may_repeat);
    }
}
