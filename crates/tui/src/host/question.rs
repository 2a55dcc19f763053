//! A question to the person at the host, on a page of its own, and when an answer to it counts.
//!
//! The page covers the terminal while the program's output is held, so nothing of the program's stands in
//! or beside it. It is shown whole: where it has more lines than fit it scrolls, and is not answered
//! before its end was seen.

use pillion_screen::{Size, clean};
use pillion_session::{Now, host::Question};

use super::{
    notice::{Subject, Waiting},
    panel::Drawn,
};
use crate::{settled::Settled, text, words};

/// Longest line of a question, in characters: the longest subject of a list, and the words around it.
const MAX_LINE: usize = 1000;

/// Most columns of what somebody says of themselves or of others.
const MAX_SAID: usize = 40;

/// The page of one question, or of one that is gone.
#[derive(Debug, Default)]
pub(crate) struct QuestionPage {
    /// What is asked; `None` once nobody waits for the answer.
    subject: Option<Subject>,
    /// It was opened from the list, which comes back after it.
    pub(crate) from_list: bool,
    /// The first line shown, of those that may scroll.
    top: usize,
    /// How many lines there are, and fit, as it was drawn last.
    lines: usize,
    room: usize,
    /// The lines up to here were on the terminal.
    seen: usize,
    /// The size it was drawn for.
    size: Option<Size>,
    /// All of it has been on the terminal.
    pub(crate) whole: Settled,
    /// A key came that was no answer yet.
    too_soon: bool,
}

impl QuestionPage {
    pub(crate) fn new(subject: Subject, from_list: bool) -> QuestionPage {
        QuestionPage {
            subject: Some(subject),
            from_list,
            ..QuestionPage::default()
        }
    }

    /// In place of one that nobody waits for any more.
    pub(crate) fn gone(from_list: bool) -> QuestionPage {
        QuestionPage {
            subject: None,
            from_list,
            ..QuestionPage::default()
        }
    }

    /// What is asked, while somebody waits for the answer.
    pub(crate) fn subject(&self) -> Option<Subject> {
        self.subject
    }

    /// Whether a key is an answer: it came `alone`, and all of the question was there to be read. If it is
    /// none, that is said.
    pub(crate) fn takes_answer(&mut self, alone: bool) -> bool {
        let takes = alone && self.whole.is_settled();
        self.too_soon |= !takes;
        takes
    }

    /// What [`QuestionPage::draw`] gave is on the terminal.
    pub(crate) fn painted(&mut self, now: Now) {
        if self.top <= self.seen {
            self.seen = self.seen.max(self.top + self.room);
        }
        if self.size.is_some() && self.seen >= self.lines {
            self.whole.painted(now);
        }
    }

    /// Shows what comes after or before what is shown.
    pub(crate) fn scroll(&mut self, down: bool) {
        let step = self.room.saturating_sub(1).max(1);
        let last = self.lines.saturating_sub(self.room);
        self.top = match down {
            true => (self.top + step).min(last),
            false => self.top.saturating_sub(step),
        };
    }

    /// All rows of the terminal.
    pub(crate) fn draw(&mut self, size: Size, waiting: Option<Waiting<'_>>, many: usize) -> Drawn {
        if self.size.replace(size) != Some(size) {
            (self.top, self.seen, self.whole) = (0, 0, Settled::default());
        }
        let (cols, rows) = (usize::from(size.cols()), usize::from(size.rows()));
        // A margin where there is room for one.
        let margin = usize::from(cols >= 20);
        let inner = cols.saturating_sub(2 * margin).max(1);
        let body = match &waiting {
            Some(waiting) => body(waiting, inner),
            None => text::fold(GONE, inner, usize::MAX),
        };
        let head = match many {
            0 | 1 => "pillion".to_owned(),
            many => format!("pillion: 1 of {many} questions"),
        };
        let most = (rows / 3).clamp(1, 4).min(rows.saturating_sub(1));
        let mut foot = text::flow(&self.keys(waiting.as_ref(), false), inner, most);
        if body.len() + 1 + foot.len() > rows {
            let more = self.lines == 0 || self.seen < self.lines;
            foot = text::flow(&self.keys(waiting.as_ref(), more), inner, most);
        }
        let head_rows = usize::from(rows > foot.len() + 1);
        let foot_rows = foot.len();
        self.lines = body.len();
        self.room = rows.saturating_sub(head_rows + foot_rows).max(1);
        self.top = self.top.min(body.len().saturating_sub(self.room));
        let mut lines = Vec::with_capacity(rows);
        let mut line = |text: &str, marked| lines.push((format!("{:margin$}{text}", ""), marked));
        if head_rows > 0 {
            line(&text::cut(&head, inner), true);
        }
        for at in self.top..self.top + self.room {
            line(body.get(at).map_or("", String::as_str), false);
        }
        for foot in &foot {
            line(foot, true);
        }
        lines.truncate(rows);
        Drawn {
            x: 0,
            y: 0,
            cols: size.cols(),
            lines,
            qr: None,
        }
    }

    /// What keys do. There is `more` of the question below what was seen of it.
    fn keys(&self, waiting: Option<&Waiting<'_>>, more: bool) -> Vec<&'static str> {
        let Some(waiting) = waiting else {
            return vec!["any key goes back"];
        };
        let mut keys = Vec::new();
        match (more, self.too_soon) {
            (false, false) => {}
            (false, true) => keys.push("Too soon: read it, then press a key."),
            (true, false) => keys.push("↓ more"),
            (true, true) => keys.push("Too soon: ↓ shows more of it."),
        }
        keys.extend(match waiting.subject {
            Subject::Knock(..) => &["y let in", "n refuse", "N block"][..],
            Subject::Edit(..) => &["y yes", "1 for 1 h", "n not now"][..],
            Subject::Confirm(_) => &["y yes", "n no"][..],
        });
        keys.extend(["Esc later", "p panel"]);
        keys
    }
}

const GONE: &str = "This question is gone: it was withdrawn, answered elsewhere, or nobody answered it in time. \
                    Nothing came of it here.";

/// The question's lines: what is given and for how long, who gets it, and last what nobody checked.
fn body(waiting: &Waiting<'_>, cols: usize) -> Vec<String> {
    let Question { what, who, said } = waiting.question;
    let intro = match waiting.subject {
        Subject::Edit(..) => "A viewer asks.",
        Subject::Knock(..) => "Somebody who knocks asks.",
        Subject::Confirm(_) => {
            "A command on this machine asks. Others typed here, or may: is it yours?"
        }
    };
    let mut lines = Vec::new();
    let mut say = |text: &str| {
        let text = clean::clean_title(text, MAX_LINE);
        lines.extend(text::fold(&text, cols, usize::MAX));
    };
    say(&format!("{}?", words::offer(what)));
    let who: Vec<String> = who.iter().map(words::who_line).collect();
    let (first, rest) = who.split_at(who.len().min(1));
    first.iter().for_each(|line| say(line));
    waiting.remark.iter().for_each(|line| say(line));
    rest.iter().for_each(|line| say(line));
    say(intro);
    for (whose, word) in said.iter().map(words::unverified) {
        lines.extend(quoted(whose, word, cols));
    }
    lines
}

/// Somebody's word: cut, so that it takes no room from anything else, and on one line, so that no part of
/// it looks like a line of ours.
fn quoted(whose: &str, word: &str, cols: usize) -> Vec<String> {
    let word: String = clean::clean_title(word, MAX_LINE)
        .chars()
        .map(|ch| match ch {
            '“' | '”' => '"',
            ch => ch,
        })
        .collect();
    let quote = |room: usize| match text::cut(&word, room.saturating_sub(2).min(MAX_SAID)) {
        empty if empty.is_empty() => "“?”".to_owned(),
        word => format!("“{word}”"),
    };
    let beside = cols.saturating_sub(text::width(whose) + 2);
    match beside >= 16 {
        true => vec![format!("{whose}: {}", quote(beside))],
        false => {
            let mut lines = text::fold(&format!("{whose}:"), cols, usize::MAX);
            lines.push(text::cut(&quote(cols), cols));
            lines
        }
    }
}
