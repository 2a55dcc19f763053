//! Takes what a working tree holds, and writes nothing into it.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use tempfile::TempDir;

use crate::{
    BundleError, BundleWriter, LeftOut, Manifest, Repository, Why,
    git::{Git, failed},
};

/// Most files that are named of those that stay behind, and how long a name is, in characters.
const MAX_LEFT_OUT: usize = 500;
const MAX_NAME: usize = 200;

/// Most submodules, however deep.
const MAX_REPOSITORIES: usize = 256;

/// Most commits that another side is asked for.
const MAX_HAVES: usize = 1_000;

/// What travels, and what does not.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest file that is not committed, in bytes.
    pub max_file: u64,
    /// Files whose names say that they hold secrets travel, too.
    pub secrets: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_file: 50 * 1024 * 1024,
            secrets: false,
        }
    }
}

/// A working tree that was taken, and what is to be said of it.
#[derive(Debug)]
pub struct Taken {
    /// What the bundle says of itself.
    pub manifest: Manifest,
    trees: Vec<Tree>,
}

/// One repository of it.
#[derive(Debug)]
struct Tree {
    git: Git,
    /// New objects, until the bundle is written.
    _objects: TempDir,
}

/// Commits that a repository has, for the other side to build on: what is checked out, and its branches' ends.
///
/// # Errors
/// Git can't be run, or there is no repository.
pub fn have(folder: &Path) -> Result<Vec<String>, BundleError> {
    let git = Git::at(folder);
    let count = format!("--count={MAX_HAVES}");
    let refs = git.line(&[
        "for-each-ref",
        "--sort=-committerdate",
        &count,
        "--format=%(objectname)",
        "refs/heads",
        "refs/remotes",
    ])?;
    let mut all: Vec<String> = refs.lines().map(str::to_owned).collect();
    all.extend(git.line(&["rev-parse", "--verify", "-q", "HEAD"]).ok());
    all.sort();
    all.dedup();
    Ok(all)
}

/// Takes what the working tree that `folder` is in holds. Of what the other side has (`haves`) nothing travels. Where
/// there is no repository the bundle has no code.
///
/// # Errors
/// Git can't be run or fails.
pub fn take(folder: &Path, haves: &[String], limits: Limits) -> Result<Taken, BundleError> {
    let mut taken = Taken {
        manifest: Manifest::default(),
        trees: Vec::new(),
    };
    let top = Git::at(folder).line(&["rev-parse", "--show-toplevel"]);
    let top = match top {
        Ok(top) => PathBuf::from(top),
        Err(BundleError::NoGit(error)) => return Err(BundleError::NoGit(error)),
        Err(_) => return Ok(taken),
    };
    taken.add(&top, String::new(), haves, limits)?;
    Ok(taken)
}

impl Taken {
    /// Writes the bundle: how many bytes it has.
    ///
    /// # Errors
    /// Git fails, or it can't be written.
    pub fn write(&self, out: impl Write) -> Result<u64, BundleError> {
        let mut writer = BundleWriter::begin(out, &self.manifest)?;
        for (number, tree) in self.trees.iter().enumerate() {
            let repository = &self.manifest.repositories[number];
            writer.repository(number)?;
            let mut wanted = String::new();
            for commit in [&repository.work, &repository.index, &repository.head] {
                if !commit.is_empty() {
                    wanted.push_str(&format!("{commit}\n"));
                }
            }
            for have in &repository.needs {
                wanted.push_str(&format!("^{have}\n"));
            }
            let args = [
                "pack-objects",
                "--revs",
                "--thin",
                "--stdout",
                "--delta-base-offset",
                "-q",
            ];
            let mut child = tree.git.start(&args, Stdio::piped())?;
            if let Some(mut stdin) = child.stdin.take() {
                let fed = stdin.write_all(wanted.as_bytes());
                fed.map_err(BundleError::io("git does not read"))?;
            }
            let mut stdout = child.stdout.take().expect("it is piped");
            writer.pack(&mut stdout)?;
            let output = child.wait_with_output().map_err(BundleError::NoGit)?;
            if !output.status.success() {
                return Err(failed(&args, &output.stderr));
            }
        }
        writer.end()
    }

    fn add(
        &mut self,
        top: &Path,
        path: String,
        haves: &[String],
        limits: Limits,
    ) -> Result<(), BundleError> {
        if self.trees.len() >= MAX_REPOSITORIES {
            return Ok(());
        }
        let found = Git::at(top);
        let objects = tempfile::tempdir().map_err(BundleError::io("no folder for new objects"))?;
        let own = PathBuf::from(found.line(&[
            "rev-parse",
            "--path-format=absolute",
            "--git-path",
            "objects",
        ])?);
        let index = objects.path().join("index");
        let current = PathBuf::from(found.line(&[
            "rev-parse",
            "--path-format=absolute",
            "--git-path",
            "index",
        ])?);
        if current.exists() {
            fs::copy(&current, &index).map_err(BundleError::io("git's index can't be read"))?;
        }
        let git = Git::at(top)
            .env("GIT_INDEX_FILE", &index)
            .env("GIT_OBJECT_DIRECTORY", objects.path())
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &own)
            .env("GIT_AUTHOR_NAME", "Pillion")
            .env("GIT_AUTHOR_EMAIL", "pillion@localhost")
            .env("GIT_AUTHOR_DATE", "@0 +0000")
            .env("GIT_COMMITTER_NAME", "Pillion")
            .env("GIT_COMMITTER_EMAIL", "pillion@localhost")
            .env("GIT_COMMITTER_DATE", "@0 +0000");
        let head = git
            .line(&["rev-parse", "--verify", "-q", "HEAD"])
            .unwrap_or_default();
        let branch = git
            .line(&["symbolic-ref", "-q", "--short", "HEAD"])
            .unwrap_or_default();
        let staged = git.line(&["write-tree"]).ok();
        let commit = |tree: &str, parent: &str| {
            let mut args = vec!["commit-tree", tree, "-m", "pillion"];
            if !parent.is_empty() {
                args.extend(["-p", parent]);
            }
            git.line(&args)
        };
        let staged = match staged {
            Some(tree) => commit(&tree, &head)?,
            // It is in conflict: what lies there is what there is.
            None => String::new(),
        };
        let modules = modules(&git)?;
        self.stage_work(&git, top, &path, limits)?;
        let tree = git.line(&["write-tree"])?;
        let parent = if staged.is_empty() { &head } else { &staged };
        let work = commit(&tree, parent)?;
        let shallow = found.line(&[
            "rev-parse",
            "--path-format=absolute",
            "--git-path",
            "shallow",
        ])?;
        let shallow = fs::read_to_string(shallow).unwrap_or_default();
        let known = |have: &&String| {
            is_object_name(have) && git.is_so(&["cat-file", "-e", &format!("{have}^{{commit}}")])
        };
        self.manifest.repositories.push(Repository {
            path: path.clone(),
            head,
            branch,
            index: staged,
            work,
            shallow: shallow.lines().map(str::to_owned).collect(),
            needs: haves
                .iter()
                .take(MAX_HAVES)
                .filter(known)
                .cloned()
                .collect(),
            origin: origin(&found),
        });
        self.trees.push(Tree {
            git,
            _objects: objects,
        });
        for module in modules {
            let within = top.join(&module);
            if within.join(".git").exists() {
                let path = match path.is_empty() {
                    true => module,
                    false => format!("{path}/{module}"),
                };
                self.add(&within, path, haves, limits)?;
            }
        }
        Ok(())
    }

    /// Puts into the copied index what lies there.
    fn stage_work(
        &mut self,
        git: &Git,
        top: &Path,
        path: &str,
        limits: Limits,
    ) -> Result<(), BundleError> {
        let changed = git.bytes(&["diff-files", "-z", "--name-only"])?;
        let untracked = git.bytes(&["ls-files", "-z", "--others", "--exclude-standard"])?;
        let ignored = git.bytes(&[
            "ls-files",
            "-z",
            "--others",
            "--ignored",
            "--exclude-standard",
            "--directory",
        ])?;
        let mut wanted = Vec::new();
        for (names, is_new) in [(&changed, false), (&untracked, true)] {
            for name in names
                .split(|byte| *byte == 0)
                .filter(|name| !name.is_empty())
            {
                let file = top.join(std::ffi::OsStr::from_bytes(name));
                let about = fs::symlink_metadata(&file);
                let bytes = about.as_ref().map_or(0, |about| match about.is_file() {
                    true => about.len(),
                    false => 0,
                });
                let why = match () {
                    () if bytes > limits.max_file => Some(Why::TooLarge),
                    () if is_new && !limits.secrets && is_secret(name) => Some(Why::Secret),
                    () => None,
                };
                match why {
                    Some(why) => self.leave(path, name, bytes, why),
                    None => {
                        wanted.extend_from_slice(name);
                        wanted.push(0);
                    }
                }
            }
        }
        for name in ignored
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
        {
            let file = top.join(std::ffi::OsStr::from_bytes(name));
            self.leave(path, name, size(&file), Why::Ignored);
        }
        git.fed(
            &["update-index", "--add", "--remove", "-z", "--stdin"],
            &wanted,
        )?;
        Ok(())
    }

    fn leave(&mut self, path: &str, name: &[u8], bytes: u64, why: Why) {
        if self.manifest.left_out.len() < MAX_LEFT_OUT {
            let name = String::from_utf8_lossy(name);
            let path = match path.is_empty() {
                true => name.into_owned(),
                false => format!("{path}/{name}"),
            };
            let path = path.chars().take(MAX_NAME).collect();
            self.manifest.left_out.push(LeftOut { path, bytes, why });
        }
    }
}

/// Where submodules are, of a repository.
fn modules(git: &Git) -> Result<Vec<String>, BundleError> {
    let listed = git.bytes(&["ls-files", "-z", "--stage"])?;
    let mut found = BTreeMap::new();
    for line in listed.split(|byte| *byte == 0) {
        let line = String::from_utf8_lossy(line);
        if let Some(rest) = line.strip_prefix("160000 ")
            && let Some((_, path)) = rest.split_once('\t')
        {
            found.insert(path.to_owned(), ());
        }
    }
    Ok(found.into_keys().collect())
}

/// How much lies there, in bytes; what can't be read counts for nothing.
fn size(path: &Path) -> u64 {
    let Ok(about) = fs::symlink_metadata(path) else {
        return 0;
    };
    if !about.is_dir() {
        return about.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| size(&entry.path())).sum()
}

/// Whether a file's name says that it holds a secret.
fn is_secret(path: &[u8]) -> bool {
    let path = String::from_utf8_lossy(path).to_lowercase();
    let name = path.rsplit('/').next().unwrap_or_default();
    let ends = [
        ".pem",
        ".key",
        ".p12",
        ".pfx",
        ".keystore",
        ".jks",
        ".kdbx",
        ".tfvars",
    ];
    let begins = [
        "id_rsa",
        "id_dsa",
        "id_ecdsa",
        "id_ed25519",
        "credentials",
        "secrets.",
    ];
    let is = [
        ".netrc",
        ".npmrc",
        ".pypirc",
        ".git-credentials",
        ".htpasswd",
    ];
    name == ".env"
        || name.starts_with(".env.") && !name.ends_with(".example")
        || ends.iter().any(|end| name.ends_with(end))
        || begins
            .iter()
            .any(|begin| name.starts_with(begin) && !name.ends_with(".pub"))
        || is.contains(&name)
}

/// Whether a text is an object's name, and nothing that git would take for something else.
pub(crate) fn is_object_name(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Where a repository comes from, without a password or token.
fn origin(git: &Git) -> String {
    let url = git
        .line(&["config", "--get", "remote.origin.url"])
        .unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else {
        return url;
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.rsplit('@').next().unwrap_or(host);
    format!("{scheme}://{host}/{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known() {
        for name in [
            ".env",
            "a/.env.local",
            "x/id_rsa",
            "tls/server.KEY",
            "credentials.json",
            ".netrc",
        ] {
            assert!(is_secret(name.as_bytes()), "{name}");
        }
        for name in [
            ".env.example",
            "id_rsa.pub",
            "environment.rs",
            "keyboard.rs",
            "src/secrets",
        ] {
            assert!(!is_secret(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn object_names_are_nothing_else() {
        assert!(is_object_name(&"0a".repeat(20)));
        for text in [
            "HEAD",
            "--upload-pack=x",
            "",
            &"g".repeat(40),
            &"A".repeat(40),
        ] {
            assert!(!is_object_name(text), "{text}");
        }
    }
}
