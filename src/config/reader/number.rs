//! Integers, fractions and status codes.

use std::ops::RangeInclusive;

use http::StatusCode;
use toml::de::DeValue;

use super::{Read, Value};

/// A value with an order, so that bounds can be said and shown.
pub(crate) trait Bounded: Read + PartialOrd {
    /// As the file writes it.
    fn show(&self) -> String;
}

/// Pushes a fault where `found` is outside `range`.
pub(crate) fn within<T: Bounded>(
    value: &Value<'_>,
    found: T,
    range: &RangeInclusive<T>,
) -> Option<T> {
    let key = value.key;
    let written = found.show();
    if found < *range.start() {
        let least = range.start().show();
        return value.reject(
            format!("`{key}` is {written}, less than the least of {least}"),
            format!("write `{key} = {least}` or more"),
        );
    }
    if found > *range.end() {
        let most = range.end().show();
        return value.reject(
            format!("`{key}` is {written}, more than the most of {most}"),
            format!("write `{key} = {most}` or less"),
        );
    }
    Some(found)
}

macro_rules! whole_numbers {
    ($($kind:ty),*) => {$(
        impl Read for $kind {
            fn read(value: &Value<'_>) -> Option<Self> {
                let DeValue::Integer(written) = value.node.get_ref() else {
                    return value.wrong_type("a whole number", "10");
                };
                match Self::from_str_radix(written.as_str(), written.radix()) {
                    Ok(number) => Some(number),
                    Err(_) => value.reject(
                        format!("`{}` is {written}, which is out of range", value.key),
                        format!("write a whole number from 0 to {}", Self::MAX),
                    ),
                }
            }
        }

        impl Bounded for $kind {
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

whole_numbers!(u16, u32, u64, usize);

impl Read for f64 {
    fn read(value: &Value<'_>) -> Option<Self> {
        let parsed = match value.node.get_ref() {
            DeValue::Float(written) => written.as_str().parse().ok(),
            DeValue::Integer(_) => return u32::read(value).map(Self::from),
            _ => None,
        };
        match parsed.filter(|number: &Self| number.is_finite()) {
            Some(number) => Some(number),
            None => value.wrong_type("a finite number", "0.2"),
        }
    }
}

impl Bounded for f64 {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Read for StatusCode {
    fn read(value: &Value<'_>) -> Option<Self> {
        let number = u64::read(value)?;
        let status = u16::try_from(number)
            .ok()
            .filter(|it| (200..600).contains(it));
        match status.and_then(|number| Self::from_u16(number).ok()) {
            Some(status) => Some(status),
            None => value.reject(
                format!("{number} is no status code of a final response"),
                "write a number from 200 to 599",
            ),
        }
    }
}
