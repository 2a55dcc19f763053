//! What changes in a file, as version 1 and as version 2 say it.

use similar::TextDiff;

use crate::model::Diff;

/// Lines around a change.
const CONTEXT: usize = 3;

/// The file's text before and after, of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Texts {
    pub(super) path: String,
    pub(super) old: Option<String>,
    pub(super) new: String,
}

/// A diff as version 1 has it: the texts, or of a patch what its hunks have of them.
pub(super) fn texts(diff: &Diff) -> Vec<Texts> {
    if let Some(new) = &diff.new_text {
        let path = diff
            .changes
            .first()
            .map_or(String::new(), |one| one.path.clone());
        return vec![Texts {
            path,
            old: diff.old_text.as_ref().map(|old| old.as_str().to_owned()),
            new: new.as_str().to_owned(),
        }];
    }
    let patched = of_patch(diff.patch.as_str());
    let mut all: Vec<Texts> = Vec::new();
    for change in &diff.changes {
        let at = patched.iter().find(|one| {
            let name = one.path.trim_start_matches('/');
            !name.is_empty() && change.path.ends_with(name)
        });
        all.push(Texts {
            path: change.path.clone(),
            old: at.and_then(|one| one.old.clone()),
            new: at.map(|one| one.new.clone()).unwrap_or_default(),
        });
    }
    match all.is_empty() {
        true => patched,
        false => all,
    }
}

/// What a git patch's hunks have of each file.
fn of_patch(patch: &str) -> Vec<Texts> {
    let mut all: Vec<Texts> = Vec::new();
    let (mut old_path, mut in_hunk) = (String::new(), false);
    for line in patch.lines() {
        if let Some(path) = line.strip_prefix("--- ").filter(|_| !in_hunk) {
            old_path = name(path);
            continue;
        }
        if let Some(path) = line.strip_prefix("+++ ").filter(|_| !in_hunk) {
            let path = name(path);
            let is_new = old_path.is_empty();
            all.push(Texts {
                path: if path.is_empty() {
                    old_path.clone()
                } else {
                    path
                },
                old: (!is_new).then(String::new),
                new: String::new(),
            });
            continue;
        }
        if line.starts_with("@@") {
            in_hunk = true;
            continue;
        }
        if line.starts_with("diff ") {
            in_hunk = false;
            continue;
        }
        let Some(file) = all.last_mut().filter(|_| in_hunk) else {
            continue;
        };
        let mut push = |old: bool, new: bool| {
            let text = line.get(1..).unwrap_or_default();
            if let Some(before) = file.old.as_mut().filter(|_| old) {
                before.push_str(text);
                before.push('\n');
            }
            if new {
                file.new.push_str(text);
                file.new.push('\n');
            }
        };
        match line.as_bytes().first() {
            Some(b'-') => push(true, false),
            Some(b'+') => push(false, true),
            Some(b' ') | None => push(true, true),
            _ => {}
        }
    }
    all
}

/// A path of a patch's header, without git's `a/` and `b/`; empty for none.
fn name(path: &str) -> String {
    let path = path.split('\t').next().unwrap_or_default();
    match path {
        "/dev/null" => String::new(),
        path => path
            .strip_prefix("a/")
            .or_else(|| path.strip_prefix("b/"))
            .unwrap_or(path)
            .to_owned(),
    }
}

/// A diff's patch, as version 2 has it; empty where there is nothing to make it from.
pub(super) fn patch(diff: &Diff) -> String {
    if !diff.patch.is_empty() {
        return diff.patch.as_str().to_owned();
    }
    let Some(new) = &diff.new_text else {
        return String::new();
    };
    let path = diff
        .changes
        .first()
        .map_or("file", |change| change.path.trim_start_matches('/'));
    let (old, old_name) = match &diff.old_text {
        Some(old) => (old.as_str(), format!("a/{path}")),
        None => ("", "/dev/null".to_owned()),
    };
    let texts = TextDiff::from_lines(old, new.as_str());
    let mut unified = texts.unified_diff();
    unified
        .context_radius(CONTEXT)
        .header(&old_name, &format!("b/{path}"));
    unified.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BoundedText, FileChange};

    fn change(path: &str) -> FileChange {
        FileChange {
            operation: "modify".to_owned(),
            path: path.to_owned(),
            old_path: String::new(),
        }
    }

    #[test]
    fn texts_become_a_patch_and_come_back_from_its_hunks() {
        let diff = Diff {
            changes: vec![change("/src/a.rs")],
            old_text: Some(BoundedText::new("one\ntwo\n")),
            new_text: Some(BoundedText::new("one\n2\n")),
            ..Diff::default()
        };
        let patch = patch(&diff);
        assert_eq!(
            patch,
            "--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
        );
        let back = Diff {
            changes: vec![change("/src/a.rs")],
            patch: BoundedText::new(&patch),
            ..Diff::default()
        };
        let expected = Texts {
            path: "/src/a.rs".to_owned(),
            old: Some("one\ntwo\n".to_owned()),
            new: "one\n2\n".to_owned(),
        };
        for diff in [back, diff] {
            assert_eq!(texts(&diff), std::slice::from_ref(&expected));
        }
    }

    #[test]
    fn a_patch_of_several_files_is_several_texts() {
        let patch = "diff --git a/x b/x\nnew file mode 100644\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+new\n\
                     diff --git a/y b/y\n--- a/y\n+++ /dev/null\n@@ -1 +0,0 @@\n--- old\n\\ No newline at end of file\n";
        let diff = Diff {
            patch: BoundedText::new(patch),
            ..Diff::default()
        };
        let texts = texts(&diff);
        assert_eq!((texts[0].path.as_str(), &texts[0].old), ("x", &None));
        assert_eq!(texts[0].new, "new\n");
        assert_eq!(
            (texts[1].path.as_str(), texts[1].old.as_deref()),
            ("y", Some("-- old\n"))
        );
        assert_eq!(texts[1].new, "");
    }
}
