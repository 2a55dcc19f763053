//! What is said over one row of the host's terminal, and how long.

use std::collections::VecDeque;

use pillion_caps::PublicKey;
use pillion_proto::ParticipantId;
use pillion_screen::{Screen, clean};
use pillion_session::{Command, HostNotice, Now};

use super::HostAction;
use crate::{prefix::Prefix, text};

/// Most questions that wait; who asks after that is found in the panel and by `pillion who`.
const MAX_QUESTIONS: usize = 32;

/// Most remarks that wait; the oldest give way.
const MAX_REMARKS: usize = 4;

/// How long a remark is shown, in microseconds.
const REMARK_US: u64 = 4_000_000;

/// After this long a remark is no news any more, in microseconds.
const STALE_US: u64 = 15_000_000;

/// How long a question must have been readable before an answer counts, in microseconds: longer than
/// it takes to see that the question has changed under one's fingers.
const READ_US: u64 = 400_000;

/// A question to the person at the host.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    /// May this participant type?
    Edit {
        id: ParticipantId,
        name: String,
        identity: PublicKey,
        remark: Option<String>,
    },
    /// May this person come in?
    Knock {
        id: ParticipantId,
        name: String,
        identity: PublicKey,
        proof: String,
        remark: Option<String>,
    },
    /// Is this command really theirs?
    Confirm { request: u64, question: String },
}

#[derive(Debug)]
struct Question {
    asked: Asked,
    /// Since when it can be read.
    seen: Option<u64>,
}

#[derive(Debug)]
struct Remark {
    text: String,
    born: u64,
    until: Option<u64>,
}

/// Questions first, then remarks, one at a time.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    questions: VecDeque<Question>,
    remarks: VecDeque<Remark>,
}

impl Notices {
    /// Takes in a notice, and what is to be remarked on whom it is about.
    pub(crate) fn take(&mut self, now: Now, notice: HostNotice, remark: Option<String>) {
        let remark = remark.map(|remark| clean::clean_title(&remark, 100));
        match notice {
            HostNotice::EditRequested {
                id, name, identity, ..
            } => {
                self.forget(id);
                self.ask(Asked::Edit {
                    id,
                    name: text::name(&name, 24),
                    identity,
                    remark,
                });
            }
            HostNotice::RequestGone { id } => self.forget(id),
            HostNotice::Knocked {
                id,
                name,
                identity,
                proof,
            } => self.ask(Asked::Knock {
                id,
                name: text::name(&name, 24),
                identity,
                proof: clean::clean_title(&proof, 100),
                remark,
            }),
            HostNotice::KnockGone { id: gone } => self.questions.retain(
                |question| !matches!(question.asked, Asked::Knock { id, .. } if id == gone),
            ),
            HostNotice::Confirm { request, question } => self.ask(Asked::Confirm {
                request,
                question: clean::clean_title(&question, 200),
            }),
            HostNotice::Joined { name, .. } => {
                let remark = remark.map_or_else(String::new, |remark| format!(" ({remark})"));
                let name = text::name(&name, 24);
                self.remark(now, &format!("“{name}”{remark} is watching now."));
            }
            HostNotice::Left { name, .. } => {
                self.remark(now, &format!("“{}” has left.", text::name(&name, 24)));
            }
            HostNotice::Said(said) => self.remark(now, &said),
        }
    }

    /// Something worth a line.
    pub(crate) fn remark(&mut self, now: Now, said: &str) {
        if self.remarks.len() >= MAX_REMARKS {
            self.remarks.pop_front();
        }
        self.remarks.push_back(Remark {
            text: clean::clean_title(said, 200),
            born: now.mono_us,
            until: None,
        });
    }

    /// What is to be read now, in at most `cols` columns.
    pub(crate) fn text(&self, prefix: Prefix, cols: usize) -> Option<String> {
        match (self.questions.front(), self.remarks.front()) {
            (Some(question), _) => Some(question.text(&format!("{prefix} "), cols)),
            (None, Some(remark)) => Some(text::cut(&remark.text, cols)),
            (None, None) => None,
        }
    }

    /// The first question, for the panel, where no prefix is needed.
    pub(crate) fn question(&self, cols: usize) -> Option<String> {
        self.questions
            .front()
            .map(|question| question.text("", cols))
    }

    /// Whether it is a question that is to be read now.
    pub(crate) fn is_question(&self) -> bool {
        !self.questions.is_empty()
    }

    /// What is first can be read from now on.
    pub(crate) fn seen(&mut self, now: Now) {
        if let Some(question) = self.questions.front_mut() {
            question.seen.get_or_insert(now.mono_us);
        } else if let Some(remark) = self.remarks.front_mut() {
            remark
                .until
                .get_or_insert(now.mono_us.saturating_add(REMARK_US));
        }
    }

    /// The answer to the first question; `None` when there is none that was read. `for_good` makes a no
    /// to who knocks one for ever.
    pub(crate) fn answer(&mut self, now: Now, yes: bool, for_good: bool) -> Option<HostAction> {
        let seen = self.questions.front()?.seen?;
        if now.mono_us < seen.saturating_add(READ_US) {
            return None;
        }
        Some(match self.questions.pop_front()?.asked {
            Asked::Confirm { request, .. } => HostAction::Confirmed { request, yes },
            Asked::Knock { identity, .. } => {
                let target = identity.into();
                HostAction::Command(match yes {
                    true => Command::Admit { target },
                    false => Command::TurnAway { target, for_good },
                })
            }
            Asked::Edit { identity, .. } => HostAction::Command(match yes {
                true => Command::Grant {
                    target: identity.into(),
                    right: pillion_proto::Right::Edit,
                    ttl_ms: None,
                },
                false => Command::Refuse {
                    target: identity.into(),
                },
            }),
        })
    }

    /// Lets remarks go that were shown long enough, or are old.
    pub(crate) fn expire(&mut self, now: Now) {
        while let Some(remark) = self.remarks.front() {
            let end = remark.until.unwrap_or(remark.born.saturating_add(STALE_US));
            if now.mono_us < end {
                return;
            }
            self.remarks.pop_front();
        }
    }

    /// When [`Notices::expire`] has something to do.
    pub(crate) fn expires_at(&self) -> Option<u64> {
        let remark = self.remarks.front()?;
        Some(remark.until.unwrap_or(remark.born.saturating_add(STALE_US)))
    }

    fn ask(&mut self, asked: Asked) {
        if self.questions.len() < MAX_QUESTIONS {
            self.questions.push_back(Question { asked, seen: None });
        }
    }

    fn forget(&mut self, gone: ParticipantId) {
        self.questions
            .retain(|question| !matches!(question.asked, Asked::Edit { id, .. } if id == gone));
    }
}

impl Question {
    /// The question and its answers. When room is short the question is cut, not the answers.
    fn text(&self, prefix: &str, cols: usize) -> String {
        let knocks = matches!(self.asked, Asked::Knock { .. });
        let (long, short) = match knocks {
            true => (
                format!("{prefix}y let in, {prefix}n refuse, {prefix}N for good"),
                format!("{prefix}y/n/N"),
            ),
            false => (
                format!("{prefix}y yes, {prefix}n no"),
                format!("{prefix}y/n"),
            ),
        };
        let whole = |question: &str, answers: &str| {
            let between = if question.ends_with('?') { "" } else { ":" };
            format!("{question}{between} {answers}")
        };
        let mut forms = Vec::new();
        let cut = |room: usize| match &self.asked {
            Asked::Edit { name, .. } => {
                format!(
                    "“{}” asks to type",
                    text::cut(name, room.saturating_sub(15))
                )
            }
            Asked::Knock { name, .. } => {
                format!("“{}” knocks", text::cut(name, room.saturating_sub(8)))
            }
            Asked::Confirm { question, .. } => text::cut(question, room),
        };
        // A remark on them goes before what they say of themselves, and is left out last.
        if let Asked::Knock {
            name,
            proof,
            remark,
            ..
        } = &self.asked
        {
            let more = match remark {
                Some(remark) => format!("“{name}” knocks ({remark}; {proof})"),
                None => format!("“{name}” knocks ({proof})"),
            };
            forms.push(whole(&more, &long));
            forms.push(whole(&more, &short));
            if let Some(remark) = remark {
                let only = format!("“{name}” knocks ({remark})");
                forms.push(whole(&only, &long));
                forms.push(whole(&only, &short));
            }
        }
        if let Asked::Edit {
            name,
            identity,
            remark,
            ..
        } = &self.asked
        {
            let first: String = identity.fingerprint().chars().take(9).collect();
            match remark {
                Some(remark) => {
                    let more = format!("“{name}” ({remark}; {first}) asks to type");
                    let only = format!("“{name}” ({remark}) asks to type");
                    forms.push(whole(&more, &long));
                    forms.push(whole(&more, &short));
                    forms.push(whole(&only, &short));
                }
                None => forms.push(whole(&format!("“{name}” ({first}) asks to type"), &long)),
            }
        }
        forms.push(whole(&cut(usize::MAX), &long));
        forms.push(whole(&cut(usize::MAX), &short));
        let room = cols.saturating_sub(text::width(&short) + 2);
        let least = text::cut(&whole(&cut(room), &short), cols);
        let fitting = forms.into_iter().find(|form| text::width(form) <= cols);
        fitting.unwrap_or(least)
    }
}

/// The row to draw over: the last one, or the one above it if the cursor is there, or what it shows can't be
/// drawn again exactly because terminals dispute its width. Not the first: it is the next to go into the
/// scrollback. `None` where no row can be spared.
pub(crate) fn row_for(screen: &Screen) -> Option<u16> {
    let last = screen.size.rows().checked_sub(1).filter(|last| *last > 0)?;
    [last, last - 1].into_iter().find(|y| {
        let row = screen.rows.get(usize::from(*y));
        let disputed = row.is_some_and(|row| row.cells.iter().any(|cell| cell.is_disputed()));
        *y != screen.cursor.y && !disputed
    })
}
