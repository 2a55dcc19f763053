//! `pillion run`.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Child,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum, ValueHint};
use pillion::{
    announce::Place,
    caps::SecretKey,
    conversation::{
        Conversation, ItemBody, ItemId, Notice, Permissions, RunLimits, RunOutcome, said_before,
    },
    hosting::{RunWanted, Terminal, process},
    net::{RelayChoice, random_bytes, signal::SignalUrl},
    proto::{AccessMode, TrackId},
    screen::clean::clean_title,
    session::verbs,
    sessions::{
        control::{self, Wire},
        conversation::{self, standing},
    },
    settings::{config::Config, paths::Paths, span::Span},
    source::{ExitSignals, Program},
    store::SessionReader,
    tui::words,
    viewing::viewer_loop::{Options, Outcome, ViewerLoop},
};
use serde::{Deserialize, Serialize};
use tokio::{net::UnixStream, sync::watch};

use crate::{
    commands::{
        agent::{self, AgentArgs, Started},
        conversation::recorded,
        exit,
        host::{self, Begins, RunArgs as ShareArgs, SharingArgs, StartArgs},
        join, prompt,
    },
    completion,
    hidden::Role,
};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion run --agent claude --prompt \"make the tests pass\"   a link at once, the result at the end
  pillion run --agent codex --prompt @task.md --detach        in the background
  git log -5 | pillion run --agent gemini --prompt -          what is piped in
  pillion run --prompt \"tidy up\" --permissions allow-all --idle-timeout 0 -- my-agent --acp
                                                              without anybody to ask, and over with its task
  pillion run --agent opencode --prompt @task.md --announce slack --announce linear:ENG-123
                                                              tell people where they are
  pillion prompt \"and update the changelog\"                   more of the same run, from another terminal
  pillion join TICKET                                         watch it, answer what it asks

Exit codes: 0 the task is done; 1 it failed, was refused or cut short, or the agent's process ended; 124 it was stopped by
--max-time or --max-cost, or because nobody answered; 130 somebody stopped it.";

/// How long a run stays open by default.
const IDLE: &str = "30m";

/// The conversation of a run is the session's first track.
const TERMINAL: TrackId = TrackId(0);

/// How long a session takes at most to write down its end.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// Longest beginning of a question that is printed, in characters.
const MAX_QUESTION: usize = 200;

/// Flags of `run`.
#[derive(Debug, Default, Args)]
pub struct RunArgs {
    /// The agent, by name.
    #[arg(
        long,
        value_name = "AGENT",
        required_unless_present_any = ["command", "given"],
        conflicts_with = "command"
    )]
    pub agent: Option<String>,

    /// What it is to do: a text, "@FILE" for what a file says, or "-" for what is piped in.
    #[arg(long, value_name = "TEXT|@FILE|-", required_unless_present = "given")]
    pub prompt: Option<String>,

    /// What it may do without anybody being asked.
    #[arg(long, value_enum, default_value_t = Allowed::Ask)]
    pub permissions: Allowed,

    /// How long it stays open when nothing happens: after its task for what people ask next, and before for an answer to
    /// what the agent asks. "0" ends it with its task.
    #[arg(long, value_name = "TIME", default_value = IDLE, value_parser = idle)]
    pub idle_timeout: Idle,

    /// How long it may take in all.
    #[arg(long, value_name = "TIME")]
    pub max_time: Option<Span>,

    /// What it may cost, in whatever the agent counts (most count dollars).
    #[arg(long, value_name = "AMOUNT", value_parser = cost)]
    pub max_cost: Option<f64>,

    /// Where to say that it began, that the agent asks something, and what came of it: slack (SLACK_WEBHOOK_URL),
    /// slack:URL, github (the job's summary and its pull request), linear:ISSUE (LINEAR_API_KEY), ntfy:URL, webhook:URL or
    /// exec:COMMAND; can be given several times.
    #[arg(long, value_name = "PLACE")]
    pub announce: Vec<Place>,

    /// What to call it; the agent's name, by default.
    #[arg(long, value_name = "TITLE", default_value = "")]
    pub title: String,

    /// Where it works; here, by default.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub cwd: Option<PathBuf>,

    /// Work in a new git worktree of the repository, on a branch of its own, so that your files stay as they are.
    #[arg(long)]
    pub worktree: bool,

    /// Return as soon as it runs; `pillion conversation` has the result.
    #[arg(long)]
    pub detach: bool,

    /// Print {"session","ticket","join",…} as a line at the beginning, and {"outcome","result",…} at the end.
    #[arg(long)]
    pub json: bool,

    /// Who can join: "link" (everybody who has the ticket), "invited" or "team".
    #[arg(long, value_name = "link|invited|team", add = completion::words(["link", "invited", "team"]))]
    pub allow: Option<AccessMode>,

    /// Print a link too; it needs a link service.
    #[arg(long)]
    pub link: bool,

    /// Also write the ticket to FILE (0600).
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ticket_file: Option<PathBuf>,

    /// How to be found beyond the local network: a relay's URL, "none", or "default".
    #[arg(long, value_name = "URL|none|default", add = completion::words(["none", "default"]))]
    pub relay: Option<RelayChoice>,

    /// The link service's URL.
    #[arg(long, value_name = "URL")]
    pub signal: Option<SignalUrl>,

    /// What else there is to know comes from the process that started this one.
    #[arg(long, hide = true)]
    pub given: bool,

    /// The agent's command.
    #[arg(last = true, value_name = "AGENT COMMAND")]
    pub command: Vec<String>,
}

/// What an agent may do without anybody being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Allowed {
    /// Only what it never asks for.
    #[default]
    Ask,
    /// Read and search.
    AllowReads,
    /// Everything.
    AllowAll,
}

/// How long a run stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Idle(u64);

fn idle(text: &str) -> Result<Idle, String> {
    match text.trim() {
        "0" => Ok(Idle(0)),
        text => Ok(Idle(text.parse::<Span>()?.as_millis())),
    }
}

fn cost(text: &str) -> Result<f64, String> {
    let amount = text.parse::<f64>().ok();
    let amount = amount.filter(|amount| amount.is_finite() && *amount > 0.0);
    amount.ok_or_else(|| format!("\"{text}\" is no amount; write it like 2.50"))
}

/// What the session's process is told by its starter: what is too long, or nobody else's business, for a command line.
#[derive(Debug, Serialize, Deserialize)]
struct Given {
    conversation: verbs::OpenConversation,
    run: RunWanted,
}

/// Runs it.
pub async fn run(paths: &Paths, config: &Config, args: RunArgs, role: Role) -> Result<u8> {
    if role == Role::SessionProcess {
        return in_its_process(paths, config, args).await;
    }
    if args.given {
        bail!("--given is for pillion itself");
    }
    let given = match given(config, &args) {
        Ok(given) => given,
        Err(why) => {
            pillion::say!("pillion: {why:#}");
            return Ok(exit::USAGE);
        }
    };
    let program = Program::new(given.conversation.start.command.clone());
    if let Err(error) = program.check() {
        pillion::say!("pillion: {error}. Is the agent installed, and its folder in PATH?");
        return Ok(error.exit_code());
    }
    let owner = SecretKey::from_bytes(&random_bytes()?);
    let (child, stream) = process::start_with(&args.for_process(), Some(&owner.public()))?;
    stream.set_nonblocking(true)?;
    let mut wire = Wire::new(UnixStream::from_std(stream)?);
    // If it has not even begun, it says why below.
    let _ = wire.write(&given).await;
    let Started {
        session: id,
        ticket,
        link,
    } = match agent::started(wire).await? {
        Ok(started) => started,
        Err(code) => return Ok(code),
    };
    if args.json {
        let join = format!("pillion join {ticket}");
        let mut object = serde_json::json!({"session": id, "ticket": ticket, "join": join});
        if let Some(link) = link {
            object["link"] = link.into();
        }
        pillion::output!("{object}")?;
    }
    if args.detach {
        if !args.json {
            pillion::say!(
                "The run goes on in the background. `pillion conversation --follow --session {id}` shows what is said, \
                 `pillion prompt --session {id} \"…\"` asks for more, and `pillion close --all --session {id}` ends it."
            );
        }
        return Ok(0);
    }
    let mut run = Run {
        paths,
        id,
        json: args.json,
        progress: Progress::default(),
        ended: ended(child),
    };
    run.follow(agent::owner_options(config, &ticket, owner)?)
        .await
}

/// What is to be done, and by whom.
fn given(config: &Config, args: &RunArgs) -> Result<Given> {
    let prompt = task(args.prompt.as_deref().unwrap_or_default())?;
    let mut conversation = agent::conversation(
        config,
        &AgentArgs {
            agent: args.agent.clone(),
            share: true,
            title: args.title.clone(),
            cwd: args.cwd.clone(),
            worktree: args.worktree,
            earlier: None,
            session: None,
            detach: true,
            json: false,
            relay: None,
            command: args.command.clone(),
        },
        true,
    )?;
    conversation.gate.allows = match args.permissions {
        Allowed::Ask => Permissions::Ask,
        Allowed::AllowReads => Permissions::Reads,
        Allowed::AllowAll => Permissions::All,
    };
    let limits = RunLimits {
        idle_ms: args.idle_timeout.0,
        max_ms: args.max_time.map(Span::as_millis),
        max_cost: args.max_cost,
    };
    if let Some(place) = args.announce.iter().find(|place| place.is_public())
        && args.allow.is_none()
    {
        bail!(
            "everybody who can read what is said on {} would have the ticket: say who may come in with it, as --allow \
             invited (people you allow; others knock) or --allow link (everybody)",
            place.name()
        );
    }
    let run = RunWanted {
        prompt,
        limits,
        announce: args.announce.clone(),
    };
    Ok(Given { conversation, run })
}

/// The task that a flag gives.
fn task(given: &str) -> Result<String> {
    let text = match given.strip_prefix('@') {
        Some(file) => {
            let opened = std::fs::File::open(Path::new(file));
            let opened = opened.with_context(|| format!("the prompt can't be read from {file}"))?;
            prompt::read(opened, file)?
        }
        None => prompt::given(given)?,
    };
    if text.trim().is_empty() {
        bail!("the prompt is empty: say what the agent is to do, as --prompt TEXT, @FILE or -");
    }
    Ok(text)
}

impl RunArgs {
    /// The command line of the session's own process.
    fn for_process(&self) -> Vec<OsString> {
        let mut all: Vec<OsString> = vec!["run".into(), "--given".into()];
        let mut add = |flag: &str, value: Option<OsString>| {
            if let Some(value) = value {
                let mut word = OsString::from(flag);
                word.push("=");
                word.push(value);
                all.push(word);
            }
        };
        let file = self.ticket_file.as_ref();
        add("--allow", self.allow.map(|mode| mode.as_str().into()));
        add("--ticket-file", file.map(|file| file.clone().into()));
        let relay = self.relay.as_ref().map(|relay| relay.to_string().into());
        add("--relay", relay);
        let signal = self.signal.as_ref().map(|url| url.to_string().into());
        add("--signal", signal);
        for (flag, is_set) in [("--link", self.link), ("--json", self.json)] {
            if is_set {
                all.push(flag.into());
            }
        }
        all
    }
}

/// In the process of its session.
async fn in_its_process(paths: &Paths, config: &Config, args: RunArgs) -> Result<u8> {
    let starter = process::enter()?;
    starter.set_nonblocking(true)?;
    let mut wire = Wire::new(UnixStream::from_std(starter)?);
    let given: Option<Given> = wire.read().await?;
    let Given { conversation, run } = given.context("what started this process is gone")?;
    let starter = wire.into_stream()?.into_std()?;
    let share = ShareArgs {
        share: true,
        start: StartArgs {
            name: Some(conversation.title.clone()),
            detach: true,
            quiet: args.json,
            relay: args.relay,
            signal: args.signal,
            program: conversation.start.command.iter().map(Into::into).collect(),
            ..StartArgs::default()
        },
        sharing: SharingArgs {
            allow: args.allow,
            link: args.link,
            ticket_file: args.ticket_file,
            ..SharingArgs::default()
        },
    };
    let begins = Begins {
        conversation,
        owner: process::owner(),
        run: Some(run),
    };
    host::host(
        paths,
        config,
        share,
        Terminal::Detached(starter),
        Some(begins),
    )
    .await
}

/// A run that somebody waits for.
struct Run<'a> {
    paths: &'a Paths,
    /// Its session.
    id: String,
    json: bool,
    progress: Progress,
    /// The session's process has ended.
    ended: watch::Receiver<bool>,
}

/// Whether a process has ended. It is waited for by a thread, which this command does not wait for.
fn ended(mut process: Child) -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    std::thread::spawn(move || {
        let _ = process.wait();
        sender.send_replace(true);
    });
    receiver
}

impl Run<'_> {
    /// Says what goes on, and what comes of it; what to exit with.
    async fn follow(&mut self, options: Options) -> Result<u8> {
        let mut signals = ExitSignals::new()?;
        let mut viewer = ViewerLoop::start(options)?;
        let gone = || Outcome::Unreachable("the session's process has ended".to_owned());
        // A short one is over before anybody sees it.
        let found = tokio::select! {
            found = viewer.conversation(Some(TERMINAL), &mut signals) => found,
            _ = self.ended.wait_for(|ended| *ended) => Err(gone()),
        };
        let ended = match found {
            Err(ended) => ended,
            Ok(track) => loop {
                if let Some(shown) = viewer.shown(track) {
                    self.progress.look(shown, self.json)?;
                }
                tokio::select! {
                    over = viewer.changed(&mut signals) => if let Some(over) = over {
                        break over;
                    },
                    _ = self.ended.wait_for(|ended| *ended) => break gone(),
                }
            },
        };
        viewer.leave().await;
        if let Outcome::Signalled(signal) = ended {
            let close = verbs::CloseTrack { track: TERMINAL };
            let _ = control::command(&self.paths.socket(&self.id), close.into()).await;
            let id = &self.id;
            pillion::say!("The run was ended. `pillion export {id}` prints what was said.");
            return Ok(signal.exit_code());
        }
        // The log has what was not seen, also of one that was killed.
        self.until_it_ended(&mut signals).await;
        let reader = SessionReader::open(&self.paths.sessions, &self.id)?;
        let shown = conversation::folded(&reader, &recorded(&reader, Some(TERMINAL))?)?;
        self.progress.look(&shown, self.json)?;
        match self.progress.outcome {
            Some(outcome) => Ok(exit_code(outcome)),
            None => Ok(join::said(ended, None).max(1)),
        }
    }

    /// Waits until the session's process has written down all there is.
    async fn until_it_ended(&mut self, signals: &mut ExitSignals) {
        tokio::select! {
            _ = self.ended.wait_for(|ended| *ended) => {}
            _ = signals.next() => {}
            () = tokio::time::sleep(ENDS_WITHIN) => {}
        }
    }
}

fn exit_code(outcome: RunOutcome) -> u8 {
    match outcome {
        RunOutcome::Done => 0,
        RunOutcome::Refused
        | RunOutcome::CutShort
        | RunOutcome::Failed
        | RunOutcome::AgentEnded => 1,
        // As timeout(1) and a shell have it.
        RunOutcome::TimeLimit | RunOutcome::CostLimit | RunOutcome::Unanswered => 124,
        RunOutcome::Cancelled => 130,
    }
}

/// What was said of a run so far.
#[derive(Debug, Default)]
struct Progress {
    /// The first item that was not looked at.
    next: ItemId,
    outcome: Option<RunOutcome>,
}

impl Progress {
    /// Says what is new.
    fn look(&mut self, shown: &Conversation, json: bool) -> Result<()> {
        let next = self.next;
        for (id, item) in shown.items().skip_while(|(id, _)| *id < next) {
            self.next = id + 1;
            match &item.body {
                ItemBody::Question(question) if question.is_open() => {
                    let what = match question.command.is_empty() {
                        true => question.title.as_str(),
                        false => question.command.as_str(),
                    };
                    pillion::say!(
                        "The agent asks: {} (`pillion answer yes`, or `no`)",
                        clean_title(what, MAX_QUESTION)
                    );
                }
                ItemBody::Notice(notice) => {
                    if notice.word == Notice::RUN_FINISHED {
                        self.finished(shown, id, &notice.title, json)?;
                    } else if let Some(said) = words::run(notice) {
                        pillion::say!("{}", words::sentence(&said));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn finished(
        &mut self,
        shown: &Conversation,
        at: ItemId,
        outcome: &str,
        json: bool,
    ) -> Result<()> {
        let result = said_before(shown, Some(at), usize::MAX);
        let word = outcome;
        let outcome = RunOutcome::of_word(word).unwrap_or(RunOutcome::Failed);
        self.outcome = Some(outcome);
        if json {
            let usage = standing(shown)["usage"].take();
            let object = serde_json::json!({"outcome": word, "result": result, "usage": usage});
            pillion::output!("{object}")?;
            return Ok(());
        }
        for line in result.lines() {
            pillion::output!("{}", clean_title(line, usize::MAX))?;
        }
        pillion::say!("The run {}.", words::run_outcome(outcome));
        Ok(())
    }
}
