//! `route.rate_limit`.

use std::time::Duration;

use crate::config::{
    defaults,
    reader::{
        Read, Value, quoted,
        table::{Shape, Table},
    },
    value::unit::Rate,
};

/// `route.rate_limit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests per `period`, at least 1.
    pub requests: u32,
    /// Length of the window that `requests` is said for.
    pub period: Duration,
    /// Requests that may come at once on top of the steady rate.
    pub burst: u32,
    /// Who is counted.
    pub key: RateKey,
}

/// `rate_limit.key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateKey {
    /// The client address, IPv6 by /64.
    Client,
    /// The value of a request header (`"header:x-api-key"`); the client address without it.
    Header(http::HeaderName),
}

/// `route.rate_limit`.
pub(crate) static SHAPE: Shape = Shape {
    name: "site.route.rate_limit",
    keys: &["rate", "burst", "key"],
    reserved: &[],
};

impl RateLimit {
    /// Reads `route.rate_limit`.
    pub(crate) fn read(table: &Table<'_>) -> Option<Self> {
        let rate: Option<Rate> = table.require("rate", "\"120/min\"");
        let default = rate.map_or(1, default_burst);
        let burst = table.take_within("burst", default, &(0..=1_000_000));
        let key = table.take_or("key", RateKey::Client);
        table.finish();
        let rate = rate?;
        Some(Self {
            requests: rate.requests,
            period: rate.period,
            burst,
            key,
        })
    }
}

/// What the rate allows in [`defaults::BURST_WINDOW`], at least 1.
fn default_burst(rate: Rate) -> u32 {
    let window = u64::from(rate.requests) * defaults::BURST_WINDOW.as_secs();
    let allowed = window / rate.period.as_secs().max(1);
    u32::try_from(allowed)
        .unwrap_or(u32::MAX)
        .clamp(1, 1_000_000)
}

impl Read for RateKey {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("who is counted", "\"client\"")?;
        if text == "client" {
            return Some(Self::Client);
        }
        let help = "write `\"client\"` or `\"header:x-api-key\"`";
        let Some(name) = text.strip_prefix("header:") else {
            return value.reject(format!("unknown value {} of `key`", quoted(&text)), help);
        };
        match http::HeaderName::try_from(name.trim()) {
            Ok(name) => Some(Self::Header(name)),
            Err(_) => value.reject(format!("{} is no header name", quoted(name)), help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_ten_seconds_of_the_rate() {
        let burst = |requests, seconds| {
            default_burst(Rate {
                requests,
                period: Duration::from_secs(seconds),
            })
        };
        assert_eq!(burst(120, 60), 20);
        assert_eq!(burst(5, 60), 1);
        assert_eq!(burst(10, 1), 100);
        assert_eq!(burst(u32::MAX, 1), 1_000_000);
    }
}
