//! Worlds of many seeds. `PILLION_SEED=n` plays one and tells what happens, `PILLION_SEEDS=n` so
//! many, `PILLION_FIRST_SEED=n` from there on.

use std::env;

/// Worlds played unless said otherwise: some twenty seconds on two cores.
const SEEDS: u64 = 120;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}"))
    })
}

/// Plays every `step`th world from `from` on.
fn play(from: u64, step: usize) {
    let (first, seeds) = match number("PILLION_SEED") {
        Some(seed) => (seed, 1),
        None => (
            number("PILLION_FIRST_SEED").unwrap_or(1),
            number("PILLION_SEEDS").unwrap_or(SEEDS),
        ),
    };
    let mut failures = Vec::new();
    for seed in (first..first + seeds)
        .skip(usize::try_from(from).unwrap())
        .step_by(step)
    {
        match pillion_sim::play(seed) {
            Ok(tally) => println!("{seed}: {tally:?}"),
            Err(failure) => failures.push(format!("world {seed}: {failure}")),
        }
    }
    assert!(
        failures.is_empty(),
        "{} worlds went wrong\n{}",
        failures.len(),
        failures.join("\n")
    );
}

// Two, so that both cores have something to do.

#[test]
fn odd_worlds_hold_together() {
    play(0, 2);
}

#[test]
fn even_worlds_hold_together() {
    play(1, 2);
}
