//! What the SRV records of a name mean (RFC 2782). The look-up itself is behind the feature `dns`; this is not.

use std::{collections::HashSet, sync::Arc};

use crate::message::host::Host;

/// One backend per record, and each is probed and has pools: a zone that holds more was not meant for one proxy.
pub const MOST: usize = 64;

/// An SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Lower ones are used first.
    pub priority: u16,
    /// Share within its priority.
    pub weight: u16,
    /// Port of the target.
    pub port: u16,
    /// Host, with or without the final dot; `.` alone says that the service is not there.
    pub target: String,
}

/// Where requests may be sent to, of one SRV name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// A host name, in lower case and without the final dot.
    pub host: Arc<str>,
    /// Port, never 0.
    pub port: u16,
    /// How many priorities stand before its own.
    pub rank: u8,
    /// Of its record.
    pub weight: u16,
}

/// What the records of a name say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// Each once, those of the first priority in front; the order of the answer does not matter.
    pub list: Vec<Target>,
    /// Records that are not used: too many, or without a host and a port.
    pub left_out: usize,
}

/// What `records` say; `None` when none of them is of use. The list is empty when a lone record says that the service
/// is not there.
pub fn targets(records: &[Record]) -> Option<Targets> {
    if let [only] = records
        && only.target == "."
    {
        return Some(Targets {
            list: Vec::new(),
            left_out: 0,
        });
    }
    let mut usable: Vec<_> = records.iter().filter_map(read).collect();
    let unusable = records.len() - usable.len();
    usable.sort_unstable();
    let mut seen = HashSet::new();
    usable.retain(|it| seen.insert((Arc::clone(&it.host), it.port)));
    let beyond = usable.len().saturating_sub(MOST);
    usable.truncate(MOST);
    let list = ranked(usable);
    (!list.is_empty()).then_some(Targets {
        list,
        left_out: unusable + beyond,
    })
}

/// In the order of use.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Usable {
    priority: u16,
    host: Arc<str>,
    port: u16,
    weight: u16,
}

/// Names of backends are shown and compared: a target must be a host like those of the configuration.
fn read(record: &Record) -> Option<Usable> {
    let host = Host::parse(&record.target).filter(|it| it.port().is_none())?;
    (record.port != 0).then(|| Usable {
        priority: record.priority,
        host: host.name().into(),
        port: record.port,
        weight: record.weight,
    })
}

fn ranked(usable: Vec<Usable>) -> Vec<Target> {
    let mut rank = 0;
    let mut priority = usable.first().map(|it| it.priority);
    let targets = usable.into_iter().map(|it| {
        if priority != Some(it.priority) {
            priority = Some(it.priority);
            rank += 1;
        }
        Target {
            host: it.host,
            port: it.port,
            rank,
            weight: it.weight,
        }
    });
    targets.collect()
}

#[cfg(test)]
mod tests;
