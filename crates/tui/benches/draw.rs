//! What stands between a frame and the eye, and between a key and the program.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use pillion_proto::{ParticipantId, PathKind, Rights, TrackId, TrackState};
use pillion_screen::{Screen, Size};
use pillion_session::{Now, Phase, View};
use pillion_tui::{Depth, HostUi, Prefix, UiInput, ViewerUi, ViewerUiConfig};

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
        right: Rights::EDIT,
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

criterion_group!(benches, drawing, keys);
criterion_main!(benches);
