//! Token buckets: how often something may happen.

/// One token, in the bucket's own fine unit, so that refilling by microseconds needs no fractions.
const TOKEN: u64 = 1_000_000;

/// Lets `burst` things happen at once and `per_second` in the long run.
#[derive(Debug, Clone)]
pub struct Bucket {
    level: u64,
    at_us: u64,
    per_second: u64,
    burst: u64,
}

impl Bucket {
    /// A full bucket.
    pub fn new(now_us: u64, per_second: u64, burst: u64) -> Bucket {
        Bucket {
            level: burst * TOKEN,
            at_us: now_us,
            per_second,
            burst,
        }
    }

    /// Takes `tokens` if they are there.
    pub fn take(&mut self, now_us: u64, tokens: u64) -> bool {
        self.refill(now_us);
        let wanted = tokens.saturating_mul(TOKEN);
        let there = self.level >= wanted;
        if there {
            self.level -= wanted;
        }
        there
    }

    /// When so many tokens will be there.
    pub fn ready_at(&mut self, now_us: u64, tokens: u64) -> u64 {
        self.refill(now_us);
        let missing = tokens.saturating_mul(TOKEN).saturating_sub(self.level);
        now_us.saturating_add(missing.div_ceil(self.per_second.max(1)))
    }

    /// How many tokens are there.
    pub fn left(&self, now_us: u64) -> u64 {
        let mut bucket = self.clone();
        bucket.refill(now_us);
        bucket.level / TOKEN
    }

    /// Whether nothing was taken for long.
    pub fn is_full(&self, now_us: u64) -> bool {
        self.left(now_us) >= self.burst
    }

    /// What part of it was taken, of `whole`.
    pub fn taken(&self, now_us: u64, whole: u64) -> u64 {
        let taken = self.burst.saturating_sub(self.left(now_us));
        whole.saturating_mul(taken) / self.burst.max(1)
    }

    fn refill(&mut self, now_us: u64) {
        let elapsed = now_us.saturating_sub(self.at_us);
        self.at_us = self.at_us.max(now_us);
        let gained = elapsed.saturating_mul(self.per_second);
        self.level = self
            .level
            .saturating_add(gained)
            .min(self.burst.saturating_mul(TOKEN));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut bucket = Bucket::new(0, 10, 3);
        assert!((0..3).all(|_| bucket.take(0, 1)));
        assert!(!bucket.take(0, 1));
        assert_eq!(bucket.ready_at(0, 1), 100_000);
        assert!(!bucket.take(99_999, 1));
        assert!(bucket.take(100_000, 1));
        assert_eq!((0..10).filter(|_| bucket.take(u64::MAX, 1)).count(), 3);
    }
}
