//! Counts of what browsers report about a site's content security policy.

use std::{
    array, fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use prometheus_client::encoding::DescriptorEncoder;

use crate::observe::metrics::table::{Entries, Families, counters};

/// Names of CSP Level 3 and of Trusted Types; a report with any other counts as the last. A name
/// that a client sends never becomes a label.
const DIRECTIVES: [&str; 23] = [
    "default-src",
    "script-src",
    "script-src-elem",
    "script-src-attr",
    "style-src",
    "style-src-elem",
    "style-src-attr",
    "img-src",
    "font-src",
    "connect-src",
    "media-src",
    "object-src",
    "frame-src",
    "child-src",
    "worker-src",
    "manifest-src",
    "base-uri",
    "form-action",
    "frame-ancestors",
    "require-trusted-types-for",
    "trusted-types",
    EXTENSION,
    OTHER,
];

/// What a visitor's browser extension did.
pub const EXTENSION: &str = "extension";
/// Every name that is not known.
const OTHER: &str = "other";

/// Counts of one site.
#[derive(Debug)]
pub struct CspMetrics {
    enforced: [AtomicU64; DIRECTIVES.len()],
    reported: [AtomicU64; DIRECTIVES.len()],
}

/// Whether the browser blocked it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Blocked.
    Enforce,
    /// Let pass, and reported.
    Report,
}

impl Disposition {
    /// As CSP Level 3 section 5.3 names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Report => "report",
        }
    }
}

impl Default for CspMetrics {
    fn default() -> Self {
        Self {
            enforced: array::from_fn(|_| AtomicU64::new(0)),
            reported: array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl CspMetrics {
    /// Counts a report; says under which name.
    pub fn count(&self, directive: &str, disposition: Disposition) -> &'static str {
        let known = DIRECTIVES.iter().position(|known| *known == directive);
        let at = known.unwrap_or(DIRECTIVES.len() - 1);
        let counts = match disposition {
            Disposition::Enforce => &self.enforced,
            Disposition::Report => &self.reported,
        };
        counts[at].fetch_add(1, Relaxed);
        DIRECTIVES[at]
    }

    /// Every count, also what has not happened yet: `rate` does not see the first event of a counter
    /// that begins with it.
    fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let of = |disposition: Disposition, counts: &[AtomicU64; DIRECTIVES.len()]| {
            array::from_fn::<_, { DIRECTIVES.len() }, _>(|at| {
                let count = counts[at].load(Relaxed);
                (DIRECTIVES[at], disposition.as_str(), count)
            })
        };
        let enforced = of(Disposition::Enforce, &self.enforced);
        let reported = of(Disposition::Report, &self.reported);
        enforced.into_iter().chain(reported)
    }
}

impl Families for CspMetrics {
    fn encode(entries: &Entries<Self>, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let samples = entries.iter().flat_map(|([site, _], counts)| {
            let labels = move |directive, disposition| {
                [
                    ("site", site.as_str()),
                    ("directive", directive),
                    ("disposition", disposition),
                ]
            };
            let counts = counts.all();
            counts
                .map(move |(directive, disposition, count)| (labels(directive, disposition), count))
        });
        counters(
            encoder,
            "csp_reports",
            "Violations of the content security policy that browsers reported",
            samples,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_it_does_not_know_as_other() {
        let counts = CspMetrics::default();
        for name in ["img-src", "img-src\nx", "", "IMG-SRC"] {
            counts.count(name, Disposition::Enforce);
        }
        counts.count("img-src", Disposition::Report);
        let seen: Vec<_> = counts.all().filter(|(_, _, count)| *count > 0).collect();
        assert_eq!(
            seen,
            [
                ("img-src", "enforce", 1),
                ("other", "enforce", 3),
                ("img-src", "report", 1)
            ]
        );
    }
}
