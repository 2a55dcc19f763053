//! `--follow` over a session that scrolls, is cut, and ends: each line once.

mod common;

use common::{terminal_info, view, write};
use pillion_proto::TrackId;
use pillion_screen::{Line, LineId, Run, Style};
use pillion_session::{HistoryLines, View};
use pillion_tui::Follow;
use proptest::prelude::*;

fn lines(from: u64, to: u64) -> Vec<Line> {
    let line = |id| Line {
        id: LineId(id),
        runs: vec![Run {
            text: format!("line {id}"),
            style: Style::default(),
            link: None,
        }],
        continued: false,
    };
    (from..to).map(line).collect()
}

fn answer(asked: LineId, lines: Vec<Line>) -> HistoryLines {
    HistoryLines {
        asked,
        lines,
        settled: LineId(0),
    }
}

#[test]
fn a_line_that_goes_on_in_the_next_record_is_one_line() {
    let mut view = view(10, 3);
    let mut follow = Follow::from(LineId(0));
    view.screen.as_mut().unwrap().lines.top = LineId(2);
    assert_eq!(follow.wants(&view), Some((LineId(0), 2)));
    let mut both = lines(0, 2);
    both[0].continued = true;
    let mut out = String::new();
    follow.history(&answer(LineId(0), both), &mut out);
    assert_eq!(out, "line 0line 1\n");
}

#[test]
fn lines_that_are_gone_are_counted() {
    let mut view = view(10, 3);
    let mut follow = Follow::from(LineId(0));
    view.screen.as_mut().unwrap().lines.top = LineId(10);
    let mut out = String::new();
    follow.wants(&view);
    follow.history(&answer(LineId(0), lines(4, 6)), &mut out);
    assert_eq!((out.as_str(), follow.missed()), ("line 4\nline 5\n", 4));
    assert_eq!(follow.wants(&view), Some((LineId(6), 4)));
    follow.history(&answer(LineId(6), vec![]), &mut out);
    assert_eq!(follow.missed(), 8);
    assert_eq!(follow.wants(&view), None);
}

#[test]
fn each_terminal_has_a_place_of_its_own() {
    let mut view = view(10, 3);
    view.tracks = (0..2).map(|id| terminal_info(TrackId(id))).collect();
    let mut follow = Follow::new();
    let show = |view: &mut View, track: u32, top: u64| {
        view.track.0 = TrackId(track);
        view.screen.as_mut().unwrap().lines.top = LineId(top);
    };
    show(&mut view, 0, 100);
    assert_eq!(follow.wants(&view), None);
    show(&mut view, 0, 103);
    assert_eq!(follow.wants(&view), Some((LineId(100), 3)));
    // The answer does not come any more: another one is shown.
    show(&mut view, 1, 5);
    assert_eq!(follow.wants(&view), None);
    assert!(!follow.is_asking());
    show(&mut view, 1, 6);
    assert_eq!(follow.wants(&view), Some((LineId(5), 1)));
    let mut out = String::new();
    follow.history(&answer(LineId(5), lines(5, 6)), &mut out);
    show(&mut view, 0, 104);
    assert_eq!(follow.wants(&view), Some((LineId(100), 4)));
    follow.history(&answer(LineId(100), lines(100, 104)), &mut out);
    assert_eq!(out, "line 5\nline 100\nline 101\nline 102\nline 103\n");
    show(&mut view, 1, 6);
    assert_eq!(follow.wants(&view), None);
    assert_eq!(follow.missed(), 0);
}

proptest! {
    #[test]
    fn every_line_comes_once_and_in_order(
        steps in proptest::collection::vec((0u64..40, 0u64..60, any::<bool>()), 1..30),
    ) {
        let mut view = view(20, 2);
        let mut follow = Follow::from(LineId(0));
        let (mut out, mut top) = (String::new(), 0);
        for (scrolled, given, cut) in steps {
            top += scrolled;
            view.screen.as_mut().unwrap().lines.top = LineId(top);
            let Some((from, count)) = follow.wants(&view) else { continue };
            prop_assert!(from.0 + u64::from(count) <= top);
            if cut {
                follow.disconnected();
                // What comes late was for another request.
                follow.history(&answer(from, lines(from.0, top)), &mut out);
                continue;
            }
            // As much as the host cares to give, perhaps more than was asked for.
            follow.history(&answer(from, lines(from.0, from.0 + given.max(1))), &mut out);
        }
        while let Some((from, count)) = follow.wants(&view) {
            follow.history(&answer(from, lines(from.0, from.0 + u64::from(count))), &mut out);
        }
        let screen = view.screen.as_mut().unwrap();
        write(screen, 0, "on screen");
        write(screen, 1, "         ");
        follow.finish(screen, &mut out);
        let mut expected: String = (0..top).map(|id| format!("line {id}\n")).collect();
        expected.push_str("on screen\n");
        prop_assert_eq!(out, expected);
        prop_assert_eq!(follow.missed(), 0);
    }
}
