//! The terminal's title while the session is shared: that it is, how many watch, who types, who asks.
//!
//! The program sets titles of its own, which reach the terminal first. So ours is set again in the next moment for it,
//! at most once a second; and what the terminal's title was before is given back at the end.

use pillion_proto::ParticipantId;
use pillion_screen::{Screen, clean::clean_title};
use pillion_session::Now;

use super::title;
use crate::{charset, text};

/// Ours is set again at most this often, in microseconds.
const AGAIN_US: u64 = 1_000_000;

/// So long after somebody typed the title is looked at again, in microseconds.
const TYPES_US: u64 = 2_100_000;

/// Keeps the terminal's title aside, and gives it back (xterm's window operations; what does not know them ignores
/// them).
const KEEP: &[u8] = b"\x1b[22;2t";
const GIVE_BACK: &[u8] = b"\x1b[23;2t";

/// How a session is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sharing {
    /// Its name.
    pub name: String,
    /// How many watch.
    pub viewers: usize,
    /// Who types at this moment, of those elsewhere.
    pub typist: Option<(ParticipantId, String)>,
}

/// The title that stands.
#[derive(Debug, Default)]
pub(super) struct StandingTitle {
    sharing: Option<Sharing>,
    /// How often the program has set its own.
    sets: u64,
    /// What stands there, and how often the program had set its own by then.
    stands: Option<(String, u64)>,
    /// The terminal has kept the title that it had.
    kept: bool,
    /// Not before this is it set again.
    again_at: u64,
    /// When nobody types any more, if nobody does.
    still_at: Option<u64>,
}

impl StandingTitle {
    pub(super) fn update(&mut self, now: Now, sharing: Option<Sharing>, sets: u64) {
        let typist = |sharing: &Option<Sharing>| {
            let sharing = sharing.as_ref();
            sharing.and_then(|sharing| sharing.typist.clone())
        };
        self.still_at = typist(&sharing).map(|_| now.mono_us.saturating_add(TYPES_US));
        self.sharing = sharing;
        self.sets = sets;
    }

    /// What is to stand before the program's own.
    fn wanted(&self, asks: Option<String>) -> Option<String> {
        let sharing = self.sharing.as_ref()?;
        let watch = match sharing.viewers {
            0 => String::new(),
            viewers => format!(", {viewers} watching"),
        };
        Some(match (asks, &sharing.typist) {
            (Some(asks), _) => format!("● {asks}"),
            (None, Some((_, name))) => format!("● {} types{watch}", text::label(name, 24)),
            (None, None) => format!("● shared{watch}"),
        })
    }

    /// Whether it is to be set or taken away now.
    pub(super) fn is_due(&self, now: Now, asks: Option<String>) -> bool {
        self.due_at(asks).is_some_and(|at| at <= now.mono_us)
    }

    /// When that is the case.
    pub(super) fn due_at(&self, asks: Option<String>) -> Option<u64> {
        let wanted = self.wanted(asks).map(|text| (text, self.sets));
        let differs = wanted != self.stands;
        [differs.then_some(self.again_at), self.still_at]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn set(
        &mut self,
        now: Now,
        asks: Option<String>,
        screen: &Screen,
        out: &mut Vec<u8>,
    ) {
        let Some(text) = self.wanted(asks) else {
            return self.take_away(screen, out);
        };
        let wanted = Some((text, self.sets));
        if wanted == self.stands {
            return;
        }
        if !std::mem::replace(&mut self.kept, true) {
            out.extend_from_slice(KEEP);
        }
        if let Some((text, _)) = &wanted {
            let of = match (screen.title.is_empty(), &self.sharing) {
                (true, Some(sharing)) => clean_title(&sharing.name, 64),
                _ => screen.title.clone(),
            };
            title(&format!("{}: {of}", charset::spelt(text)), out);
        }
        self.stands = wanted;
        self.again_at = now.mono_us.saturating_add(AGAIN_US);
    }

    /// The terminal has its own title again, or the program's.
    pub(super) fn take_away(&mut self, screen: &Screen, out: &mut Vec<u8>) {
        self.stands = None;
        if std::mem::take(&mut self.kept) {
            out.extend_from_slice(GIVE_BACK);
            if !screen.title.is_empty() {
                title(&screen.title, out);
            }
        }
    }

    /// Another title of ours was there, and is there no longer.
    pub(super) fn overwritten(&mut self) {
        self.stands = None;
    }

    /// The terminal is another one.
    pub(super) fn forget(&mut self) {
        (self.stands, self.kept) = (None, false);
    }

    pub(super) fn is_set(&self) -> bool {
        self.kept
    }
}
