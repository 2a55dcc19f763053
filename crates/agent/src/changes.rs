//! What changes in the directory where an agent works, as git sees it.
//!
//! A moment is kept as a tree of git's: every file that is tracked, and every untracked one that is not ignored. It is
//! made with an index of our own and a store of our own beside the repository's, so nothing in the repository changes:
//! not what is staged, not the files, not even its objects. Nothing that a repository configures is run: no hooks, no
//! filters, no programs for differences. What two trees differ in is read in bounded pieces, in bounded time.

use std::{
    ffi::OsString,
    fs,
    io::{self, Read as _},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::DirBuilderExt as _,
    },
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pillion_conversation::{
    ChangeSet, ChangedFile, Note,
    limits::{MAX_CHANGED_FILES, MAX_CHANGES, MAX_PATCH},
};
use tokio::{
    io::AsyncReadExt as _,
    process::Command,
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};

/// How long all that git does for one moment may take.
const JOB_LIMIT: Duration = Duration::from_secs(20);

/// How long it is waited after a tool ended: several end together.
const SETTLE: Duration = Duration::from_millis(300);

/// The least time between two moments, but for the ends of turns; and as much again for each of so many bytes of what
/// was told last.
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_FOR: usize = 16 * 1024;

/// Untracked files of more bytes than this are left out.
const MAX_UNTRACKED: u64 = 4 * 1024 * 1024;

/// Of more untracked files than this all are left out.
const MAX_UNTRACKED_FILES: usize = 10_000;

/// Most files that are left out one by one.
const MAX_EXCLUDED: usize = 200;

/// Most bytes that are read of what git lists.
const MAX_LIST: usize = 4 * 1024 * 1024;

/// Most bytes that are read of a difference.
const MAX_DIFFERENCE: usize = 2 * MAX_CHANGES;

/// The system's number for a child that is not there (ECHILD).
const NO_CHILD: i32 = rustix::io::Errno::CHILD.raw_os_error();

/// Where an agent's changes begin, to go on when it is started again.
#[derive(Clone, Debug, Default)]
pub struct ChangesBase {
    scratch: Option<Arc<Scratch>>,
    start: Option<String>,
    turn: u64,
}

/// Looks at a directory now and then, and says what has changed.
#[derive(Debug)]
pub(crate) struct Watch {
    cwd: PathBuf,
    scratch: Option<Arc<Scratch>>,
    /// The tree that it began with.
    start: Option<String>,
    /// The tree before the turn.
    turn_start: Option<String>,
    /// The newest tree.
    newest: Option<String>,
    turn: u64,
    /// What was told last: the tree and the turn.
    told: Option<(String, u64)>,
    job: Option<JoinHandle<Result<Moment, Fault>>>,
    due: Option<Instant>,
    not_before: Instant,
    /// The turn has ended, and is looked at without a pause.
    turn_ended: bool,
    /// What comes of the job that runs counts for nothing but its tree.
    stale: bool,
    /// Nothing more is known, ever.
    over: bool,
    /// Why nothing is known, to be told when there is something to know.
    fault: Option<String>,
}

/// A directory of our own for an index and objects, which ends with this.
#[derive(Debug)]
struct Scratch {
    folder: PathBuf,
    top: PathBuf,
    /// The repository's own objects.
    objects: PathBuf,
}

/// A moment, and what differs from others.
#[derive(Debug)]
struct Moment {
    scratch: Arc<Scratch>,
    tree: String,
    start: ChangeSet,
    of_turn: ChangeSet,
}

#[derive(Debug)]
enum Fault {
    NoGit,
    NoRepository,
    TooSlow,
    Failed(String),
}

impl Fault {
    fn sentence(&self) -> String {
        match self {
            Fault::NoGit => "what changes is not known: git is not installed".to_owned(),
            Fault::NoRepository => {
                "what changes is not known: the agent works in no git repository".to_owned()
            }
            Fault::TooSlow => format!(
                "what changes is not known: git took more than {} seconds to look at the directory",
                JOB_LIMIT.as_secs()
            ),
            Fault::Failed(why) => format!("what changes is not known: git says: {why}"),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed is in the folder for temporary files, which the system empties.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Watch {
    /// Begins, and looks at the directory for the first time.
    pub(crate) fn begin(cwd: &Path, base: ChangesBase) -> Watch {
        let mut watch = Watch {
            cwd: cwd.to_owned(),
            scratch: base.scratch,
            start: base.start,
            turn_start: None,
            newest: None,
            turn: base.turn,
            told: None,
            job: None,
            due: None,
            not_before: Instant::now(),
            turn_ended: false,
            stale: false,
            over: false,
            fault: None,
        };
        watch.look();
        watch
    }

    /// Where it goes on from, with an agent that is started again.
    pub(crate) fn base(&self) -> ChangesBase {
        ChangesBase {
            scratch: self.scratch.clone(),
            start: self.start.clone(),
            turn: self.turn,
        }
    }

    /// What has changed counts from where it was before.
    pub(crate) fn go_on_from(&mut self, base: ChangesBase) {
        if let Some(job) = self.job.take() {
            job.abort();
        }
        *self = Watch::begin(&self.cwd.clone(), base);
    }

    /// A prompt goes to the agent.
    pub(crate) fn turn_begins(&mut self) {
        self.turn += 1;
        self.turn_start = self.newest.clone();
    }

    /// A tool of the agent's has ended.
    pub(crate) fn tool_ended(&mut self) {
        self.due_at(Instant::now() + SETTLE);
    }

    /// The agent's turn has ended.
    pub(crate) fn turn_ended(&mut self) {
        self.turn_ended = true;
        self.due_at(Instant::now());
    }

    /// What there was so far does not count any longer.
    pub(crate) fn rebase(&mut self) {
        (self.start, self.turn_start, self.newest) = (None, None, None);
        self.stale = self.job.is_some();
        if self.job.is_none() {
            self.look();
        }
    }

    fn due_at(&mut self, at: Instant) {
        if !self.over || self.fault.is_some() {
            self.due = Some(self.due.map_or(at, |due| due.min(at)));
        }
    }

    /// What there is to be told next. Nothing is lost when this is not waited for to the end.
    pub(crate) async fn next(&mut self) -> Note {
        loop {
            if let Some(job) = &mut self.job {
                let done = job.await;
                self.job = None;
                // One that was stopped ended with what stopped it.
                let Ok(done) = done else { continue };
                if let Some(note) = self.take(done) {
                    return note;
                }
                continue;
            }
            match self.due {
                Some(due) => {
                    let at = match self.turn_ended {
                        true => due,
                        false => due.max(self.not_before),
                    };
                    sleep_until(at).await;
                    self.due = None;
                    if let Some(why) = self.fault.take() {
                        return Note::ChangesUnknown { why };
                    }
                    if !self.over {
                        self.look();
                    }
                }
                None => std::future::pending().await,
            }
        }
    }

    fn look(&mut self) {
        self.turn_ended = false;
        let (cwd, scratch) = (self.cwd.clone(), self.scratch.clone());
        let (start, of_turn) = (self.start.clone(), self.turn_start.clone());
        let newest = self.newest.clone();
        self.job = Some(tokio::spawn(async move {
            let moment = moment(cwd, scratch, start, of_turn, newest);
            timeout(JOB_LIMIT, moment)
                .await
                .unwrap_or(Err(Fault::TooSlow))
        }));
    }

    /// Takes in what came of a job.
    fn take(&mut self, done: Result<Moment, Fault>) -> Option<Note> {
        let is_stale = std::mem::take(&mut self.stale);
        let moment = match done {
            Ok(moment) => moment,
            Err(fault) => {
                let is_first = self.newest.is_none();
                let why = fault.sentence();
                // Later it may go better, of what has gone once.
                self.over = is_first;
                if is_first {
                    // There is nothing to be known before the agent does something.
                    self.fault = Some(why);
                    if self.due.is_some() || self.turn > 0 {
                        self.due = Some(Instant::now());
                    }
                }
                return None;
            }
        };
        self.scratch = Some(moment.scratch);
        if is_stale {
            self.look();
            return None;
        }
        let is_first = self.newest.is_none();
        self.start.get_or_insert_with(|| moment.tree.clone());
        self.turn_start.get_or_insert_with(|| moment.tree.clone());
        self.newest = Some(moment.tree.clone());
        // It is what others are compared with.
        if is_first {
            return None;
        }
        let now = (moment.tree, self.turn);
        let before = self.told.replace(now.clone());
        if before.as_ref() == Some(&now) || self.turn == 0 {
            return None;
        }
        let sets = [&moment.start, &moment.of_turn];
        let patches = sets.into_iter().flat_map(|set| &set.files);
        let bytes: usize = patches.map(|file| file.patch.len()).sum();
        let pauses = u32::try_from(1 + bytes / PAUSE_FOR).unwrap_or(u32::MAX);
        self.not_before = Instant::now() + PAUSE.saturating_mul(pauses);
        Some(Note::Changed {
            turn: self.turn,
            start: moment.start,
            of_turn: moment.of_turn,
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(job) = &self.job {
            job.abort();
        }
    }
}

/// Looks at the directory, and compares with two trees: what it began with and what the turn began with.
async fn moment(
    cwd: PathBuf,
    scratch: Option<Arc<Scratch>>,
    start: Option<String>,
    turn_start: Option<String>,
    newest: Option<String>,
) -> Result<Moment, Fault> {
    let scratch = match scratch {
        Some(scratch) => scratch,
        None => Arc::new(Scratch::make(&cwd).await?),
    };
    let filters = scratch.filters().await?;
    let (tree, left_out) = scratch.tree(&filters).await?;
    let start = start.unwrap_or_else(|| tree.clone());
    let turn_start = turn_start.or(newest).unwrap_or_else(|| start.clone());
    let mut since_start = scratch.difference(&filters, &start, &tree).await?;
    let of_turn = match turn_start == start {
        true => since_start.clone(),
        false => scratch.difference(&filters, &turn_start, &tree).await?,
    };
    since_start.left_out += left_out;
    Ok(Moment {
        scratch,
        tree,
        start: since_start,
        of_turn,
    })
}

/// git, in a directory, with nothing that is configured to run.
fn git(at: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(at).args([
        "--no-pager",
        "--no-optional-locks",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "core.untrackedCache=false",
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.quotePath=false",
        "-c",
        "core.bigFileThreshold=4m",
        "-c",
        "core.splitIndex=false",
        "-c",
        "advice.addEmbeddedRepo=false",
        "-c",
        "gc.auto=0",
        "-c",
        "maintenance.auto=false",
    ]);
    for name in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_NAMESPACE",
        "GIT_PREFIX",
        "GIT_EXTERNAL_DIFF",
        "GIT_CONFIG_PARAMETERS",
        "GIT_LITERAL_PATHSPECS",
        "GIT_GLOB_PATHSPECS",
        "GIT_ICASE_PATHSPECS",
    ] {
        command.env_remove(name);
    }
    command
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs git, and gives at most `limit` bytes of what it prints, and whether that is all of it.
async fn run(mut command: Command, limit: usize) -> Result<(Vec<u8>, bool), Fault> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Fault::NoGit,
        _ => Fault::Failed(error.to_string()),
    };
    let mut child = command.spawn().map_err(failed)?;
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let read_out = async {
        if let Some(stdout) = stdout {
            let _ = stdout.take(limit as u64 + 1).read_to_end(&mut out).await;
        }
    };
    let read_errors = async {
        if let Some(mut stderr) = stderr {
            let mut piece = [0; 1024];
            while let Ok(read @ 1..) = stderr.read(&mut piece).await {
                let room = 2048_usize.saturating_sub(errors.len());
                errors.extend_from_slice(&piece[..read.min(room)]);
            }
        }
    };
    tokio::join!(read_out, read_errors);
    if out.len() > limit {
        out.truncate(limit);
        let _ = child.start_kill();
        let _ = child.wait().await;
        return Ok((out, false));
    }
    let said = String::from_utf8_lossy(&errors);
    let is_done = match child.wait().await {
        Ok(status) => status.success(),
        // Who waits for what agents leave behind may have waited for it: then what it says tells how it ended.
        Err(error) if error.raw_os_error() == Some(NO_CHILD) => !said.contains("fatal:"),
        Err(error) => return Err(failed(error)),
    };
    match is_done {
        true => Ok((out, true)),
        false if said.contains("not a git repository") => Err(Fault::NoRepository),
        false => Err(Fault::Failed(said.trim().to_owned())),
    }
}

impl Scratch {
    /// Makes one for the repository that a directory is in.
    async fn make(cwd: &Path) -> Result<Scratch, Fault> {
        let mut ask = git(cwd);
        ask.args([
            "rev-parse",
            "--path-format=absolute",
            "--show-toplevel",
            "--git-path",
            "objects",
            "--git-path",
            "index",
        ]);
        let (said, _) = run(ask, 64 * 1024).await?;
        let mut lines = said.split(|byte| *byte == b'\n');
        let mut path = || lines.next().filter(|line| !line.is_empty()).map(path_of);
        let (Some(top), Some(objects), Some(index)) = (path(), path(), path()) else {
            return Err(Fault::NoRepository);
        };
        let made = tokio::task::spawn_blocking(move || -> io::Result<Scratch> {
            let scratch = Scratch {
                folder: own_folder()?,
                top,
                objects,
            };
            fs::create_dir(scratch.folder.join("objects"))?;
            // With what git knows of files that did not change, they are not read.
            match fs::copy(index, scratch.folder.join("index")) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(scratch),
            }
        });
        match made.await {
            Ok(Ok(scratch)) => Ok(scratch),
            Ok(Err(error)) => Err(Fault::Failed(error.to_string())),
            Err(error) => Err(Fault::Failed(error.to_string())),
        }
    }

    /// git at the top of the repository, with the index and the store of this, and without these filters: also a
    /// difference reads files through them.
    fn git(&self, filters: &[String]) -> Command {
        let mut command = git(&self.top);
        // A colon in a path would be two paths.
        let mut alternates = OsString::from("\"");
        for byte in self.objects.as_os_str().as_bytes() {
            if matches!(byte, b'"' | b'\\') {
                alternates.push("\\");
            }
            alternates.push(std::ffi::OsStr::from_bytes(&[*byte]));
        }
        alternates.push("\"");
        command
            .env("GIT_INDEX_FILE", self.folder.join("index"))
            .env("GIT_OBJECT_DIRECTORY", self.folder.join("objects"))
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", alternates)
            .env("GIT_CONFIG_COUNT", (filters.len() * 3).to_string());
        // An empty command is none.
        for (at, name) in filters.iter().enumerate() {
            let settings = [("clean", ""), ("process", ""), ("required", "false")];
            for (which, (setting, value)) in settings.into_iter().enumerate() {
                let at = at * 3 + which;
                command.env(
                    format!("GIT_CONFIG_KEY_{at}"),
                    format!("filter.{name}.{setting}"),
                );
                command.env(format!("GIT_CONFIG_VALUE_{at}"), value);
            }
        }
        command
    }

    /// The tree of now, and how many untracked files are left out of it.
    async fn tree(&self, filters: &[String]) -> Result<(String, u64), Fault> {
        let (excluded, left_out, all) = self.untracked().await?;
        let mut add = self.git(filters);
        add.args(["add", "--ignore-errors"]);
        add.arg(if all { "--all" } else { "--update" });
        add.args(["--", ":/"]);
        for path in &excluded {
            let mut word = OsString::from(":(exclude,top,literal)");
            word.push(path);
            add.arg(word);
        }
        // What can't be read is not in it, and all the rest is.
        match run(add, MAX_LIST).await {
            Ok(_) | Err(Fault::Failed(_)) => {}
            Err(fault) => return Err(fault),
        }
        let mut write = self.git(filters);
        write.arg("write-tree");
        let (tree, _) = run(write, 256).await?;
        let tree = String::from_utf8_lossy(&tree).trim().to_owned();
        let is_id = !tree.is_empty() && tree.bytes().all(|byte| byte.is_ascii_hexdigit());
        match is_id {
            true => Ok((tree, left_out)),
            false => Err(Fault::Failed("it wrote no tree".to_owned())),
        }
    }

    /// The names of the filters that are configured: programs that files would go through.
    async fn filters(&self) -> Result<Vec<String>, Fault> {
        let mut ask = self.git(&[]);
        ask.args([
            "config",
            "--null",
            "--name-only",
            "--get-regexp",
            "^filter\\.",
        ]);
        let said = match run(ask, MAX_LIST).await {
            Ok((said, _)) => said,
            // It says so by its exit code when there are none.
            Err(Fault::Failed(why)) if why.is_empty() => Vec::new(),
            Err(fault) => return Err(fault),
        };
        let keys = said.split(|byte| *byte == 0);
        let names = keys.filter_map(|key| {
            let key = std::str::from_utf8(key).ok()?;
            let name = key.strip_prefix("filter.")?.rsplit_once('.')?.0;
            Some(name.to_owned())
        });
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Untracked files that are too large, how many are left out, and whether untracked files are looked at.
    async fn untracked(&self) -> Result<(Vec<PathBuf>, u64, bool), Fault> {
        let mut list = self.git(&[]);
        list.args(["ls-files", "--others", "--exclude-standard", "-z"]);
        let (said, whole) = run(list, MAX_LIST).await?;
        let paths: Vec<PathBuf> = said
            .split(|byte| *byte == 0)
            .filter(|path| !path.is_empty())
            .map(path_of)
            .collect();
        if !whole || paths.len() > MAX_UNTRACKED_FILES {
            return Ok((Vec::new(), paths.len() as u64, false));
        }
        let (top, count) = (self.top.clone(), paths.len() as u64);
        let large = tokio::task::spawn_blocking(move || {
            let is_large = |path: &PathBuf| {
                let meta = fs::symlink_metadata(top.join(path));
                meta.is_ok_and(|meta| meta.len() > MAX_UNTRACKED)
            };
            paths.into_iter().filter(is_large).collect::<Vec<_>>()
        });
        let large = large.await.unwrap_or_default();
        match large.len() > MAX_EXCLUDED {
            true => Ok((Vec::new(), count, false)),
            false => {
                let left_out = large.len() as u64;
                Ok((large, left_out, true))
            }
        }
    }

    /// What two trees differ in.
    async fn difference(
        &self,
        filters: &[String],
        from: &str,
        to: &str,
    ) -> Result<ChangeSet, Fault> {
        if from == to {
            return Ok(ChangeSet::default());
        }
        let diff = |arguments: &[&str]| {
            let mut command = self.git(filters);
            command.args([
                "diff-tree",
                "-r",
                "--find-renames",
                "--no-ext-diff",
                "--no-textconv",
                "--no-color",
                "--submodule=short",
                "--src-prefix=a/",
                "--dst-prefix=b/",
            ]);
            command.args(arguments).args([from, to]);
            command
        };
        let (listed, _) = run(diff(&["--raw", "--numstat", "-z"]), MAX_LIST).await?;
        let (patch, _) = run(diff(&["--patch"]), MAX_DIFFERENCE).await?;
        Ok(change_set(&listed, &String::from_utf8_lossy(&patch)))
    }
}

/// What git lists (`--raw --numstat -z`) with its patches.
fn change_set(listed: &[u8], patch: &str) -> ChangeSet {
    let mut words = listed
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned());
    let mut files: Vec<ChangedFile> = Vec::new();
    let mut counted = 0;
    while let Some(word) = words.next() {
        if let Some(raw) = word.strip_prefix(':') {
            let letter = raw.split(' ').next_back().unwrap_or_default();
            let (operation, moved) = match letter.as_bytes().first() {
                Some(b'A') => ("add", false),
                Some(b'D') => ("delete", false),
                Some(b'R') => ("move", true),
                Some(b'C') => ("copy", true),
                _ => ("modify", false),
            };
            let first = words.next().unwrap_or_default();
            let (old_path, path) = match moved {
                true => (first, words.next().unwrap_or_default()),
                false => (String::new(), first),
            };
            files.push(ChangedFile {
                operation: operation.to_owned(),
                path,
                old_path,
                ..ChangedFile::default()
            });
            continue;
        }
        // Then the counts of each, in the same order: of one that moved its paths follow.
        let mut fields = word.splitn(3, '\t');
        let (Some(added), Some(removed), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if path.is_empty() {
            words.next();
            words.next();
        }
        if let Some(file) = files.get_mut(counted) {
            file.binary = added == "-";
            file.added = added.parse().unwrap_or(0);
            file.removed = removed.parse().unwrap_or(0);
        }
        counted += 1;
    }
    let mut room = MAX_CHANGES;
    for (at, piece) in patches(patch).enumerate() {
        let Some(file) = files.get_mut(at) else { break };
        let kept = piece.floor_char_boundary(room.min(MAX_PATCH));
        file.patch = piece[..kept].to_owned();
        file.omitted = (piece.len() - kept) as u64;
        room -= kept;
    }
    let left_out = files.len().saturating_sub(MAX_CHANGED_FILES) as u64;
    files.truncate(MAX_CHANGED_FILES);
    ChangeSet { files, left_out }
}

/// The patches of each file. No line of a change begins as their heads do.
fn patches(patch: &str) -> impl Iterator<Item = &str> {
    const HEAD: &str = "diff --git ";
    let mut rest = patch.find(HEAD).map_or("", |at| &patch[at..]);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find("\ndiff --git ").map_or(rest.len(), |at| at + 1);
        let (piece, more) = rest.split_at(end);
        rest = more;
        Some(piece)
    })
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

/// A folder that nobody else has made or can look into.
fn own_folder() -> io::Result<PathBuf> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut random = [0; 8];
    fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = format!(
        "pillion-changes-{}-{number}-{:016x}",
        std::process::id(),
        u64::from_be_bytes(random)
    );
    let folder = std::env::temp_dir().join(name);
    // It fails where there is one.
    fs::DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository with a committed file, and an agent's directory in it.
    struct Repo(tempfile::TempDir);

    impl Repo {
        fn new() -> Repo {
            let repo = Repo(tempfile::tempdir().unwrap());
            repo.git(&["init", "-q", "-b", "main"]);
            repo.write("a.txt", "one\ntwo\n");
            repo.write(".gitignore", "ignored\n");
            repo.git(&["add", "."]);
            repo.git(&["commit", "-q", "-m", "first"]);
            repo
        }

        fn git(&self, arguments: &[&str]) -> String {
            let output = std::process::Command::new("git")
                .arg("-C")
                .arg(self.0.path())
                .args(["-c", "user.name=a", "-c", "user.email=a@b"])
                .args(arguments)
                .output()
                .unwrap();
            assert!(output.status.success(), "{arguments:?}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        }

        fn write(&self, path: &str, text: &str) {
            fs::write(self.0.path().join(path), text).unwrap();
        }

        /// Everything in the repository's own folder, and the files.
        fn all(&self) -> Vec<(PathBuf, Vec<u8>)> {
            let (mut all, mut folders) = (Vec::new(), vec![self.0.path().to_owned()]);
            while let Some(folder) = folders.pop() {
                for entry in fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    match path.is_dir() {
                        true => folders.push(path),
                        false => all.push((path.clone(), fs::read(&path).unwrap())),
                    }
                }
            }
            all.sort();
            all
        }
    }

    async fn changed(watch: &mut Watch) -> (u64, ChangeSet, ChangeSet) {
        let note = timeout(Duration::from_secs(60), watch.next()).await;
        match note.expect("it is told") {
            Note::Changed {
                turn,
                start,
                of_turn,
            } => (turn, start, of_turn),
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the directory was looked at first.
    async fn begun(repo: &Repo) -> Watch {
        let mut watch = Watch::begin(repo.0.path(), ChangesBase::default());
        looked(&mut watch).await;
        watch
    }

    /// Waits until it has looked. It has nothing to tell of that.
    async fn looked(watch: &mut Watch) {
        while watch.newest.is_none() {
            assert!(!watch.over, "{:?}", watch.fault);
            let _ = timeout(Duration::from_millis(20), watch.next()).await;
        }
    }

    fn paths(set: &ChangeSet) -> Vec<&str> {
        set.files.iter().map(|file| file.path.as_str()).collect()
    }

    #[tokio::test]
    async fn what_changes_is_told_by_turn_and_since_the_start_and_nothing_else_is_touched() {
        let repo = Repo::new();
        // Something is staged, and something is not.
        repo.write("staged.txt", "staged\n");
        repo.git(&["add", "staged.txt"]);
        repo.write("before.txt", "was there before\n");
        let before = repo.all();
        let mut watch = begun(&repo).await;
        assert_eq!(repo.all(), before, "looking changes nothing");
        watch.turn_begins();
        repo.write("a.txt", "one\n2\nthree\n");
        repo.write("new file.txt", "new\n");
        repo.write("ignored", "x\n");
        let written = repo.all();
        watch.turn_ended();
        let (turn, start, of_turn) = changed(&mut watch).await;
        assert_eq!(turn, 1);
        assert_eq!(start, of_turn);
        assert_eq!(paths(&start), ["a.txt", "new file.txt"]);
        let first = &start.files[0];
        assert_eq!((first.added, first.removed, first.binary), (2, 1, false));
        assert!(
            first
                .patch
                .contains("@@ -1,2 +1,3 @@\n one\n-two\n+2\n+three\n"),
            "{}",
            first.patch
        );
        assert_eq!(start.files[1].operation, "add");
        // The next turn moves a file and takes the change back.
        watch.turn_begins();
        repo.write("a.txt", "one\ntwo\n");
        fs::rename(
            repo.0.path().join("new file.txt"),
            repo.0.path().join("b.txt"),
        )
        .unwrap();
        watch.tool_ended();
        let (turn, start, of_turn) = changed(&mut watch).await;
        assert_eq!((turn, paths(&start)), (2, vec!["b.txt"]));
        assert_eq!(paths(&of_turn), ["a.txt", "b.txt"]);
        assert_eq!(of_turn.files[1].old_path, "new file.txt");
        assert_eq!(
            repo.git(&["status", "--porcelain"]),
            "A  staged.txt\n?? b.txt\n?? before.txt\n"
        );
        drop(written);
        let folder = watch.scratch.as_ref().unwrap().folder.clone();
        drop(watch);
        assert!(!folder.exists());
    }

    #[tokio::test]
    async fn nothing_that_the_repository_configures_is_run() {
        let repo = Repo::new();
        let trace = repo.0.path().join(".git/trace");
        let touch = format!("touch {}; cat", trace.display());
        for key in [
            "core.fsmonitor",
            "diff.external",
            "filter.x.clean",
            "filter.x.process",
            "filter.x.smudge",
            "diff.y.textconv",
            "diff.y.command",
        ] {
            repo.git(&["config", key, &touch]);
        }
        repo.git(&["config", "filter.x.required", "true"]);
        for hook in ["post-index-change", "pre-commit"] {
            use std::os::unix::fs::PermissionsExt as _;
            let path = repo.0.path().join(".git/hooks").join(hook);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("#!/bin/sh\n{touch}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        repo.write(".gitattributes", "* filter=x diff=y\n");
        let mut watch = begun(&repo).await;
        watch.turn_begins();
        repo.write("a.txt", "one\ntwo\nthree\n");
        watch.turn_ended();
        let (_, start, _) = changed(&mut watch).await;
        assert_eq!(paths(&start), ["a.txt"]);
        assert!(start.files[0].patch.contains("+three"));
        assert!(!trace.exists(), "something was run");
    }

    #[tokio::test]
    async fn large_files_are_left_out_and_binary_ones_have_no_patch() {
        let repo = Repo::new();
        let mut watch = begun(&repo).await;
        watch.turn_begins();
        let large = usize::try_from(MAX_UNTRACKED).unwrap() + 1;
        repo.write("large.txt", &"x".repeat(large));
        fs::write(repo.0.path().join("binary"), [0_u8, 1, 2, 255]).unwrap();
        repo.write("long.txt", &"word\n".repeat(40_000));
        watch.turn_ended();
        let (_, start, _) = changed(&mut watch).await;
        assert_eq!(paths(&start), ["binary", "long.txt"]);
        assert_eq!(start.left_out, 1);
        assert!(start.files[0].binary);
        let long = &start.files[1];
        assert_eq!(long.added, 40_000);
        assert!(long.omitted > 0 && long.patch.len() <= MAX_PATCH);
    }

    #[tokio::test]
    async fn where_there_is_no_repository_it_is_said_once_something_was_done() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = Watch::begin(folder.path(), ChangesBase::default());
        let early = timeout(Duration::from_millis(300), watch.next()).await;
        assert!(early.is_err(), "{early:?}");
        watch.turn_begins();
        watch.turn_ended();
        let note = timeout(Duration::from_secs(60), watch.next())
            .await
            .unwrap();
        let Note::ChangesUnknown { why } = note else {
            panic!("{note:?}");
        };
        assert!(why.contains("no git repository"), "{why}");
        watch.turn_ended();
        let again = timeout(Duration::from_millis(300), watch.next()).await;
        assert!(again.is_err(), "{again:?}");
    }

    #[tokio::test]
    async fn what_is_hidden_does_not_count_and_a_restart_goes_on() {
        let repo = Repo::new();
        let mut watch = begun(&repo).await;
        watch.turn_begins();
        repo.write("hidden.txt", "hidden\n");
        watch.rebase();
        looked(&mut watch).await;
        repo.write("seen.txt", "seen\n");
        watch.turn_ended();
        let (_, start, _) = changed(&mut watch).await;
        assert_eq!(paths(&start), ["seen.txt"]);
        let base = watch.base();
        drop(watch);
        let mut watch = Watch::begin(repo.0.path(), base);
        watch.turn_begins();
        repo.write("later.txt", "later\n");
        watch.turn_ended();
        let (turn, start, _) = changed(&mut watch).await;
        assert_eq!((turn, paths(&start)), (2, vec!["later.txt", "seen.txt"]));
    }
}
