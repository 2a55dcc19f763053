//! `pillion ls`.

use anyhow::Result;
use clap::Args;
use pillion::{
    clock,
    identity::devices::{Running, Seen, silence},
    net::signal::SignalUrl,
    people::plain_name,
    proto::TrackKind,
    screen::clean::clean_title,
    session::{Reply, SessionStatus, TerminalStatus, verbs},
    sessions::{
        control::{self, Request, Response},
        select,
    },
    settings::{config::Config, paths::Paths},
    store::{SessionState, SessionSummary},
    terminal::table::{Side, Table},
    tui::words::track_state,
};

use crate::completion;

/// Flags of `ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// The terminals of this session instead.
    #[arg(value_name = "SESSION", conflicts_with_all = ["all", "all_devices", "session"], add = completion::running())]
    pub place: Option<String>,

    /// The same.
    #[arg(long, value_name = "SESSION", conflicts_with_all = ["all", "all_devices"], add = completion::running())]
    pub session: Option<String>,

    /// Ended sessions too.
    #[arg(long)]
    pub all: bool,

    /// The shared sessions of your other devices (`pillion device link`); `pillion join NAME` enters one.
    #[arg(long, conflicts_with = "all")]
    pub all_devices: bool,

    /// The link service that your devices find each other by, instead of that of the settings.
    #[arg(long, value_name = "URL", requires = "all_devices")]
    pub signal: Option<SignalUrl>,

    /// Print an array of {"session","name","state","terminal","viewers","started",…}.
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub async fn run(paths: &Paths, args: &LsArgs) -> Result<()> {
    if let Some(session) = args.place.as_ref().or(args.session.as_ref()) {
        return terminals(paths, session, args.json).await;
    }
    let mut sessions = select::every(paths)?;
    sessions.retain(|session| args.all || session.state == SessionState::Live);
    let live = sessions
        .iter()
        .filter(|session| session.state == SessionState::Live);
    let mut said = status(paths, live).await.into_iter();
    let rows: Vec<Row> = sessions
        .into_iter()
        .map(|session| match session.state {
            SessionState::Live => (session, said.next().flatten()),
            _ => (session, None),
        })
        .collect();
    if args.json {
        pillion::output!(
            "{}",
            serde_json::Value::Array(rows.iter().map(json).collect())
        )?;
    } else if rows.is_empty() && args.all {
        pillion::say!("There is no session on this machine. `pillion share` starts one.");
    } else if rows.is_empty() {
        pillion::say!(
            "No session is running. `pillion share` starts one; `pillion ls --all` lists ended ones."
        );
    } else {
        table(&rows)?;
    }
    Ok(())
}

/// `pillion ls SESSION`.
async fn terminals(paths: &Paths, session: &str, json: bool) -> Result<()> {
    let done = super::ask(paths, Some(session), verbs::ListTracks {}).await?;
    let Reply::ListTracks(tracks) = done.reply else {
        return Ok(());
    };
    if json {
        let tracks = tracks.iter().map(|track| {
            serde_json::json!({
                "terminal": track.id.0,
                "kind": kind(track.kind),
                "title": track.title,
                "state": track_state(track.state),
                "opener": track.opener_name,
                "size": track.size,
                "shown": track.shown,
                "viewers": track.viewers,
            })
        });
        pillion::output!("{}", serde_json::Value::Array(tracks.collect()))?;
        return Ok(());
    }
    let mut table = Table::new([
        ("TERMINAL", Side::Right),
        ("TITLE", Side::Left),
        ("STATE", Side::Left),
        ("OPENED BY", Side::Left),
        ("VIEWERS", Side::Right),
    ]);
    for track in &tracks {
        let shown = if track.shown { "*" } else { "" };
        table.row([
            format!("{}{shown}", track.id),
            clean_title(&track.title, 24),
            track_state(track.state).to_owned(),
            plain_name(&track.opener_name),
            track.viewers.to_string(),
        ]);
    }
    table.print()?;
    Ok(())
}

fn kind(kind: TrackKind) -> &'static str {
    match kind {
        TrackKind::Terminal => "terminal",
        TrackKind::Log => "log",
        TrackKind::Conversation => "conversation",
        TrackKind::State => "state",
        TrackKind::Unknown(_) => "unknown",
    }
}

/// `pillion ls --all-devices`.
pub async fn all_devices(paths: &Paths, config: &Config, args: &LsArgs) -> Result<()> {
    let mut directory = super::device::directory(paths, config, args.signal.clone())?;
    let seen = directory.others().await?;
    for device in &seen {
        if let Some(reason) = &device.refused {
            let name = plain_name(device.member.name.as_str());
            pillion::say!("pillion: what {name} left is not taken: {reason}");
        }
        let more = device.record.as_ref().map_or(0, |record| record.more);
        if more > 0 {
            let name = plain_name(device.member.name.as_str());
            pillion::say!("pillion: {more} more sessions run on {name} than it could list");
        }
    }
    if let Some(why) = silence(&seen) {
        pillion::say!("pillion: {why}");
    }
    let running: Vec<Running> = seen.iter().flat_map(Seen::running).collect();
    if args.json {
        let all = running
            .iter()
            .map(|session| serde_json::json!({ "device": session.device, "name": session.name }));
        pillion::output!("{}", serde_json::Value::Array(all.collect()))?;
    } else if running.is_empty() {
        pillion::say!(
            "No session is shared on another device of yours (or the link service withholds it)."
        );
    } else {
        let mut table = Table::new([("DEVICE", Side::Left), ("NAME", Side::Left)]);
        for session in running {
            table.row([session.device, session.name]);
        }
        table.print()?;
    }
    Ok(())
}

type Row = (SessionSummary, Option<SessionStatus>);

/// What running sessions say of themselves; nothing where one does not answer.
pub async fn status(
    paths: &Paths,
    sessions: impl IntoIterator<Item = &SessionSummary>,
) -> Vec<Option<SessionStatus>> {
    let requests = sessions.into_iter().map(|session| {
        let status = Request::Command(verbs::Status {}.into());
        (paths.socket(&session.meta.id), status)
    });
    // It is asked nothing that takes time.
    let answers = control::ask_all(requests, control::FIRST_WORD)
        .await
        .into_iter();
    let said = answers.map(|answer| match answer {
        Ok(Response::Done(done)) => match done.reply {
            Reply::Status(status) => Some(status),
            _ => None,
        },
        _ => None,
    });
    said.collect()
}

fn state((session, status): &Row) -> &'static str {
    match (&session.state, status) {
        (SessionState::Live, Some(status)) if status.shared => "shared",
        (SessionState::Live, Some(_)) => "private",
        // Whether it is shared, only it knows.
        (SessionState::Live, None) => "unreachable",
        (SessionState::Ended { .. }, _) => "ended",
        // To people it has ended; why is told in the note.
        (SessionState::Crashed { .. }, _) => "ended",
    }
}

fn json(row: &Row) -> serde_json::Value {
    let (session, status) = row;
    serde_json::json!({
        "session": session.meta.id,
        "name": status.as_ref().map_or(&session.meta.name, |status| &status.name),
        "state": state(row),
        "terminal": status.as_ref().map(|status| terminal(status.terminal)),
        "pid": (session.state == SessionState::Live).then_some(session.meta.pid),
        "viewers": status.as_ref().map_or(0, |status| status.viewers),
        "started": session.meta.started_unix_ms / 1000,
        "runs": session.meta.runs,
        "ended": session.state.stopped_ms().map(|ms| ms / 1000),
        "reason": reason(&session.state),
        "command": session.meta.command,
        "bytes": session.bytes,
    })
}

fn terminal(status: TerminalStatus) -> &'static str {
    match status {
        TerminalStatus::None => "none",
        TerminalStatus::Attached => "attached",
        TerminalStatus::Detached => "detached",
    }
}

fn reason(state: &SessionState) -> Option<String> {
    match state {
        SessionState::Live => None,
        SessionState::Ended { reason, .. } => Some(reason.clone()),
        SessionState::Crashed { .. } => Some("the host was killed or crashed".to_owned()),
    }
}

fn table(rows: &[Row]) -> Result<()> {
    let mut table = Table::new([
        ("SESSION", Side::Left),
        ("NAME", Side::Left),
        ("STATE", Side::Left),
        ("TERMINAL", Side::Left),
        ("VIEWERS", Side::Right),
        ("STARTED", Side::Left),
        ("COMMAND", Side::Left),
    ]);
    for row in rows {
        let (session, status) = row;
        let name = status
            .as_ref()
            .map_or(&session.meta.name, |status| &status.name);
        let viewers = status.as_ref().map_or(0, |status| status.viewers);
        let mut command = clean_title(&session.meta.command, 100);
        if let Some(reason) = reason(&session.state) {
            command.push_str(&format!("  ({reason})"));
        } else if status.is_none() {
            let pid = session.meta.pid;
            command.push_str(&format!(
                "  (process {pid} does not answer: kill -CONT {pid} lets it go on if it was stopped, kill -KILL {pid} \
                 ends it)"
            ));
        }
        table.row([
            session.meta.id.clone(),
            name.clone(),
            state(row).to_owned(),
            status
                .as_ref()
                .map_or("", |status| terminal(status.terminal))
                .to_owned(),
            viewers.to_string(),
            clock::local(session.meta.started_unix_ms),
            command,
        ]);
    }
    Ok(table.print()?)
}
