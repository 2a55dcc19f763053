//! What one direction of a link does to packets, as arithmetic on time: nothing here waits.
//!
//! ```text
//! arrive ─▶ random loss ─▶ queue of `buffer` bytes, emptied at `rate` ─▶ `delay` ─▶ leave
//! ```
//!
//! A packet leaves when the ones before it and itself have been sent at the rate, and the delay has
//! passed since. Order is kept, always.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a link is like, one way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// From leaving the queue to arriving.
    pub delay: Duration,
    /// Bits a second; `None` is as fast as the machine goes.
    pub rate: Option<u64>,
    /// Bytes that may wait for the rate. What does not fit is dropped, as a router with a plain queue does.
    pub buffer: u64,
    /// Of each packet being lost, 0 to 1.
    pub loss: f64,
}

impl Profile {
    /// Hands packets on at once.
    pub const NONE: Profile = Profile {
        delay: Duration::ZERO,
        rate: None,
        buffer: 0,
        loss: 0.0,
    };

    /// Half of `rtt` each way, nothing else.
    pub const fn rtt(rtt: Duration) -> Profile {
        Profile {
            delay: Duration::from_nanos(rtt.as_nanos() as u64 / 2),
            ..Profile::NONE
        }
    }

    /// The same at a rate, with a queue that holds one round trip's worth of bytes.
    pub const fn at_rate(self, bits_per_second: u64) -> Profile {
        let round_trip_ms = 2 * self.delay.as_millis() as u64;
        Profile {
            rate: Some(bits_per_second),
            buffer: bits_per_second / 8 * round_trip_ms / 1000,
            ..self
        }
    }
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It leaves at this time.
    Leaves(Duration),
    /// It met bad luck.
    Lost,
    /// It met a full queue.
    Overflowed,
}

/// One direction of a link. Times are since any fixed start and never go back.
#[derive(Debug)]
pub struct Shaper {
    profile: Profile,
    /// When the rate will have sent all that was taken in.
    sent_at: Duration,
    luck: ChaCha8Rng,
}

impl Shaper {
    /// A link; `seed` decides which packets are lost.
    pub fn new(profile: Profile, seed: u64) -> Shaper {
        Shaper {
            profile,
            sent_at: Duration::ZERO,
            luck: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// A packet of `bytes` arrives at `now`.
    pub fn arrive(&mut self, now: Duration, bytes: usize) -> Fate {
        if self.profile.loss > 0.0 && self.luck.random_bool(self.profile.loss.min(1.0)) {
            return Fate::Lost;
        }
        let sent_at = match self.profile.rate {
            None => now,
            Some(rate) => {
                let start = self.sent_at.max(now);
                if bytes_at(rate, start - now) + bytes as u64 > self.profile.buffer && start > now {
                    return Fate::Overflowed;
                }
                start + time_at(rate, bytes)
            }
        };
        self.sent_at = sent_at;
        Fate::Leaves(sent_at + self.profile.delay)
    }
}

fn time_at(rate: u64, bytes: usize) -> Duration {
    Duration::from_nanos((bytes as u128 * 8 * 1_000_000_000 / u128::from(rate.max(1))) as u64)
}

/// What a rate sends in a time: the bytes still queued when the queue empties only then.
fn bytes_at(rate: u64, time: Duration) -> u64 {
    (time.as_nanos() * u128::from(rate) / 8 / 1_000_000_000) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn without_a_profile_packets_pass_at_once() {
        let mut shaper = Shaper::new(Profile::NONE, 0);
        assert_eq!(shaper.arrive(ms(7), 1500), Fate::Leaves(ms(7)));
        assert_eq!(shaper.arrive(ms(7), 1500), Fate::Leaves(ms(7)));
    }

    #[test]
    fn half_the_round_trip_passes_each_way() {
        let mut shaper = Shaper::new(Profile::rtt(ms(50)), 0);
        assert_eq!(shaper.arrive(ms(100), 40), Fate::Leaves(ms(125)));
        assert_eq!(shaper.arrive(ms(101), 40), Fate::Leaves(ms(126)));
    }

    #[test]
    fn packets_queue_for_the_rate() {
        // 1 Mbit/s: 1,250 bytes take 10 ms. One round trip's worth is 6,250 bytes.
        let mut shaper = Shaper::new(Profile::rtt(ms(50)).at_rate(1_000_000), 0);
        assert_eq!(shaper.arrive(ms(0), 1250), Fate::Leaves(ms(10 + 25)));
        assert_eq!(shaper.arrive(ms(0), 1250), Fate::Leaves(ms(20 + 25)));
        // Idle in between: the time that was not used is not saved up.
        assert_eq!(shaper.arrive(ms(100), 1250), Fate::Leaves(ms(110 + 25)));
    }

    #[test]
    fn a_full_queue_drops_what_comes_last() {
        let mut shaper = Shaper::new(Profile::rtt(ms(50)).at_rate(1_000_000), 0);
        for packet in 1..=5 {
            assert_eq!(
                shaper.arrive(ms(0), 1250),
                Fate::Leaves(ms(10 * packet + 25))
            );
        }
        assert_eq!(shaper.arrive(ms(0), 1250), Fate::Overflowed);
        // Ten milliseconds on, one packet's room is free again.
        assert_eq!(shaper.arrive(ms(10), 1250), Fate::Leaves(ms(60 + 25)));
        assert_eq!(shaper.arrive(ms(10), 1250), Fate::Overflowed);
    }

    #[test]
    fn a_packet_larger_than_the_queue_still_passes_an_idle_link() {
        let profile = Profile {
            buffer: 100,
            ..Profile::NONE.at_rate(1_000_000)
        };
        let mut shaper = Shaper::new(profile, 0);
        assert_eq!(shaper.arrive(ms(0), 1250), Fate::Leaves(ms(10)));
        assert_eq!(shaper.arrive(ms(1), 1), Fate::Overflowed);
    }

    #[test]
    fn the_same_seed_loses_the_same_packets_and_about_as_many_as_told() {
        let fates = |seed| {
            let profile = Profile {
                loss: 0.02,
                ..Profile::NONE
            };
            let mut shaper = Shaper::new(profile, seed);
            (0..10_000)
                .map(|_| shaper.arrive(ms(0), 100))
                .collect::<Vec<_>>()
        };
        assert_eq!(fates(1), fates(1));
        assert_ne!(fates(1), fates(2));
        let lost = fates(1).iter().filter(|fate| **fate == Fate::Lost).count();
        assert!((120..=280).contains(&lost), "{lost} of 10,000 at 2 %");
    }

    proptest! {
        #[test]
        fn order_holds_delay_is_kept_and_the_rate_is_never_exceeded(
            gaps in prop::collection::vec((0u64..3000, 1usize..1500), 1..200),
            rate in 100_000u64..100_000_000,
            delay_ms in 0u64..100,
        ) {
            let profile = Profile { delay: ms(delay_ms), rate: Some(rate), buffer: 20_000, loss: 0.0 };
            let mut shaper = Shaper::new(profile, 3);
            let (mut now, mut last, mut first, mut bytes_left) = (Duration::ZERO, Duration::ZERO, None, 0u64);
            for (gap, bytes) in gaps {
                now += Duration::from_micros(gap);
                if let Fate::Leaves(at) = shaper.arrive(now, bytes) {
                    prop_assert!(at >= now + profile.delay);
                    prop_assert!(at >= last);
                    // Nothing waits longer than a full queue takes to empty, and its own time.
                    prop_assert!(at <= now + profile.delay + time_at(rate, 20_000 + bytes + 1));
                    last = at;
                    first.get_or_insert(now);
                    bytes_left += bytes as u64;
                    let passed = at - profile.delay - first.unwrap();
                    // A nanosecond of rounding for each packet.
                    prop_assert!(bytes_at(rate, passed + Duration::from_micros(1)) + 1 >= bytes_left);
                }
            }
        }
    }
}
