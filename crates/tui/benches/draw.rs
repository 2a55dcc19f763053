//! What stands between a frame and the eye, and between a key and the program.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use pillion_conversation::Conversation;
use pillion_proto::{ParticipantId, PathKind, Rights, TrackId, TrackState};
use pillion_screen::{Screen, Size};
use pillion_session::{Now, Phase, View};
use pillion_tui::{
    ConversationContext, ConversationUi, Depth, HostUi, Prefix, UiInput, ViewerUi, ViewerUiConfig,
};

fn view(cols: u16, rows: u16) -> View {
    let mut screen = Screen::blank(Size::clamped(cols, rows));
    for (y, row) in screen.rows.iter_mut().enumerate() {
        for (x, cell) in row.cells.iter_mut().enumerate() {
            cell.ch = char::from(b'a' + ((x + y) % 26) as u8);
        }
    }
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
        identity: pillion_caps::SecretKey::from_bytes(&[2; 32]).public(),
        host_identity: None,
        you: Some(ParticipantId(2)),
        roster: Vec::new(),
        rights: Rights::EDIT,
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

fn ui(cols: u16, rows: u16) -> ViewerUi {
    let config = ViewerUiConfig {
        prefix: Prefix::default(),
        depth: Depth::True,
        read_only: false,
    };
    ViewerUi::new(config, Size::clamped(cols, rows + 1))
}

fn drawing(c: &mut Criterion) {
    for (cols, rows) in [(80, 24), (200, 60)] {
        let mut shown = view(cols, rows);
        let mut interface = ui(cols, rows);
        let mut out = Vec::new();
        interface.draw(Now::default(), &shown, &mut out);
        let mut n = 0u8;
        c.bench_function(&format!("draw one key's echo, {cols}x{rows}"), |b| {
            b.iter(|| {
                n = (n + 1) % 26;
                shown.screen.as_mut().unwrap().rows[3].cells[10].ch = char::from(b'A' + n);
                out.clear();
                interface.draw(Now::default(), &shown, &mut out);
                black_box(&out);
            });
        });
        c.bench_function(&format!("draw a line scrolled, {cols}x{rows}"), |b| {
            b.iter(|| {
                shown.screen.as_mut().unwrap().rows.rotate_left(1);
                out.clear();
                interface.draw(Now::default(), &shown, &mut out);
                black_box(&out);
            });
        });
    }
}

fn keys(c: &mut Criterion) {
    let shown = view(80, 24);
    let mut viewer = ui(80, 24);
    c.bench_function("a viewer's key", |b| {
        b.iter(|| viewer.handle(Now::default(), &shown, UiInput::Keys(black_box(b"x"))));
    });
    let mut host = HostUi::new(Prefix::default());
    let key = Bytes::from_static(b"x");
    c.bench_function("a host's key", |b| {
        b.iter(|| host.keys(Now::default(), black_box(&key), false));
    });
}

/// An update of a conversation: a response of a hundred pieces, and now and then a tool.
fn update(number: usize) -> String {
    let update = match number % 10 {
        0 => format!(
            r#""sessionUpdate":"tool_call_update","toolCallId":"t{}","kind":"execute","status":"completed","title":"ls","content":[{{"type":"content","content":{{"type":"text","text":"{}"}}}}],"rawInput":{{"command":"ls"}}"#,
            number / 4,
            "some output\\n".repeat(8)
        ),
        _ => format!(
            r#""sessionUpdate":"agent_message_chunk","messageId":"m{}","content":{{"type":"text","text":"a few *words* of `text` "}}"#,
            number / 100
        ),
    };
    format!(
        r#"{{"at":{number},"agent":{{"method":"session/update","params":{{"sessionId":"s","update":{{{update}}}}}}}}}"#
    )
}

fn context(conversation: &Conversation) -> ConversationContext<'_> {
    ConversationContext {
        conversation,
        now: Now::default(),
        may_prompt: true,
        may_approve: true,
        may_manage: false,
        prompters: &[],
        me: "",
        host_away: false,
    }
}

fn conversation(c: &mut Criterion) {
    let mut conversation = Conversation::new();
    (0..10_000).for_each(|number| conversation.apply_text(&update(number)));
    for (cols, rows) in [(80, 24), (200, 60)] {
        let new = || ConversationUi::new(Depth::True, Size::clamped(cols, rows));
        let mut out = Vec::new();
        let name = format!("draw a conversation of 10,000 updates, {cols}x{rows}");
        c.bench_function(&name, |b| {
            b.iter(|| {
                out.clear();
                new().draw(&context(black_box(&conversation)), &mut out);
            });
        });
        let mut drawn = new();
        drawn.draw(&context(&conversation), &mut out);
        let mut goes_on = conversation.clone();
        let mut number = 10_000;
        c.bench_function(&format!("draw one update more, {cols}x{rows}"), |b| {
            b.iter_custom(|times| {
                let mut took = std::time::Duration::ZERO;
                for _ in 0..times {
                    goes_on.apply_text(&update(number));
                    number += 1;
                    out.clear();
                    let start = std::time::Instant::now();
                    drawn.draw(&context(&goes_on), &mut out);
                    took += start.elapsed();
                }
                took
            });
        });
    }
    // One response that goes on and on.
    let mut long = Conversation::new();
    let piece = |number: usize| {
        update(number * 10 + 1)
            .replace(&format!("\"m{}\"", (number * 10 + 1) / 100), "\"m\"")
            .replace("text` ", "text`\\n\\n")
    };
    (0..4000).for_each(|number| long.apply_text(&piece(number)));
    let mut drawn = ConversationUi::new(Depth::True, Size::clamped(80, 24));
    let mut out = Vec::new();
    c.bench_function("draw a response of 100 KiB that changed, 80x24", |b| {
        b.iter_custom(|times| {
            let mut took = std::time::Duration::ZERO;
            let mut goes_on = long.clone();
            for number in 0..times {
                if number % 100 == 0 {
                    goes_on = long.clone();
                }
                goes_on.apply_text(&piece(number as usize));
                out.clear();
                let start = std::time::Instant::now();
                drawn.draw(&context(&goes_on), &mut out);
                took += start.elapsed();
            }
            took
        });
    });
}

criterion_group!(benches, drawing, conversation, keys);
criterion_main!(benches);
