//! `pillion fork`.

use std::{
    ffi::OsString,
    fs::File,
    io::{BufReader, BufWriter, Read, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueHint};
use pillion::{
    bundle::{BundleReader, Limits, Manifest, Put, Why, have, put},
    proto::TrackId,
    screen::clean::clean_title,
    sessions::{
        control::{self, Request},
        conversation,
        fork::{Source, default_place},
        select,
    },
    settings::{agents::KNOWN, config::Config, paths::Paths},
    store::{SessionReader, SessionState},
};

use crate::commands::{
    agent::{self, AgentArgs},
    conversation::recorded,
    exit,
};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion fork 26ab31c0f2                    a session of this machine: its agent goes on in a folder of its own
  pillion fork 26ab31c0f2 --agent codex      the same with another agent
  pillion fork run.pillion --agent claude    what `pillion export --format pillion` wrote, here
  pillion fork run.pillion --no-agent --into ../look   the code alone

What is committed, staged, changed and untracked arrives as what it was, on the branch pillion/NAME of a new folder.
Ignored files, files over 50 MiB and files whose names say that they hold secrets stay behind, and are listed.";

/// Most of a bundle, in bytes.
const MAX_BYTES: u64 = 16 << 30;

/// Files that are named of those that stay behind.
const NAMED: usize = 10;

/// Longest name of one, in characters.
const MAX_NAME: usize = 100;

/// Flags of `fork`.
#[derive(Debug, Args)]
pub struct ForkArgs {
    /// A session of this machine, running or ended, or a file that `pillion export --format pillion` wrote.
    #[arg(
        value_name = "SESSION|FILE",
        value_hint = ValueHint::FilePath,
        required_unless_present = "named",
        conflicts_with = "named"
    )]
    pub from: Option<String>,

    /// The same.
    #[arg(long = "session", value_name = "SESSION|FILE")]
    pub named: Option<String>,

    /// Which conversation of the session, by its number in `pillion ls SESSION`; the first, by default.
    #[arg(long = "conversation", value_name = "N")]
    pub track: Option<u32>,

    /// The new folder; beside the one that it comes from, by default.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub into: Option<PathBuf>,

    /// The agent that goes on, by name; the session's own, by default.
    #[arg(long, value_name = "AGENT", conflicts_with_all = ["command", "no_agent"])]
    pub agent: Option<String>,

    /// Bring the code, and start no agent.
    #[arg(long, conflicts_with = "command")]
    pub no_agent: bool,

    /// Bring files whose names say that they hold secrets, too.
    #[arg(long)]
    pub with_secrets: bool,

    /// Start the agent in the background, and return.
    #[arg(long)]
    pub detach: bool,

    /// Print {"folder","branch","transcript","left_out"} as one line, and with --detach a second one as `pillion agent --json` does.
    #[arg(long)]
    pub json: bool,

    /// The command of the agent that goes on.
    #[arg(last = true, value_name = "AGENT COMMAND")]
    pub command: Vec<String>,
}

/// Runs it.
pub async fn run(paths: &Paths, config: &Config, args: ForkArgs) -> Result<u8> {
    let from = args.from.as_deref().or(args.named.as_deref());
    let from = from.unwrap_or_default();
    let file = Path::new(from);
    let is_file = from.contains(['/', '.']) && file.is_file();
    let (put, manifest, own) = match is_file {
        true => from_file(file, &args)?,
        false => from_session(paths, from, &args).await?,
    };
    let transcript = keep_transcript(&put, &manifest)?;
    say(&args, &put, &manifest, &transcript)?;
    let (agent, command) = match (&args.agent, args.command.is_empty()) {
        (Some(agent), _) => (Some(agent.clone()), Vec::new()),
        (None, false) => (None, args.command.clone()),
        (None, true) => own,
    };
    if args.no_agent || (agent.is_none() && command.is_empty()) {
        if !args.json {
            pillion::say!(
                "`pillion agent --cwd {} --earlier {} AGENT` goes on with it.",
                put.folder.display(),
                transcript.display()
            );
        }
        return Ok(0);
    }
    let args = AgentArgs {
        agent,
        share: false,
        title: manifest.title.clone(),
        cwd: Some(put.folder),
        worktree: false,
        earlier: Some(transcript),
        session: None,
        detach: args.detach,
        json: args.json,
        relay: None,
        command,
    };
    let conversation = match agent::conversation(config, &args, true) {
        Ok(conversation) => conversation,
        Err(why) => {
            pillion::say!("pillion: {why:#}");
            return Ok(exit::USAGE);
        }
    };
    let program = pillion::source::Program::new(conversation.start.command);
    if let Err(error) = program.check() {
        pillion::say!("pillion: {error}. Is the agent installed, and its folder in PATH?");
        return Ok(error.exit_code());
    }
    agent::in_new_session(paths, config, &args, &words(&args)).await
}

/// The command line that starts this agent.
fn words(args: &AgentArgs) -> Vec<OsString> {
    let mut all: Vec<OsString> = vec!["agent".into()];
    let mut add = |flag: &str, value: Option<OsString>| {
        if let Some(value) = value {
            all.extend([flag.into(), value]);
        }
    };
    let path = |path: &PathBuf| path.clone().into_os_string();
    add("--cwd", args.cwd.as_ref().map(path));
    add("--earlier", args.earlier.as_ref().map(path));
    let title = (!args.title.is_empty()).then(|| format!("--title={}", args.title).into());
    all.extend(title);
    if args.detach {
        all.push("--detach".into());
    }
    all.extend(args.agent.as_ref().map(Into::into));
    if !args.command.is_empty() {
        all.push("--".into());
        all.extend(args.command.iter().map(Into::into));
    }
    all
}

/// An agent by its name, or by its command.
type Agent = (Option<String>, Vec<String>);

/// Of a session of this machine.
async fn from_session(
    paths: &Paths,
    from: &str,
    args: &ForkArgs,
) -> Result<(Put, Manifest, Agent)> {
    let source = source(paths, from, args.track).await?;
    let folder = source.folder()?;
    let limits = Limits {
        secrets: args.with_secrets,
        ..Limits::default()
    };
    // Both sides are here: of what is committed nothing has to travel.
    let haves = have(&folder).unwrap_or_default();
    let taken = source.take(&haves, limits)?;
    let manifest = taken.manifest.clone();
    let mut file = tempfile::tempfile().context("there is no room for the bundle")?;
    taken.write(BufWriter::new(&mut file))?;
    file.seek(SeekFrom::Start(0))?;
    let into = match &args.into {
        Some(into) => std::path::absolute(into)?,
        None => default_place(&folder, &manifest.title),
    };
    let reader = BundleReader::begin(BufReader::new(file))?;
    let put = place(reader, Some(&folder), &into, &manifest.title, 0)?;
    Ok((put, manifest, same_agent(source.command())))
}

/// The conversation of a session of this machine.
pub async fn source(paths: &Paths, wanted: &str, track: Option<u32>) -> Result<Source> {
    let session = select::any(paths, Some(wanted))?;
    if session.state == SessionState::Live {
        control::ask(&paths.socket(&session.meta.id), &Request::Flush).await?;
    }
    let reader = SessionReader::open(&paths.sessions, &session.meta.id)?;
    let track = recorded(&reader, track.map(TrackId))?;
    let shown = conversation::folded(&reader, &track)?;
    Ok(Source::new(shown, session.meta))
}

/// The name of the known agent that this command starts, or else the command.
fn same_agent(command: Vec<String>) -> Agent {
    let mut known = KNOWN.iter();
    match known.find(|known| known.start().command == command) {
        Some(known) => (Some(known.name.to_owned()), Vec::new()),
        None => (None, command),
    }
}

/// Of a file. What it says of its agent is a name and no command: nothing of it is run.
fn from_file(file: &Path, args: &ForkArgs) -> Result<(Put, Manifest, Agent)> {
    let opened = File::open(file).with_context(|| format!("{} can't be read", file.display()))?;
    let length = opened.metadata().map_or(0, |about| about.len());
    let reader = BundleReader::begin(BufReader::new(opened));
    let reader = reader.with_context(|| format!("{} can't be forked", file.display()))?;
    let manifest = reader.manifest().clone();
    let here = std::env::current_dir().context("the current directory is gone")?;
    let into = match &args.into {
        Some(into) => std::path::absolute(into)?,
        None => {
            let name = file.file_stem().unwrap_or_default();
            default_place(&here.join(name), &manifest.title)
        }
    };
    let put = place(reader, None, &into, &manifest.title, length)?;
    Ok((put, manifest, (None, Vec::new())))
}

fn place<R: Read>(
    reader: BundleReader<R>,
    base: Option<&Path>,
    into: &Path,
    title: &str,
    length: u64,
) -> Result<Put> {
    let mut bar = Bar::new(length);
    let put = put(reader, base, into, title, MAX_BYTES, &mut |came| {
        bar.show(came)
    });
    bar.end();
    Ok(put?)
}

/// How far it is, on a terminal.
struct Bar {
    length: u64,
    shown: Option<u64>,
    is_terminal: bool,
}

impl Bar {
    fn new(length: u64) -> Bar {
        Bar {
            length,
            shown: None,
            is_terminal: std::io::IsTerminal::is_terminal(&std::io::stderr()),
        }
    }

    fn show(&mut self, came: u64) {
        // A short one is over before it is read.
        if !self.is_terminal || self.length < 8 << 20 {
            return;
        }
        let percent = came.saturating_mul(100) / self.length.max(1);
        if self.shown != Some(percent) {
            self.shown = Some(percent);
            eprint_line(&format!(
                "\r{percent:3} % of {} MB",
                self.length / 1_000_000
            ));
        }
    }

    fn end(&self) {
        if self.shown.is_some() {
            eprint_line("\r\x1b[K");
        }
    }
}

fn eprint_line(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Writes what was said where the agent that goes on reads it.
fn keep_transcript(put: &Put, manifest: &Manifest) -> Result<PathBuf> {
    let git = put.folder.join(".git");
    let file = match git.is_dir() {
        true => git.join("pillion-earlier.md"),
        false => put.folder.join("pillion-earlier.md"),
    };
    let mut text = manifest.transcript.clone();
    text.truncate(text.floor_char_boundary(pillion::conversation::MAX_TRANSCRIPT));
    std::fs::write(&file, text).with_context(|| format!("{} can't be written", file.display()))?;
    Ok(file)
}

fn say(args: &ForkArgs, put: &Put, manifest: &Manifest, transcript: &Path) -> Result<()> {
    if args.json {
        let left = manifest.left_out.iter().map(
            |one| serde_json::json!({"path": one.path, "bytes": one.bytes, "why": word(one.why)}),
        );
        let object = serde_json::json!({
            "folder": put.folder, "branch": put.branch, "transcript": transcript,
            "left_out": left.collect::<Vec<_>>(),
        });
        pillion::output!("{object}")?;
        return Ok(());
    }
    match manifest.repositories.is_empty() {
        true => pillion::say!(
            "The conversation is in {}. Its agent worked in no git repository, so there is no code.",
            transcript.display()
        ),
        false => pillion::say!(
            "The code is in {}, on the branch {}. Nothing of what was here was touched.",
            put.folder.display(),
            put.branch
        ),
    }
    let left = &manifest.left_out;
    for one in left.iter().take(NAMED) {
        pillion::say!(
            "  left behind: {} ({} bytes, {})",
            clean_title(&one.path, MAX_NAME),
            one.bytes,
            words_of(one.why)
        );
    }
    if left.len() > NAMED {
        pillion::say!("  left behind: {} more", left.len() - NAMED);
    }
    Ok(())
}

fn word(why: Why) -> &'static str {
    match why {
        Why::Ignored => "ignored",
        Why::TooLarge => "too_large",
        Why::Secret => "secret",
    }
}

fn words_of(why: Why) -> &'static str {
    match why {
        Why::Ignored => "git ignores it",
        Why::TooLarge => "too large",
        Why::Secret => "its name says that it holds a secret; --with-secrets brings it",
    }
}

/// Writes a session's conversation and its code into a file.
pub async fn export(paths: &Paths, session: &str, out: impl std::io::Write) -> Result<()> {
    let source = source(paths, session, None).await?;
    let taken = source.take(&[], Limits::default())?;
    let bytes = taken.write(BufWriter::new(out))?;
    let left = taken.manifest.left_out.len();
    if left > 0 {
        pillion::say!(
            "{left} files stay behind (ignored, large or secret by their names). The bundle has {bytes} bytes."
        );
    }
    if taken.manifest.repositories.is_empty() {
        pillion::say!("The agent worked in no git repository: the bundle has no code.");
    }
    Ok(())
}

/// Refuses what can't be said of such a file.
pub fn check_export(to_file: bool) -> Result<()> {
    use std::io::IsTerminal as _;
    if !to_file && std::io::stdout().is_terminal() {
        bail!("a bundle is no text: write it into a file, with --output FILE");
    }
    Ok(())
}
