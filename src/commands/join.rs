//! `pillion join`.

use std::io::{self, BufRead, IsTerminal};

use anyhow::{Context, Result, bail};
use clap::Args;
use pillion::{
    caps::{PublicKey, SecretKey},
    clock::unix_ms,
    code::Code,
    identity::{
        devices::{Devices, Directory, Running, Seen, silence},
        proving::{Claims, ProofKinds, Prover},
    },
    net::{
        NetOptions, RelayCa, RelayChoice, Resolve, load_or_create_identity, random_bytes,
        signal::{JoinError, Resolver, SignalService, SignalUrl, redeem},
    },
    people::{Name, NotAName},
    proto::{
        GrantToken, LinkUrl, Ticket, TrackId,
        limits::{MAX_NAME, MAX_TICKET_CHARS},
    },
    screen::clean::clean_name,
    sessions::select::NoSuchSession,
    settings::{
        config::Config,
        paths::{Paths, private_dir},
    },
    source::HostTty,
    tui::words::span,
    viewing::viewer_loop::{Options, Outcome, ViewerLoop, Visit},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    termios::QueueSelector,
};

use crate::completion;
use crate::{
    commands::{exit, net_options, signal_ca},
    usage,
};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion join pillionab3…              watch
  pillion join https://…/s/…#…          the same with a link
  pillion join 7-guitar-lantern         the same with a code the host told you
  pbpaste | pillion join -              the ticket from a pipe: it is in no argument list
  pillion join TICKET --grant TOKEN     come with the right to type
  pillion join TICKET --as ssh          prove who you are with your SSH key (ssh-agent)
  pillion join TICKET --as email        by signing in with your e-mail address
  pillion join TICKET --text            print the screen once and exit, no terminal needed
  pillion join TICKET --text --terminal 2
                                        the same of a terminal that the host doesn't look at
  pillion join TICKET --follow          print new lines as they come, until the session ends";

/// Flags of `join`.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// The ticket, link or code; "-" reads it from standard input. Without it, PILLION_TICKET, or you
    /// are asked.
    pub ticket: Option<String>,

    /// A grant token, as `pillion grant --link` prints it. The list of processes doesn't show it, nor the
    /// ticket.
    #[arg(long, value_name = "TOKEN")]
    pub grant: Option<String>,

    /// What to call you.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Prove who you are: "ssh" (or ssh:FINGERPRINT, ssh:FILE), "email", "team" (or team:NAME); several
    /// with commas. Your Pillion key is proved anyway.
    #[arg(long = "as", value_name = "ssh|email|team", add = completion::words(["ssh", "email", "team"]))]
    pub prove: Option<ProofKinds>,

    /// Sign in for --as email on another device, where this one has no browser.
    #[arg(long)]
    pub device: bool,

    /// Never send a keystroke, whatever you are granted.
    #[arg(long)]
    pub read_only: bool,

    /// Print the current screen as text and exit.
    #[arg(long, conflicts_with = "follow")]
    pub text: bool,

    /// Print new lines as they come, until the session ends.
    #[arg(long)]
    pub follow: bool,

    /// Look at this terminal, by its number in `pillion ls SESSION`; at what the host looks at, by default.
    #[arg(long, value_name = "N", value_parser = usage::number::<u32>)]
    pub terminal: Option<u32>,

    /// A relay's URL, "none", or "default".
    #[arg(long, value_name = "URL|none|default")]
    pub relay: Option<RelayChoice>,

    /// The link service a code is from.
    #[arg(long, value_name = "URL")]
    pub signal: Option<SignalUrl>,

    /// Where to look for a host whose addresses have changed: "records", "dht", "lan", several with
    /// commas, or "none".
    #[arg(long, value_name = "WHERE")]
    pub resolve: Option<Resolve>,
}

/// How long the next line of a paste may take.
const PASTE_GOES_ON: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// Runs it; the exit code.
pub async fn run(paths: &Paths, config: &Config, args: JoinArgs) -> Result<u8> {
    let given = given(&args)?;
    let mut net = net_options(config, args.signal.clone(), args.resolve)?;
    let found = match find(&given, &mut net, signal_ca(config)?, paths).await {
        Ok(found) => found,
        Err(error) => {
            // What goes wrong while typing a command line is another matter than what a service says.
            let Some(failed) = error.downcast_ref::<JoinError>() else {
                return Err(error);
            };
            pillion::say!("pillion: {failed}");
            return Ok(exit_code(failed));
        }
    };
    let token = args.grant.or_else(|| std::env::var("PILLION_GRANT").ok());
    let grants = match token.filter(|token| !token.trim().is_empty()) {
        Some(token) => vec![token.parse::<GrantToken>()?],
        None => Vec::new(),
    };
    private_dir(&paths.config)?;
    let identity = load_or_create_identity(&paths.config)?;
    let session = PublicKey::from_bytes(found.ticket.addr.id.as_bytes())
        .context("this ticket is damaged: copy it again, whole")?;
    let prover = Prover {
        dir: paths.config.clone(),
        config: config.clone(),
        identity: identity.public(),
        device: args.device,
    };
    let prove = args.prove.unwrap_or_else(|| config.join_as());
    let claims = prover.claims(&prove.0, &session).await?;
    let name = args.name.unwrap_or_else(|| config.name().to_owned());
    let shown = Name::of(&name);
    if shown.as_str() != name.trim() {
        let why = name.parse::<Name>().err().unwrap_or(NotAName::Empty);
        pillion::say!("pillion: the host will see you as \"{shown}\": {why}");
    }
    let options = Options {
        ticket: found.ticket,
        resolver: found.resolver,
        endpoint: found.endpoint,
        grants,
        claims,
        identity,
        name,
        read_only: args.read_only,
        terminal: args.terminal.map(TrackId),
        relay: args.relay.unwrap_or_else(|| config.relay()),
        net,
        inside: inside(),
    };
    let read_only = options.read_only;
    let mut visit = None;
    let outcome = if args.text {
        ViewerLoop::start(options)?.text().await?
    } else if args.follow {
        ViewerLoop::start(options)?.follow().await?
    } else {
        let tty = HostTty::open_output()?.context(
            "there is no terminal to show the session in; use --text for the screen as text, or --follow for its lines as they come",
        )?;
        let viewer = ViewerLoop::start(options)?;
        let (outcome, seen) = viewer
            .full_screen(tty, config.prefix(), config.notify(), read_only)
            .await?;
        visit = seen;
        outcome
    };
    Ok(said(outcome, visit))
}

/// Says how it ended, and gives what to exit with.
pub fn said(outcome: Outcome, visit: Option<Visit>) -> u8 {
    match outcome {
        Outcome::Left | Outcome::Detached => {
            if let Some(Visit { session, lasted }) = visit {
                let lasted = span(lasted.max(1000));
                pillion::say!("You left “{session}” after {lasted}. The same command joins again.");
            }
            0
        }
        Outcome::Ended(text) => {
            match visit {
                Some(Visit { lasted, .. }) => {
                    pillion::say!("{text} (you were there for {})", span(lasted.max(1000)))
                }
                None => pillion::say!("{text}"),
            }
            0
        }
        Outcome::Refused(text) => {
            pillion::say!("pillion: {text}");
            exit::REFUSED
        }
        Outcome::NoTerminal(text) => {
            pillion::say!("pillion: {text}");
            exit::NOT_FOUND
        }
        Outcome::Unreachable(text) => {
            pillion::say!("pillion: {text}");
            exit::UNREACHABLE
        }
        Outcome::Signalled(signal) => signal.exit_code(),
        Outcome::Unread => 0,
    }
}

/// A viewer for a script, which shows nothing: of the session that a ticket, link or code leads to. Else what to exit
/// with.
pub async fn headless(
    paths: &Paths,
    config: &Config,
    given: &str,
) -> Result<std::result::Result<ViewerLoop, u8>> {
    let mut net = net_options(config, None, None)?;
    let found = match find(given, &mut net, signal_ca(config)?, paths).await {
        Ok(found) => found,
        Err(error) => {
            let Some(failed) = error.downcast_ref::<JoinError>() else {
                return Err(error);
            };
            pillion::say!("pillion: {failed}");
            return Ok(Err(exit_code(failed)));
        }
    };
    private_dir(&paths.config)?;
    let options = Options {
        ticket: found.ticket,
        resolver: found.resolver,
        endpoint: found.endpoint,
        grants: Vec::new(),
        claims: Claims::default(),
        identity: load_or_create_identity(&paths.config)?,
        name: config.name().to_owned(),
        read_only: false,
        terminal: None,
        relay: config.relay(),
        net,
        inside: inside(),
    };
    Ok(Ok(ViewerLoop::start(options)?))
}

/// What was given leads here.
struct Found {
    ticket: Ticket,
    /// Asks for a newer ticket, where there is a link to ask by.
    resolver: Option<Resolver>,
    /// The endpoint's key, where the host was told of it.
    endpoint: Option<SecretKey>,
}

/// From a ticket, link or code to a ticket. A link's service is where its host leaves its address
/// records, too.
async fn find(
    given: &str,
    net: &mut NetOptions,
    ca: Option<RelayCa>,
    paths: &Paths,
) -> Result<Found> {
    if given.contains("://") || given.contains("/s/") {
        let link: LinkUrl = given.parse()?;
        net.signal = Some(SignalService {
            url: link.service().parse()?,
            ca: ca.clone(),
        });
        let mut resolver = Resolver::new(link, ca)?;
        return Ok(Found {
            ticket: resolver.resolve(unix_ms).await?,
            resolver: Some(resolver),
            endpoint: None,
        });
    }
    if Code::is_meant(given) {
        let code: Code = given.parse()?;
        let Some(service) = &net.signal else {
            bail!(
                "a code is looked up at the host's link service: give its URL with --signal, or as signal in the settings (pillion config edit)"
            );
        };
        let endpoint = SecretKey::from_bytes(&random_bytes()?);
        return Ok(Found {
            ticket: redeem(service, &code, endpoint.public().as_bytes()).await?,
            resolver: None,
            endpoint: Some(endpoint),
        });
    }
    let ticket = match given.parse() {
        Ok(ticket) => ticket,
        Err(error) => match by_name(given, net, paths).await? {
            Some(ticket) => ticket,
            None => return Err(anyhow::Error::from(error)),
        },
    };
    Ok(Found {
        ticket,
        resolver: None,
        endpoint: None,
    })
}

/// The ticket of a session of that name on another device of this person's; `None` where there is no
/// other device, or where it can't be a name.
async fn by_name(given: &str, net: &NetOptions, paths: &Paths) -> Result<Option<Ticket>> {
    let linked = Devices::load(paths)?.is_some_and(|devices| devices.group.is_some());
    if !linked || given.is_empty() || given.chars().count() > 2 * MAX_NAME + 1 {
        return Ok(None);
    }
    let Some(service) = &net.signal else {
        return Ok(None);
    };
    let seen = Directory::new(service, paths)?.others().await?;
    let running = seen.iter().flat_map(Seen::running);
    let full = |session: &Running| format!("{}/{}", session.device, session.name);
    let mut fitting: Vec<Running> = running
        .filter(|session| session.name == given || full(session) == given)
        .collect();
    let shown = clean_name(given, MAX_NAME);
    match fitting.len() {
        0 => {
            if let Some(why) = silence(&seen) {
                pillion::say!("pillion: {why}");
            }
            Err(NoSuchSession::named(&format!(
                "\"{shown}\" is no ticket, and no session of that name is shared on another device of yours; `pillion ls --all-devices` lists those that are"
            ))
            .into())
        }
        1 => Ok(Some(fitting.remove(0).ticket)),
        _ => {
            let choices: Vec<String> = fitting.iter().map(full).collect();
            bail!(
                "\"{shown}\" could be any of {}; say which",
                choices.join(", ")
            )
        }
    }
}

fn exit_code(failed: &JoinError) -> u8 {
    match failed {
        JoinError::Service(_) => exit::UNREACHABLE,
        JoinError::EndedOrWithheld { .. } => exit::NOT_FOUND,
        _ => exit::REFUSED,
    }
}

/// A ticket, link or code, from wherever it comes.
fn given(args: &JoinArgs) -> Result<String> {
    let given = raw(args)?;
    let given = given.trim();
    let given = given.strip_prefix("pillion join ").unwrap_or(given);
    Ok(given.trim().trim_matches(['\'', '"']).to_owned())
}

fn raw(args: &JoinArgs) -> Result<String> {
    match args.ticket.as_deref() {
        Some("-") => line_of_stdin(),
        Some(ticket) => Ok(ticket.to_owned()),
        None => match std::env::var("PILLION_TICKET") {
            Ok(ticket) if !ticket.is_empty() => Ok(ticket),
            _ if io::stdin().is_terminal() => {
                pillion::prompt!("Ticket, link or code: ");
                pasted()
            }
            _ => usage::error(
                "no ticket was given: `pillion join TICKET`, or `pillion join -` to read it from standard input",
            ),
        },
    }
}

/// What is typed at the prompt, or pasted there, in one line or in those that a mail program made of it. Nothing of it
/// is left for the shell.
fn pasted() -> Result<String> {
    let mut text = String::new();
    let mut stdin = io::Read::take(io::stdin().lock(), MAX_TICKET_CHARS as u64 + 1);
    let mut read = stdin.read_line(&mut text)?;
    while read > 0 && more_comes() {
        read = stdin.read_line(&mut text)?;
    }
    // What fails has no more to lose.
    let _ = rustix::termios::tcflush(rustix::stdio::stdin(), QueueSelector::IFlush);
    Ok(text.lines().map(str::trim).collect())
}

/// Whether another line of a paste waits to be read, or comes in a moment.
fn more_comes() -> bool {
    let stdin = rustix::stdio::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&PASTE_GOES_ON)).is_ok_and(|ready| ready > 0)
}

fn line_of_stdin() -> Result<String> {
    if io::stdin().is_terminal() {
        return pasted();
    }
    // Tickets wrapped over lines by a mail program come in one piece only if all is read.
    let mut line = String::new();
    let mut stdin = io::Read::take(io::stdin().lock(), MAX_TICKET_CHARS as u64 + 1);
    io::Read::read_to_string(&mut stdin, &mut line)?;
    Ok(line)
}

/// The sessions this process runs inside of, as their hosts told the programs in them.
fn inside() -> Vec<PublicKey> {
    let keys = std::env::var("PILLION_INSIDE").unwrap_or_default();
    keys.split(',')
        .filter_map(|key| key.trim().parse().ok())
        .collect()
}
