//! `pillion share`: start a session that is shared, or share one that runs.

use std::io::IsTerminal;

use anyhow::Result;
use clap::Args;
use pillion::{
    people::{Invited, SubjectRef},
    proto::Rights,
    session::{Reply, verbs},
    sessions::{
        control::{self, Request},
        select,
    },
    settings::{config::Config, paths::Paths},
    store::{SessionState, SessionSummary},
};

use crate::{
    commands::{
        draw_qr,
        greeting::Ways,
        host::{self, RunArgs, SharingArgs, StartArgs, write_ticket},
        say,
    },
    completion,
    hidden::Role,
    usage,
};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion share                        start a shell and share it; inside a session, share that one
  pillion share -- cargo test          share one command; its exit code is passed on
  pillion share 26ab                   share a session that runs, from what is on its screen now
  pillion share --link --qr            a link too, and as a QR code
  pillion share --code                 a code to say aloud
  pillion share --allow invited        people you allow join, others knock
  pillion share --detach               in the background; `pillion attach` opens it
  pillion share --restart 26ab         an ended session again, with the same ticket
  pillion share --json                 for programs";

/// Flags of `share`.
#[derive(Debug, Args)]
pub struct ShareArgs {
    /// A session that runs (see `pillion ls`), to be shared from what is on its screen now. Without it: the session you
    /// are in; elsewhere a new one is started.
    #[arg(value_name = "SESSION", conflicts_with = "session", add = completion::running())]
    pub place: Option<String>,

    /// The same.
    #[arg(long, value_name = "SESSION", add = completion::running())]
    pub session: Option<String>,

    /// How it is started.
    #[command(flatten)]
    pub start: StartArgs,

    /// How it is shared.
    #[command(flatten)]
    pub sharing: SharingArgs,
}

impl StartArgs {
    /// A flag that means nothing to a session that runs already.
    fn given(&self) -> Option<&'static str> {
        [
            (!self.program.is_empty(), "-- COMMAND"),
            (self.name.is_some(), "--name"),
            (self.restart.is_some(), "--restart"),
            (self.detach, "--detach"),
            (self.tty, "--tty"),
            (self.relay.is_some(), "--relay"),
            (self.resolve.is_some(), "--resolve"),
            (self.keep.is_some(), "--keep"),
        ]
        .into_iter()
        .find_map(|(given, flag)| given.then_some(flag))
    }
}

/// Runs it; the exit code is the program's if one is started.
pub async fn run(paths: &Paths, config: &Config, args: ShareArgs, role: Role) -> Result<u8> {
    let ShareArgs {
        place,
        session,
        start,
        sharing,
    } = args;
    if role == Role::Command
        && let Some(session) = which(paths, place.or(session), &start)?
    {
        publish(paths, &session, &start, &sharing).await?;
        return Ok(0);
    }
    let share = true;
    let run = RunArgs {
        share,
        start,
        sharing,
    };
    host::run(paths, config, run, role).await
}

/// The session that runs and is meant; `None` if a new one is.
fn which(
    paths: &Paths,
    named: Option<String>,
    start: &StartArgs,
) -> Result<Option<SessionSummary>> {
    match (named, start.given()) {
        (Some(named), Some(flag)) => usage::error(&format!(
            "{flag} starts a new session, and \"{named}\" names one that runs: leave out one of the two"
        )),
        (Some(named), None) => select::running(paths, Some(&named)).map(Some),
        (None, Some(_)) => Ok(None),
        (None, None) => {
            let inside = std::env::var("PILLION_SESSION").ok();
            if inside.as_ref().is_some_and(|inside| !inside.is_empty()) {
                return select::running(paths, inside.as_deref()).map(Some);
            }
            // Where no shell can be started, only one that runs can be meant.
            let a_shell_can_start =
                std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
            let runs = |session: &SessionSummary| session.state == SessionState::Live;
            match !a_shell_can_start && select::every(paths)?.iter().any(runs) {
                true => select::running(paths, None).map(Some),
                false => Ok(None),
            }
        }
    }
}

/// Shares a session that runs.
async fn publish(
    paths: &Paths,
    session: &SessionSummary,
    start: &StartArgs,
    sharing: &SharingArgs,
) -> Result<()> {
    if sharing.read_only {
        usage::error("--read-only is decided when a session is started, and this one runs already");
    }
    let socket = paths.socket(&session.meta.id);
    // Before anybody can come.
    if let Some(mode) = sharing.allow {
        control::command(&socket, verbs::SetAccessMode { mode }.into()).await?;
    }
    for team in &sharing.team {
        let target = SubjectRef::Provable(Invited::Team(*team)).into();
        let rights = Rights::VIEW;
        control::command(&socket, verbs::Allow { target, rights }.into()).await?;
    }
    let done = control::command(&socket, verbs::Share { from_start: false }.into()).await?;
    let Reply::Ticket(ticket) = &done.reply else {
        say(&done);
        return Ok(());
    };
    let service = start.signal.as_ref().map(ToString::to_string);
    let link = match sharing.link {
        true => {
            let service = service.clone();
            Some(control::text(&socket, &Request::Publish { service }).await?)
        }
        // Without a link that is no error.
        false => control::text(&socket, &Request::Link).await.ok(),
    };
    let code = match sharing.code {
        true => Some(Ok(control::text(&socket, &Request::Code { service }).await?)),
        false => None,
    };
    let listed = control::command(&socket, verbs::AccessList {}.into()).await?;
    let Reply::AccessList(access) = listed.reply else {
        anyhow::bail!("the session did not say who can join; this is a defect of pillion");
    };
    let ways = Ways {
        session: session.meta.id.clone(),
        ticket: ticket.clone(),
        link,
        code,
        service: control::text(&socket, &Request::Service).await.ok(),
        access,
    };
    let object = ways.object(None);
    if let Some(file) = sharing.ticket_file.clone() {
        let content = match sharing.json {
            true => object.to_string(),
            false => ways.ticket.clone(),
        };
        tokio::task::spawn_blocking(move || write_ticket(&file, &content)).await??;
    }
    if sharing.json {
        pillion::output!("{object}")?;
    } else {
        pillion::output!("pillion join {ticket}")?;
        if !start.quiet {
            if let Some(link) = &ways.link {
                pillion::say!("The link: {link}");
            }
            if ways.code.is_some() {
                pillion::say!("For one person, within ten minutes: {}", ways.shortest().0);
            }
            pillion::say!(
                "Shared from what is on the screen now, view-only. `pillion stop` ends it."
            );
        }
    }
    if sharing.qr {
        draw_qr(&ways.for_qr());
    }
    Ok(())
}
