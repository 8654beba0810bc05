//! Values with a unit: durations, sizes, rates.

use std::time::Duration;

use toml::de::DeValue;

use crate::config::reader::{Read, Value, number::Bounded, quoted};

/// A size in bytes. Units count by 1024, as in nginx.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

/// Requests per time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// At least 1.
    pub(crate) requests: u32,
    /// One second, minute, hour or day.
    pub(crate) period: Duration,
}

const DURATION_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

const SIZE_UNITS: [(&str, u32); 8] = [
    ("kib", 10),
    ("k", 10),
    ("mib", 20),
    ("m", 20),
    ("gib", 30),
    ("g", 30),
    ("b", 0),
    ("", 0),
];

/// No timeout is longer: clocks must be able to add it.
const LONGEST: Duration = Duration::from_hours(87_600);

impl Read for Duration {
    fn read(value: &Value<'_>) -> Option<Self> {
        if let DeValue::Integer(number) = value.node.get_ref() {
            return value.reject(
                format!("`{}` has no unit", value.key),
                format!("write `\"{number}s\"` for seconds, or with `ms`, `m`, `h` or `d`"),
            );
        }
        let text = value.text("a duration", "\"5s\"")?;
        match parse_duration(&text) {
            Some(duration) if duration <= LONGEST => Some(duration),
            Some(_) => value.reject(
                format!("{} is longer than ten years", quoted(&text)),
                "write a shorter duration",
            ),
            None => value.reject(
                format!("{} is no duration", quoted(&text)),
                "write a whole number and `ms`, `s`, `m`, `h` or `d`, like `\"90s\"`",
            ),
        }
    }
}

impl Bounded for Duration {
    fn show(&self) -> String {
        let millis = self.as_millis();
        let unit = DURATION_UNITS.iter().rev().find(|(_, factor)| {
            millis >= u128::from(*factor) && millis.is_multiple_of(u128::from(*factor))
        });
        match unit {
            Some((unit, factor)) => format!("\"{}{unit}\"", millis / u128::from(*factor)),
            None => String::from("\"0s\""),
        }
    }
}

impl Read for Size {
    fn read(value: &Value<'_>) -> Option<Self> {
        if let DeValue::Integer(_) = value.node.get_ref() {
            return u64::read(value).map(Self);
        }
        let text = value.text("a size", "\"1MiB\"")?;
        if let Some(size) = parse_size(&text) {
            return Some(size);
        }
        let decimal = ["kb", "mb", "gb"].iter().find_map(|unit| {
            let lower = text.to_ascii_lowercase();
            let number = lower.strip_suffix(unit)?.trim().parse::<u64>().ok()?;
            Some(format!("{number}{}iB", unit[..1].to_uppercase()))
        });
        let help = decimal.map_or_else(
            || String::from("write a whole number and `KiB`, `MiB` or `GiB`, like `\"1MiB\"`"),
            |meant| format!("write `\"{meant}\"`; units count by 1024"),
        );
        value.reject(format!("{} is no size", quoted(&text)), help)
    }
}

impl Bounded for Size {
    fn show(&self) -> String {
        for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return format!("\"{}{unit}\"", self.0 >> shift);
            }
        }
        self.0.to_string()
    }
}

impl Read for Rate {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a rate", "\"120/min\"")?;
        match parse_rate(&text) {
            Some(Self { requests: 0, .. }) => value.reject(
                "a rate of 0 lets nothing through",
                "write at least `\"1/d\"`; to refuse a path, use `respond = { status = 403 }`",
            ),
            Some(rate) => Some(rate),
            None => value.reject(
                format!("{} is no rate", quoted(&text)),
                "write a whole number, `/` and `s`, `min`, `h` or `d`, like `\"120/min\"`",
            ),
        }
    }
}

/// `"5s"`; `None` when it is not written so.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let (_, factor) = DURATION_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor).map(Duration::from_millis)
}

fn parse_size(text: &str) -> Option<Size> {
    let (number, unit) = split(text)?;
    let unit = unit.to_ascii_lowercase();
    let (_, shift) = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(1 << shift).map(Size)
}

fn parse_rate(text: &str) -> Option<Rate> {
    let (requests, unit) = text.split_once('/')?;
    let requests = requests.trim();
    if !requests.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = match unit.trim() {
        "s" | "sec" | "second" => 1,
        "m" | "min" | "minute" => 60,
        "h" | "hour" => 3_600,
        "d" | "day" => 86_400,
        _ => return None,
    };
    Some(Rate {
        requests: requests.parse().ok()?,
        period: Duration::from_secs(seconds),
    })
}

/// Digits and what follows them.
fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_with_a_unit_only() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("5s"), Some(Duration::from_secs(5)));
        assert_eq!(parse_duration("2m"), Some(Duration::from_mins(2)));
        assert_eq!(parse_duration("30d"), Some(Duration::from_hours(720)));
        for bad in [
            "",
            "5",
            "s",
            "1.5s",
            "-1s",
            "5 weeks",
            "99999999999999999999s",
        ] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
        assert_eq!(parse_duration("18446744073709551615d"), None);
    }

    #[test]
    fn reads_sizes_by_1024() {
        for (text, bytes) in [
            ("512", 512),
            ("8k", 8 << 10),
            ("64KiB", 64 << 10),
            ("1m", 1 << 20),
            ("1MiB", 1 << 20),
            ("2G", 2 << 30),
        ] {
            assert_eq!(parse_size(text), Some(Size(bytes)), "{text}");
        }
        for bad in ["", "1MB", "-1", "1.5m", "99999999999g"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }

    #[test]
    fn reads_rates() {
        let rate = |requests, seconds| {
            Some(Rate {
                requests,
                period: Duration::from_secs(seconds),
            })
        };
        assert_eq!(parse_rate("120/min"), rate(120, 60));
        assert_eq!(parse_rate("5 / s"), rate(5, 1));
        assert_eq!(parse_rate("1/day"), rate(1, 86_400));
        for bad in ["", "/s", "5", "5/w", "+5/s", "-1/s", "5r/s"] {
            assert_eq!(parse_rate(bad), None, "{bad}");
        }
    }

    #[test]
    fn shows_values_as_the_file_writes_them() {
        assert_eq!(Duration::from_secs(90).show(), "\"90s\"");
        assert_eq!(Duration::from_mins(2).show(), "\"2m\"");
        assert_eq!(Size(1 << 20).show(), "\"1MiB\"");
        assert_eq!(Size(0).show(), "0");
    }
}
