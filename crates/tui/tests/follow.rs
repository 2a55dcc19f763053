//! `--follow` over a session that scrolls, is cut, and ends: each line once.

mod common;

use common::{terminal_info, view, write};
use pillion_proto::TrackId;
use pillion_screen::{Line, LineId, Run, Screen, Size, Style, Wrap};
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

/// Looks at the view as the command does.
fn wants(follow: &mut Follow, view: &View, out: &mut String) -> Option<(LineId, u32)> {
    follow.see(view, out);
    follow.wants()
}

/// What is appended at the end.
fn finished(follow: &mut Follow, view: &View) -> String {
    let mut out = String::new();
    follow.see(view, &mut out);
    follow.finish(&mut out);
    out
}

#[test]
fn what_is_left_on_the_screen_is_unwrapped() {
    let mut view = view(3, 4);
    let screen = view.screen.as_mut().unwrap();
    *screen = Screen::blank(Size::clamped(3, 4));
    let rows = [
        (0, "ab ", Wrap::Full),
        (1, "cd", Wrap::Ends),
        (2, "ef", Wrap::Early),
        (3, "g", Wrap::Ends),
    ];
    for (y, text, wrap) in rows {
        let row = &mut screen.rows[y];
        row.wrap = wrap;
        for (cell, ch) in row.cells.iter_mut().zip(text.chars()) {
            cell.ch = ch;
        }
    }
    assert_eq!(finished(&mut Follow::new(), &view), "ab cd\nefg\n");
}

#[test]
fn an_empty_screen_leaves_nothing() {
    let mut view = view(80, 24);
    view.screen = Some(Screen::blank(Size::clamped(80, 24)));
    assert_eq!(finished(&mut Follow::new(), &view), "");
}

/// A program begins where the host's cursor was, which is seldom the first row.
#[test]
fn blank_lines_before_the_first_one_with_text_are_left_out() {
    let mut view = view(10, 4);
    let mut follow = Follow::from(LineId(0));
    let screen = view.screen.as_mut().unwrap();
    *screen = Screen::blank(Size::clamped(10, 4));
    write(screen, 2, "text");
    let mut out = String::new();
    assert_eq!(wants(&mut follow, &view, &mut out), None);
    assert_eq!(finished(&mut follow, &view), "text\n");

    let mut follow = Follow::from(LineId(0));
    view.screen.as_mut().unwrap().lines.top = LineId(4);
    assert_eq!(wants(&mut follow, &view, &mut out), Some((LineId(0), 4)));
    let mut above = lines(0, 4);
    for blank in [0, 1, 3] {
        above[blank].runs.clear();
    }
    follow.history(&answer(LineId(0), above), &mut out);
    assert_eq!(out, "line 2\n\n");
    assert_eq!(
        finished(&mut follow, &view),
        "\n\ntext\n",
        "others are kept"
    );
    assert_eq!(follow.missed(), 0);
}

#[test]
fn what_is_on_a_screen_is_given_when_another_is_shown_in_its_place() {
    let mut view = view(10, 4);
    view.tracks = (0..2).map(|id| terminal_info(TrackId(id))).collect();
    let show = |view: &mut View, track: u32, top: u64, rows: &[&str]| {
        view.track.0 = TrackId(track);
        view.version += 1;
        let screen = view.screen.as_mut().unwrap();
        *screen = Screen::blank(Size::clamped(10, 4));
        screen.lines.top = LineId(top);
        for (y, row) in rows.iter().enumerate() {
            write(screen, y, row);
        }
        screen.cursor.y = rows.len() as u16 - 1;
    };
    let mut follow = Follow::new();
    let mut out = String::new();
    show(&mut view, 0, 7, &["seven", "eight", "$ mak"]);
    assert_eq!(wants(&mut follow, &view, &mut out), None);
    assert_eq!(out, "");
    show(&mut view, 1, 0, &["other", "$ "]);
    assert_eq!(wants(&mut follow, &view, &mut out), None);
    assert_eq!(
        out, "seven\neight\n",
        "but not the line that is being written"
    );
    out.clear();
    // It comes whole, and what was given isn't given again.
    show(&mut view, 0, 8, &["eight", "$ make", "made", "$ "]);
    assert_eq!(wants(&mut follow, &view, &mut out), None);
    assert_eq!(out, "other\n");
    out.clear();
    show(&mut view, 0, 10, &["made", "$ "]);
    assert_eq!(wants(&mut follow, &view, &mut out), Some((LineId(9), 1)));
    follow.history(&answer(LineId(9), lines(9, 10)), &mut out);
    assert_eq!(out, "line 9\n");
    // What was still on the other's comes at the end.
    assert_eq!(finished(&mut follow, &view), "$\nmade\n$\n");
    assert_eq!(follow.missed(), 0);
}

/// Lines that were not had yet come before those that are on the screen, or are counted.
#[test]
fn what_left_a_screen_unseen_comes_before_what_is_on_it() {
    let mut view = view(10, 2);
    view.tracks = (0..2).map(|id| terminal_info(TrackId(id))).collect();
    let mut follow = Follow::from(LineId(0));
    let mut out = String::new();
    view.screen.as_mut().unwrap().lines.top = LineId(3);
    assert_eq!(wants(&mut follow, &view, &mut out), Some((LineId(0), 3)));
    view.track.0 = TrackId(1);
    view.version += 1;
    assert_eq!(wants(&mut follow, &view, &mut out), None);
    assert_eq!(out, "");
    assert_eq!(finished(&mut follow, &view), "row 0\nrow 1\nrow 0\nrow 1\n");
    assert_eq!(follow.missed(), 3);
}

#[test]
fn a_line_that_goes_on_in_the_next_record_is_one_line() {
    let mut view = view(10, 3);
    let mut follow = Follow::from(LineId(0));
    let mut out = String::new();
    view.screen.as_mut().unwrap().lines.top = LineId(2);
    assert_eq!(wants(&mut follow, &view, &mut out), Some((LineId(0), 2)));
    let mut both = lines(0, 2);
    both[0].continued = true;
    follow.history(&answer(LineId(0), both), &mut out);
    assert_eq!(out, "line 0line 1\n");
}

#[test]
fn lines_that_are_gone_are_counted() {
    let mut view = view(10, 3);
    let mut follow = Follow::from(LineId(0));
    view.screen.as_mut().unwrap().lines.top = LineId(10);
    let mut out = String::new();
    wants(&mut follow, &view, &mut out);
    follow.history(&answer(LineId(0), lines(4, 6)), &mut out);
    assert_eq!((out.as_str(), follow.missed()), ("line 4\nline 5\n", 4));
    assert_eq!(wants(&mut follow, &view, &mut out), Some((LineId(6), 4)));
    follow.history(&answer(LineId(6), vec![]), &mut out);
    assert_eq!(follow.missed(), 8);
    assert_eq!(wants(&mut follow, &view, &mut out), None);
}

#[test]
fn each_terminal_has_a_place_of_its_own() {
    let mut view = view(10, 3);
    view.tracks = (0..2).map(|id| terminal_info(TrackId(id))).collect();
    let mut follow = Follow::new();
    let show = |view: &mut View, track: u32, top: u64| {
        view.track.0 = TrackId(track);
        view.version += 1;
        let screen = view.screen.as_mut().unwrap();
        *screen = Screen::blank(Size::clamped(10, 3));
        screen.lines.top = LineId(top);
    };
    let mut out = String::new();
    show(&mut view, 0, 100);
    assert_eq!(wants(&mut follow, &view, &mut out), None);
    show(&mut view, 0, 103);
    assert_eq!(wants(&mut follow, &view, &mut out), Some((LineId(100), 3)));
    // The answer does not come any more: another one is shown.
    show(&mut view, 1, 5);
    assert_eq!(wants(&mut follow, &view, &mut out), None);
    assert!(!follow.is_asking());
    show(&mut view, 1, 6);
    assert_eq!(wants(&mut follow, &view, &mut out), Some((LineId(5), 1)));
    follow.history(&answer(LineId(5), lines(5, 6)), &mut out);
    show(&mut view, 0, 104);
    assert_eq!(wants(&mut follow, &view, &mut out), Some((LineId(100), 4)));
    follow.history(&answer(LineId(100), lines(100, 104)), &mut out);
    assert_eq!(out, "line 5\nline 100\nline 101\nline 102\nline 103\n");
    show(&mut view, 1, 6);
    assert_eq!(wants(&mut follow, &view, &mut out), None);
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
            view.version += 1;
            view.screen.as_mut().unwrap().lines.top = LineId(top);
            let Some((from, count)) = wants(&mut follow, &view, &mut out) else { continue };
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
        while let Some((from, count)) = wants(&mut follow, &view, &mut out) {
            follow.history(&answer(from, lines(from.0, from.0 + u64::from(count))), &mut out);
        }
        let screen = view.screen.as_mut().unwrap();
        write(screen, 0, "on screen");
        write(screen, 1, "         ");
        view.version += 1;
        follow.see(&view, &mut out);
        follow.finish(&mut out);
        let mut expected: String = (0..top).map(|id| format!("line {id}\n")).collect();
        expected.push_str("on screen\n");
        prop_assert_eq!(out, expected);
        prop_assert_eq!(follow.missed(), 0);
    }
}
