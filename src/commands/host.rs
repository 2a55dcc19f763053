//! `pillion` and `pillion share`: run a program, share it.

use std::{
    ffi::OsString,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueHint, builder::NonEmptyStringValueParser};
use pillion::{
    caps::PublicKey,
    hosting::{Hosting, LinkWanted, Options, RunWanted, Terminal, kept_service, process},
    identity::proving,
    net::{RelayChoice, Resolve, load_or_create_identity, signal::SignalUrl},
    proto::{AccessMode, limits::MAX_NAME},
    screen::clean::clean_name,
    session::verbs::OpenConversation,
    sessions::{retention::Retention, select},
    settings::{
        config::Config,
        paths::{NamedFile, Paths, private_dir},
    },
    source::{ExitSignals, HostTty, Program, SpawnError},
    terminal::console::explain,
    tui::{Multiplexer, Prefix, clipboard},
};

use crate::{
    commands::{
        attach, cols_of_stderr, draw_qr, exit,
        greeting::{Greeting, Looks, Ways},
        net_options, signal_ca,
    },
    completion,
    hidden::Role,
    usage,
};

/// Flags of `pillion` itself.
#[derive(Debug, Default, Args)]
pub struct RunArgs {
    /// Share the session from its beginning: the same as `pillion share`.
    #[arg(long)]
    pub share: bool,

    /// How it is started.
    #[command(flatten)]
    pub start: StartArgs,

    /// How it is shared.
    #[command(flatten)]
    pub sharing: SharingArgs,
}

/// How a session is started.
#[derive(Debug, Default, Args)]
pub struct StartArgs {
    /// The session's name, shown to those who join.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Restart an ended session (see `pillion ls --all`), with a new shell or COMMAND: existing tickets and grants
    /// keep working, removed people stay removed, and its history goes on.
    #[arg(long, value_name = "SESSION", value_parser = NonEmptyStringValueParser::new(), add = completion::ended())]
    pub restart: Option<String>,

    /// Start without a terminal, in the background, and return; `pillion attach` opens the session in a
    /// terminal. It goes on when that is closed.
    #[arg(long)]
    pub detach: bool,

    /// Give the program a terminal where there is none here (in CI, behind pipes), so that viewers can type into it. Without
    /// this its input, output and errors stay what they are there, and viewers watch.
    #[arg(long)]
    pub tty: bool,

    /// How to be found beyond the local network: a relay's URL, "none", or "default".
    #[arg(long, value_name = "URL|none|default", add = completion::words(["none", "default"]))]
    pub relay: Option<RelayChoice>,

    /// Where to publish this host's address: "records", "dht", "lan", several with commas, or "none".
    #[arg(long, value_name = "WHERE", add = completion::words(["records", "dht", "lan", "none"]))]
    pub resolve: Option<Resolve>,

    /// What to keep of ended sessions: an age, a size, both ("30d,1GiB"), or "none".
    #[arg(long, value_name = "AGE,SIZE")]
    pub keep: Option<Retention>,

    /// Print no greeting.
    #[arg(short, long)]
    pub quiet: bool,

    /// The link service's URL.
    #[arg(long, value_name = "URL")]
    pub signal: Option<SignalUrl>,

    /// The program to run instead of your shell.
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub program: Vec<OsString>,
}

/// How a session is shared.
#[derive(Debug, Default, Args)]
pub struct SharingArgs {
    /// Nobody can be given the right to type in this session.
    #[arg(long)]
    pub read_only: bool,

    /// Who can join: "link" (everybody who has the ticket), "invited" (people you allow; others who have
    /// the ticket knock, and you are asked) or "team" (members of a --team).
    #[arg(long, value_name = "link|invited|team", add = completion::words(["link", "invited", "team"]))]
    pub allow: Option<AccessMode>,

    /// A team whose members can join, by its key; can be given several times.
    #[arg(long, value_name = "KEY")]
    pub team: Vec<PublicKey>,

    /// Print a link too, which works like the ticket; it needs a link service (--signal, or signal in
    /// the settings, which prints one by itself).
    #[arg(long)]
    pub link: bool,

    /// Print a code to say aloud, good for one person and ten minutes; needs a link service.
    #[arg(long)]
    pub code: bool,

    /// Draw the link, or the ticket, as a QR code.
    #[arg(long)]
    pub qr: bool,

    /// Also write the ticket to FILE (0600; a pipe, device or link that is there stays); with --json, the
    /// whole object.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ticket_file: Option<PathBuf>,

    /// Print {"session","ticket","join",…} as one line instead of the greeting: on stderr, or on stdout where the
    /// session runs already.
    #[arg(long)]
    pub json: bool,
}

impl SharingArgs {
    /// A flag that means nothing where nothing is shared.
    pub fn given(&self) -> Option<&'static str> {
        [
            (self.read_only, "--read-only"),
            (self.allow.is_some(), "--allow"),
            (!self.team.is_empty(), "--team"),
            (self.link, "--link"),
            (self.code, "--code"),
            (self.qr, "--qr"),
            (self.ticket_file.is_some(), "--ticket-file"),
            (self.json, "--json"),
        ]
        .into_iter()
        .find_map(|(given, flag)| given.then_some(flag))
    }
}

/// How long the service may take to give a code before the session starts without.
const CODE_WITHIN: Duration = Duration::from_secs(3);

/// Runs it; the exit code is the program's.
pub async fn run(paths: &Paths, config: &Config, args: RunArgs, role: Role) -> Result<u8> {
    if let Some(flag) = args.sharing.given().filter(|_| !args.share) {
        usage::error(&format!(
            "{flag} is about sharing, and this would start a private session: write `pillion share {flag}`"
        ));
    }
    // Nothing is made, and nobody is told of a session, for what can't run.
    if let Err(error) = program(&args, config).check() {
        pillion::say!("pillion: {error}");
        return Ok(error.exit_code());
    }
    match role {
        Role::SessionProcess => {
            let starter = process::enter()?;
            let terminal = match args.start.detach {
                true => Terminal::Detached(starter),
                false => Terminal::Starter(starter),
            };
            host(paths, config, args, terminal, None).await
        }
        Role::Command if args.start.detach => attach::wait_until_it_runs().await,
        // Without a terminal there is nothing to leave: this process is the session's own.
        Role::Command => match HostTty::open()? {
            Some(tty) => {
                let quiet = args.start.quiet || args.sharing.json;
                attach::start_and_hold(paths, tty, quiet).await
            }
            None if args.start.program.is_empty() && !args.start.tty => {
                pillion::say!(
                    "pillion: there is no terminal here for a shell, and no command was given. `pillion share -- \
                     COMMAND` runs one; `pillion share --detach` starts a shell in the background, and \
                     `pillion share --tty` one here, for viewers to type in"
                );
                Ok(exit::USAGE)
            }
            None => host(paths, config, args, Terminal::Own, None).await,
        },
    }
}

fn program(args: &RunArgs, config: &Config) -> Program {
    if !args.start.program.is_empty() {
        Program::new(args.start.program.iter().cloned())
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
    /// What it is for, where nobody sits at it.
    pub run: Option<RunWanted>,
}

/// Hosts a session in this process.
pub async fn host(
    paths: &Paths,
    config: &Config,
    args: RunArgs,
    terminal: Terminal,
    begins: Option<Begins>,
) -> Result<u8> {
    let (conversation, owner, run) = match begins {
        Some(begins) => (Some(begins.conversation), begins.owner, begins.run),
        None => (None, None, None),
    };
    let is_agent = conversation.is_some();
    let own_process = !matches!(terminal, Terminal::Own);
    private_dir(&paths.config)?;
    let identity = load_or_create_identity(&paths.config)?;
    let program = program(&args, config);
    let again = args
        .start
        .restart
        .as_deref()
        .map(|wanted| select::ended(paths, wanted))
        .transpose()?;
    // A session that is started again keeps the service it had, unless another one is named.
    let kept = again.as_ref().filter(|_| args.start.signal.is_none());
    let kept = kept.and_then(|session| kept_service(&paths.sessions, &session.meta.id));
    let signal = match &kept {
        Some(kept) => Some(kept.url.parse()?),
        None => args.start.signal.clone(),
    };
    let net = net_options(config, signal, args.start.resolve)?;
    if net.signal.is_none() && (args.sharing.link || args.sharing.code) {
        bail!(
            "links and codes need a link service: give its URL with --signal, or as signal in the settings (pillion config edit); the ticket needs none"
        );
    }
    // A service in the settings asks for a link by itself; one named for a code does not.
    let link = match &kept {
        Some(kept) => args.sharing.link || kept.link,
        None => args.sharing.link || !args.sharing.code || config.signal().is_some(),
    };
    let link = net
        .signal
        .clone()
        .map(|service| LinkWanted { service, link });
    let name = args.start.name.clone();
    let name = name.or_else(|| again.as_ref().map(|session| session.meta.name.clone()));
    let options = Options {
        link,
        signal_ca: signal_ca(config)?,
        name: clean_name(&name.unwrap_or_else(|| default_name(&program)), MAX_NAME),
        again: again.map(|session| session.meta.id),
        host_name: config.name().to_owned(),
        read_only: args.sharing.read_only,
        edit_ttl: config.edit_expires().0,
        relay: args.start.relay.clone().unwrap_or_else(|| config.relay()),
        net,
        keep: args.start.keep.unwrap_or_else(|| config.keep()),
        prefix: config.prefix(),
        notify: config.notify(),
        allow: args.sharing.allow.unwrap_or_else(|| config.allow()),
        allow_said: args.sharing.allow.is_some(),
        teams: args.sharing.team.clone(),
        knock_wait: config.knock_wait().0,
        issuer: proving::client(config)?,
        piped: matches!(terminal, Terminal::Own) && !args.start.tty,
        terminal,
        // Who starts it so that no hang-up ends it (nohup(1)) wants it to go on as well.
        conversation,
        run,
        owner,
        stays: args.start.detach || config.stay() || ExitSignals::ignores_hangup(),
        ..Options::new(program, identity)
    };
    let prefix = options.prefix;
    let mut signals = ExitSignals::new()?;
    let mut hosting = Hosting::prepare(options, paths)?;
    tokio::select! {
        biased;
        // What was made until then is cleared away.
        signal = signals.next() => return Ok(signal.exit_code()),
        begun = begin(&mut hosting, &args, config, prefix) => begun?,
    }
    drop(signals);
    if args.start.detach && !args.start.quiet && !args.sharing.json && !is_agent {
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
async fn begin(
    hosting: &mut Hosting,
    args: &RunArgs,
    config: &Config,
    prefix: Prefix,
) -> Result<()> {
    // A conversation is looked at as a viewer does, by the host as well.
    if args.share || hosting.has_conversation() {
        let ticket = hosting.share().await?;
        let code = match args.sharing.code {
            true => Some(hosting.code(CODE_WITHIN).await),
            false => None,
        };
        let ways = Ways {
            session: hosting.id().to_owned(),
            ticket,
            link: hosting.link().ok(),
            code,
            service: hosting.service().ok(),
            access: hosting.access().await?,
        };
        return match args.share {
            true => announce(hosting, ways, args, config, prefix).await,
            false => Ok(()),
        };
    }
    if !args.start.quiet && hosting.has_tty() {
        pillion::say!(
            "A private session ({}). `pillion share` shares it from then on; {prefix} Space opens the panel.",
            hosting.id()
        );
    }
    Ok(())
}

async fn announce(
    hosting: &mut Hosting,
    ways: Ways,
    args: &RunArgs,
    config: &Config,
    prefix: Prefix,
) -> Result<()> {
    let RunArgs { start, sharing, .. } = args;
    let object = ways.object(Some(sharing.read_only));
    if let Some(file) = sharing.ticket_file.clone() {
        let content = match sharing.json {
            true => object.to_string(),
            false => ways.ticket.clone(),
        };
        // A pipe waits for somebody who reads it, and a signal must not wait for that.
        let written = tokio::task::spawn_blocking(move || write_ticket(&file, &content)).await?;
        written.context("the ticket was not written")?;
    }
    let on_terminal = hosting.has_tty() && std::io::stdout().is_terminal();
    let copy = config.clipboard() && on_terminal && !start.quiet;
    if sharing.json {
        pillion::say!("{object}");
    } else if !start.quiet {
        let has_relay = hosting.has_relay().await;
        let greeting = Greeting {
            name: hosting.name(),
            ways: &ways,
            read_only: sharing.read_only,
            prefix: hosting.has_tty().then_some(prefix),
            keep: start.keep.unwrap_or_else(|| config.keep()),
            has_relay,
            copied: copy,
            looks: Looks::of_stderr(),
            cols: cols_of_stderr(),
        };
        pillion::say!("{greeting}");
    }
    if let Some(Err(why)) = &ways.code {
        pillion::say!("pillion: there is no code: {why}; `pillion code` tries again");
    }
    // Last: it is as high as many a terminal.
    if sharing.qr {
        draw_qr(&ways.for_qr());
    }
    if copy {
        let multiplexer = Multiplexer::detect(|name| std::env::var(name).ok());
        let mut out = std::io::stdout().lock();
        out.write_all(&clipboard(&ways.shortest().0, multiplexer))?;
        out.flush()?;
    }
    Ok(())
}

/// Writes what was asked for into a file that only its owner can read.
pub fn write_ticket(file: &Path, content: &str) -> Result<()> {
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
