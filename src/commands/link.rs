//! `pillion link`.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use pillion::{
    clock::unix_ms,
    net::signal::{Resolver, SignalUrl},
    session::verbs,
    sessions::{
        control::{self, Request},
        select,
    },
    settings::{config::Config, paths::Paths},
};
use tokio::time;

use crate::{
    args::OnlySession,
    commands::{draw_qr, say, signal_ca},
};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion link                                  of the session you are in, or the only one there is
  pillion link --qr                             for a phone
  pillion link --signal https://signal.example  where the session has no link service
  pillion link --off                            end it; the ticket holds, and who is here stays";

/// Flags of `link`.
#[derive(Debug, Args)]
pub struct LinkArgs {
    /// Which session.
    #[command(flatten)]
    pub session: OnlySession,

    /// The link service's URL; the one the session has, by default. A link at another one ends.
    #[arg(long, value_name = "URL", conflicts_with = "off")]
    pub signal: Option<SignalUrl>,

    /// Print {"session","link","join"}.
    #[arg(long, conflicts_with = "off")]
    pub json: bool,

    /// Draw the link as a QR code too, on standard error.
    #[arg(long, conflicts_with = "off")]
    pub qr: bool,

    /// End the link; the session and its ticket stay.
    #[arg(long)]
    pub off: bool,
}

/// How long the link may take to work before it is said that it does not, and how often it is tried.
const WORKS_WITHIN: Duration = Duration::from_secs(3);
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// Runs it.
pub async fn run(paths: &Paths, config: &Config, args: &LinkArgs) -> Result<()> {
    let session = select::running(paths, args.session.wanted().as_deref())?;
    let socket = paths.socket(&session.meta.id);
    if args.off {
        say(&control::command(&socket, verbs::EndLink {}.into()).await?);
        return Ok(());
    }
    let service = args.signal.as_ref().map(ToString::to_string);
    let link = control::text(&socket, &Request::Publish { service }).await?;
    let trouble = trouble(&link, config).await?;
    if args.json {
        let join = format!("pillion join '{link}'");
        let object = serde_json::json!({ "session": session.meta.id, "link": link, "join": join });
        pillion::output!("{object}")?;
    } else {
        pillion::output!("{link}")?;
    }
    if let Some(why) = trouble {
        pillion::say!("pillion: the link does not work yet: {why}. The session goes on trying.");
    }
    if args.qr {
        draw_qr(&link);
    }
    Ok(())
}

/// Waits until the link leads somewhere, as it would for the one who is given it; else why it does not.
async fn trouble(link: &str, config: &Config) -> Result<Option<String>> {
    let mut resolver = Resolver::new(link.parse()?, signal_ca(config)?)?;
    let mut why = "the link service does not answer".to_owned();
    let works = async {
        while let Err(error) = resolver.resolve(unix_ms).await {
            why = error.to_string();
            time::sleep(TRY_AGAIN).await;
        }
    };
    let works = time::timeout(WORKS_WITHIN, works).await;
    Ok(works.is_err().then_some(why))
}
