//! The session's terminals, for somebody who looks at one of them: going to another, the list, a new one.

use pillion_proto::{Right, TrackId, TrackInfo, TrackKind, TrackState};
use pillion_session::{Now, View};

use super::{Action, Overlay, Turn, ViewerUi};
use crate::{
    keys::{Key, KeyCode},
    text, words,
};

/// How long a terminal that was asked for is waited for, to look at it, in microseconds.
const OPENS_WITHIN_US: u64 = 15_000_000;

/// Columns of a title in the list.
const TITLE_COLS: usize = 24;

/// The keys of the list.
const KEYS: [&str; 5] = ["Enter look", "0-9 look", "f follow", "c open", "Esc close"];

/// A terminal that this viewer asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    /// Its number is above this one.
    after: Option<TrackId>,
    /// Until when it is waited for.
    until_us: u64,
}

/// The terminals there are, and conversations with agents, by number.
pub(super) fn terminals(view: &View) -> impl Iterator<Item = &TrackInfo> {
    view.tracks
        .iter()
        .filter(|info| matches!(info.kind, TrackKind::Terminal | TrackKind::Conversation))
}

/// Whether there is another one to look at.
pub(super) fn are_several(view: &View) -> bool {
    terminals(view).nth(1).is_some()
}

/// What is looked at: keys go there.
pub(super) fn looked_at(view: &View) -> TrackId {
    view.chosen.unwrap_or(view.track.0)
}

/// Whether something happened there since it was looked at.
pub(super) fn is_active(view: &View, track: TrackId) -> bool {
    view.active.contains(&track) && track != looked_at(view)
}

/// A terminal by its number and title.
pub(super) fn named(view: &View, track: TrackId, cols: usize) -> String {
    words::terminal(track, title(view, track), cols)
}

fn title(view: &View, track: TrackId) -> &str {
    let info = view.tracks.iter().find(|info| info.id == track);
    info.map_or("", |info| info.title.as_str())
}

/// The list, in `rows` rows of `cols` columns. The chosen terminal is, or was, the one at `at`.
pub(super) fn lines(
    view: &View,
    at: &mut usize,
    chosen: &mut Option<TrackId>,
    (cols, rows): (usize, usize),
) -> Vec<String> {
    let all: Vec<&TrackInfo> = terminals(view).collect();
    *chosen = chosen.or(Some(looked_at(view)));
    let found = all.iter().position(|info| Some(info.id) == *chosen);
    *at = found.unwrap_or(*at).min(all.len().saturating_sub(1));
    let follows = if view.follows {
        ", following the host"
    } else {
        ""
    };
    let mut lines = vec![format!("Terminals ({}){follows}", all.len())];
    let foot = text::flow(&KEYS, cols, 2);
    let room = rows.saturating_sub(foot.len()).max(1);
    let first = (*at + 1).saturating_sub(room);
    for (number, info) in all.iter().enumerate().skip(first).take(room) {
        let mark = if Some(number) == found { ">" } else { " " };
        lines.push(format!("{mark}{}", line(view, info)));
    }
    lines.extend(foot);
    lines
}

fn line(view: &View, info: &TrackInfo) -> String {
    let mut line = match info.title.as_str() {
        "" => format!("{:>3}", info.id.0),
        title => format!("{:>3} {}", info.id.0, text::label(title, TITLE_COLS)),
    };
    let mut note = |is_so: bool, what: &str| {
        if is_so {
            line += ", ";
            line += what;
        }
    };
    let state = words::track_state(info.state);
    note(true, &state);
    note(info.id == looked_at(view), "you");
    note(info.id == view.host_shows, "host");
    note(is_active(view, info.id), "active");
    line
}

/// Moves to another entry, if the key does that. From one that is gone, as from the one in its place.
fn choose(view: &View, at: &mut usize, chosen: &mut Option<TrackId>, key: &Key) -> bool {
    let step = match key.code {
        KeyCode::Up => -1,
        KeyCode::Down => 1,
        _ => return false,
    };
    let all: Vec<TrackId> = terminals(view).map(|info| info.id).collect();
    let found = all.iter().position(|id| Some(*id) == *chosen);
    let next = found.unwrap_or(*at).saturating_add_signed(step);
    *at = next.min(all.len().saturating_sub(1));
    *chosen = all.get(*at).copied();
    true
}

impl ViewerUi {
    /// A key for the list.
    pub(super) fn terminals_key(&mut self, now: Now, view: &View, key: &Key, turn: &mut Turn<'_>) {
        let Overlay::Terminals { at, chosen } = &mut self.overlay else {
            return;
        };
        if choose(view, at, chosen, key) {
            return;
        }
        let chosen = *chosen;
        self.overlay = Overlay::None;
        match (key.code, chosen) {
            (KeyCode::Enter, Some(track)) => self.look_at(now, view, track, turn),
            (KeyCode::Char(ch), _) => _ = self.terminal_command(now, view, ch, turn),
            _ => {}
        }
    }

    /// What a character does about terminals, if anything.
    pub(super) fn terminal_command(
        &mut self,
        now: Now,
        view: &View,
        ch: char,
        turn: &mut Turn<'_>,
    ) -> bool {
        match (ch, ch.to_digit(10)) {
            (_, Some(number)) => self.look_at(now, view, TrackId(number), turn),
            ('f', _) => self.follow_host(now, view, turn),
            ('c', _) => self.open_terminal(now, view, turn),
            _ => return false,
        }
        true
    }

    fn look_at(&mut self, now: Now, view: &View, track: TrackId, turn: &mut Turn<'_>) {
        if terminals(view).any(|info| info.id == track) {
            if view.chosen != Some(track) {
                turn.act(Action::Look(Some(track)));
            }
            return;
        }
        let there: Vec<TrackId> = terminals(view).map(|info| info.id).collect();
        self.say(now, &words::no_such_terminal(track, &there));
    }

    fn follow_host(&mut self, now: Now, view: &View, turn: &mut Turn<'_>) {
        match view.follows {
            true => self.say(now, "You see what the host looks at already."),
            false => turn.act(Action::Look(None)),
        }
    }

    fn open_terminal(&mut self, now: Now, view: &View, turn: &mut Turn<'_>) {
        if self.config.read_only {
            return self.say(
                now,
                "You joined with --read-only; join again without it to open terminals.",
            );
        }
        if !view.rights.has(Right::Open) {
            return self.say(
                now,
                "You can't open terminals: that takes the right to open, which the host gives \
                 (pillion grant NAME --can open).",
            );
        }
        self.opening = Some(Opening {
            after: view.tracks.last().map(|info| info.id),
            until_us: now.mono_us.saturating_add(OPENS_WITHIN_US),
        });
        turn.act(Action::OpenTerminal);
    }

    /// Another terminal is shown: what was left of the one before is no longer to be seen.
    pub(super) fn note_shown(&mut self, view: &View) {
        if self.shown != view.track.0 {
            self.shown = view.track.0;
            self.scrollback = None;
            self.bells = None;
            self.dragging = false;
        }
    }

    /// Follows the host again when what was chosen ends, and looks at what this viewer opened.
    pub(super) fn watch_terminals(&mut self, now: Now, view: &View, turn: &mut Turn<'_>) {
        let (track, state) = view.track;
        let is_over = matches!(state, TrackState::Exited(_) | TrackState::Killed(_));
        if !is_over {
            self.lived = Some(track);
        } else if self.lived == Some(track) {
            self.lived = None;
            if view.chosen == Some(track) {
                let ended = words::terminal_ended(track, title(view, track), state);
                self.say(
                    now,
                    &format!("{ended} You see what the host looks at again."),
                );
                turn.act(Action::Look(None));
            }
        }
        let Some(Opening { after, until_us }) = self.opening else {
            return;
        };
        let opened = terminals(view)
            .find(|info| Some(info.id) > after && Some(info.opener) == view.you)
            .map(|info| info.id);
        if let Some(opened) = opened {
            turn.act(Action::Look(Some(opened)));
        }
        if opened.is_some() || now.mono_us >= until_us {
            self.opening = None;
        }
    }
}
