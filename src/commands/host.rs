//! `pillion` and `pillion --share`: run a program, share it.

use std::{
    ffi::OsString,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::{Args, builder::NonEmptyStringValueParser};
use pillion::{
    caps::PublicKey,
    hosting::{Hosting, LinkWanted, Options, Terminal, kept_service, process},
    identity::proving,
    net::{RelayChoice, Resolve, load_or_create_identity, signal::SignalUrl},
    proto::{AccessMode, Rights, limits::MAX_NAME},
    screen::clean::clean_name,
    session::verbs,
    session::verbs::OpenConversation,
    sessions::{retention::Retention, select},
    settings::{
        config::Config,
        paths::{NamedFile, Paths, private_dir},
    },
    source::{ExitSignals, HostTty, Program, SpawnError},
    terminal::console::explain,
    tui::{Multiplexer, clipboard},
};

use crate::{
    commands::{attach, draw_qr, exit, join_by_code, net_options, signal_ca, ticket_for_qr},
    hidden::Role,
};

/// Flags of `pillion` itself.
#[derive(Debug, Default, Args)]
pub struct RunArgs {
    /// Share the session from its beginning and print the ticket.
    #[arg(long)]
    pub share: bool,

    /// The session's name, shown to those who join.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Start a session that ended again (see `pillion ls --all`), with a new shell or COMMAND: tickets
    /// and grants of before hold, who was put out stays out, and its history goes on.
    #[arg(long, value_name = "SESSION", value_parser = NonEmptyStringValueParser::new())]
    pub restart: Option<String>,

    /// Nobody can be given the right to type in this session.
    #[arg(long, requires = "share")]
    pub read_only: bool,

    /// Who may come in: "link" (everybody who has the ticket), "invited" (people you allow; others who have
    /// the ticket knock, and you are asked) or "team" (members of a --team).
    #[arg(long, value_name = "link|invited|team", requires = "share")]
    pub allow: Option<AccessMode>,

    /// A team whose members may come in, by its key; can be given several times.
    #[arg(long, value_name = "KEY", requires = "share")]
    pub team: Vec<PublicKey>,

    /// Also write the ticket to FILE (0600; a pipe, device or link that is there stays); with --json, the
    /// whole object.
    #[arg(long, value_name = "FILE", requires = "share")]
    pub ticket_file: Option<PathBuf>,

    /// Print {"session","ticket","join",…} as one line on stderr instead of the greeting.
    #[arg(long, requires = "share")]
    pub json: bool,

    /// Start without a terminal, in the background, and return; `pillion attach` opens the session in a
    /// terminal. It goes on when that is closed.
    #[arg(long)]
    pub detach: bool,

    /// Give the program a terminal where there is none here (in CI, behind pipes), so that viewers can type into it. Without
    /// this its input, output and errors stay what they are there, and viewers watch.
    #[arg(long)]
    pub tty: bool,

    /// Print no greeting.
    #[arg(short, long)]
    pub quiet: bool,

    /// Print a link too, which works like the ticket; it needs a link service (--signal, or signal in
    /// the settings, which prints one by itself).
    #[arg(long, requires = "share")]
    pub link: bool,

    /// Print a code to say aloud, good for one person and ten minutes; needs a link service.
    #[arg(long, requires = "share")]
    pub code: bool,

    /// Draw the link, or the ticket, as a QR code.
    #[arg(long, requires = "share")]
    pub qr: bool,

    /// The link service's URL.
    #[arg(long, value_name = "URL")]
    pub signal: Option<SignalUrl>,

    /// How to be found beyond the local network: a relay's URL, "none", or "default".
    #[arg(long, value_name = "URL|none|default")]
    pub relay: Option<RelayChoice>,

    /// Where to say where this host is: "records", "dht", "lan", several with commas, or "none".
    #[arg(long, value_name = "WHERE")]
    pub resolve: Option<Resolve>,

    /// What to keep of ended sessions: an age, a size, both ("30d,1GiB"), or "none".
    #[arg(long, value_name = "AGE,SIZE")]
    pub keep: Option<Retention>,

    /// The program to run instead of your shell.
    #[arg(last = true, value_name = "COMMAND")]
    pub program: Vec<OsString>,
}

/// How long the service may take to give a code before the session starts without.
const CODE_WITHIN: Duration = Duration::from_secs(3);

/// Runs it; the exit code is the program's.
pub async fn run(paths: &Paths, config: &Config, args: RunArgs, role: Role) -> Result<u8> {
    // Nothing is made, and nobody is told of a session, for what can't run.
    if let Err(error) = program(&args, config).check() {
        pillion::say!("pillion: {error}");
        return Ok(error.exit_code());
    }
    match role {
        Role::SessionProcess => {
            let starter = process::enter()?;
            let terminal = match args.detach {
                true => Terminal::Detached(starter),
                false => Terminal::Starter(starter),
            };
            host(paths, config, args, terminal, None).await
        }
        Role::Command if args.detach => attach::wait_until_it_runs().await,
        // Without a terminal there is nothing to leave: this process is the session's own.
        Role::Command => match HostTty::open()? {
            Some(tty) => attach::start_and_hold(paths, tty).await,
            None if args.program.is_empty() && !args.tty => {
                pillion::say!(
                    "pillion: there is no terminal here for a shell, and no command was given. `pillion --share -- \
                     COMMAND` runs one; `pillion --share --detach` starts a shell in the background, and \
                     `pillion --share --tty` one here, for viewers to type in"
                );
                Ok(exit::USAGE)
            }
            None => host(paths, config, args, Terminal::Own, None).await,
        },
    }
}

fn program(args: &RunArgs, config: &Config) -> Program {
    if !args.program.is_empty() {
        Program::new(args.program.iter().cloned())
    } else if let Some(shell) = config.shell() {
        Program::new([shell])
    } else {
        Program::shell()
    }
}

/// A conversation that a session begins with.
pub struct Begins {
    /// With which agent.
    pub conversation: OpenConversation,
    /// Who holds this key is the host.
    pub owner: Option<PublicKey>,
}

/// Hosts a session in this process.
pub async fn host(
    paths: &Paths,
    config: &Config,
    args: RunArgs,
    terminal: Terminal,
    begins: Option<Begins>,
) -> Result<u8> {
    let (conversation, owner) = match begins {
        Some(begins) => (Some(begins.conversation), begins.owner),
        None => (None, None),
    };
    let is_agent = conversation.is_some();
    let own_process = !matches!(terminal, Terminal::Own);
    private_dir(&paths.config)?;
    let identity = load_or_create_identity(&paths.config)?;
    let program = program(&args, config);
    let again = args
        .restart
        .as_deref()
        .map(|wanted| select::ended(paths, wanted))
        .transpose()?;
    // A session that is started again keeps the service it had, unless another one is named.
    let kept = again.as_ref().filter(|_| args.signal.is_none());
    let kept = kept.and_then(|session| kept_service(&paths.sessions, &session.meta.id));
    let signal = match &kept {
        Some(kept) => Some(kept.url.parse()?),
        None => args.signal.clone(),
    };
    let net = net_options(config, signal, args.resolve)?;
    if net.signal.is_none() && (args.link || args.code) {
        bail!(
            "links and codes need a link service: give its URL with --signal, or as signal in the settings (pillion config edit); the ticket needs none"
        );
    }
    // A service in the settings asks for a link by itself; one named for a code does not.
    let link = match &kept {
        Some(kept) => args.link || kept.link,
        None => args.link || !args.code || config.signal().is_some(),
    };
    let link = net
        .signal
        .clone()
        .map(|service| LinkWanted { service, link });
    let name = args.name.clone();
    let name = name.or_else(|| again.as_ref().map(|session| session.meta.name.clone()));
    let options = Options {
        link,
        signal_ca: signal_ca(config)?,
        name: clean_name(&name.unwrap_or_else(|| default_name(&program)), MAX_NAME),
        again: again.map(|session| session.meta.id),
        host_name: config.name().to_owned(),
        read_only: args.read_only,
        edit_ttl: config.edit_expires().0,
        relay: args.relay.clone().unwrap_or_else(|| config.relay()),
        net,
        keep: args.keep.unwrap_or_else(|| config.keep()),
        prefix: config.prefix(),
        allow: args.allow.unwrap_or_else(|| config.allow()),
        allow_said: args.allow.is_some(),
        teams: args.team.clone(),
        knock_wait: config.knock_wait().0,
        issuer: proving::client(config)?,
        piped: matches!(terminal, Terminal::Own) && !args.tty,
        terminal,
        // Who starts it so that no hang-up ends it (nohup(1)) wants it to go on as well.
        conversation,
        owner,
        stays: args.detach || config.stay() || ExitSignals::ignores_hangup(),
        ..Options::new(program, identity)
    };
    let prefix = options.prefix.to_string();
    let mut signals = ExitSignals::new()?;
    let mut hosting = Hosting::prepare(options, paths)?;
    tokio::select! {
        biased;
        // What was made until then is cleared away.
        signal = signals.next() => return Ok(signal.exit_code()),
        begun = begin(&mut hosting, &args, config, &prefix) => begun?,
    }
    drop(signals);
    if args.detach && !args.quiet && !args.json && !is_agent {
        pillion::say!(
            "Session {id} runs in the background. `pillion attach {id}` opens it in this terminal, and \
             `pillion close --all --session {id}` ends it.",
            id = hosting.id()
        );
    }
    if own_process {
        process::leave_stdio()?;
    }
    match hosting.run().await {
        Ok(status) => Ok(status.code()),
        Err(error) => match error.downcast_ref::<SpawnError>() {
            Some(spawn) => {
                let code = spawn.exit_code();
                pillion::say!("pillion: {}", explain(&error));
                Ok(code)
            }
            None => Err(error),
        },
    }
}

/// Shares the session, if it is to be, and says how to join it.
async fn begin(hosting: &mut Hosting, args: &RunArgs, config: &Config, prefix: &str) -> Result<()> {
    // A conversation is looked at as a viewer does, by the host as well.
    if args.share || hosting.has_conversation() {
        let ticket = hosting.share().await?;
        let code = match args.code {
            true => Some(hosting.code(CODE_WITHIN).await),
            false => None,
        };
        let ways = Ways {
            ticket,
            link: hosting.link().ok(),
            code,
            access: hosting.access().await?,
        };
        return match args.share {
            true => announce(hosting, &ways, args, config, prefix).await,
            false => Ok(()),
        };
    }
    if !args.quiet && hosting.has_tty() {
        pillion::say!(
            "A private session ({}). `pillion share` shares it from then on; {prefix} Space opens the panel.",
            hosting.id()
        );
    }
    Ok(())
}

/// The ways to join.
struct Ways {
    ticket: String,
    link: Option<String>,
    /// A code, or why there is none, if one was asked for.
    code: Option<Result<String, String>>,
    access: verbs::AccessListed,
}

async fn announce(
    hosting: &Hosting,
    ways: &Ways,
    args: &RunArgs,
    config: &Config,
    prefix: &str,
) -> Result<()> {
    let ticket = &ways.ticket;
    let code = ways.code.as_ref().and_then(|code| code.as_ref().ok());
    let join = format!("pillion join {ticket}");
    let mut object = serde_json::json!({
        "session": hosting.id(),
        "ticket": ticket,
        "join": join,
        "read_only": args.read_only,
        "allow": ways.access.mode.as_str(),
        "pid": std::process::id(),
    });
    for (name, value) in [("link", ways.link.as_ref()), ("code", code)] {
        if let Some(value) = value {
            object[name] = value.as_str().into();
        }
    }
    if let Some(file) = args.ticket_file.clone() {
        let content = if args.json {
            object.to_string()
        } else {
            ticket.clone()
        };
        // A pipe waits for somebody who reads it, and a signal must not wait for that.
        let written = tokio::task::spawn_blocking(move || write_ticket(&file, &content)).await?;
        written.context("the ticket has no file")?;
    }
    if args.json {
        pillion::say!("{object}");
    } else if !args.quiet {
        let has_team = |(who, _): &(String, Rights)| who.starts_with("team:");
        let who = match ways.access.mode {
            AccessMode::Link => "Sharing, view-only. Others can join with:",
            AccessMode::Invited => {
                "Sharing, view-only, with people you allow (pillion allow PERSON). Others who have this knock, \
                 and you are asked:"
            }
            AccessMode::Team if !ways.access.people.iter().any(has_team) => {
                "Sharing, view-only, with members of a team: name it (pillion allow team:KEY). They can join with:"
            }
            AccessMode::Team => "Sharing, view-only, with members of the team. They can join with:",
        };
        pillion::say!("{who}\n\n  {join}\n");
        if let Some(link) = &ways.link {
            // Quoted: a shell would take a # after a blank for a comment, and people retype links.
            pillion::say!("or with the link\n\n  pillion join '{link}'\n");
        }
        if let Some(code) = code {
            let service = hosting.service().unwrap_or_default();
            let join = join_by_code(code, &service);
            pillion::say!(
                "or, once and within ten minutes, by saying the code (without --signal where it is in the settings)\n\n  {join}\n"
            );
        }
        if hosting.has_tty() {
            let grant = if args.read_only {
                ""
            } else {
                "  pillion grant NAME --edit   allow someone to type\n"
            };
            pillion::say!(
                "{grant}  pillion who                 see who is here\n  pillion stop                stop sharing; your shell keeps running\n  {panel:<27} open the panel\n  {open:<27} open another terminal in the session\n  {leave:<27} leave this terminal; the session keeps running",
                panel = format!("{prefix} Space"),
                open = format!("{prefix} c"),
                leave = format!("{prefix} d"),
            );
        }
    }
    if let Some(Err(why)) = &ways.code {
        pillion::say!("pillion: there is no code: {why}; `pillion code` tries again");
    }
    if args.qr {
        let link = ways.link.clone();
        draw_qr(&link.unwrap_or_else(|| ticket_for_qr(ticket)));
    }
    if config.clipboard() && !args.quiet && hosting.has_tty() && std::io::stdout().is_terminal() {
        let multiplexer = Multiplexer::detect(|name| std::env::var(name).ok());
        let mut out = std::io::stdout().lock();
        out.write_all(&clipboard(&join, multiplexer))?;
        out.flush()?;
    }
    Ok(())
}

fn write_ticket(file: &Path, content: &str) -> Result<()> {
    let mut out = NamedFile::create(file)?;
    writeln!(out, "{content}")?;
    out.finish()
}

/// Without --name: what runs, and where.
fn default_name(program: &Program) -> String {
    let what = program
        .argv
        .first()
        .map(Path::new)
        .and_then(Path::file_name);
    let what = what.map_or_else(|| "session".into(), |name| name.to_string_lossy());
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    format!("{what} on {host}")
}
