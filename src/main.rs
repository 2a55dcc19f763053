//! The `pillion` command: flags to wiring to exit code.

mod args;
mod commands;
mod completion;
mod hidden;
mod usage;

use std::{path::Path, process::ExitCode};

use anyhow::Result;
use pillion::{
    session::{Command, CommandError, verbs},
    sessions::{
        control::{NoSession, Unreachable},
        select::NoSuchSession,
    },
    settings::{
        config::Config,
        paths::{Paths, open_log},
    },
    terminal::console::{explain, is_unread},
    tui::words::Refusal,
};

use crate::{
    args::{Cli, Cmd},
    commands::exit,
    hidden::Role,
};

fn main() -> ExitCode {
    completion::complete();
    // Before anything else: what is a secret of it is seen until then.
    let (cli, role) = hidden::parse();
    start_logging();
    match run(cli, role) {
        Ok(code) => ExitCode::from(code),
        // What was wanted of it was read: `pillion ls | head` is no error.
        Err(error) if is_unread(&error) => ExitCode::SUCCESS,
        Err(error) => {
            pillion::say!("pillion: {}", explain(&error));
            ExitCode::from(exit_code(&error))
        }
    }
}

fn run(cli: Cli, role: Role) -> Result<u8> {
    match &cli.command {
        // These need neither settings nor a runtime, and must work where there is no home.
        Some(Cmd::Completions { shell }) => {
            return commands::completions::run(*shell).map(|()| 0);
        }
        Some(Cmd::Man { dir }) => return commands::man::run(dir).map(|()| 0),
        _ => {}
    }
    let paths = Paths::from_env()?;
    if let Some(Cmd::Config(command)) = &cli.command {
        return commands::config::run(&paths, command).map(|()| 0);
    }
    // One thread runs everything: a keystroke's way through the process has no hand-over in it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(dispatch(cli, role, &paths));
    // Whatever still runs in the background must not hold up the exit.
    runtime.shutdown_background();
    result
}

async fn dispatch(cli: Cli, role: Role, paths: &Paths) -> Result<u8> {
    let config = || Config::load(&paths.config_file());
    match cli.command {
        None => return commands::host::run(paths, &config()?, cli.run, role).await,
        Some(Cmd::Join(args)) => return commands::join::run(paths, &config()?, args).await,
        Some(Cmd::Agent(args)) => return commands::agent::run(paths, &config()?, args, role).await,
        Some(Cmd::Run(args)) => return commands::run::run(paths, &config()?, *args, role).await,
        Some(Cmd::Fork(args)) => return commands::fork::run(paths, &config()?, args).await,
        Some(Cmd::Trust(args)) => commands::trust::run(paths, args).await?,
        Some(Cmd::Prompt(args)) => return commands::prompt::run(paths, &config()?, args).await,
        Some(Cmd::Answer(args)) => return commands::answer::run(paths, &config()?, args).await,
        Some(Cmd::Conversation(args)) => {
            return commands::conversation::run(paths, &config()?, args).await;
        }
        Some(Cmd::Acp(args)) => return commands::acp::run(paths, &config()?, args).await,
        Some(Cmd::Attach(args)) => return commands::attach::run(paths, &config()?, &args).await,
        Some(Cmd::Share(args)) => {
            return commands::share::run(paths, &config()?, *args, role).await;
        }
        Some(Cmd::Stop(args)) => commands::stop::run(paths, &args).await?,
        Some(Cmd::Ticket(args)) => commands::ticket::run(paths, &args).await?,
        Some(Cmd::Link(args)) => commands::link::run(paths, &config()?, &args).await?,
        Some(Cmd::Code(args)) => commands::code::run(paths, &args).await?,
        Some(Cmd::Who(args)) => commands::who::run(paths, &args).await?,
        Some(Cmd::Grant(args)) => commands::grant::run(paths, &args).await?,
        Some(Cmd::Revoke(args)) => commands::revoke::run(paths, &config()?, &args).await?,
        Some(Cmd::Allow(args)) => commands::allow::run(paths, &config()?, &args).await?,
        Some(Cmd::Admit(args)) => commands::admit::run(paths, &args).await?,
        Some(Cmd::Refuse(args)) => commands::refuse::run(paths, &args).await?,
        Some(Cmd::Ban(args)) => {
            let ban = |target| Command::Ban(verbs::Ban { target });
            commands::ban::run(paths, &config()?, &args, ban).await?
        }
        Some(Cmd::Unban(args)) => {
            let unban = |target| Command::Unban(verbs::Unban { target });
            commands::ban::run(paths, &config()?, &args, unban).await?
        }
        Some(Cmd::New(args)) => commands::new::run(paths, &config()?, args).await?,
        Some(Cmd::Close(args)) => commands::close::run(paths, &args).await?,
        Some(Cmd::Kick(args)) => commands::kick::run(paths, &args).await?,
        Some(Cmd::Ls(args)) if args.all_devices => {
            commands::ls::all_devices(paths, &config()?, &args).await?
        }
        Some(Cmd::Id(args)) => commands::id::run(paths, &config()?, &args)?,
        Some(Cmd::People(args)) => commands::people::run(paths, &config()?, args).await?,
        Some(Cmd::Team(command)) => commands::team::run(paths, command).await?,
        Some(Cmd::Ls(args)) => commands::ls::run(paths, &args).await?,
        Some(Cmd::Export(args)) => commands::export::run(paths, &args).await?,
        Some(Cmd::Device(command)) => commands::device::run(paths, &config()?, command).await?,
        Some(Cmd::Audit(args)) => commands::audit::run(paths, &args).await?,
        Some(Cmd::Rm(args)) => commands::rm::run(paths, &args)?,
        Some(Cmd::Config(_) | Cmd::Completions { .. } | Cmd::Man { .. }) => {}
    }
    Ok(0)
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<NoSuchSession>() || error.is::<NoSession>() {
        return exit::NOT_FOUND;
    }
    if error.is::<Unreachable>() {
        return exit::UNREACHABLE;
    }
    match error.downcast_ref::<Refusal>() {
        Some(Refusal(CommandError::Unknown { .. })) => exit::NOT_FOUND,
        Some(Refusal(error)) if error.is_said_no() => exit::REFUSED,
        _ => 1,
    }
}

/// Logs go where PILLION_LOG says (a file), filtered by PILLION_LOG_LEVEL; nowhere by default, because
/// the terminal belongs to the program that is shared.
fn start_logging() {
    let Some(path) = std::env::var_os("PILLION_LOG") else {
        return;
    };
    let file = match open_log(Path::new(&path)) {
        Ok(file) => file,
        Err(error) => {
            let path = path.to_string_lossy();
            pillion::say!(
                "pillion: the log file {path} could not be opened ({error}); going on without"
            );
            return;
        }
    };
    let level = std::env::var("PILLION_LOG_LEVEL").unwrap_or_else(|_| "info".to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(level)
        .with_ansi(false)
        // It would be said on standard error, with a panic where nobody reads that.
        .log_internal_errors(false)
        .with_writer(std::sync::Mutex::new(file))
        .init();
}
