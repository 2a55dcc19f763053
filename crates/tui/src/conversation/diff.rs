//! What changes in files, as lines with signs, from both texts or from a patch.

use pillion_conversation::{BoundedText, Diff};
use pillion_screen::Style;
use similar::{ChangeTag, TextDiff};

use super::span::{BOLD, CYAN, DIM, GREEN, Line, PLAIN, RED, lines};

/// Lines shown before and after a change.
const CONTEXT: usize = 3;

/// Of texts whose middle parts, where they differ, have more lines than this together nothing is compared: all of the
/// one goes and all of the other comes. What is compared takes at most the square of it.
const MAX_COMPARED: usize = 4000;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Same,
    Added,
    Removed,
    /// Lines are left out here, or a file begins.
    Head,
}

/// A change, laid out in lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) lines: Vec<(Kind, String)>,
    pub(super) added: usize,
    pub(super) removed: usize,
    /// Bytes that the model does not hold.
    pub(super) omitted: u64,
}

impl Lines {
    pub(super) fn of(diff: &Diff) -> Lines {
        let mut all = Lines::default();
        match (&diff.old_text, &diff.new_text) {
            (None, None) => all.patch(diff.patch.as_str()),
            (old, new) => {
                let text = |text: &Option<BoundedText>| {
                    text.as_ref().map_or("", BoundedText::as_str).to_owned()
                };
                all.texts(&text(old), &text(new));
            }
        }
        let texts = [
            Some(&diff.patch),
            diff.old_text.as_ref(),
            diff.new_text.as_ref(),
        ];
        all.omitted = texts.into_iter().flatten().map(BoundedText::omitted).sum();
        all
    }

    /// "+3 −1".
    pub(super) fn counts(&self) -> Line {
        let mut line = Line::default();
        if self.added > 0 || self.removed == 0 {
            line.push(&format!("+{}", self.added), GREEN);
        }
        if self.removed > 0 {
            let blank = if self.added > 0 { " " } else { "" };
            line.push(&format!("{blank}-{}", self.removed), RED);
        }
        line
    }

    /// The lines as rows, each at most `cols` columns.
    pub(super) fn rows(&self, cols: usize) -> Vec<Line> {
        let mut rows = Vec::new();
        for (kind, text) in &self.lines {
            let (sign, style) = signed(*kind, text);
            let sign = Line::new(sign, style);
            let blank = Line::new(&" ".repeat(sign.width()), PLAIN);
            let wrapped = Line::new(text, style).wrap_anywhere(cols.saturating_sub(sign.width()));
            rows.extend(super::span::hang(&sign, &blank, wrapped));
        }
        if self.omitted > 0 {
            let text = format!("… {} bytes more of it are in the log only", self.omitted);
            rows.extend(Line::new(&text, DIM).wrap(cols));
        }
        rows
    }

    fn push(&mut self, kind: Kind, text: &str) {
        match kind {
            Kind::Added => self.added += 1,
            Kind::Removed => self.removed += 1,
            Kind::Same | Kind::Head => {}
        }
        self.lines.push((kind, text.to_owned()));
    }

    fn patch(&mut self, patch: &str) {
        let patch = patch.strip_suffix('\n').unwrap_or(patch);
        if patch.is_empty() {
            return;
        }
        // How many lines of a hunk are still to come, of the old and of the new file: within those a line that
        // begins with "---" is a removed one.
        let mut hunk = (0_usize, 0_usize);
        for line in lines(patch) {
            let inside = hunk != (0, 0);
            match line.split_at_checked(1) {
                _ if line.starts_with("@@") => {
                    hunk = hunk_lengths(line);
                    self.push(Kind::Head, line);
                }
                Some(("+", text)) if inside => {
                    hunk.1 = hunk.1.saturating_sub(1);
                    self.push(Kind::Added, text);
                }
                Some(("-", text)) if inside => {
                    hunk.0 = hunk.0.saturating_sub(1);
                    self.push(Kind::Removed, text);
                }
                Some((" ", _)) | None if inside => {
                    hunk = (hunk.0.saturating_sub(1), hunk.1.saturating_sub(1));
                    self.push(Kind::Same, line.get(1..).unwrap_or_default());
                }
                // Of a file's head its names say all there is to know.
                _ if ["diff --git ", "index ", "--- ", "+++ /dev/null"]
                    .iter()
                    .any(|word| line.starts_with(word)) => {}
                _ => {
                    let name = line.strip_prefix("+++ b/").or(line.strip_prefix("+++ "));
                    self.push(Kind::Head, name.unwrap_or(line));
                }
            }
        }
    }

    fn texts(&mut self, old: &str, new: &str) {
        let (old, new): (Vec<&str>, Vec<&str>) = (text_lines(old), text_lines(new));
        let same = |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| {
            pairs.take_while(|(old, new)| old == new).count()
        };
        let before = same(&mut old.iter().zip(&new));
        let rest = old.len().min(new.len()) - before;
        let after = same(&mut old.iter().rev().zip(new.iter().rev()).take(rest));
        let (old_end, new_end) = (old.len() - after, new.len() - after);
        let (from, shown) = (before.saturating_sub(CONTEXT), before.min(CONTEXT));
        if before == old.len() && before == new.len() {
            return;
        }
        if from > 0 {
            self.push(Kind::Head, &format!("@@ line {} @@", from + 1));
        }
        old[from..from + shown]
            .iter()
            .for_each(|line| self.push(Kind::Same, line));
        let (gone, came) = (&old[before..old_end], &new[before..new_end]);
        match gone.is_empty() || came.is_empty() || gone.len() + came.len() > MAX_COMPARED {
            true => {
                gone.iter().for_each(|line| self.push(Kind::Removed, line));
                came.iter().for_each(|line| self.push(Kind::Added, line));
            }
            false => self.compare(gone, came, before),
        }
        old[old_end..]
            .iter()
            .take(CONTEXT)
            .for_each(|line| self.push(Kind::Same, line));
    }

    /// What is between the first and the last difference.
    fn compare(&mut self, old: &[&str], new: &[&str], before: usize) {
        let diff = TextDiff::from_slices(old, new);
        for (at, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
            if at > 0
                && let Some(first) = group.first()
            {
                let line = before + first.new_range().start + 1;
                self.push(Kind::Head, &format!("@@ line {line} @@"));
            }
            for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                let kind = match change.tag() {
                    ChangeTag::Equal => Kind::Same,
                    ChangeTag::Delete => Kind::Removed,
                    ChangeTag::Insert => Kind::Added,
                };
                self.push(kind, change.value());
            }
        }
    }
}

/// The sign that a line begins with, and how it is drawn.
pub(super) fn signed(kind: Kind, text: &str) -> (&'static str, Style) {
    match kind {
        Kind::Same => (" ", PLAIN),
        Kind::Added => ("+", GREEN),
        Kind::Removed => ("-", RED),
        Kind::Head if text.starts_with("@@") || text == "…" => ("", CYAN),
        Kind::Head => ("", BOLD),
    }
}

fn text_lines(text: &str) -> Vec<&str> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    match text.is_empty() {
        true => Vec::new(),
        false => lines(text).collect(),
    }
}

/// Of `@@ -1,5 +1,7 @@` the 5 and the 7.
fn hunk_lengths(line: &str) -> (usize, usize) {
    let length = |sign: char| {
        let range = line.split(' ').find_map(|word| word.strip_prefix(sign))?;
        match range.split_once(',') {
            Some((_, length)) => length.parse().ok(),
            None => Some(1),
        }
    };
    (length('-').unwrap_or(0), length('+').unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(old: Option<&str>, new: &str) -> Lines {
        Lines::of(&Diff {
            old_text: old.map(BoundedText::new),
            new_text: Some(BoundedText::new(new)),
            ..Diff::default()
        })
    }

    fn shown(lines: &Lines) -> Vec<String> {
        lines.rows(40).iter().map(Line::plain_text).collect()
    }

    #[test]
    fn of_two_texts_the_lines_that_differ_are_shown() {
        let old: String = (1..=20).map(|n| format!("line {n}\n")).collect();
        let new = old.replace("line 10\n", "line ten\nand more\n");
        let lines = texts(Some(&old), &new);
        assert_eq!((lines.added, lines.removed), (2, 1));
        assert_eq!(
            shown(&lines),
            [
                "@@ line 7 @@",
                " line 7",
                " line 8",
                " line 9",
                "-line 10",
                "+line ten",
                "+and more",
                " line 11",
                " line 12",
                " line 13"
            ]
        );
        assert_eq!(shown(&texts(None, "a\nb\n")), ["+a", "+b"]);
        assert_eq!(shown(&texts(Some("a\n"), "a\n")), Vec::<String>::new());
        let far = texts(
            Some("a\n1\n2\n3\n4\n5\n6\n7\n8\nb\n"),
            "A\n1\n2\n3\n4\n5\n6\n7\n8\nB\n",
        );
        assert_eq!(
            shown(&far),
            [
                "-a",
                "+A",
                " 1",
                " 2",
                " 3",
                "@@ line 7 @@",
                " 6",
                " 7",
                " 8",
                "-b",
                "+B"
            ]
        );
    }

    #[test]
    fn a_patch_is_read_by_its_hunks() {
        let patch = "diff --git a/x.rs b/x.rs\nindex 1..2 100644\n--- a/x.rs\n+++ b/x.rs\n@@ -1,3 +1,2 @@ fn x\n a\n--- b\n-c\n+++ d\n";
        let lines = Lines::of(&Diff {
            patch: BoundedText::new(patch),
            ..Diff::default()
        });
        assert_eq!((lines.added, lines.removed), (1, 2));
        assert_eq!(
            shown(&lines),
            ["x.rs", "@@ -1,3 +1,2 @@ fn x", " a", "--- b", "-c", "+++ d"]
        );
    }

    #[test]
    fn texts_that_have_nothing_in_common_take_no_time() {
        let old: String = (0..60_000).map(|n| format!("{}\n", n % 7)).collect();
        let new: String = (0..60_000).map(|n| format!("{}\n", n % 5)).collect();
        let lines = texts(Some(&old), &new);
        assert!(lines.added > 10_000 && lines.omitted == 0);
    }

    proptest! {
        #[test]
        fn what_is_shown_makes_one_text_of_the_other(
            old in "[ab\n]{0,40}", new in "[ab\n]{0,40}",
        ) {
            let lines = texts(Some(&old), &new);
            // All of it is within the context of some change, or is left out on both sides alike.
            let count = |kinds: [Kind; 2]| lines.lines.iter().filter(|(kind, _)| kinds.contains(kind)).count();
            let (before, after) = (text_lines(&old).len(), text_lines(&new).len());
            let left_out = before - count([Kind::Same, Kind::Removed]);
            prop_assert_eq!(left_out, after - count([Kind::Same, Kind::Added]));
        }

        #[test]
        fn any_patch_does_no_harm(patch in "[-+@ 0-9,\na-c]{0,120}", cols in 1_usize..30) {
            let lines = Lines::of(&Diff { patch: BoundedText::new(&patch), ..Diff::default() });
            prop_assert!(lines.rows(cols).iter().all(|row| row.width() <= cols.max(2)));
        }
    }
}
