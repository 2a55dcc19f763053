//! History by range, and the line where sharing began.

use bytes::BytesMut;
use pillion_proto::HistoryRequest;
use pillion_screen::LineId;

use super::harness::*;
use crate::{Command, Done, HistoryLines, HostInput, HostOutput, Stream, ViewerEvent, ViewerInput};

fn prints_lines(world: &mut World, range: std::ops::Range<u32>) {
    for start in range.clone().step_by(100) {
        let text: String = (start..range.end.min(start + 100))
            .map(|line| format!("line {line}\r\n"))
            .collect();
        world.prints(&text);
        world.advance_ms(20);
    }
}

fn asks(world: &mut World, seat: usize, from: u64, count: u32) -> HistoryLines {
    world.viewer(
        seat,
        ViewerInput::WantHistory {
            from: LineId(from),
            count,
        },
    );
    let found = world.seats[seat]
        .events
        .iter()
        .rev()
        .find_map(|event| match event {
            ViewerEvent::History(lines) if lines.asked == LineId(from) => Some(lines.clone()),
            _ => None,
        });
    found.expect("answered")
}

#[test]
fn what_scrolled_away_is_fetched_from_log_and_margin() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    prints_lines(&mut world, 0..3000);
    let reply = asks(&mut world, anna, 1000, 10);
    let text: Vec<String> = reply.lines.iter().map(|line| line.text()).collect();
    assert_eq!(
        text,
        (1000..1010)
            .map(|line| format!("line {line}"))
            .collect::<Vec<_>>()
    );
    assert!(reply.settled > LineId(2000) && reply.settled < LineId(3000));
    // Across the border between what is final and what is not.
    let from = reply.settled.0 - 5;
    let reply = asks(&mut world, anna, from, 10);
    let ids: Vec<u64> = reply.lines.iter().map(|line| line.id.0).collect();
    assert_eq!(ids, (from..from + 10).collect::<Vec<_>>());
    assert_eq!(reply.lines[9].text(), format!("line {}", from + 9));
}

#[test]
fn what_is_on_the_screen_or_beyond_is_no_history() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    prints_lines(&mut world, 0..100);
    let top = world.seats[anna]
        .viewer
        .view()
        .screen
        .as_ref()
        .unwrap()
        .lines
        .top;
    let reply = asks(&mut world, anna, top.0 - 2, 50);
    assert_eq!(reply.lines.len(), 2);
    assert!(asks(&mut world, anna, 1_000_000, 50).lines.is_empty());
    assert!(asks(&mut world, anna, u64::MAX, 50).lines.is_empty());
    assert!(asks(&mut world, anna, 0, 0).lines.is_empty());
}

#[test]
fn nothing_from_before_sharing_began_is_ever_given() {
    let mut world = World::unshared(config());
    prints_lines(&mut world, 0..1500);
    world.share();
    let anna = world.join(10, "anna");
    let oldest = world.seats[anna]
        .viewer
        .view()
        .screen
        .as_ref()
        .unwrap()
        .lines
        .oldest;
    assert!(oldest > LineId(1400), "{oldest:?}");
    prints_lines(&mut world, 1500..3000);
    for from in [0, 100, oldest.0 - 1, oldest.0] {
        let reply = asks(&mut world, anna, from, 10_000);
        let lines = &reply.lines;
        assert!(lines.iter().all(|line| line.id >= oldest), "{from}");
        if from + 10_000 > oldest.0 {
            assert_eq!(lines[0].id, oldest);
        }
    }
}

#[test]
fn sharing_from_the_start_gives_everything() {
    let mut world = World::unshared(config());
    prints_lines(&mut world, 0..1500);
    let Ok(Done::Ticket(ticket)) = world.command(Command::Share { from_start: true }) else {
        panic!()
    };
    world.ticket = ticket;
    let anna = world.join(10, "anna");
    assert_eq!(asks(&mut world, anna, 0, 5).lines[0].text(), "line 0");
}

#[test]
fn a_pause_in_sharing_stays_hidden() {
    let mut world = World::shared();
    prints_lines(&mut world, 0..100);
    world.command(Command::Stop).unwrap();
    world.prints("secret of the pause\r\n");
    prints_lines(&mut world, 100..200);
    world.share();
    let anna = world.join(10, "anna");
    prints_lines(&mut world, 200..2000);
    let reply = asks(&mut world, anna, 0, 10_000);
    assert!(!reply.lines.is_empty());
    assert!(
        reply
            .lines
            .iter()
            .all(|line| !line.text().contains("secret"))
    );
}

#[test]
fn more_requests_than_may_be_under_way_wait_their_turn() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    prints_lines(&mut world, 0..2000);
    let conn = world.seats[anna].conn;
    for from in 0..16 {
        world.seats[anna].viewer.handle(
            world.now,
            ViewerInput::WantHistory {
                from: LineId(from * 50),
                count: 50,
            },
        );
    }
    world.advance_ms(5000);
    let answered = |event: &&ViewerEvent| matches!(event, ViewerEvent::History(_));
    assert_eq!(world.seats[anna].events.iter().filter(answered).count(), 16);
    assert_eq!(world.seats[anna].conn, conn);
}

#[test]
fn a_flood_of_requests_is_cut_off_and_then_put_out() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    prints_lines(&mut world, 0..2000);
    let conn = world.seats[anna].conn.unwrap();
    let mut request = BytesMut::new();
    HistoryRequest {
        track: TERMINAL,
        from: 0,
        count: 100,
    }
    .encode(&mut request);
    let request = request.freeze();
    let (mut reads, mut resets) = (0, 0);
    for id in 0..1000 {
        let input = HostInput::Received {
            conn,
            stream: Stream::History { id: 500 + id },
            bytes: request.clone(),
        };
        world.host.handle(world.now, input);
        while let Some(output) = world.host.poll() {
            reads += usize::from(matches!(output, HostOutput::ReadHistory { .. }));
            resets += usize::from(matches!(output, HostOutput::Reset { .. }));
        }
    }
    assert_eq!(reads, 4);
    assert!(resets > 10 && resets < 60, "{resets}");
    world.settle();
}

#[test]
fn a_long_reply_comes_in_part_and_the_rest_is_asked_for_again() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    for _ in 0..200 {
        world.prints(&("wide ".repeat(16) + "\r\n").repeat(50));
        world.advance_ms(15);
    }
    let reply = asks(&mut world, anna, 0, 10_000);
    assert!(
        reply.lines.len() > 1000 && reply.lines.len() < 9_900,
        "{}",
        reply.lines.len()
    );
    let next = reply.lines.last().unwrap().id.0 + 1;
    assert_eq!(asks(&mut world, anna, next, 10).lines[0].id, LineId(next));
}

#[test]
fn history_asked_for_while_the_connection_is_gone_comes_when_it_is_back() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    prints_lines(&mut world, 0..1000);
    world.seats[anna].online = false;
    world.cut(anna);
    world.viewer(
        anna,
        ViewerInput::WantHistory {
            from: LineId(3),
            count: 4,
        },
    );
    world.seats[anna].online = true;
    world.advance_ms(2000);
    let answered = |event: &ViewerEvent| matches!(event, ViewerEvent::History(lines) if lines.lines.len() == 4);
    assert!(world.seats[anna].events.iter().any(answered));
}
