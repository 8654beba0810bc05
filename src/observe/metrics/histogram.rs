//! A histogram of times, made of atomics alone: the ready one takes a lock per sample.

use std::{
    array, fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};

/// Upper bounds in seconds, from a cached asset to the longest header timeout.
const BOUNDS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// The same in microseconds, which are compared without a conversion.
const MICROS: [u64; 15] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Times by size.
#[derive(Debug)]
pub struct Histogram {
    /// Samples at or under each bound and over the one before; the last holds the rest.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_micros: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: array::from_fn(|_| AtomicU64::new(0)),
            sum_micros: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Takes one sample.
    pub fn observe(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = MICROS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_micros.fetch_add(micros, Relaxed);
    }

    /// Writes the samples. The count is the sum of the buckets read, so that the two agree while
    /// others count on.
    pub(super) fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let mut buckets = [(f64::INFINITY, 0); BOUNDS.len() + 1];
        let mut count = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            let samples = bucket.load(Relaxed);
            let bound = BOUNDS.get(index).copied().unwrap_or(f64::INFINITY);
            buckets[index] = (bound, samples);
            count += samples;
        }
        let sum = Duration::from_micros(self.sum_micros.load(Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_a_sample_on_a_bound_under_it() {
        let histogram = Histogram::default();
        for micros in [0, 1_000, 1_001, 60_000_000, 60_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let counts: Vec<u64> = histogram.buckets.iter().map(|b| b.load(Relaxed)).collect();
        assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn has_the_same_bounds_in_both_units() {
        for (seconds, micros) in BOUNDS.iter().zip(MICROS) {
            let bound = Duration::from_secs_f64(*seconds);
            assert_eq!(bound, Duration::from_micros(micros));
        }
    }
}
