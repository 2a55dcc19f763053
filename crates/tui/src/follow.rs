//! `--follow`: a session's lines as plain text, each once.

use std::collections::BTreeMap;

use pillion_proto::TrackId;
use pillion_screen::{Line, LineId, Row, Screen, Wrap};
use pillion_session::{HistoryLines, View};

/// Most lines asked for at once.
const ASK: u64 = 1000;

/// Gives the text of lines as they leave the screen, each exactly once and in order, over
/// reconnects too; at the end also what is still on the screen.
///
/// A line that has left the screen may change for a while (until it is `settled`, up to 500 rows
/// later): a host that makes its terminal taller gets it back on the screen. It is given nevertheless,
/// as it was, because who follows waits for it; and it isn't given again.
///
/// Where another terminal is shown, the lines still on the screen of the one before are given, but for
/// the cursor's, which is being written; then the other one's follow. Of one that is shown again, those that left
/// its screen meanwhile come first.
///
/// Blank lines before the first one with text are left out: a program seldom begins at the top of its terminal.
#[derive(Debug, Default)]
pub struct Follow {
    /// Whose lines are given.
    track: TrackId,
    shown: Terminal,
    /// The terminals that were shown before.
    left: BTreeMap<TrackId, Terminal>,
    /// First line asked for and not answered, and how many.
    asked: Option<(LineId, u64)>,
    missed: u64,
}

/// How far a terminal's lines were given.
#[derive(Debug, Default)]
struct Terminal {
    /// The first line not given yet; `None`: nothing has been seen.
    next: Option<LineId>,
    /// Its screen when it was seen last.
    screen: Option<Screen>,
    version: u64,
    /// A line that isn't blank was given.
    begun: bool,
}

impl Follow {
    /// From the first line that is on the screen when the session is first seen.
    pub fn new() -> Follow {
        Follow::default()
    }

    /// From this line on (or the oldest one that may be read).
    pub fn from(line: LineId) -> Follow {
        Follow {
            shown: Terminal {
                next: Some(line),
                ..Terminal::default()
            },
            ..Follow::default()
        }
    }

    /// Looks at what is shown; to be called whenever that may have changed. Appends the lines of a
    /// terminal that no longer is.
    pub fn see(&mut self, view: &View, out: &mut String) {
        let Some(screen) = &view.screen else { return };
        if view.track.0 != self.track {
            self.turn_to(view, out);
        }
        let shown = &mut self.shown;
        shown.next.get_or_insert(screen.lines.top);
        if shown.screen.is_none() || shown.version != view.version {
            shown.version = view.version;
            match &mut shown.screen {
                Some(seen) => seen.clone_from(screen),
                seen => *seen = Some(screen.clone()),
            }
        }
    }

    /// The lines to ask for now: some left the screen, and nothing is asked for.
    pub fn wants(&mut self) -> Option<(LineId, u32)> {
        let lines = self.shown.screen.as_ref()?.lines;
        let next = self.shown.next?;
        if self.asked.is_some() || next >= lines.top {
            return None;
        }
        let count = (lines.top.0 - next.0).min(ASK);
        self.asked = Some((next, count));
        Some((next, count as u32))
    }

    /// Whether lines that were asked for are on their way.
    pub fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Goes on with the terminal that is shown. Answers of another one's lines never come.
    fn turn_to(&mut self, view: &View, out: &mut String) {
        let shown = view.track.0;
        let next = self.left.remove(&shown).unwrap_or_default();
        let mut before = std::mem::replace(&mut self.shown, next);
        // Those that left the screen and were not had yet come first, once it is shown again.
        if let Some(screen) = before.screen.take() {
            if before.next >= Some(screen.lines.top) {
                let y = usize::from(screen.cursor.y);
                before.give(&screen, y, out);
            }
            before.screen = Some(screen);
        }
        self.left.insert(self.track, before);
        (self.track, self.asked) = (shown, None);
        let is_there = |id: &TrackId| view.tracks.iter().any(|info| info.id == *id);
        let gone = self.left.extract_if(.., |id, _| !is_there(id));
        for (_, mut terminal) in gone {
            self.missed += terminal.finish(out);
        }
    }

    /// The connection was lost: what was asked for will not come.
    pub fn disconnected(&mut self) {
        self.asked = None;
    }

    /// Appends the text of lines that were asked for.
    pub fn history(&mut self, answer: &HistoryLines, out: &mut String) {
        let Some((asked, count)) = self.asked.filter(|(from, _)| *from == answer.asked) else {
            return;
        };
        self.asked = None;
        let end = asked.0.saturating_add(count);
        let mut next = asked.0;
        for line in &answer.lines {
            if (next..end).contains(&line.id.0) {
                self.missed += line.id.0 - next;
                self.shown.begun |= line.runs.iter().any(|run| !run.text.trim().is_empty());
                if self.shown.begun {
                    push(line, out);
                }
                next = line.id.0 + 1;
            }
        }
        if next == asked.0 {
            // The host has none of them any more.
            self.missed += count;
            next = end;
        }
        self.shown.next = Some(LineId(next));
    }

    /// How many lines could not be had: the host no longer had them, or the session ended before they
    /// came.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Appends what is still on the screen, unwrapped, without the blank rows at its end, and before
    /// that what was still on those of other terminals when they were seen last. Lines that left a screen
    /// and never came count as missed.
    pub fn finish(&mut self, out: &mut String) {
        let left = std::mem::take(&mut self.left);
        for mut terminal in left.into_values() {
            self.missed += terminal.finish(out);
        }
        self.missed += self.shown.finish(out);
    }
}

impl Terminal {
    /// Appends the lines of all its screen, and counts those that left it and never came.
    fn finish(&mut self, out: &mut String) -> u64 {
        let Some(screen) = self.screen.take() else {
            return 0;
        };
        let top = screen.lines.top;
        let missed = self.next.map_or(0, |next| top.0.saturating_sub(next.0));
        self.next = self.next.max(Some(top));
        self.give(&screen, screen.rows.len(), out);
        missed
    }

    /// Appends the lines that end before row `end`, without blank ones behind them, and counts them as given.
    fn give(&mut self, screen: &Screen, end: usize, out: &mut String) {
        let is_blank = |row: &Row| row.text().is_empty();
        let content = screen
            .rows
            .iter()
            .rposition(|row| !is_blank(row))
            .map_or(0, |last| last + 1);
        let mut id = screen.lines.top;
        let mut line = String::new();
        for (y, row) in screen.rows.iter().enumerate().take(content) {
            row.push_part(&mut line);
            if row.wrap == Wrap::Ends || y + 1 == content {
                if y >= end {
                    return;
                }
                if self.next.is_none_or(|next| id >= next) {
                    let text = line.trim_end_matches(' ');
                    self.begun |= !text.is_empty();
                    if self.begun {
                        out.push_str(text);
                        out.push('\n');
                    }
                    self.next = Some(LineId(id.0 + 1));
                }
                id.0 += 1;
                line.clear();
            }
        }
    }
}

fn push(line: &Line, out: &mut String) {
    for run in &line.runs {
        out.push_str(&run.text);
    }
    if !line.continued {
        out.push('\n');
    }
}
