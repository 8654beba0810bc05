//! Counts of a listener: its connections.

use std::{
    fmt,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

use prometheus_client::encoding::DescriptorEncoder;

use crate::observe::metrics::table::{Entries, Families, counters, gauges};

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP in the clear.
    Plain,
    /// HTTP over TLS.
    Tls,
}

impl Protocol {
    /// Value of the label `tls`.
    pub(super) fn as_label(self) -> &'static str {
        match self {
            Self::Plain => "false",
            Self::Tls => "true",
        }
    }
}

/// Counts of one listener.
#[derive(Debug, Default)]
pub struct ListenerMetrics {
    open: AtomicI64,
    accepted: AtomicU64,
    refused: AtomicU64,
}

impl ListenerMetrics {
    /// A connection was accepted; pairs with [`Self::closed`].
    pub fn opened(&self) {
        self.open.fetch_add(1, Relaxed);
        self.accepted.fetch_add(1, Relaxed);
    }

    /// An accepted connection is gone.
    pub fn closed(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    /// A connection was ended because of a request head that is malformed, too large or too slow.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }
}

impl Families for ListenerMetrics {
    fn encode(entries: &Entries<Self>, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let listeners = || {
            entries.iter().map(|([listener, tls], counts)| {
                ([("listener", listener.as_str()), ("tls", tls)], counts)
            })
        };
        gauges(
            encoder,
            "connections_open",
            "Client connections that are open",
            listeners().map(|(labels, counts)| (labels, counts.open.load(Relaxed))),
        )?;
        counters(
            encoder,
            "connections",
            "Client connections that were accepted",
            listeners().map(|(labels, counts)| (labels, counts.accepted.load(Relaxed))),
        )?;
        counters(
            encoder,
            "connections_refused",
            "Client connections that were ended because of a malformed, too large or too slow request head",
            listeners().map(|(labels, counts)| (labels, counts.refused.load(Relaxed))),
        )
    }
}
