//! What is said of a session's terminals.

use pillion_proto::{TrackId, TrackState};

use crate::text;

/// Columns of a title in a sentence.
const TITLE_COLS: usize = 24;

/// How a terminal, or another track, stands.
pub fn track_state(state: TrackState) -> String {
    match state {
        TrackState::Live => "running".to_owned(),
        TrackState::Exited(code) => format!("ended with {code}"),
        TrackState::Killed(signal) => format!("ended by signal {signal}"),
        TrackState::Unknown(_) => "unknown".to_owned(),
    }
}

/// The lines of another terminal follow.
pub fn lines_of(track: TrackId, title: &str) -> String {
    format!(
        "the lines that follow are of {}",
        terminal(track, title, TITLE_COLS)
    )
}

/// A terminal is not there any more.
pub fn terminal_gone(track: TrackId) -> String {
    format!("Terminal {track} is no longer there.")
}

/// A terminal by its number and what it is called, where it is called something, in at most `cols` columns of
/// title.
pub(crate) fn terminal(track: TrackId, title: &str, cols: usize) -> String {
    match title.is_empty() {
        true => format!("terminal {track}"),
        false => format!("{track} {}", text::label(title, cols)),
    }
}

/// There is no terminal of this number.
pub fn no_such_terminal(track: TrackId, there: &[TrackId]) -> String {
    let there: Vec<String> = there.iter().map(TrackId::to_string).collect();
    match &there[..] {
        [] => format!("The session has no terminal {track}."),
        [only] => format!("The session has no terminal {track}, only {only}."),
        [others @ .., last] => format!(
            "The session has no terminal {track}; it has {} and {last}.",
            others.join(", ")
        ),
    }
}

/// A terminal's program ended, and so did what was shown of it.
pub fn terminal_ended(track: TrackId, title: &str, state: TrackState) -> String {
    let named = terminal(track, title, TITLE_COLS);
    let how = match state {
        TrackState::Killed(signal) => format!("was ended by signal {signal}"),
        TrackState::Exited(code) => format!("ended with code {code}"),
        TrackState::Live | TrackState::Unknown(_) => "ended".to_owned(),
    };
    format!("The program in {named} {how}.")
}
