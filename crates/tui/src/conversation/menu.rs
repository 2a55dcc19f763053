//! What can be set: the agent's options, prompts that wait for a yes, and the rules by which questions are answered.

use pillion_conversation::ConfigOption;
use pillion_screen::Attrs;

use super::{
    ConversationAction, ConversationContext,
    items::Around,
    span::{DIM, Line, PLAIN, YELLOW, with},
};
use crate::text;

/// Most columns of what an option and its values are called.
const NAME: usize = 60;

/// The list, or the values of one option.
#[derive(Debug, Default)]
pub(super) struct Menu {
    /// The option whose values are listed.
    option: Option<String>,
    chosen: usize,
}

/// Something in the list.
enum Entry<'a> {
    Option(&'a ConfigOption),
    Value {
        option: &'a str,
        value: &'a str,
    },
    /// A prompt that waits for a yes.
    LetGo(u64),
    /// A rule, to be taken back.
    Rule(u64),
}

impl Menu {
    pub(super) fn up(&mut self) {
        self.chosen = self.chosen.saturating_sub(1);
    }

    pub(super) fn down(&mut self) {
        self.chosen += 1;
    }

    /// From the values of an option to the list; `false` where that is what is seen.
    pub(super) fn back(&mut self) -> bool {
        self.chosen = 0;
        self.option.take().is_some()
    }

    /// Chooses what is marked, or what has this number. What is to be done, and whether the list stays.
    pub(super) fn choose(
        &mut self,
        cx: &ConversationContext<'_>,
        number: Option<usize>,
    ) -> (Option<ConversationAction>, bool) {
        let mut entries = self.entries(cx, &Around::of(cx, 80));
        let at = number.unwrap_or(self.chosen);
        if at >= entries.len() {
            return (None, true);
        }
        let action = match entries.swap_remove(at).0 {
            Entry::Option(option) => {
                self.option = Some(option.id.clone());
                let values = option.values.iter();
                let now = values.clone().position(|value| value.id == option.value);
                self.chosen = now.unwrap_or(0);
                return (None, true);
            }
            Entry::Value { option, value } => ConversationAction::SetOption {
                option: option.to_owned(),
                value: value.to_owned(),
            },
            Entry::LetGo(prompt) => ConversationAction::Hold {
                prompt,
                held: false,
            },
            Entry::Rule(rule) => ConversationAction::EndRule { rule },
        };
        (Some(action), false)
    }

    /// At most `max` rows.
    pub(super) fn rows(
        &mut self,
        cx: &ConversationContext<'_>,
        around: &Around<'_>,
        max: usize,
    ) -> Vec<Line> {
        let entries = self.entries(cx, around);
        self.chosen = self.chosen.min(entries.len().saturating_sub(1));
        let title = match &self.option {
            None => "what can be set",
            Some(_) => "set to",
        };
        let mut head = Line::new("── ", YELLOW).and(title, with(YELLOW, Attrs::BOLD));
        head.push(" ", YELLOW);
        let fill = around.cols.saturating_sub(head.width());
        head.push(&"─".repeat(fill), YELLOW);
        let mut rows = vec![head.cut(around.cols)];
        if entries.is_empty() {
            let text = "  Nothing: the agent offers nothing, or it is for others to set.";
            rows.push(Line::new(text, DIM).cut(around.cols));
        }
        let room = max.saturating_sub(2).max(1);
        let top = (self.chosen + 1).saturating_sub(room);
        for (at, (_, line)) in entries.iter().enumerate().skip(top).take(room) {
            let key = match at {
                0..9 => (at + 1).to_string(),
                _ => " ".to_owned(),
            };
            let mut row = Line::new("  ", PLAIN).and(&key, YELLOW).and(" ", PLAIN);
            row.extend(line);
            let row = row.cut(around.cols);
            rows.push(match at == self.chosen {
                true => row.restyled(|style| with(style, Attrs::INVERSE)),
                false => row,
            });
        }
        let keys = "  ↑ ↓ and Enter, or a number  Esc back";
        rows.push(Line::new(keys, DIM).cut(around.cols));
        rows.truncate(max);
        rows
    }

    fn entries<'a>(
        &self,
        cx: &ConversationContext<'a>,
        around: &Around<'_>,
    ) -> Vec<(Entry<'a>, Line)> {
        let conversation = cx.conversation;
        let options = conversation.threads().first().map(|main| &main.options);
        // What the agent does without asking is for those who are asked.
        let may = |option: &&ConfigOption| match option.category.as_str() {
            "mode" => cx.may_approve,
            _ => cx.may_prompt,
        };
        let mut options = options.into_iter().flatten().filter(may);
        if let Some(of) = &self.option {
            let option = options.find(|option| option.id == *of);
            return option.map(values).unwrap_or_default();
        }
        let mut all: Vec<_> = options
            .map(|option| {
                let value = option.values.iter().find(|value| value.id == option.value);
                let value = value.map_or(&option.value, |value| &value.name);
                let line = Line::new(&name(&option.name, &option.id), PLAIN);
                let line = line.and(": ", DIM).and(&text::label(value, NAME), PLAIN);
                (Entry::Option(option), line)
            })
            .collect();
        if !cx.may_approve {
            return all;
        }
        for waiting in conversation.queue().iter().filter(|one| one.needs_yes) {
            let mut line = Line::new("yes, send what ", PLAIN);
            line.extend(&around.author(&waiting.by, PLAIN));
            line.push(" asks: ", PLAIN);
            line.push(waiting.text.as_str(), DIM);
            all.push((Entry::LetGo(waiting.number), line));
        }
        for rule in conversation.rules() {
            let what = if rule.command.is_empty() {
                "anything of its kind"
            } else {
                &rule.command
            };
            let mut line = Line::new("no longer allow ", PLAIN);
            line.push(&text::label(&rule.tool, 20), PLAIN);
            line.push(": ", DIM);
            line.push(what, DIM);
            line.push(", as ", DIM);
            line.extend(&around.author(&rule.by, DIM));
            line.push(" did", DIM);
            all.push((Entry::Rule(rule.number), line));
        }
        all
    }
}

fn values(option: &ConfigOption) -> Vec<(Entry<'_>, Line)> {
    let of = option.id.as_str();
    // One that is on or off has no values of its own.
    if option.values.is_empty() {
        let both = ["true", "false"].into_iter();
        let each = both.map(|value| {
            let line = Line::new(if value == "true" { "on" } else { "off" }, PLAIN);
            (Entry::Value { option: of, value }, line)
        });
        return each.collect();
    }
    let each = option.values.iter().map(|value| {
        let mut line = Line::new(&name(&value.name, &value.id), PLAIN);
        if value.id == option.value {
            line.push(" (now)", DIM);
        }
        if !value.description.is_empty() {
            line.push("  ", PLAIN);
            line.push(&value.description, DIM);
        }
        let value = value.id.as_str();
        (Entry::Value { option: of, value }, line)
    });
    each.collect()
}

fn name(name: &str, id: &str) -> String {
    text::label(if name.is_empty() { id } else { name }, NAME)
}
