//! The list of who is here and who knocks, for somebody who manages the session with its host.

use pillion_caps::PublicKey;
use pillion_people::SubjectRef;
use pillion_proto::{
    AccessMode, AdmittedBy, KnockInfo, ParticipantInfo, Rights, message::KeyBytes,
};
use pillion_screen::clean;
use pillion_session::{Command, Proved, View, verbs};

use super::{overlay, status, subject_prompt::SubjectPrompt};
use crate::{
    keys::{Key, KeyCode},
    text, words,
};

/// What a key asks for.
pub(crate) enum Asked {
    /// This, of the host.
    Do(Command),
    /// Nothing; the person is told why.
    Say(String),
    /// To name somebody who need not be here.
    Name(SubjectPrompt),
}

/// A line of the list.
enum Entry<'a> {
    Knock(&'a KnockInfo),
    Here(&'a ParticipantInfo),
}

/// Which entry was chosen. By identity: what is done with the entry is done with whom the list showed, even if
/// others came or went meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chosen {
    identity: KeyBytes,
    knocks: bool,
}

impl Entry<'_> {
    fn chosen(&self) -> Chosen {
        match self {
            Entry::Knock(knock) => Chosen {
                identity: knock.identity,
                knocks: true,
            },
            Entry::Here(who) => Chosen {
                identity: who.identity,
                knocks: false,
            },
        }
    }
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
    "r stop typing",
    "k remove",
    "m who can join",
    "a let in by name",
    "b block",
    "u unblock",
];

/// Its lines, in `rows` rows of `cols` columns. The chosen entry is, or was, the one numbered `at`.
pub(super) fn lines(
    view: &View,
    at: &mut usize,
    chosen: &mut Option<Chosen>,
    naming: Option<&SubjectPrompt>,
    (cols, rows): (usize, usize),
) -> Vec<String> {
    let entries = entries(view);
    *chosen = chosen.or_else(|| entries.first().map(Entry::chosen));
    let found = entries
        .iter()
        .position(|entry| Some(entry.chosen()) == *chosen);
    *at = found.unwrap_or(*at);
    let allow = match view.door.as_ref().map(|door| door.allow) {
        Some(Some(allow)) => allow.as_str(),
        Some(None) => "by rules of a newer version",
        None => AccessMode::Link.as_str(),
    };
    let mut lines = vec![format!(
        "Who is here ({}), allow {allow}",
        view.roster.len()
    )];
    let foot = match naming {
        Some(naming) => naming.lines(cols),
        None => text::flow(&KEYS, cols.min(KEYS_COLS), 5),
    };
    let room = rows.saturating_sub(foot.len()).max(1);
    let last = (*at).min(entries.len().saturating_sub(1));
    let first = (last + 1).saturating_sub(room);
    for (number, entry) in entries.iter().enumerate().skip(first).take(room) {
        let mark = if Some(number) == found { ">" } else { " " };
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
            let proof = Proved {
                by: knock.holds.unwrap_or(AdmittedBy::Ticket),
                claims: knock
                    .claims
                    .iter()
                    .map(|claim| claim.as_str().to_owned())
                    .collect(),
            };
            let proof = match &key {
                Ok(key) => words::knocker(&proof, key),
                Err(_) => words::proved(&proof),
            };
            let proof = clean::clean_title(&proof, 60);
            let key = key.map_or_else(|_| "no valid key".into(), |key| status::short(&key));
            format!(
                "{:>3} {} {key} knocks: {proof}",
                knock.id.0,
                text::name(knock.name.as_str(), 24)
            )
        }
    }
}

/// Moves to another entry, if the key does that. From one that is gone, as from the one in its place.
pub(super) fn choose(view: &View, at: &mut usize, chosen: &mut Option<Chosen>, key: &Key) -> bool {
    let step = match key.code {
        KeyCode::Up => -1,
        KeyCode::Down => 1,
        _ => return false,
    };
    let entries = entries(view);
    let found = entries
        .iter()
        .position(|entry| Some(entry.chosen()) == *chosen);
    let next = found.unwrap_or(*at).saturating_add_signed(step);
    *at = next.min(entries.len().saturating_sub(1));
    *chosen = entries.get(*at).map(Entry::chosen);
    true
}

/// What a key does; `None` for one that is not about managing.
pub(super) fn asked(view: &View, chosen: Option<Chosen>, key: &Key) -> Option<Asked> {
    let KeyCode::Char(ch) = key.code else {
        return None;
    };
    if ch == 'm' {
        let allow = match view.door.as_ref()?.allow? {
            AccessMode::Link => AccessMode::Invited,
            AccessMode::Invited => AccessMode::Team,
            AccessMode::Team => AccessMode::Link,
        };
        return Some(Asked::Do(Command::SetAccessMode(verbs::SetAccessMode {
            mode: allow,
        })));
    }
    if let Some(naming) = SubjectPrompt::begin(ch) {
        return Some(Asked::Name(naming));
    }
    let entries = entries(view);
    let entry = entries.iter().find(|entry| Some(entry.chosen()) == chosen);
    if !matches!(ch, 'y' | 'n' | 'N' | 'g' | 'r' | 'k') {
        return None;
    }
    let Some(entry) = entry else {
        let text = match entries.is_empty() {
            true => "Nobody is here but you.",
            false => "Whom you chose is gone. Choose somebody with the arrow keys.",
        };
        return Some(Asked::Say(text.to_owned()));
    };
    let Ok(key) = PublicKey::from_bytes(&entry.chosen().identity) else {
        return Some(Asked::Say("They have no valid key.".to_owned()));
    };
    let who = SubjectRef::key(key);
    Some(Asked::Do(match (ch, entry) {
        ('y' | 'g', Entry::Knock(_)) => Command::Admit(verbs::Admit { target: who.into() }),
        ('n' | 'N', Entry::Knock(_)) => Command::TurnAway(verbs::TurnAway {
            target: who.into(),
            for_good: ch == 'N',
        }),
        ('k', Entry::Knock(_)) => Command::TurnAway(verbs::TurnAway {
            target: who.into(),
            for_good: true,
        }),
        ('y' | 'g', Entry::Here(_)) => Command::Grant(verbs::Grant {
            target: who.into(),
            rights: Rights::EDIT,
            ttl_ms: None,
        }),
        ('n' | 'N', Entry::Here(_)) => {
            Command::RefuseRequest(verbs::RefuseRequest { target: who.into() })
        }
        ('r', Entry::Here(_)) => Command::Revoke(verbs::Revoke { target: who.into() }),
        ('k', Entry::Here(here)) if Some(here.id) == view.you => {
            return Some(Asked::Say("That is you.".to_owned()));
        }
        ('k', Entry::Here(_)) => Command::Kick(verbs::Kick { target: who.into() }),
        _ => return None,
    }))
}
