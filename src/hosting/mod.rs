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
//! as [`HostOutput::Write`] or not at all.

mod clients;
mod devices;
mod kept;
mod link;
mod lists;
mod overlay;
mod place;
mod pty;
mod trust;

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use pillion_caps::{PublicKey, SecretKey};
use pillion_net::{HostNet, NetError, NetOptions, RelayChoice, RelaySecret, signal::News};
use pillion_people::{Issuer, Trust};
use pillion_proto::{Allow, Right, TrackId, TrackState};
use pillion_prove::oidc::Client;
use pillion_screen::Size;
use pillion_session::{
    Actor, Command, CommandError, Done, Host, HostConfig, HostInput, HostNotice, HostOutput,
    Stream, Target,
};
use pillion_source::{ExitSignals, ExitStatus, HostTty, Keys, Program, SourceEvent, TtyWriter};
use pillion_store::{SessionLog, SessionMeta};
use pillion_tui::Prefix;
use tokio::sync::oneshot;

use crate::{
    book::Book,
    clock::{Clock, unix_ms},
    control::{Request, Response, Server},
    hosting::{
        clients::Clients, devices::Publisher, kept::Kept, link::Links, lists::Fetcher,
        overlay::Overlay, pty::Program as RunningProgram, trust::Believed,
    },
    keep::Keep,
    paths::{Paths, private_dir},
    recording::{self, Run},
    teams,
};

pub use link::Wanted as LinkWanted;

/// The one track of a terminal session.
const TERMINAL: TrackId = TrackId(0);

/// How long a program is given to end by itself once we are told to.
const GRACE: Duration = Duration::from_secs(3);

/// How long viewers are given to hear that the session has ended.
const FAREWELL: Duration = Duration::from_millis(500);

/// Once the program has ended, who follows its lines still fetches the last of them: so long after a
/// request another one is waited for (it comes a round trip after the answer), and so long in all.
const LAST_REQUEST: Duration = Duration::from_millis(150);
const LAST_REQUESTS: Duration = Duration::from_secs(2);

/// A resize is passed on once the size has been still for so long: a window dragged by its corner
/// sends dozens of sizes a second.
const RESIZE_SETTLES: Duration = Duration::from_millis(15);

/// What to run, and how.
pub struct Options {
    /// The program.
    pub program: Program,
    /// The command as people read it.
    pub command: String,
    /// The session's name.
    pub name: String,
    /// The id of a session that ended, to be started again: its key, tickets, grants and bars hold
    /// on, and its log goes on.
    pub again: Option<String>,
    /// What the host is called.
    pub host_name: String,
    /// The person's key.
    pub identity: SecretKey,
    /// Nobody can be granted edit.
    pub read_only: bool,
    /// Life of an edit grant.
    pub edit_ttl: Duration,
    /// How to be found.
    pub relay: RelayChoice,
    /// The rest of the network's options.
    pub net: NetOptions,
    /// The link service, if there is one.
    pub link: Option<LinkWanted>,
    /// What ended sessions keep.
    pub keep: Keep,
    /// The key before pillion's own commands.
    pub prefix: Prefix,
    /// Who may come in, unless a session that is started again knows.
    pub allow: Allow,
    /// Whether that is what the person said for this run: then it knows better.
    pub allow_said: bool,
    /// Teams whose members may.
    pub teams: Vec<PublicKey>,
    /// How long somebody who knocks waits for an answer.
    pub knock_wait: Duration,
    /// Whose word for e-mail addresses is taken.
    pub issuer: Option<Client>,
}

impl Options {
    /// What `pillion -- PROGRAM` has without settings or flags.
    pub fn new(program: Program, identity: SecretKey) -> Options {
        let words: Vec<_> = program
            .argv
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        let command = words.join(" ");
        Options {
            name: command.clone(),
            command,
            program,
            again: None,
            host_name: "somebody".to_owned(),
            identity,
            read_only: false,
            edit_ttl: Duration::from_secs(8 * 60 * 60),
            relay: RelayChoice::Default,
            net: NetOptions::default(),
            link: None,
            keep: Keep::default(),
            prefix: Prefix::default(),
            allow: Allow::Link,
            allow_said: false,
            teams: Vec::new(),
            knock_wait: Duration::from_secs(2 * 60),
            issuer: None,
        }
    }
}

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
    links: Links,
    /// Tells the person's other devices, once the session was shared and a link service is set.
    devices: Option<Publisher>,
    log: SessionLog,
    /// Which part of the log is this run's.
    run: Run,
    /// Where the run before listened.
    sockets: Vec<SocketAddr>,
    log_failed: bool,
    clients: Clients,
    believed: Believed,
    lists: Fetcher,
    tty: Option<HostTty>,
    /// The terminal's size as the session knows it.
    size: Size,
    /// The network after sharing has ended: viewers are being told.
    closing: Option<tokio::task::JoinHandle<()>>,
    waiting: HashMap<u64, Answer>,
    requests: u64,
    ended: Option<ExitStatus>,
}

/// Who waits for a command's result.
enum Answer {
    /// A client of the control socket.
    Client(oneshot::Sender<Response>),
    /// The panel.
    Overlay,
    /// Given at the start, and can't fail.
    Nobody,
    /// [`Hosting::share`].
    Share(oneshot::Sender<Result<Done, CommandError>>),
}

/// What may wake the loop.
enum Woken {
    Net(HostInput),
    Link(News),
    Keys(std::io::Result<Option<bytes::Bytes>>),
    Source(Option<SourceEvent>),
    Client(clients::Asked),
    Trust(Box<Trust>),
    Lists(lists::Found),
    Resized(std::io::Result<pillion_source::Size>),
    Signal,
    Held(pillion_source::Hold),
    Time,
}

impl Hosting {
    /// Makes the session, or takes up one that ended: a key, a directory, a control socket.
    ///
    /// # Errors
    /// Directories that cannot be made or are not private, no terminal settings, a session to start
    /// again that runs or that is not there whole, a damaged list of what teams took back.
    pub fn prepare(mut options: Options, paths: &Paths) -> Result<Hosting> {
        private_dir(&paths.runtime)?;
        let tty = HostTty::open()?;
        let size = match &tty {
            Some(tty) => tty.size()?,
            None => size_from_env(),
        };
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
        let Kept {
            log,
            key,
            run,
            ledger,
            link,
            sockets,
            lists,
        } = match &options.again {
            Some(id) => Kept::again(&paths.sessions, id, meta)?,
            None => Kept::new(&paths.sessions, meta)?,
        };
        let id = log.meta().id.clone();
        inherit(&mut options.program, &id, &key);
        let server = Server::bind(paths.socket(&id))?;
        let clock = Clock::start();
        let own_relay =
            matches!(options.relay, RelayChoice::Url(_)) && options.net.relay_secret.is_none();
        let links = Links::new(options.link.clone(), key.clone(), link, own_relay);
        let relay_token = links.relay_token();
        if let Some(token) = &relay_token {
            options.net.relay_secret = Some(RelaySecret::token(token));
        }
        let mut host = Host::new(
            HostConfig {
                session_key: key.clone(),
                identity: options.identity.clone(),
                seed: pillion_net::random_bytes()?,
                name: options.name.clone(),
                host_name: options.host_name.clone(),
                software: software(),
                read_only: options.read_only,
                edit_ttl_ms: options.edit_ttl.as_millis() as u64,
                size,
                has_tty: tty.is_some(),
                ledger,
                link,
                relay_token,
                allow: options.allow,
                knock_wait_ms: options.knock_wait.as_millis() as u64,
                lists,
            },
            clock.now(),
        );
        // Behind the socket: who is taken out from here on is told through it.
        let removals = teams::removals(&paths.config)?;
        let believed = Believed::new(options.issuer.take(), removals);
        tell(&mut host, clock.now(), HostInput::Trust(believed.trust()));
        Ok(Hosting {
            links,
            devices: None,
            options,
            paths: paths.clone(),
            id,
            key,
            clock,
            host,
            net: None,
            log,
            run,
            sockets,
            log_failed: false,
            clients: Clients::serve(server),
            believed,
            lists: Fetcher::default(),
            tty,
            size,
            closing: None,
            waiting: HashMap::new(),
            requests: 0,
            ended: None,
        })
    }

    /// The session's id, as `ls` shows it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether a terminal of the host's is attached.
    pub fn has_tty(&self) -> bool {
        self.tty.is_some()
    }

    /// Starts sharing from the first line; the ticket.
    ///
    /// # Errors
    /// No socket can be had.
    pub async fn share(&mut self) -> Result<String> {
        self.listen().await?;
        if self.options.allow_said {
            let allow = Some(self.options.allow);
            self.command(Actor::Tty, Command::Open { allow }, Answer::Nobody);
        }
        for team in self.options.teams.clone() {
            let command = Command::Allow {
                target: Target::Named(format!("team:{team}")),
                right: Right::View,
            };
            self.command(Actor::Tty, command, Answer::Nobody);
        }
        let (sender, mut receiver) = oneshot::channel();
        self.command(
            Actor::Tty,
            Command::Share { from_start: true },
            Answer::Share(sender),
        );
        self.drain(None, None).await;
        match receiver.try_recv() {
            Ok(Ok(Done::Ticket(ticket))) => Ok(ticket),
            Ok(Ok(_)) | Err(_) => {
                anyhow::bail!("the session gave no ticket; this is a defect of pillion")
            }
            Ok(Err(error)) => Err(error.into()),
        }
    }

    /// The session's link, while it is shared with one.
    ///
    /// # Errors
    /// Why there is none.
    pub fn link(&self) -> Result<String, String> {
        self.links.url()
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
        let writer = match &self.tty {
            Some(tty) => Some(tty.writer()),
            None => TtyWriter::stdout().ok(),
        };
        let mut keys = match &self.tty {
            Some(tty) => {
                tty.enter_raw()?;
                Some(tty.keys()?)
            }
            None => Keys::piped()?,
        };
        let typed = match (&self.tty, &writer, &mut keys) {
            (Some(tty), Some(writer), Some(keys)) => {
                let size = tty.size()?;
                let place = place::ask(writer, keys, Size::clamped(size.cols(), size.rows())).await;
                if !place.cursor.is_empty() {
                    self.tell(HostInput::Output {
                        track: TERMINAL,
                        bytes: place.cursor,
                        more: false,
                    });
                }
                place.typed
            }
            _ => bytes::Bytes::new(),
        };
        let mut program = RunningProgram::start(&self.options.program, writer.clone())?;
        let mut overlay = match (&self.tty, writer) {
            (Some(_), Some(writer)) => Some(Overlay::new(self.options.prefix, writer)),
            _ => None,
        };
        if !typed.is_empty() {
            program.type_here(typed);
        }
        let mut signals = ExitSignals::new()?;
        let mut resize: Option<(Size, Instant)> = None;

        while self.ended.is_none() {
            self.drain(Some(&mut program), overlay.as_mut()).await;
            if let Some(overlay) = &mut overlay {
                overlay
                    .paint(self.clock.now(), &mut self.host, &mut program)
                    .await;
            }
            if self.ended.is_some() {
                break;
            }
            let wake = self.next_wake(overlay.as_ref(), resize.as_ref().map(|(_, at)| *at));
            match self
                .wait(
                    &mut program,
                    &mut keys,
                    &mut signals,
                    overlay.as_mut(),
                    wake,
                )
                .await
            {
                Woken::Net(input) => self.tell(input),
                Woken::Link(news) => self.link_news(news, overlay.as_mut()),
                Woken::Source(Some(event)) => {
                    if let (Some(overlay), SourceEvent::Output(_)) = (&mut overlay, &event) {
                        overlay.before_output(self.clock.now(), &self.host).await;
                    }
                    self.source_event(&mut program, event);
                    if program.more() {
                        // Under a flood there is always more: the network's tasks must run in between.
                        tokio::task::yield_now().await;
                    }
                }
                Woken::Source(None) => self.ended = Some(program.status()),
                Woken::Keys(Ok(Some(bytes))) => match &mut overlay {
                    Some(overlay) => {
                        if overlay.has_panel()
                            && let Some(size) = self.other_size()
                        {
                            resize = None;
                            self.resize(size, &program, Some(overlay));
                        }
                        let actions = overlay.keys(self.clock.now(), &bytes);
                        self.overlay_actions(actions, &mut program);
                    }
                    None => program.type_here(bytes),
                },
                Woken::Keys(Ok(None) | Err(_)) => {
                    keys = None;
                    if overlay.is_none() {
                        program.end_of_input();
                    }
                }
                Woken::Client(asked) => self.client(asked).await,
                Woken::Trust(trust) => self.tell(HostInput::Trust(trust)),
                Woken::Lists(found) => self.tell(HostInput::Lists(found)),
                Woken::Resized(Ok(size)) => {
                    let size = Size::clamped(size.cols(), size.rows());
                    resize = Some((size, Instant::now() + RESIZE_SETTLES));
                }
                Woken::Resized(Err(_)) => self.tell(HostInput::Tty { attached: false }),
                Woken::Signal => program.terminate(GRACE),
                Woken::Held(hold) => {
                    if let Some(overlay) = &mut overlay {
                        overlay.held(hold);
                    }
                }
                Woken::Time => {}
            }
            if let Some((size, at)) = resize
                && at <= Instant::now()
            {
                resize = None;
                self.resize(size, &program, overlay.as_mut());
            }
            self.on_time(&mut program, overlay.as_mut());
        }
        let status = self.ended.unwrap_or_else(|| program.status());
        self.farewell(program, overlay, status).await
    }

    async fn wait(
        &mut self,
        program: &mut RunningProgram,
        keys: &mut Option<Keys>,
        signals: &mut ExitSignals,
        overlay: Option<&mut Overlay>,
        wake: Instant,
    ) -> Woken {
        let net = &mut self.net;
        let tty = &mut self.tty;
        let links = &mut self.links;
        tokio::select! {
            biased;
            _ = signals.next() => Woken::Signal,
            // Before the network: whoever used a code is known before they come.
            news = links.news() => Woken::Link(news),
            input = async { match net { Some(net) => net.next_input().await, None => std::future::pending().await } } => Woken::Net(input),
            key = async { match keys { Some(keys) => keys.read().await, None => std::future::pending().await } } => Woken::Keys(key),
            hold = async { match overlay { Some(overlay) => overlay.hold().await, None => std::future::pending().await } } => Woken::Held(hold),
            asked = self.clients.next() => Woken::Client(asked),
            trust = self.believed.news() => Woken::Trust(trust),
            found = self.lists.next() => Woken::Lists(found),
            event = program.next() => Woken::Source(event),
            size = async { match tty { Some(tty) => tty.size_changed().await, None => std::future::pending().await } } => Woken::Resized(size),
            () = tokio::time::sleep_until(wake.into()) => Woken::Time,
        }
    }

    /// Does what the state machine wants done, until it wants nothing more.
    async fn drain(
        &mut self,
        mut program: Option<&mut RunningProgram>,
        mut overlay: Option<&mut Overlay>,
    ) {
        while let Some(output) = self.host.poll() {
            match output {
                HostOutput::Write { seq, bytes, .. } => {
                    if let Some(program) = program.as_deref_mut()
                        && program.type_for_viewer(seq, bytes)
                    {
                        self.tell(HostInput::Written { seq });
                    }
                }
                HostOutput::Answer { bytes, .. } => {
                    if let Some(program) = program.as_deref_mut() {
                        program.type_here(bytes);
                    }
                }
                HostOutput::Ledger(entry) => {
                    if let Err(error) = self.log.append_ledger(&entry) {
                        self.tell(HostInput::LedgerNotWritten { entry });
                        self.log_trouble(&error.to_string(), overlay.as_deref_mut());
                    }
                }
                HostOutput::KeepLink(seed) => {
                    self.links.ticket(seed);
                    self.tell_devices();
                    if let Err(error) = self.log.write_document(kept::LINK, &seed) {
                        self.log_trouble(&error.to_string(), overlay.as_deref_mut());
                    }
                }
                HostOutput::ForgetLink => {
                    if let Err(error) = self.log.write_document(kept::LINK, &[]) {
                        self.log_trouble(&error.to_string(), overlay.as_deref_mut());
                    }
                }
                HostOutput::Log(entry) => {
                    if let Err(error) =
                        recording::append(&mut self.log, self.run, &entry, unix_ms())
                    {
                        tracing::warn!(%error, "an entry was not logged");
                    }
                }
                HostOutput::ReadHistory {
                    request,
                    track,
                    from,
                    count,
                    max_bytes,
                } => {
                    let chunks = self.read_history(track, from.0, count, max_bytes);
                    self.tell(HostInput::History { request, chunks });
                }
                HostOutput::Notice(notice) => match overlay.as_deref_mut() {
                    Some(overlay) => {
                        let remark = self.remark(&notice);
                        overlay.notice_of(self.clock.now(), notice, remark);
                    }
                    None => tracing::info!(?notice, "notice"),
                },
                HostOutput::Done { request, result } => match self.waiting.remove(&request) {
                    Some(Answer::Client(client)) => {
                        // The client may have given up.
                        let _ = client.send(match result {
                            Ok(done) => Response::Done(done),
                            Err(error) => Response::Failed(error),
                        });
                    }
                    Some(Answer::Overlay) => {
                        if let Some(overlay) = overlay.as_deref_mut() {
                            overlay.done(self.clock.now(), result);
                        }
                    }
                    Some(Answer::Share(sender)) => {
                        let _ = sender.send(result);
                    }
                    Some(Answer::Nobody) | None => {}
                },
                HostOutput::FetchKeys { issuer } => self.fetch_keys(&issuer),
                HostOutput::FetchLists { from } => self.lists.fetch(from),
                HostOutput::KeepLists(lists) => {
                    if let Err(error) = kept::keep_lists(&self.log, &lists) {
                        self.log_trouble(&format!("{error:#}"), overlay.as_deref_mut());
                    }
                }
                HostOutput::Listen => self.tell_devices(),
                HostOutput::StopListening => {
                    self.links.stop();
                    self.tell_devices();
                    if let Some(net) = self.net.take() {
                        self.closing = Some(tokio::spawn(net.close(FAREWELL)));
                    }
                }
                output @ (HostOutput::Send { .. }
                | HostOutput::Reset { .. }
                | HostOutput::Finish { .. }
                | HostOutput::Close { .. }) => {
                    if let Some(net) = &mut self.net {
                        // What is not for the network was dealt with above.
                        let _ = net.apply(output);
                    }
                }
            }
        }
    }

    /// Has the person's other devices know what is shared here now.
    fn tell_devices(&mut self) {
        if self.devices.is_none()
            && let Some(service) = &self.options.net.signal
        {
            self.devices = Publisher::start(service.clone(), self.paths.clone(), self.id.clone());
        }
        if let Some(devices) = &self.devices {
            devices.changed();
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

    fn command(&mut self, by: Actor, command: Command, answer: Answer) {
        self.requests += 1;
        let request = self.requests;
        self.waiting.insert(request, answer);
        self.tell(HostInput::Command {
            request,
            by,
            command,
        });
    }

    fn source_event(&mut self, program: &mut RunningProgram, event: SourceEvent) {
        match event {
            SourceEvent::Output(bytes) => {
                let more = program.more();
                self.tell(HostInput::Output {
                    track: TERMINAL,
                    bytes,
                    more,
                });
            }
            SourceEvent::Written { upto } => {
                for seq in program.written(upto) {
                    self.tell(HostInput::Written { seq });
                }
            }
            SourceEvent::TtyGone => self.tell(HostInput::Tty { attached: false }),
            SourceEvent::Exited(status) => self.ended = Some(status),
        }
    }

    async fn client(&mut self, asked: clients::Asked) {
        match asked.request {
            Request::Flush => {
                self.log.flush(Instant::now());
                let _ = asked.answer.send(Response::Done(Done::Said(String::new())));
            }
            Request::Removals => {
                let response = match teams::removals(&self.paths.config) {
                    Ok(told) => {
                        let removals = self.believed.hear(told);
                        self.tell(HostInput::Removals(removals));
                        Response::Done(Done::Said(String::new()))
                    }
                    Err(error) => Response::Failed(CommandError::NotNow(format!("{error:#}"))),
                };
                let _ = asked.answer.send(response);
            }
            Request::Link => {
                let _ = asked.answer.send(response(self.links.url()));
            }
            Request::Code => match self.links.code() {
                Ok(code) => {
                    // Answered when the service has; the session goes on meanwhile.
                    tokio::spawn(async move {
                        let gone = || Err("the session ended before there was a code".to_owned());
                        let code = code.await.unwrap_or_else(|_| gone());
                        let _ = asked.answer.send(response(code));
                    });
                }
                Err(why) => {
                    let _ = asked.answer.send(response(Err(why)));
                }
            },
            Request::Command(command) => {
                if matches!(command, Command::Share { .. })
                    && let Err(error) = self.listen().await
                {
                    let error = CommandError::NotNow(format!("{error:#}"));
                    let _ = asked.answer.send(Response::Failed(error));
                    return;
                }
                self.command(Actor::Socket, command, Answer::Client(asked.answer));
            }
        }
    }

    /// The terminal's size, if the session has not taken it in yet. A key may take the panel away, and that
    /// paints the size of now: a change that still settles, or was not heard of, can't wait then.
    fn other_size(&self) -> Option<Size> {
        let size = self.tty.as_ref()?.size().ok()?;
        let size = Size::clamped(size.cols(), size.rows());
        (size != self.size).then_some(size)
    }

    /// The terminal has another size: so have the program's, and what viewers see.
    fn resize(&mut self, size: Size, program: &RunningProgram, overlay: Option<&mut Overlay>) {
        self.size = size;
        program.resize(size);
        self.tell(HostInput::Resized {
            track: TERMINAL,
            size,
        });
        if let Some(overlay) = overlay {
            overlay.resized();
        }
    }

    fn overlay_actions(
        &mut self,
        actions: Vec<pillion_tui::HostAction>,
        program: &mut RunningProgram,
    ) {
        use pillion_tui::HostAction;
        for action in actions {
            match action {
                HostAction::Forward(bytes) => program.type_here(bytes),
                HostAction::Command(command) => self.command(Actor::Tty, command, Answer::Overlay),
                HostAction::Confirmed { request, yes } => {
                    self.tell(HostInput::Confirmed { request, yes });
                }
            }
        }
    }

    /// What the contact book says of somebody who comes, knocks or asks for something: first of all that
    /// they are not whom it knows by their name.
    fn remark(&self, notice: &HostNotice) -> Option<String> {
        match notice {
            HostNotice::Joined {
                name,
                fingerprint,
                proof,
                ..
            }
            | HostNotice::EditRequested {
                name,
                fingerprint,
                proof,
                ..
            }
            | HostNotice::Knocked {
                name,
                fingerprint,
                proof,
                ..
            } => {
                // A book that can't be read is no reason not to hear of them.
                let book = Book::open(&self.paths.config).ok()?;
                book.remark(name, fingerprint, proof)
            }
            _ => None,
        }
    }

    /// Fetches keys, or says at once that there is nobody to ask.
    fn fetch_keys(&mut self, issuer: &Issuer) {
        tracing::info!(%issuer, "the keys of an issuer are wanted");
        if !self.believed.fetch() {
            self.tell(HostInput::Trust(self.believed.trust()));
        }
    }

    /// Opens the endpoint, if it is not open: before the session is shared, so that its ticket says
    /// where it is.
    async fn listen(&mut self) -> Result<()> {
        if self.net.is_none() {
            let net = self.bind().await.context("the session cannot be shared")?;
            if let Err(error) = kept::keep_sockets(&self.log, &net.sockets()) {
                tracing::warn!(%error, "where the session listens was not written down");
            }
            let addr = net.addr();
            self.net = Some(net);
            self.tell(HostInput::Addresses { addr });
        }
        Ok(())
    }

    /// What became of the link or a code: at the terminal, or where a headless host is looked after.
    fn link_news(&mut self, news: News, overlay: Option<&mut Overlay>) {
        match (news, overlay) {
            (News::Published, _) => tracing::info!("the link is published"),
            (News::CodeUsed { number, guest }, _) => match PublicKey::from_bytes(&guest) {
                Ok(guest) => self.tell(HostInput::CodeUsed { number, guest }),
                // Nobody can connect with it.
                Err(error) => {
                    tracing::info!(%error, "a code was used for an endpoint that is no key")
                }
            },
            (News::Said(text), Some(overlay)) => {
                overlay.notice(self.clock.now(), pillion_session::HostNotice::Said(text));
            }
            (News::Said(text), None) => eprintln!("pillion: {text}"),
        }
    }

    /// Listens where the run before did, if nobody else does by now, so that its tickets lead here.
    async fn bind(&mut self) -> Result<HostNet, NetError> {
        let Options { relay, net, .. } = &self.options;
        let before = std::mem::take(&mut self.sockets);
        if net.bind.is_empty() && !before.is_empty() {
            let again = NetOptions {
                bind: before,
                ..net.clone()
            };
            match HostNet::bind(&self.key, relay.clone(), again).await {
                Ok(net) => return Ok(net),
                Err(error) => tracing::info!(%error, "the ports of before can't be had"),
            }
        }
        HostNet::bind(&self.key, relay.clone(), net.clone()).await
    }

    fn read_history(
        &self,
        track: TrackId,
        from: u64,
        count: u32,
        max_bytes: usize,
    ) -> Vec<(pillion_screen::LineId, u32, bytes::Bytes)> {
        let Ok(track) = self.run.track(track) else {
            return Vec::new();
        };
        match self.log.history_range(track, from, count, max_bytes) {
            Ok(chunks) => chunks
                .into_iter()
                .map(|chunk| {
                    (
                        pillion_screen::LineId(chunk.first),
                        chunk.count,
                        chunk.bytes.into(),
                    )
                })
                .collect(),
            Err(error) => {
                tracing::warn!(%error, "history could not be read");
                Vec::new()
            }
        }
    }

    /// When to look at the clock again at the latest.
    fn next_wake(&self, overlay: Option<&Overlay>, resize: Option<Instant>) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        let host = self.host.wake_at().map(|at| self.clock.instant(at));
        let ui = overlay
            .and_then(Overlay::wake_at)
            .map(|at| self.clock.instant(at));
        [host, ui, resize, self.log.next_deadline()]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(far)
            .min(far)
    }

    fn on_time(&mut self, program: &mut RunningProgram, overlay: Option<&mut Overlay>) {
        let now = self.clock.now();
        if self.host.wake_at().is_some_and(|at| at <= now.mono_us) {
            self.host.handle(now, HostInput::Tick);
        }
        let instant = Instant::now();
        self.log.flush_if_due(instant);
        self.log.sync_if_due(instant);
        if let Some(overlay) = overlay {
            let actions = overlay.tick(now);
            self.overlay_actions(actions, program);
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
        overlay.notice(self.clock.now(), pillion_session::HostNotice::Said(text));
    }

    fn log_trouble(&self, error: &str, overlay: Option<&mut Overlay>) {
        tracing::error!(error, "a change of rights could not be written down");
        if let Some(overlay) = overlay {
            let text = format!(
                "a change of rights could not be written down ({error}); after a crash it would be forgotten"
            );
            overlay.notice(self.clock.now(), pillion_session::HostNotice::Said(text));
        }
    }

    /// Serves viewers on until nobody asks for history any more.
    async fn last_requests(&mut self, program: &mut RunningProgram) {
        let end = Instant::now() + LAST_REQUESTS;
        let mut quiet = Instant::now() + LAST_REQUEST;
        while self.host.viewers() > 0 && Instant::now() < quiet.min(end) {
            self.drain(Some(program), None).await;
            let Some(net) = &mut self.net else { return };
            let wake = self.host.wake_at().map(|at| self.clock.instant(at));
            let wake = wake.unwrap_or(end).min(quiet).min(end);
            tokio::select! {
                biased;
                input = net.next_input() => {
                    if matches!(input, HostInput::Received { stream: Stream::History { .. }, .. }) {
                        quiet = Instant::now() + LAST_REQUEST;
                    }
                    self.tell(input);
                }
                () = tokio::time::sleep_until(wake.into()) => self.on_time(program, None),
            }
        }
    }

    /// Tells the viewers, gives the terminal back, closes the log.
    async fn farewell(
        mut self,
        mut program: RunningProgram,
        overlay: Option<Overlay>,
        status: ExitStatus,
    ) -> Result<ExitStatus> {
        self.drain(Some(&mut program), None).await;
        if let Some(overlay) = overlay {
            overlay.end(self.clock.now(), &self.host).await;
        }
        if let Some(tty) = self.tty.take() {
            if matches!(status, ExitStatus::Signal(_)) {
                tty.restore_screen_modes();
            }
            drop(tty);
        }
        self.last_requests(&mut program).await;
        let state = match status {
            ExitStatus::Code(code) => TrackState::Exited(code),
            ExitStatus::Signal(signal) => TrackState::Killed(signal),
            ExitStatus::Unknown => TrackState::Exited(1),
        };
        self.tell(HostInput::Exited {
            track: TERMINAL,
            state,
        });
        self.drain(Some(&mut program), None).await;
        if let Some(devices) = self.devices.take() {
            devices.end().await;
        }
        self.links.end().await;
        if let Some(closing) = self.closing.take() {
            // It is bounded by itself; a panic in it was reported already.
            let _ = closing.await;
        }
        let reason = match status {
            ExitStatus::Code(code) => format!("the program ended with exit code {code}"),
            ExitStatus::Signal(signal) => format!("the program was ended by signal {signal}"),
            ExitStatus::Unknown => "the program ended".to_owned(),
        };
        // A full disk must not take the place of the program's own exit code.
        if let Err(error) = self.log.end(unix_ms(), &reason) {
            tracing::error!(%error, "the session's end was not written down");
        }
        // Dropped before pruning: this session counts as ended then.
        drop(self.clients);
        let keep = pillion_store::Keep {
            max_age: self.options.keep.age,
            max_bytes: self.options.keep.size,
            max_sessions: None,
        };
        if let Err(error) = pillion_store::prune(&self.paths.sessions, keep, unix_ms()) {
            tracing::warn!(%error, "ended sessions could not be pruned");
        }
        Ok(status)
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

/// A link or code for a client of the control socket.
fn response(result: Result<String, String>) -> Response {
    match result {
        Ok(text) => Response::Done(Done::Said(text)),
        Err(why) => Response::Failed(CommandError::NotNow(why)),
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
        .extend(["PILLION_TICKET".into(), "PILLION_GRANT".into()]);
}

/// The size of a terminal nobody looks at: as the environment says, else 80×24.
fn size_from_env() -> pillion_source::Size {
    let get = |name: &str| std::env::var(name).ok()?.parse::<u16>().ok();
    let (cols, rows) = (get("COLUMNS").unwrap_or(80), get("LINES").unwrap_or(24));
    pillion_source::Size::nearest(cols, rows)
}
