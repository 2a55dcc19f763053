//! What worlds found that was wrong with the world itself, as small as it gets.

use pillion_proto::{AccessMode, Rights};
use pillion_session::{Actor, Command, Target, verbs};

use super::{Event, Sabotage, TERMINAL, World};

/// Worlds each of these is played in: in which of them chance brings it about is nobody's affair.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=25;

/// A world with one viewer, which sees the session.
fn watched(seed: u64) -> World {
    let mut world = World::new(seed, Sabotage::None);
    let mode = AccessMode::Link;
    world.command(
        Actor::Tty,
        Command::SetAccessMode(verbs::SetAccessMode { mode }),
    );
    let ticket = world.ticket.clone();
    world.sit_down(0, ticket, Vec::new());
    world.run_until(world.now_us + 2_000_000).unwrap();
    assert!(world.is_live(0));
    // What happens is up to the test, and what paths do in wild times can happen.
    world.wild_until_us = u64::MAX;
    world
}

/// Lets the program write for so long, and looks whether the viewer is shown it. The viewer hears
/// much and has nothing to say: then the host waits longest before it gives a stream up.
fn prints(world: &mut World, for_us: u64) -> Result<(), String> {
    let end_us = world.now_us + for_us;
    let me = world.people[0].secret.public();
    let mut has = false;
    for step in 0u64.. {
        if world.now_us >= end_us {
            break;
        }
        let life = world.lives;
        let side = world.host.as_mut().unwrap();
        side.tracks
            .get_mut(&TERMINAL)
            .unwrap()
            .program
            .act(&mut world.dice);
        let target = Target::from(*side.numbers.values().next().unwrap());
        world.after(
            0,
            Event::Output {
                life,
                track: TERMINAL,
            },
        );
        if step.is_multiple_of(6) && world.model.made_for(me) < 12 {
            has = !has;
            let command = match has {
                true => Command::Grant(verbs::Grant {
                    target,
                    rights: Rights::EDIT,
                    ttl_ms: None,
                }),
                false => Command::Revoke(verbs::Revoke { target }),
            };
            world.command(Actor::Tty, command);
        }
        world.run_until(world.now_us + 40_000)?;
        world.check_prompt();
    }
    world.run_until(end_us)
}

/// Makes the path of the only viewer a good one.
fn clears_up(world: &mut World) {
    while !(world.seats[0].is_fair() && world.seats[0].weather.latency_us < 100_000) {
        world.some_weather();
    }
}

/// Takes the path away while a frame is on it: only what was lost can stall when it is back.
fn cut_a_frame_off(world: &mut World, for_us: u64) {
    let frames = world.tally.frames;
    while world.tally.frames == frames {
        let life = world.lives;
        let side = world.host.as_mut().unwrap();
        side.tracks
            .get_mut(&TERMINAL)
            .unwrap()
            .program
            .act(&mut world.dice);
        world.after(
            0,
            Event::Output {
                life,
                track: TERMINAL,
            },
        );
        world.run_until(world.now_us + 50).unwrap();
    }
    world.cut(0, for_us);
}

#[test]
fn fair_weather_does_not_end_a_stall() {
    for seed in SEEDS {
        let mut world = watched(seed);
        world.some_stall();
        clears_up(&mut world);
        prints(&mut world, 8_000_000).unwrap_or_else(|failure| panic!("{seed}: {failure}"));
    }
}

#[test]
fn a_host_may_take_its_time_to_give_up_what_stalls_behind_an_outage() {
    for seed in SEEDS {
        let mut world = watched(seed);
        prints(&mut world, 200_000).unwrap();
        for outage_us in [90_000, 2_500_000] {
            cut_a_frame_off(&mut world, outage_us);
            prints(&mut world, 8_000_000).unwrap_or_else(|failure| panic!("{seed}: {failure}"));
        }
    }
}

#[test]
fn a_viewer_whose_path_came_back_must_be_shown_frames_before_a_stall_ends() {
    let mut noticed = 0;
    for seed in SEEDS {
        let mut world = watched(seed);
        prints(&mut world, 200_000).unwrap();
        cut_a_frame_off(&mut world, 90_000);
        prints(&mut world, 100_000).unwrap();
        // No new stream helps.
        let conn = world.seats[0].conn.unwrap();
        let pipe = &mut world.conns.get_mut(&conn).unwrap().to_viewer;
        pipe.busy_until_us = u64::MAX;
        if let Err(failure) = prints(&mut world, 6_000_000) {
            assert!(failure.contains("and not"), "{failure}");
            noticed += 1;
        }
    }
    assert!(noticed > 0);
}

#[test]
fn a_host_can_die_between_two_uses_of_one_hello() {
    let mut split = 0;
    for seed in SEEDS {
        let mut world = watched(seed);
        for _ in 0..2 {
            let command = Command::GrantLink(verbs::GrantLink {
                rights: Rights::EDIT,
                ttl_ms: None,
                uses: std::num::NonZeroU32::MIN,
            });
            world.command(Actor::Tty, command);
        }
        world.run_until(world.now_us + 1_000_000).unwrap();
        let (ticket, written) = (world.ticket.clone(), world.ledger.len());
        let grants = world.tokens.iter().cloned();
        let grants: Vec<_> = grants.map(|(grant, key)| (grant, Some(key))).collect();
        if grants.len() < 2 {
            continue; // a read-only session
        }
        let seat = world.sit_down(0, ticket, grants);
        // One use is on disk, the other on its way there.
        let late_us = world.now_us + 2_000_000;
        while world.now_us < late_us && world.ledger.len() == written {
            world.run_until(world.now_us + 10).unwrap();
        }
        if world.ledger.len() == written + 1 {
            split += 1;
            world.crash();
        }
        world
            .run_until(world.now_us + 60_000_000)
            .unwrap_or_else(|failure| panic!("{seed}: {failure}"));
        assert!(world.is_live(seat), "{seed}");
    }
    assert!(split > 0);
}
