//! How often one address may ask: a token bucket for each, in a table of bounded size.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Most addresses remembered. When there are more, those that have long been quiet are forgotten,
/// and if there are none, strangers share one bucket: a flood from everywhere slows new ones down
/// and leaves known ones alone.
const MAX_ADDRESSES: usize = 65_536;

/// A bucket holds this many seconds' worth of requests.
const BURST_SECONDS: f64 = 4.0;

/// Limits requests of one class.
pub(crate) struct Limiter {
    /// Requests a second; none is no limit.
    rate: Option<f64>,
    table: Mutex<Table>,
}

struct Table {
    buckets: HashMap<IpAddr, Bucket>,
    strangers: Bucket,
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Limiter {
    /// `rate` requests a second from one address; 0 is no limit.
    pub(crate) fn new(rate: u32, now: Instant) -> Self {
        let rate = (rate > 0).then(|| f64::from(rate));
        let full = Bucket {
            left: rate.unwrap_or(0.0) * BURST_SECONDS,
            at: now,
        };
        Self {
            rate,
            table: Mutex::new(Table {
                buckets: HashMap::new(),
                strangers: full,
            }),
        }
    }

    /// Takes one request of `from`, or says in how many seconds to come again.
    pub(crate) fn take(&self, from: IpAddr, now: Instant) -> Result<(), u64> {
        let Some(rate) = self.rate else {
            return Ok(());
        };
        let burst = rate * BURST_SECONDS;
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let table = &mut *table;
        let from = neighbourhood(from);
        let known = table.buckets.contains_key(&from);
        if !known && table.buckets.len() >= MAX_ADDRESSES {
            // Whose bucket is full again need not be remembered.
            table
                .buckets
                .retain(|_, bucket| bucket.filled(rate, burst, now) < burst);
        }
        let bucket = match known || table.buckets.len() < MAX_ADDRESSES {
            true => table.buckets.entry(from).or_insert(Bucket {
                left: burst,
                at: now,
            }),
            false => &mut table.strangers,
        };
        let left = bucket.filled(rate, burst, now);
        bucket.at = now;
        if left < 1.0 {
            bucket.left = left;
            return Err(((1.0 - left) / rate).ceil().max(1.0) as u64);
        }
        bucket.left = left - 1.0;
        Ok(())
    }
}

impl Bucket {
    fn filled(&self, rate: f64, burst: f64, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left + since * rate).min(burst)
    }
}

/// What counts as one address: an IPv6 subscriber has at least a /64.
pub(crate) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let network = v6.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn v4(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn a_flood_is_refused_and_others_are_not() {
        let start = Instant::now();
        let limiter = Limiter::new(10, start);
        let taken = (0..1000)
            .filter(|_| limiter.take(v4(1), start).is_ok())
            .count();
        assert_eq!(taken, 40);
        assert_eq!(limiter.take(v4(1), start), Err(1));
        assert_eq!(limiter.take(v4(2), start), Ok(()));
        let later = start + Duration::from_secs(1);
        let taken = (0..1000)
            .filter(|_| limiter.take(v4(1), later).is_ok())
            .count();
        assert_eq!(taken, 10);
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let start = Instant::now();
        let limiter = Limiter::new(1, start);
        let taken = (0..1000u128)
            .filter(|n| {
                let host = Ipv6Addr::from_bits((0x2001_0db8 << 96) | n);
                limiter.take(host.into(), start).is_ok()
            })
            .count();
        assert_eq!(taken, 4);
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(
            neighbourhood(mapped),
            "192.0.2.1".parse::<IpAddr>().unwrap()
        );
    }

    #[test]
    fn the_table_is_bounded_and_known_ones_are_left_alone() {
        let start = Instant::now();
        let limiter = Limiter::new(1, start);
        limiter.take(v4(0), start).unwrap();
        for n in 1..MAX_ADDRESSES as u32 {
            limiter.take(v4(n), start).unwrap();
        }
        // A million strangers get what one address gets.
        let strangers = (0..1000)
            .filter(|n| limiter.take(v4(10_000_000 + n), start).is_ok())
            .count();
        assert_eq!(strangers, 4);
        assert_eq!(limiter.take(v4(0), start), Ok(()));
        assert_eq!(limiter.table.lock().unwrap().buckets.len(), MAX_ADDRESSES);
        // Once the others have been quiet, there is room again.
        let later = start + Duration::from_secs(60);
        assert_eq!(limiter.take(v4(20_000_000), later), Ok(()));
        assert_eq!(limiter.table.lock().unwrap().buckets.len(), 1);
    }

    #[test]
    fn no_limit_is_no_limit() {
        let start = Instant::now();
        let limiter = Limiter::new(0, start);
        assert!((0..10_000).all(|_| limiter.take(v4(1), start).is_ok()));
        assert_eq!(limiter.table.lock().unwrap().buckets.len(), 0);
    }
}
