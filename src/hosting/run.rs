//! An unattended run: its task goes to the agent, and it is ended and announced as its limits say.

use std::time::Duration;

use pillion_announce::{Announcer, Delivery, Event, Message, Pace, Place};
use pillion_conversation::{Order, RunAction, RunEvent, RunLimits, Unattended};
use pillion_proto::ConversationRequest;
use pillion_session::verbs;
use serde::{Deserialize, Serialize};

use crate::hosting::{Hosting, RunningProgram, TERMINAL};

/// How much of its task is announced, in bytes.
const MAX_TASK: usize = 500;

/// How long the session's end waits for what is still to be said elsewhere.
const SAID_WITHIN: Duration = Duration::from_secs(10);

/// What an unattended run is to do, and what it may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunWanted {
    /// Its task.
    pub prompt: String,
    /// What it may take.
    pub limits: RunLimits,
    /// Where it is announced.
    pub announce: Vec<Place>,
}

/// An unattended run, and who says elsewhere what it comes to.
pub(super) struct Run {
    held: Unattended,
    announcer: Announcer,
    /// What is the same in all that is said of it.
    about: Message,
}

impl Run {
    /// What became of something that was to be said elsewhere.
    pub(super) async fn delivery(&mut self) -> Delivery {
        self.announcer.delivery().await
    }

    /// Waits for what is still to be said.
    pub(super) async fn end(self) {
        self.announcer.finish(SAID_WITHIN).await;
    }

    fn announce(&mut self, event: RunEvent) {
        let mut message = self.about.clone();
        match event {
            RunEvent::Began => {}
            RunEvent::NeedsYou { question } => {
                message.event = Event::NeedsYou;
                message.text = question;
            }
            RunEvent::Finished { outcome, summary } => {
                let said = pillion_tui::words::run_outcome(outcome);
                message.event = Event::Finished;
                message.text = summary;
                message.outcome = Some((outcome.word().to_owned(), said.to_owned()));
            }
        }
        self.announcer.say(&message);
    }
}

impl Hosting {
    /// Gives the agent its task, which waits until it can be spoken with.
    pub(super) async fn begin_run(&mut self, ticket: &str) -> anyhow::Result<()> {
        let Some(wanted) = self.options.run.clone() else {
            return Ok(());
        };
        let environment = std::env::vars_os();
        let environment = environment.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let host = rustix::system::uname();
        let end = wanted.prompt.floor_char_boundary(MAX_TASK);
        self.run = Some(Run {
            held: Unattended::new(wanted.limits, self.now_ms()),
            announcer: Announcer::start(wanted.announce, &environment.collect(), Pace::default()),
            about: Message {
                event: Event::Began,
                run: self.options.name.clone(),
                host: host.nodename().to_string_lossy().into_owned(),
                session: self.id.clone(),
                join: format!("pillion join {ticket}"),
                link: self.link().ok(),
                text: wanted.prompt[..end].to_owned(),
                outcome: None,
            },
        });
        let converse = verbs::Converse {
            track: Some(TERMINAL),
            request: ConversationRequest::Prompt {
                text: wanted.prompt,
            },
        };
        self.at_start(converse.into()).await?;
        Ok(())
    }

    /// It was said somewhere, or could not be.
    pub(super) fn announced(&mut self, delivery: Delivery, program: &mut RunningProgram) {
        if let Some(run) = &mut self.run {
            let Delivery { to, event, result } = delivery;
            let error = result.err();
            run.held.announced(to, event.word(), error.as_deref());
            self.carry_out_run(program);
        }
    }

    /// Looks at what the conversation has come to, and what time it is.
    pub(super) fn look_at_run(&mut self, program: &mut RunningProgram) {
        let now_ms = self.now_ms();
        let (Some(run), Some(shown)) = (&mut self.run, self.host.conversation(TERMINAL)) else {
            return;
        };
        run.held.observe(now_ms, shown);
        if run.held.deadline_ms().is_some_and(|at| at <= now_ms) {
            run.held.tick(now_ms, shown);
        }
        self.carry_out_run(program);
    }

    /// The agent can't be spoken with.
    pub(super) fn run_failed(&mut self, program: &mut RunningProgram) {
        if let (Some(run), Some(shown)) = (&mut self.run, self.host.conversation(TERMINAL)) {
            run.held.failed(shown);
            self.carry_out_run(program);
        }
    }

    /// When to look at it again at the latest, in milliseconds of the session's clock.
    pub(super) fn run_deadline_ms(&self) -> Option<u64> {
        self.run.as_ref()?.held.deadline_ms()
    }

    fn carry_out_run(&mut self, program: &mut RunningProgram) {
        while let Some(run) = &mut self.run
            && let Some(action) = run.held.poll()
        {
            match action {
                RunAction::Note(note) => self.order(TERMINAL, Order::Note(note)),
                RunAction::Announce(event) => run.announce(event),
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
