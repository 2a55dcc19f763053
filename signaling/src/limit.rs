//! How often one may ask: a token bucket for each network of who asks, in a table of bounded size.
//!
//! An IPv6 /56 may ask twice as often as an address, a /48 four times. The widest network is looked at
//! first, so that one that asks too often makes no buckets for the networks inside it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::share::{Limits, Lineage, Network};

/// Most networks remembered, those inside others counted apart. When there are more, those that have
/// long been quiet are forgotten. If there are none, strangers share one bucket: a flood from everywhere
/// slows new ones down and leaves known ones alone. A network inside one that has a bucket does without.
const MAX_NETWORKS: usize = 65_536;

/// Between two looks for networks that can be forgotten: each goes through the whole table.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// A bucket holds this many seconds' worth of requests.
const BURST_SECONDS: f64 = 4.0;

/// Limits requests of one class.
pub(crate) struct Limiter {
    /// Requests a second; none is no limit.
    rates: Option<Limits>,
    table: Mutex<Table>,
}

struct Table {
    /// The widest network of each address.
    outer: Buckets,
    /// Those inside.
    inner: Buckets,
    strangers: Bucket,
}

struct Buckets {
    all: HashMap<Network, Bucket>,
    forget_at: Instant,
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Limiter {
    /// `rate` requests a second from one address; 0 is no limit.
    pub(crate) fn new(rate: u32, now: Instant) -> Self {
        let rates = (rate > 0).then(|| Limits::parts(u64::from(rate), 1, 1));
        let buckets = || Buckets {
            all: HashMap::new(),
            forget_at: now,
        };
        Self {
            rates,
            table: Mutex::new(Table {
                outer: buckets(),
                inner: buckets(),
                strangers: Bucket {
                    left: f64::from(rate) * BURST_SECONDS,
                    at: now,
                },
            }),
        }
    }

    /// Takes one request of `from`, or says in how many seconds to come again.
    pub(crate) fn take(&self, from: &Lineage, now: Instant) -> Result<(), u64> {
        let Some(rates) = self.rates else {
            return Ok(());
        };
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let table = &mut *table;
        // Everybody together is not limited; an address always has a network.
        let (outer, inner) = match &from[1..] {
            [outer, inner @ ..] => (outer, inner),
            [] => return Ok(()),
        };
        let rate = |network: &Network| rates.of(network) as f64;
        match table.outer.of(outer, rate(outer), &rates, now) {
            Some(bucket) => bucket.wait(rate(outer), now)?,
            None => table.strangers.wait(rates.address as f64, now)?,
        }
        for network in inner {
            if let Some(bucket) = table.inner.of(network, rate(network), &rates, now) {
                bucket.wait(rate(network), now)?;
            }
        }
        // All have one: take it of each.
        let first = table.outer.all.get_mut(outer);
        first.unwrap_or(&mut table.strangers).left -= 1.0;
        for network in inner {
            if let Some(bucket) = table.inner.all.get_mut(network) {
                bucket.left -= 1.0;
            }
        }
        Ok(())
    }
}

impl Buckets {
    /// A network's bucket, a full one for a new network; none if there is no room.
    fn of(
        &mut self,
        network: &Network,
        rate: f64,
        rates: &Limits,
        now: Instant,
    ) -> Option<&mut Bucket> {
        if !self.all.contains_key(network) {
            if self.all.len() >= MAX_NETWORKS && self.forget_at <= now {
                self.forget_at = now + FORGET_EVERY;
                // Whose bucket is full again need not be remembered.
                self.all.retain(|network, bucket| {
                    let rate = rates.of(network) as f64;
                    bucket.filled(rate, now) < rate * BURST_SECONDS
                });
            }
            if self.all.len() >= MAX_NETWORKS {
                return None;
            }
            let left = rate * BURST_SECONDS;
            self.all.insert(*network, Bucket { left, at: now });
        }
        self.all.get_mut(network)
    }
}

impl Bucket {
    /// Fills it as far as it is now; if there is nothing in it, in how many seconds there is.
    fn wait(&mut self, rate: f64, now: Instant) -> Result<(), u64> {
        self.left = self.filled(rate, now);
        self.at = now;
        match self.left {
            left if left < 1.0 => Err(((1.0 - left) / rate).ceil().max(1.0) as u64),
            _ => Ok(()),
        }
    }

    fn filled(&self, rate: f64, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left + since * rate).min(rate * BURST_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv6Addr};

    fn v4(n: u32) -> Lineage {
        Lineage::of(IpAddr::V4(n.into()))
    }

    /// A host in one of a /48's networks.
    fn v6(network: u16, subnet: u16, host: u64) -> Lineage {
        let bits = u128::from(Ipv6Addr::from([0x2001, 0xdb8, network, subnet, 0, 0, 0, 0]));
        Lineage::of(IpAddr::V6((bits | u128::from(host)).into()))
    }

    fn taken(limiter: &Limiter, from: impl Iterator<Item = Lineage>, now: Instant) -> usize {
        from.filter(|from| limiter.take(from, now).is_ok()).count()
    }

    #[test]
    fn a_flood_is_refused_and_others_are_not() {
        let start = Instant::now();
        let limiter = Limiter::new(10, start);
        let flood = || (0..1000).map(|_| v4(1));
        assert_eq!(taken(&limiter, flood(), start), 40);
        assert_eq!(limiter.take(&v4(1), start), Err(1));
        assert_eq!(limiter.take(&v4(2), start), Ok(()));
        let later = start + Duration::from_secs(1);
        assert_eq!(taken(&limiter, flood(), later), 10);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_and_a_48_as_four() {
        let start = Instant::now();
        let limiter = Limiter::new(1, start);
        let one = (0..1000).map(|host| v6(1, 7, host));
        assert_eq!(taken(&limiter, one, start), 4);
        // The same /56, and then all of the /48.
        let site = (0..256).map(|subnet| v6(1, subnet, 1));
        assert_eq!(taken(&limiter, site, start), 4);
        let all = (0..u16::MAX).map(|subnet| v6(1, subnet, 1));
        assert_eq!(taken(&limiter, all, start), 8);
        assert_eq!(limiter.take(&v6(2, 0, 1), start), Ok(()));
        // It made no bucket for a network that was refused.
        assert!(limiter.table.lock().unwrap().inner.all.len() <= 20);
    }

    #[test]
    fn the_table_is_bounded_and_known_ones_are_left_alone() {
        let start = Instant::now();
        let limiter = Limiter::new(1, start);
        limiter.take(&v4(0), start).unwrap();
        for n in 1..MAX_NETWORKS as u32 {
            limiter.take(&v4(n), start).unwrap();
        }
        // A million strangers get what one address gets.
        let strangers = (0..1000).map(|n| v4(10_000_000 + n));
        assert_eq!(taken(&limiter, strangers, start), 4);
        assert_eq!(limiter.take(&v4(0), start), Ok(()));
        let len = || limiter.table.lock().unwrap().outer.all.len();
        assert_eq!(len(), MAX_NETWORKS);
        // Once the others have been quiet, there is room again.
        let later = start + Duration::from_secs(60);
        assert_eq!(limiter.take(&v4(20_000_000), later), Ok(()));
        assert_eq!(len(), 1);
    }

    #[test]
    fn a_48_that_fills_the_table_inside_slows_nobody_else() {
        let start = Instant::now();
        // So many that a /48 may ask from each of its networks.
        let limiter = Limiter::new(20_000, start);
        let hostile = (0..=u16::MAX).map(|subnet| v6(1, subnet, 1));
        assert_eq!(taken(&limiter, hostile, start), 65_536);
        let len = limiter.table.lock().unwrap().inner.all.len();
        assert_eq!(len, MAX_NETWORKS);
        // From another /48, all it may ask for.
        let honest = (0..100_000).map(|host| v6(2, 0, host));
        assert!(taken(&limiter, honest, start) >= 80_000);
        assert_eq!(limiter.take(&v4(1), start), Ok(()));
    }

    #[test]
    fn no_limit_is_no_limit() {
        let start = Instant::now();
        let limiter = Limiter::new(0, start);
        assert_eq!(taken(&limiter, (0..10_000).map(|_| v4(1)), start), 10_000);
        assert_eq!(limiter.table.lock().unwrap().outer.all.len(), 0);
    }
}
