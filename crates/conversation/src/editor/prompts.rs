//! The editor's own prompts, from its request to the end of their turns.

use pillion_proto::ConversationRequest;
use serde_json::json;

use super::{
    Editor, EditorOutput, Seen, code,
    sent::{Events, PromptEvent, prompt_id},
};
use crate::{
    fold::Conversation,
    message::MessageId,
    model::{ItemId, Stop, TurnEnd},
};

/// A prompt that the editor sent.
#[derive(Debug)]
pub(super) struct OwnPrompt {
    /// The editor's request.
    pub(super) request: MessageId,
    /// Ours to the host.
    want: u64,
    text: String,
    /// Prompts with smaller numbers were there before.
    from: u64,
    /// Its number in the queue, once that is known.
    number: Option<u64>,
    /// Its item, once it was sent to the agent.
    item: Option<ItemId>,
    /// It has its answer: in version 2 that says that it waits, in version 1 that its turn is over.
    pub(super) answered: bool,
}

impl OwnPrompt {
    /// Whether a prompt of this person's is this one.
    pub(super) fn is(&self, number: u64, text: &str) -> bool {
        match self.number {
            Some(known) => known == number,
            None => number >= self.from && same(&self.text, text),
        }
    }
}

/// Whether a text is the same as far as it is held.
fn same(whole: &str, held: &str) -> bool {
    whole == held || (held.len() >= 1024 && whole.starts_with(held))
}

impl Editor {
    /// `session/prompt`.
    pub(super) fn prompt(&mut self, request: MessageId, text: String) {
        let want = self.want(ConversationRequest::Prompt { text: text.clone() });
        self.prompts.push(OwnPrompt {
            request,
            want,
            text,
            from: self.newest_prompt.map_or(0, |newest| newest + 1),
            number: None,
            item: None,
            answered: false,
        });
    }

    /// The host did not take a prompt; whether it was one.
    pub(super) fn prompt_refused(&mut self, want: u64, why: &str) -> bool {
        let Some(at) = self.prompts.iter().position(|one| one.want == want) else {
            return false;
        };
        let prompt = self.prompts.remove(at);
        if !prompt.answered {
            self.fail(&prompt.request, code::REFUSED, why);
        }
        true
    }

    /// Finds own prompts among those that wait.
    pub(super) fn find_queued(&mut self, seen: &Seen<'_>, shown: &Conversation) {
        for queued in shown.queue() {
            if queued.by.id != seen.you || seen.you.is_empty() {
                continue;
            }
            let text = queued.text.as_str();
            let known = self
                .prompts
                .iter()
                .any(|own| own.number == Some(queued.number));
            let mut own = self.prompts.iter().enumerate();
            let found = own.find(|(_, own)| own.number.is_none() && own.is(queued.number, text));
            if let (Some((at, _)), false) = (found, known) {
                self.numbered(at, queued.number);
            }
        }
    }

    fn numbered(&mut self, at: usize, number: u64) {
        let prompt = &mut self.prompts[at];
        prompt.number = Some(number);
        if self.version >= 2 && !prompt.answered {
            prompt.answered = true;
            let request = prompt.request.clone();
            self.respond(&request, &json!({"messageId": prompt_id(number)}));
        }
    }

    /// Does what a prompt waits for. What is said of it goes where it happened among what was said before.
    pub(super) fn prompt_events(&mut self, events: Events) {
        let mut inserted = 0;
        for (at, event) in events {
            let before = self.outputs.len();
            self.prompt_event(event);
            let said: Vec<EditorOutput> = self.outputs.drain(before..).collect();
            for one in said {
                let place = (at + inserted).min(self.outputs.len());
                self.outputs.insert(place, one);
                inserted += 1;
            }
        }
    }

    fn prompt_event(&mut self, event: PromptEvent) {
        match event {
            PromptEvent::Sent { number, item, text } => {
                let mut own = self.prompts.iter();
                let exact = own.position(|own| own.number == Some(number));
                let mut own = self.prompts.iter();
                let like = own.position(|own| own.number.is_none() && own.is(number, &text));
                if let Some(at) = exact.or(like) {
                    if self.prompts[at].number.is_none() {
                        self.numbered(at, number);
                    }
                    self.prompts[at].item = Some(item);
                }
            }
            PromptEvent::Ended { item, end } => {
                for prompt in self.take_before(item) {
                    self.turn_over(&prompt, &end);
                }
            }
            PromptEvent::Gone { why } => {
                let why = format!("{why}: who manages the session can start it again");
                for prompt in std::mem::take(&mut self.prompts) {
                    if let (Some(number), None) = (prompt.number, prompt.item) {
                        self.want(ConversationRequest::Withdraw { prompt: number });
                    }
                    if !prompt.answered {
                        self.fail(&prompt.request, code::INTERNAL, &why);
                    }
                }
            }
        }
    }

    /// Takes the prompts whose turn ends with this item.
    fn take_before(&mut self, item: ItemId) -> Vec<OwnPrompt> {
        let is_over = |prompt: &mut OwnPrompt| prompt.item.is_some_and(|own| own < item);
        self.prompts.extract_if(.., is_over).collect()
    }

    fn turn_over(&mut self, prompt: &OwnPrompt, end: &TurnEnd) {
        if prompt.answered {
            return;
        }
        if !end.error.is_empty() {
            return self.fail(&prompt.request, code::INTERNAL, &end.error);
        }
        // Version 1 has no other words than these.
        let stop = match end.stop() {
            Stop::MaxTokens => "max_tokens",
            Stop::MaxTurnRequests => "max_turn_requests",
            Stop::Refusal => "refusal",
            Stop::Cancelled => "cancelled",
            Stop::EndTurn | Stop::Error | Stop::Other => "end_turn",
        };
        self.respond(&prompt.request, &json!({"stopReason": stop}));
    }

    /// Finds own prompts that were taken back before they were sent.
    pub(super) fn find_withdrawn(&mut self, shown: &Conversation) {
        let is_gone = |prompt: &mut OwnPrompt| {
            let waits = |number| shown.queue().iter().any(|one| one.number == number);
            prompt.item.is_none() && prompt.number.is_some_and(|number| !waits(number))
        };
        let gone: Vec<OwnPrompt> = self.prompts.extract_if(.., is_gone).collect();
        for prompt in gone {
            match prompt.answered {
                true => self.tell("a prompt of yours was taken back before it was sent"),
                false => self.respond(&prompt.request, &json!({"stopReason": "cancelled"})),
            }
        }
    }

    /// Stops what the editor asked for: its prompts that wait, and the turn.
    pub(super) fn cancel(&mut self) {
        let waiting: Vec<u64> = self
            .prompts
            .iter()
            .filter(|prompt| prompt.item.is_none())
            .filter_map(|prompt| prompt.number)
            .collect();
        let has_turn = self.prompts.iter().any(|prompt| prompt.item.is_some());
        let is_waiting = !waiting.is_empty();
        for prompt in waiting {
            self.want(ConversationRequest::Withdraw { prompt });
        }
        // Without a prompt of its own it means what it sees.
        if has_turn || !is_waiting {
            self.want(ConversationRequest::Cancel);
        }
    }

    /// Stops one prompt, by the editor's request for it.
    pub(super) fn cancel_prompt(&mut self, request: &str) {
        let mut own = self.prompts.iter();
        let own = own.find(|prompt| prompt.request.as_json() == request);
        match own.map(|prompt| (prompt.number, prompt.item)) {
            Some((_, Some(_))) => {
                self.want(ConversationRequest::Cancel);
            }
            Some((Some(prompt), None)) => {
                self.want(ConversationRequest::Withdraw { prompt });
            }
            _ => {}
        }
    }
}
