//! An unattended run: an agent that works where nobody sits.
//!
//! ```text
//! the conversation, after each entry ──▶ ┐              ┌──▶ Note      everybody who looks is told
//! time ────────────────────────────────▶ ├─ Unattended ─┼──▶ Announce  what is said of it elsewhere
//!                                         ┘              └──▶ End       it is over, and why
//! ```
//!
//! A run has a task, its first prompt. When that is done it stays open for what people ask next, until nobody did
//! anything for a while. What is over is said before it is, to everybody who looks.
//!
//! Times are milliseconds of any clock that only goes forward.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{
    bounded::BoundedText,
    entry::Note,
    fold::Conversation,
    model::{Activity, Item, ItemBody, ItemId, Stop},
};

/// How long before its end it is said, in milliseconds; half of the whole time where that is less.
const WARNING_MS: u64 = 5 * 60_000;

/// How long a question waits in a run that ends with its task, in milliseconds.
const ANSWER_MS: u64 = 30 * 60_000;

/// How much of what the agent said last is told elsewhere, in bytes.
pub const MAX_SUMMARY: usize = 2_000;

/// What an unattended run may take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunLimits {
    /// How long it stays open when nothing happens, and how long the agent's questions wait. With nothing it ends with
    /// its task, and questions wait for half an hour.
    pub idle_ms: u64,
    /// How long it may take from its beginning.
    pub max_ms: Option<u64>,
    /// What it may cost, in whatever the agent counts.
    pub max_cost: Option<f64>,
}

/// What became of a run's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// The agent says that it is done.
    Done,
    /// The agent refuses it.
    Refused,
    /// The model said, or asked for, as much as it may, and stopped in the middle.
    CutShort,
    /// Somebody stopped it.
    Cancelled,
    /// It went wrong.
    Failed,
    /// The agent's process ended before it was done.
    AgentEnded,
    /// It took as long as it may.
    TimeLimit,
    /// It cost as much as it may.
    CostLimit,
    /// The agent asked something, and nobody answered.
    Unanswered,
}

/// Something about a run that is worth saying where people are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEvent {
    /// It began.
    Began,
    /// The agent waits for somebody's answer.
    NeedsYou {
        /// What it asks.
        question: String,
    },
    /// Its task is over.
    Finished {
        /// What became of it.
        outcome: RunOutcome,
        /// The end of what the agent said.
        summary: String,
    },
}

/// What a run wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum RunAction {
    /// Write it into the conversation's log, where everybody who looks sees it.
    Note(Note),
    /// Say it where people are.
    Announce(RunEvent),
    /// End the conversation.
    End(RunOutcome),
}

/// An unattended run.
#[derive(Debug)]
pub struct Unattended {
    limits: RunLimits,
    began_ms: u64,
    /// When anything happened last; `None` while the agent works.
    idle_since_ms: Option<u64>,
    /// Entries that were looked at, and how many of those to come are our own.
    entries: u64,
    own: u64,
    /// The first item that was not looked at.
    next: ItemId,
    /// Open questions that were announced.
    asked: BTreeSet<ItemId>,
    outcome: Option<RunOutcome>,
    /// It was said that it ends soon: by nobody doing anything, by its time.
    warned_idle: bool,
    warned_time: bool,
    over: bool,
    actions: VecDeque<RunAction>,
}

impl RunOutcome {
    /// All of them.
    pub const ALL: [RunOutcome; 9] = [
        RunOutcome::Done,
        RunOutcome::Refused,
        RunOutcome::CutShort,
        RunOutcome::Cancelled,
        RunOutcome::Failed,
        RunOutcome::AgentEnded,
        RunOutcome::TimeLimit,
        RunOutcome::CostLimit,
        RunOutcome::Unanswered,
    ];

    /// As the log and scripts have it.
    pub fn word(self) -> &'static str {
        match self {
            RunOutcome::Done => "done",
            RunOutcome::Refused => "refused",
            RunOutcome::CutShort => "cut_short",
            RunOutcome::Cancelled => "cancelled",
            RunOutcome::Failed => "failed",
            RunOutcome::AgentEnded => "agent_ended",
            RunOutcome::TimeLimit => "time_limit",
            RunOutcome::CostLimit => "cost_limit",
            RunOutcome::Unanswered => "unanswered",
        }
    }

    /// What a word means.
    pub fn of_word(word: &str) -> Option<RunOutcome> {
        let mut all = RunOutcome::ALL.into_iter();
        all.find(|outcome| outcome.word() == word)
    }
}

impl Unattended {
    /// A run that begins now.
    pub fn new(limits: RunLimits, now_ms: u64) -> Unattended {
        Unattended {
            limits,
            began_ms: now_ms,
            idle_since_ms: None,
            entries: 0,
            own: 0,
            next: 0,
            asked: BTreeSet::new(),
            outcome: None,
            warned_idle: false,
            warned_time: false,
            over: false,
            actions: VecDeque::from([RunAction::Announce(RunEvent::Began)]),
        }
    }

    /// What is to be done next; `None` when nothing is.
    pub fn poll(&mut self) -> Option<RunAction> {
        self.actions.pop_front()
    }

    /// When [`Unattended::tick`] wants to be called.
    pub fn deadline_ms(&self) -> Option<u64> {
        if self.over {
            return None;
        }
        let due = |end: u64, limit: u64, warned: bool| match warned {
            true => end,
            false => end - warning(limit),
        };
        let idle = self.idle_since_ms.map(|since| {
            let end = since.saturating_add(self.idle_ms());
            due(end, self.idle_ms(), self.warned_idle)
        });
        let time = self.limits.max_ms.map(|max| {
            let end = self.began_ms.saturating_add(max);
            due(end, max, self.warned_time)
        });
        idle.into_iter().chain(time).min()
    }

    /// The conversation has another entry, or several.
    pub fn observe(&mut self, now_ms: u64, shown: &Conversation) {
        if self.over {
            return;
        }
        let came = shown.next().saturating_sub(self.entries);
        self.entries = shown.next();
        let own = came.min(self.own);
        self.own -= own;
        let activity = shown.activity(0);
        let waits = shown.queue().iter().any(|prompt| !prompt.held);
        let works = activity == Activity::Working || waits;
        match works {
            true => self.idle_since_ms = None,
            false if came > own || self.idle_since_ms.is_none() => {
                self.idle_since_ms = Some(now_ms);
                self.warned_idle = false;
            }
            false => {}
        }
        self.announce_questions(shown);
        self.look_for_the_end(shown);
        if self.over {
            return;
        }
        let cost = shown.threads()[0].usage.cost;
        if let (Some(max), Some(cost)) = (self.limits.max_cost, cost)
            && cost >= max
        {
            return self.end(RunOutcome::CostLimit, shown);
        }
        // A mode that is set behind a guest's turn, or a question of the task's, is not its end.
        if self.outcome.is_some() && self.limits.idle_ms == 0 && !works {
            self.end(RunOutcome::Done, shown);
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now_ms: u64, shown: &Conversation) {
        if self.over {
            return;
        }
        let max = self.limits.max_ms.map(|max| (self.began_ms, max));
        let idle = self.idle_since_ms.map(|since| (since, self.idle_ms()));
        for (limit, is_time) in [(max, true), (idle, false)] {
            let Some((since, limit)) = limit else {
                continue;
            };
            let end = since.saturating_add(limit);
            let outcome = match is_time {
                true => RunOutcome::TimeLimit,
                false if shown.activity(0) == Activity::NeedsAnswer => RunOutcome::Unanswered,
                false => RunOutcome::Done,
            };
            if now_ms >= end {
                return self.end(outcome, shown);
            }
            let warned = match is_time {
                true => &mut self.warned_time,
                false => &mut self.warned_idle,
            };
            if !*warned && now_ms >= end - warning(limit) {
                *warned = true;
                let why = match is_time {
                    true => "time_limit",
                    false => "idle",
                };
                self.note(Note::RunEndsSoon {
                    why: why.to_owned(),
                    in_ms: end - now_ms,
                });
            }
        }
    }

    /// The agent can't be spoken with.
    pub fn failed(&mut self, shown: &Conversation) {
        self.end(RunOutcome::Failed, shown);
    }

    /// It was, or was not, said somewhere that it was to be announced. Everybody who looks is told.
    pub fn announced(&mut self, to: &str, event: &str, error: Option<&str>) {
        if !self.over {
            self.note(Note::Announced {
                to: to.to_owned(),
                event: event.to_owned(),
                error: error.unwrap_or_default().to_owned(),
            });
        }
    }

    fn idle_ms(&self) -> u64 {
        match (self.limits.idle_ms, self.outcome) {
            (0, None) => ANSWER_MS,
            (idle, _) => idle,
        }
    }

    fn note(&mut self, note: Note) {
        self.own += 1;
        self.actions.push_back(RunAction::Note(note));
    }

    fn announce_questions(&mut self, shown: &Conversation) {
        let open: BTreeSet<ItemId> = shown.open_questions().map(|(id, _)| id).collect();
        self.asked.retain(|id| open.contains(id));
        for id in open {
            if self.asked.insert(id)
                && let Some(question) = shown.question(id)
            {
                let what = match question.command.is_empty() {
                    true => question.title.as_str(),
                    false => question.command.as_str(),
                };
                let question = BoundedText::cut(what, MAX_SUMMARY).as_str().to_owned();
                let event = RunEvent::NeedsYou { question };
                self.actions.push_back(RunAction::Announce(event));
            }
        }
    }

    fn look_for_the_end(&mut self, shown: &Conversation) {
        let new = shown.items().rev().take_while(|(id, _)| *id >= self.next);
        let mut ends: Vec<(ItemId, RunOutcome)> = new
            .filter_map(|(id, item)| Some((id, outcome_of(item)?)))
            .collect();
        ends.reverse();
        if let Some((last, _)) = shown.items().next_back() {
            self.next = last + 1;
        }
        for (id, outcome) in ends {
            self.finished(outcome, shown, Some(id));
        }
        if shown.process().exit.is_some() {
            self.end(RunOutcome::AgentEnded, shown);
        }
    }

    /// Its task is over, if it was not before.
    fn finished(&mut self, outcome: RunOutcome, shown: &Conversation, at: Option<ItemId>) {
        if self.outcome.is_some() {
            return;
        }
        self.outcome = Some(outcome);
        self.note(Note::RunFinished {
            outcome: outcome.word().to_owned(),
        });
        let summary = said_before(shown, at, MAX_SUMMARY);
        let event = RunEvent::Finished { outcome, summary };
        self.actions.push_back(RunAction::Announce(event));
    }

    /// It is over, for this reason.
    fn end(&mut self, why: RunOutcome, shown: &Conversation) {
        if self.over {
            return;
        }
        let was_open = self.outcome.is_some();
        self.finished(why, shown, None);
        let why = match (self.outcome, why) {
            (Some(_), RunOutcome::Done) if was_open && self.limits.idle_ms > 0 => "idle",
            (Some(outcome), RunOutcome::Done) => outcome.word(),
            (_, why) => why.word(),
        };
        self.note(Note::RunEnds {
            why: why.to_owned(),
        });
        self.over = true;
        let outcome = self.outcome.unwrap_or(RunOutcome::Failed);
        self.actions.push_back(RunAction::End(outcome));
    }
}

fn warning(limit_ms: u64) -> u64 {
    WARNING_MS.min(limit_ms / 2)
}

/// What the end of a turn of the conversation's own comes to.
fn outcome_of(item: &Item) -> Option<RunOutcome> {
    let ItemBody::TurnEnd(end) = &item.body else {
        return None;
    };
    (item.thread == 0).then(|| match end.stop() {
        Stop::EndTurn => RunOutcome::Done,
        Stop::MaxTokens | Stop::MaxTurnRequests => RunOutcome::CutShort,
        Stop::Refusal => RunOutcome::Refused,
        Stop::Cancelled => RunOutcome::Cancelled,
        Stop::Error => RunOutcome::Failed,
        Stop::Other if end.error.is_empty() => RunOutcome::Done,
        Stop::Other => RunOutcome::Failed,
    })
}

/// The end of what the agent said last before an item, or before now: at most so many bytes.
pub fn said_before(shown: &Conversation, at: Option<ItemId>, most: usize) -> String {
    let before = shown
        .items()
        .rev()
        .filter(|(id, _)| at.is_none_or(|at| *id < at));
    let said = before
        .map(|(_, item)| item)
        .filter(|item| item.thread == 0)
        .find_map(|item| match &item.body {
            ItemBody::Response(said) => Some(said),
            _ => None,
        });
    let mut text = String::new();
    for block in said.map(|said| &said.content[..]).unwrap_or_default() {
        text.push_str(block.text.as_str());
    }
    let text = text.trim();
    let mut from = text.len().saturating_sub(most);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].to_owned()
}

#[cfg(test)]
mod tests;
