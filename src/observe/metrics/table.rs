//! Handles by label values, and how a family of them is written.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet},
    metrics::MetricType,
};

/// Handles by two label values. One whose last user is gone leaves the page, so that a backend
/// removed by a reload is not reported as down for ever.
#[derive(Debug)]
pub(super) struct Table<V> {
    entries: Mutex<BTreeMap<[String; 2], Arc<V>>>,
}

/// What can be written as metric families.
pub(super) trait Families: Sized {
    /// Writes each family with the samples of every entry.
    fn encode(entries: &Entries<Self>, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result;
}

/// Label values and handles, sorted.
pub(super) type Entries<V> = BTreeMap<[String; 2], Arc<V>>;

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
        }
    }
}

impl<V: Default> Table<V> {
    /// The handle with these values, made at its first use.
    pub(super) fn entry(&self, [first, second]: [&str; 2]) -> Arc<V> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let key = [first.to_owned(), second.to_owned()];
        Arc::clone(entries.entry(key).or_default())
    }
}

impl<V: Families + fmt::Debug + Send + Sync + 'static> Collector for Table<V> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let entries = {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries.retain(|_, handle| Arc::strong_count(handle) > 1);
            entries.clone()
        };
        if entries.is_empty() {
            return Ok(());
        }
        V::encode(&entries, &mut encoder)
    }
}

/// Writes a counter family; `_total` is added to its name.
pub(super) fn counters<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl Iterator<Item = (L, u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in samples {
        family
            .encode_family(&labels)?
            .encode_counter::<L, _, u64>(&value, None)?;
    }
    Ok(())
}

/// Writes a gauge family.
pub(super) fn gauges<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl Iterator<Item = (L, i64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in samples {
        family.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}
