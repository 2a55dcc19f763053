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
/// Where another terminal is shown, its lines follow; of one that is shown again, those that left its screen
/// meanwhile come first.
#[derive(Debug, Default)]
pub struct Follow {
    /// Whose lines are given.
    track: TrackId,
    /// The same as `next` for terminals that were shown before.
    left: BTreeMap<TrackId, LineId>,
    /// The first line not given yet; `None`: nothing has been seen.
    next: Option<LineId>,
    /// First line asked for and not answered, and how many.
    asked: Option<(LineId, u64)>,
    missed: u64,
}

impl Follow {
    /// From the first line that is on the screen when the session is first seen.
    pub fn new() -> Follow {
        Follow::default()
    }

    /// From this line on (or the oldest one that may be read).
    pub fn from(line: LineId) -> Follow {
        Follow {
            next: Some(line),
            ..Follow::default()
        }
    }

    /// The lines to ask for now: some left the screen, and nothing is asked for.
    pub fn wants(&mut self, view: &View) -> Option<(LineId, u32)> {
        self.turn_to(view);
        let lines = view.screen.as_ref()?.lines;
        let next = *self.next.get_or_insert(lines.top);
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
    fn turn_to(&mut self, view: &View) {
        let shown = view.track.0;
        if shown == self.track {
            return;
        }
        let left = self.next.take().map(|next| (self.track, next));
        self.left.extend(left);
        let is_there = |id: &TrackId| view.tracks.iter().any(|info| info.id == *id);
        self.left.retain(|id, _| is_there(id));
        (self.track, self.asked) = (shown, None);
        self.next = self.left.remove(&shown);
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
                push(line, out);
                next = line.id.0 + 1;
            }
        }
        if next == asked.0 {
            // The host has none of them any more.
            self.missed += count;
            next = end;
        }
        self.next = Some(LineId(next));
    }

    /// How many lines could not be had: the host no longer had them, or the session ended before they
    /// came.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Appends what is still on the screen, unwrapped, without the blank rows at its end. Lines that
    /// left it and never came count as missed.
    pub fn finish(&mut self, screen: &Screen, out: &mut String) {
        let top = screen.lines.top.0;
        self.missed += self.next.map_or(0, |next| top.saturating_sub(next.0));
        self.next = Some(LineId(u64::MAX));
        let is_blank = |row: &Row| row.text().is_empty();
        let content = screen
            .rows
            .iter()
            .rposition(|row| !is_blank(row))
            .map_or(0, |last| last + 1);
        let mut line = String::new();
        for (row, left) in screen.rows.iter().take(content).zip((0..content).rev()) {
            row.push_part(&mut line);
            if row.wrap == Wrap::Ends || left == 0 {
                out.push_str(line.trim_end_matches(' '));
                out.push('\n');
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

#[cfg(test)]
mod tests {
    use pillion_screen::Size;

    use super::*;

    #[test]
    fn what_is_left_on_the_screen_is_unwrapped() {
        let mut screen = Screen::blank(Size::clamped(3, 4));
        let rows = [
            (0, "ab ", Wrap::Full),
            (1, "cd", Wrap::Ends),
            (2, "ef", Wrap::Early),
            (3, "g", Wrap::Ends),
        ];
        for (y, text, wrap) in rows {
            let row = &mut screen.rows[y];
            row.wrap = wrap;
            for (cell, ch) in row.cells.iter_mut().zip(text.chars()) {
                cell.ch = ch;
            }
        }
        let mut out = String::new();
        Follow::new().finish(&screen, &mut out);
        assert_eq!(out, "ab cd\nefg\n");
    }

    #[test]
    fn an_empty_screen_leaves_nothing() {
        let mut out = String::new();
        Follow::new().finish(&Screen::blank(Size::clamped(80, 24)), &mut out);
        assert_eq!(out, "");
    }
}
