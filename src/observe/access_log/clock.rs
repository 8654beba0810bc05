//! The time of day as text. A thread makes it once a second; only the milliseconds change.

use std::{
    cell::RefCell,
    io::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

use time::OffsetDateTime;

use crate::message::text::push_padded;

thread_local! {
    // Owns nothing, so that it still works while its thread ends.
    static NOW: RefCell<Now> = const { RefCell::new(Now::UNKNOWN) };
}

/// One moment, in UTC.
#[derive(Debug)]
pub(super) struct Now {
    second: u64,
    millisecond: u32,
    rfc3339: [u8; 20],
    common: [u8; 26],
}

/// Calls `f` with the time of day.
pub(super) fn with_now(f: impl FnOnce(&Now)) {
    NOW.with_borrow_mut(|now| {
        now.turn_to(SystemTime::now());
        f(now);
    });
}

impl Now {
    const UNKNOWN: Self = Self {
        second: u64::MAX,
        millisecond: 0,
        rfc3339: *b"0000-00-00T00:00:00.",
        common: *b"00/Jan/0000:00:00:00 +0000",
    };

    /// Appends `2026-11-24T03:23:05.123Z` (RFC 3339).
    pub(super) fn push_rfc3339(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.rfc3339);
        push_padded::<3>(out, self.millisecond.into());
        out.push(b'Z');
    }

    /// Appends `24/Nov/2026:03:23:05 +0000`.
    pub(super) fn push_common(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.common);
    }

    fn turn_to(&mut self, time: SystemTime) {
        let time = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.millisecond = time.subsec_millis();
        if self.second == time.as_secs() {
            return;
        }
        self.second = time.as_secs();
        let date = i64::try_from(self.second)
            .ok()
            .and_then(|second| OffsetDateTime::from_unix_timestamp(second).ok())
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
        let (hour, minute, second) = (date.hour(), date.minute(), date.second());
        let name = MONTHS[usize::from(month - 1)];
        // Years have four digits in both formats; both fit until 9999.
        let _ = write!(
            self.rfc3339.as_mut_slice(),
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}."
        );
        let _ = write!(
            self.common.as_mut_slice(),
            "{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000"
        );
    }
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn texts(now: &Now) -> (String, String) {
        let (mut rfc3339, mut common) = (Vec::new(), Vec::new());
        now.push_rfc3339(&mut rfc3339);
        now.push_common(&mut common);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(rfc3339), text(common))
    }

    #[test]
    fn writes_a_leap_day_and_keeps_up_with_milliseconds() {
        let mut now = Now::UNKNOWN;
        let second = UNIX_EPOCH + Duration::from_secs(1_709_210_096);
        now.turn_to(second + Duration::from_millis(7));
        assert_eq!(
            texts(&now),
            (
                "2024-02-29T12:34:56.007Z".into(),
                "29/Feb/2024:12:34:56 +0000".into()
            )
        );
        now.turn_to(second + Duration::from_millis(999));
        assert_eq!(texts(&now).0, "2024-02-29T12:34:56.999Z");
        now.turn_to(second + Duration::from_secs(4));
        assert_eq!(texts(&now).0, "2024-02-29T12:35:00.000Z");
    }
}
