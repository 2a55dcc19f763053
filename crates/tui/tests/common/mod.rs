//! A viewer's interface on a terminal that isn't ours (vt100), and views to show on it.
#![allow(dead_code)]

#[cfg(feature = "host")]
pub mod desk;
pub mod opinion;

use std::num::NonZeroU16;

use self::opinion::Opinion;
use pillion_caps::SecretKey;
use pillion_proto::{
    ParticipantId, ParticipantInfo, PathKind, Rights, Text, TrackId, TrackInfo, TrackKind,
    TrackState,
};
use pillion_screen::{Cell, LineId, Screen, Size};
use pillion_session::{Now, Phase, View};
use pillion_tui::{Action, Depth, Prefix, UiInput, ViewerUi, ViewerUiConfig};

pub const CONFIG: fn() -> ViewerUiConfig = || ViewerUiConfig {
    prefix: Prefix::default(),
    depth: Depth::True,
    read_only: false,
};

pub fn at(ms: u64) -> Now {
    Now {
        mono_us: ms * 1000,
        unix_ms: 1_700_000_000_000 + ms,
    }
}

pub fn terminal(cols: u16, rows: u16) -> vt100::Parser {
    vt100::Parser::new(
        NonZeroU16::new(rows).unwrap(),
        NonZeroU16::new(cols).unwrap(),
        100,
    )
}

/// Writes `text` into a row of a screen.
pub fn write(screen: &mut Screen, y: usize, text: &str) {
    let cells = &mut screen.rows[y].cells;
    for (cell, ch) in cells.iter_mut().zip(text.chars()) {
        *cell = Cell {
            ch,
            ..Cell::default()
        };
    }
}

/// A live view of a screen of this size, its rows numbered, the cursor at the top left.
pub fn view(cols: u16, rows: u16) -> View {
    let mut screen = Screen::blank(Size::clamped(cols, rows));
    for y in 0..usize::from(rows) {
        write(&mut screen, y, &format!("row {y}"));
    }
    screen.lines.top = LineId(0);
    View {
        phase: Phase::Live,
        screen: Some(screen),
        frame: 1,
        version: 0,
        row_versions: Vec::new(),
        track: (TrackId(0), TrackState::Live),
        tracks: Vec::new(),
        active: std::collections::BTreeSet::new(),
        verified: std::collections::BTreeMap::new(),
        host_shows: TrackId(0),
        follows: true,
        chosen: None,
        session_name: "build".into(),
        host_name: "anna".into(),
        identity: SecretKey::from_bytes(&[2; 32]).public(),
        host_identity: None,
        you: Some(ParticipantId(2)),
        roster: vec![
            person(0, "anna", true),
            person(2, "bob", false),
            person(3, "eve", false),
        ],
        rights: Rights::VIEW,
        until_unix_ms: None,
        read_only: false,
        asking: false,
        door: None,
        path: PathKind::Direct,
        rtt_us: 12_345,
        lag_us: 0,
        unconfirmed: 0,
    }
}

/// A terminal of a session that has several.
pub fn terminal_info(id: TrackId) -> TrackInfo {
    TrackInfo {
        id,
        kind: TrackKind::Terminal,
        title: Text::default(),
        state: TrackState::Live,
        opener: ParticipantId(0),
        cols: 80,
        rows: 24,
        visible_from: 0,
    }
}

pub fn person(id: u32, name: &str, host: bool) -> ParticipantInfo {
    ParticipantInfo {
        id: ParticipantId(id),
        name: Text::cut(name),
        identity: *SecretKey::from_bytes(&[id as u8; 32]).public().as_bytes(),
        rights: Rights::VIEW,
        host,
        here: true,
        silent: false,
        types: false,
    }
}

/// A person in front of a viewer.
pub struct Person {
    pub ui: ViewerUi,
    pub view: View,
    pub terminal: vt100::Parser,
    /// What the terminal makes of disputed characters.
    pub opinion: Opinion,
    pub now: u64,
}

impl Person {
    pub fn new(cols: u16, rows: u16, view: View) -> Person {
        Person::with(CONFIG(), cols, rows, view)
    }

    pub fn with(config: ViewerUiConfig, cols: u16, rows: u16, view: View) -> Person {
        let mut person = Person {
            ui: ViewerUi::new(config, Size::clamped(cols, rows)),
            view,
            terminal: terminal(cols, rows),
            opinion: Opinion::Vt100,
            now: 0,
        };
        person.look();
        person
    }

    /// Who has just come, and is told what they see.
    pub fn introduced(cols: u16, rows: u16, view: View) -> Person {
        let ui = ViewerUi::new(CONFIG(), Size::clamped(cols, rows)).introduced();
        let mut person = Person {
            ui,
            ..Person::new(cols, rows, view)
        };
        person.terminal = terminal(cols, rows);
        person.look();
        person
    }

    /// Draws; the bytes it took.
    pub fn look(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.ui.draw(at(self.now), &self.view, &mut out);
        self.terminal.process(&self.opinion.of(&out));
        out
    }

    pub fn does(&mut self, input: UiInput<'_>) -> Vec<Action> {
        let actions = self.ui.handle(at(self.now), &self.view, input);
        self.look();
        actions
    }

    pub fn types(&mut self, bytes: impl AsRef<[u8]>) -> Vec<Action> {
        self.does(UiInput::Keys(bytes.as_ref()))
    }

    /// All that was typed into the host's program.
    pub fn sent(&mut self, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        let actions = self.types(bytes);
        let keys = actions.into_iter().filter_map(|action| match action {
            Action::Keys(bytes) => Some(bytes),
            _ => None,
        });
        keys.flatten().collect()
    }

    pub fn later(&mut self, ms: u64) -> Vec<Action> {
        self.now += ms;
        self.does(UiInput::Tick)
    }

    pub fn rows(&self) -> Vec<String> {
        let (_, cols) = self.terminal.screen().size();
        self.terminal.screen().rows(0, cols.get()).collect()
    }

    pub fn row(&self, y: usize) -> String {
        self.rows()[y].trim_end().to_owned()
    }

    pub fn status(&self) -> String {
        self.rows().last().unwrap().trim().to_owned()
    }

    #[track_caller]
    pub fn sees(&self, text: &str) {
        let all = self.rows().join("\n");
        assert!(all.contains(text), "{text:?} is not in\n{all}");
    }
}
