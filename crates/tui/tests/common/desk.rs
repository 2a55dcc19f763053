//! A host's own terminal, which is vt100's, with the interface on it: what it shows is what a program
//! wrote, and must be that again after anything of ours.
#![allow(dead_code)]

use bytes::Bytes;
use pillion_caps::{PublicKey, SecretKey};
use pillion_proto::{AdmittedBy, ParticipantId, PathKind, Rights};
use pillion_screen::{Screen, Size, Terminal, emit};
use pillion_session::{
    Command, HostNotice, ParticipantStatus, Proved,
    host::{Offer, Question, Unverified, WhoLine},
    verbs,
};
use pillion_tui::{HostAction, HostUi, Prefix, Want};

use super::{at, terminal};

/// A host's terminal, the emulator that saw the same bytes, and the interface.
pub struct Desk {
    pub ui: HostUi,
    pub tty: vt100::Parser,
    pub emulator: Terminal,
    pub now: u64,
}

impl Desk {
    pub fn new(cols: u16, rows: u16) -> Desk {
        Desk {
            ui: HostUi::new(Prefix::default()),
            tty: terminal(cols, rows),
            emulator: Terminal::new(Size::clamped(cols, rows)),
            now: 0,
        }
    }

    pub fn screen(&self) -> Screen {
        let mut screen = Screen::blank(Size::clamped(1, 1));
        self.emulator.capture(&mut screen);
        screen
    }

    /// The program writes.
    pub fn program(&mut self, bytes: impl AsRef<[u8]>) {
        let mut out = Vec::new();
        let screen = self.screen();
        self.ui
            .before_output(at(self.now), &screen, &self.emulator.resume(), &mut out);
        self.tty.process(&out);
        self.tty.process(bytes.as_ref());
        self.emulator.feed(bytes.as_ref());
    }

    /// Makes the terminal show exactly what the emulator holds: vt100 takes some of what programs
    /// write in another way, and what is compared here is before and after.
    pub fn settle(&mut self) {
        let mut out = Vec::new();
        emit::emit_full(&[], &self.screen(), &mut out);
        emit::Pen::default().set(&self.emulator.resume().pen, None, &mut out);
        self.tty.process(&out);
    }

    pub fn paint(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let screen = self.screen();
        self.ui
            .paint(at(self.now), &screen, &self.emulator.resume(), &mut out);
        self.tty.process(&out);
        self.ui.painted(at(self.now), true);
        out
    }

    pub fn types(&mut self, bytes: impl AsRef<[u8]>) -> Vec<HostAction> {
        self.ui
            .keys(at(self.now), &Bytes::copy_from_slice(bytes.as_ref()), false)
    }

    pub fn later(&mut self, ms: u64) -> Vec<HostAction> {
        self.now += ms;
        self.ui.tick(at(self.now), false)
    }

    pub fn asks(&mut self, id: u32, name: &str) {
        let notice = HostNotice::EditRequested {
            id: ParticipantId(id),
            name: name.into(),
            identity: key(id),
            proof: proved(&[]),
            question: question(
                Offer::Give {
                    rights: Rights::EDIT,
                    ttl_ms: 8 * 3_600_000,
                },
                id,
                name,
            ),
        };
        self.ui.notice(at(self.now), notice);
    }

    pub fn command_asks(&mut self, request: u64, what: Offer) {
        let question = Question {
            what,
            who: vec![WhoLine::FirstToUse(1)],
            said: Vec::new(),
        };
        let notice = HostNotice::Confirm { request, question };
        self.ui.notice(at(self.now), notice);
    }

    /// The prefix is pressed, and what is asked stands there for long enough.
    pub fn reads_question(&mut self) {
        assert_eq!(self.types(b"\x1d"), []);
        assert_eq!(self.wants(), Some(Want::Panel));
        self.paint();
        self.later(400);
    }

    pub fn wants(&self) -> Option<Want> {
        self.ui.wants(at(self.now))
    }

    pub fn row(&self, y: usize) -> String {
        let (_, cols) = self.tty.screen().size();
        self.tty
            .screen()
            .rows(0, cols.get())
            .nth(y)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    pub fn rows(&self) -> String {
        let (_, cols) = self.tty.screen().size();
        self.tty
            .screen()
            .rows(0, cols.get())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// What is asked about somebody who calls themselves so.
pub fn question(what: Offer, id: u32, name: &str) -> Question {
    Question {
        what,
        who: vec![
            WhoLine::Key(key(id)),
            WhoLine::InBy {
                proof: proved(&[]),
                id: ParticipantId(id),
            },
        ],
        said: vec![Unverified::OwnName(name.into())],
    }
}

pub fn forward(bytes: &[u8]) -> HostAction {
    HostAction::Forward(Bytes::copy_from_slice(bytes))
}

pub fn all_forwarded(actions: &[HostAction]) -> Vec<u8> {
    let bytes = actions.iter().filter_map(|action| match action {
        HostAction::Forward(bytes) => Some(bytes.to_vec()),
        _ => None,
    });
    bytes.flatten().collect()
}

/// Whose number this is.
pub fn key(id: u32) -> PublicKey {
    SecretKey::from_bytes(&[id as u8; 32]).public()
}

/// As much of their fingerprint as lists show.
pub fn short(id: u32) -> String {
    key(id).fingerprint()[..9].to_owned()
}

pub fn grant(id: u32) -> HostAction {
    HostAction::Command(Command::Grant(verbs::Grant {
        target: key(id).into(),
        rights: Rights::EDIT,
        ttl_ms: None,
    }))
}

pub fn status(id: u32, name: &str) -> ParticipantStatus {
    ParticipantStatus {
        id: ParticipantId(id),
        name: name.into(),
        identity: key(id),
        rights: Rights::VIEW,
        until_unix_ms: None,
        here: true,
        silent: false,
        asking: false,
        knocking: false,
        proof: proved(&[]),
        path: PathKind::Direct,
        rtt_us: Some(12_000),
        lag_frames: 0,
    }
}

/// All of a terminal that a program could notice: pen, cursor, cells, modes.
pub type Everything = (String, (u16, u16), Vec<Option<String>>, [bool; 5]);

pub fn everything(tty: &vt100::Parser) -> Everything {
    let screen = tty.screen();
    let (rows, cols) = screen.size();
    let cells = (0..rows.get()).flat_map(|y| (0..cols.get()).map(move |x| (y, x)));
    let cells = cells.map(|(y, x)| {
        let cell = screen.cell(y, x)?;
        // Never written and a blank look the same.
        let text = if cell.has_contents() {
            cell.contents()
        } else {
            " "
        };
        Some(format!(
            "{text:?} {:?} {:?} {:?}",
            cell.fgcolor(),
            cell.bgcolor(),
            [
                cell.bold(),
                cell.dim(),
                cell.italic(),
                cell.underline(),
                cell.inverse(),
                cell.is_wide(),
            ]
        ))
    });
    let cells = cells.collect();
    let flags = [
        screen.hide_cursor(),
        screen.application_cursor(),
        screen.application_keypad(),
        screen.bracketed_paste(),
        screen.alternate_screen(),
    ];
    let pen = screen.attributes_formatted();
    (pen, screen.cursor_position(), cells, flags)
}

/// What the panel wants to know when it opens.
pub fn opened() -> [HostAction; 2] {
    [
        HostAction::Command(Command::Who(verbs::Who {})),
        HostAction::Command(Command::AccessList(verbs::AccessList {})),
    ]
}

/// Somebody with the ticket, who proved this too.
pub fn proved(claims: &[&str]) -> Proved {
    Proved {
        by: AdmittedBy::Ticket,
        claims: claims.iter().map(|claim| (*claim).to_owned()).collect(),
    }
}
