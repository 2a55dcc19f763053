//! `pillion agent`.

use std::{
    ffi::OsString,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use pillion::{
    caps::{PublicKey, SecretKey},
    conversation::MAX_TRANSCRIPT,
    hosting::{Terminal, process},
    identity::proving::Claims,
    net::{RelayChoice, random_bytes},
    proto::{AccessMode, Ticket},
    session::{Reply, verbs},
    sessions::control::{Progress, ToHolder, Wire, command},
    settings::{
        agents::{self, KNOWN, KnownAgent},
        config::Config,
        paths::Paths,
    },
    source::{HostTty, Program},
    viewing::viewer_loop::{Options, Outcome, ViewerLoop},
};
use tokio::net::UnixStream;

use crate::{
    commands::{
        ask, exit,
        host::{self, Begins, RunArgs, SharingArgs, StartArgs},
        net_options,
    },
    hidden::Role,
};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion agent claude                   a conversation with Claude, for you alone so far
  pillion agent --share opencode         the same with opencode, and a ticket for others
  pillion agent -- my-agent --acp        any agent that speaks the Agent Client Protocol
  pillion agent --cwd ../site codex      in another directory
  pillion agent --detach --share gemini  in the background; prints how to join
  pillion grant anna --can prompt        let anna ask it for things; you are asked what comes of that
  pillion grant anna --can approve       let anna answer its questions";

/// Flags of `agent`.
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// The agent, by name.
    #[arg(
        value_name = "AGENT",
        required_unless_present = "command",
        conflicts_with = "command"
    )]
    pub agent: Option<String>,

    /// Share it with everybody who has the ticket, and print that. Without this only you are let in, until
    /// `pillion allow` says otherwise.
    #[arg(long)]
    pub share: bool,

    /// What to call the conversation; the agent's name, by default.
    #[arg(long, value_name = "TITLE", default_value = "")]
    pub title: String,

    /// Where it works; here, by default.
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,

    /// Work in a new git worktree of the repository, on a branch of its own, so that your files stay as they are.
    #[arg(long)]
    pub worktree: bool,

    /// Go on from what was said elsewhere, as this file has it (Markdown, as `pillion fork` writes it).
    #[arg(long, value_name = "FILE")]
    pub earlier: Option<PathBuf>,

    /// Begin it in this running session, beside its terminals.
    #[arg(long, value_name = "SESSION", conflicts_with_all = ["share", "detach"])]
    pub session: Option<String>,

    /// Start it in the background, and return.
    #[arg(long)]
    pub detach: bool,

    /// Print {"session","ticket","join"} as one line, or the conversation's number with --session.
    #[arg(long)]
    pub json: bool,

    /// How to be found beyond the local network: a relay's URL, "none", or "default".
    #[arg(long, value_name = "URL|none|default")]
    pub relay: Option<RelayChoice>,

    /// The agent's command.
    #[arg(last = true, value_name = "AGENT COMMAND")]
    pub command: Vec<String>,
}

/// Runs it.
pub async fn run(paths: &Paths, config: &Config, args: AgentArgs, role: Role) -> Result<u8> {
    // Who starts the session's process leaves the worktree to that.
    let is_ours = role == Role::SessionProcess || args.session.is_some();
    let conversation = match conversation(config, &args, is_ours) {
        Ok(conversation) => conversation,
        Err(why) => {
            pillion::say!("pillion: {why:#}");
            return Ok(exit::USAGE);
        }
    };
    if role == Role::SessionProcess {
        return host(paths, config, args, conversation).await;
    }
    let program = Program::new(conversation.start.command.clone());
    if let Err(error) = program.check() {
        pillion::say!("pillion: {error}. Is the agent installed, and its folder in PATH?");
        return Ok(error.exit_code());
    }
    match &args.session {
        Some(session) => in_session(paths, session, args.json, conversation).await,
        None => {
            let words: Vec<OsString> = std::env::args_os().skip(1).collect();
            in_new_session(paths, config, &args, &words).await
        }
    }
}

/// The conversation that was asked for. `is_ours` makes the worktree, where one was asked for.
pub fn conversation(
    config: &Config,
    args: &AgentArgs,
    is_ours: bool,
) -> Result<verbs::OpenConversation> {
    let own = args.agent.as_ref().and_then(|name| {
        let own = config.agents().get(name)?;
        Some((name, own))
    });
    let (mut start, gate, name) = match (own, &args.agent) {
        (Some((name, own)), _) => {
            let start = own.start().map_err(|missing| {
                anyhow::anyhow!(
                    "{name} needs the variable {missing}, which is not set: set it, or take it out of `needs` in the \
                     settings (`pillion config edit`)"
                )
            })?;
            (start, own.gate(), name.clone())
        }
        (None, Some(name)) => {
            let Some(known) = KnownAgent::named(name) else {
                let own = config.agents().keys().map(String::as_str);
                let names: Vec<&str> = KNOWN.iter().map(|known| known.name).chain(own).collect();
                bail!(
                    "\"{name}\" is no agent that is known here: {} are. Give the command of any other one behind \
                     --: pillion agent -- {name}; or name it in the settings (`pillion config edit`)",
                    names.join(", ")
                );
            };
            (known.start(), known.gate(), known.name.to_owned())
        }
        (None, None) => {
            let start = verbs::AgentStart {
                command: args.command.clone(),
                ..verbs::AgentStart::default()
            };
            let name = args
                .command
                .first()
                .map(Path::new)
                .and_then(Path::file_name);
            let name = name.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            (start, agents::unknown(), name)
        }
    };
    let cwd = match &args.cwd {
        Some(cwd) => std::path::absolute(cwd)?,
        None => std::env::current_dir().context("the current directory is gone")?,
    };
    if !cwd.is_dir() {
        bail!("{} is no directory for an agent to work in", cwd.display());
    }
    if args.worktree {
        repository(&cwd)?;
    }
    if let Some(file) = &args.earlier {
        start.earlier = earlier(file)?;
    }
    let cwd = match args.worktree && is_ours {
        true => worktree(&cwd, &name)?,
        false => cwd,
    };
    let cwd = cwd.into_os_string().into_string();
    start.cwd = cwd.map_err(|cwd| anyhow::anyhow!("{cwd:?} is no text, which agents want"))?;
    let title = match args.title.is_empty() {
        true => name,
        false => args.title.clone(),
    };
    Ok(verbs::OpenConversation { title, start, gate })
}

/// What was said elsewhere.
fn earlier(file: &Path) -> Result<String> {
    let read = || -> std::io::Result<String> {
        let mut text = String::new();
        let file = std::fs::File::open(file)?;
        file.take(MAX_TRANSCRIPT as u64 + 1)
            .read_to_string(&mut text)?;
        Ok(text)
    };
    let text = read();
    let text = text.with_context(|| format!("{} can't be read", file.display()))?;
    if text.len() > MAX_TRANSCRIPT {
        bail!(
            "{} is longer than the {} KiB that an agent goes on from",
            file.display(),
            MAX_TRANSCRIPT / 1024
        );
    }
    Ok(text)
}

/// The repository that `cwd` is in.
fn repository(cwd: &Path) -> Result<String> {
    git(cwd, &["rev-parse", "--show-toplevel"])
}

fn git(cwd: &Path, args: &[&str]) -> Result<String> {
    let output = std::process::Command::new("git")
        .arg("-C")
        .arg(cwd)
        .args(args)
        .output();
    let output = output.context("git could not be run, which --worktree needs")?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("no worktree was made: {}", why.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .trim_end_matches('\n')
        .to_owned())
}

/// A new worktree of the repository that `cwd` is in; where the same directory is there.
fn worktree(cwd: &Path, name: &str) -> Result<PathBuf> {
    let (root, within) = (repository(cwd)?, git(cwd, &["rev-parse", "--show-prefix"])?);
    let root = PathBuf::from(root);
    let number = u32::from_be_bytes(random_bytes()?);
    let branch = format!("pillion/{name}-{number:08x}");
    let folder = root
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let place = root.with_file_name(format!("{folder}-{name}-{number:08x}"));
    let place_text = place.to_str().context("the repository's path is no text")?;
    git(cwd, &["worktree", "add", "-b", &branch, place_text])?;
    pillion::say!(
        "The agent works in {place_text}, on the branch {branch}. `git worktree remove {place_text}` takes it away."
    );
    Ok(place.join(within))
}

/// Begins it in a session that runs.
async fn in_session(
    paths: &Paths,
    session: &str,
    json: bool,
    conversation: verbs::OpenConversation,
) -> Result<u8> {
    let done = ask(paths, Some(session), conversation).await?;
    if let Reply::OpenConversation(track) = done.reply {
        match json {
            true => pillion::output!("{}", serde_json::json!({"conversation": track.0}))?,
            false => pillion::output!("{track}")?,
        }
        pillion::say!("Began conversation {track}. `pillion prompt \"…\"` asks it for something.");
    }
    Ok(0)
}

/// In the process of the session that begins with it.
async fn host(
    paths: &Paths,
    config: &Config,
    args: AgentArgs,
    conversation: verbs::OpenConversation,
) -> Result<u8> {
    let starter = process::enter()?;
    let owner = process::owner();
    let run = RunArgs {
        share: false,
        start: StartArgs {
            name: Some(conversation.title.clone()),
            detach: true,
            quiet: true,
            relay: args.relay,
            program: conversation.start.command.iter().map(Into::into).collect(),
            ..StartArgs::default()
        },
        sharing: SharingArgs {
            allow: (!args.share).then_some(AccessMode::Invited),
            ..SharingArgs::default()
        },
    };
    let begins = Some(Begins {
        conversation,
        owner,
        run: None,
    });
    host::host(paths, config, run, Terminal::Detached(starter), begins).await
}

/// A conversation that an editor has begun, in a session of its own, or what to exit with. `words` are the command line that says
/// the same as `args`.
pub async fn begin_for_editor(
    config: &Config,
    args: &AgentArgs,
    words: &[OsString],
    owner: &PublicKey,
) -> Result<std::result::Result<Started, u8>> {
    let conversation = conversation(config, args, false)?;
    let program = Program::new(conversation.start.command);
    if let Err(error) = program.check() {
        pillion::say!("pillion: {error}. Is the agent installed, and its folder in PATH?");
        return Ok(Err(error.exit_code()));
    }
    let (_child, stream) = process::start_with(words, Some(owner))?;
    stream.set_nonblocking(true)?;
    started(Wire::new(UnixStream::from_std(stream)?)).await
}

/// Starts a session with it, and shows it here. `words` are the command line that says the same as `args`.
pub async fn in_new_session(
    paths: &Paths,
    config: &Config,
    args: &AgentArgs,
    words: &[OsString],
) -> Result<u8> {
    let tty = match args.detach {
        true => None,
        false => {
            let tty = HostTty::open_output()?;
            if tty.is_none() {
                pillion::say!(
                    "pillion: there is no terminal here to show the conversation in. `pillion agent --detach` starts it in \
                     the background, `pillion prompt` asks it for something, and `pillion conversation` prints it"
                );
                return Ok(exit::USAGE);
            }
            tty
        }
    };
    let owner = SecretKey::from_bytes(&random_bytes()?);
    let public = tty.is_some().then(|| owner.public());
    let (_child, stream) = process::start_with(words, public.as_ref())?;
    stream.set_nonblocking(true)?;
    let wire = Wire::new(UnixStream::from_std(stream)?);
    let Started {
        session: id,
        ticket,
        ..
    } = match started(wire).await? {
        Ok(started) => started,
        Err(code) => return Ok(code),
    };
    if args.json {
        let join = format!("pillion join {ticket}");
        let object = serde_json::json!({"session": id, "ticket": ticket, "join": join});
        pillion::output!("{object}")?;
    } else if args.share {
        pillion::say!(
            "Sharing the conversation. Others watch it with:\n\n  pillion join {ticket}\n"
        );
    }
    let Some(tty) = tty else {
        if !args.json {
            pillion::say!(
                "Session {id} runs in the background. `pillion prompt {id} \"…\"` asks the agent for something, and \
                 `pillion close --all --session {id}` ends it."
            );
        }
        return Ok(0);
    };
    show(paths, config, &id, &ticket, owner, tty).await
}

/// A session that begins with a conversation, and runs.
pub struct Started {
    /// Its id.
    pub session: String,
    /// Its ticket.
    pub ticket: String,
    /// Its link, if it has one.
    pub link: Option<String>,
}

/// Waits until a session's own process says that it runs; else what to exit with.
pub async fn started(mut wire: Wire) -> Result<std::result::Result<Started, u8>> {
    match wire.read().await? {
        Some(Progress::Begun {
            session,
            ticket,
            link,
        }) => Ok(Ok(Started {
            session,
            ticket,
            link,
        })),
        Some(Progress::Terminal(ToHolder::Failed { text, code })) => {
            pillion::say!("pillion: {text}");
            Ok(Err(code))
        }
        // It has said itself why.
        _ => Ok(Err(1)),
    }
}

/// Opens a conversation that runs in the background, as its host.
pub async fn attach(paths: &Paths, config: &Config, id: &str) -> Result<u8> {
    let tty = HostTty::open_output()?.context(
        "there is no terminal here to show the conversation in; `pillion conversation` prints it",
    )?;
    let owner = SecretKey::from_bytes(&random_bytes()?);
    let socket = paths.socket(id);
    let key = owner.public();
    command(&socket, verbs::Own { key }.into()).await?;
    let done = command(&socket, verbs::Ticket { new: false }.into()).await?;
    let Reply::Ticket(ticket) = done.reply else {
        bail!("the session gave no ticket; this is a defect of pillion");
    };
    show(paths, config, id, &ticket, owner, tty).await
}

/// How its host looks at a conversation of this machine.
pub fn owner_options(config: &Config, ticket: &str, owner: SecretKey) -> Result<Options> {
    Ok(Options {
        ticket: ticket.parse::<Ticket>()?,
        resolver: None,
        endpoint: None,
        grants: Vec::new(),
        claims: Claims::default(),
        identity: owner,
        name: config.name().to_owned(),
        read_only: false,
        terminal: None,
        // It is on this machine.
        relay: RelayChoice::None,
        net: net_options(config, None, None)?,
        inside: Vec::new(),
    })
}

/// Shows a conversation to its host.
async fn show(
    paths: &Paths,
    config: &Config,
    id: &str,
    ticket: &str,
    owner: SecretKey,
    tty: HostTty,
) -> Result<u8> {
    let (outcome, _) = ViewerLoop::start(owner_options(config, ticket, owner)?)?
        .full_screen(tty, config.prefix(), config.notify(), false)
        .await?;
    let socket = paths.socket(id);
    let end = verbs::CloseTrack {
        track: pillion::proto::TrackId(0),
    };
    match &outcome {
        Outcome::Ended(text) | Outcome::Refused(text) | Outcome::Unreachable(text) => {
            pillion::say!("{text}");
        }
        Outcome::Detached => {
            pillion::say!(
                "The conversation goes on in the background. `pillion attach {id}` opens it again, and \
                 `pillion close --all --session {id}` ends it."
            );
        }
        // As a terminal that is closed ends its program.
        Outcome::Left | Outcome::Signalled(_) | Outcome::NoTerminal(_) | Outcome::Unread => {
            command(&socket, end.into()).await?;
            pillion::say!("The conversation has ended. `pillion export {id}` prints it.");
        }
    }
    Ok(match outcome {
        Outcome::Signalled(signal) => signal.exit_code(),
        Outcome::Refused(_) => exit::REFUSED,
        Outcome::Unreachable(_) => exit::UNREACHABLE,
        _ => 0,
    })
}
