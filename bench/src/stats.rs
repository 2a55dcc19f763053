//! Samples and what is said of them.

use std::time::Duration;

/// Measured values, in the order they came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds a time, in milliseconds.
    pub fn add(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64() * 1000.0);
    }

    /// Adds a value in whatever unit the others have.
    pub fn add_value(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Adds all of another's.
    pub fn extend(&mut self, other: &Samples) {
        self.0.extend(&other.0);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The smallest value that `percent` of them are not above (nearest rank). `None` without samples.
    pub fn percentile(&self, percent: f64) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.max(1) - 1).copied()
    }

    /// Half are not above it. `None` without samples.
    pub fn median(&self) -> Option<f64> {
        self.percentile(50.0)
    }

    /// The smallest and the largest.
    pub fn range(&self) -> Option<(f64, f64)> {
        let low = self.0.iter().copied().min_by(f64::total_cmp)?;
        Some((low, self.0.iter().copied().max_by(f64::total_cmp)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: impl IntoIterator<Item = f64>) -> Samples {
        Samples(values.into_iter().collect())
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let hundred = samples((1..=100).rev().map(f64::from));
        assert_eq!(hundred.median(), Some(50.0));
        assert_eq!(hundred.percentile(99.0), Some(99.0));
        assert_eq!(hundred.percentile(100.0), Some(100.0));
        assert_eq!(hundred.percentile(0.0), Some(1.0));
        assert_eq!(samples([3.0, 1.0, 2.0]).median(), Some(2.0));
        assert_eq!(samples([]).median(), None);
    }

    #[test]
    fn the_range_is_from_the_smallest_to_the_largest() {
        assert_eq!(samples([3.0, 1.0, 2.0]).range(), Some((1.0, 3.0)));
        assert_eq!(samples([]).range(), None);
    }

    #[test]
    fn times_count_in_milliseconds() {
        let mut samples = Samples::default();
        samples.add(Duration::from_micros(1500));
        assert_eq!(samples, Samples(vec![1.5]));
    }
}
