//! What is said over one row of the host's terminal, and how long.
//!
//! A program that writes all the time takes the row away again at once, and may write something of its
//! own there. So a question is only announced here, and asked on a page of its own; and what must be said
//! stays until it could be read.

use std::collections::VecDeque;

use pillion_caps::PublicKey;
use pillion_proto::{ParticipantId, Rights};
use pillion_screen::{Screen, clean};
use pillion_session::{
    Command, HostNotice, Now,
    host::{Offer, Question},
    verbs,
};

use super::HostAction;
use crate::{prefix::Prefix, settled::READ_US, text, words};

/// Most requests and knocks that wait; who asks after that is found in the panel and by `pillion who`.
/// Commands come beside them: the session bounds those itself.
const MAX_QUESTIONS: usize = 32;

/// Most remarks that wait; the oldest give way.
const MAX_REMARKS: usize = 4;

/// Most changes that wait to be said one by one; more are counted.
const MAX_CHANGES: usize = 8;

/// Fewer columns leave an announcement no words to spare.
const NARROW: usize = 60;

/// Longest text of a change, in characters.
const MAX_CHANGE: usize = 1000;

/// How long a remark is shown, in microseconds.
const REMARK_US: u64 = 4_000_000;

/// After this long a remark is no news any more, in microseconds. A change is.
const STALE_US: u64 = 15_000_000;

/// What must be said and could not be read after so long is said by title and bell, too, in
/// microseconds.
const UNREAD_US: u64 = 1_000_000;

const HOUR_MS: u64 = 3_600_000;

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// May this participant type?
    Edit(ParticipantId, PublicKey),
    /// May this person come in?
    Knock(ParticipantId, PublicKey),
    /// Is this command really the host's?
    Confirm(u64),
}

/// A question that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting<'a> {
    pub(crate) subject: Subject,
    pub(crate) question: &'a Question,
    /// What the contact book says of whom it is about.
    pub(crate) remark: Option<&'a str>,
}

#[derive(Debug)]
struct Asked {
    subject: Subject,
    question: Question,
    remark: Option<String>,
    /// For the announcement: what it is, and about whom.
    kind: &'static str,
    about: String,
    seen: Seen,
}

#[derive(Debug)]
struct Remark {
    text: String,
    seen: Seen,
    /// It says where one is, which the next one of the kind knows better.
    of_place: bool,
}

/// How long something could be read.
#[derive(Debug, Clone, Copy)]
struct Seen {
    born: u64,
    /// Before the moment it was shown last.
    total: u64,
    /// It is shown since then.
    since: Option<u64>,
}

impl Seen {
    fn new(now: Now) -> Seen {
        Seen {
            born: now.mono_us,
            total: 0,
            since: None,
        }
    }

    fn show(&mut self, now: Now) {
        self.since.get_or_insert(now.mono_us);
    }

    fn hide(&mut self, now: Now) {
        self.total = self.for_us(now);
        self.since = None;
    }

    fn for_us(&self, now: Now) -> u64 {
        let shown = self
            .since
            .map_or(0, |since| now.mono_us.saturating_sub(since));
        self.total.saturating_add(shown)
    }

    /// When it will have been readable for so long, if it stays shown.
    fn at(&self, us: u64) -> Option<u64> {
        Some(self.since?.saturating_add(us.saturating_sub(self.total)))
    }
}

/// Changes first, then questions, then remarks; one at a time.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    changes: VecDeque<Remark>,
    /// Changes that found no room.
    more_changes: u64,
    questions: VecDeque<Asked>,
    remarks: VecDeque<Remark>,
}

impl Notices {
    /// Takes in a notice, and what is to be remarked on whom it is about.
    pub(crate) fn take(&mut self, now: Now, notice: HostNotice, remark: Option<String>) {
        let remark = remark.map(|remark| clean::clean_title(&remark, 100));
        match notice {
            HostNotice::EditRequested {
                id,
                name,
                identity,
                question,
                ..
            } => self.ask(Asked {
                subject: Subject::Edit(id, identity),
                question,
                kind: "Somebody asks to type",
                about: who(&name, &identity, remark.as_deref()),
                remark,
                seen: Seen::new(now),
            }),
            HostNotice::RequestGone { id } => {
                self.forget(|subject| matches!(subject, Subject::Edit(of, _) if of == id))
            }
            HostNotice::Knocked {
                id,
                name,
                identity,
                question,
                ..
            } => self.ask(Asked {
                subject: Subject::Knock(id, identity),
                question,
                kind: "Somebody knocks",
                about: who(&name, &identity, remark.as_deref()),
                remark,
                seen: Seen::new(now),
            }),
            HostNotice::KnockGone { id } => {
                self.forget(|subject| matches!(subject, Subject::Knock(of, _) if of == id))
            }
            HostNotice::Confirm { request, question } => self.ask(Asked {
                subject: Subject::Confirm(request),
                kind: "A command asks",
                about: clean::clean_title(&words::offer(&question.what), 100),
                question,
                remark: None,
                seen: Seen::new(now),
            }),
            HostNotice::ConfirmGone { request } => {
                self.forget(|subject| subject == Subject::Confirm(request));
            }
            HostNotice::ChangedBySocket(change) => self.change(now, &words::change(&change)),
            HostNotice::Joined { name, .. } => {
                let remark = remark.map_or_else(String::new, |remark| format!(" ({remark})"));
                let name = text::name(&name, 24);
                self.remark(now, &format!("“{name}”{remark} is watching now."));
            }
            HostNotice::Left { name, .. } => {
                self.remark(now, &format!("“{}” has left.", text::name(&name, 24)));
            }
            HostNotice::Visits {
                name, joins, here, ..
            } => {
                let came = match joins {
                    0 | 1 => "once more".to_owned(),
                    joins => format!("{joins} more times"),
                };
                let whether = if here { "is watching now" } else { "has left" };
                let name = text::name(&name, 24);
                self.remark(now, &format!("“{name}” came {came} and {whether}."));
            }
            ended @ HostNotice::TerminalEnded { shows: Some(_), .. } => {
                if let Some(said) = words::notice(&ended) {
                    self.place(now, &said);
                }
            }
            other => {
                if let Some(said) = words::notice(&other) {
                    self.remark(now, &said);
                }
            }
        }
    }

    fn ask(&mut self, asked: Asked) {
        self.forget(|subject| subject == asked.subject);
        let is_command = |subject| matches!(subject, Subject::Confirm(_));
        let others = self.questions.iter().filter(|one| !is_command(one.subject));
        if is_command(asked.subject) || others.count() < MAX_QUESTIONS {
            self.questions.push_back(asked);
        }
    }

    fn forget(&mut self, gone: impl Fn(Subject) -> bool) {
        self.questions.retain(|one| !gone(one.subject));
    }

    fn change(&mut self, now: Now, what: &str) {
        if self.changes.len() < MAX_CHANGES {
            self.changes.push_back(Remark {
                text: clean::clean_title(&format!("A command did this: {what}"), MAX_CHANGE),
                seen: Seen::new(now),
                of_place: false,
            });
        } else {
            self.more_changes = self.more_changes.saturating_add(1);
        }
    }

    /// Something worth a line.
    pub(crate) fn remark(&mut self, now: Now, said: &str) {
        if self.remarks.len() >= MAX_REMARKS {
            self.remarks.pop_front();
        }
        self.remarks.push_back(Remark {
            text: clean::clean_title(said, 200),
            seen: Seen::new(now),
            of_place: false,
        });
    }

    /// Where one is now: before other remarks, and in place of where one was.
    pub(crate) fn place(&mut self, now: Now, said: &str) {
        self.remarks.retain(|remark| !remark.of_place);
        self.remarks
            .iter_mut()
            .for_each(|remark| remark.seen.hide(now));
        self.remarks.truncate(MAX_REMARKS - 1);
        self.remarks.push_front(Remark {
            text: clean::clean_title(said, 200),
            seen: Seen::new(now),
            of_place: true,
        });
    }

    /// What is to be read now, in at most `cols` columns.
    pub(crate) fn text(&self, prefix: Prefix, cols: usize) -> Option<String> {
        let text = match (self.changes.front(), self.questions.front()) {
            (Some(change), _) => change.text.clone(),
            (None, Some(Asked { kind, about, .. })) if cols < NARROW => {
                format!("{kind} ({prefix}): {about}")
            }
            (None, Some(Asked { kind, about, .. })) => {
                format!("{kind} ({prefix} answers): {about}")
            }
            (None, None) => self.remarks.front()?.text.clone(),
        };
        Some(text::cut(&text, cols))
    }

    /// What the panel says of what waits, where no prefix is needed.
    pub(crate) fn panel_text(&self) -> Option<String> {
        let changes = self.changes.iter().map(|change| change.text.as_str());
        let mut all: Vec<String> = changes.map(str::to_owned).collect();
        let waiting = self.questions.front();
        all.extend(waiting.map(|one| format!("{}: {} (a answers)", one.kind, one.about)));
        (!all.is_empty()).then(|| all.join(" "))
    }

    /// The question that came last, for the desktop.
    pub(crate) fn newest(&self) -> Option<String> {
        let asked = self.questions.back()?;
        Some(format!("{}: {}", asked.kind, asked.about))
    }

    /// How many questions wait.
    pub(crate) fn questions(&self) -> usize {
        self.questions.len()
    }

    /// Whether what is to be read now must be: it is no mere remark.
    pub(crate) fn is_important(&self) -> bool {
        !self.changes.is_empty() || !self.questions.is_empty()
    }

    /// Whether it must be, and something keeps it from being read.
    pub(crate) fn is_unread(&self, now: Now) -> bool {
        let change = self.changes.front().map(|change| change.seen);
        let seen = change.or_else(|| Some(self.questions.front()?.seen));
        seen.is_some_and(|seen| {
            now.mono_us >= seen.born.saturating_add(UNREAD_US) && seen.for_us(now) < READ_US
        })
    }

    /// What is first is on the terminal.
    pub(crate) fn show(&mut self, now: Now) {
        if let Some(change) = self.changes.front_mut() {
            change.seen.show(now);
        } else if let Some(question) = self.questions.front_mut() {
            question.seen.show(now);
        } else if let Some(remark) = self.remarks.front_mut() {
            remark.seen.show(now);
        }
    }

    /// What the panel says of it is on the terminal.
    pub(crate) fn show_in_panel(&mut self, now: Now) {
        for change in &mut self.changes {
            change.seen.show(now);
        }
    }

    /// Nothing of it is on the terminal any more.
    pub(crate) fn hide(&mut self, now: Now) {
        let remarks = self.changes.iter_mut().chain(&mut self.remarks);
        remarks.for_each(|remark| remark.seen.hide(now));
        self.questions.iter_mut().for_each(|one| one.seen.hide(now));
    }

    /// The question that has waited longest.
    pub(crate) fn first(&self) -> Option<Subject> {
        Some(self.questions.front()?.subject)
    }

    /// A question, while it waits.
    pub(crate) fn waiting(&self, subject: Subject) -> Option<Waiting<'_>> {
        let asked = self.questions.iter().find(|one| one.subject == subject)?;
        Some(Waiting {
            subject,
            question: &asked.question,
            remark: asked.remark.as_deref(),
        })
    }

    /// The answer to a question. `for_good` makes a no to who knocks one for ever.
    pub(crate) fn answer(&mut self, subject: Subject, yes: bool, for_good: bool) -> HostAction {
        self.forget(|other| other == subject);
        match subject {
            Subject::Confirm(request) => HostAction::Confirmed { request, yes },
            Subject::Knock(_, identity) => {
                let target = identity.into();
                HostAction::Command(match yes {
                    true => Command::Admit(verbs::Admit { target }),
                    false => Command::TurnAway(verbs::TurnAway { target, for_good }),
                })
            }
            Subject::Edit(_, identity) => HostAction::Command(match yes {
                true => Command::Grant(verbs::Grant {
                    target: identity.into(),
                    rights: Rights::EDIT,
                    ttl_ms: None,
                }),
                false => Command::RefuseRequest(verbs::RefuseRequest {
                    target: identity.into(),
                }),
            }),
        }
    }

    /// Yes to a request to type, for an hour, or for less if that is what it asks for.
    pub(crate) fn grant_an_hour(&mut self, subject: Subject) -> HostAction {
        let asked = self.waiting(subject).map(|waiting| &waiting.question.what);
        let ttl_ms = match asked {
            Some(Offer::Give { ttl_ms, .. }) => (*ttl_ms).min(HOUR_MS),
            _ => HOUR_MS,
        };
        match self.answer(subject, true, false) {
            HostAction::Command(Command::Grant(grant)) => {
                let ttl_ms = Some(ttl_ms);
                HostAction::Command(Command::Grant(verbs::Grant { ttl_ms, ..grant }))
            }
            other => other,
        }
    }

    /// Lets go what was shown long enough, and remarks that are old.
    pub(crate) fn expire(&mut self, now: Now) {
        while let Some(change) = self.changes.front()
            && change.seen.for_us(now) >= REMARK_US
        {
            self.changes.pop_front();
        }
        if self.changes.is_empty() && self.more_changes > 0 {
            let more = std::mem::take(&mut self.more_changes);
            self.change(
                now,
                &format!("{more} more changes; `pillion audit` lists them"),
            );
        }
        while let Some(remark) = self.remarks.front() {
            let stale = now.mono_us >= remark.seen.born.saturating_add(STALE_US);
            if !stale && remark.seen.for_us(now) < REMARK_US {
                return;
            }
            self.remarks.pop_front();
        }
    }

    /// When [`Notices::expire`] has something to do.
    pub(crate) fn expires_at(&self) -> Option<u64> {
        let change = self
            .changes
            .front()
            .and_then(|change| change.seen.at(REMARK_US));
        let remark = self.remarks.front().map(|remark| {
            let stale = remark.seen.born.saturating_add(STALE_US);
            remark.seen.at(REMARK_US).map_or(stale, |at| at.min(stale))
        });
        [change, remark].into_iter().flatten().min()
    }
}

/// Whom it is about, as they call themselves and as they can be told apart.
fn who(name: &str, identity: &PublicKey, remark: Option<&str>) -> String {
    let first: String = identity.fingerprint().chars().take(9).collect();
    let remark = remark.map_or_else(String::new, |remark| format!("{remark}; "));
    format!("“{}” ({remark}{first})", text::name(name, 24))
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
