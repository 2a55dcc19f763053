//! `pillion` and `pillion --share`: run a program, share it.

use std::{
    fs::OpenOptions,
    io::{IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, Result};
use pillion::{
    config::Config,
    hosting::{Hosting, Options},
    net::load_or_create_identity,
    paths::{Paths, private_dir},
    proto::{Allow, limits::MAX_NAME},
    proving,
    screen::clean::clean_name,
    select,
    source::{Program, SpawnError},
    teams,
    tui::{Multiplexer, clipboard},
};

use crate::{args::RunArgs, commands::net_options};

/// Runs it; the exit code is the program's.
pub async fn run(paths: &Paths, config: &Config, args: RunArgs) -> Result<u8> {
    private_dir(&paths.config)?;
    let identity = load_or_create_identity(&paths.config)?;
    let program = if !args.program.is_empty() {
        Program::new(args.program.iter().cloned())
    } else if let Some(shell) = config.shell() {
        Program::new([shell])
    } else {
        Program::shell()
    };
    let again = args
        .restart
        .as_deref()
        .map(|wanted| select::ended(paths, wanted))
        .transpose()?;
    let name = args.name.clone();
    let name = name.or_else(|| again.as_ref().map(|session| session.meta.name.clone()));
    let options = Options {
        name: clean_name(&name.unwrap_or_else(|| default_name(&program)), MAX_NAME),
        again: again.map(|session| session.meta.id),
        host_name: config.name().to_owned(),
        read_only: args.read_only,
        edit_ttl: config.edit_expires().0,
        relay: args.relay.clone().unwrap_or_else(|| config.relay()),
        net: net_options(config)?,
        keep: args.keep.unwrap_or_else(|| config.keep()),
        prefix: config.prefix(),
        allow: args.allow.unwrap_or_else(|| config.allow()),
        allow_said: args.allow.is_some(),
        teams: args.team.clone(),
        knock_wait: config.knock_wait().0,
        issuer: proving::client(config)?,
        removals: teams::removals(&paths.config)?,
        ..Options::new(program, identity)
    };
    let prefix = options.prefix.to_string();
    let mut hosting = Hosting::prepare(options, paths)?;
    if args.share {
        let ticket = hosting.share().await?;
        announce(&hosting, &ticket, &args, config, &prefix)?;
    } else if !args.quiet && hosting.has_tty() {
        eprintln!(
            "A private session ({}). `pillion share` shares it from then on; {prefix} opens the panel.",
            hosting.id()
        );
    }
    match hosting.run().await {
        Ok(status) => Ok(status.code()),
        Err(error) => match error.downcast_ref::<SpawnError>() {
            Some(spawn) => {
                let code = spawn.exit_code();
                eprintln!("pillion: {error:#}");
                Ok(code)
            }
            None => Err(error),
        },
    }
}

fn announce(
    hosting: &Hosting,
    ticket: &str,
    args: &RunArgs,
    config: &Config,
    prefix: &str,
) -> Result<()> {
    let join = format!("pillion join {ticket}");
    let object = serde_json::json!({
        "session": hosting.id(),
        "ticket": ticket,
        "join": join,
        "read_only": args.read_only,
        "allow": args.allow.unwrap_or_else(|| config.allow()).as_str(),
        "pid": std::process::id(),
    });
    if let Some(file) = &args.ticket_file {
        let content = if args.json {
            object.to_string()
        } else {
            ticket.to_owned()
        };
        write_private(file, &content)
            .with_context(|| format!("the ticket could not be written to {}", file.display()))?;
    }
    if args.json {
        eprintln!("{object}");
    } else if !args.quiet {
        let who = match args.allow.unwrap_or_else(|| config.allow()) {
            Allow::Link => "Shared, view-only. To ride along:",
            Allow::Invited => {
                "Shared, view-only, with people you allow (pillion allow PERSON). Others who have this knock, \
                 and you are asked:"
            }
            Allow::Team if args.team.is_empty() => {
                "Shared, view-only, with members of a team: name it (pillion allow team:KEY). To ride along:"
            }
            Allow::Team => "Shared, view-only, with members of the team. To ride along:",
        };
        eprintln!("{who}\n\n  {join}\n");
        if hosting.has_tty() {
            let grant = if args.read_only {
                ""
            } else {
                "  pillion grant NAME --edit   let somebody type\n"
            };
            eprintln!(
                "{grant}  pillion who                 see who is here\n  pillion stop                end sharing; the shell goes on\n  {prefix:<27} the same in a panel"
            );
        }
    }
    if config.clipboard() && !args.quiet && hosting.has_tty() && std::io::stdout().is_terminal() {
        let multiplexer = Multiplexer::detect(|name| std::env::var(name).ok());
        let mut out = std::io::stdout().lock();
        out.write_all(&clipboard(&join, multiplexer))?;
        out.flush()?;
    }
    Ok(())
}

/// Writes a secret where only its owner can read it, whole or not at all.
fn write_private(file: &Path, content: &str) -> Result<()> {
    let mut name = file
        .file_name()
        .context("that is not a file's name")?
        .to_owned();
    name.push(format!(".{}", std::process::id()));
    let part = file.with_file_name(name);
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)?;
    let written = out
        .write_all(content.as_bytes())
        .and_then(|()| out.write_all(b"\n"));
    if let Err(error) = written.and_then(|()| std::fs::rename(&part, file)) {
        let _ = std::fs::remove_file(&part);
        return Err(error.into());
    }
    Ok(())
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
