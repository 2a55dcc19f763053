//! Boxes over the screen: the keys, who is here, and the terminals.

use pillion_caps::PublicKey;
use pillion_proto::{ParticipantInfo, Right, TrackId};
use pillion_session::View;

use super::{participants, status, subject_prompt::SubjectPrompt, terminals};
use crate::{
    keys::{Key, KeyCode},
    prefix::Prefix,
    text,
};

/// What lies over the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Overlay {
    /// Nothing.
    None,
    /// The keys, from this line on.
    Help { from: usize },
    /// The last sentences that were shown.
    Notices { said: Vec<String> },
    /// The terminals: the entry that was chosen, and its place.
    Terminals { at: usize, chosen: Option<TrackId> },
    /// Who is here, from this entry on; for who manages, the chosen entry, and a line to name others on.
    Who {
        from: usize,
        chosen: Option<participants::Chosen>,
        naming: Option<SubjectPrompt>,
    },
}

impl Overlay {
    /// The keys from the first one on.
    pub(crate) const HELP: Overlay = Overlay::Help { from: 0 };

    /// The list of terminals, at the one that is looked at.
    pub(crate) const TERMINALS: Overlay = Overlay::Terminals {
        at: 0,
        chosen: None,
    };

    /// The list from its beginning.
    pub(crate) const WHO: Overlay = Overlay::Who {
        from: 0,
        chosen: None,
        naming: None,
    };

    /// A key: arrows go through a list, anything else closes it.
    pub(crate) fn key(&mut self, key: &Key) {
        match (&mut *self, key.code) {
            (Overlay::Who { from, .. } | Overlay::Help { from }, KeyCode::Down) => *from += 1,
            (Overlay::Who { from, .. } | Overlay::Help { from }, KeyCode::Up) => {
                *from = from.saturating_sub(1);
            }
            _ => *self = Overlay::None,
        }
    }

    /// The line on which the person names somebody.
    pub(crate) fn naming(&mut self, view: &View) -> Option<&mut SubjectPrompt> {
        match self {
            Overlay::Who { naming, .. } if view.rights.has(Right::Manage) => naming.as_mut(),
            _ => None,
        }
    }

    /// Its lines; the first is its title. At most `rows` of them and `cols` columns matter.
    pub(crate) fn lines(
        &mut self,
        view: &View,
        prefix: Prefix,
        (cols, rows): (usize, usize),
    ) -> Vec<String> {
        match self {
            Overlay::None => Vec::new(),
            Overlay::Help { from } => help(prefix, from, (cols, rows)),
            Overlay::Notices { said } => notices(said, (cols, rows)),
            Overlay::Terminals { at, chosen } => terminals::lines(view, at, chosen, (cols, rows)),
            Overlay::Who {
                from,
                chosen,
                naming,
            } => {
                if view.rights.has(Right::Manage) {
                    let place = (cols, rows);
                    return participants::lines(view, from, chosen, naming.as_ref(), place);
                }
                // Nothing is left half said if the right comes back.
                (*chosen, *naming) = (None, None);
                *from = (*from).min(view.roster.len().saturating_sub(rows.max(1)));
                who(view, *from, rows)
            }
        }
    }
}

/// Fewer columns leave no room for the prefix before each key.
const NARROW: usize = 50;

/// The keys from line `from` on, which is as far down as leaves no row empty.
fn help(prefix: Prefix, from: &mut usize, (cols, rows): (usize, usize)) -> Vec<String> {
    let mut lines = Vec::new();
    // Where there is little room the key that comes before all of them is in the title.
    let is_narrow = cols < NARROW;
    let before = match is_narrow {
        true => String::new(),
        false => format!("{prefix} "),
    };
    for (key, what) in [
        ("e", "ask the host to let you type"),
        ("w", "who is here"),
        ("t", "terminals; 0-9: that one"),
        ("f", "follow the host again"),
        ("c", "open a terminal"),
        ("[", "look back (or wheel, Shift-PgUp)"),
        ("← →", "more of a wider screen"),
        ("m", "the last notices"),
        ("z", "hide or show the status line"),
        ("q", "leave"),
        ("?", "this"),
    ] {
        lines.push(format!("{before}{key:<3} {what}"));
    }
    lines.push(format!("{prefix} twice sends {prefix} itself"));
    if let Some(also) = prefix.also() {
        lines.push(format!("{also} is {prefix}, where that needs AltGr."));
    }
    lines.push("Hold Shift to select text with the mouse.".to_owned());
    lines.push("Names are chosen freely: compare the numbers.".to_owned());
    let hidden = lines.len().saturating_sub(rows.max(1));
    *from = (*from).min(hidden);
    let keys = match is_narrow {
        true => format!("Keys after {prefix}"),
        false => "Keys".to_owned(),
    };
    let title = match hidden {
        0 => keys,
        _ if is_narrow => format!("{keys} (↑↓ for more)"),
        _ => format!("{keys} (more with the arrows)"),
    };
    let shown = lines.drain(*from..).take(rows.max(1));
    std::iter::once(title).chain(shown).collect()
}

/// The last sentences, the newest of which is at the end: it is there whatever the room.
fn notices(said: &[String], (cols, rows): (usize, usize)) -> Vec<String> {
    let title = "The last notices".to_owned();
    if said.is_empty() {
        return vec![title, "There were none yet.".to_owned()];
    }
    let mut lines: Vec<String> = said
        .iter()
        .flat_map(|text| {
            let mut folded = text::fold(text, cols.saturating_sub(2).max(1), rows.max(1));
            for (at, line) in folded.iter_mut().enumerate() {
                let mark = if at == 0 { "· " } else { "  " };
                line.insert_str(0, mark);
            }
            folded
        })
        .collect();
    lines.drain(..lines.len().saturating_sub(rows.max(1)));
    std::iter::once(title).chain(lines).collect()
}

fn who(view: &View, from: usize, rows: usize) -> Vec<String> {
    let mut lines = vec![format!(
        "Who is here ({}){}",
        view.roster.len(),
        match view.rtt_us {
            0 => String::new(),
            us => format!(", {} away", text::round_trip(us)),
        }
    )];
    for who in view.roster.iter().skip(from).take(rows) {
        lines.push(person(view, who));
    }
    lines
}

/// One line of the roster.
pub(super) fn person(view: &View, who: &ParticipantInfo) -> String {
    let key = PublicKey::from_bytes(&who.identity);
    let key = key.map_or_else(|_| "no valid key".into(), |key| status::short(&key));
    let right = match who.host {
        true => "host".to_owned(),
        false => who.rights.to_string(),
    };
    let you = if Some(who.id) == view.you {
        " (you)"
    } else {
        ""
    };
    let gone = match (who.here, who.silent) {
        (false, _) => ", away",
        (true, true) => ", silent",
        (true, false) => "",
    };
    format!(
        "{:>3} {} {key} {right}{gone}{you}",
        who.id.0,
        text::name(who.name.as_str(), 24)
    )
}
