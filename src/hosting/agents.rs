//! The session's agents: their processes, and what goes to and fro between them and the state machine.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    future::{Future as _, poll_fn},
    path::PathBuf,
    task::Poll,
    time::Duration,
};

use pillion_agent::{AgentCommand, AgentEvent, RunningAgent};
use pillion_conversation::{ClientEvent, Earlier, MessageId, Order};
use pillion_proto::{TrackId, TrackState};
use pillion_session::{ConversationNews, HostInput, verbs::AgentStart};
use pillion_source::{WaitedFor, start_waited_for};

use crate::hosting::{Hosting, RunningProgram, TERMINAL};

/// What began less than this ago may not be written down by the agent yet.
const YOUNG: Duration = Duration::from_secs(60);

/// The session's agents, by the tracks of their conversations.
#[derive(Default)]
pub(super) struct Agents {
    all: BTreeMap<TrackId, Agent>,
    /// Whose turn it was last.
    last: Option<TrackId>,
}

struct Agent {
    running: RunningAgent,
    /// How it ended is ours to learn.
    _waited: Option<WaitedFor>,
    /// How it was started.
    command: AgentCommand,
    /// Its process has ended.
    ended: bool,
    /// Its conversation ends with it.
    closing: bool,
    /// It is started again when it has ended, and goes on from here.
    restart: Option<Earlier>,
}

impl Agents {
    /// Starts an agent. If it does not start, its conversation says so.
    fn start(&mut self, track: TrackId, command: AgentCommand, earlier: Option<Earlier>) {
        let before = self.all.remove(&track);
        let changes = before.map(|agent| agent.running.changes());
        let version = env!("CARGO_PKG_VERSION");
        let start = || RunningAgent::start(&command, "pillion", version, earlier);
        let (mut running, waited) = start_waited_for(start, RunningAgent::pid);
        if let Some(changes) = changes {
            running.changes_from(changes);
        }
        let agent = Agent {
            running,
            _waited: waited,
            command,
            ended: false,
            closing: false,
            restart: None,
        };
        self.all.insert(track, agent);
    }

    /// The next thing that one of them does. They take turns, and are read no faster than this is called.
    pub(super) async fn next_event(&mut self) -> (TrackId, AgentEvent) {
        let last = self.last.unwrap_or(TrackId(u32::MAX));
        // What is waited for stays waited for until something came: it holds the wake-ups.
        let (before, behind): (Vec<_>, Vec<_>) = self
            .all
            .iter_mut()
            .map(|(track, agent)| (*track, Box::pin(agent.running.next())))
            .partition(|(track, _)| *track <= last);
        let mut waiting: Vec<_> = behind.into_iter().chain(before).collect();
        let found = poll_fn(|cx| {
            for (track, next) in &mut waiting {
                if let Poll::Ready(event) = next.as_mut().poll(cx) {
                    return Poll::Ready((*track, event));
                }
            }
            Poll::Pending
        })
        .await;
        drop(waiting);
        self.last = Some(found.0);
        found
    }

    /// Whether any of them is there, or its conversation.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl Hosting {
    /// Starts an agent for a conversation.
    pub(super) fn start_agent(&mut self, track: TrackId, start: AgentStart) {
        let program = &self.options.program;
        let AgentStart {
            command,
            cwd,
            environment,
            earlier,
        } = start;
        let mut all: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        for name in &program.env_remove {
            all.remove(name);
        }
        all.extend(program.env.iter().cloned());
        all.extend(
            environment
                .into_iter()
                .map(|(name, value)| (name.into(), value.into())),
        );
        let cwd = match cwd.is_empty() {
            true => program.cwd.clone().or_else(|| std::env::current_dir().ok()),
            false => Some(PathBuf::from(cwd)),
        };
        let mut words = command.into_iter().map(OsString::from);
        let command = AgentCommand {
            program: words.next().unwrap_or_default(),
            arguments: words.collect(),
            cwd: cwd.unwrap_or_else(|| PathBuf::from("/")),
            environment: all.into_iter().collect(),
        };
        let earlier = (!earlier.is_empty()).then(|| Earlier {
            transcript: earlier,
            ..Earlier::default()
        });
        self.agents.start(track, command, earlier);
    }

    /// Does what a conversation wants done with its agent.
    pub(super) fn order(&mut self, track: TrackId, order: Order) {
        let Some(agent) = self.agents.all.get_mut(&track) else {
            return;
        };
        let running = &mut agent.running;
        let news = match order {
            Order::Note(note) => {
                running.note(note);
                None
            }
            Order::Prompt { number, text, by } => {
                let sent = running.prompt(&text, Some(number), Some(by));
                sent.is_err().then_some(ConversationNews::NotSent)
            }
            // Without a turn there is nothing to stop, and a question that was answered has its answer.
            Order::Cancel(by) => {
                let _ = running.cancel(Some(by));
                None
            }
            Order::Answer {
                request,
                answer,
                by,
            } => {
                if let Ok(request) = MessageId::from_json(&request) {
                    let _ = running.answer(&request, &answer, Some(by));
                }
                None
            }
            Order::Set { option, value, by } => {
                let sent = running.set_option(&option, &value, Some(by));
                let not_set = ConversationNews::Happened(ClientEvent::Set(false));
                sent.is_err().then_some(not_set)
            }
            Order::Rebase => {
                running.rebase_changes();
                None
            }
            Order::Restart { from, .. } => {
                let earlier = Earlier {
                    is_young: running.age() < YOUNG,
                    ..from
                };
                // Of one that runs the end is still to be written down.
                running.kill();
                match agent.ended {
                    true => {
                        let command = agent.command.clone();
                        self.agents.start(track, command, Some(earlier));
                    }
                    false => agent.restart = Some(earlier),
                }
                None
            }
        };
        if let Some(news) = news {
            self.tell(HostInput::Agent { track, news });
        }
    }

    /// Something that an agent did.
    pub(super) fn agent_event(
        &mut self,
        track: TrackId,
        event: AgentEvent,
        program: &mut RunningProgram,
    ) {
        match event {
            AgentEvent::Entry(entry) => self.tell(HostInput::Conversation { track, entry }),
            AgentEvent::Happened(event) => {
                if matches!(event, ClientEvent::Failed(_)) && track == TERMINAL {
                    self.run_failed(program);
                }
                let news = ConversationNews::Happened(event);
                self.tell(HostInput::Agent { track, news });
            }
            AgentEvent::Ended { .. } => {
                self.tell(HostInput::Agent {
                    track,
                    news: ConversationNews::Ended,
                });
                let Some(agent) = self.agents.all.get_mut(&track) else {
                    return;
                };
                agent.ended = true;
                if agent.closing {
                    return self.conversation_ended(track, program);
                }
                if let Some(earlier) = agent.restart.take() {
                    let command = agent.command.clone();
                    self.agents.start(track, command, Some(earlier));
                }
            }
        }
    }

    /// Ends a conversation: its agent, and with that the track. Whether there is one.
    pub(super) fn close_conversation(
        &mut self,
        track: TrackId,
        program: Option<&mut RunningProgram>,
    ) -> bool {
        let Some(agent) = self.agents.all.get_mut(&track) else {
            return false;
        };
        agent.closing = true;
        agent.running.close();
        if agent.ended
            && let Some(program) = program
        {
            self.conversation_ended(track, program);
        }
        true
    }

    fn conversation_ended(&mut self, track: TrackId, program: &mut RunningProgram) {
        if let Some(mut agent) = self.agents.all.remove(&track) {
            for entry in agent.running.take_entries() {
                self.tell(HostInput::Conversation { track, entry });
            }
        }
        // A session that began with a conversation has that in place of a program.
        match track == TERMINAL {
            true => program.terminate(),
            false => self.tell(HostInput::Exited {
                track,
                state: TrackState::Exited(0),
            }),
        }
    }
}
