//! Coming and going in a loop: how often, and what it leaves behind.

use pillion_proto::RefusedCode;

use super::harness::World;
use crate::{Command, HostNotice, LogEntry, Phase, ViewerInput, host::HostOutput, verbs};

/// Comes and leaves as often as it may, so many times; how often it was let in.
fn comes_and_goes(world: &mut World, seed: u8, times: usize) -> usize {
    let mut came = 0;
    for _ in 0..times {
        let seat = world.join(seed, "loop");
        came += usize::from(*world.seats[seat].phase() == Phase::Live);
        world.viewer(seat, ViewerInput::Leave);
        world.seats.truncate(seat);
    }
    came
}

fn log_bytes(world: &World) -> usize {
    let events = world.log.iter().filter_map(|entry| match entry {
        LogEntry::Event { json, .. } => Some(json.len()),
        _ => None,
    });
    events.sum()
}

#[test]
fn who_comes_in_a_loop_is_put_off_and_told_for_how_long() {
    let mut world = World::shared();
    assert_eq!(comes_and_goes(&mut world, 10, 143), 64);
    let seat = world.join(10, "loop");
    let Phase::Connecting { why, .. } = world.seats[seat].phase() else {
        panic!("{:?}", world.seats[seat].phase())
    };
    assert!(
        format!("{why:?}").contains("TooOften { wait_ms: 1000 }"),
        "{why:?}"
    );
    let busy = |(_, code): &&(_, u8)| *code == RefusedCode::BUSY.0;
    assert!(world.closed.iter().filter(busy).count() > 143 - 64);
    // Somebody else is none the worse, and it comes in by itself a little later.
    let anna = world.join(11, "anna");
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    world.advance_ms(6_000);
    assert_eq!(*world.seats[seat].phase(), Phase::Live);
}

#[test]
fn comings_and_goings_in_quick_succession_are_one_entry() {
    let mut world = World::shared();
    for second in 0..300 {
        // What the bucket lets through in five minutes.
        comes_and_goes(&mut world, 10, if second == 0 { 64 } else { 1 });
        world.advance_ms(1_000);
    }
    world.advance_ms(11_000);
    let kinds = world.logged_kinds();
    let count = |kind: &str| kinds.iter().filter(|one| *one == kind).count();
    let (joined, left, visits) = (count("joined"), count("left"), count("visits"));
    assert!(joined + left <= 8 + 15, "{joined} {left}");
    assert!((4..=8).contains(&visits), "{visits}");
    assert!(log_bytes(&world) < 10_000, "{} bytes", log_bytes(&world));
    // Nothing is missing but how it came in each time.
    let (mut joins, mut leaves) = (joined as u64, left as u64);
    for entry in &world.log {
        let LogEntry::Event { json, .. } = entry else {
            continue;
        };
        let event: serde_json::Value = serde_json::from_str(json).unwrap();
        joins += event["joins"].as_u64().unwrap_or(0);
        leaves += event["leaves"].as_u64().unwrap_or(0);
    }
    assert_eq!((joins, leaves), (363, 363));
    // The person at the host heard of it as often as the log.
    let told = world.notices.iter().filter(|notice| {
        matches!(notice, HostNotice::Joined { .. } | HostNotice::Left { .. })
            || matches!(notice, HostNotice::Visits { .. })
    });
    assert_eq!(told.count(), joined + left + visits);
}

#[test]
fn who_came_many_times_and_stays_is_in_the_log_before_long() {
    let mut world = World::shared();
    comes_and_goes(&mut world, 10, 6);
    let anna = world.join(10, "anna");
    world.advance_ms(10_500);
    let last = world.log.iter().rev().find_map(|entry| match entry {
        LogEntry::Event { json, .. } => Some(json.clone()),
        _ => None,
    });
    let last: serde_json::Value = serde_json::from_str(&last.unwrap()).unwrap();
    assert_eq!(
        (&last["event"], &last["here"], &last["joins"]),
        (&"visits".into(), &true.into(), &3.into())
    );
    let said = world.notices.last();
    assert!(
        matches!(
            said,
            Some(HostNotice::Visits {
                here: true,
                joins: 3,
                ..
            })
        ),
        "{said:?}"
    );
    // What is counted when sharing ends is written down before that.
    comes_and_goes(&mut world, 10, 5);
    world.viewer(anna, ViewerInput::Leave);
    world.command(Command::Stop(verbs::Stop {})).unwrap();
    let kinds = world.logged_kinds();
    let at = |kind: &str| kinds.iter().rposition(|one| one == kind);
    assert!(at("visits") < at("ended"), "{kinds:?}");
}

#[test]
fn under_many_keys_the_log_and_the_sessions_bucket_hold() {
    let mut world = World::shared();
    let mut came = 0;
    for _ in 0..40 {
        for seed in 10..90 {
            came += comes_and_goes(&mut world, seed, 1);
        }
    }
    // Each leaves the more to others the more often it came: there is always something left.
    assert!((1600..2000).contains(&came), "{came}");
    let anna = world.join(95, "anna");
    assert_eq!(*world.seats[anna].phase(), Phase::Live);
    assert!(log_bytes(&world) < 400_000, "{}", log_bytes(&world));
}

#[test]
fn others_hear_of_a_loop_a_few_times_a_second() {
    let mut world = World::shared();
    let anna = world.join(11, "anna");
    world.advance_ms(1_000);
    let mut heard = 0;
    world.host.poll();
    for _ in 0..600 {
        // Thirty times a second, for twenty seconds, more than the bucket lets in.
        comes_and_goes(&mut world, 10, 1);
        world.now.mono_us += 33_000;
        world.host.handle(world.now, crate::HostInput::Tick);
        while let Some(output) = world.host.poll() {
            let conn = world.seats[anna].conn;
            let to_anna = matches!(&output, HostOutput::Send { to, .. } if to.iter().any(|(to, stream)| stream == crate::Stream::Control && Some(to) == conn));
            heard += usize::from(to_anna);
        }
    }
    assert!((1..=20 + 4 * 20 + 4).contains(&heard), "{heard}");
}

#[test]
fn a_viewer_is_accepted_when_it_is_in_and_a_silent_one_never() {
    let mut world = World::shared();
    let anna = world.join(10, "anna");
    let (silent, _) = world.stranger();
    world.advance_ms(100);
    let conn = world.seats[anna].conn.unwrap();
    assert_eq!(world.accepted, [conn]);
    assert!(!world.accepted.contains(&silent));
}
