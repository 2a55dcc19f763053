//! The prompts that wait for an agent, at its host.
//!
//! One prompt is at an agent at a time, and the others wait here in one order for all. What is asked of the queue has
//! been allowed already: who has the right to prompt adds, and `manages` says that somebody may change what is
//! others'. Each change is a [`Note`] for the log, from which the waiting prompts that are shown are folded.

use crate::{
    entry::{Author, Note},
    limits::{MAX_QUEUE, MAX_QUEUED_BY_ONE, MAX_QUEUED_BYTES},
};

/// The prompts that wait, in the order in which they go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptQueue {
    waiting: Vec<WaitingPrompt>,
    next: u64,
}

/// A prompt that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingPrompt {
    /// Its number: never used again in the conversation.
    pub number: u64,
    /// Whose it is.
    pub by: Author,
    /// What it says.
    pub text: String,
    /// Whether it is held back.
    pub held: bool,
}

/// Why a prompt does not wait, or is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotQueued {
    /// It says nothing.
    Empty,
    /// It is too long.
    TooLong(usize),
    /// Its author has as many as anybody may have.
    TooManyOfYours,
    /// There are as many as may wait.
    Full,
    /// It was sent or withdrawn, or never was.
    Gone,
    /// It is somebody else's.
    NotYours,
    /// It would go before somebody else's.
    NotPastOthers,
}

impl PromptQueue {
    /// An empty one, of which earlier prompts had the numbers before `next`.
    pub fn starting_at(next: u64) -> PromptQueue {
        PromptQueue {
            waiting: Vec::new(),
            next,
        }
    }

    /// What waits.
    pub fn waiting(&self) -> &[WaitingPrompt] {
        &self.waiting
    }

    /// The prompt that goes next: the first that is not held.
    pub fn next(&self) -> Option<&WaitingPrompt> {
        self.waiting.iter().find(|prompt| !prompt.held)
    }

    /// Takes a prompt out to send it.
    pub fn take(&mut self, prompt: u64) -> Option<WaitingPrompt> {
        let at = self.position(prompt).ok()?;
        Some(self.waiting.remove(at))
    }

    /// Adds a prompt at the end.
    ///
    /// # Errors
    /// When it says nothing or too much, or too many wait.
    pub fn add(&mut self, by: &Author, text: &str) -> Result<Note, NotQueued> {
        check(text)?;
        let theirs = self.waiting.iter().filter(|prompt| prompt.by.id == by.id);
        if theirs.count() >= MAX_QUEUED_BY_ONE {
            return Err(NotQueued::TooManyOfYours);
        }
        if self.waiting.len() >= MAX_QUEUE {
            return Err(NotQueued::Full);
        }
        let number = self.next;
        self.next += 1;
        self.waiting.push(WaitingPrompt {
            number,
            by: by.clone(),
            text: text.to_owned(),
            held: false,
        });
        Ok(Note::Queued {
            prompt: number,
            by: by.clone(),
            text: text.to_owned(),
        })
    }

    /// Makes a prompt say something else.
    ///
    /// # Errors
    /// When it is not theirs to change, or says nothing or too much.
    pub fn edit(
        &mut self,
        prompt: u64,
        by: &Author,
        manages: bool,
        text: &str,
    ) -> Result<Note, NotQueued> {
        check(text)?;
        let at = self.find(prompt, by, manages)?;
        self.waiting[at].text = text.to_owned();
        let (by, text) = (by.clone(), text.to_owned());
        Ok(Note::Edited { prompt, by, text })
    }

    /// Puts a prompt before another one, or at the end. An author moves it before nobody else's.
    ///
    /// # Errors
    /// When it is not theirs to move there.
    pub fn move_before(
        &mut self,
        prompt: u64,
        by: &Author,
        manages: bool,
        before: Option<u64>,
    ) -> Result<Note, NotQueued> {
        let from = self.find(prompt, by, manages)?;
        let to = match before {
            None => self.waiting.len(),
            Some(before) => self.position(before)?,
        };
        if to < from && !manages {
            let passed = &self.waiting[to..from];
            if passed.iter().any(|other| other.by.id != by.id) {
                return Err(NotQueued::NotPastOthers);
            }
        }
        let moved = self.waiting.remove(from);
        // What stood behind it has moved up.
        let to = if to > from { to - 1 } else { to };
        self.waiting.insert(to, moved);
        let by = by.clone();
        Ok(Note::Moved { prompt, by, before })
    }

    /// Holds a prompt back, or lets it go.
    ///
    /// # Errors
    /// When it is not theirs to hold.
    pub fn hold(
        &mut self,
        prompt: u64,
        by: &Author,
        manages: bool,
        held: bool,
    ) -> Result<Note, NotQueued> {
        let at = self.find(prompt, by, manages)?;
        self.waiting[at].held = held;
        let by = by.clone();
        Ok(Note::Held { prompt, by, held })
    }

    /// Takes a prompt back.
    ///
    /// # Errors
    /// When it is not theirs to take back.
    pub fn withdraw(&mut self, prompt: u64, by: &Author, manages: bool) -> Result<Note, NotQueued> {
        let at = self.find(prompt, by, manages)?;
        self.waiting.remove(at);
        let by = by.clone();
        Ok(Note::Withdrawn { prompt, by })
    }

    /// A prompt that was taken goes to the front again: it could not be sent.
    pub fn put_back(&mut self, prompt: WaitingPrompt) {
        self.waiting.insert(0, prompt);
    }

    /// Takes back all prompts of somebody who may no longer prompt; `by` took the right away.
    pub fn withdraw_all_of(&mut self, id: &str, by: &Author) -> Vec<Note> {
        let (theirs, others) = self
            .waiting
            .drain(..)
            .partition(|prompt| prompt.by.id == id);
        self.waiting = others;
        let theirs: Vec<WaitingPrompt> = theirs;
        let withdrawn = |prompt: WaitingPrompt| Note::Withdrawn {
            prompt: prompt.number,
            by: by.clone(),
        };
        theirs.into_iter().map(withdrawn).collect()
    }

    fn position(&self, prompt: u64) -> Result<usize, NotQueued> {
        let at = self.waiting.iter().position(|one| one.number == prompt);
        at.ok_or(NotQueued::Gone)
    }

    fn find(&self, prompt: u64, by: &Author, manages: bool) -> Result<usize, NotQueued> {
        let at = self.position(prompt)?;
        match manages || self.waiting[at].by.id == by.id {
            true => Ok(at),
            false => Err(NotQueued::NotYours),
        }
    }
}

fn check(text: &str) -> Result<(), NotQueued> {
    match text.len() {
        _ if text.trim().is_empty() => Err(NotQueued::Empty),
        length if length > MAX_QUEUED_BYTES => Err(NotQueued::TooLong(length)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Conversation, Entry, Logged};
    use proptest::prelude::*;

    fn author(id: &str) -> Author {
        Author {
            id: id.to_owned(),
            ..Author::default()
        }
    }

    fn next(queue: &mut PromptQueue) -> Option<String> {
        let number = queue.next()?.number;
        queue.take(number).map(|prompt| prompt.text)
    }

    fn texts(queue: &PromptQueue) -> Vec<&str> {
        queue
            .waiting()
            .iter()
            .map(|one| one.text.as_str())
            .collect()
    }

    /// `a1 b1 a2`, by their authors.
    fn three() -> PromptQueue {
        let mut queue = PromptQueue::default();
        for text in ["a1", "b1", "a2"] {
            queue.add(&author(&text[..1]), text).unwrap();
        }
        queue
    }

    #[test]
    fn prompts_go_in_order_and_held_ones_wait() {
        let mut queue = three();
        queue.hold(0, &author("a"), false, true).unwrap();
        assert_eq!(next(&mut queue).unwrap(), "b1");
        queue.hold(0, &author("a"), false, false).unwrap();
        assert_eq!(next(&mut queue).unwrap(), "a1");
        assert_eq!(
            queue.edit(0, &author("a"), false, "x"),
            Err(NotQueued::Gone)
        );
        assert_eq!(next(&mut queue).unwrap(), "a2");
        assert_eq!(next(&mut queue), None);
    }

    #[test]
    fn others_prompts_are_changed_by_who_manages_only() {
        let mut queue = three();
        let (a, b) = (author("a"), author("b"));
        assert_eq!(queue.edit(1, &a, false, "x"), Err(NotQueued::NotYours));
        assert_eq!(queue.withdraw(1, &a, false), Err(NotQueued::NotYours));
        assert_eq!(queue.hold(1, &a, false, true), Err(NotQueued::NotYours));
        queue.edit(1, &b, false, "b2").unwrap();
        queue.edit(1, &a, true, "b3").unwrap();
        queue.withdraw(0, &b, true).unwrap();
        assert_eq!(texts(&queue), ["b3", "a2"]);
    }

    #[test]
    fn nobody_passes_others_but_who_manages() {
        let mut queue = three();
        let a = author("a");
        assert_eq!(
            queue.move_before(2, &a, false, Some(0)),
            Err(NotQueued::NotPastOthers)
        );
        queue.move_before(0, &a, false, None).unwrap();
        assert_eq!(texts(&queue), ["b1", "a2", "a1"]);
        queue.move_before(0, &a, false, Some(2)).unwrap();
        assert_eq!(texts(&queue), ["b1", "a1", "a2"]);
        queue.move_before(2, &a, true, Some(1)).unwrap();
        assert_eq!(texts(&queue), ["a2", "b1", "a1"]);
    }

    #[test]
    fn nobody_fills_the_queue_for_others() {
        let mut queue = PromptQueue::default();
        for _ in 0..MAX_QUEUED_BY_ONE {
            queue.add(&author("a"), "x").unwrap();
        }
        assert_eq!(queue.add(&author("a"), "x"), Err(NotQueued::TooManyOfYours));
        queue.add(&author("b"), "x").unwrap();
        assert_eq!(queue.add(&author("b"), " \n"), Err(NotQueued::Empty));
        let long = "x".repeat(MAX_QUEUED_BYTES + 1);
        assert_eq!(
            queue.add(&author("b"), &long),
            Err(NotQueued::TooLong(long.len()))
        );
        let mut many = 0..;
        while queue
            .add(&author(&format!("{:?}", many.next())), "x")
            .is_ok()
        {}
        assert_eq!(queue.waiting().len(), MAX_QUEUE);
    }

    #[test]
    fn with_the_right_to_prompt_goes_what_waits() {
        let mut queue = three();
        let notes = queue.withdraw_all_of("a", &author("host"));
        assert_eq!(notes.len(), 2);
        assert_eq!(texts(&queue), ["b1"]);
    }

    proptest! {
        #[test]
        fn what_is_shown_is_what_waits(
            steps in prop::collection::vec((0..6, 0_u64..12, 0_u64..12, any::<bool>(), 0_usize..3), 0..60),
        ) {
            let mut queue = PromptQueue::default();
            let mut shown = Conversation::new();
            for (step, prompt, other, flag, person) in steps {
                let by = author(["a", "b", "c"][person]);
                let before = flag.then_some(other);
                let notes = match step {
                    0 | 1 => queue.add(&by, "text").into_iter().collect(),
                    2 => queue.edit(prompt, &by, flag, "other").into_iter().collect(),
                    3 => queue.move_before(prompt, &by, flag, before).into_iter().collect(),
                    4 => queue.hold(prompt, &by, flag, flag).into_iter().collect(),
                    _ if flag => queue.withdraw(prompt, &by, true).into_iter().collect(),
                    _ => queue.withdraw_all_of(&by.id, &by),
                };
                for note in notes {
                    shown.apply(&Entry { at_ms: 1, what: Logged::Note(note) });
                }
            }
            let of = |number: u64, by: &Author, text: &str, held| (number, by.id.clone(), text.to_owned(), held);
            let waits: Vec<_> = queue.waiting().iter().map(|one| of(one.number, &one.by, &one.text, one.held)).collect();
            let seen: Vec<_> = shown.queue().iter().map(|one| of(one.number, &one.by, one.text.as_str(), one.held)).collect();
            prop_assert_eq!(seen, waits);
        }
    }
}
