//! History by range, and the line where sharing began.

use bytes::BytesMut;
use pillion_proto::{HistoryRequest, JoinId};
use pillion_screen::LineId;

use super::harness::*;
use crate::{
    Command, HistoryLines, HostInput, HostOutput, Reply, Stream, ViewerConfig, ViewerEvent,
    ViewerInput, verbs,
};

fn prints_lines(world: &mut World, range: std::ops::Range<u32>) {
    for start in range.clone().step_by(100) {
        let text: String = (start..range.end.min(start + 100))
            .map(|line| format!("line {line}\r\n"))
            .collect();
        world.prints(&text);
        world.advance_ms(20);
    }
}

fn wants(world: &mut World, seat: usize, from: u64, count: u32) {
    let from = LineId(from);
    world.viewer(seat, ViewerInput::WantHistory { from, count });
}

fn answers(world: &World, seat: usize) -> usize {
    let answered = |event: &&ViewerEvent| matches!(event, ViewerEvent::History(_));
    world.seats[seat].events.iter().filter(answered).count()
}

fn asks(world: &mut World, seat: usize, from: u64, count: u32) -> HistoryLines {
    wants(world, seat, from, count);
    world.advance_ms(100);
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
    let Ok(Reply::Ticket(ticket)) =
        world.command(Command::Share(verbs::Share { from_start: true }))
    else {
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
    world.command(Command::Stop(verbs::Stop {})).unwrap();
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
    assert_eq!(answers(&world, anna), 16);
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
    let mut resets = 0;
    for id in 0..1000 {
        let input = HostInput::Received {
            conn,
            stream: Stream::History { id: 500 + id },
            bytes: request.clone(),
        };
        world.host.handle(world.now, input);
        while let Some(output) = world.host.poll() {
            assert!(!matches!(output, HostOutput::ReadHistory(_)));
            resets += usize::from(matches!(output, HostOutput::Reset { .. }));
        }
    }
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

/// A connection that no viewer drives, of somebody who was let in; the id of its next history stream.
struct Reader {
    seat: usize,
    next: u64,
}

impl Reader {
    fn joins(world: &mut World, seed: u8) -> Reader {
        let run = u8::try_from(world.seats.len()).unwrap();
        let config = world.viewer_config(seed, "reader");
        let join = JoinId([run; 16]);
        let seat = world.join_with(ViewerConfig { join, ..config });
        Reader { seat, next: 100 }
    }

    fn asks(&mut self, world: &mut World, from: u64, count: u32) {
        let mut bytes = BytesMut::new();
        HistoryRequest {
            track: TERMINAL,
            from,
            count,
        }
        .encode(&mut bytes);
        let conn = world.seats[self.seat].conn.unwrap();
        let (stream, bytes) = (Stream::History { id: self.next }, bytes.freeze());
        self.next += 1;
        world.host(HostInput::Received {
            conn,
            stream,
            bytes,
        });
    }
}

/// Lines that hardly compress: about 230 bytes each.
fn prints_noise(world: &mut World, lines: u64) {
    let mut state = 1u64;
    for _ in 0..lines {
        let mut line = String::new();
        for _ in 0..230 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            line.push(char::from(b'!' + ((state >> 33) % 90) as u8));
        }
        world.prints(&(line + "\r\n"));
    }
    world.advance_ms(50);
}

#[test]
fn a_key_is_echoed_before_anything_is_done_about_history() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.grant_edit("anna").unwrap();
    prints_lines(&mut world, 0..2000);
    world.packer = Some(Vec::new());
    let mut readers: Vec<Reader> = (0..32).map(|n| Reader::joins(&mut world, 20 + n)).collect();
    for reader in &mut readers {
        (0..4).for_each(|n| reader.asks(&mut world, n * 100, 100));
    }
    assert!(world.packer.as_ref().unwrap().is_empty());
    world.types(anna, "x");
    world.assert_same_screen(anna);
    assert!(world.packer.as_ref().unwrap().is_empty());
    // Then a little at a time, whatever is wanted.
    world.advance_ms(500);
    assert_eq!(world.packer.as_ref().unwrap().len(), 2);
}

#[test]
fn what_several_want_is_packed_once() {
    let mut world = World::shared();
    prints_lines(&mut world, 0..3000);
    let readers: Vec<usize> = (0..8).map(|n| world.join(20 + n, "reader")).collect();
    for seat in &readers {
        wants(&mut world, *seat, 1000, 256);
    }
    world.advance_ms(1000);
    for seat in &readers {
        assert_eq!(answers(&world, *seat), 1);
    }
    assert_eq!(world.packed, [(LineId(1000), 256)]);
    // What may still change is made for each: it may have changed.
    let late = asks(&mut world, readers[0], 2900, 10);
    assert!(late.settled < LineId(2900));
    asks(&mut world, readers[1], 2900, 10);
    assert_eq!(world.packed.len(), 3);
}

#[test]
fn nothing_is_packed_for_who_has_left() {
    let mut world = World::shared();
    prints_lines(&mut world, 0..3000);
    world.packer = Some(Vec::new());
    let readers: Vec<usize> = (0..8).map(|n| world.join(20 + n, "reader")).collect();
    for (n, seat) in readers.iter().enumerate() {
        wants(&mut world, *seat, n as u64 * 100, 100);
    }
    world.advance_ms(10);
    for seat in &readers[..7] {
        world.seats[*seat].online = false;
        world.cut(*seat);
    }
    for job in world.packer.take().unwrap() {
        world.pack(&job);
    }
    world.settle();
    world.advance_ms(1000);
    assert_eq!(answers(&world, readers[7]), 1);
    // Two were being made, and the one that is still wanted if it was not among them.
    assert!(world.packed.len() <= 3, "{:?}", world.packed);
}

#[test]
fn bytes_are_shared_by_person_and_not_by_request_or_connection() {
    let mut world = World::shared();
    prints_noise(&mut world, 8000);
    let mut greedy: Vec<Reader> = (0..4).map(|_| Reader::joins(&mut world, 20)).collect();
    let mut modest = Reader::joins(&mut world, 21);
    let read = |world: &World, reader: &Reader| world.seats[reader.seat].history_bytes;
    let mut from = 0;
    for _ in 0..50 {
        for reader in &mut greedy {
            (0..2).for_each(|_| reader.asks(&mut world, from % 6000, 1000));
            from += 997;
        }
        for _ in 0..2 {
            from += 997;
            modest.asks(&mut world, from % 6000, 1000);
        }
        world.advance_ms(100);
    }
    let greedy: usize = greedy.iter().map(|reader| read(&world, reader)).sum();
    let modest = read(&world, &modest);
    // 4 MiB a second for five seconds, were there enough to say.
    assert!(greedy + modest > 4 << 20, "{greedy} and {modest}");
    assert!(greedy + modest < 22 << 20, "{greedy} and {modest}");
    assert!(greedy < modest * 5 / 4, "{greedy} against {modest}");
}

#[test]
fn who_does_not_read_holds_little_and_holds_up_nobody() {
    let mut world = World::shared();
    prints_noise(&mut world, 8000);
    let mut silent: Vec<Reader> = (0..40).map(|n| Reader::joins(&mut world, 20 + n)).collect();
    for reader in &mut silent {
        world.seats[reader.seat].ignores_history = true;
    }
    let mut most = 0;
    let good = world.join(10, "anna");
    for second in 0..30 {
        for (n, reader) in silent.iter_mut().enumerate() {
            let n = n as u64;
            (0..4).for_each(|part| reader.asks(&mut world, n * 100 + part * 7 + second, 1000));
        }
        if second % 5 == 4 {
            wants(&mut world, good, second * 200, 100);
        }
        world.advance_ms(1000);
        let held = |reader: &Reader| world.waiting_on_history(reader.seat);
        most = most.max(silent.iter().map(held).sum());
    }
    assert!(most > 256 * 1024, "{most} bytes held");
    // And what was being made when the last of it was handed over.
    assert!(most <= 1024 * 1024, "{most} bytes held");
    world.advance_ms(10_000);
    assert_eq!(answers(&world, good), 6);
}

#[test]
fn what_watchers_who_do_not_read_hold_is_bounded_in_all_and_for_each() {
    let mut world = World::shared();
    prints_noise(&mut world, 8000);
    // One person with as many connections as one may have, and many with one.
    let mut readers: Vec<Reader> = (0..16).map(|_| Reader::joins(&mut world, 20)).collect();
    readers.extend((0..134).map(|n| Reader::joins(&mut world, 21 + n)));
    assert_eq!(readers.len(), 150);
    for reader in &readers {
        world.seats[reader.seat].ignores_history = true;
    }
    let held = |world: &World, readers: &[Reader]| -> usize {
        let each = readers
            .iter()
            .map(|reader| world.waiting_on_history(reader.seat));
        each.sum()
    };
    let (mut of_all, mut of_one, mut of_another) = (0, 0, 0);
    for second in 0..20 {
        for (n, reader) in readers.iter_mut().enumerate() {
            let n = n as u64;
            (0..4).for_each(|part| reader.asks(&mut world, n * 40 + part * 7 + second, 1000));
        }
        for _ in 0..10 {
            world.advance_ms(100);
            of_all = of_all.max(held(&world, &readers));
            of_one = of_one.max(held(&world, &readers[..16]));
            let others = readers[16..].chunks(1).map(|one| held(&world, one));
            of_another = of_another.max(others.max().unwrap());
        }
    }
    // 512 KiB, and two replies of up to 256 KiB that were being made.
    assert!((256 << 10..=1 << 20).contains(&of_all), "{of_all} bytes");
    // 128 KiB, and one of those; sixteen connections are worth no more than one.
    assert!(of_one <= 384 << 10, "{of_one} bytes of one person's");
    assert!(of_another > 0 && of_another <= 384 << 10, "{of_another}");
}

#[test]
fn a_reply_that_was_never_made_is_asked_for_again() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    prints_lines(&mut world, 0..2000);
    world.packer = Some(Vec::new());
    wants(&mut world, anna, 100, 50);
    world.advance_ms(100);
    assert_eq!(world.packer.replace(Vec::new()).unwrap().len(), 1);
    world.advance_ms(11_000);
    let again = world.packer.take().unwrap();
    assert_eq!(again.len(), 1);
    world.pack(&again[0]);
    world.settle();
    world.advance_ms(100);
    assert_eq!(answers(&world, anna), 1);
}

#[test]
fn a_reply_made_before_sharing_began_anew_shows_nothing_of_before() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    prints_lines(&mut world, 0..2000);
    world.packer = Some(Vec::new());
    wants(&mut world, anna, 100, 50);
    world.advance_ms(100);
    let job = world.packer.take().unwrap().remove(0);
    world.command(crate::Command::Stop(verbs::Stop {})).unwrap();
    world.share();
    world.pack(&job);
    world.settle();
    world.advance_ms(1000);
    assert_eq!(answers(&world, anna), 0);
    let bert = world.join(11, "bert");
    assert!(asks(&mut world, bert, 100, 50).lines.is_empty());
}
