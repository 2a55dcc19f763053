//! Puts what a bundle holds into a folder of its own.

use std::{
    fs,
    io::{Read, Write as _},
    path::{Component, Path, PathBuf},
    process::{Child, ChildStdin, Stdio},
};

use tempfile::TempDir;

use crate::{
    BundleError, BundleReader, Part, Repository,
    git::{Git, failed},
    take::is_object_name,
};

/// Most repositories in a bundle: a tree and its submodules.
const MAX_REPOSITORIES: usize = 256;

/// Most of a title that is part of a name, in characters.
const MAX_SHORT_NAME: usize = 60;

/// What git finds wrong in old repositories and does no harm.
const STRICT: &str = "--strict=zeroPaddedFilemode=ignore,missingSpaceBeforeDate=ignore,badTimezone=ignore,\
                      nullSha1=ignore,missingTaggerEntry=ignore,badDateOverflow=ignore";

/// Where the code of a bundle is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The folder.
    pub folder: PathBuf,
    /// The branch that is checked out in it.
    pub branch: String,
}

/// Puts a bundle's code into the new folder `into`, on the branch `pillion/NAME`. What it builds on is copied from the
/// repository `base`, which stays as it is. `progress` hears how many bytes came.
///
/// # Errors
/// The bundle is damaged or hostile, git fails, or something is in the way. Nothing is left behind then.
pub fn put<R: Read>(
    mut reader: BundleReader<R>,
    base: Option<&Path>,
    into: &Path,
    name: &str,
    max_bytes: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<Put, BundleError> {
    let repositories = reader.manifest().repositories.clone();
    check(&repositories)?;
    let is_free = match fs::read_dir(into) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => fs::symlink_metadata(into).is_err(),
    };
    if !is_free {
        return Err(BundleError::InTheWay(into.display().to_string()));
    }
    let beside = into
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let beside = beside.unwrap_or(Path::new("."));
    fs::create_dir_all(beside).map_err(BundleError::io(beside.display().to_string()))?;
    let folder = tempfile::Builder::new()
        .prefix(".pillion-fork-")
        .tempdir_in(beside)
        .map_err(BundleError::io(beside.display().to_string()))?;
    let mut putting = Putting {
        work: folder.path().join("work"),
        folder,
        branch: format!("pillion/{}", short_name(name)),
        base,
        max_bytes,
    };
    let mut came = 0;
    let mut done = 0;
    let mut pack: Option<Pack> = None;
    loop {
        match reader.next_part()? {
            Part::Repository(number) => {
                if let Some(pack) = pack.take() {
                    putting.finish(&repositories[done - 1], pack)?;
                }
                if number != done || number >= repositories.len() {
                    return Err(BundleError::Damaged("its repositories are not in order"));
                }
                pack = Some(putting.begin(&repositories[number])?);
                done += 1;
            }
            Part::Pack(piece) => {
                let Some(pack) = &mut pack else {
                    return Err(BundleError::Damaged("a pack of no repository"));
                };
                came += piece.len() as u64;
                if came > max_bytes {
                    let why = format!("it has more than {max_bytes} bytes");
                    return Err(BundleError::Hostile(why));
                }
                pack.write(&piece)?;
                progress(came);
            }
            Part::End => {
                if let Some(pack) = pack.take() {
                    putting.finish(&repositories[done - 1], pack)?;
                }
                break;
            }
        }
    }
    if done != repositories.len() {
        return Err(BundleError::Damaged("a repository is missing"));
    }
    if done == 0 {
        let made = fs::create_dir(&putting.work);
        made.map_err(BundleError::io("the folder can't be made"))?;
    }
    // It has its name when everything is in it.
    let renamed = fs::rename(&putting.work, into);
    renamed.map_err(BundleError::io(into.display().to_string()))?;
    drop(putting.folder);
    Ok(Put {
        folder: into.to_owned(),
        branch: putting.branch,
    })
}

/// What a bundle says of its repositories is what it could say.
fn check(repositories: &[Repository]) -> Result<(), BundleError> {
    let hostile = |why: String| Err(BundleError::Hostile(why));
    if repositories.len() > MAX_REPOSITORIES {
        return hostile("it has too many repositories".to_owned());
    }
    for (number, repository) in repositories.iter().enumerate() {
        let path = Path::new(&repository.path);
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(name) if !name.to_string_lossy().to_lowercase().starts_with(".git"));
        if (number == 0) != repository.path.is_empty()
            || !path.components().all(is_plain)
            || repository.path.chars().any(char::is_control)
        {
            return hostile("a submodule lies where none can".to_owned());
        }
        let names = [&repository.head, &repository.index, &repository.work];
        let names = names.into_iter().filter(|name| !name.is_empty());
        let mut names = names.chain(&repository.shallow).chain(&repository.needs);
        if !names.all(|name| is_object_name(name)) || repository.work.is_empty() {
            return hostile("it names commits that are none".to_owned());
        }
    }
    Ok(())
}

/// A folder that is being filled.
struct Putting<'a> {
    folder: TempDir,
    work: PathBuf,
    branch: String,
    base: Option<&'a Path>,
    max_bytes: u64,
}

/// A pack on its way into a repository.
struct Pack {
    git: Git,
    child: Child,
    stdin: Option<ChildStdin>,
    args: Vec<String>,
}

impl Pack {
    fn write(&mut self, piece: &[u8]) -> Result<(), BundleError> {
        let written = match &mut self.stdin {
            Some(stdin) => stdin.write_all(piece),
            None => Ok(()),
        };
        if written.is_err() {
            // It has refused it, and says why when it is waited for.
            self.stdin = None;
        }
        Ok(())
    }
}

/// Git for what others made: it knows nothing that the user has set up, so no filter or template can be named.
fn git(folder: &Path) -> Git {
    Git::at(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
}

impl Putting<'_> {
    fn begin(&mut self, repository: &Repository) -> Result<Pack, BundleError> {
        let is_first = repository.path.is_empty();
        let place = self.work.join(&repository.path);
        if !is_first {
            self.check_place(repository)?;
        }
        match self
            .base
            .filter(|_| is_first && !repository.needs.is_empty())
        {
            Some(base) => {
                let base = fs::canonicalize(base);
                let base = base.map_err(BundleError::io("the repository can't be found"))?;
                let folder = self.folder.path();
                // The user's own repository, with the user's own settings: it may be somebody else's file tree.
                Git::at(folder).with("protocol.file.allow=always").bytes(&[
                    "clone".as_ref(),
                    "-q".as_ref(),
                    "--local".as_ref(),
                    "--no-checkout".as_ref(),
                    "--template=".as_ref(),
                    "--".as_ref(),
                    base.as_os_str(),
                    place.as_os_str(),
                ])?;
                let origin = Git::at(&base).line(&["config", "--get", "remote.origin.url"]);
                let git = git(&place);
                match origin {
                    Ok(origin) => git.bytes(&["config", "remote.origin.url", &origin])?,
                    Err(_) => git.bytes(&["remote", "remove", "origin"])?,
                };
            }
            None => {
                fs::create_dir_all(&place).map_err(BundleError::io("the folder can't be made"))?;
                let git = git(&place);
                git.bytes(&["init", "-q", "--template=", "--initial-branch=pillion-fork"])?;
                if is_address(&repository.origin) {
                    git.bytes(&["remote", "add", "--", "origin", &repository.origin])?;
                }
            }
        }
        let git = git(&place);
        let has = |commit: &String| git.is_so(&["cat-file", "-e", &format!("{commit}^{{commit}}")]);
        if !repository.needs.iter().all(has) {
            return Err(BundleError::NotHere);
        }
        if !repository.shallow.is_empty() {
            let listed = repository.shallow.join("\n") + "\n";
            let written = fs::write(place.join(".git/shallow"), listed);
            written.map_err(BundleError::io("the folder can't be written"))?;
        }
        let args = vec![
            "index-pack".to_owned(),
            "--stdin".to_owned(),
            "--fix-thin".to_owned(),
            STRICT.to_owned(),
            format!("--max-input-size={}", self.max_bytes),
        ];
        let mut child = git.start(&args, Stdio::piped())?;
        let stdin = child.stdin.take();
        Ok(Pack {
            git,
            child,
            stdin,
            args,
        })
    }

    /// A submodule lies in a folder that is one, and nowhere that a link leads to.
    fn check_place(&self, repository: &Repository) -> Result<(), BundleError> {
        let mut place = self.work.clone();
        for part in Path::new(&repository.path).components() {
            place.push(part);
            let about = fs::symlink_metadata(&place);
            if !about.is_ok_and(|about| about.is_dir()) {
                let why = format!("there is no submodule at {}", repository.path);
                return Err(BundleError::Hostile(why));
            }
        }
        let is_empty = fs::read_dir(&place).is_ok_and(|mut entries| entries.next().is_none());
        match is_empty {
            true => Ok(()),
            false => Err(BundleError::Hostile(format!(
                "there are files where the submodule {} lies",
                repository.path
            ))),
        }
    }

    fn finish(&mut self, repository: &Repository, pack: Pack) -> Result<(), BundleError> {
        let Pack {
            git,
            child,
            stdin,
            args,
        } = pack;
        drop(stdin);
        let output = child.wait_with_output().map_err(BundleError::NoGit)?;
        if !output.status.success() {
            return Err(match failed(&args, &output.stderr) {
                BundleError::Git { why, .. } => BundleError::Hostile(why),
                error => error,
            });
        }
        let branch = format!("refs/heads/{}", self.branch);
        if !repository.head.is_empty() {
            git.bytes(&["update-ref", &branch, &repository.head])?;
        }
        git.bytes(&["symbolic-ref", "HEAD", &branch])?;
        git.bytes(&["read-tree", &format!("{}^{{tree}}", repository.work)])?;
        git.bytes(&["checkout-index", "-a", "-q", "-f"])?;
        // What was staged is staged again, and the rest is what lies there.
        match (repository.index.as_str(), repository.head.as_str()) {
            ("", "") => git.bytes(&["read-tree", "--empty"])?,
            ("", tree) | (tree, _) => git.bytes(&["read-tree", &format!("{tree}^{{tree}}")])?,
        };
        // It says which files differ.
        let _ = git.bytes(&["update-index", "-q", "--refresh"]);
        Ok(())
    }
}

/// Whether a text is an address that git fetches from without running a program that it names.
fn is_address(text: &str) -> bool {
    let schemes = ["https://", "ssh://", "git://", "http://"];
    let is_scp = || {
        let Some((host, path)) = text.split_once(':') else {
            return false;
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || "@.-_".contains(c);
        !path.starts_with(':') && host.chars().all(is_host) && !host.is_empty()
    };
    let is_plain = text.chars().all(|c| c.is_ascii_graphic()) && !text.starts_with('-');
    is_plain && (schemes.iter().any(|scheme| text.starts_with(scheme)) || is_scp())
}

/// A title as part of a branch's or a folder's name: small letters, digits and hyphens, never empty.
pub fn short_name(title: &str) -> String {
    let mut out = String::new();
    for c in title.chars().take(MAX_SHORT_NAME) {
        match c.is_ascii_alphanumeric() {
            true => out.push(c.to_ascii_lowercase()),
            false if !out.ends_with('-') && !out.is_empty() => out.push('-'),
            false => {}
        }
    }
    match out.trim_end_matches('-') {
        "" => "fork".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_have_names_that_git_takes() {
        for (name, branch) in [
            ("Tidy up!", "tidy-up"),
            ("../..", "fork"),
            ("--force", "force"),
            ("漢字", "fork"),
        ] {
            assert_eq!(short_name(name), branch);
        }
    }

    #[test]
    fn addresses_run_nothing() {
        for text in [
            "https://forge.example/a.git",
            "git@forge.example:a/b.git",
            "ssh://a@b/c",
        ] {
            assert!(is_address(text), "{text}");
        }
        for text in [
            "ext::sh -c evil",
            "ext::evil",
            "-oProxyCommand=x:y",
            "--upload-pack=x",
            "/etc",
            "",
            "fd::3",
        ] {
            assert!(!is_address(text), "{text}");
        }
    }

    #[test]
    fn what_a_bundle_can_not_say_is_refused() {
        let good = Repository {
            work: "0a".repeat(20),
            ..Repository::default()
        };
        assert!(check(std::slice::from_ref(&good)).is_ok());
        let at = |path: &str| {
            let path = path.to_owned();
            [
                good.clone(),
                Repository {
                    path,
                    ..good.clone()
                },
            ]
        };
        assert!(check(&at("vendor/lib")).is_ok());
        for path in [
            "",
            "../up",
            "/etc",
            "a/../../b",
            ".git/modules",
            "a/.GIT/x",
            ".gitmodules",
            "a\nb",
            ".",
        ] {
            assert!(check(&at(path)).is_err(), "{path}");
        }
        for work in ["", "HEAD", "--all"] {
            let work = work.to_owned();
            assert!(
                check(&[Repository {
                    work,
                    ..good.clone()
                }])
                .is_err()
            );
        }
        assert!(check(&vec![good.clone(); 300]).is_err());
    }
}
