//! What people want of an agent's conversation.

use serde::{Deserialize, Serialize};

use crate::limits::MAX_PROMPT;

/// Something that is wanted of a conversation. Who may have it is the host's to say.
///
/// It travels by the number of its variant, so a new one stands at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConversationRequest {
    /// To be asked of the agent, behind the prompts that wait.
    Prompt {
        /// What, at most [`MAX_PROMPT`] bytes.
        text: String,
    },
    /// To be asked in place of what goes on: the turn is stopped, and this comes next.
    Amend {
        /// What, at most [`MAX_PROMPT`] bytes.
        text: String,
    },
    /// A waiting prompt says something else.
    Edit {
        /// Which.
        prompt: u64,
        /// What it says now, at most [`MAX_PROMPT`] bytes.
        text: String,
    },
    /// A waiting prompt has another place.
    Move {
        /// Which.
        prompt: u64,
        /// Before which other one; to the end without.
        before: Option<u64>,
    },
    /// A waiting prompt is held back, or let go.
    Hold {
        /// Which.
        prompt: u64,
        /// Whether it is held.
        held: bool,
    },
    /// A waiting prompt is taken back.
    Withdraw {
        /// Which.
        prompt: u64,
    },
    /// The turn is stopped.
    Cancel,
    /// A question is about to be answered by who says this, for a minute.
    Claim {
        /// Which: its item.
        question: u64,
    },
    /// It is not, after all.
    Release {
        /// Which: its item.
        question: u64,
    },
    /// An answer to a question.
    Answer {
        /// Which: its item.
        question: u64,
        /// What.
        answer: Answer,
    },
    /// A question is answered with yes, and what is like it for the rest of the session.
    AllowAlike {
        /// Which: its item.
        question: u64,
    },
    /// Such a rule no longer holds.
    EndRule {
        /// Which.
        rule: u64,
    },
    /// Something about the agent is set.
    SetOption {
        /// Which option, by the agent's id.
        option: String,
        /// The id of its value.
        value: String,
    },
    /// How far somebody's prompts are trusted.
    Trust {
        /// Whose, by the fingerprint of their key.
        person: String,
        /// How far.
        trust: Trust,
    },
    /// The agent is started again, and goes on from what was said.
    Restart,
    /// The conversation is called something else.
    Rename {
        /// What; what was called for, cut and cleaned.
        title: String,
    },
    /// A request of a newer version.
    #[serde(skip)]
    Unknown,
}

/// An answer to a question of an agent's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Of a permission: the id of a choice.
    Choice(String),
    /// Of a form: what was filled in, as an object of JSON.
    Form(String),
    /// Of a form: nothing.
    Decline,
    /// Nothing, and the agent should stop.
    Cancel,
}

/// How far the prompts of somebody who is not the host are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Trust {
    /// What they make the agent do is asked.
    #[default]
    Ask,
    /// What they make it read or search is not asked; the rest is.
    ReadsOnly,
    /// As the host's own prompts.
    Trusted,
    /// They send none, whatever right they have.
    Watch,
}

impl Trust {
    /// Every one, from the narrowest.
    pub const ALL: [Trust; 4] = [Trust::Watch, Trust::Ask, Trust::ReadsOnly, Trust::Trusted];

    /// As people and the log write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Trust::Watch => "watch",
            Trust::Ask => "ask",
            Trust::ReadsOnly => "reads-only",
            Trust::Trusted => "trusted",
        }
    }

    /// Whether somebody may do more by it than by the other.
    pub fn is_wider_than(self, other: Trust) -> bool {
        let at = |one| Trust::ALL.iter().position(|trust| *trust == one);
        at(self) > at(other)
    }
}

impl std::str::FromStr for Trust {
    type Err = String;

    fn from_str(text: &str) -> Result<Trust, String> {
        let found = Trust::ALL.into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| {
            "how far somebody is trusted is one of watch, ask, reads-only and trusted".to_owned()
        })
    }
}

impl ConversationRequest {
    /// How long what somebody wrote in it is, in bytes.
    pub fn text_len(&self) -> usize {
        match self {
            ConversationRequest::Prompt { text }
            | ConversationRequest::Amend { text }
            | ConversationRequest::Edit { text, .. } => text.len(),
            ConversationRequest::Answer {
                answer: Answer::Choice(text) | Answer::Form(text),
                ..
            } => text.len(),
            ConversationRequest::SetOption { option, value } => option.len() + value.len(),
            ConversationRequest::Trust { person, .. } => person.len(),
            ConversationRequest::Rename { title } => title.len(),
            _ => 0,
        }
    }

    /// Whether everything in it is within its bounds.
    pub fn is_bounded(&self) -> bool {
        self.text_len() <= MAX_PROMPT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_out_of_bounds() {
        let text = |length| ConversationRequest::Prompt {
            text: "x".repeat(length),
        };
        assert!(text(MAX_PROMPT).is_bounded());
        assert!(!text(MAX_PROMPT + 1).is_bounded());
        assert!(ConversationRequest::Cancel.is_bounded());
    }

    #[test]
    fn how_far_somebody_is_trusted_is_written_and_read() {
        for pair in Trust::ALL.windows(2) {
            assert!(pair[1].is_wider_than(pair[0]), "{pair:?}");
            assert!(!pair[0].is_wider_than(pair[1]), "{pair:?}");
        }
        for trust in Trust::ALL {
            assert_eq!(trust.as_str().parse(), Ok(trust));
            assert!(!trust.is_wider_than(trust));
        }
        assert!("reads".parse::<Trust>().is_err());
    }
}
