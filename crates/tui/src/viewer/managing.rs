//! The list of who is here and who knocks, for somebody who manages the session with its host.

use pillion_caps::PublicKey;
use pillion_proto::{Allow, KnockInfo, Manage, ParticipantInfo, Right};
use pillion_screen::clean;
use pillion_session::View;

use super::{naming::Naming, overlay, status};
use crate::{
    keys::{Key, KeyCode},
    text,
};

/// What a key asks for.
pub(crate) enum Asked {
    /// This, of the host.
    Do(Manage),
    /// Nothing; the person is told why.
    Say(String),
    /// To name somebody who need not be here.
    Name(Naming),
}

/// A line of the list.
enum Entry<'a> {
    Knock(&'a KnockInfo),
    Here(&'a ParticipantInfo),
}

/// Those who knock, first, and those who are here; the host can't be managed.
fn entries(view: &View) -> Vec<Entry<'_>> {
    let knocks = view.door.iter().flat_map(|door| &door.knocks);
    let here = view.roster.iter().filter(|who| !who.host);
    knocks
        .map(Entry::Knock)
        .chain(here.map(Entry::Here))
        .collect()
}

/// How wide they are said at most, in columns: the list itself is narrow.
const KEYS_COLS: usize = 50;

/// The keys of the list.
const KEYS: [&str; 10] = [
    "y let in",
    "n refuse",
    "N for good",
    "g let type",
    "r take edit away",
    "k kick",
    "m who may come in",
    "a let in by name",
    "b bar",
    "u bar no more",
];

/// Its lines, in `rows` rows of `cols` columns; the chosen entry is the one numbered `at`.
pub(super) fn lines(
    view: &View,
    at: &mut usize,
    naming: Option<&Naming>,
    (cols, rows): (usize, usize),
) -> Vec<String> {
    let entries = entries(view);
    *at = (*at).min(entries.len().saturating_sub(1));
    let allow = view.door.as_ref().map_or(Allow::Link, |door| door.allow);
    let mut lines = vec![format!(
        "Who is here ({}), allow {allow}",
        view.roster.len()
    )];
    let foot = match naming {
        Some(naming) => naming.lines(cols),
        None => text::flow(&KEYS, cols.min(KEYS_COLS), 5),
    };
    let room = rows.saturating_sub(foot.len()).max(1);
    let first = (*at + 1).saturating_sub(room);
    for (number, entry) in entries.iter().enumerate().skip(first).take(room) {
        let mark = if number == *at { ">" } else { " " };
        lines.push(format!("{mark}{}", line(view, entry)));
    }
    lines.extend(foot);
    lines
}

fn line(view: &View, entry: &Entry<'_>) -> String {
    match entry {
        Entry::Here(who) => overlay::person(view, who),
        Entry::Knock(knock) => {
            let key = PublicKey::from_bytes(&knock.identity);
            let key = key.map_or_else(|_| "no valid key".into(), |key| status::short(&key));
            let proof = clean::clean_title(knock.proof.as_str(), 60);
            format!(
                "{:>3} {} {key} knocks: {proof}",
                knock.id.0,
                text::name(knock.name.as_str(), 24)
            )
        }
    }
}

/// What a key does; `None` for one that is not about managing.
pub(super) fn asked(view: &View, at: usize, key: &Key) -> Option<Asked> {
    let KeyCode::Char(ch) = key.code else {
        return None;
    };
    if ch == 'm' {
        let allow = match view.door.as_ref()?.allow {
            Allow::Link => Allow::Invited,
            Allow::Invited => Allow::Team,
            Allow::Team => Allow::Link,
        };
        return Some(Asked::Do(Manage::Open(allow)));
    }
    if let Some(naming) = Naming::begin(ch) {
        return Some(Asked::Name(naming));
    }
    let entries = entries(view);
    let what = match (ch, entries.get(at)) {
        ('y' | 'g', Some(Entry::Knock(knock))) => Manage::Admit(knock.id),
        ('n' | 'N', Some(Entry::Knock(knock))) => Manage::Refuse {
            who: knock.id,
            for_good: ch == 'N',
        },
        ('g' | 'y', Some(Entry::Here(who))) => Manage::Grant {
            who: who.id,
            right: Right::Edit,
            ttl_ms: None,
        },
        ('n', Some(Entry::Here(who))) => Manage::RefuseRequest(who.id),
        ('r', Some(Entry::Here(who))) => Manage::Revoke(who.id),
        ('k', Some(Entry::Here(who))) if Some(who.id) == view.you => {
            return Some(Asked::Say("That is you.".to_owned()));
        }
        ('k', Some(Entry::Here(who))) => Manage::Kick(who.id),
        ('k', Some(Entry::Knock(knock))) => Manage::Refuse {
            who: knock.id,
            for_good: true,
        },
        ('y' | 'n' | 'N' | 'g' | 'r' | 'k', _) => {
            return Some(Asked::Say("Nobody is here but you.".to_owned()));
        }
        _ => return None,
    };
    Some(Asked::Do(what))
}
