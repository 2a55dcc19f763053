//! Which branch and commit a directory has checked out, read from git's own files.

use std::{fs, path::Path};

/// The branch and the commit; empty where there is none.
pub(crate) fn checked_out(directory: &Path) -> (String, String) {
    read(directory).unwrap_or_default()
}

fn read(directory: &Path) -> Option<(String, String)> {
    let dot_git = directory
        .ancestors()
        .map(|one| one.join(".git"))
        .find(|one| one.exists())?;
    let git = match dot_git.is_dir() {
        true => dot_git,
        // A worktree's file says where its own part is.
        false => {
            let text = text(&dot_git)?;
            dot_git.parent()?.join(text.strip_prefix("gitdir:")?.trim())
        }
    };
    let head = text(&git.join("HEAD"))?;
    let Some(reference) = head.strip_prefix("ref:").map(str::trim) else {
        return Some((String::new(), head));
    };
    let branch = reference.strip_prefix("refs/heads/").unwrap_or(reference);
    let common = text(&git.join("commondir")).map(|path| git.join(path));
    let commit = [Some(git), common]
        .into_iter()
        .flatten()
        .find_map(|git| commit(&git, reference));
    Some((branch.to_owned(), commit.unwrap_or_default()))
}

fn commit(git: &Path, reference: &str) -> Option<String> {
    if let Some(commit) = text(&git.join(reference)) {
        return Some(commit);
    }
    let packed = fs::read_to_string(git.join("packed-refs")).ok()?;
    let mut lines = packed.lines().filter_map(|line| line.split_once(' '));
    let found = lines.find(|(_, name)| *name == reference);
    found.map(|(commit, _)| commit.to_owned())
}

/// A file of one line.
fn text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty() && text.len() <= 4096).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_and_commit_are_found_wherever_git_keeps_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let both = |branch: &str, commit: &str| (branch.to_owned(), commit.to_owned());
        fs::create_dir_all(root.join("src/deep")).unwrap();
        write(".git/HEAD", "ref: refs/heads/a/b\n");
        assert_eq!(checked_out(root), both("a/b", ""));
        write(".git/packed-refs", "# pack-refs\n11aa refs/heads/a/b\n");
        assert_eq!(checked_out(&root.join("src/deep")), both("a/b", "11aa"));
        write(".git/refs/heads/a/b", "22bb\n");
        assert_eq!(checked_out(root), both("a/b", "22bb"));
        write(".git/HEAD", "33cc\n");
        assert_eq!(checked_out(root), both("", "33cc"));
        write(".git/worktrees/w/HEAD", "ref: refs/heads/a/b\n");
        write(".git/worktrees/w/commondir", "../..\n");
        write("w/.git", "gitdir: ../.git/worktrees/w\n");
        assert_eq!(checked_out(&root.join("w")), both("a/b", "22bb"));
    }

    #[test]
    fn where_there_is_no_repository_there_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".git"), "gitdir: nowhere\n").unwrap();
        assert_eq!(checked_out(folder.path()), (String::new(), String::new()));
    }
}
