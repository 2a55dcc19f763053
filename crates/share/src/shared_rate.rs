//! How often something that costs everybody may be done: a bucket for all, and one for each network that
//! it is done from, so that who does it most leaves room for who does it first.
//!
//! What is left of the bucket of all is for those who have taken least in the last ten minutes: who has taken
//! a part of their own burst in that time leaves half of that part of everybody's to others, and who comes
//! for the first time may take the last. It is ten minutes because a network's own bucket says too little: where
//! many networks take what comes, each of theirs is nearly full again.

use std::collections::BTreeMap;

use crate::{Bucket, Limits, Lineage, Network};

/// Keys that are remembered. Only those count whose bucket is not full again; beyond, the fullest is
/// forgotten.
pub const MAX_REMEMBERED: usize = 4096;

/// How often those whose bucket is full again are forgotten, in microseconds.
const FORGET_EVERY_US: u64 = 10_000_000;

/// What a network took counts for so long, in seconds.
const RECENTLY: u64 = 600;

/// Not yet; in so many microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Later(
    /// Microseconds.
    pub u64,
);

/// The buckets.
#[derive(Debug)]
pub struct SharedRate {
    all: Bucket,
    networks: Buckets<Network>,
    /// What they took lately, in [`RECENTLY`]ths of one.
    recent: Buckets<Network>,
    rates: Limits,
    bursts: Limits,
    burst: u64,
    forget_at_us: u64,
}

impl SharedRate {
    /// `burst` at once and `per_second` in the long run; the `part`th of both for an address, twice that for
    /// an IPv6 /56, four times for a /48 and for those who come by a relay.
    pub fn new(now_us: u64, per_second: u64, burst: u64, part: u64) -> SharedRate {
        SharedRate {
            all: Bucket::new(now_us, per_second, burst),
            networks: Buckets::new(),
            recent: Buckets::new(),
            rates: Limits::parts(per_second, part, 1),
            bursts: Limits::parts(burst, part, 1),
            burst,
            forget_at_us: now_us,
        }
    }

    /// Takes one of everybody's and of each of the networks'.
    pub fn take(&mut self, now_us: u64, from: &Lineage) -> Result<(), Later> {
        let ready_us = self.networks_ready_at(now_us, from);
        let ready_us = ready_us.max(self.all_ready_at(now_us, from, 0));
        if ready_us > now_us {
            return Err(Later(ready_us - now_us));
        }
        self.take_networks(now_us, from);
        self.take_all(now_us, from);
        Ok(())
    }

    /// When each of the networks has one.
    pub fn networks_ready_at(&mut self, now_us: u64, from: &Lineage) -> u64 {
        self.forget_full(now_us);
        let own = from[1..].iter();
        own.map(|network| self.network(now_us, network).ready_at(now_us, 1))
            .fold(now_us, u64::max)
    }

    /// Takes one of each network.
    pub fn take_networks(&mut self, now_us: u64, from: &Lineage) {
        for network in &from[1..] {
            self.network(now_us, network).take(now_us, 1);
        }
    }

    /// When there is one of everybody's for who comes from there, and leaves at least so many.
    pub fn all_ready_at(&mut self, now_us: u64, from: &Lineage, left: u64) -> u64 {
        let mut left = left;
        for network in &from[1..] {
            if let Some(recent) = self.recent.get_mut(network) {
                left = left.max(recent.taken(now_us, self.burst / 2));
            }
        }
        self.all.ready_at(now_us, left + 1)
    }

    /// Takes one of everybody's.
    pub fn take_all(&mut self, now_us: u64, from: &Lineage) {
        self.all.take(now_us, 1);
        for network in &from[1..] {
            let burst = self.bursts.of(network);
            let recent = self.recent.of(now_us, *network, burst, burst * RECENTLY);
            recent.take(now_us, RECENTLY);
        }
    }

    fn network(&mut self, now_us: u64, network: &Network) -> &mut Bucket {
        let (rate, burst) = (self.rates.of(network), self.bursts.of(network));
        self.networks.of(now_us, *network, rate, burst)
    }

    fn forget_full(&mut self, now_us: u64) {
        if now_us >= self.forget_at_us {
            self.forget_at_us = now_us.saturating_add(FORGET_EVERY_US);
            self.networks.forget_full(now_us);
            self.recent.forget_full(now_us);
        }
    }

    /// What is left of everybody's, and how many networks are remembered.
    pub fn counts(&self, now_us: u64) -> (u64, usize) {
        (self.all.left(now_us), self.recent.len())
    }
}

/// A bucket for each of those who took something lately.
#[derive(Debug)]
pub struct Buckets<K>(BTreeMap<K, Bucket>);

impl<K: Ord + Copy> Default for Buckets<K> {
    fn default() -> Self {
        Buckets::new()
    }
}

impl<K: Ord + Copy> Buckets<K> {
    /// None.
    pub fn new() -> Buckets<K> {
        Buckets(BTreeMap::new())
    }

    /// A bucket, a full one for somebody new.
    pub fn of(&mut self, now_us: u64, key: K, per_second: u64, burst: u64) -> &mut Bucket {
        if !self.0.contains_key(&key) && self.0.len() >= MAX_REMEMBERED {
            self.forget_full(now_us);
            let fullest = self.0.iter().max_by_key(|(_, bucket)| bucket.left(now_us));
            let fullest = fullest.map(|(key, _)| *key);
            if let Some(fullest) = fullest.filter(|_| self.0.len() >= MAX_REMEMBERED) {
                self.0.remove(&fullest);
            }
        }
        self.0
            .entry(key)
            .or_insert_with(|| Bucket::new(now_us, per_second, burst))
    }

    /// One that is remembered.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut Bucket> {
        self.0.get_mut(key)
    }

    /// Forgets those that are full again.
    pub fn forget_full(&mut self, now_us: u64) {
        self.0.retain(|_, bucket| !bucket.is_full(now_us));
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    const SECOND: u64 = 1_000_000;

    fn address(n: u32) -> Lineage {
        Lineage::of(IpAddr::from((0x0a00_0000 + n).to_be_bytes()))
    }

    #[test]
    fn who_takes_all_they_can_all_the_time_leaves_room_for_who_comes_first() {
        let mut rate = SharedRate::new(0, 1, 32, 4);
        let hostile: Vec<Lineage> = (0..40).map(address).collect();
        for second in 0..600u64 {
            let now = second * SECOND;
            for from in &hostile {
                let _ = rate.take(now, from);
            }
            if second % 60 == 59 {
                let late = address(1000 + second as u32);
                assert_eq!(rate.take(now, &late), Ok(()), "after {second} s");
            }
        }
    }

    #[test]
    fn one_address_has_a_part_of_the_burst() {
        let mut rate = SharedRate::new(0, 1, 32, 4);
        let took = (0..100).filter(|_| rate.take(0, &address(1)).is_ok());
        assert_eq!(took.count(), 8);
        assert_eq!(rate.take(0, &address(2)), Ok(()));
    }
}
