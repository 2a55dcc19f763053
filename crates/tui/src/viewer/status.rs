//! The status line: what the connection is, in the words of what it is.

use pillion_caps::PublicKey;
use pillion_proto::{PathKind, Right, TrackState};
use pillion_session::{Now, Phase, View};

use super::terminals;
use crate::text;
use crate::words;

/// From so much on a lag is worth a word, in microseconds: less is not seen.
const LAG_US: u32 = 100_000;

/// From so far on it is worth a word, in microseconds. How far exactly is in the list of who is here: a number that changes
/// all the time is read out all the time.
const FAR_US: u32 = 150_000;

/// A piece of the status line; when room is short those of the lowest rank go first.
pub(crate) struct Piece {
    pub(crate) rank: u8,
    pub(crate) text: String,
    pub(crate) bold: bool,
}

fn piece(rank: u8, text: String) -> Piece {
    Piece {
        rank,
        text,
        bold: false,
    }
}

/// What the status line says of the session, left to right.
pub(crate) fn pieces(now: Now, view: &View, read_only: bool) -> Vec<Piece> {
    let mut all = Vec::new();
    if let Phase::Knocking { until_us, .. } = &view.phase {
        // The sentence about it is long. What the host compares must be seen whatever the width.
        all.push(Piece {
            rank: 18,
            text: format!("you are {}", view.identity.fingerprint()),
            bold: true,
        });
        all.push(piece(9, "knocking".to_owned()));
        all.push(piece(8, format!("{} s left", seconds_left(now, *until_us))));
    } else if let Some(text) = trouble(now, view) {
        all.push(Piece {
            rank: 9,
            text,
            bold: true,
        });
    }
    if view.you.is_some() {
        all.push(Piece {
            rank: 8,
            text: right(now, view, read_only),
            bold: view.rights.has(Right::Type) && !read_only,
        });
        all.push(piece(4, path(view)));
    }
    all.extend(terminal(view));
    if !view.session_name.is_empty() {
        all.push(piece(4, text::label(&view.session_name, 24)));
    }
    if let Some(key) = &view.host_identity {
        let host = text::name(&view.host_name, 20);
        all.push(piece(5, format!("{host} {}", short(key))));
    }
    if let Some(text) = people(view) {
        all.push(piece(3, text));
    }
    if let Some(text) = typists(view) {
        all.push(piece(5, text));
    }
    // Of several it is the one that is looked at, which is named.
    let title = view.screen.as_ref();
    let title = title.filter(|_| !terminals::are_several(view));
    let title = title.map_or("", |screen| &screen.title);
    if !title.is_empty() {
        all.push(piece(1, text::label(title, 30)));
    }
    all
}

/// Most terminals that are named for what happens in them.
const MAX_ACTIVE: usize = 4;

/// Which of several terminals is looked at, where else something happens, and whether the host leads.
fn terminal(view: &View) -> Vec<Piece> {
    if !terminals::are_several(view) {
        return Vec::new();
    }
    let looked_at = terminals::looked_at(view);
    let named = terminals::named(view, looked_at, 14);
    // Keys go there already.
    let coming = if looked_at == view.track.0 {
        ""
    } else {
        " …"
    };
    let mut all = vec![Piece {
        rank: 8,
        text: format!("{named}{coming}"),
        bold: true,
    }];
    let active = terminals::terminals(view).filter(|info| terminals::is_active(view, info.id));
    let mut active: Vec<String> = active.map(|info| info.id.to_string()).collect();
    if active.len() > MAX_ACTIVE {
        active.truncate(MAX_ACTIVE);
        active.push("…".to_owned());
    }
    if !active.is_empty() {
        all.push(piece(7, format!("active: {}", active.join(", "))));
    }
    if view.follows {
        all.push(piece(5, "following".to_owned()));
    }
    all
}

/// When the status line changes by time alone.
pub(crate) fn changes_at(now: Now, view: &View) -> Option<u64> {
    let in_ms = |ms: u64| Some(now.mono_us.saturating_add(ms.saturating_mul(1000)));
    match view.phase {
        Phase::Connecting { .. } | Phase::Stalled { .. } | Phase::Knocking { .. } => in_ms(1000),
        Phase::Ended => None,
        Phase::Joining | Phase::Live => {
            let left = view.until_unix_ms?.checked_sub(now.unix_ms)?;
            // When it is said otherwise, and a little more so as not to be early.
            in_ms(left - coarse(left).1 + 1)
        }
    }
}

/// How long is left, as it is said until less than the second is: in tens of minutes, then minutes, and tens of seconds
/// at last. Who is read the status line aloud hears it when it matters.
fn coarse(left_ms: u64) -> (u64, u64) {
    const MINUTE: u64 = 60_000;
    let step = match left_ms {
        0..=MINUTE => MINUTE / 6,
        60_001..=600_000 => MINUTE,
        _ => 10 * MINUTE,
    };
    let said = left_ms.div_ceil(step) * step;
    (said, said.saturating_sub(step))
}

/// What is wrong, if something is.
pub(crate) fn trouble(now: Now, view: &View) -> Option<String> {
    match &view.phase {
        Phase::Connecting { attempt: 1, .. } if view.screen.is_none() => Some("connecting".into()),
        Phase::Connecting {
            attempt,
            why,
            retry_at_us,
        } => {
            let why = why.as_ref().map(words::interruption).unwrap_or_default();
            let why = pillion_screen::clean::clean_title(&why, 80);
            let wait = retry_at_us.saturating_sub(now.mono_us) / 1_000_000;
            let again = match (view.screen.is_some(), wait) {
                (true, 0) => format!("reconnecting (try {attempt})"),
                (false, 0) => format!("connecting (try {attempt})"),
                (_, wait) => format!("try {attempt} in {wait} s"),
            };
            Some(match why.is_empty() {
                true => again,
                false => format!("{again}: {why}"),
            })
        }
        Phase::Joining => Some("joining".into()),
        Phase::Knocking {
            you,
            wait_ms,
            until_us,
        } => {
            let left = seconds_left(now, *until_us);
            let text = words::knocking(you, *wait_ms, view);
            Some(format!("{text} ({left} s left)"))
        }
        Phase::Stalled { since_us } => {
            let for_s = now.mono_us.saturating_sub(*since_us) / 1_000_000;
            let keys = match view.unconfirmed {
                0 => String::new(),
                1 => ", 1 key not confirmed".into(),
                n => format!(", {n} keys not confirmed"),
            };
            Some(format!("no word from the host for {for_s} s{keys}"))
        }
        Phase::Ended => Some("the session has ended".into()),
        Phase::Live => match view.track.1 {
            // What a newer version says of it, this one can't tell.
            TrackState::Live | TrackState::Unknown(_) => None,
            TrackState::Exited(code) => Some(format!("the program ended with exit code {code}")),
            TrackState::Killed(signal) => Some(format!("the program was ended by signal {signal}")),
        },
    }
}

fn seconds_left(now: Now, until_us: u64) -> u64 {
    until_us.saturating_sub(now.mono_us).div_ceil(1_000_000)
}

/// "3 here: anna, bob, you".
fn people(view: &View) -> Option<String> {
    let here: Vec<_> = view
        .roster
        .iter()
        .filter(|who| who.here && !who.silent)
        .collect();
    let names =
        here.iter()
            .filter(|who| !who.host)
            .take(8)
            .map(|who| match Some(who.id) == view.you {
                true => "you".to_owned(),
                false => text::name(who.name.as_str(), 16),
            });
    let names: Vec<String> = names.collect();
    let more = if here.iter().filter(|who| !who.host).count() > names.len() {
        ", …"
    } else {
        ""
    };
    (!here.is_empty()).then(|| match names.is_empty() {
        true => format!("{} here", here.len()),
        false => format!("{} here: {}{more}", here.len(), names.join(", ")),
    })
}

/// "anna types", of those elsewhere who did a moment ago.
fn typists(view: &View) -> Option<String> {
    let others = view.roster.iter().filter(|who| Some(who.id) != view.you);
    let names: Vec<String> = others
        .filter(|who| who.types && who.here)
        .map(|who| text::name(who.name.as_str(), 16))
        .collect();
    match names.as_slice() {
        [] => None,
        [one] => Some(format!("{one} types")),
        [one, other] => Some(format!("{one} and {other} type")),
        [one, rest @ ..] => Some(format!("{one} and {} others type", rest.len())),
    }
}

fn right(now: Now, view: &View, read_only: bool) -> String {
    if !view.rights.has(Right::Type) || read_only {
        return match view.asking {
            true => "asked to type".into(),
            false => "view only".into(),
        };
    }
    let right = view.rights;
    match view.until_unix_ms {
        Some(until) => {
            let left = coarse(until.saturating_sub(now.unix_ms)).0;
            format!("{right} for {}", words::span(left))
        }
        None => right.to_string(),
    }
}

fn path(view: &View) -> String {
    let kind = match view.path {
        PathKind::Unknown => return "finding a path".into(),
        PathKind::Direct => "direct",
        PathKind::Relayed => "relayed",
    };
    let mut said = kind.to_owned();
    if view.rtt_us >= FAR_US {
        let tenths = view.rtt_us.div_ceil(100_000);
        said += &format!(", {}.{} s away", tenths / 10, tenths % 10);
    }
    if view.lag_us >= LAG_US {
        let tenths = view.lag_us / 100_000;
        said += &format!(", lag {}.{} s", tenths / 10, tenths % 10);
    }
    said
}

/// The first half of a fingerprint.
pub(crate) fn short(key: &PublicKey) -> String {
    key.fingerprint().chars().take(9).collect()
}
