//! `pillion conversation`, and where a conversation is that a command is about.

use anyhow::{Context, Result, bail};
use clap::Args;
use pillion::{
    code::Code,
    conversation::{Changes, Conversation},
    proto::{ConversationRequest, TrackId, TrackKind},
    session::verbs,
    sessions::{
        changes, control,
        conversation::{self, Printer},
        recording::{self, RecordedTrack},
        select::{self, NoSuchSession},
    },
    settings::{config::Config, paths::Paths},
    source::ExitSignals,
    store::SessionReader,
    viewing::{
        conversation::Wanted,
        viewer_loop::{Outcome, ViewerLoop},
    },
};

use crate::{
    commands::{exit, join},
    completion,
};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion conversation                     what was said so far, of the session on this machine
  pillion conversation TICKET --follow     of another machine's, and what is said from now on
  pillion conversation --json              how it stands: activity, waiting prompts, open questions
  pillion conversation --changes           what changed in the files; --turn 3 of one turn
  pillion conversation --log               every message of the protocol, as it was recorded
  pillion conversation --cancel            stop what the agent is doing
  pillion conversation --restart           start an agent again that died or hangs, to go on from what was said
  pillion conversation --rename \"The parser\"
                                           call it something else";

/// Where a conversation is.
#[derive(Debug, Args)]
pub struct Place {
    /// The session: one of this machine, or the ticket, link or code of another one; the one you are in, or the only
    /// one, by default.
    #[arg(long, value_name = "SESSION|TICKET", add = completion::running())]
    pub session: Option<String>,

    /// Which conversation of the session, by its number in `pillion ls SESSION`; the first, by default.
    #[arg(long = "conversation", value_name = "N")]
    pub track: Option<u32>,
}

/// Whether it leads to a session elsewhere, and should not be seen in a list of processes.
fn is_secret(given: &str) -> bool {
    let is_code = given.contains('-') && Code::is_meant(given);
    given.starts_with("pillion") || given.contains("/s/") || is_code
}

impl Place {
    /// What should not be seen in a list of processes.
    pub fn ticket(&self) -> Option<&str> {
        self.session.as_deref().filter(|given| is_secret(given))
    }

    /// What was given, or the session that this process runs in.
    fn wanted(&self) -> Option<String> {
        let given = self.session.clone();
        given.or_else(|| std::env::var("PILLION_SESSION").ok())
    }

    fn track(&self) -> Option<TrackId> {
        self.track.map(TrackId)
    }
}

/// A conversation that was found.
pub enum Found {
    /// In a session of this machine.
    Here {
        /// Its id.
        session: String,
        /// Which conversation.
        track: Option<TrackId>,
    },
    /// Somewhere, seen by a viewer.
    There {
        /// The viewer.
        viewer: Box<ViewerLoop>,
        /// Which conversation.
        track: TrackId,
        /// What ends the command.
        signals: ExitSignals,
    },
}

/// Finds it. Else what to exit with.
pub async fn find(
    paths: &Paths,
    config: &Config,
    place: &Place,
) -> Result<std::result::Result<Found, u8>> {
    let track = place.track();
    let wanted = place.wanted();
    let here = match wanted.as_deref().filter(|given| is_secret(given)) {
        Some(_) => None,
        None => match select::running(paths, wanted.as_deref()) {
            Ok(session) => Some(session.meta.id),
            // It may be the name of a session on another device.
            Err(error) if error.is::<NoSuchSession>() && wanted.is_some() => None,
            Err(error) => return Err(error),
        },
    };
    if let Some(session) = here {
        return Ok(Ok(Found::Here { session, track }));
    }
    let given = wanted.as_deref().unwrap_or_default();
    let mut viewer = match join::headless(paths, config, given).await? {
        Ok(viewer) => viewer,
        Err(code) => return Ok(Err(code)),
    };
    let mut signals = ExitSignals::new()?;
    match viewer.conversation(track, &mut signals).await {
        Ok(track) => Ok(Ok(Found::There {
            viewer: Box::new(viewer),
            track,
            signals,
        })),
        Err(outcome) => {
            viewer.leave().await;
            Ok(Err(join::said(outcome, None)))
        }
    }
}

impl Found {
    /// The conversation as it is now.
    pub fn shown(&self, paths: &Paths) -> Result<Conversation> {
        match self {
            Found::Here { session, track } => {
                let reader = SessionReader::open(&paths.sessions, session)?;
                conversation::folded(&reader, &recorded(&reader, *track)?)
            }
            Found::There { viewer, track, .. } => {
                let shown = viewer.shown(*track);
                Ok(shown.context("the conversation is gone")?.clone())
            }
        }
    }

    /// Has something done, and gives what to exit with.
    pub async fn converse(&mut self, paths: &Paths, request: ConversationRequest) -> Result<u8> {
        match self {
            Found::Here { session, track } => {
                let track = *track;
                let converse = verbs::Converse { track, request };
                control::command(&paths.socket(session), converse.into()).await?;
                Ok(0)
            }
            Found::There {
                viewer,
                track,
                signals,
            } => Ok(match viewer.converse(*track, request, signals).await {
                Wanted::Done => 0,
                Wanted::NotDone(why) => {
                    pillion::say!("pillion: {why}");
                    exit::REFUSED
                }
                Wanted::Over(outcome) => join::said(outcome, None),
            }),
        }
    }

    /// Says goodbye, where somebody else is.
    pub async fn leave(self) {
        if let Found::There { viewer, .. } = self {
            viewer.leave().await;
        }
    }
}

/// The newest conversation of a session with this number, or the first of its newest run.
pub fn recorded(reader: &SessionReader, wanted: Option<TrackId>) -> Result<RecordedTrack> {
    let mut all = recording::tracks(reader);
    all.retain(|track| track.kind == TrackKind::Conversation);
    let newest = all.iter().map(|track| track.run).max();
    all.retain(|track| Some(track.run) == newest);
    all.sort_by_key(|track| track.track);
    let mut all = all.into_iter();
    let found = all.find(|track| wanted.is_none_or(|wanted| wanted == track.track));
    match found {
        Some(track) => Ok(track),
        None => bail!(
            "this session has no such conversation with an agent; `pillion ls SESSION` lists what it has, and \
             `pillion agent --session SESSION` begins one"
        ),
    }
}

/// Flags of `conversation`.
#[derive(Debug, Args)]
pub struct ConversationArgs {
    /// The same as --session.
    #[arg(value_name = "SESSION|TICKET", conflicts_with = "session", add = completion::running())]
    pub named: Option<String>,

    /// Which.
    #[command(flatten)]
    pub place: Place,

    /// Print how it stands as JSON: activity, waiting prompts, open questions, usage.
    #[arg(long, conflicts_with_all = ["follow", "log"])]
    pub json: bool,

    /// Go on with what is said, until the session ends.
    #[arg(long, conflicts_with = "log")]
    pub follow: bool,

    /// Print every message of the protocol as it was recorded, one a line. Of a session of this machine.
    #[arg(long)]
    pub log: bool,

    /// Print what changed in the files since the start, as git sees it; with --json as JSON.
    #[arg(long, conflicts_with_all = ["follow", "log", "cancel", "restart", "rename"])]
    pub changes: bool,

    /// With --changes: in this turn, counted from 1.
    #[arg(long, value_name = "N", requires = "changes")]
    pub turn: Option<u64>,

    /// Stop the turn that runs.
    #[arg(long, conflicts_with_all = ["json", "follow", "log", "restart", "rename"])]
    pub cancel: bool,

    /// Start the agent again. It goes on with its own session where it can, and else reads what was said.
    #[arg(long, conflicts_with_all = ["json", "follow", "log", "rename"])]
    pub restart: bool,

    /// Call the conversation something else.
    #[arg(long, value_name = "TITLE", conflicts_with_all = ["json", "follow", "log"])]
    pub rename: Option<String>,
}

impl ConversationArgs {
    /// What is to become of the conversation, if anything is.
    fn request(&self) -> Option<ConversationRequest> {
        match (&self.rename, self.cancel, self.restart) {
            (Some(title), ..) => Some(ConversationRequest::Rename {
                title: title.clone(),
            }),
            (_, true, _) => Some(ConversationRequest::Cancel),
            (.., true) => Some(ConversationRequest::Restart),
            _ => None,
        }
    }
}

impl ConversationArgs {
    /// Where it is, however that was given.
    fn place(&self) -> Place {
        Place {
            session: self.named.clone().or_else(|| self.place.session.clone()),
            track: self.place.track,
        }
    }

    /// What should not be seen in a list of processes.
    pub fn ticket(&self) -> Option<&str> {
        let named = self.named.as_deref().filter(|given| is_secret(given));
        named.or_else(|| self.place.ticket())
    }
}

/// Runs it.
pub async fn run(paths: &Paths, config: &Config, args: ConversationArgs) -> Result<u8> {
    let mut found = match find(paths, config, &args.place()).await? {
        Ok(found) => found,
        Err(code) => return Ok(code),
    };
    if let Some(request) = args.request() {
        let done = found.converse(paths, request).await;
        found.leave().await;
        return done;
    }
    if args.log {
        let Found::Here { session, track } = &found else {
            found.leave().await;
            bail!(
                "--log reads the recording of a session on this machine, and this one is elsewhere"
            );
        };
        let reader = SessionReader::open(&paths.sessions, session)?;
        conversation::each_entry(&reader, &recorded(&reader, *track)?, |entry| {
            let line = String::from_utf8_lossy(&entry.json);
            Ok(pillion::output!("{line}")?)
        })?;
        return Ok(0);
    }
    if args.changes {
        let shown = found.shown(paths)?;
        let printed = print_changes(shown.changes(), args.turn, args.json);
        found.leave().await;
        return printed;
    }
    if args.json {
        let shown = found.shown(paths)?;
        pillion::output!("{}", conversation::standing(&shown))?;
        found.leave().await;
        return Ok(0);
    }
    let mut printer = Printer::default();
    let mut out = Vec::new();
    // What goes on is seen as viewers see it.
    if args.follow && matches!(found, Found::Here { .. }) {
        found = match followed(paths, config, &found).await? {
            Ok(found) => found,
            Err(code) => return Ok(code),
        };
    }
    let outcome = loop {
        let shown = found.shown(paths)?;
        printer.print(&shown, !args.follow, &mut out)?;
        put(&mut out)?;
        match &mut found {
            Found::There {
                viewer, signals, ..
            } if args.follow => {
                if let Some(outcome) = viewer.changed(signals).await {
                    break outcome;
                }
            }
            _ => break Outcome::Left,
        }
    };
    if args.follow {
        printer.print(&found.shown(paths)?, true, &mut out)?;
        put(&mut out)?;
    }
    found.leave().await;
    Ok(join::said(outcome, None))
}

/// Prints what changed, and gives what to exit with.
fn print_changes(known: &Changes, turn: Option<u64>, json: bool) -> Result<u8> {
    let wanted = turn.map_or(changes::Wanted::Start, changes::Wanted::Turn);
    let missing = changes::missing(known, wanted);
    if json {
        pillion::output!("{}", changes::to_json(known, wanted))?;
    } else if missing.is_none() {
        let mut out = Vec::new();
        changes::write(known, wanted, &mut out)?;
        put(&mut out)?;
    }
    match missing {
        Some(why) => {
            pillion::say!("pillion: {why}");
            Ok(exit::NOT_FOUND)
        }
        None => Ok(0),
    }
}

/// Prints lines.
fn put(lines: &mut Vec<u8>) -> Result<()> {
    let text = String::from_utf8_lossy(lines);
    if let Some(text) = text.strip_suffix('\n') {
        pillion::output!("{text}")?;
    }
    lines.clear();
    Ok(())
}

/// The same conversation of this machine, as a viewer sees it.
async fn followed(
    paths: &Paths,
    config: &Config,
    found: &Found,
) -> Result<std::result::Result<Found, u8>> {
    let Found::Here { session, track } = found else {
        bail!("it is followed already");
    };
    let ticket = verbs::Ticket { new: false };
    let done = control::command(&paths.socket(session), ticket.into()).await?;
    let pillion::session::Reply::Ticket(ticket) = done.reply else {
        bail!("the session gave no ticket; this is a defect of pillion");
    };
    let place = Place {
        session: Some(ticket),
        track: track.map(|track| track.0),
    };
    Box::pin(find(paths, config, &place)).await
}
