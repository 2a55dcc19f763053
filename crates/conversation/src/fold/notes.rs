//! What the protocol has no message for.

use super::{Conversation, Origin, read};
use crate::{
    bounded::BoundedText,
    entry::{Environment, Exit, Note},
    limits::{MAX_FORM, MAX_PARTS, MAX_PROMPT, MAX_QUEUE, MAX_RULES, MAX_TRUSTED, MAX_WORD},
    model::{ItemBody, ItemId, Notice, Outcome, QueuedPrompt, Rule, Trusted},
};

impl Conversation {
    pub(super) fn note(&mut self, at_ms: u64, note: &Note) {
        let from = Origin { thread: 0, at_ms };
        match note {
            Note::Started { environment } => {
                self.state.process.environment = Some(bounded_environment(environment));
                self.state.process.exit = None;
                self.state.names_from = self.items.next();
                self.index.name_anew(self.state.names_from);
            }
            Note::Ended { exit } => self.agent_ended(from, exit),
            Note::Garbage { text, bytes } => self.line(from, Notice::GARBAGE, text, *bytes),
            Note::Oversized { text, bytes } => self.line(from, Notice::OVERSIZED, text, *bytes),
            Note::Queued { prompt, by, text } => {
                let queue = &mut self.state.queue;
                if queue.len() < MAX_QUEUE && !queue.iter().any(|one| one.number == *prompt) {
                    queue.push(QueuedPrompt {
                        number: *prompt,
                        by: by.clone(),
                        text: BoundedText::cut(text, MAX_PROMPT),
                        held: false,
                        needs_yes: false,
                    });
                }
            }
            Note::Edited { prompt, text, .. } => self.change_queued(*prompt, |queued| {
                queued.text = BoundedText::cut(text, MAX_PROMPT);
            }),
            Note::Held { prompt, held, .. } => {
                self.change_queued(*prompt, |queued| {
                    queued.held = *held;
                    queued.needs_yes &= *held;
                });
            }
            Note::NeedsYes { prompt } => self.change_queued(*prompt, |queued| {
                queued.held = true;
                queued.needs_yes = true;
            }),
            Note::Allowed {
                rule,
                by,
                tool,
                command,
            } => {
                if self.state.rules.len() < MAX_RULES {
                    self.state.rules.push(Rule {
                        number: *rule,
                        by: by.clone(),
                        tool: read::word(tool),
                        command: BoundedText::cut(command, MAX_FORM).as_str().to_owned(),
                    });
                }
            }
            Note::RuleEnded { rule, .. } => {
                self.state.rules.retain(|known| known.number != *rule);
            }
            Note::Trusted { person, how, .. } => {
                let trusted = &mut self.state.trusted;
                trusted.retain(|known| known.person != *person);
                if trusted.len() < MAX_TRUSTED {
                    trusted.push(Trusted {
                        person: read::word(person),
                        how: read::word(how),
                    });
                }
            }
            Note::Moved { prompt, before, .. } => self.move_queued(*prompt, *before),
            Note::Withdrawn { prompt, .. } => {
                self.state.queue.retain(|queued| queued.number != *prompt);
            }
            Note::Claimed { question, by } => self.claim(*question, by.as_ref()),
            Note::Closed { question, why } => {
                self.close(*question, &read::word(why), "", None);
            }
            Note::RunFinished { outcome } => self.told(from, Notice::RUN_FINISHED, outcome, ""),
            Note::RunEndsSoon { why, in_ms } => {
                self.told(from, Notice::RUN_ENDS_SOON, why, &in_ms.to_string());
            }
            Note::RunEnds { why } => self.told(from, Notice::RUN_ENDS, why, ""),
            Note::Announced { to, event, error } => {
                let word = match error.is_empty() {
                    true => Notice::ANNOUNCED,
                    false => Notice::NOT_ANNOUNCED,
                };
                self.told(from, word, &format!("{to}: {event}"), error);
            }
            Note::Renamed { title, .. } => self.notice(from, Notice::RENAMED, title),
            Note::CancelIgnored => self.notice(from, Notice::CANCEL_IGNORED, ""),
            Note::Changed {
                turn,
                start,
                of_turn,
            } => {
                let entry = self.state.next;
                self.state.changes.take(entry, *turn, start, of_turn);
            }
            Note::ChangesUnknown { why } => {
                self.state.changes.entry = self.state.next;
                self.state.changes.fault = read::word(why);
            }
        }
    }

    fn told(&mut self, from: Origin, word: &str, title: &str, description: &str) {
        let notice = Notice {
            word: word.to_owned(),
            title: read::word(title),
            description: BoundedText::cut(description, MAX_WORD),
            ..Notice::default()
        };
        self.push(from, ItemBody::Notice(notice));
    }

    fn line(&mut self, from: Origin, word: &str, text: &str, bytes: u64) {
        let mut description = BoundedText::cut(text, MAX_WORD);
        let held = description.len() as u64 + description.omitted();
        description.omit(usize::try_from(bytes.saturating_sub(held)).unwrap_or(usize::MAX));
        let notice = Notice {
            word: word.to_owned(),
            description,
            ..Notice::default()
        };
        self.push(from, ItemBody::Notice(notice));
    }

    /// Nothing that was open goes on.
    fn agent_ended(&mut self, from: Origin, exit: &Exit) {
        let exit = bounded_exit(exit);
        let open: Vec<ItemId> = self.index.open_questions().collect();
        for question in open {
            self.close(question, Outcome::AGENT_ENDED, "", None);
        }
        for thread in 0..self.state.threads.len() {
            self.leave_tools_open(u32::try_from(thread).unwrap_or(u32::MAX));
            let of = &mut self.state.threads[thread];
            of.prompts_pending = 0;
            of.state_word.clear();
        }
        self.state.calls.clear();
        self.state.process.exit = Some(exit.clone());
        let notice = Notice {
            word: Notice::ENDED.to_owned(),
            exit: Some(exit),
            ..Notice::default()
        };
        self.push(from, ItemBody::Notice(notice));
    }

    fn change_queued(&mut self, number: u64, change: impl FnOnce(&mut QueuedPrompt)) {
        let mut queue = self.state.queue.iter_mut();
        if let Some(queued) = queue.find(|queued| queued.number == number) {
            change(queued);
        }
    }

    fn move_queued(&mut self, number: u64, before: Option<u64>) {
        let queue = &mut self.state.queue;
        let at = |queue: &[QueuedPrompt], number| {
            queue.iter().position(|queued| queued.number == number)
        };
        if let Some(from) = at(queue, number)
            && before != Some(number)
        {
            let moved = queue.remove(from);
            let to = before.and_then(|before| at(queue, before));
            queue.insert(to.unwrap_or(queue.len()), moved);
        }
    }
}

fn bounded_exit(exit: &Exit) -> Exit {
    Exit {
        code: exit.code,
        signal: read::word(&exit.signal),
        fault: BoundedText::cut(&exit.fault, MAX_FORM).as_str().to_owned(),
    }
}

fn bounded_environment(environment: &Environment) -> Environment {
    let words = environment.command.iter().take(MAX_PARTS);
    let variables = environment.variables.iter().take(MAX_PARTS);
    Environment {
        command: words.map(|word| read::word(word)).collect(),
        cwd: read::word(&environment.cwd),
        branch: read::word(&environment.branch),
        commit: read::word(&environment.commit),
        os: read::word(&environment.os),
        image: read::word(&environment.image),
        variables: variables
            .map(|(name, value)| (read::word(name), read::word(value)))
            .collect(),
    }
}
