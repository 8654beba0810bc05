//! When a certificate should be renewed, and how long it still lives.

use std::time::{Duration, SystemTime};

use crate::certs::info::Info;

const DAY: Duration = Duration::from_hours(24);

/// The longest warning. It is the usual distance between a renewal that failed and the end.
const LONGEST_WARNING: Duration = Duration::from_hours(30 * 24);

/// From when on the end is worth a warning: one third of the lifetime before it, at most 30 days.
///
/// Short-lived certificates live for days, so that a fixed number of days would warn always.
pub fn warning_time(info: &Info) -> SystemTime {
    let lifetime = info.not_after.duration_since(info.not_before);
    let warning = (lifetime.unwrap_or(Duration::ZERO) / 3).min(LONGEST_WARNING);
    info.not_after
        .checked_sub(warning)
        .unwrap_or(info.not_after)
}

/// Whole days until the end, rounded down; negative after it.
pub fn days_left(info: &Info, now: SystemTime) -> i64 {
    let days = |span: Duration| i64::try_from(span.as_secs() / DAY.as_secs()).unwrap_or(i64::MAX);
    match info.not_after.duration_since(now) {
        Ok(left) => days(left),
        Err(over) => -1 - days(over.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::info::KeyKind;

    fn info(days: u32) -> Info {
        let not_before = SystemTime::UNIX_EPOCH + 1000 * DAY;
        Info {
            names: Vec::new(),
            issuer: String::new(),
            subject: String::new(),
            not_before,
            not_after: not_before + days * DAY,
            key: KeyKind::EcdsaP256,
            self_signed: false,
        }
    }

    #[test]
    fn warns_a_third_of_the_lifetime_before_the_end_but_at_most_thirty_days() {
        let short = info(6);
        assert_eq!(warning_time(&short), short.not_after - 2 * DAY);
        let usual = info(90);
        assert_eq!(warning_time(&usual), usual.not_after - 30 * DAY);
        let long = info(397);
        assert_eq!(warning_time(&long), long.not_after - 30 * DAY);
    }

    #[test]
    fn counts_days_down_past_zero() {
        let info = info(10);
        assert_eq!(days_left(&info, info.not_before), 10);
        assert_eq!(days_left(&info, info.not_after - DAY / 2), 0);
        assert_eq!(days_left(&info, info.not_after + DAY / 2), -1);
    }

    #[test]
    fn survives_a_certificate_that_ends_before_it_begins() {
        let mut odd = info(10);
        odd.not_after = odd.not_before - DAY;
        assert_eq!(warning_time(&odd), odd.not_after);
    }
}
