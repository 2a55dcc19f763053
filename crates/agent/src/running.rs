//! An agent that runs: its process, what is said to it, and what is logged of both.

use std::{
    collections::VecDeque,
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use pillion_conversation::{
    Answer, Author, Client, ClientEvent, ClientOutput, Earlier, Entry, Environment, Exit, Logged,
    Masker, Message, MessageId, MessageKind, NotSent, Note, Setup, limits::MAX_WORD,
};
use tokio::time::sleep_until;

use crate::{
    changes::{ChangesBase, Watch},
    git,
    lines::Line,
    process::{AgentCommand, AgentProcess, NotStarted, ProcessEvent},
};

/// What there is of an agent, in the order in which it has to be taken in.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentEvent {
    /// An entry for the conversation's log, with what is secret masked. What it says has not been written to the
    /// agent yet: the log comes first.
    Entry(String),
    /// Something happened.
    Happened(ClientEvent),
    /// The agent ended. Nothing more comes.
    Ended {
        /// How.
        exit: Exit,
        /// The end of what it said on its standard error, masked.
        errors: String,
    },
}

/// An agent with its process.
#[derive(Debug)]
pub struct RunningAgent {
    /// `None` of one that could not be started.
    process: Option<AgentProcess>,
    /// Nothing more comes of the process.
    ended: bool,
    client: Client,
    masker: Masker,
    /// What changes where it works.
    changes: Option<Watch>,
    began: Instant,
    events: VecDeque<AgentEvent>,
}

impl RunningAgent {
    /// Starts an agent and begins to speak with it. `name` and `version` are what it is told of us, `earlier` is from
    /// where it goes on if it ran before. Of one that can't be started the log and [`AgentEvent::Ended`] say so.
    pub fn start(
        command: &AgentCommand,
        name: &str,
        version: &str,
        earlier: Option<Earlier>,
    ) -> RunningAgent {
        let process = AgentProcess::start(command);
        let variables = command.environment.iter();
        let variables =
            variables.filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
        let setup = Setup {
            cwd: command.cwd.to_string_lossy().into_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            earlier,
        };
        let mut agent = RunningAgent {
            process: None,
            ended: false,
            client: Client::new(setup, 0),
            masker: Masker::new(variables),
            changes: None,
            began: Instant::now(),
            events: VecDeque::new(),
        };
        let environment = environment(command);
        agent.log(Logged::Note(Note::Started { environment }));
        match process {
            Ok(process) => {
                agent.process = Some(process);
                agent.changes = Some(Watch::begin(&command.cwd, ChangesBase::default()));
                agent.pump();
            }
            Err(error) => agent.not_started(&error),
        }
        agent
    }

    /// Its process; `None` of one that could not be started.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(AgentProcess::pid)
    }

    /// How long ago it was started.
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// What the agent is told, and what it waits for.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What there is next. Nothing is lost when this is not waited for to the end, and an agent is read no faster
    /// than this is called.
    pub async fn next(&mut self) -> AgentEvent {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let deadline = self
                .client
                .deadline_ms()
                .map(|at| self.began + Duration::from_millis(at));
            let event = tokio::select! {
                event = next_of(&mut self.process), if !self.ended => Some(event),
                changed = changed(&mut self.changes), if !self.ended => {
                    self.log(Logged::Note(changed));
                    continue;
                }
                () = sleep_until(deadline.unwrap_or(self.began).into()), if deadline.is_some() && !self.ended => None,
                else => std::future::pending().await,
            };
            match event {
                Some(event) => self.handle(event),
                None => {
                    let now_ms = self.now_ms();
                    self.client.tick(now_ms);
                }
            }
            self.pump();
        }
    }

    /// The entries that there are already, of an agent that ended: what is written down last may come behind
    /// [`AgentEvent::Ended`].
    pub fn take_entries(&mut self) -> Vec<String> {
        let mut entries = Vec::new();
        self.events.retain_mut(|event| match event {
            AgentEvent::Entry(entry) => {
                entries.push(std::mem::take(entry));
                false
            }
            _ => true,
        });
        entries
    }

    /// Sends a prompt.
    ///
    /// # Errors
    /// When the agent can't take one now.
    pub fn prompt(
        &mut self,
        text: &str,
        number: Option<u64>,
        by: Option<Author>,
    ) -> Result<(), NotSent> {
        let sent = self.client.prompt(text, number, by);
        if let Some(changes) = self.changes.as_mut().filter(|_| sent.is_ok()) {
            changes.turn_begins();
        }
        self.pump();
        sent
    }

    /// Stops the turn.
    ///
    /// # Errors
    /// When there is none.
    pub fn cancel(&mut self, by: Option<Author>) -> Result<(), NotSent> {
        let sent = self.client.cancel(self.now_ms(), by);
        self.pump();
        sent
    }

    /// Answers a question. The first answer counts.
    ///
    /// # Errors
    /// When it was answered, or does not have this answer.
    pub fn answer(
        &mut self,
        question: &MessageId,
        answer: &Answer,
        by: Option<Author>,
    ) -> Result<(), NotSent> {
        let sent = self.client.answer(question, answer, by);
        self.pump();
        sent
    }

    /// Sets an option to one of its values.
    ///
    /// # Errors
    /// When the agent is not ready.
    pub fn set_option(
        &mut self,
        option: &str,
        value: &str,
        by: Option<Author>,
    ) -> Result<(), NotSent> {
        let sent = self.client.set_option(option, value, by);
        self.pump();
        sent
    }

    /// What changes in its directory goes on from here with an agent that is started in its place.
    pub fn changes(&self) -> ChangesBase {
        self.changes.as_ref().map(Watch::base).unwrap_or_default()
    }

    /// What has changed in its directory counts from where it was with an agent that ran before.
    pub fn changes_from(&mut self, base: ChangesBase) {
        if let Some(changes) = &mut self.changes {
            changes.go_on_from(base);
        }
    }

    /// What has changed in its directory counts from now on.
    pub fn rebase_changes(&mut self) {
        if let Some(changes) = &mut self.changes {
            changes.rebase();
        }
    }

    /// Writes a note of the host's into the log.
    pub fn note(&mut self, note: Note) {
        self.log(Logged::Note(note));
    }

    /// Wants the agent to end, by itself or else by force. [`AgentEvent::Ended`] says that it has.
    pub fn close(&mut self) {
        if let Some(process) = &mut self.process {
            process.close();
        }
    }

    /// Ends the agent at once.
    pub fn kill(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill();
        }
    }

    fn not_started(&mut self, error: &NotStarted) {
        let exit = Exit {
            fault: error.to_string(),
            ..Exit::default()
        };
        self.handle(ProcessEvent::Ended {
            exit,
            errors: String::new(),
        });
    }

    fn handle(&mut self, event: ProcessEvent) {
        match event {
            ProcessEvent::Line(Line::Text(line)) => match Message::parse(&line) {
                Ok(message) => {
                    if let Some(changes) = self.changes.as_mut().filter(|_| ends_tool(&message)) {
                        changes.tool_ended();
                    }
                    self.log(Logged::FromAgent(message));
                    self.client.handle_line(&line);
                }
                Err(_) => {
                    let start = line[..line.floor_char_boundary(MAX_WORD)].to_owned();
                    self.garbage(start, line.len() as u64);
                }
            },
            ProcessEvent::Line(Line::NotText { start, bytes }) => self.garbage(start, bytes),
            ProcessEvent::Line(Line::TooLong { start, bytes }) => {
                self.log(Logged::Note(Note::Oversized { text: start, bytes }));
            }
            ProcessEvent::Ended { exit, errors } => {
                self.ended = true;
                self.log(Logged::Note(Note::Ended { exit: exit.clone() }));
                let errors = self.masker.mask_text(&errors).into_owned();
                self.events.push_back(AgentEvent::Ended { exit, errors });
            }
        }
    }

    /// It is never answered: who wrote it doesn't speak the protocol.
    fn garbage(&mut self, text: String, bytes: u64) {
        self.log(Logged::Note(Note::Garbage { text, bytes }));
        self.events
            .push_back(AgentEvent::Happened(ClientEvent::Garbage));
    }

    /// Does what the machine wants done.
    fn pump(&mut self) {
        while let Some(output) = self.client.poll() {
            match output {
                ClientOutput::Event(event) => {
                    if let (ClientEvent::TurnEnded, Some(changes)) = (&event, &mut self.changes) {
                        changes.turn_ended();
                    }
                    self.events.push_back(AgentEvent::Happened(event));
                }
                ClientOutput::Send { line, by, prompt } => {
                    let message = Message::parse(&line).expect("what we say is a message");
                    self.log(Logged::ToAgent {
                        message,
                        by,
                        prompt,
                    });
                    // It ends, which is said when it has.
                    if let Some(process) = &mut self.process {
                        let _ = process.send(&line);
                    }
                }
            }
        }
    }

    fn log(&mut self, what: Logged<'_>) {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let entry = Entry { at_ms, what }.encode();
        let masked = self.masker.mask(&entry).into_owned();
        self.events.push_back(AgentEvent::Entry(masked));
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What has changed; nothing, where nobody looks.
async fn changed(changes: &mut Option<Watch>) -> Note {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

/// Whether an agent says that a tool of its own has ended.
fn ends_tool(message: &Message<'_>) -> bool {
    let MessageKind::Notification {
        params: Some(params),
        ..
    } = &message.kind
    else {
        return false;
    };
    let update = params.get("update");
    let word = |name| update.and_then(|update| update.get(name)?.text());
    matches!(
        (word("sessionUpdate").as_deref(), word("status").as_deref()),
        (
            Some("tool_call" | "tool_call_update"),
            Some("completed" | "failed" | "cancelled")
        )
    )
}

/// What a process does next; nothing, of none.
async fn next_of(process: &mut Option<AgentProcess>) -> ProcessEvent {
    match process {
        Some(process) => process.next().await,
        None => std::future::pending().await,
    }
}

fn environment(command: &AgentCommand) -> Environment {
    let words = std::iter::once(&command.program).chain(&command.arguments);
    let (branch, commit) = git::checked_out(Path::new(&command.cwd));
    Environment {
        command: words
            .map(|word| word.to_string_lossy().into_owned())
            .collect(),
        cwd: command.cwd.to_string_lossy().into_owned(),
        branch,
        commit,
        os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        ..Environment::default()
    }
}
