//! A conversation as somebody gets it who comes late.

use std::collections::BTreeSet;

use pillion_proto::growing;
use serde::{Deserialize, Serialize};

use crate::{
    fold::{Conversation, Index, State},
    limits::{
        MAX_BYTES, MAX_CALLS, MAX_ITEMS, MAX_LISTS_BYTES, MAX_OPEN_QUESTIONS, MAX_QUEUE, MAX_RULES,
        MAX_THREADS, MAX_TRUSTED,
    },
    model::{Item, ItemBody, ItemId, Items},
};

/// Why bytes are no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// They can't be read.
    #[error("a conversation's state that can't be read")]
    Malformed,
    /// They hold more than a conversation does, or what refers to nothing.
    #[error("a conversation's state with {0}")]
    OutOfBounds(&'static str),
}

#[derive(Serialize, Deserialize)]
struct Travelling {
    #[serde(with = "growing::one")]
    state: State,
    first_item: ItemId,
    #[serde(with = "growing::list")]
    items: Vec<Item>,
}

/// [`Travelling`] of what is borrowed.
#[derive(Serialize)]
struct TravellingRef<'a> {
    #[serde(serialize_with = "growing::one::serialize")]
    state: &'a State,
    first_item: ItemId,
    #[serde(serialize_with = "growing::list::serialize")]
    items: &'a [Item],
}

impl Conversation {
    /// The conversation of now, to go on with the entries from [`Conversation::next`] on.
    pub fn snapshot(&self) -> Vec<u8> {
        let items: Vec<Item> = self.items.held.iter().cloned().collect();
        let travelling = TravellingRef {
            state: &self.state,
            first_item: self.items.first,
            items: &items,
        };
        postcard::to_allocvec(&travelling).expect("our own state always encodes")
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    /// Anything else, or one that holds more than a conversation does.
    pub fn from_snapshot(bytes: &[u8]) -> Result<Conversation, SnapshotError> {
        let Travelling {
            state,
            first_item,
            items,
        } = growing::from_bytes(bytes).map_err(|_| SnapshotError::Malformed)?;
        let threads = state.threads.len();
        let mut seen = BTreeSet::new();
        let is_open_question = |item: &Item| match &item.body {
            ItemBody::Question(question) => question.is_open(),
            _ => false,
        };
        let open_items = items.iter().filter(|item| is_open_question(item)).count();
        let lists: usize = state.threads.iter().map(crate::Thread::lists_weight).sum();
        let weight: usize = items.iter().map(|item| item.body.weight()).sum();
        let bounds = [
            (
                threads == 0 || threads > MAX_THREADS,
                "too many threads, or none",
            ),
            (state.queue.len() > MAX_QUEUE, "too many waiting prompts"),
            (state.calls.len() > MAX_CALLS, "too many open requests"),
            (state.rules.len() > MAX_RULES, "too many rules"),
            (
                state.trusted.len() > MAX_TRUSTED,
                "too many people who are trusted",
            ),
            (!state.changes.is_bounded(), "too many changes"),
            (lists > MAX_LISTS_BYTES, "too much that can be set"),
            (items.len() > MAX_ITEMS, "too many items"),
            (
                weight > MAX_BYTES && items.len() > 1,
                "items that are too large",
            ),
            (
                first_item.checked_add(MAX_ITEMS as u64).is_none(),
                "items that can't be counted",
            ),
            (
                state.next.checked_add(u64::from(u32::MAX)).is_none(),
                "entries that can't be counted",
            ),
            (
                items.iter().any(|item| item.thread as usize >= threads)
                    || state
                        .calls
                        .iter()
                        .any(|call| call.thread as usize >= threads)
                    || state
                        .kept
                        .iter()
                        .any(|kept| kept.item.thread as usize >= threads),
                "what is in no thread",
            ),
            (
                state.kept.len() + open_items > MAX_OPEN_QUESTIONS,
                "too many open questions",
            ),
            (
                state.kept.iter().any(|kept| {
                    kept.id >= first_item || !is_open_question(&kept.item) || !seen.insert(kept.id)
                }),
                "questions that are not open",
            ),
        ];
        if let Some((_, what)) = bounds.into_iter().find(|(is, _)| *is) {
            return Err(SnapshotError::OutOfBounds(what));
        }
        let kept = state.kept.iter().map(|kept| kept.id);
        let index = Index::of(
            &state.threads,
            state.names_from,
            kept,
            (first_item..).zip(&items),
        );
        let items = Items {
            first: first_item,
            held: items.into(),
            weight,
        };
        Ok(Conversation {
            state,
            items,
            index,
        })
    }
}
