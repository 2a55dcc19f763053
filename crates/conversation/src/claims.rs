//! Who is about to answer which question.
//!
//! A question has one answer, and the first counts. So that two people don't think about the same one, somebody can
//! claim it for a minute; until then only they answer it. Who may answer at all has been decided already.

use std::collections::BTreeMap;

use crate::{
    entry::{Author, Note},
    limits::MAX_OPEN_QUESTIONS,
    model::ItemId,
};

/// How long a claim holds, in milliseconds.
pub const CLAIM_MS: u64 = 60_000;

/// The questions that somebody is about to answer. Times are milliseconds of any clock that only goes forward.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    claims: BTreeMap<ItemId, Claim>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    by: Author,
    until_ms: u64,
}

/// Somebody else is about to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedBy(pub Author);

impl Claims {
    /// Claims a question that is open, or claims it for longer.
    ///
    /// # Errors
    /// When somebody else has claimed it.
    pub fn claim(&mut self, question: ItemId, by: &Author, now_ms: u64) -> Result<Note, ClaimedBy> {
        self.may_answer(question, &by.id)?;
        if self.claims.len() >= MAX_OPEN_QUESTIONS && !self.claims.contains_key(&question) {
            // More are not open: the oldest is about one that no longer is.
            self.claims.pop_first();
        }
        let claim = Claim {
            by: by.clone(),
            until_ms: now_ms.saturating_add(CLAIM_MS),
        };
        self.claims.insert(question, claim);
        Ok(Note::Claimed {
            question,
            by: Some(by.clone()),
        })
    }

    /// Gives a question back.
    pub fn release(&mut self, question: ItemId, id: &str) -> Option<Note> {
        let claim = self.claims.get(&question)?;
        if claim.by.id != id {
            return None;
        }
        self.claims.remove(&question);
        Some(free(question))
    }

    /// Gives back what somebody claimed who left, or may no longer answer.
    pub fn release_all_of(&mut self, id: &str) -> Vec<Note> {
        self.release_where(|claim| claim.by.id == id)
    }

    /// A question has its answer, or needs none.
    pub fn closed(&mut self, question: ItemId) {
        self.claims.remove(&question);
    }

    /// Whether somebody may answer a question, as far as others' claims go.
    ///
    /// # Errors
    /// When somebody else has claimed it.
    pub fn may_answer(&self, question: ItemId, id: &str) -> Result<(), ClaimedBy> {
        match self.claims.get(&question) {
            Some(claim) if claim.by.id != id => Err(ClaimedBy(claim.by.clone())),
            _ => Ok(()),
        }
    }

    /// When the next claim runs out.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.claims.values().map(|claim| claim.until_ms).min()
    }

    /// Gives back what was claimed too long ago.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Note> {
        self.release_where(|claim| claim.until_ms <= now_ms)
    }

    fn release_where(&mut self, which: impl Fn(&Claim) -> bool) -> Vec<Note> {
        let questions = self.claims.iter().filter(|(_, claim)| which(claim));
        let questions: Vec<ItemId> = questions.map(|(question, _)| *question).collect();
        for question in &questions {
            self.claims.remove(question);
        }
        questions.into_iter().map(free).collect()
    }
}

fn free(question: ItemId) -> Note {
    Note::Claimed { question, by: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author(id: &str) -> Author {
        Author {
            id: id.to_owned(),
            ..Author::default()
        }
    }

    #[test]
    fn a_claimed_question_is_answered_by_who_claimed_it() {
        let mut claims = Claims::default();
        assert_eq!(claims.may_answer(7, "b"), Ok(()));
        claims.claim(7, &author("a"), 0).unwrap();
        assert_eq!(claims.may_answer(7, "a"), Ok(()));
        assert_eq!(claims.may_answer(7, "b"), Err(ClaimedBy(author("a"))));
        assert_eq!(
            claims.claim(7, &author("b"), 0),
            Err(ClaimedBy(author("a")))
        );
        assert_eq!(claims.release(7, "b"), None);
        assert_eq!(claims.release(7, "a"), Some(free(7)));
        claims.claim(7, &author("b"), 0).unwrap();
        claims.closed(7);
        assert_eq!(claims.deadline_ms(), None);
    }

    #[test]
    fn a_claim_ends_after_a_minute_and_with_its_holder() {
        let mut claims = Claims::default();
        claims.claim(1, &author("a"), 1_000).unwrap();
        claims.claim(2, &author("b"), 2_000).unwrap();
        assert_eq!(claims.deadline_ms(), Some(1_000 + CLAIM_MS));
        assert_eq!(claims.tick(1_000 + CLAIM_MS - 1), []);
        // Claimed again, it holds for longer.
        claims.claim(1, &author("a"), 30_000).unwrap();
        assert_eq!(claims.tick(2_000 + CLAIM_MS), [free(2)]);
        assert_eq!(claims.release_all_of("a"), [free(1)]);
        assert!(claims.claim(1, &author("b"), 0).is_ok());
    }

    #[test]
    fn claims_are_bounded() {
        let mut claims = Claims::default();
        for question in 0..200 {
            claims.claim(question, &author("a"), 0).unwrap();
        }
        assert_eq!(claims.claims.len(), MAX_OPEN_QUESTIONS);
    }
}
