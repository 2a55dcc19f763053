//! A conversation with an agent in place of a terminal: what [`ConversationView`] draws and what it makes of keys.

use std::collections::BTreeMap;

use pillion_caps::PublicKey;
use pillion_conversation::Conversation;
use pillion_proto::{Right, TrackId};
use pillion_session::{Now, Phase, View};

use super::{Action, Overlay, Turn, ViewerUi};
use crate::{
    canvas::Caret,
    conversation::{ConversationContext, ConversationView},
    keys::Event,
};

/// Conversations of which it is remembered where somebody was in them, and what they were writing.
const MAX_VIEWS: usize = 16;

/// People who are listed to be trusted.
const MAX_PROMPTERS: usize = 64;

/// How somebody looks at conversations.
#[derive(Debug, Default)]
pub(super) struct Conversing {
    views: BTreeMap<TrackId, ConversationView>,
    /// Who the person is, as conversations name them.
    me: String,
    /// When the one that is shown changes by itself.
    pub(super) wake_at: Option<u64>,
    /// What the agent asks that is still to be rung for.
    pub(super) rings: Option<String>,
    /// What is handled was read while more had been typed.
    pub(super) more: bool,
}

impl Conversing {
    fn view(&mut self, track: TrackId) -> &mut ConversationView {
        if self.views.len() >= MAX_VIEWS && !self.views.contains_key(&track) {
            self.views.pop_first();
        }
        self.views.entry(track).or_default()
    }
}

impl ViewerUi {
    /// What the conversation's view is given, and that view.
    fn converse<T>(
        &mut self,
        now: Now,
        view: &View,
        conversation: &Conversation,
        with: impl FnOnce(&mut ConversationView, &ConversationContext<'_>) -> T,
    ) -> T {
        let mut me = std::mem::take(&mut self.conversing.me);
        if me.is_empty() {
            me = view.identity.to_string();
        }
        let prompters: Vec<(String, String)> = match view.rights.has(Right::Manage) {
            true => prompters(view),
            false => Vec::new(),
        };
        let may = |right| view.rights.has(right) && !self.config.read_only;
        let cx = ConversationContext {
            conversation,
            now,
            may_prompt: may(Right::Prompt),
            may_approve: may(Right::Approve),
            may_manage: may(Right::Manage),
            prompters: &prompters,
            me: &me,
            host_away: view.phase != Phase::Live,
        };
        let done = with(self.conversing.view(view.track.0), &cx);
        self.conversing.me = me;
        done
    }

    /// Draws it, and says where the cursor is to be.
    pub(super) fn compose_conversation(
        &mut self,
        now: Now,
        view: &View,
        conversation: &Conversation,
    ) -> Option<Caret> {
        self.canvas.begin();
        let mut next = std::mem::take(&mut self.canvas.next);
        let (caret, rings) = self.converse(now, view, conversation, |seen, cx| {
            let caret = seen.draw(cx, &mut next);
            (caret, seen.take_ring())
        });
        self.conversing.rings = rings.or(self.conversing.rings.take());
        self.canvas.next = next;
        let wake_at = self.converse(now, view, conversation, |seen, cx| seen.wake_at(cx));
        self.conversing.wake_at = wake_at;
        let (x, y) = caret.filter(|_| self.overlay == Overlay::None)?;
        Some(Caret {
            x,
            y,
            shape: pillion_screen::CursorShape::Block,
            blink: false,
        })
    }

    /// Something typed, or a move of the mouse, for the conversation that is shown.
    pub(super) fn conversation_event(
        &mut self,
        now: Now,
        view: &View,
        event: &Event<'_>,
        turn: &mut Turn<'_>,
    ) {
        let Some(conversation) = turn.conversation else {
            return;
        };
        let alone = turn.alone;
        let wanted = self.converse(now, view, conversation, |seen, cx| {
            seen.on_event(cx, event, alone)
        });
        let track = view.track.0;
        for action in wanted {
            let request = action.into();
            turn.act(Action::Converse { track, request });
        }
    }

    /// Time passed for the conversation that is shown.
    pub(super) fn conversation_tick(&mut self, now: Now, view: &View, conversation: &Conversation) {
        let more = self.conversing.more;
        self.converse(now, view, conversation, |seen, _| seen.tick(now, more));
    }

    /// Says a sentence in it for a while.
    pub(super) fn conversation_say(&mut self, now: Now, track: TrackId, text: &str) {
        self.conversing.view(track).say(now, text);
    }
}

/// Others who may send prompts: the fingerprint of their key, and what they call themselves.
fn prompters(view: &View) -> Vec<(String, String)> {
    let others = view.roster.iter();
    let others =
        others.filter(|one| Some(one.id) != view.you && !one.host && one.rights.has(Right::Prompt));
    let named = others.filter_map(|one| {
        let key = PublicKey::from_bytes(&one.identity).ok()?;
        Some((key.to_string(), one.name.as_str().to_owned()))
    });
    named.take(MAX_PROMPTERS).collect()
}
