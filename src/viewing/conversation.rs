//! Conversations with agents as scripts use them: without a terminal.

use std::time::Duration;

use pillion_conversation::Conversation;
use pillion_proto::{ConversationRequest, TrackId, TrackKind};
use pillion_session::{Phase, ViewerInput};
use pillion_source::ExitSignals;
use pillion_tui::words;

use crate::viewing::viewer_loop::{Outcome, ViewerLoop};

/// How long the host may take to say what became of a request.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What became of what a script wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// It was done.
    Done,
    /// The host did not do it; why.
    NotDone(String),
    /// The conversation can't be had.
    Over(Outcome),
}

impl ViewerLoop {
    /// Waits until a conversation can be seen: the one that is named, or the first there is.
    ///
    /// # Errors
    /// How it ended, when there is none or it can't be had.
    pub async fn conversation(
        &mut self,
        wanted: Option<TrackId>,
        signals: &mut ExitSignals,
    ) -> Result<TrackId, Outcome> {
        let mut told = String::new();
        loop {
            let news = self.drain();
            if let Some(ended) = news.ended {
                return Err(ended);
            }
            match &self.view().phase {
                Phase::Knocking { you, wait_ms, .. } => {
                    let text = words::knocking(you, *wait_ms, self.view());
                    if text != told {
                        crate::say!("pillion: {text}");
                        told = text;
                    }
                }
                Phase::Connecting { why: Some(why), .. } => {
                    return Err(Outcome::Unreachable(words::interruption(why)));
                }
                _ => {}
            }
            if self.view().you.is_some() {
                let all = self.view().tracks.iter();
                let mut all = all.filter(|info| info.kind == TrackKind::Conversation);
                let found = all.find(|info| wanted.is_none_or(|wanted| wanted == info.id));
                let Some(track) = found.map(|info| info.id) else {
                    let why = "this session has no such conversation with an agent";
                    return Err(Outcome::NoTerminal(why.to_owned()));
                };
                if self.shown(track).is_some() {
                    return Ok(track);
                }
                self.tell(ViewerInput::Look(vec![track]));
                self.send();
            }
            if let Some(signal) = self.next(None, signals.next()).await {
                return Err(Outcome::Signalled(signal));
            }
        }
    }

    /// A conversation as it is now.
    pub fn shown(&self, track: TrackId) -> Option<&Conversation> {
        self.viewer().conversation(track)
    }

    /// Has the host do something with a conversation.
    pub async fn converse(
        &mut self,
        track: TrackId,
        request: ConversationRequest,
        signals: &mut ExitSignals,
    ) -> Wanted {
        self.drain();
        self.tell(ViewerInput::Converse { track, request });
        let began = tokio::time::Instant::now();
        let mut why: Option<String> = None;
        loop {
            let news = self.drain();
            why = news.said.into_iter().next().or(why);
            match (news.ended, why.take()) {
                (Some(ended), _) => return Wanted::Over(ended),
                (None, Some(said)) => return Wanted::NotDone(said),
                (None, None) if self.view().unconfirmed == 0 => return Wanted::Done,
                (None, None) if began.elapsed() > ANSWER_WITHIN => {
                    return Wanted::NotDone("the host did not answer".to_owned());
                }
                (None, None) => {}
            }
            let event = async {
                tokio::select! {
                    signal = signals.next() => Some(signal),
                    () = tokio::time::sleep_until(began + ANSWER_WITHIN) => None,
                }
            };
            if let Some(Some(signal)) = self.next(None, event).await {
                return Wanted::Over(Outcome::Signalled(signal));
            }
        }
    }

    /// Waits until something about it may have changed; whether it is over.
    pub async fn changed(&mut self, signals: &mut ExitSignals) -> Option<Outcome> {
        if let Some(signal) = self.next(None, signals.next()).await {
            return Some(Outcome::Signalled(signal));
        }
        self.drain().ended
    }
}
