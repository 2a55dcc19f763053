//! How often people may come in: a bucket each, one for each network they come from, and one for all.
//!
//! To let somebody in costs a snapshot, the whole roster, an entry of the log and a word to everybody who
//! is here, and connecting is free. So who comes in again and again is put off, before any of that, and
//! told for how long. The buckets hold what viewers need: a person's sixteen windows that lose their
//! network four times a minute, and everybody at once after the host's own was cut.
//!
//! The buckets of a person and of their networks are asked as soon as they have proved who they are, and
//! the session's once it is known that they would be let in: who has no ticket takes nothing of it.

use pillion_caps::PublicKey;
use pillion_share::{Buckets, Later, Lineage, SharedRate};

use crate::host::rate::Bucket;

/// Times a second one person may come in in the long run, and at once.
const EACH_PER_SECOND: u64 = 1;
const EACH_BURST: u64 = 64;

/// The same of everybody together: the viewers there may be at once, and a third more.
const ALL_PER_SECOND: u64 = 20;
const ALL_BURST: u64 = 2048;

/// A network's part of that is a quarter for an address, half for an IPv6 /56, and all for a /48 and for
/// those who come by a relay.
const PART: u64 = 4;

/// How often people whose bucket is full again are forgotten, in microseconds. There are never more of them
/// than [`MAX_REMEMBERED`](pillion_share::MAX_REMEMBERED).
const FORGET_EVERY_US: u64 = 10_000_000;

/// The buckets.
pub(in crate::host) struct Comings {
    shared: SharedRate,
    people: Buckets<PublicKey>,
    forget_at_us: u64,
}

impl Comings {
    pub(in crate::host) fn new(now_us: u64) -> Comings {
        Comings {
            shared: SharedRate::new(now_us, ALL_PER_SECOND, ALL_BURST, PART),
            people: Buckets::new(),
            forget_at_us: now_us,
        }
    }

    /// Somebody proved who they are. Takes one of theirs and of each of their networks'.
    pub(in crate::host) fn come(
        &mut self,
        now_us: u64,
        who: &PublicKey,
        from: &Lineage,
    ) -> Result<(), Later> {
        if now_us >= self.forget_at_us {
            self.forget_at_us = now_us.saturating_add(FORGET_EVERY_US);
            self.people.forget_full(now_us);
        }
        let ready_us = self.person(now_us, who).ready_at(now_us, 1);
        let ready_us = ready_us.max(self.shared.networks_ready_at(now_us, from));
        if ready_us > now_us {
            return Err(Later(ready_us - now_us));
        }
        self.person(now_us, who).take(now_us, 1);
        self.shared.take_networks(now_us, from);
        Ok(())
    }

    /// They would be let in. Takes one of everybody's.
    pub(in crate::host) fn enter(
        &mut self,
        now_us: u64,
        who: &PublicKey,
        from: &Lineage,
    ) -> Result<(), Later> {
        // The one just taken aside, so that who comes first leaves nothing.
        let one = (ALL_BURST / 2).div_ceil(EACH_BURST);
        let taken = self.person(now_us, who).taken(now_us, ALL_BURST / 2);
        let left = taken.saturating_sub(one);
        let ready_us = self.shared.all_ready_at(now_us, from, left);
        if ready_us > now_us {
            return Err(Later(ready_us - now_us));
        }
        self.shared.take_all(now_us, from);
        Ok(())
    }

    /// Whether somebody whose endpoint is known could come now. Takes nothing.
    pub(in crate::host) fn may_come(&mut self, now_us: u64, who: &PublicKey) -> bool {
        self.people
            .get_mut(who)
            .is_none_or(|bucket| bucket.ready_at(now_us, 1) <= now_us)
    }

    fn person(&mut self, now_us: u64, who: &PublicKey) -> &mut Bucket {
        self.people.of(now_us, *who, EACH_PER_SECOND, EACH_BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pillion_caps::SecretKey;
    use proptest::prelude::*;
    use std::net::IpAddr;

    const SECOND: u64 = 1_000_000;

    fn key(number: u64) -> PublicKey {
        let mut seed = [1; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        SecretKey::from_bytes(&seed).public()
    }

    fn from(text: &str) -> Lineage {
        Lineage::of(text.parse::<IpAddr>().unwrap())
    }

    fn comes(comings: &mut Comings, now_us: u64, who: &PublicKey, from: &Lineage) -> bool {
        comings.come(now_us, who, from).is_ok() && comings.enter(now_us, who, from).is_ok()
    }

    #[test]
    fn sixteen_windows_that_change_networks_four_times_a_minute_are_never_put_off() {
        let mut comings = Comings::new(0);
        let (phone, at) = (key(1), from("2001:db8::1"));
        for minute in 0..60 {
            for change in 0..4 {
                let now = minute * 60 * SECOND + change * 15 * SECOND;
                // Each loses one try on the way.
                assert!((0..15).all(|_| comes(&mut comings, now, &phone, &at)));
            }
        }
    }

    #[test]
    fn everybody_comes_back_at_once_after_the_host_was_cut_off() {
        let mut comings = Comings::new(0);
        for viewer in 0..1536u32 {
            let at = Lineage::of(IpAddr::from((0x0a00_0000 + viewer).to_be_bytes()));
            assert!(comes(&mut comings, 0, &key(u64::from(viewer)), &at));
        }
    }

    #[test]
    fn a_loop_is_put_off_for_as_long_as_is_said() {
        let mut comings = Comings::new(0);
        let (who, at) = (key(1), from("192.0.2.1"));
        let came = (0..143).filter(|_| comes(&mut comings, 0, &who, &at));
        assert_eq!(came.count(), EACH_BURST as usize);
        let Err(Later(wait)) = comings.come(0, &who, &at) else {
            panic!("put off");
        };
        assert_eq!(comings.come(wait - 1, &who, &at), Err(Later(1)));
        assert!(comes(&mut comings, wait, &who, &at));
        assert!(comes(&mut comings, 0, &key(2), &at));
    }

    #[test]
    fn many_keys_of_one_address_leave_most_to_others() {
        let mut comings = Comings::new(0);
        let at = from("192.0.2.1");
        let came = (0..3000).filter(|who| comes(&mut comings, 0, &key(*who), &at));
        assert_eq!(came.count(), (ALL_BURST / PART) as usize);
        // From many addresses; anybody who comes from one that came less gets in all the same.
        for address in 2..250u8 {
            let at = from(&format!("192.0.2.{address}"));
            (0..20).for_each(|_| {
                comes(&mut comings, 0, &key(u64::from(address)), &at);
            });
        }
        let late = Lineage::of(IpAddr::from([198, 51, 100, 1]));
        assert!(comes(&mut comings, 10 * SECOND, &key(5000), &late));
        assert!(comings.shared.counts(0).1 <= 250);
    }

    #[test]
    fn strangers_without_a_ticket_take_nothing_of_what_is_for_all() {
        let mut comings = Comings::new(0);
        let at = from("192.0.2.1");
        for who in 0..10_000 {
            let _ = comings.come(0, &key(who), &at);
        }
        assert_eq!(comings.shared.counts(0).0, ALL_BURST);
        assert!(comings.people.len() <= pillion_share::MAX_REMEMBERED);
    }

    #[test]
    fn who_has_not_come_for_long_is_forgotten() {
        let mut comings = Comings::new(0);
        for who in 0..100 {
            comes(&mut comings, 0, &key(who), &from("192.0.2.1"));
        }
        comes(&mut comings, 200 * SECOND, &key(1000), &from("192.0.2.2"));
        assert_eq!(
            (comings.people.len(), comings.shared.counts(200 * SECOND).1),
            (1, 1)
        );
    }

    proptest! {
        /// Whatever they do, nobody comes more often than their bucket says, and all no more than theirs.
        #[test]
        fn comings_are_bounded(
            tries in prop::collection::vec((0u64..4, 0u8..3, 0u64..400_000), 1..600),
        ) {
            let mut comings = Comings::new(0);
            let (mut now, mut came) = (0, [0u64; 4]);
            for (who, address, pause) in tries {
                now += pause;
                let at = Lineage::of(IpAddr::from([10, 0, 0, address]));
                came[who as usize] += u64::from(comes(&mut comings, now, &key(who), &at));
            }
            let bound = EACH_BURST + EACH_PER_SECOND * now.div_ceil(SECOND);
            prop_assert!(came.iter().all(|came| *came <= bound), "{came:?} of {bound}");
        }
    }
}
