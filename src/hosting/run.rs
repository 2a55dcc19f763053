//! An unattended run: its task goes to the agent, and it is ended and announced as its limits say.

use pillion_conversation::{Order, RunAction, RunLimits, Unattended};
use pillion_proto::ConversationRequest;
use pillion_session::verbs;
use serde::{Deserialize, Serialize};

use crate::hosting::{Hosting, RunningProgram, TERMINAL};

/// What an unattended run is to do, and what it may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunWanted {
    /// Its task.
    pub prompt: String,
    /// What it may take.
    pub limits: RunLimits,
}

impl Hosting {
    /// Gives the agent its task, which waits until it can be spoken with.
    pub(super) async fn begin_run(&mut self) -> anyhow::Result<()> {
        let Some(wanted) = self.options.run.clone() else {
            return Ok(());
        };
        self.unattended = Some(Unattended::new(wanted.limits, self.now_ms()));
        let converse = verbs::Converse {
            track: Some(TERMINAL),
            request: ConversationRequest::Prompt {
                text: wanted.prompt,
            },
        };
        self.at_start(converse.into()).await?;
        Ok(())
    }

    /// Looks at what the conversation has come to, and what time it is.
    pub(super) fn look_at_run(&mut self, program: &mut RunningProgram) {
        let now_ms = self.now_ms();
        let (Some(run), Some(shown)) = (&mut self.unattended, self.host.conversation(TERMINAL))
        else {
            return;
        };
        run.observe(now_ms, shown);
        if run.deadline_ms().is_some_and(|at| at <= now_ms) {
            run.tick(now_ms, shown);
        }
        self.carry_out_run(program);
    }

    /// The agent can't be spoken with.
    pub(super) fn run_failed(&mut self, program: &mut RunningProgram) {
        if let (Some(run), Some(shown)) = (&mut self.unattended, self.host.conversation(TERMINAL)) {
            run.failed(shown);
            self.carry_out_run(program);
        }
    }

    /// When to look at it again at the latest, in milliseconds of the session's clock.
    pub(super) fn run_deadline_ms(&self) -> Option<u64> {
        self.unattended.as_ref()?.deadline_ms()
    }

    fn carry_out_run(&mut self, program: &mut RunningProgram) {
        while let Some(action) = self.unattended.as_mut().and_then(Unattended::poll) {
            match action {
                RunAction::Note(note) => self.order(TERMINAL, Order::Note(note)),
                RunAction::Announce(_) => {}
                RunAction::End(_) => {
                    self.close_conversation(TERMINAL, Some(program));
                }
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.clock.now().mono_us / 1000
    }
}
