//! What has changed where the agent works: the files with their counts, the lines of one of them, and comments on lines
//! that become a prompt.

use pillion_conversation::{BoundedText, ChangedFile, ChangedFiles, Changes, Diff};
use pillion_proto::limits::MAX_PROMPT;
use pillion_screen::Attrs;

use super::{
    ConversationContext,
    diff::{Kind, Lines, signed},
    input::Input,
    span::{BOLD, CYAN, DIM, GREEN, Line, PLAIN, RED, YELLOW, with},
};
use crate::{
    keys::{Key, KeyCode, Mods},
    text,
};

/// Most comments that are collected.
const MAX_COMMENTS: usize = 64;

/// How much of a line is quoted, in characters.
const MAX_QUOTED: usize = 200;

/// Longest path that is shown, in characters.
const MAX_PATH: usize = 120;

/// Where somebody is in what changed, and what they have written of it.
#[derive(Debug, Default)]
pub(super) struct ChangesView {
    /// Of the newest turn, not since the start.
    of_turn: bool,
    /// The file that is marked.
    file: usize,
    /// The file that is open, by its path.
    open: Option<String>,
    /// The line that is marked in it.
    line: usize,
    comments: Vec<Comment>,
    /// The comment that is being written.
    writing: Option<Input>,
    /// Rows for files or lines, as it was drawn last.
    page: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Comment {
    path: String,
    line: usize,
    /// Where that is, for people and agents.
    place: String,
    quoted: String,
    text: String,
}

/// What comes of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Done {
    Nothing,
    Closed,
    /// A prompt, of the comments.
    Prompt(String),
    Say(&'static str),
}

/// A line of a change, with its number in the file: of one that went, in the file as it was.
struct Numbered {
    kind: Kind,
    text: String,
    number: Option<u64>,
}

impl ChangesView {
    /// What is looked at.
    fn set<'a>(&self, changes: &'a Changes) -> Option<&'a ChangedFiles> {
        match self.of_turn {
            true => changes.turns.last().map(|turn| &turn.set),
            false => Some(&changes.start),
        }
    }

    fn opened<'a>(&self, changes: &'a Changes) -> Option<&'a ChangedFile> {
        let path = self.open.as_ref()?;
        let mut files = self.set(changes)?.files.iter();
        files.find(|file| file.path == *path)
    }

    /// What was typed, that is text.
    pub(super) fn text(&mut self, cx: &ConversationContext<'_>, bytes: &[u8]) -> Done {
        if let Some(writing) = &mut self.writing {
            return match writing.bytes(bytes) {
                Ok(()) => Done::Nothing,
                Err(_) => Done::Say("That is longer than a prompt may be."),
            };
        }
        match bytes {
            b"t" => {
                self.of_turn = !self.of_turn;
                (self.file, self.open, self.line) = (0, None, 0);
                Done::Nothing
            }
            b"c" => self.comment(cx),
            b"x" => self.take_back(),
            b"s" => self.send(cx),
            b"q" => Done::Closed,
            b"j" => self.move_by(cx, 1),
            b"k" => self.move_by(cx, -1),
            b" " => self.enter(cx),
            _ => Done::Nothing,
        }
    }

    /// A paste, which only a comment takes.
    pub(super) fn paste(&mut self, bytes: &[u8]) {
        if let Some(writing) = &mut self.writing {
            // What has no room is left out.
            let _ = writing.bytes(bytes);
        }
    }

    pub(super) fn key(&mut self, cx: &ConversationContext<'_>, key: &Key) -> Done {
        let page = isize::try_from(self.page.max(1)).unwrap_or(1);
        if let Some(writing) = &mut self.writing {
            match (key.code, key.mods) {
                (KeyCode::Esc, _) => self.writing = None,
                (KeyCode::Enter, Mods::NONE) => return self.write(cx),
                _ => {
                    writing.key(key);
                }
            }
            return Done::Nothing;
        }
        match key.code {
            KeyCode::Esc | KeyCode::Left | KeyCode::Backspace => match self.open.take() {
                Some(_) => Done::Nothing,
                None if key.code == KeyCode::Esc => Done::Closed,
                None => Done::Nothing,
            },
            KeyCode::Enter | KeyCode::Right => self.enter(cx),
            KeyCode::Up => self.move_by(cx, -1),
            KeyCode::Down => self.move_by(cx, 1),
            KeyCode::PageUp => self.move_by(cx, -page),
            KeyCode::PageDown => self.move_by(cx, page),
            KeyCode::Home => self.move_by(cx, isize::MIN / 2),
            KeyCode::End => self.move_by(cx, isize::MAX / 2),
            _ => Done::Nothing,
        }
    }

    fn enter(&mut self, cx: &ConversationContext<'_>) -> Done {
        if self.open.is_some() {
            return self.comment(cx);
        }
        let set = self.set(cx.conversation.changes());
        let file = set.and_then(|set| set.files.get(self.file));
        self.open = file.map(|file| file.path.clone());
        self.line = 0;
        if let Some(file) = file {
            // The first line that says something.
            let lines = numbered(file);
            self.line = lines
                .iter()
                .position(|line| matches!(line.kind, Kind::Added | Kind::Removed))
                .unwrap_or(0);
        }
        Done::Nothing
    }

    fn move_by(&mut self, cx: &ConversationContext<'_>, by: isize) -> Done {
        let changes = cx.conversation.changes();
        let (at, count) = match self.opened(changes) {
            Some(file) => (&mut self.line, numbered(file).len()),
            None => {
                let count = self.set(changes).map_or(0, |set| set.files.len());
                (&mut self.file, count)
            }
        };
        *at = at.saturating_add_signed(by).min(count.saturating_sub(1));
        Done::Nothing
    }

    /// Begins a comment on the line that is marked.
    fn comment(&mut self, cx: &ConversationContext<'_>) -> Done {
        if !cx.may_prompt {
            return Done::Say(
                "You watch this conversation: comments become a prompt, which needs the right to prompt.",
            );
        }
        if self.opened(cx.conversation.changes()).is_none() {
            return Done::Say("Enter opens a file; a comment is on a line of it.");
        }
        if self.comments.len() >= MAX_COMMENTS {
            return Done::Say("As many comments are written as may be: s sends them.");
        }
        self.writing = Some(Input::default());
        Done::Nothing
    }

    fn write(&mut self, cx: &ConversationContext<'_>) -> Done {
        let text = self.writing.take().map(|mut input| input.take());
        let text = text.unwrap_or_default();
        let Some(file) = self.opened(cx.conversation.changes()) else {
            return Done::Say(
                "The file is as it was before, meanwhile: there is nothing to comment on.",
            );
        };
        if text.trim().is_empty() {
            return Done::Nothing;
        }
        let lines = numbered(file);
        let Some(line) = lines.get(self.line) else {
            return Done::Nothing;
        };
        let (sign, _) = signed(line.kind, &line.text);
        let place = match (line.kind, line.number) {
            (Kind::Removed, Some(number)) => format!("{}, line {number} as it was", file.path),
            (_, Some(number)) => format!("{}:{number}", file.path),
            (_, None) => file.path.clone(),
        };
        let quoted: String = line.text.chars().take(MAX_QUOTED).collect();
        self.comments.push(Comment {
            path: file.path.clone(),
            line: self.line,
            place,
            quoted: format!("{sign}{quoted}"),
            text: text.trim().to_owned(),
        });
        Done::Nothing
    }

    /// Takes back the newest comment on the line that is marked.
    fn take_back(&mut self) -> Done {
        let of_line = |comment: &Comment| {
            Some(&comment.path) == self.open.as_ref() && comment.line == self.line
        };
        match self.comments.iter().rposition(of_line) {
            Some(at) => {
                self.comments.remove(at);
                Done::Nothing
            }
            None => Done::Say("There is no comment of yours on this line."),
        }
    }

    fn send(&mut self, cx: &ConversationContext<'_>) -> Done {
        if self.comments.is_empty() {
            return Done::Say("There are no comments yet: c writes one on a line.");
        }
        if cx.host_away {
            return Done::Say("The host is away: comments can be sent when it is back.");
        }
        let mut prompt = String::from("Comments on what changed:\n");
        for comment in &self.comments {
            let Comment {
                place,
                quoted,
                text,
                ..
            } = comment;
            prompt.push_str(&format!("\n{place}\n> {quoted}\n{text}\n"));
        }
        if prompt.len() > MAX_PROMPT {
            return Done::Say("The comments are longer than a prompt may be: x takes one back.");
        }
        self.comments.clear();
        Done::Prompt(prompt)
    }

    /// At most `height` rows.
    pub(super) fn rows(
        &mut self,
        cx: &ConversationContext<'_>,
        cols: usize,
        height: usize,
    ) -> Vec<Line> {
        let changes = cx.conversation.changes();
        let mut rows = vec![self.head(changes).cut(cols)];
        let foot = self.foot(cx, cols);
        self.page = height.saturating_sub(1 + foot.len()).max(1);
        let page = self.page;
        let body = match (changes.fault.is_empty(), self.opened(changes)) {
            (false, _) => Line::new(&changes.fault, PLAIN).wrap(cols),
            (true, Some(file)) => self.lines(file, cols, page),
            (true, None) => self.files(changes, cols, page),
        };
        rows.extend(body.into_iter().take(page));
        rows.resize(1 + page, Line::default());
        rows.extend(foot);
        rows.truncate(height);
        rows
    }

    fn head(&self, changes: &Changes) -> Line {
        if let Some(file) = self.opened(changes) {
            let mut head = Line::new(&text::label(&file.path, MAX_PATH), BOLD).and("  ", PLAIN);
            counts(&mut head, file.added, file.removed);
            if !self.comments.is_empty() {
                head.push(&comments_of(self.comments.len()), YELLOW);
            }
            return head;
        }
        let mut head = match (self.of_turn, changes.turns.last()) {
            (true, Some(turn)) => Line::new(&format!("Changed in turn {}", turn.turn), BOLD),
            (true, None) => Line::new("Changed in this turn", BOLD),
            (false, _) => Line::new("Changed since the start", BOLD),
        };
        if let Some(set) = self.set(changes) {
            let (added, removed) = set.counts();
            let count = set.files.len() as u64 + set.left_out;
            let files = if count == 1 { "file" } else { "files" };
            head.push(&format!(": {count} {files} "), PLAIN);
            counts(&mut head, added, removed);
        }
        if !self.comments.is_empty() {
            head.push(&comments_of(self.comments.len()), YELLOW);
        }
        head
    }

    fn foot(&mut self, cx: &ConversationContext<'_>, cols: usize) -> Vec<Line> {
        if let Some(writing) = &mut self.writing {
            let mark = Line::new("comment › ", CYAN);
            let room = cols.saturating_sub(mark.width()).max(1);
            let rows = writing.see(room, 3).rows;
            let blank = Line::new(&" ".repeat(mark.width()), PLAIN);
            let mut rows = super::span::hang(&mark, &blank, rows);
            rows.push(Line::new("Enter keeps it  Esc drops it", DIM).cut(cols));
            return rows;
        }
        let keys = match (self.open.is_some(), cx.may_prompt) {
            (true, true) => "↑ ↓ line  c comment  x take back  s send all  Esc back",
            (true, false) => "↑ ↓ line  Esc back",
            (false, true) => "Enter opens  t turn or start  s send comments  Esc back",
            (false, false) => "Enter opens  t turn or start  Esc back",
        };
        vec![Line::new(keys, DIM).cut(cols)]
    }

    fn files(&mut self, changes: &Changes, cols: usize, page: usize) -> Vec<Line> {
        let Some(set) = self.set(changes) else {
            return vec![Line::new("No turn has begun yet.", DIM).cut(cols)];
        };
        self.file = self.file.min(set.files.len().saturating_sub(1));
        if set.files.is_empty() {
            return vec![Line::new("Nothing, as far as git sees it.", DIM).cut(cols)];
        }
        let top = (self.file + 1).saturating_sub(page);
        let mut rows = Vec::new();
        for (at, file) in set.files.iter().enumerate().skip(top).take(page) {
            let sign = match file.operation.as_str() {
                "add" => "A",
                "delete" => "D",
                "move" => "R",
                "copy" => "C",
                _ => "M",
            };
            let mut row = Line::new(&format!(" {sign} "), YELLOW);
            if !file.old_path.is_empty() {
                row.push(&text::label(&file.old_path, MAX_PATH), DIM);
                row.push(" → ", DIM);
            }
            row.push(&text::label(&file.path, MAX_PATH), PLAIN);
            row.push("  ", PLAIN);
            match file.binary {
                true => row.push("binary", DIM),
                false => counts(&mut row, file.added, file.removed),
            }
            let comments = self.comments.iter();
            let comments = comments.filter(|comment| comment.path == file.path).count();
            if comments > 0 {
                row.push(&comments_of(comments), YELLOW);
            }
            rows.push(marked(row.cut(cols), at == self.file));
        }
        if set.left_out > 0 && rows.len() < page {
            let more = format!("   and {} more that are not looked at", set.left_out);
            rows.push(Line::new(&more, DIM).cut(cols));
        }
        rows
    }

    fn lines(&mut self, file: &ChangedFile, cols: usize, page: usize) -> Vec<Line> {
        let lines = numbered(file);
        self.line = self.line.min(lines.len().saturating_sub(1));
        let mut rows: Vec<Line> = Vec::new();
        let mut mark = 0;
        for (at, line) in lines.iter().enumerate() {
            let (sign, style) = signed(line.kind, &line.text);
            let number = line
                .number
                .map_or(String::new(), |number| number.to_string());
            let row = Line::new(&format!("{number:>5} "), DIM);
            let row = row.and(sign, style).and(&line.text, style);
            if at == self.line {
                mark = rows.len();
            }
            rows.push(marked(row.cut(cols), at == self.line));
            for comment in &self.comments {
                if comment.path == file.path && comment.line == at {
                    let said = Line::new("      ╰ ", YELLOW).and(&comment.text, YELLOW);
                    rows.push(said.cut(cols));
                }
            }
        }
        if lines.is_empty() {
            let why = match file.binary {
                true => "It is no text.",
                false => "Nothing but its name or its mode is another.",
            };
            rows.push(Line::new(why, DIM).cut(cols));
        }
        if file.omitted > 0 {
            let more = format!("… {} bytes more of it are in the log only", file.omitted);
            rows.push(Line::new(&more, DIM).cut(cols));
        }
        // The line that is marked stands in the middle, where there is more than fits.
        let most = rows.len().saturating_sub(page);
        let top = mark.saturating_sub(page / 2).min(most);
        rows.split_off(top)
    }
}

/// "+3 -1".
fn counts(line: &mut Line, added: u64, removed: u64) {
    line.push(&format!("+{added}"), GREEN);
    line.push(&format!(" -{removed}"), RED);
}

fn comments_of(count: usize) -> String {
    match count {
        1 => "  1 comment".to_owned(),
        count => format!("  {count} comments"),
    }
}

fn marked(row: Line, is_marked: bool) -> Line {
    match is_marked {
        true => row.restyled(|style| with(style, Attrs::INVERSE)),
        false => row,
    }
}

/// The lines of a file's change, with their numbers.
fn numbered(file: &ChangedFile) -> Vec<Numbered> {
    let lines = Lines::of(&Diff {
        patch: BoundedText::new(&file.patch),
        ..Diff::default()
    });
    let (mut old, mut new) = (0, 0);
    let each = lines.lines.into_iter().map(|(kind, text)| {
        let number = match kind {
            Kind::Head => {
                if let Some(begins) = begins(&text) {
                    (old, new) = begins;
                }
                None
            }
            Kind::Added => Some(new),
            Kind::Removed => Some(old),
            Kind::Same => Some(new),
        };
        if matches!(kind, Kind::Added | Kind::Same) {
            new += 1;
        }
        if matches!(kind, Kind::Removed | Kind::Same) {
            old += 1;
        }
        Numbered { kind, text, number }
    });
    // What names the file is in the list.
    each.filter(|line| line.kind != Kind::Head || line.text.starts_with("@@"))
        .collect()
}

/// Of `@@ -1,5 +1,7 @@` the lines that it begins with.
fn begins(line: &str) -> Option<(u64, u64)> {
    let first = |sign: char| {
        let mut words = line.split(' ');
        let range = words.find_map(|word| word.strip_prefix(sign))?;
        range.split(',').next()?.parse().ok()
    };
    Some((first('-')?, first('+')?))
}
