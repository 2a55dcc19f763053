//! A seeded world for sessions: hosts, viewers, links that delay and cut.
//!
//! The host and the viewers are the real state machines; all that surrounds them is played: the
//! program ([`program`]), the network ([`link`]), clocks, disks and people ([`world`]). A second
//! telling of who may do what ([`model`]) and a list of what must hold ([`world::World::settle`],
//! and everything the world looks at as it goes) say whether they did right.
//!
//! One number decides everything. A failure names it; `PILLION_SEED=n cargo test -p pillion-sim`
//! plays that world again and says what happened before it failed (`PILLION_TRACE=all`: everything, as
//! it happens), `PILLION_SEEDS=n` plays so many.

pub mod link;
pub mod model;
pub mod program;
pub mod rng;
pub mod world;

pub use world::{Sabotage, World};

/// Plays the world of `seed`: some time of everything at once, rest, and that again.
///
/// # Errors
/// What did not hold, with the way to see it again.
pub fn play(seed: u64) -> Result<world::Tally, String> {
    play_with(seed, Sabotage::None)
}

/// Like [`play`], with one thing in the world that does not do its part.
///
/// # Errors
/// What did not hold, with the way to see it again.
pub fn play_with(seed: u64, sabotage: Sabotage) -> Result<world::Tally, String> {
    let mut world = World::new(seed, sabotage);
    world.live().map_err(|failure| {
        format!(
            "{failure}\n  at {}\n  again: PILLION_SEED={seed} cargo test -p pillion-sim",
            world.when()
        )
    })
}
