//! Running a program and sharing it: the loop that drives a [`Host`].
//!
//! ```text
//! program ─Source─▶ ┐                       ┌─▶ HostNet (frames, words)
//! viewers ─HostNet─▶ ├─▶ Host::handle/poll ─┼─▶ Pty (authorised input)
//! keys ──Overlay───▶ │                      ├─▶ SessionLog
//! socket ──────────▶ ┘                      └─▶ Overlay (notices), clients (answers)
//! ```
//!
//! One thread does all of it but reading the program's output, so nothing here is locked. The host's
//! own keys go straight to the program; everything anybody else types comes out of the state machine
//! as [`HostOutput::Write`](pillion_session::HostOutput::Write) or not at all.

mod agents;
mod attach;
mod clients;
mod commands;
mod cursor_probe;
mod devices;
mod history;
mod holder;
mod link;
mod lists;
mod network;
mod options;
mod outputs;
mod overlay;
pub mod process;
mod pty;
mod reach;
mod run;
mod session_dir;
mod shutdown;
mod terminals;
mod trust_source;
mod wakes;

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use pillion_agent::AgentEvent;
use pillion_announce::Delivery;
use pillion_caps::SecretKey;
use pillion_net::{HostNet, RelayChoice, RelaySecret, signal::PublisherEvent};
use pillion_people::{Invited, SubjectRef, Trust};
use pillion_proto::{Right, Rights, TrackId};
use pillion_screen::Size;
use pillion_session::{
    Actor, Command, Done, Host, HostConfig, HostInput, PackedHistory, Reply, verbs,
};
use pillion_source::{
    ExitSignal, ExitSignals, ExitStatus, HostTty, Keys, Program, SourceEvent, SpawnError, TtyWriter,
};
use pillion_store::{SessionLog, SessionMeta};
use pillion_tui::HostAction;
use tokio::{net::UnixStream, sync::oneshot};

use crate::{
    clock::{Clock, unix_ms},
    hosting::{
        agents::Agents,
        attach::{Holder, Local},
        clients::{Clients, FromClient},
        commands::ReplyTo,
        devices::Publisher,
        history::Packer,
        link::Links,
        lists::Fetcher,
        overlay::Overlay,
        pty::Program as RunningProgram,
        reach::Reach,
        run::Run,
        session_dir::SessionFiles,
        terminals::{Terminals, Turn},
        trust_source::TrustSource,
    },
    identity::teams,
    sessions::{
        control::{FromHolder, Left, Progress, Server, ToHolder, Wire},
        recording::Recorder,
    },
    settings::paths::Paths,
    terminal::console::explain,
};

pub use holder::{Held, Holding, hold, wait_for_foreground};
pub use link::LinkConfig as LinkWanted;
pub use options::{Options, Terminal};
pub use run::RunWanted;
pub use session_dir::{KeptService, kept_service};

/// The program that the session begins with.
const TERMINAL: TrackId = TrackId(0);

/// A resize is passed on once the size has been still for so long: a window dragged by its corner
/// sends dozens of sizes a second.
const RESIZE_SETTLES: Duration = Duration::from_millis(15);

/// A session that is ready to run: its directory, key and control socket exist, its program has not
/// started yet.
pub struct Hosting {
    options: Options,
    paths: Paths,
    id: String,
    key: SecretKey,
    clock: Clock,
    host: Host,
    net: Option<HostNet>,
    reach: Reach,
    links: Links,
    /// Tells the person's other devices, once the session was shared and a link service is set.
    devices: Option<Publisher>,
    log: SessionLog,
    packer: Packer,
    /// Which part of the log is this run's.
    recorder: Recorder,
    /// Where the run before listened.
    sockets: Vec<SocketAddr>,
    log_failed: bool,
    /// What asks us to end, from before there is anything to clear away.
    signals: ExitSignals,
    clients: Clients,
    believed: TrustSource,
    lists: Fetcher,
    /// Where the first terminal comes from.
    terminal: Option<Start>,
    /// The terminal, and the command that holds it.
    holder: Option<Holder>,
    /// One that was lost, whose command waits for the program's end.
    leaving: Option<Holder>,
    /// When the terminal is given back at the latest, once the programs were told to end.
    let_go_at: Option<Instant>,
    /// Terminals can come: output goes to no file or pipe.
    attachable: bool,
    /// The session can do without a terminal, because it has a process of its own.
    detachable: bool,
    /// It goes on when its terminal is lost.
    stays: bool,
    /// The person at the terminal wants to leave it.
    leave: bool,
    /// The terminal's size as the session knows it.
    size: Size,
    /// The network after sharing has ended: viewers are being told.
    closing: Option<tokio::task::JoinHandle<()>>,
    waiting: HashMap<u64, ReplyTo>,
    /// A code that was asked for in the panel.
    code: Option<oneshot::Receiver<Result<String, String>>>,
    requests: u64,
    ended: Option<ExitStatus>,
    terminals: Terminals,
    agents: Agents,
    /// What it is held to, of a run where nobody sits.
    run: Option<Run>,
    /// What was typed behind the key that goes to another terminal.
    typed_on: Vec<HostAction>,
}

/// Where a session's first terminal comes from.
enum Start {
    /// This process was started in one, and holds it itself.
    Own(HostTty),
    /// The process that started this one holds it.
    Starter(UnixStream),
    /// There is none; the process that started this one waits to hear that the session runs.
    Detached(UnixStream),
}

/// What may wake the loop.
enum LoopEvent {
    Net(HostInput),
    Link(PublisherEvent),
    Reach,
    Code(Result<String, String>),
    Keys(std::io::Result<Option<bytes::Bytes>>),
    Source(Option<SourceEvent>),
    Other(TrackId, SourceEvent),
    Agent(TrackId, AgentEvent),
    Announced(Delivery),
    Client(FromClient),
    Trust(Box<Trust>),
    KeyLists(lists::Found),
    Signal(ExitSignal),
    Held(pillion_source::Hold),
    Packed(PackedHistory),
    Time,
}

impl Hosting {
    /// Makes the session, or takes up one that ended: a key, a directory, a control socket.
    ///
    /// # Errors
    /// Directories that cannot be made or are not private, no terminal settings, a session to start
    /// again that runs or that is not there whole, a damaged list of what teams took back.
    pub fn prepare(mut options: Options, paths: &Paths) -> Result<Hosting> {
        let signals = ExitSignals::new()?;
        let (terminal, size) = terminal(std::mem::take(&mut options.terminal))?;
        let has_tty = matches!(terminal, Some(Start::Own(_) | Start::Starter(_)));
        options.program.size = size;
        let size = Size::clamped(size.cols(), size.rows());
        let meta = SessionMeta {
            id: String::new(),
            name: options.name.clone(),
            started_unix_ms: unix_ms(),
            command: options.command.clone(),
            cols: size.cols(),
            rows: size.rows(),
            host: options.host_name.clone(),
            pid: std::process::id(),
            runs: 1,
        };
        let SessionFiles {
            log,
            key,
            recorder,
            ledger,
            records,
            link,
            sockets,
            lists,
        } = match &options.again {
            Some(id) => SessionFiles::again(&paths.sessions, id, meta)?,
            None => SessionFiles::new(&paths.sessions, meta)?,
        };
        let id = log.meta().id.clone();
        inherit(&mut options.program, &id, &key);
        if options.run.is_some() {
            // Where it is announced is not the agent's to say.
            let secrets = pillion_announce::SECRETS.map(Into::into);
            options.program.env_remove.extend(secrets);
        }
        let server = Server::of(paths, &id)?;
        let clock = Clock::start();
        let own_relay =
            matches!(options.relay, RelayChoice::Url(_)) && options.net.relay_secret.is_none();
        let links = Links::new(
            options.link.clone(),
            options.signal_ca.clone(),
            key.clone(),
            link,
            own_relay,
        );
        let relay_token = links.relay_token();
        if let Some(token) = &relay_token {
            options.net.relay_secret = Some(RelaySecret::token(token));
        }
        let mut host = Host::new(
            HostConfig {
                session_key: key.clone(),
                run: recorder.run().number(),
                identity: options.identity.public(),
                seed: pillion_net::random_bytes()?,
                name: options.name.clone(),
                host_name: options.host_name.clone(),
                software: software(),
                // Nothing can be typed into pipes.
                read_only: options.read_only || options.piped,
                edit_ttl_ms: options.edit_ttl.as_millis() as u64,
                program: options.command.clone(),
                size,
                has_tty,
                ledger,
                records: Box::new(records),
                link,
                relay_token,
                allow: options.allow,
                knock_wait_ms: options.knock_wait.as_millis() as u64,
                lists,
                conversation: options.conversation.as_ref().map(|one| one.gate.clone()),
                owner: options.owner,
            },
            clock.now(),
        );
        // Behind the socket: who is taken out from here on is told through it.
        let removals = teams::removals(&paths.config)?;
        let believed = TrustSource::new(options.issuer.take(), removals);
        tell(&mut host, clock.now(), HostInput::Trust(believed.trust()));
        Ok(Hosting {
            links,
            devices: None,
            attachable: terminal.is_some(),
            detachable: matches!(terminal, Some(Start::Starter(_) | Start::Detached(_))),
            terminal,
            holder: None,
            leaving: None,
            let_go_at: None,
            stays: options.stays,
            leave: false,
            options,
            paths: paths.clone(),
            id: id.clone(),
            key,
            clock,
            host,
            net: None,
            reach: Reach::default(),
            log,
            packer: Packer::default(),
            recorder,
            sockets,
            log_failed: false,
            signals,
            clients: Clients::serve(server, &id),
            believed,
            lists: Fetcher::default(),
            size,
            closing: None,
            waiting: HashMap::new(),
            code: None,
            requests: 0,
            ended: None,
            terminals: Terminals::new(),
            agents: Agents::default(),
            run: None,
            typed_on: Vec::new(),
        })
    }

    /// The session's name.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// The session's id, as `ls` shows it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether a terminal of the host's is attached, or about to be.
    pub fn has_tty(&self) -> bool {
        matches!(self.terminal, Some(Start::Own(_) | Start::Starter(_)))
    }

    /// Who can join, as the session stands.
    ///
    /// # Errors
    /// The session does not say.
    pub async fn access(&mut self) -> Result<verbs::AccessListed> {
        match self.at_start(verbs::AccessList {}.into()).await?.reply {
            Reply::AccessList(listed) => Ok(listed),
            _ => anyhow::bail!("the session did not say who can join; this is a defect of pillion"),
        }
    }

    /// Starts sharing from the first line; the ticket.
    ///
    /// # Errors
    /// No socket can be had.
    pub async fn share(&mut self) -> Result<String> {
        self.listen().await?;
        self.keep_service();
        if self.options.allow_said {
            let mode = self.options.allow;
            self.at_start(Command::SetAccessMode(verbs::SetAccessMode { mode }))
                .await?;
        }
        if let Some(owner) = self.options.owner {
            let target = SubjectRef::key(owner).into();
            let rights = Rights::MANAGE.with(Right::Approve).with(Right::Open);
            self.at_start(Command::Allow(verbs::Allow { target, rights }))
                .await?;
        }
        for team in self.options.teams.clone() {
            let target = SubjectRef::Provable(Invited::Team(team)).into();
            let rights = Rights::VIEW;
            self.at_start(Command::Allow(verbs::Allow { target, rights }))
                .await?;
        }
        match self
            .at_start(Command::Share(verbs::Share { from_start: true }))
            .await?
            .reply
        {
            Reply::Ticket(ticket) => Ok(ticket),
            _ => anyhow::bail!("the session gave no ticket; this is a defect of pillion"),
        }
    }

    /// Gives a command before the program runs.
    async fn at_start(&mut self, command: Command) -> Result<Done> {
        let (sender, mut receiver) = oneshot::channel();
        self.command(Actor::Tty, command, ReplyTo::Start(sender));
        self.apply_outputs(None, None).await;
        let result = receiver.try_recv();
        let result = result.context("the session did not answer; this is a defect of pillion")?;
        Ok(result.map_err(pillion_tui::words::Refusal)?)
    }

    /// Whether the session begins with a conversation in place of a program.
    pub fn has_conversation(&self) -> bool {
        self.options.conversation.is_some()
    }

    /// The session's link, while it is shared with one.
    ///
    /// # Errors
    /// Why there is none.
    pub fn link(&self) -> Result<String, String> {
        self.links.url()
    }

    /// The URL of the session's link service.
    ///
    /// # Errors
    /// There is none; how to name one.
    pub fn service(&self) -> Result<String, String> {
        self.links.service(None).map(|url| url.to_string())
    }

    /// A spoken code for the session, which must be shared.
    ///
    /// # Errors
    /// The service gives none, or not within `patience`; the text says so.
    pub async fn code(&self, patience: Duration) -> Result<String, String> {
        let code = tokio::time::timeout(patience, self.links.code()?).await;
        match code {
            Ok(Ok(code)) => code,
            Ok(Err(_)) | Err(_) => Err("the link service does not answer".to_owned()),
        }
    }

    /// Starts the program and runs until it has ended and viewers were told; its exit status.
    ///
    /// # Errors
    /// The program cannot be started, or the terminal not be used.
    pub async fn run(mut self) -> Result<ExitStatus> {
        match self.terminal.take() {
            None if self.options.piped => {
                let program = match RunningProgram::start_piped(&self.options.program) {
                    Ok(program) => program,
                    Err(error) => return Err(self.not_started(error.into())),
                };
                let (overlay, keys) = (None, None);
                self.serve(program, Local { overlay, keys }).await
            }
            None => {
                let writer = TtyWriter::stdout().ok();
                let program = match RunningProgram::start(&self.options.program, writer) {
                    Ok(program) => program,
                    Err(error) => return Err(self.not_started(error.into())),
                };
                let keys = Keys::piped()?;
                let overlay = None;
                self.serve(program, Local { overlay, keys }).await
            }
            Some(Start::Own(tty)) => {
                let (ours, theirs) = UnixStream::pair()?;
                let holding = tokio::spawn(hold(theirs, tty));
                let ran = self.run_in_terminal(ours).await;
                // It gives the terminal back.
                let _ = holding.await;
                ran
            }
            Some(Start::Starter(stream)) => self.run_in_terminal(stream).await,
            Some(Start::Detached(stream)) => {
                let mut starter = Wire::new(stream);
                let program = match self.options.conversation.clone() {
                    Some(conversation) => {
                        self.start_agent(TERMINAL, conversation.start);
                        Ok(RunningProgram::absent())
                    }
                    None => RunningProgram::start(&self.options.program, None),
                };
                let program = match program {
                    Ok(program) => program,
                    Err(error) => {
                        // Nothing of it counts as running when that is said.
                        let said = failed(&error);
                        let error = self.not_started(error.into());
                        let _ = starter.write(&Progress::Terminal(said)).await;
                        return Err(error);
                    }
                };
                if self.options.conversation.is_some() {
                    let done = self.at_start(verbs::Ticket { new: false }.into()).await?;
                    let Reply::Ticket(ticket) = done.reply else {
                        anyhow::bail!("the session gave no ticket; this is a defect of pillion");
                    };
                    self.begin_run(&ticket).await?;
                    let (session, link) = (self.id.clone(), self.link().ok());
                    let begun = Progress::Begun {
                        session,
                        ticket,
                        link,
                    };
                    let _ = starter.write(&begun).await;
                }
                let runs = Progress::Terminal(ToHolder::Left(Left::Detached));
                let _ = starter.write(&runs).await;
                drop(starter);
                let overlay = Some(Overlay::new(
                    self.options.prefix,
                    self.options.name.clone(),
                    self.options.notify,
                ));
                let keys = None;
                self.serve(program, Local { overlay, keys }).await
            }
        }
    }

    /// Begins in the terminal of the one at the other end.
    async fn run_in_terminal(mut self, stream: UnixStream) -> Result<ExitStatus> {
        let holder = self.first_terminal(stream).await?;
        let begun = self.begin(&holder).await;
        match begun {
            Ok((program, local)) => {
                self.holder = Some(holder);
                self.serve(program, local).await
            }
            Err(error) => {
                holder.say(ToHolder::Released { reset: false });
                let failed = match error.downcast_ref::<SpawnError>() {
                    Some(error) => failed(error),
                    None => ToHolder::Failed {
                        text: explain(&error),
                        code: 1,
                    },
                };
                // Nothing of it counts as running when that is said.
                let error = self.not_started(error);
                holder.end(failed).await;
                Err(error)
            }
        }
    }

    /// The session has ended before its program began.
    fn not_started(self, error: anyhow::Error) -> anyhow::Error {
        let reason = format!("the program did not start: {}", explain(&error));
        if let Err(error) = self.log.end(unix_ms(), &reason) {
            tracing::error!(%error, "the session's end was not written down");
        }
        error
    }

    /// Starts the program in a terminal, beneath what that shows already.
    async fn begin(&mut self, holder: &Holder) -> Result<(RunningProgram, Local)> {
        let tty = holder.tty();
        let writer = tty.writer()?;
        let mut keys = tty.keys()?;
        let size = tty.size()?;
        let place =
            cursor_probe::ask(&writer, &mut keys, Size::clamped(size.cols(), size.rows())).await;
        if !place.cursor.is_empty() {
            self.tell(HostInput::Output {
                track: TERMINAL,
                bytes: place.cursor,
                more: false,
            });
        }
        let mut program = RunningProgram::start(&self.options.program, Some(writer.clone()))?;
        let mut overlay = Overlay::new(
            self.options.prefix,
            self.options.name.clone(),
            self.options.notify,
        );
        overlay.begin(writer);
        if !place.typed.is_empty() {
            self.write_local(&mut program, place.typed);
        }
        let local = Local {
            overlay: Some(overlay),
            keys: Some(keys),
        };
        Ok((program, local))
    }

    /// Runs until the program has ended.
    async fn serve(mut self, mut program: RunningProgram, mut local: Local) -> Result<ExitStatus> {
        let mut resize: Option<(Size, Instant)> = None;

        while self.ended.is_none() {
            self.apply_outputs(Some(&mut program), local.overlay.as_mut())
                .await;
            self.show_next(&mut program, &mut local).await;
            while let Some(overlay) = &mut local.overlay
                && !self.typed_on.is_empty()
            {
                let actions = std::mem::take(&mut self.typed_on);
                self.overlay_actions(actions, &mut program, overlay);
                self.apply_outputs(Some(&mut program), local.overlay.as_mut())
                    .await;
                self.show_next(&mut program, &mut local).await;
            }
            if std::mem::take(&mut self.leave) {
                self.detach(&mut program, &mut local).await;
                self.apply_outputs(Some(&mut program), local.overlay.as_mut())
                    .await;
            }
            if let Some(overlay) = &mut local.overlay {
                if overlay.wants_panel() {
                    overlay.terminals(self.terminal_rows());
                }
                overlay
                    .paint(self.clock.now(), &mut self.host, &mut program)
                    .await;
            }
            if self.ended.is_some() {
                break;
            }
            let settles = resize.as_ref().map(|(_, at)| *at);
            let wake = self.next_wake(&program, local.overlay.as_ref(), settles);
            match self.wait(&mut program, &mut local, wake).await {
                LoopEvent::Net(input) => self.tell(input),
                LoopEvent::Link(news) => self.link_news(news, local.overlay.as_mut()),
                LoopEvent::Code(code) => {
                    self.code = None;
                    self.code_came(code, local.overlay.as_mut());
                }
                LoopEvent::Source(Some(event)) => {
                    if let (Some(overlay), SourceEvent::Output(_)) = (&mut local.overlay, &event) {
                        overlay.before_output(self.clock.now(), &self.host).await;
                    }
                    if event == SourceEvent::TtyGone {
                        self.output_gone(&mut program, &mut local).await;
                    }
                    if self.source_event(&mut program, event) {
                        // Under a flood there is always more: the network's tasks must run in between.
                        tokio::task::yield_now().await;
                    }
                }
                LoopEvent::Source(None) => self.ended = Some(program.status()),
                LoopEvent::Other(track, event) => {
                    if self.other_event(track, event) {
                        tokio::task::yield_now().await;
                    }
                }
                LoopEvent::Agent(track, event) => self.agent_event(track, event, &mut program),
                LoopEvent::Announced(delivery) => self.announced(delivery, &mut program),
                LoopEvent::Keys(Ok(Some(bytes))) => match &mut local.overlay {
                    Some(overlay) => {
                        if overlay.has_panel()
                            && let Some(size) = self.other_size()
                        {
                            resize = None;
                            self.resize(size, &program, Some(overlay));
                        }
                        let more = unread(overlay, local.keys.as_ref());
                        let actions = overlay.keys(self.clock.now(), &bytes, more);
                        self.overlay_actions(actions, &mut program, overlay);
                    }
                    None => program.type_piped(bytes),
                },
                LoopEvent::Keys(Ok(None) | Err(_)) => {
                    local.keys = None;
                    match &local.overlay {
                        None => program.end_of_input(),
                        Some(_) => self.terminal_lost(&mut program, &mut local).await,
                    }
                }
                LoopEvent::Client(FromClient::ControlRequest(asked)) => self.client(asked).await,
                LoopEvent::Client(FromClient::Gone) => self.clients_gone(),
                LoopEvent::Client(FromClient::Attach(asked)) => self.attach_asked(asked, &program),
                LoopEvent::Client(FromClient::Attached(holder)) => {
                    resize = None;
                    self.attach(holder, &mut program, &mut local).await;
                }
                LoopEvent::Client(FromClient::Holder { id, said }) => {
                    if said == Some(FromHolder::Resized) {
                        let size = self.other_size();
                        resize = size.map(|size| (size, Instant::now() + RESIZE_SETTLES));
                    }
                    self.holder_said(id, said, &mut program, &mut local).await;
                }
                LoopEvent::Reach => self.reach_changed(local.overlay.as_mut()),
                LoopEvent::Trust(trust) => self.tell(HostInput::Trust(trust)),
                LoopEvent::KeyLists(found) => self.tell(HostInput::KeyLists(found)),
                LoopEvent::Signal(signal) => self.told_to_end(signal, &mut program),
                LoopEvent::Held(hold) => {
                    if let Some(overlay) = &mut local.overlay {
                        overlay.held(hold);
                    }
                }
                LoopEvent::Packed(packed) => self.tell(HostInput::History(packed)),
                LoopEvent::Time => {}
            }
            if let Some((size, at)) = resize
                && at <= Instant::now()
            {
                resize = None;
                self.resize(size, &program, local.overlay.as_mut());
            }
            self.let_go_if_stuck(&mut program, &mut local).await;
            self.look_at_run(&mut program);
            self.on_time(&mut program, local.overlay.as_mut(), local.keys.as_ref());
        }
        let status = self.ended.unwrap_or_else(|| program.status());
        self.farewell(program, local.overlay, status).await
    }

    async fn wait(
        &mut self,
        program: &mut RunningProgram,
        local: &mut Local,
        wake: Instant,
    ) -> LoopEvent {
        let Local { overlay, keys } = local;
        let signals = &mut self.signals;
        let net = &mut self.net;
        let reach = &mut self.reach;
        let links = &mut self.links;
        let code = &mut self.code;
        let terminals = &mut self.terminals;
        let agents = &mut self.agents;
        let run = &mut self.run;
        let panel = overlay.as_ref().is_some_and(|overlay| overlay.has_panel());
        // What is typed at a panel is not for the program.
        let keys = keys
            .as_mut()
            .filter(|_| panel || program.takes_keys(overlay.is_none()));
        tokio::select! {
            biased;
            signal = signals.next() => LoopEvent::Signal(signal),
            // Before the network: anybody who used a code is known before they come.
            news = links.news() => LoopEvent::Link(news),
            input = async { match net { Some(net) => net.next_input().await, None => std::future::pending().await } } => LoopEvent::Net(input),
            key = async { match keys { Some(keys) => keys.read().await, None => std::future::pending().await } } => LoopEvent::Keys(key),
            hold = async { match overlay { Some(overlay) => overlay.hold().await, None => std::future::pending().await } } => LoopEvent::Held(hold),
            event = self.clients.next() => LoopEvent::Client(event),
            trust = self.believed.news() => LoopEvent::Trust(trust),
            found = self.lists.next() => LoopEvent::KeyLists(found),
            turn = terminals.next_event(program) => match turn {
                Turn::Shown(event) => LoopEvent::Source(event),
                Turn::Other(track, event) => LoopEvent::Other(track, event),
            },
            (track, event) = agents.next_event(), if !agents.is_empty() => LoopEvent::Agent(track, event),
            delivery = async { match run { Some(run) => run.delivery().await, None => std::future::pending().await } } => {
                LoopEvent::Announced(delivery)
            }
            () = reach.changed() => LoopEvent::Reach,
            code = async { match code { Some(code) => code.await, None => std::future::pending().await } } => {
                LoopEvent::Code(code.unwrap_or_else(|_| Err("the link service does not answer".to_owned())))
            }
            // Last of all that may have come: anybody who looks back can wait.
            packed = self.packer.packed() => LoopEvent::Packed(packed),
            () = tokio::time::sleep_until(wake.into()) => LoopEvent::Time,
        }
    }

    fn tell(&mut self, input: HostInput) {
        if let HostInput::Addresses { addr } = &input {
            self.links.addresses(addr);
            if let Some(devices) = &self.devices {
                devices.changed();
            }
        }
        tell(&mut self.host, self.clock.now(), input);
    }

    /// Something that the program that is shown did; whether it has printed more already.
    fn source_event(&mut self, program: &mut RunningProgram, event: SourceEvent) -> bool {
        match event {
            SourceEvent::Output(bytes) => {
                let more = program.more();
                let track = self.terminals.shown();
                self.tell(HostInput::Output { track, bytes, more });
                return more;
            }
            SourceEvent::Written { upto } => {
                let track = self.terminals.shown();
                for seq in program.written(upto) {
                    self.tell(HostInput::Written { track, seq });
                }
            }
            // Seen to before.
            SourceEvent::TtyGone => {}
            SourceEvent::Exited(status) => self.shown_exited(status),
        }
        false
    }

    /// The terminal has another size: so have the program's, and what viewers see.
    fn resize(&mut self, size: Size, program: &RunningProgram, overlay: Option<&mut Overlay>) {
        self.size = size;
        program.resize(size);
        let track = self.terminals.shown();
        self.tell(HostInput::Resized { track, size });
        self.resize_others(size);
        if let Some(overlay) = overlay {
            overlay.resized();
        }
    }

    /// Types what the person here typed.
    fn write_local(&mut self, program: &mut RunningProgram, bytes: bytes::Bytes) {
        if let Some(upto) = program.write_local(bytes).discarded {
            let track = self.terminals.shown();
            self.tell(HostInput::Discarded { track, upto });
        }
    }

    /// When to look at the clock again at the latest.
    fn next_wake(
        &self,
        program: &RunningProgram,
        overlay: Option<&Overlay>,
        resize: Option<Instant>,
    ) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        let host = self.host.wake_at().map(|at| self.clock.instant(at));
        let ui = overlay
            .and_then(Overlay::wake_at)
            .map(|at| self.clock.instant(at));
        let log = self.log.next_deadline();
        let end = self.let_go_at;
        let run = self.run_deadline_ms();
        let run = run.map(|at| self.clock.instant(at.saturating_mul(1000)));
        [host, ui, resize, log, end, run, program.look_at()]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(far)
            .min(far)
    }

    fn on_time(
        &mut self,
        program: &mut RunningProgram,
        overlay: Option<&mut Overlay>,
        keys: Option<&Keys>,
    ) {
        let now = self.clock.now();
        if self.host.wake_at().is_some_and(|at| at <= now.mono_us) {
            self.host.handle(now, HostInput::Tick);
        }
        let instant = Instant::now();
        self.log.flush_if_due(instant);
        self.log.sync_if_due(instant);
        program.end_if_read(instant);
        if let Some(overlay) = overlay {
            let actions = overlay.tick(now, unread(overlay, keys));
            self.overlay_actions(actions, program, overlay);
            self.report_log_health(overlay);
        }
    }

    /// Says once that the disk does not take the log, and once that it does again.
    fn report_log_health(&mut self, overlay: &mut Overlay) {
        let failed = match self.log.health() {
            pillion_store::Health::Good => None,
            pillion_store::Health::Degraded { error, .. } => Some(error),
        };
        let text = match (self.log_failed, &failed) {
            (false, Some(error)) => format!(
                "this session's history is not being written ({error}); free some disk space, the session goes on"
            ),
            (true, None) => "this session's history is being written again".to_owned(),
            _ => return,
        };
        self.log_failed = failed.is_some();
        overlay.remark(self.clock.now(), &text);
    }
}

/// Whether something was typed that was not read yet; it matters only while something of ours is to be
/// answered.
fn unread(overlay: &Overlay, keys: Option<&Keys>) -> bool {
    overlay.has_panel() && keys.is_some_and(Keys::is_pending)
}

/// Where the first terminal comes from, and the size to begin with.
fn terminal(terminal: Terminal) -> Result<(Option<Start>, pillion_source::Size)> {
    let stream = |stream: std::os::unix::net::UnixStream| {
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream)
    };
    // Whatever it is not, it may tell a size.
    let size = || match rustix::termios::tcgetwinsize(rustix::stdio::stdout()) {
        Ok(size) => size.into(),
        Err(_) => size_from_env(),
    };
    Ok(match terminal {
        Terminal::Own => match HostTty::open()? {
            Some(tty) => {
                wait_for_foreground(&tty)?;
                let size = tty.size()?;
                (Some(Start::Own(tty)), size)
            }
            None => (None, size_from_env()),
        },
        Terminal::Starter(starter) => (Some(Start::Starter(stream(starter)?)), size()),
        Terminal::Detached(starter) => (Some(Start::Detached(stream(starter)?)), size()),
    })
}

/// What the one who waits for the program's start is told.
fn failed(error: &SpawnError) -> ToHolder {
    use std::error::Error as _;
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    ToHolder::Failed {
        text,
        code: error.exit_code(),
    }
}

/// Tells the state machine. A panic of the emulator's, which the state machine catches itself, is only
/// logged; after any other the terminal is given back.
fn tell(host: &mut Host, now: pillion_session::Now, input: HostInput) {
    let handled = pillion_source::isolate_panics(std::panic::AssertUnwindSafe(|| {
        host.handle(now, input);
    }));
    if let Err(panic) = handled {
        pillion_source::restore_host_terminal();
        std::panic::resume_unwind(panic);
    }
}

/// Program and version, as peers are told.
pub fn software() -> String {
    concat!("pillion ", env!("CARGO_PKG_VERSION")).to_owned()
}

/// What the program inside learns of the session it is in.
fn inherit(program: &mut Program, id: &str, key: &SecretKey) {
    program.env.push(("PILLION_SESSION".into(), id.into()));
    let mut inside = std::env::var("PILLION_INSIDE").unwrap_or_default();
    if !inside.is_empty() {
        inside.push(',');
    }
    inside.push_str(&key.public().to_string());
    program.env.push(("PILLION_INSIDE".into(), inside.into()));
    // These were for us.
    program
        .env_remove
        .extend(["PILLION_TICKET", "PILLION_GRANT", "PILLION_OWNER"].map(Into::into));
}

/// The size of a terminal nobody looks at: as the environment says, else 80×24.
fn size_from_env() -> pillion_source::Size {
    let get = |name: &str| std::env::var(name).ok()?.parse::<u16>().ok();
    let (cols, rows) = (get("COLUMNS").unwrap_or(80), get("LINES").unwrap_or(24));
    pillion_source::Size::nearest(cols, rows)
}
