//! The line that says what the agent is doing. It is always true.

use pillion_conversation::{
    Activity, ConfigOption, Conversation, ItemBody, ItemId, Question, Usage,
};

use super::{
    ConversationContext, SILENCE_MS,
    card::{Claim, claim},
    items::how_it_ended,
    tools::title,
};
use crate::{text, viewer::Piece};

/// Most columns of what a tool is called, of a mode and of a model.
const TITLE: usize = 60;
const OPTION: usize = 24;

/// What the line says, left to right.
pub(super) fn pieces(
    cx: &ConversationContext<'_>,
    silent_ms: u64,
    question: Option<(ItemId, &Question)>,
    is_back: bool,
) -> Vec<Piece> {
    let conversation = cx.conversation;
    let piece = |rank, text| Piece {
        rank,
        text,
        bold: false,
    };
    let mut pieces = vec![Piece {
        rank: 20,
        text: doing(cx, question),
        bold: true,
    }];
    let works = conversation.activity(0) == Activity::Working;
    if works && !cx.host_away && silent_ms >= SILENCE_MS {
        let for_s = text::duration(silent_ms);
        pieces.push(piece(18, format!("no word for {for_s}")));
    }
    let others = (1..conversation.threads().len())
        .filter(|thread| {
            let thread = u32::try_from(*thread).unwrap_or(u32::MAX);
            conversation.activity(thread) == Activity::Working
        })
        .count();
    match others {
        0 => {}
        1 => pieces.push(piece(9, "1 subagent works".to_owned())),
        others => pieces.push(piece(9, format!("{others} subagents work"))),
    }
    if is_back {
        pieces.push(piece(12, "looking back: End is now".to_owned()));
    }
    if let Some(main) = conversation.threads().first() {
        pieces.extend(used(&main.usage).map(|text| piece(8, text)));
        pieces.extend(cost(&main.usage).map(|text| piece(7, text)));
        let option = |option: Option<&ConfigOption>| option.map(chosen).filter(|one| one != "?");
        pieces.extend(option(main.mode()).map(|text| piece(6, text)));
        pieces.extend(option(main.model()).map(|text| piece(5, text)));
        if !main.title.is_empty() {
            pieces.push(piece(1, text::label(&main.title, TITLE)));
        }
    }
    pieces
}

/// What the agent is doing.
fn doing(cx: &ConversationContext<'_>, question: Option<(ItemId, &Question)>) -> String {
    let conversation = cx.conversation;
    if cx.host_away {
        return "host away".to_owned();
    }
    let process = conversation.process();
    if let Some(exit) = &process.exit {
        let how = text::label(&how_it_ended(exit), TITLE);
        return match cx.may_manage {
            true => format!("ended: {how}; F5 starts it again"),
            false => format!("ended: {how}"),
        };
    }
    let ready = conversation.threads().first();
    let ready = ready.is_some_and(|thread| !thread.session.is_empty());
    if process.environment.is_none() || !ready {
        return "not ready: the agent begins".to_owned();
    }
    match conversation.activity(0) {
        Activity::Stopped => "not ready".to_owned(),
        Activity::Idle => question.map_or_else(|| "idle".to_owned(), |(_, one)| needs(cx, one)),
        Activity::NeedsAnswer => match question {
            Some((_, question)) => needs(cx, question),
            None => "needs an answer".to_owned(),
        },
        Activity::Working => match question {
            // A subagent's.
            Some((_, question)) => needs(cx, question),
            None => works(conversation),
        },
    }
}

fn needs(cx: &ConversationContext<'_>, question: &Question) -> String {
    let what = match question.choices.is_empty() {
        true => "needs an answer",
        false => "needs approval",
    };
    match claim(cx, question) {
        Claim::Free => what.to_owned(),
        Claim::Mine => format!("{what}: you are handling it"),
        Claim::Others(by) => format!("{what}: {} is handling it", text::name(&by.name, 20)),
    }
}

fn works(conversation: &Conversation) -> String {
    let tool = conversation
        .open_tool(0)
        .and_then(|id| conversation.item(id));
    if let Some(ItemBody::Tool(tool)) = tool.map(|item| &item.body) {
        return format!("running {}", text::label(&title(tool), TITLE));
    }
    let mut newest = conversation
        .items()
        .rev()
        .filter(|(_, item)| item.thread == 0);
    match newest.next().map(|(_, item)| &item.body) {
        Some(ItemBody::Thought(_)) => "thinking".to_owned(),
        Some(ItemBody::Response(_)) => "answering".to_owned(),
        _ => "working".to_owned(),
    }
}

/// What an option is set to, by its name where it has one.
fn chosen(option: &ConfigOption) -> String {
    let value = option.values.iter().find(|value| value.id == option.value);
    let name = value.map_or("", |value| value.name.as_str());
    text::label(if name.is_empty() { &option.value } else { name }, OPTION)
}

/// "31k of 200k tokens".
fn used(usage: &Usage) -> Option<String> {
    let used = usage.used?;
    Some(match usage.size.filter(|size| *size > 0) {
        Some(size) => format!("{} of {} tokens", rounded(used), rounded(size)),
        None => format!("{} tokens", rounded(used)),
    })
}

fn rounded(count: u64) -> String {
    match count {
        0..10_000 => text::thousands(count),
        10_000..10_000_000 => format!("{}k", text::thousands(count / 1000)),
        _ => format!("{}M", text::thousands(count / 1_000_000)),
    }
}

/// "$0.12", "0.12 EUR".
fn cost(usage: &Usage) -> Option<String> {
    let cost = usage.cost.filter(|cost| cost.is_finite() && *cost >= 0.0)?;
    Some(match text::label(&usage.currency, 12).as_str() {
        "USD" => format!("${cost:.2}"),
        "?" => format!("{cost:.2}"),
        currency => format!("{cost:.2} {currency}"),
    })
}
