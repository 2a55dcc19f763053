//! The state of a conversation's track: what is shown of it, and who steers it.

use bytes::{BufMut, Bytes, BytesMut};
use pillion_caps::PublicKey;
use pillion_conversation::{Conversation, Gate, Order, Person, RefusedRequest, Steering, shown};
use pillion_proto::{ConversationRequest, Entry, Text, Trust, limits::MAX_CONVERSATION_ENTRY};
use pillion_screen::packed;

use crate::host::{api::ConversationNews, tracks::log::MAX_PENDING};

/// An agent's conversation.
pub(in crate::host) struct ConversationTrack {
    /// With every entry.
    shown: Conversation,
    steering: Steering,
    /// Entries that no frame has yet, encoded.
    pending: BytesMut,
    /// How many entries frames have.
    framed: u64,
}

impl ConversationTrack {
    pub(in crate::host) fn new(gate: Gate) -> ConversationTrack {
        ConversationTrack {
            shown: Conversation::new(),
            steering: Steering::new(gate),
            pending: BytesMut::new(),
            framed: 0,
        }
    }

    /// The conversation, with every entry.
    pub(in crate::host) fn shown(&self) -> &Conversation {
        &self.shown
    }

    /// The number of the entry that comes next.
    pub(in crate::host) fn next(&self) -> u64 {
        self.shown.next()
    }

    /// Whether there are entries that no frame has.
    pub(in crate::host) fn dirty(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether there are so many of them that they don't wait for a better moment.
    pub(in crate::host) fn is_full(&self) -> bool {
        self.pending.len() >= MAX_PENDING
    }

    /// Adds an entry: its number, and it as the session's log keeps it, which is whole.
    pub(in crate::host) fn append(&mut self, json: &str) -> (u64, Bytes) {
        let number = self.next();
        let whole = encoded(number, json);
        match json.len() <= MAX_CONVERSATION_ENTRY {
            true => {
                self.pending.put_slice(&whole);
                self.shown.apply_text(json);
            }
            false => {
                let part = shown(json);
                self.pending.put_slice(&encoded(number, &part));
                self.shown.apply_text(&part);
            }
        }
        self.steering.observe(&self.shown);
        (number, whole)
    }

    /// Something else happened to the agent.
    pub(in crate::host) fn happened(&mut self, now_ms: u64, news: &ConversationNews) {
        match news {
            ConversationNews::Happened(event) => {
                self.steering.happened(now_ms, event, &self.shown);
            }
            ConversationNews::NotSent => self.steering.not_sent(),
            ConversationNews::Ended => self.steering.ended(),
        }
    }

    /// Somebody wants something.
    pub(in crate::host) fn request(
        &mut self,
        now_ms: u64,
        who: &Person,
        request: ConversationRequest,
    ) -> Result<(), RefusedRequest> {
        self.steering.request(now_ms, who, request, &self.shown)
    }

    /// Whose prompts wait.
    pub(in crate::host) fn waits_for(&self) -> Vec<PublicKey> {
        let all = self.steering.waits_for();
        all.iter().filter_map(|id| id.parse().ok()).collect()
    }

    /// How far somebody is trusted.
    pub(in crate::host) fn trust(&self, id: &str) -> Trust {
        self.steering.trust(id)
    }

    /// Somebody may do something else now, or left.
    pub(in crate::host) fn rights_changed(&mut self, who: &Person, here: bool) {
        self.steering.rights_changed(who, &self.shown);
        if !here {
            self.steering.left(&who.id);
        }
    }

    /// Time has passed.
    pub(in crate::host) fn tick(&mut self, now_ms: u64) {
        self.steering.tick(now_ms, &self.shown);
    }

    /// When [`tick`](Self::tick) wants to be called.
    pub(in crate::host) fn deadline_ms(&self) -> Option<u64> {
        self.steering.deadline_ms()
    }

    /// What is to be done next.
    pub(in crate::host) fn poll(&mut self) -> Option<Order> {
        self.steering.poll()
    }

    /// What there is now is the first that viewers may see.
    pub(in crate::host) fn hide_so_far(&mut self) {
        self.shown = self.shown.visible_from(self.shown.next());
        self.steering.hide_so_far();
    }

    /// The entries that no frame had, as a frame's payload and as the chain has it.
    pub(in crate::host) fn take_pending(&mut self) -> (Bytes, Bytes) {
        self.framed = self.next();
        let raw = self.pending.split().freeze();
        (packed::pack(&raw), raw)
    }

    /// The state, as a snapshot's payload. Entries that no frame has are in it, and are skipped when they come.
    pub(in crate::host) fn snapshot(&self) -> Bytes {
        packed::pack(&self.shown.snapshot())
    }

    /// What a checkpoint says of the state: how many entries there are. The chain has every one of them.
    pub(in crate::host) fn digested(&self) -> [u8; 8] {
        self.framed.to_be_bytes()
    }
}

/// An entry as it travels, and as the log keeps it.
fn encoded(number: u64, json: &str) -> Bytes {
    let entry = Entry {
        number,
        key: Text::default(),
        json: Bytes::copy_from_slice(json.as_bytes()),
    };
    let mut out = BytesMut::with_capacity(json.len() + 24);
    entry.encode(&mut out);
    out.freeze()
}
