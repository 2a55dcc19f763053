//! The panel: who is here, and what can be done about it.

use pillion_proto::{AccessMode, ParticipantId, PathKind, Rights, TrackState};
use pillion_screen::{Size, clean};
use pillion_session::{Command, Now, ParticipantStatus, Target, verbs};

use super::page::{LinkPage, QrRows};
use crate::{
    keys::{Key, KeyCode},
    settled::Settled,
    text, words,
};

/// Widest the panel gets, in columns.
const MAX_COLS: u16 = 90;

/// Highest the panel gets, in rows.
const MAX_ROWS: u16 = 18;

/// How often the list is brought up to date, in microseconds.
const REFRESH_US: u64 = 1_000_000;

/// What a key in the panel asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// Nothing, or something within the panel.
    Nothing,
    /// A command.
    Command(Command),
    /// To see the first question.
    Answer,
    /// The session's link.
    Link,
    /// A code to say aloud.
    Code,
    /// Another terminal of the session, which is opened first.
    Open,
    /// The terminal that this digit means.
    Show(char),
    /// To leave the terminal.
    Detach,
    /// To close it.
    Close,
}

/// What waits for a yes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sure {
    question: String,
    command: Command,
}

/// Fewer columns leave the rows of keys no room for what they are about.
const LABELLED: usize = 60;

/// Columns of what a row of keys is about.
const LABEL: usize = 10;

/// How others come in.
const INVITE: [&str; 3] = ["c copy ticket", "l link", "o code to say aloud"];

/// What is done with the session.
const SESSION: [&str; 2] = ["m who can join", "s stop sharing"];

/// What is done with the terminal.
const TERMINAL: [&str; 4] = ["t new terminal", "d detach", "q close", "? help"];

/// The choices that `m` opens, each with its key.
const DOORS: [(AccessMode, char, &str); 3] = [
    (AccessMode::Link, 'l', "anyone with the ticket"),
    (AccessMode::Invited, 'i', "people you invite"),
    (AccessMode::Team, 't', "members of your teams"),
];

/// What `?` shows.
const HELP: [&str; 11] = [
    "g lets who is chosen type for 8 hours, or lets them in if they knock",
    "r takes the right to type back",
    "k removes them and blocks their key",
    "c copies the ticket, which others join with",
    "l shows a link and its QR code, o a code to say aloud (both need a link service)",
    "m asks who can join from now on",
    "s stops sharing; your program keeps running",
    "t opens another terminal of the session, 0–9 go to one",
    "d leaves this terminal; `pillion attach` comes back",
    "a shows a request or a knock that waits",
    "q or Esc closes the panel",
];

/// The one more while there are several terminals.
const GO: &str = "0–9 go to terminal";

/// A key where there is no room to say more of it.
fn short(key: &'static str) -> &'static str {
    match key {
        "o code to say aloud" => "o code",
        "t new terminal" => "t new",
        GO => "0–9 go",
        key => key,
    }
}

/// One of the session's terminals, for the panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminalRow {
    /// As the session has it.
    pub status: verbs::TrackStatus,
    /// It printed something since it was looked at.
    pub active: bool,
}

impl TerminalRow {
    fn runs(&self) -> bool {
        self.status.state == TrackState::Live
    }

    /// What there is to know of it beside number and title.
    fn state(&self) -> String {
        let said = match (self.status.shown, self.active) {
            (true, _) => ", shown here",
            (false, true) => ", new output",
            (false, false) => "",
        };
        format!("{}{said}", words::track_state(self.status.state))
    }

    /// The same where there is no room.
    fn short(&self) -> String {
        let said = match (self.status.shown, self.active) {
            (true, _) => " (here)".to_owned(),
            (false, _) if !self.runs() => " (ended)".to_owned(),
            (false, true) => " (new)".to_owned(),
            (false, false) => String::new(),
        };
        format!(
            "{} {}{said}",
            self.status.id,
            text::label(&self.status.title, 12)
        )
    }
}

#[derive(Debug, Default)]
pub(crate) struct Panel {
    terminals: Vec<TerminalRow>,
    who: Vec<ParticipantStatus>,
    /// Who types at this moment.
    types: Option<ParticipantId>,
    selected: Option<ParticipantId>,
    sure: Option<Sure>,
    /// It is asked who may come in, and this of [`DOORS`] is chosen.
    choosing_door: Option<usize>,
    /// The help, from this line on, in place of the list.
    help: Option<usize>,
    /// The link, in place of the list.
    page: Option<LinkPage>,
    message: String,
    /// Who may come in, once that is known.
    door: Option<AccessMode>,
    refreshed: Option<u64>,
    /// What is chosen, and who may come in, is on the terminal as it is.
    pub(crate) steady: Settled,
}

impl Panel {
    /// The list came.
    pub(crate) fn list(&mut self, who: Vec<ParticipantStatus>) {
        self.who = who;
        if self.selected().is_none() {
            let asking = self.who.iter().find(|who| who.asking || who.knocking);
            let selected = asking.or(self.who.first()).map(|who| who.id);
            // Where nobody is here, and was, nothing of it has changed.
            if std::mem::replace(&mut self.selected, selected) != selected {
                self.steady = Settled::default();
            }
        }
    }

    /// The session's terminals; whether they are others than before.
    pub(crate) fn list_terminals(&mut self, terminals: Vec<TerminalRow>) -> bool {
        let differ = self.terminals != terminals;
        self.terminals = terminals;
        differ
    }

    /// Who types at this moment; whether that is another one than before.
    pub(crate) fn types(&mut self, who: Option<ParticipantId>) -> bool {
        std::mem::replace(&mut self.types, who) != who
    }

    /// Who may come in.
    pub(crate) fn door(&mut self, allow: AccessMode) {
        if self.door.replace(allow) != Some(allow) {
            self.steady = Settled::default();
        }
    }

    /// The link came: it is shown until a key is pressed.
    pub(crate) fn link(&mut self, page: LinkPage) {
        self.page = Some(page);
        self.message.clear();
    }

    /// Its QR code, for [`Drawn::qr`].
    pub(crate) fn qr(&self) -> Option<&QrRows> {
        self.page.as_ref()?.qr.as_ref()
    }

    /// A sentence about what was done.
    pub(crate) fn say(&mut self, text: &str) {
        self.message = clean::clean_text(text, 1000);
    }

    /// The command to bring the list up to date, when it is time.
    pub(crate) fn refresh(&mut self, now: Now) -> Option<Command> {
        if self
            .refreshed
            .is_some_and(|at| now.mono_us < at.saturating_add(REFRESH_US))
        {
            return None;
        }
        self.refreshed = Some(now.mono_us);
        Some(Command::Who(verbs::Who {}))
    }

    /// When [`Panel::refresh`] has something to do.
    pub(crate) fn refresh_at(&self) -> u64 {
        self.refreshed.map_or(0, |at| at.saturating_add(REFRESH_US))
    }

    /// What a key does. What lets somebody in or gives a right is done by a key that came `alone`, once
    /// the panel has stood for a moment as it is: not by a paste, and not by the one who types on.
    pub(crate) fn key(&mut self, key: &Key, alone: bool) -> Chosen {
        let for_good = key.code == KeyCode::Char('N');
        if let Some(from) = &mut self.help {
            match key.code {
                KeyCode::Down => *from += 1,
                KeyCode::Up => *from = from.saturating_sub(1),
                _ => self.help = None,
            }
            return Chosen::Nothing;
        }
        if let Some(chosen) = &mut self.choosing_door {
            let last = DOORS.len() - 1;
            match key.code {
                KeyCode::Up => *chosen = chosen.saturating_sub(1),
                KeyCode::Down => *chosen = (*chosen + 1).min(last),
                _ => return self.choose_door(key, alone),
            }
            self.message.clear();
            self.steady = Settled::default();
            return Chosen::Nothing;
        }
        let ch = match key.code {
            KeyCode::Char(ch) => ch.to_ascii_lowercase(),
            KeyCode::Up => return self.select(-1),
            KeyCode::Down => return self.select(1),
            KeyCode::Esc if self.sure.is_none() && self.page.is_none() => {
                return Chosen::Close;
            }
            _ => '\0',
        };
        if let Some(sure) = self.sure.take() {
            if ch != 'y' || !alone {
                return Chosen::Nothing;
            }
            // What comes of it is said in the list.
            self.page = None;
            return Chosen::Command(sure.command);
        }
        self.message.clear();
        match ch {
            '?' => {
                (self.help, self.page) = (Some(0), None);
                Chosen::Nothing
            }
            'x' if self.page.is_some() => {
                let question = "End the link? The session goes on.".to_owned();
                self.make_sure(question, Command::EndLink(verbs::EndLink {}))
            }
            'a' => Chosen::Answer,
            _ if self.page.take().is_some() => Chosen::Nothing,
            'q' => Chosen::Close,
            _ if !alone => Chosen::Nothing,
            'd' => Chosen::Detach,
            't' => Chosen::Open,
            '0'..='9' if self.terminals.len() > 1 => Chosen::Show(ch),
            'g' | 'l' | 'o' if !self.steady.is_settled() => {
                self.message = "Too soon: read the panel, then press the key.".to_owned();
                Chosen::Nothing
            }
            'l' => Chosen::Link,
            'o' => {
                self.message = "Asking the link service for a code …".to_owned();
                Chosen::Code
            }
            'c' => Chosen::Command(Command::Ticket(verbs::Ticket { new: false })),
            's' => self.make_sure(
                "Stop sharing? Everyone leaves; the program keeps running.".to_owned(),
                Command::Stop(verbs::Stop {}),
            ),
            'm' => {
                let stands = DOORS.iter().position(|(mode, ..)| Some(*mode) == self.door);
                self.choosing_door = Some(stands.unwrap_or(0));
                self.steady = Settled::default();
                Chosen::Nothing
            }
            'g' | 'n' | 'r' | 'k' => self.about_selected(ch, for_good),
            _ => Chosen::Nothing,
        }
    }

    /// Who may come in, from the choice that `m` opens: by its key, or by Enter what is chosen. Any other key changes
    /// nothing.
    fn choose_door(&mut self, key: &Key, alone: bool) -> Chosen {
        self.message.clear();
        let chosen = self.choosing_door.take();
        let mode = match key.code {
            KeyCode::Enter => chosen.and_then(|at| DOORS.get(at)),
            KeyCode::Char(ch) => DOORS
                .iter()
                .find(|(_, key, _)| *key == ch.to_ascii_lowercase()),
            _ => None,
        };
        let Some((mode, ..)) = mode else {
            return Chosen::Nothing;
        };
        let mode = *mode;
        if key.code == KeyCode::Enter && self.door == Some(mode) {
            return Chosen::Nothing;
        }
        if !alone || !self.steady.is_settled() {
            self.message = "Too soon: read the choice, then press the key.".to_owned();
            self.choosing_door = chosen;
            return Chosen::Nothing;
        }
        self.door = Some(mode);
        self.steady = Settled::default();
        Chosen::Command(Command::SetAccessMode(verbs::SetAccessMode { mode }))
    }

    fn about_selected(&mut self, ch: char, for_good: bool) -> Chosen {
        let Some(who) = self.selected() else {
            self.message = "Nobody is here but you.".to_owned();
            return Chosen::Nothing;
        };
        let name = text::name(&who.name, 24);
        let target = Target::from(who.identity);
        match ch {
            'g' if who.knocking => Chosen::Command(Command::Admit(verbs::Admit { target })),
            'n' if who.knocking => {
                Chosen::Command(Command::TurnAway(verbs::TurnAway { target, for_good }))
            }
            'g' => Chosen::Command(Command::Grant(verbs::Grant {
                target,
                rights: Rights::EDIT,
                ttl_ms: None,
            })),
            'n' => Chosen::Command(Command::RefuseRequest(verbs::RefuseRequest { target })),
            'r' => Chosen::Command(Command::Revoke(verbs::Revoke { target })),
            _ => {
                let question = format!("Remove “{name}” and block that identity?");
                self.make_sure(question, Command::Kick(verbs::Kick { target }))
            }
        }
    }

    fn make_sure(&mut self, question: String, command: Command) -> Chosen {
        self.sure = Some(Sure { question, command });
        Chosen::Nothing
    }

    fn selected(&self) -> Option<&ParticipantStatus> {
        self.who.iter().find(|who| Some(who.id) == self.selected)
    }

    fn select(&mut self, by: isize) -> Chosen {
        let at = self
            .who
            .iter()
            .position(|who| Some(who.id) == self.selected)
            .unwrap_or(0);
        let at = at
            .saturating_add_signed(by)
            .min(self.who.len().saturating_sub(1));
        self.selected = self.who.get(at).map(|who| who.id);
        self.steady = Settled::default();
        Chosen::Nothing
    }

    /// Its lines, and where they begin; all as wide as the panel.
    pub(crate) fn lines(&self, now: Now, size: Size, waiting: Option<String>) -> Drawn {
        let sure = self.sure.as_ref();
        let asked = sure.map(|sure| format!("{} y yes, any other key no", sure.question));
        let asked = asked.or(waiting);
        if let Some(page) = &self.page {
            return page.lines(
                size,
                asked
                    .as_deref()
                    .unwrap_or("x ends it. Any other key: back."),
            );
        }
        let here = self
            .who
            .iter()
            .filter(|who| who.here && !who.silent)
            .count();
        let title = match self.door {
            Some(AccessMode::Link) => format!(" {here} here · anyone with the ticket can watch "),
            Some(AccessMode::Invited) => format!(" {here} here · people you invite can join "),
            Some(AccessMode::Team) => format!(" {here} here · members of your teams can join "),
            None => format!(" {here} here "),
        };
        if let Some(from) = self.help {
            return boxed(size, " Help (any key goes back) ", |inner, rows| {
                let all: Vec<String> = HELP
                    .iter()
                    .flat_map(|text| text::fold(text, inner, rows))
                    .collect();
                let from = from.min(all.len().saturating_sub(rows));
                let shown = all.into_iter().skip(from).take(rows);
                shown.map(|line| (line, false)).collect()
            });
        }
        boxed(size, &title, |inner, rows| {
            if let Some(chosen) = self.choosing_door {
                return self.door_lines(chosen, inner, rows);
            }
            let mut foot = match sure {
                Some(_) => Vec::new(),
                None => text::fold(&self.message, inner, 4),
            };
            foot.extend(text::fold(&asked.unwrap_or_default(), inner, 3));
            foot.extend(self.key_lines(inner, rows));
            // On a small terminal the row between is worth more as one of the list.
            let between = usize::from(rows >= 10);
            let room = rows.saturating_sub(between + foot.len());
            let mut lines = self.terminal_lines(inner, room.div_ceil(2));
            lines.extend(self.shown(now, inner, room - lines.len()));
            lines.extend((0..between).map(|_| (String::new(), false)));
            lines.extend(foot.into_iter().map(|line| (line, false)));
            lines
        })
    }

    /// The choice who can join.
    fn door_lines(&self, chosen: usize, cols: usize, rows: usize) -> Vec<(String, bool)> {
        let mut lines = vec![("Who can join?".to_owned(), false)];
        let choice = |(at, (_, key, text)): (usize, &(AccessMode, char, &str))| {
            (format!("  {key}  {text}"), at == chosen)
        };
        lines.extend(DOORS.iter().enumerate().map(choice));
        let mut foot = text::fold(&self.message, cols, 2);
        foot.extend(text::fold(
            "↑↓ and Enter choose, or its key; any other key changes nothing.",
            cols,
            2,
        ));
        lines.extend(foot.into_iter().map(|line| (line, false)));
        lines.truncate(rows);
        lines
    }

    /// What keys do: to who is chosen, to let others in, with the session. Where there is room each has its row, which
    /// says what it is about.
    fn key_lines(&self, cols: usize, rows: usize) -> Vec<String> {
        let chosen = self.selected();
        let person: &[&str] = match chosen {
            Some(who) if who.knocking => &["g let in", "n refuse (N for good)", "k remove"],
            Some(who) if who.asking => &["g let type", "n not now", "r stop typing", "k remove"],
            _ => &["g let type", "r stop typing", "k remove"],
        };
        let mut person = person.to_vec();
        if self.who.len() > 1 {
            person.push("↑↓ choose");
        }
        let mut terminal = TERMINAL.to_vec();
        if self.terminals.len() > 1 {
            terminal.insert(1, GO);
        }
        let session = [&SESSION[..], &terminal].concat();
        if cols < LABELLED {
            let all = [&person[..], &INVITE, &session].concat();
            let all: Vec<&str> = all.into_iter().map(short).collect();
            return text::flow(&all, cols, (rows * 3 / 4).max(3));
        }
        let name = chosen.map_or_else(|| "who".to_owned(), |who| text::label(&who.name, LABEL - 2));
        let groups = [
            (name.as_str(), &person[..]),
            ("invite", &INVITE),
            ("session", &session),
        ];
        let group = |(label, keys): (&str, &[&str])| -> Vec<String> {
            let lines = text::flow(keys, cols - LABEL, rows);
            let label = |at: usize| {
                if at == 0 {
                    label.to_owned()
                } else {
                    String::new()
                }
            };
            let lines = lines.into_iter().enumerate();
            lines
                .map(|(at, line)| {
                    let label = label(at);
                    let fill = " ".repeat(LABEL.saturating_sub(text::width(&label)));
                    format!("{label}{fill}{line}")
                })
                .collect()
        };
        groups.into_iter().flat_map(group).collect()
    }

    /// At most so many lines of the terminals, where there are several.
    fn terminal_lines(&self, cols: usize, room: usize) -> Vec<(String, bool)> {
        let lines: Vec<String> = match self.terminals.len() {
            0 | 1 => Vec::new(),
            count if count <= room => self.terminals.iter().map(terminal_line).collect(),
            _ => {
                let short: Vec<String> = self.terminals.iter().map(TerminalRow::short).collect();
                let short: Vec<&str> = short.iter().map(String::as_str).collect();
                text::flow(&short, cols, room)
            }
        };
        lines.into_iter().map(|line| (line, false)).collect()
    }

    /// At most so many lines of the list, the chosen one among them.
    fn shown(&self, now: Now, cols: usize, room: usize) -> Vec<(String, bool)> {
        let at = self
            .who
            .iter()
            .position(|who| Some(who.id) == self.selected)
            .unwrap_or(0);
        let first = (at + 1).saturating_sub(room);
        let shown = self.who.iter().skip(first).take(room);
        let mut lines: Vec<(String, bool)> = shown
            .map(|who| {
                let types = self.types == Some(who.id);
                (line(now, who, types, cols), Some(who.id) == self.selected)
            })
            .collect();
        if self.who.is_empty() && room > 0 {
            lines.push(("Nobody is here but you.".to_owned(), false));
        }
        lines
    }
}

/// A box in the middle. `body` gives its lines for so many columns and rows, each with whether it is
/// marked.
pub(crate) fn boxed(
    size: Size,
    title: &str,
    body: impl FnOnce(usize, usize) -> Vec<(String, bool)>,
) -> Drawn {
    let cols = usize::from(size.cols().min(MAX_COLS));
    let rows = usize::from(size.rows().min(MAX_ROWS));
    let inner = cols.saturating_sub(4);
    let title = text::cut(title, inner);
    let rule = "─".repeat(inner + 1 - text::width(&title).min(inner));
    let mut lines = vec![(format!("┌─{title}{rule}┐"), false)];
    for (line, marked) in body(inner, rows.saturating_sub(2)) {
        let line = text::cut(&line, inner);
        let fill = " ".repeat(inner.saturating_sub(text::width(&line)));
        lines.push((format!("│ {line}{fill} │"), marked));
    }
    lines.truncate(rows.saturating_sub(1));
    lines.push((format!("└{}┘", "─".repeat(inner + 2)), false));
    lines.truncate(rows);
    Drawn {
        x: (size.cols() - cols as u16) / 2,
        y: (size.rows() - lines.len().min(rows) as u16) / 2,
        cols: cols as u16,
        lines,
        qr: None,
    }
}

/// A panel to draw.
#[derive(Debug)]
pub(crate) struct Drawn {
    pub(crate) x: u16,
    pub(crate) y: u16,
    pub(crate) cols: u16,
    /// Each line, and whether it is the chosen one.
    pub(crate) lines: Vec<(String, bool)>,
    /// Where a QR code goes over them: column and row.
    pub(crate) qr: Option<(u16, u16)>,
}

fn terminal_line(row: &TerminalRow) -> String {
    let title = text::label(&row.status.title, 24);
    let fill = " ".repeat(24 - text::width(&title).min(24));
    format!(
        "terminal {:>2} {title}{fill}  {}",
        row.status.id.0,
        row.state()
    )
}

/// Somebody's row. Where there is little room what they ask for comes before how they are connected.
fn line(now: Now, who: &ParticipantStatus, types: bool, cols: usize) -> String {
    let right = match (who.rights, who.until_unix_ms) {
        (Rights::VIEW, _) => "view".to_owned(),
        (right, until) => match until {
            Some(until) => {
                let left = text::duration(until.saturating_sub(now.unix_ms));
                format!("{right} for {left}")
            }
            None => right.to_string(),
        },
    };
    let right = match who.knocking {
        true => "knocks".to_owned(),
        false => right,
    };
    let path = match (who.here, who.path) {
        (false, _) if who.knocking => "",
        (false, _) => "away",
        (true, _) if who.silent => "silent",
        (true, PathKind::Unknown) => "",
        (true, PathKind::Direct) => "direct",
        (true, PathKind::Relayed) => "relayed",
    };
    let rtt = who
        .rtt_us
        .filter(|_| who.here && !who.silent)
        .map(text::round_trip)
        .unwrap_or_default();
    let name = text::name(&who.name, 20);
    let fill = " ".repeat(20 - text::width(&name).min(20));
    let fingerprint: String = who.identity.fingerprint().chars().take(9).collect();
    let asking = match (who.asking, types) {
        (true, _) => "  asks to type",
        (false, true) => "  types",
        (false, false) => "",
    };
    if cols < LABELLED {
        let name = text::name(&who.name, 12);
        return format!(
            "{:>3} {name}{asking}  {right}  {fingerprint} {path}",
            who.id.0
        );
    }
    format!(
        "{:>3} {name}{fill} {fingerprint}{asking}  {right}  {path} {rtt}",
        who.id.0
    )
}
