//! What is said of unattended runs.

use pillion_conversation::{Notice, RunOutcome};

use super::{sentence, span};

/// What became of a run's task, as a sentence goes on behind "the run": "is done", "failed".
pub fn run_outcome(outcome: RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Done => "is done",
        RunOutcome::Refused => "is over: the agent refuses its task",
        RunOutcome::CutShort => "was cut short: the model may not say or ask for more",
        RunOutcome::Cancelled => "was stopped by somebody",
        RunOutcome::Failed => "failed",
        RunOutcome::AgentEnded => "is over: the agent's process ended",
        RunOutcome::TimeLimit => "took as long as it may, and was stopped",
        RunOutcome::CostLimit => "cost as much as it may, and was stopped",
        RunOutcome::Unanswered => "was stopped: nobody answered what the agent asked",
    }
}

/// A notice of an unattended run's, as a sentence; `None` of any other.
pub fn run(notice: &Notice) -> Option<String> {
    let outcome = |word: &str| match RunOutcome::of_word(word) {
        Some(outcome) => run_outcome(outcome),
        None => "is over",
    };
    let title = notice.title.as_str();
    Some(match notice.word.as_str() {
        Notice::RUN_FINISHED => format!("The run {}", outcome(title)),
        Notice::RUN_ENDS_SOON => {
            let in_ms = notice.description.as_str().parse().unwrap_or(0);
            let why = match title {
                "idle" => "unless somebody asks the agent for more",
                _ => "when it has taken as long as it may",
            };
            format!("The run ends in {}, {why}", span(in_ms))
        }
        Notice::RUN_ENDS if title == "idle" => {
            "The run ends: nobody asked the agent for more".to_owned()
        }
        Notice::RUN_ENDS => format!("The run ends: it {}", outcome(title)),
        Notice::ANNOUNCED => format!("Announced: {title}"),
        Notice::NOT_ANNOUNCED => {
            let why = sentence(notice.description.as_str());
            format!("Not announced: {title}. {why}")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_of_runs_are_sentences() {
        let said = |word: &str, title: &str, description: &str| {
            run(&Notice {
                word: word.to_owned(),
                title: title.to_owned(),
                description: pillion_conversation::BoundedText::cut(description, 100),
                ..Notice::default()
            })
        };
        for (word, title, description, text) in [
            ("run finished", "done", "", "The run is done"),
            ("run finished", "of a newer version", "", "The run is over"),
            (
                "run ends soon",
                "idle",
                "300000",
                "The run ends in 5 min, unless somebody asks the agent for more",
            ),
            (
                "run ends",
                "idle",
                "",
                "The run ends: nobody asked the agent for more",
            ),
            (
                "run ends",
                "cost_limit",
                "",
                "The run ends: it cost as much as it may, and was stopped",
            ),
            (
                "not announced",
                "slack: began",
                "it answered 500",
                "Not announced: slack: began. It answered 500.",
            ),
        ] {
            assert_eq!(said(word, title, description).as_deref(), Some(text));
        }
        assert_eq!(said("garbage", "", ""), None);
    }
}
