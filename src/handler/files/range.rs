//! Byte ranges of a request (RFC 9110 section 14).

use std::ops::Range;

use http::{HeaderMap, header::RANGE};

/// Ranges that one request may ask for.
const MAX_RANGES: usize = 16;

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selection {
    /// All of it: no ranges, malformed ones, or more than an honest client asks for.
    Whole,
    /// One range, not empty.
    Part(Range<u64>),
    /// Several, none empty, none over another.
    Parts(Vec<Range<u64>>),
    /// Every range lies behind the end.
    Unsatisfiable,
}

/// The ranges that a GET asks for of `length` bytes.
pub(super) fn select(headers: &HeaderMap, length: u64) -> Selection {
    let mut fields = headers.get_all(RANGE).iter();
    match (fields.next(), fields.next()) {
        (Some(field), None) => parse(field.as_bytes(), length).unwrap_or(Selection::Whole),
        // Two fields are no list: which one counts is anybody's guess.
        _ => Selection::Whole,
    }
}

fn parse(field: &[u8], length: u64) -> Option<Selection> {
    let (unit, set) = field.split_at_checked(6)?;
    // Nothing can be cut from an empty file; the whole of it is as good an answer.
    if !unit.eq_ignore_ascii_case(b"bytes=") || length == 0 {
        return None;
    }
    let mut first = None;
    let mut more = Vec::new();
    let mut asked = 0;
    for spec in set.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        if spec.is_empty() {
            continue;
        }
        asked += 1;
        if asked > MAX_RANGES {
            return None;
        }
        match (resolve(spec, length)?, &first) {
            (range, _) if range.is_empty() => {}
            (range, None) => first = Some(range),
            (range, Some(_)) => more.push(range),
        }
    }
    match first {
        None if asked == 0 => None,
        None => Some(Selection::Unsatisfiable),
        Some(range) if more.is_empty() => Some(Selection::Part(range)),
        Some(range) => {
            more.insert(0, range);
            (!overlap(&more)).then_some(Selection::Parts(more))
        }
    }
}

/// One range, empty when it cannot be satisfied; `None` when it is malformed.
fn resolve(spec: &[u8], length: u64) -> Option<Range<u64>> {
    let dash = memchr::memchr(b'-', spec)?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    if first.is_empty() {
        let suffix = number(last)?;
        return Some(length.saturating_sub(suffix)..length);
    }
    let first = number(first)?;
    let end = if last.is_empty() {
        length
    } else {
        let last = number(last)?;
        if last < first {
            return None;
        }
        last.saturating_add(1).min(length)
    };
    Some(first.min(end)..end)
}

/// Digits; what is beyond any file is beyond every file.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        Some(number.saturating_mul(10).saturating_add(digit.into()))
    })
}

fn overlap(ranges: &[Range<u64>]) -> bool {
    let mut sorted: Vec<_> = ranges
        .iter()
        .map(|range| (range.start, range.end))
        .collect();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| pair[1].0 < pair[0].1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(field: &str) -> Selection {
        parse(field.as_bytes(), 100).unwrap_or(Selection::Whole)
    }

    #[test]
    fn cuts_one_range() {
        for (field, range) in [
            ("bytes=0-0", 0..1),
            ("bytes=10-19", 10..20),
            ("Bytes=90-", 90..100),
            ("bytes=-5", 95..100),
            ("bytes=-500", 0..100),
            ("bytes=50-1000", 50..100),
            ("bytes=0-99999999999999999999999", 0..100),
            ("bytes=, 1-2 ,", 1..3),
            ("bytes=200-300, 1-2", 1..3),
        ] {
            assert_eq!(of(field), Selection::Part(range), "{field}");
        }
    }

    #[test]
    fn cuts_several_ranges_in_the_order_of_the_request() {
        assert_eq!(
            of("bytes=50-59,0-9,-1"),
            Selection::Parts(vec![50..60, 0..10, 99..100])
        );
    }

    #[test]
    fn sends_everything_to_whoever_asks_strangely() {
        for field in [
            "bytes",
            "bytes=",
            "bytes=,",
            "items=0-1",
            "bytes=5-1",
            "bytes=a-b",
            "bytes=1",
            "bytes=-",
            "bytes=+1-2",
            "bytes=0-1-2",
            "bytes= 0 - 1",
            "bytes=0-9,5-14",
            "bytes=0-,0-",
        ] {
            assert_eq!(of(field), Selection::Whole, "{field}");
        }
        let storm = format!(
            "bytes={}",
            (0..17)
                .map(|at| format!("{at}-{at}"))
                .collect::<Vec<_>>()
                .join(",")
        );
        assert_eq!(of(&storm), Selection::Whole);
    }

    #[test]
    fn refuses_what_lies_behind_the_end() {
        for field in [
            "bytes=100-",
            "bytes=-0",
            "bytes=100-200,300-",
            "bytes=99999999999999999999999-",
        ] {
            assert_eq!(of(field), Selection::Unsatisfiable, "{field}");
        }
        assert_eq!(parse(b"bytes=0-", 0), None);
    }

    proptest! {
        #[test]
        fn never_leaves_the_file(field in "bytes=[0-9,\\- ]{0,30}", length in 0_u64..50) {
            let ranges = match parse(field.as_bytes(), length) {
                Some(Selection::Part(range)) => vec![range],
                Some(Selection::Parts(ranges)) => ranges,
                _ => Vec::new(),
            };
            prop_assert!(ranges.iter().all(|range| range.start < range.end && range.end <= length));
            prop_assert!(ranges.iter().map(|range| range.end - range.start).sum::<u64>() <= length);
        }

        #[test]
        fn never_panics(field in "\\PC{0,30}", length: u64) {
            parse(field.as_bytes(), length);
        }
    }
}
