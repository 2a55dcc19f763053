//! Several tracks: who sees which, where input goes, and what is left when one ends.

use bytes::{Bytes, BytesMut};
use pillion_proto::{
    Entry, FromHost, FromViewer, Intent, IntentMsg, JoinId, Right, Rights, Subscribe, TrackId,
    TrackKind, TrackState, limits::MAX_TRACKS,
};
use pillion_screen::{LineId, Size};

use super::harness::*;
use crate::{
    Actor, Command, CommandError, HostInput, HostNotice, HostOutput, LogEntry, Phase, Reply,
    Stream, ViewerEvent, ViewerInput, ViewerNotice, verbs,
};

fn told_tracks(world: &World, seat: usize) -> Vec<u32> {
    let tracks = &world.seats[seat].viewer.view().tracks;
    tracks.iter().map(|info| info.id.0).collect()
}

fn looks_at(world: &World, seat: usize) -> TrackId {
    world.seats[seat].viewer.view().track.0
}

/// A session with a second terminal, and somebody who watches.
fn two_terminals() -> (World, TrackId, usize) {
    let mut world = World::shared();
    world.prints("on the first");
    let second = world.opens("second");
    world.prints_on(second, "on the second");
    let anna = world.join(10, "anna");
    (world, second, anna)
}

#[test]
fn a_terminal_is_opened_and_told_to_everybody() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    assert_eq!(told_tracks(&world, anna), [0]);
    let second = world.opens("logs");
    assert_eq!(second, TrackId(1));
    world.advance_ms(100);
    let info = &world.seats[anna].viewer.view().tracks[1];
    assert_eq!((info.id, info.kind), (second, TrackKind::Terminal));
    assert_eq!(
        (info.title.as_str(), info.state),
        ("logs", TrackState::Live)
    );
    assert_eq!((info.cols, info.rows), (80, 24));
    let logged = world.logged();
    let mut opened = logged.iter().filter(|event| event["event"] == "opened");
    let opened = opened.next().unwrap();
    assert_eq!(
        (&opened["track"], &opened["by"]),
        (&1.into(), &"host".into())
    );
}

#[test]
fn who_comes_later_sees_what_the_host_looks_at_and_knows_the_rest() {
    let (mut world, second, anna) = two_terminals();
    assert_eq!(told_tracks(&world, anna), [0, 1]);
    assert!(world.seats[anna].text().contains("on the first"));
    world.command(verbs::ShowTrack { track: second }).unwrap();
    let bert = world.join(11, "bert");
    assert_eq!(looks_at(&world, bert), second);
    world.assert_same_screen(bert);
    assert!(world.seats[bert].text().contains("on the second"));
}

#[test]
fn a_viewer_follows_the_host_until_it_chooses_and_again_when_it_wants() {
    let (mut world, second, anna) = two_terminals();
    world.command(verbs::ShowTrack { track: second }).unwrap();
    assert_eq!(world.shows, [second]);
    assert_eq!(looks_at(&world, anna), second);
    world.assert_same_screen(anna);

    world.looks(anna, &[TERMINAL]);
    let view = world.seats[anna].viewer.view();
    assert_eq!((view.follows, view.chosen), (false, Some(TERMINAL)));
    assert_eq!(looks_at(&world, anna), TERMINAL);
    world.prints_on(second, "\r\nunseen");
    world.prints("\r\nseen");
    world.assert_same_screen(anna);
    assert!(world.seats[anna].text().contains("seen"));

    world.looks(anna, &[]);
    let view = world.seats[anna].viewer.view();
    assert_eq!((view.follows, view.chosen), (true, None));
    assert_eq!(looks_at(&world, anna), second);
    world.assert_same_screen(anna);
    assert!(world.seats[anna].text().contains("unseen"));
}

#[test]
fn of_what_a_viewer_does_not_look_at_it_hears_title_and_activity_only() {
    let (mut world, second, anna) = two_terminals();
    world.advance_ms(3_000);
    let before = world.seats[anna].track_bytes;
    for number in 0..50 {
        world.prints_on(
            second,
            &format!("line {number}\r\n\x1b]2;title {number}\x07"),
        );
        world.advance_ms(100);
    }
    world.advance_ms(2_000);
    assert_eq!(
        world.seats[anna].track_bytes, before,
        "frames of the other track"
    );
    let view = world.seats[anna].viewer.view();
    assert!(view.active.contains(&second));
    // The title that was given stays.
    assert_eq!(view.tracks[1].title.as_str(), "second");
    assert!(
        world.control_messages(anna) < 40,
        "{}",
        world.control_messages(anna)
    );
    world.looks(anna, &[second]);
    assert!(world.seats[anna].viewer.view().active.is_empty());
    world.assert_same_screen(anna);
}

#[test]
fn without_a_title_a_track_is_called_what_its_program_says() {
    let mut world = World::shared();
    let second = world.opens("");
    let anna = world.join(10, "anna");
    assert_eq!(
        world.seats[anna].viewer.view().tracks[1].title.as_str(),
        "shell"
    );
    world.prints_on(second, "\x1b]2;make all\x07");
    world.advance_ms(500);
    assert_eq!(
        world.seats[anna].viewer.view().tracks[1].title.as_str(),
        "make all"
    );
}

#[test]
fn several_tracks_are_looked_at_at_once() {
    let (mut world, second, anna) = two_terminals();
    let third = world.opens("third");
    world.looks(anna, &[second, third]);
    world.prints_on(third, "on the third");
    world.prints_on(second, "\r\nmore");
    let viewer = &world.seats[anna].viewer;
    assert_eq!(viewer.view().track.0, second);
    let shown = viewer.screen(third).unwrap();
    assert_eq!(shown, world.host.screen_for_tests(third));
    assert!(shown.text().contains("on the third"));
    world.assert_same_screen(anna);
}

#[test]
fn keys_go_to_the_terminal_that_is_looked_at() {
    let (mut world, second, anna) = two_terminals();
    world.grant_edit("anna").unwrap();
    world.types(anna, "one");
    world.looks(anna, &[second]);
    world.types(anna, "two");
    assert_eq!(world.program.input, b"one");
    assert_eq!(world.others[&second].input, b"two");
    world.advance_ms(200);
    assert_eq!(world.seats[anna].viewer.view().unconfirmed, 0);
    world.assert_same_screen(anna);
}

#[test]
fn a_program_that_does_not_read_holds_up_nobody_who_types_elsewhere() {
    let (mut world, second, anna) = two_terminals();
    world.grant_edit("anna").unwrap();
    world.program.deaf = true;
    let paste = "x".repeat(400 * 1024);
    world.types(anna, &paste);
    world.looks(anna, &[second]);
    world.types(anna, "ls\r");
    world.advance_ms(100);
    assert_eq!(world.others[&second].input, b"ls\r");
    assert!(world.seats[anna].viewer.takes_keys());
    world.program_reads();
    world.advance_ms(100);
    assert_eq!(world.program.input.len(), paste.len());
    assert_eq!(world.seats[anna].viewer.view().unconfirmed, 0);
    assert!(
        world.seats[anna]
            .said()
            .iter()
            .all(|said| !matches!(said, ViewerNotice::Dropped { .. }))
    );
}

#[test]
fn each_track_counts_its_own_echoes() {
    let (mut world, second, anna) = two_terminals();
    world.grant_edit("anna").unwrap();
    world.looks(anna, &[second]);
    world.types(anna, "a");
    world.types(anna, "b");
    world.advance_ms(300);
    assert_eq!(world.host.echoed_for_tests(second), 2);
    assert_eq!(world.host.echoed_for_tests(TERMINAL), 0);
}

#[test]
fn one_program_ends_and_the_session_goes_on() {
    let (mut world, second, anna) = two_terminals();
    world.looks(anna, &[second]);
    world.exits_on(second, 3);
    world.advance_ms(100);
    let view = world.seats[anna].viewer.view();
    assert_eq!(view.phase, Phase::Live);
    assert_eq!(view.track, (second, TrackState::Exited(3)));
    assert_eq!(world.ended, None);
    // Its last screen can still be looked at, also by somebody who comes now.
    let bert = world.join(11, "bert");
    world.looks(bert, &[second]);
    assert!(world.seats[bert].text().contains("on the second"));
    world.prints("\r\ngoes on");
    world.looks(anna, &[]);
    assert!(world.seats[anna].text().contains("goes on"));
}

#[test]
fn the_session_ends_with_its_last_program_by_the_first_ones_code() {
    let (mut world, second, anna) = two_terminals();
    world.exits(7);
    assert_eq!(world.ended, None);
    // The host's terminal goes to the other one, and who follows goes along.
    assert_eq!(world.shows, [second]);
    assert_eq!(looks_at(&world, anna), second);
    assert!(world.seats[anna].ended().is_none());
    world.exits_on(second, 1);
    assert_eq!(world.ended, Some(TrackState::Exited(7)));
    let (text, regular) = world.seats[anna].ended().unwrap();
    assert!(regular && text.contains("Exited(7)"), "{text}");
    assert!(!world.listening);
    assert!(world.command(verbs::Share { from_start: false }).is_err());
    let new = verbs::OpenTerminal {
        title: String::new(),
        command: vec![],
    };
    assert!(world.command(new).is_err());
}

#[test]
fn the_host_is_told_what_ended_and_what_is_shown_instead() {
    let (mut world, second, _) = two_terminals();
    let third = world.opens("third");
    let ended = |track, title: &str, code, shows| HostNotice::TerminalEnded {
        track,
        title: title.to_owned(),
        state: TrackState::Exited(code),
        shows,
    };
    world.exits_on(third, 3);
    assert_eq!(world.notices.last(), Some(&ended(third, "third", 3, None)));
    world.command(verbs::ShowTrack { track: second }).unwrap();
    // One that ended is not shown: there is nothing to type at.
    let refused = world.command(verbs::ShowTrack { track: third });
    assert_eq!(refused, Err(CommandError::TrackEnded(third)));
    world.exits_on(second, 0);
    let title = world.host.terminals()[0].title.clone();
    let shows = Some((TERMINAL, title));
    assert_eq!(
        world.notices.last(),
        Some(&ended(second, "second", 0, shows))
    );
    let listed: Vec<(u32, bool)> = world
        .host
        .terminals()
        .iter()
        .map(|one| (one.id.0, one.shown))
        .collect();
    assert_eq!(listed, [(0, true), (1, false), (2, false)]);
}

#[test]
fn a_terminal_that_is_being_opened_keeps_the_session() {
    let mut world = World::shared();
    let command = vec!["later".to_owned()];
    let title = String::new();
    let request = world.ask(Actor::Tty, verbs::OpenTerminal { title, command });
    world.exits(0);
    assert_eq!(world.ended, None);
    let [track] = world.spawning[..] else {
        panic!()
    };
    world.host(HostInput::SpawnFailed {
        track,
        why: "no such file".into(),
    });
    assert_eq!(
        world.done[&request],
        Err(CommandError::NotStarted("no such file".into()))
    );
    assert_eq!(world.ended, Some(TrackState::Exited(0)));
}

#[test]
fn what_was_typed_into_a_program_that_ends_is_said_to_be_lost_and_nothing_follows() {
    let (mut world, second, anna) = two_terminals();
    world.grant_edit("anna").unwrap();
    world.looks(anna, &[second]);
    world.program_of(second).deaf = true;
    world.types(anna, "unread");
    world.exits_on(second, 0);
    world.advance_ms(100);
    assert_eq!(world.seats[anna].viewer.view().unconfirmed, 0);
    assert!(world.seats[anna].was_told("Some(ProgramEnded)"));
    let before = world.others[&second].input.len();
    world.types(anna, "more");
    assert_eq!(world.others[&second].input.len(), before);
    assert!(world.seats[anna].was_told("NotTyped(ProgramEnded)"));
    // Numbers go on.
    world.looks(anna, &[]);
    world.types(anna, "ls");
    assert!(world.program.input.ends_with(b"ls"));
}

#[test]
fn a_subscription_to_what_is_not_there_is_answered() {
    let (mut world, second, anna) = two_terminals();
    world.looks(anna, &[TrackId(77)]);
    assert!(world.seats[anna].was_told("LookedAtGone"));
    assert!(world.seats[anna].viewer.view().follows);
    assert_eq!(world.seats[anna].phase(), &Phase::Live);
    // One that ends at that moment is still there, as it ended.
    world.exits_on(second, 0);
    world.looks(anna, &[second]);
    assert_eq!(looks_at(&world, anna), second);
    assert!(world.seats[anna].text().contains("on the second"));
}

#[test]
fn numbers_are_never_used_again_and_what_is_kept_is_bounded() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    world.log.clear();
    for number in 1..=10_000 {
        let track = world.opens("again");
        assert_eq!(track.0, number);
        world.exits_on(track, 0);
        world.log.clear();
        world.others.clear();
    }
    world.advance_ms(3_000);
    let told = told_tracks(&world, anna);
    assert_eq!(
        told.len(),
        9,
        "the first, and those that ended last: {told:?}"
    );
    let Ok(Reply::ListTracks(tracks)) = world.command(verbs::ListTracks {}) else {
        panic!()
    };
    assert_eq!(tracks.len(), 1 + 8 + 1024);
    assert_eq!(world.seats[anna].phase(), &Phase::Live);
}

#[test]
fn so_many_are_live_at_once_and_no_more() {
    let mut world = World::shared();
    for _ in 1..MAX_TRACKS {
        world.opens("");
    }
    let new = |world: &mut World| {
        let (title, command) = (String::new(), Vec::new());
        world.command(verbs::OpenTerminal { title, command })
    };
    let max = MAX_TRACKS;
    assert_eq!(new(&mut world), Err(CommandError::TooManyTracks { max }));
    world.exits_on(TrackId(5), 0);
    assert_eq!(
        new(&mut world),
        Ok(Reply::OpenTerminal(TrackId(MAX_TRACKS as u32)))
    );
}

#[test]
fn closing_ends_the_program_and_then_forgets_it() {
    let (mut world, second, anna) = two_terminals();
    world.command(verbs::CloseTrack { track: second }).unwrap();
    world.advance_ms(100);
    let view = world.seats[anna].viewer.view();
    assert_eq!(view.tracks[1].state, TrackState::Killed(1));
    world.command(verbs::CloseTrack { track: second }).unwrap();
    world.advance_ms(300);
    assert_eq!(told_tracks(&world, anna), [0]);
    let closed = world.command(verbs::CloseTrack { track: second });
    assert_eq!(closed, Err(CommandError::NoSuchTrack(second)));
}

#[test]
fn a_command_that_does_not_start_opens_nothing() {
    let mut world = World::shared();
    let (title, command) = ("x".to_owned(), vec!["fails".to_owned()]);
    let Err(CommandError::NotStarted(text)) = world.command(verbs::OpenTerminal { title, command })
    else {
        panic!()
    };
    assert!(text.contains("no such file"), "{text}");
    let anna = world.join(10, "anna");
    assert_eq!(told_tracks(&world, anna), [0]);
    assert_eq!(world.opens(""), TrackId(2), "the number is gone");
}

fn open(title: &str) -> ViewerInput {
    ViewerInput::OpenTerminal {
        title: title.to_owned(),
    }
}

fn may_open(world: &mut World, name: &str) {
    let right = Rights::VIEW.with(Right::Open);
    let (target, ttl_ms) = (named(name), None);
    world
        .command(verbs::Grant {
            target,
            rights: right,
            ttl_ms,
        })
        .unwrap();
}

#[test]
fn a_viewer_with_the_right_opens_a_terminal_and_closes_its_own() {
    let (mut world, second, anna) = two_terminals();
    world.viewer(anna, open("mine"));
    assert_eq!(world.others.len(), 1, "not without the right");
    may_open(&mut world, "anna");
    world.viewer(anna, open("mine"));
    world.advance_ms(300);
    let mine = TrackId(2);
    let info = &world.seats[anna].viewer.view().tracks[2];
    assert_eq!((info.id, info.title.as_str()), (mine, "mine"));
    assert_eq!(Some(info.opener), world.seats[anna].viewer.view().you);
    assert_eq!(world.seats[anna].viewer.view().unconfirmed, 0);
    let said = |notice: &HostNotice| matches!(notice, HostNotice::TerminalOpened { name, .. } if name == "anna");
    assert!(world.notices.iter().any(said));

    world.viewer(anna, ViewerInput::CloseTrack(second));
    assert!(world.seats[anna].was_told("NotTheirs"));
    world.viewer(anna, ViewerInput::CloseTrack(mine));
    world.advance_ms(300);
    let tracks = &world.seats[anna].viewer.view().tracks;
    assert_eq!(tracks[1].state, TrackState::Live);
    assert_eq!(tracks[2].state, TrackState::Killed(1));
    assert_eq!(world.seats[anna].viewer.view().unconfirmed, 0);
}

#[test]
fn to_open_is_not_to_type_and_to_type_is_not_to_open() {
    let (mut world, _, anna) = two_terminals();
    let bert = world.join(11, "bert");
    may_open(&mut world, "anna");
    world.grant_edit("bert").unwrap();
    let tenure =
        |world: &World, seat: usize| world.host.tenure_for_tests(world.seats[seat].conn.unwrap());
    let send = |world: &mut World, seat: usize, join: u8, what: Intent| {
        let edit_epoch = tenure(world, seat);
        let mut out = BytesMut::new();
        pillion_proto::InputStream {
            join: JoinId([join; 16]),
        }
        .encode(&mut out);
        IntentMsg {
            id: 1,
            waited_ms: 0,
            edit_epoch,
            what,
        }
        .encode(&mut out);
        let conn = world.seats[seat].conn.unwrap();
        let stream = Stream::Input { epoch: 0 };
        world.host(HostInput::Received {
            conn,
            stream,
            bytes: out.freeze(),
        });
    };
    let keys = Intent::Keys {
        track: TERMINAL,
        bytes: Bytes::from_static(b"rm"),
    };
    send(&mut world, anna, 10, keys);
    assert!(world.program.input.is_empty());
    let title = pillion_proto::Text::cut("x");
    send(&mut world, bert, 11, Intent::Open { title });
    assert_eq!(world.others.len(), 1);
    assert!(world.seats[bert].was_told("track: None, why: Some(MayNotOpen)"));
}

#[test]
fn an_opening_that_is_sent_again_is_done_once() {
    let (mut world, _, anna) = two_terminals();
    may_open(&mut world, "anna");
    world.viewer(anna, open("mine"));
    world.cut(anna);
    world.advance_ms(1_000);
    assert_eq!(world.seats[anna].phase(), &Phase::Live);
    world.advance_ms(3_000);
    assert_eq!(world.others.len(), 2);
    assert_eq!(world.seats[anna].viewer.view().unconfirmed, 0);
}

#[test]
fn a_cut_restores_what_was_looked_at() {
    let (mut world, second, anna) = two_terminals();
    world.looks(anna, &[second]);
    world.cut(anna);
    world.prints_on(second, "\r\nmeanwhile");
    world.advance_ms(1_000);
    assert_eq!(world.seats[anna].phase(), &Phase::Live);
    assert_eq!(looks_at(&world, anna), second);
    world.assert_same_screen(anna);
    // One that is gone by then gives way to what the host looks at.
    world.exits_on(second, 0);
    world.command(verbs::CloseTrack { track: second }).unwrap();
    world.advance_ms(300);
    assert!(world.seats[anna].viewer.view().follows);
    assert_eq!(looks_at(&world, anna), TERMINAL);
    world.assert_same_screen(anna);
}

#[test]
fn what_is_chosen_while_the_hello_is_on_its_way_is_looked_at() {
    let (mut world, second, anna) = two_terminals();
    world.seats[anna].silent = true;
    world.cut(anna);
    world.advance_ms(300);
    assert_eq!(world.seats[anna].phase(), &Phase::Joining);
    world.looks(anna, &[second]);
    world.seats[anna].silent = false;
    world.settle();
    assert_eq!(looks_at(&world, anna), second);
    world.assert_same_screen(anna);
}

#[test]
fn a_host_that_began_again_without_it_is_followed() {
    let (mut world, second, anna) = two_terminals();
    world.looks(anna, &[second]);
    world.seats[anna].online = false;
    world.restart(config());
    world.seats[anna].online = true;
    world.prints("a new run");
    world.advance_ms(2_000);
    assert!(world.seats[anna].viewer.view().follows);
    assert_eq!(looks_at(&world, anna), TERMINAL);
    assert!(world.seats[anna].text().contains("a new run"));
}

#[test]
fn a_number_that_a_new_run_gives_to_another_kind_is_read_as_that() {
    let mut world = World::shared();
    let log = world.opens_log("agent");
    world.says(log, "", "1");
    let anna = world.join(10, "anna");
    world.looks(anna, &[log]);
    world.seats[anna].online = false;
    world.restart(config());
    let second = world.opens("second");
    assert_eq!(second, log);
    world.prints_on(second, "a terminal by now");
    world.seats[anna].online = true;
    world.advance_ms(2_000);
    assert_eq!(world.seats[anna].phase(), &Phase::Live);
    world.assert_same_screen(anna);
}

#[test]
fn each_track_has_its_own_first_visible_line_and_history() {
    let mut world = World::unshared(config());
    let second = world.opens("second");
    world.prints_on(second, &lines("secret", 600));
    world.share();
    let third = world.opens("third");
    world.prints_on(third, &lines("third", 700));
    world.prints_on(second, &lines("public", 700));
    let anna = world.join(10, "anna");
    let history = |world: &mut World, track: TrackId| {
        world.looks(anna, &[track]);
        world.seats[anna].events.clear();
        let (from, count) = (LineId(0), 50);
        world.viewer(anna, ViewerInput::WantHistory { from, count });
        world.advance_ms(200);
        let events = &world.seats[anna].events;
        let read = events.iter().find_map(|event| match event {
            ViewerEvent::History(lines) => Some(lines.lines.clone()),
            _ => None,
        });
        read.unwrap()
    };
    let of_third = history(&mut world, third);
    assert_eq!(of_third.len(), 50);
    assert_eq!(of_third[0].text(), "third 0");
    let of_second = history(&mut world, second);
    assert!(of_second.iter().all(|line| !line.text().contains("secret")));
    assert!(of_second.is_empty() || of_second[0].id > LineId(500));
}

fn lines(word: &str, count: usize) -> String {
    (0..count)
        .map(|number| format!("{word} {number}\r\n"))
        .collect()
}

#[test]
fn the_history_of_a_track_that_is_gone_can_still_be_read() {
    let mut world = World::shared();
    let second = world.opens("second");
    world.prints_on(second, &lines("line", 700));
    world.exits_on(second, 0);
    world.command(verbs::CloseTrack { track: second }).unwrap();
    let anna = world.join(10, "anna");
    let mut out = BytesMut::new();
    pillion_proto::HistoryRequest {
        track: second,
        from: 600,
        count: 20,
    }
    .encode(&mut out);
    let conn = world.seats[anna].conn.unwrap();
    world.packed.clear();
    let stream = Stream::History { id: 9 };
    world.host(HostInput::Received {
        conn,
        stream,
        bytes: out.freeze(),
    });
    world.advance_ms(100);
    assert_eq!(world.packed, [(LineId(600), 20)]);
    let end = world.log.iter().filter_map(|entry| match entry {
        LogEntry::History {
            track,
            first,
            count,
            ..
        } if *track == second => Some(first.0 + u64::from(*count)),
        _ => None,
    });
    assert!(
        end.max().unwrap() > 670,
        "the lines above the screen are final"
    );
}

#[test]
fn queries_are_answered_by_the_host_s_terminal_only_where_it_shows() {
    let (mut world, second, _) = two_terminals();
    world.prints("\x1b[6n");
    world.prints_on(second, "\x1b[6n");
    assert!(world.program.answers.is_empty());
    assert!(!world.others[&second].answers.is_empty());
    world.command(verbs::ShowTrack { track: second }).unwrap();
    world.prints("\x1b[6n");
    assert!(!world.program.answers.is_empty());
}

#[test]
fn each_terminal_has_its_own_size() {
    let (mut world, second, anna) = two_terminals();
    let size = Size::clamped(100, 30);
    world.host(HostInput::Resized {
        track: second,
        size,
    });
    world.advance_ms(100);
    let tracks = &world.seats[anna].viewer.view().tracks;
    assert_eq!((tracks[0].cols, tracks[1].cols), (80, 100));
    world.assert_same_screen(anna);
    world.looks(anna, &[second]);
    world.assert_same_screen(anna);
}

/// World 225 of the simulation.
#[test]
fn what_was_typed_for_a_track_that_is_gone_leaves_no_gap() {
    let (mut world, second, anna) = two_terminals();
    world.grant_edit("anna").unwrap();
    world.types(anna, "0");
    world.seats[anna].stalled.push(Stream::Input { epoch: 0 });
    world.looks(anna, &[second]);
    world.types(anna, "a");
    world.looks(anna, &[]);
    world.types(anna, "b");
    world.exits_on(second, 0);
    world.command(verbs::CloseTrack { track: second }).unwrap();
    world.advance_ms(300);
    assert_eq!(told_tracks(&world, anna), [0]);
    assert_eq!(world.seats[anna].viewer.view().unconfirmed, 1);
    // The host is heard all the while, and the stream is given up.
    for _ in 0..20 {
        world.prints(".");
        world.advance_ms(200);
    }
    assert_eq!(world.seats[anna].ended(), None);
    assert_eq!(world.program.input, b"0b");
    world.types(anna, "c");
    assert_eq!(world.program.input, b"0bc");
    world.advance_ms(1_000);
    assert_eq!(world.seats[anna].viewer.view().unconfirmed, 0);
}

/// World 664 of the simulation.
#[test]
fn a_terminal_that_comes_before_the_host_is_said_to_show_it_is_shown() {
    let (mut world, second, anna) = two_terminals();
    let third = world.opens("third");
    world.prints_on(third, "on the third");
    world.seats[anna].stalled.push(Stream::Control);
    for track in [second, third] {
        world.command(verbs::ShowTrack { track }).unwrap();
        world.advance_ms(100);
    }
    world.seats[anna].stalled.clear();
    world.advance_ms(1_000);
    assert_eq!(looks_at(&world, anna), third);
    world.assert_same_screen(anna);
}

#[test]
fn what_is_shown_until_another_is_there_goes_on() {
    let (mut world, second, anna) = two_terminals();
    // The stream of the second.
    world.seats[anna].stalled.push(Stream::Track { id: 1 });
    world.looks(anna, &[second, TERMINAL]);
    world.damage_next_frame(anna);
    world.prints("\x1b[2J\x1b[Hall of it is new");
    world.advance_ms(1_000);
    world.prints("\x1b[5;1Hand goes on");
    world.assert_same_screen(anna);
    world.looks(anna, &[TERMINAL]);
    world.prints("\x1b[7;1Hand on");
    world.assert_same_screen(anna);
}

#[test]
fn a_kind_that_is_not_known_is_listed_and_skipped() {
    let (mut world, _, anna) = two_terminals();
    let info = pillion_proto::TrackInfo {
        id: TrackId(40),
        kind: TrackKind::Unknown(99),
        title: pillion_proto::Text::cut("hologram"),
        state: TrackState::Live,
        opener: pillion_proto::ParticipantId(0),
        cols: 0,
        rows: 0,
        visible_from: 0,
    };
    let mut out = BytesMut::new();
    FromHost::Tracks(pillion_proto::TracksChange {
        changed: vec![info],
        gone: vec![],
    })
    .encode(&mut out);
    world.viewer(
        anna,
        ViewerInput::Received {
            stream: Stream::Control,
            bytes: out.freeze(),
        },
    );
    assert_eq!(told_tracks(&world, anna), [0, 1, 40]);
    let mut out = BytesMut::new();
    let kind = TrackKind::Unknown(99);
    pillion_proto::TrackMsg::Open {
        track: TrackId(40),
        epoch: 9,
        kind,
    }
    .encode(&mut out);
    pillion_proto::TrackMsg::Unknown(190).encode(&mut out);
    let stream = Stream::Track { id: 900 };
    world.viewer(
        anna,
        ViewerInput::Received {
            stream,
            bytes: out.freeze(),
        },
    );
    // What it says comes later, in pieces.
    for number in [1, 2] {
        let mut out = BytesMut::new();
        pillion_proto::TrackMsg::Snapshot(pillion_proto::SnapshotMsg {
            number,
            echoed: 0,
            payload: Bytes::from_static(b"of a newer version"),
            chain: None,
        })
        .encode(&mut out);
        let bytes = out.freeze();
        world.viewer(anna, ViewerInput::Received { stream, bytes });
    }
    assert_eq!(world.seats[anna].ended(), None);
    assert_eq!(world.seats[anna].phase(), &Phase::Live);
    world.prints("\r\ngoes on");
    world.assert_same_screen(anna);
}

#[test]
fn what_a_hostile_viewer_says_of_tracks_is_bounded() {
    let (mut world, _, anna) = two_terminals();
    let conn = world.seats[anna].conn.unwrap();
    for round in 0..200 {
        let mut out = BytesMut::new();
        let tracks = (0..16).map(|at| TrackId(round * 16 + at)).collect();
        FromViewer::Subscribe(Subscribe {
            follow: round % 2 == 0,
            tracks,
        })
        .encode(&mut out);
        world.host(HostInput::Received {
            conn,
            stream: Stream::Control,
            bytes: out.freeze(),
        });
    }
    // It was put out for saying it so often.
    world.settle();
    let (why, _) = world.seats[anna].ended().unwrap();
    assert!(why.contains("Some(Flood)"), "{why}");
}

#[test]
fn an_idle_track_has_nothing_done_for_it() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    for _ in 0..60 {
        world.opens("idle");
    }
    world.advance_ms(5_000);
    world.log.clear();
    let before = world.seats[anna].track_bytes;
    let woken = world.wakes_of_host(10_000);
    assert!(
        woken <= 25,
        "the host woke {woken} times in ten seconds of nothing"
    );
    assert_eq!(world.seats[anna].track_bytes, before);
    assert!(world.log.is_empty());
}

// Log tracks.

fn state(world: &World, seat: usize, track: TrackId) -> Vec<(u64, String)> {
    let state = world.seats[seat].viewer.log(track).unwrap();
    let entry = |entry: &Entry| {
        (
            entry.number,
            String::from_utf8(entry.json.to_vec()).unwrap(),
        )
    };
    state.entries.iter().map(entry).collect()
}

#[test]
fn a_log_is_followed_from_its_state_on() {
    let mut world = World::shared();
    let log = world.opens_log("agent");
    world.says(log, "plan", "1");
    world.says(log, "", "2");
    world.says(log, "plan", "3");
    let anna = world.join(10, "anna");
    world.looks(anna, &[log]);
    assert_eq!(state(&world, anna, log), [(1, "2".into()), (2, "3".into())]);
    world.says(log, "plan", "4");
    world.says(log, "cost", "5");
    world.advance_ms(100);
    assert_eq!(
        state(&world, anna, log),
        [(1, "2".into()), (3, "4".into()), (4, "5".into())]
    );
    let info = &world.seats[anna].viewer.view().tracks[1];
    assert_eq!((info.kind, info.title.as_str()), (TrackKind::Log, "agent"));
    // A log is no place to type into.
    world.grant_edit("anna").unwrap();
    world.types(anna, "x");
    world.advance_ms(100);
    assert!(world.seats[anna].was_told("NotATerminal"));
}

#[test]
fn every_entry_of_a_log_is_in_its_history_by_number() {
    let mut world = World::shared();
    let log = world.opens_log("agent");
    for number in 0..1000 {
        world.says(log, "k", &number.to_string());
    }
    let anna = world.join(10, "anna");
    let (from, count) = (100, 300);
    world.viewer(
        anna,
        ViewerInput::WantEntries {
            track: log,
            from,
            count,
        },
    );
    world.advance_ms(200);
    let events = &world.seats[anna].events;
    let read = events.iter().find_map(|event| match event {
        ViewerEvent::Entries(read) => Some(read.entries.clone()),
        _ => None,
    });
    let read = read.unwrap();
    assert_eq!(read.len(), 300);
    for (at, entry) in read.iter().enumerate() {
        assert_eq!(entry.number, 100 + at as u64);
        assert_eq!(entry.json, entry.number.to_string().as_bytes());
    }
}

#[test]
fn a_reader_of_a_log_that_falls_behind_skips_to_its_state() {
    let mut world = World::shared();
    let log = world.opens_log("agent");
    let anna = world.join(10, "anna");
    world.looks(anna, &[log]);
    world.seats[anna].reads = false;
    for number in 0..400 {
        world.says(log, &format!("k{}", number % 7), &"x".repeat(1000));
        world.advance_ms(10);
    }
    assert!(
        world.waiting_for(anna) < 100_000,
        "{}",
        world.waiting_for(anna)
    );
    world.seats[anna].reads = true;
    world.settle();
    world.advance_ms(3_000);
    let numbers: Vec<u64> = state(&world, anna, log)
        .iter()
        .map(|(number, _)| *number)
        .collect();
    assert_eq!(numbers, (393..400).collect::<Vec<u64>>());
}

#[test]
fn entries_without_end_are_frames_of_bounded_size() {
    let mut world = World::unshared(config());
    let log = world.opens_log("agent");
    let large = "x".repeat(pillion_proto::limits::MAX_ENTRY);
    let frames = |world: &World| {
        let mut log = world.log.iter();
        log.by_ref()
            .filter(|entry| matches!(entry, LogEntry::Entries { .. }))
            .count()
    };
    // Nobody looks, and nothing is shared.
    for _ in 0..700 {
        world.says(log, "", &large);
    }
    assert!(frames(&world) >= 40, "{}", frames(&world));
    world.share();
    let anna = world.join(10, "anna");
    world.looks(anna, &[log]);
    // 16 MB before any time passes.
    for _ in 0..1_000 {
        world.says(log, "", &large);
    }
    world.advance_ms(1_000);
    assert_eq!(world.seats[anna].ended(), None);
    assert_eq!(world.seats[anna].viewer.log(log).unwrap().next, 1_700);
}

#[test]
fn a_log_that_ended_takes_no_entry() {
    let mut world = World::shared();
    let log = world.opens_log("agent");
    world.says(log, "", "1");
    world.exits_on(log, 0);
    world.says(log, "", "2");
    let anna = world.join(10, "anna");
    world.looks(anna, &[log]);
    assert_eq!(state(&world, anna, log), [(0, "1".into())]);
}

#[test]
fn outputs_name_their_track() {
    let mut world = World::unshared(config());
    world.host.handle(
        world.now,
        HostInput::Command {
            request: 9,
            by: Actor::Tty,
            command: Command::from(verbs::OpenTerminal {
                title: "x".into(),
                command: vec!["top".into()],
            }),
        },
    );
    let outputs: Vec<HostOutput> = std::iter::from_fn(|| world.host.poll()).collect();
    let spawned = outputs.iter().any(|output| {
        matches!(output, HostOutput::Spawn { track: TrackId(1), command, size }
            if *command == ["top"] && *size == Size::clamped(80, 24))
    });
    assert!(spawned, "{outputs:?}");
}
