//! Whatever a conversation becomes and whatever is typed: what is drawn stays within its rows, holds only what may be
//! shown, and drawing the difference shows what drawing again shows.

#[path = "common/opinion.rs"]
mod opinion;
#[path = "common/talk.rs"]
mod talk;

use std::num::NonZeroU16;

use opinion::{OPINIONS, Opinion};
use pillion_conversation::{Exit, Note};
use pillion_screen::{
    Row, Size, Width,
    clean::{is_clean_char, is_clean_mark},
};
use pillion_session::Now;
use pillion_tui::{
    ConversationAction, ConversationContext, ConversationUi, ConversationView, Depth, keys::Event,
};
use proptest::prelude::*;
use talk::{Talk, author, id_of, quoted};

#[derive(Clone, Debug)]
enum Step {
    /// An update with this text in it, of this kind.
    Update(usize, u8, String),
    Prompt(String),
    Ends(u64),
    Question(u64, String, usize),
    Answer(u64),
    Claimed(u64, bool),
    Queued(u64, String),
    Garbage(String),
    AgentEnds,
    Keys(Vec<u8>),
    Later(u64),
    Size(u16, u16),
    Rights(bool, bool, bool),
}

const KEYS: [&[u8]; 40] = [
    b"y",
    b"n",
    b"1",
    b"2",
    b"c",
    b"d",
    b" ",
    b"x",
    b"\t",
    b"\x1b[Z",
    b"\r",
    b"\x1b\r",
    b"\n",
    b"\x03",
    b"\x1b",
    b"\x1b[A",
    b"\x1b[B",
    b"\x1b[C",
    b"\x1b[D",
    b"\x1b[H",
    b"\x1b[F",
    b"\x1b[5~",
    b"\x1b[6~",
    b"\x7f",
    b"\x18",
    b"\x0f",
    b"\x13",
    b"\x14",
    b"\x17",
    b"\x1b[<64;2;2M",
    b"\x1b[<65;2;2M",
    b"\x1b[<0;2;2M",
    b"\x1b[200~p\n\x1b[201~",
    b"\x10",
    b"\x12",
    b"\x1bOP",
    b"a",
    b"/",
    b"\x04",
    "日é\u{301}".as_bytes(),
];

/// Text as agents send it, and as they should not.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z ]{0,30}",
        "[a-c #*_`>|\\-\n\\[\\]()1.日é\u{301}\u{1f600}\u{202e}\u{1b}\t\r]{0,80}",
        Just(
            "# T\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- x\n  - y\n\n```rs\nlet a;\n```\n> q"
                .to_owned()
        ),
        Just("\u{1b}[31mred\u{1b}[0m\r\nline\r\n10%\r100%\n".repeat(4)),
        "[☺❤\u{fe0f}\u{200d}👩🚀\u{3248}\u{2630}a ]{0,20}",
        "[a-z]{100,300}",
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let keys = proptest::sample::select(KEYS.to_vec()).prop_map(<[u8]>::to_vec);
    prop_oneof![
        10 => (0..12_usize, 0..4_u8, text()).prop_map(|(kind, id, text)| Step::Update(kind, id, text)),
        1 => text().prop_map(Step::Prompt),
        1 => (0..5_u64).prop_map(Step::Ends),
        2 => (0..4_u64, text(), 0..5_usize).prop_map(|(id, text, choices)| Step::Question(id, text, choices)),
        1 => (0..4_u64).prop_map(Step::Answer),
        1 => (0..30_u64, any::<bool>()).prop_map(|(id, mine)| Step::Claimed(id, mine)),
        1 => (0..6_u64, text()).prop_map(|(id, text)| Step::Queued(id, text)),
        1 => text().prop_map(Step::Garbage),
        1 => Just(Step::AgentEnds),
        8 => prop_oneof![4 => keys, 1 => proptest::collection::vec(any::<u8>(), 0..8)].prop_map(Step::Keys),
        3 => prop_oneof![Just(30), Just(400), Just(2000), Just(11_000)].prop_map(Step::Later),
        1 => (1..100_u16, 1..40_u16).prop_map(|(cols, rows)| Step::Size(cols, rows)),
        1 => any::<[bool; 3]>().prop_map(|[prompt, approve, away]| Step::Rights(prompt, approve, away)),
    ]
}

fn update(talk: &mut Talk, kind: usize, id: u8, text: &str) {
    let quoted = quoted(text);
    let session = ["s", "sub"][usize::from(id == 3)];
    let content = format!(r#""content":{{"type":"text","text":{quoted}}}"#);
    let update = match kind {
        0 | 1 => format!(r#""sessionUpdate":"agent_message_chunk","messageId":"m{id}",{content}"#),
        2 => format!(r#""sessionUpdate":"agent_thought_chunk",{content}"#),
        3 => format!(
            r#""sessionUpdate":"tool_call","toolCallId":"t{id}","title":{quoted},"kind":"{}","status":"{}","locations":[{{"path":{quoted},"line":3}}]"#,
            ["read", "search", "execute", "edit"][usize::from(id)],
            ["pending", "in_progress", "completed", "failed"][text.len() % 4],
        ),
        4 => format!(
            r#""sessionUpdate":"tool_call_update","toolCallId":"t{id}","content":[{{"type":"content",{content}}}],"rawInput":{{"command":{quoted},"todos":[{{"content":{quoted},"status":"pending"}}]}}"#
        ),
        5 => format!(
            r#""sessionUpdate":"tool_call_update","toolCallId":"t{id}","content":[{{"type":"diff","path":{quoted},"oldText":{quoted},"newText":"a\nb\n"}}]"#
        ),
        6 => format!(
            r#""sessionUpdate":"tool_call_update","toolCallId":"t{id}","status":"completed","_meta":{{"terminal_info":{{"terminal_id":"p{id}","command":{quoted}}},"terminal_output":{{"terminal_id":"p{id}","data":{quoted}}},"terminal_exit":{{"terminal_id":"p{id}","exit_code":{id}}}}}"#
        ),
        7 => format!(
            r#""sessionUpdate":"plan","entries":[{{"content":{quoted},"status":"in_progress"}},{{"content":{quoted},"status":"completed"}}]"#
        ),
        8 => r#""sessionUpdate":"subagent_update","sessionId":"sub","title":"helper""#.to_owned(),
        9 => format!(
            r#""sessionUpdate":"usage_update","used":{},"size":100000,"cost":{{"amount":0.5,"currency":{quoted}}}"#,
            text.len()
        ),
        10 => format!(
            r#""sessionUpdate":"config_option_update","configOptions":[{{"id":"m","name":{quoted},"category":"mode","currentValue":{quoted},"type":"select","options":[]}}]"#
        ),
        _ => format!(r#""sessionUpdate":{quoted}"#),
    };
    talk.update_of(session, &update);
}

/// Somebody in front of two terminals that show the same: of one all is known, the other is drawn again each time.
struct Desk {
    ui: ConversationUi,
    view: ConversationView,
    tty: vt100::Parser,
    opinion: Opinion,
    size: (u16, u16),
    now_ms: u64,
    rights: (bool, bool, bool),
    me: String,
}

fn terminal((cols, rows): (u16, u16)) -> vt100::Parser {
    let of = |n| NonZeroU16::new(n).unwrap();
    vt100::Parser::new(of(rows), of(cols), 0)
}

/// Everything a terminal shows.
type Looks = (Vec<(String, vt100::Color, [bool; 3])>, Option<(u16, u16)>);

fn looks(terminal: &vt100::Parser) -> Looks {
    let screen = terminal.screen();
    let (rows, cols) = screen.size();
    let mut cells = Vec::new();
    for y in 0..rows.get() {
        for x in 0..cols.get() {
            let cell = screen.cell(y, x).unwrap();
            let text = if cell.has_contents() {
                cell.contents()
            } else {
                " "
            };
            let attrs = [cell.bold(), cell.dim(), cell.inverse()];
            cells.push((text.to_owned(), cell.fgcolor(), attrs));
        }
    }
    (
        cells,
        (!screen.hide_cursor()).then(|| screen.cursor_position()),
    )
}

/// Rows that hold only what may be shown, each character in its columns.
fn check_rows(rows: &[Row], cols: u16) -> Result<(), TestCaseError> {
    for row in rows {
        prop_assert_eq!(row.cells.len(), usize::from(cols));
        for (x, cell) in row.cells.iter().enumerate() {
            prop_assert!(is_clean_char(cell.ch), "{:?}", cell);
            prop_assert!(cell.marks().chars().all(is_clean_mark), "{:?}", cell);
            let before = x.checked_sub(1).map(|x| row.cells[x].width);
            prop_assert_eq!(cell.width == Width::Spacer, before == Some(Width::Wide));
            prop_assert!(cell.width != Width::Wide || x + 1 < row.cells.len());
        }
    }
    Ok(())
}

fn evolve(size: (u16, u16), steps: &[Step], opinion: Opinion) -> Result<(), TestCaseError> {
    let mut talk = Talk::begun();
    talk.prompt("bo", "go");
    let mut desk = Desk {
        ui: ConversationUi::new(Depth::True, Size::clamped(size.0, size.1)),
        view: ConversationView::new(),
        tty: terminal(size),
        opinion,
        size,
        now_ms: 0,
        rights: (true, true, false),
        me: id_of("ann"),
    };
    for step in steps {
        let is_keys = matches!(
            step,
            Step::Keys(_) | Step::Later(_) | Step::Size(..) | Step::Rights(..)
        );
        if !is_keys {
            apply(step, &mut talk);
        }
        let actions = desk.does(step, &talk)?;
        // Only what is open is answered, and only by who may.
        for action in actions {
            let (may_prompt, may_approve, _) = desk.rights;
            match action {
                ConversationAction::Answer { question, .. }
                | ConversationAction::Claim { question } => {
                    prop_assert!(may_approve);
                    prop_assert!(
                        talk.conversation
                            .question(question)
                            .is_some_and(|one| one.is_open())
                    );
                }
                ConversationAction::Release { .. } | ConversationAction::AllowAlike { .. } => {
                    prop_assert!(may_approve);
                }
                ConversationAction::SetOption { .. }
                | ConversationAction::EndRule { .. }
                | ConversationAction::Hold { .. } => prop_assert!(may_approve || may_prompt),
                _ => prop_assert!(may_prompt),
            }
        }
    }
    Ok(())
}

fn apply(step: &Step, talk: &mut Talk) {
    match step {
        Step::Update(kind, id, text) => update(talk, *kind, *id, text),
        Step::Prompt(text) => {
            talk.prompt("bo", text);
        }
        Step::Ends(id) => talk.ends(*id, "end_turn"),
        Step::Question(id, text, choices) => {
            let kinds = [
                "allow_once",
                "allow_always",
                "reject_once",
                "reject_always",
                "what",
            ];
            let text = quoted(text);
            let options = kinds.iter().take(*choices);
            let options: Vec<String> = options
                .map(|kind| format!(r#"{{"optionId":"{kind}","name":{text},"kind":"{kind}"}}"#))
                .collect();
            talk.agent(&format!(
                r#"{{"id":{id},"method":"session/request_permission","params":{{"sessionId":"s","toolCall":{{"toolCallId":"t{id}","kind":"execute","title":{text},"rawInput":{{"command":{text}}}}},"options":[{}]}}}}"#,
                options.join(",")
            ));
        }
        Step::Answer(id) => talk.answer(*id, "bo", "allow_once"),
        Step::Claimed(question, mine) => talk.note(Note::Claimed {
            question: *question,
            by: Some(author(if *mine { "ann" } else { "bo" })),
        }),
        Step::Queued(prompt, text) => {
            talk.queued(*prompt, if prompt % 2 == 0 { "ann" } else { "bo" }, text)
        }
        Step::Garbage(text) => talk.note(Note::Garbage {
            text: text.clone(),
            bytes: 3,
        }),
        Step::AgentEnds => talk.note(Note::Ended {
            exit: Exit::default(),
        }),
        Step::Keys(_) | Step::Later(_) | Step::Size(..) | Step::Rights(..) => {}
    }
}

impl Desk {
    fn does(&mut self, step: &Step, talk: &Talk) -> Result<Vec<ConversationAction>, TestCaseError> {
        match step {
            Step::Rights(prompt, approve, away) => self.rights = (*prompt, *approve, *away),
            Step::Later(ms) => self.now_ms += ms,
            Step::Size(cols, rows) => {
                self.size = (*cols, *rows);
                self.tty = terminal(self.size);
                self.ui.resized(Size::clamped(*cols, *rows));
            }
            _ => {}
        }
        let me = self.me.clone();
        let cx = ConversationContext {
            conversation: &talk.conversation,
            now: Now {
                mono_us: self.now_ms * 1000,
                unix_ms: talk.at_ms + self.now_ms,
            },
            may_prompt: self.rights.0,
            may_approve: self.rights.1,
            may_manage: self.rights.0 && self.rights.1,
            prompters: &[],
            me: &me,
            host_away: self.rights.2,
        };
        let actions = match step {
            Step::Keys(bytes) => self.ui.keys(&cx, bytes, false),
            _ => self.ui.tick(&cx, false),
        };
        let mut out = Vec::new();
        self.ui.draw(&cx, &mut out);
        self.tty.process(&self.opinion.of(&out));
        // The same again, on a terminal that shows nothing of it yet.
        let mut fresh = terminal(self.size);
        fresh.process(b"\x1b[?1049h\x1b[31;44mgarbage");
        self.ui.resized(Size::clamped(self.size.0, self.size.1));
        out.clear();
        self.ui.draw(&cx, &mut out);
        fresh.process(&self.opinion.of(&out));
        let (shown, again) = (looks(&self.tty), looks(&fresh));
        let differ = shown
            .0
            .iter()
            .zip(&again.0)
            .position(|(one, other)| one != other);
        let cells = differ.map(|at| (at, &shown.0[at], &again.0[at]));
        let texts = || (self.tty.screen().contents(), fresh.screen().contents());
        prop_assert!(
            shown == again,
            "after {:?}: {:?} {:?} {:?} {:#?}",
            step,
            cells,
            shown.1,
            again.1,
            texts()
        );
        self.tty.process(&self.opinion.of(&out));
        // The cells themselves.
        if let Step::Keys(bytes) = step {
            self.view.on_event(&cx, &Event::Text(bytes), true);
        }
        let mut rows: Vec<Row> = (0..self.size.1).map(|_| Row::blank(self.size.0)).collect();
        let caret = self.view.draw(&cx, &mut rows);
        check_rows(&rows, self.size.0)?;
        prop_assert!(caret.is_none_or(|(x, y)| x < self.size.0 && y < self.size.1));
        Ok(actions)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_conversation_is_drawn(
        size in (1..100_u16, 1..40_u16),
        steps in proptest::collection::vec(step(), 1..24),
        opinion in proptest::sample::select(OPINIONS.to_vec()),
    ) {
        evolve(size, &steps, opinion)?;
    }

    #[test]
    fn tiny_terminals_are_terminals_too(
        size in (1..=10_u16, 1..=10_u16),
        steps in proptest::collection::vec(step(), 1..24),
        opinion in proptest::sample::select(OPINIONS.to_vec()),
    ) {
        evolve(size, &steps, opinion)?;
    }
}
