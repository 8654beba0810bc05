//! What the driver says: `ready`, then one JSON object of figures.

use std::{
    io::{self, BufRead, Write},
    time::Duration,
};

use anyhow::{Result, ensure};
use serde_json::{Map, Value, json};

/// Times of single requests, kept one by one: the percentiles are exact.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    /// Adds the time of one request.
    pub(crate) fn push(&mut self, latency: Duration) {
        self.0.push(latency);
    }

    /// Adds those of another client.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Milliseconds that the given share of a thousand requests did not exceed (nearest rank).
    fn per_mille(&self, share: usize) -> f64 {
        let rank = (self.0.len() * share).div_ceil(1000).max(1);
        let latency = self.0.get(rank - 1).copied().unwrap_or_default();
        latency.as_secs_f64() * 1e3
    }

    /// The fields that every report of times has.
    fn describe(mut self) -> Map<String, Value> {
        self.0.sort_unstable();
        let mut fields = Map::new();
        for (name, share) in [("p50_ms", 500), ("p99_ms", 990), ("p999_ms", 999)] {
            fields.insert(name.to_owned(), json!(self.per_mille(share)));
        }
        fields
    }
}

/// Says that everything is prepared, and waits for the word to start.
pub(crate) fn ready() -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "ready")?;
    out.flush()?;
    let mut word = String::new();
    io::stdin().lock().read_line(&mut word)?;
    ensure!(!word.is_empty(), "standard input ended before the start");
    Ok(())
}

/// Prints the figures of a run: those of the mode, and the percentiles of its latencies.
pub(crate) fn figures(fields: Value, latencies: Latencies) -> Result<()> {
    let mut all = latencies.describe();
    if let Value::Object(fields) = fields {
        all.extend(fields);
    }
    writeln!(io::stdout(), "{}", Value::Object(all))?;
    Ok(())
}

/// Prints what went wrong. With standard error gone, there is nobody to tell.
pub(crate) fn complain(words: &str) {
    let _ = writeln!(io::stderr(), "load-driver: {words}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let mut latencies = Latencies::default();
        for milliseconds in (1..=1000).rev() {
            latencies.push(Duration::from_millis(milliseconds));
        }
        let fields = latencies.describe();
        assert_eq!(fields["p50_ms"], json!(500.0));
        assert_eq!(fields["p99_ms"], json!(990.0));
        assert_eq!(fields["p999_ms"], json!(999.0));
    }

    #[test]
    fn a_run_without_a_request_has_percentiles_of_nothing() {
        assert_eq!(Latencies::default().describe()["p99_ms"], json!(0.0));
    }
}
