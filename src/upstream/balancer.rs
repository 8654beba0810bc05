//! How a backend is picked among those that may be: the algorithms behind one enum.
//!
//! None of them locks or allocates: each walks over the backends and asks which may be picked.

use std::sync::Arc;

use http::HeaderMap;

use crate::{
    config::{
        self,
        upstream::{Balance, HashKey},
    },
    message::context::RequestContext,
    upstream::{
        backend::Backend,
        balancer::{hash::Weights, round_robin::RoundRobin},
        stopwatch::Stopwatch,
    },
};

pub mod hash;
mod key;
pub mod latency;
pub mod least_requests;
pub mod peak_ewma;
pub mod round_robin;
mod two_choices;

/// The algorithm of one upstream, with its state.
#[derive(Debug)]
pub enum Balancer {
    /// Each in turn.
    RoundRobin(RoundRobin),
    /// The less busy of two.
    LeastRequests,
    /// Where the wait is shorter, of two.
    PeakEwma,
    /// By a key of the request.
    Hash(HashKey, Weights),
}

impl Balancer {
    /// The algorithm that the configuration names.
    pub fn new(config: &config::upstream::Upstream) -> Self {
        match &config.balance {
            Balance::RoundRobin => Self::RoundRobin(RoundRobin::default()),
            Balance::LeastRequests => Self::LeastRequests,
            Balance::PeakEwma => Self::PeakEwma,
            Balance::Hash(key) => Self::Hash(key.clone(), Weights::of(&config.backends)),
        }
    }

    /// Whether it is all the same which backend a request gets: then one may stand in for another.
    pub fn spreads(&self) -> bool {
        !matches!(self, Self::Hash(..))
    }

    /// What a request is hashed by; 0 where nothing is hashed.
    pub fn key(&self, headers: &HeaderMap, context: &RequestContext) -> u64 {
        match self {
            Self::Hash(key, _) => key::of(key, headers, context),
            Self::RoundRobin(_) | Self::LeastRequests | Self::PeakEwma => 0,
        }
    }

    /// A watch for a request that begins now, which runs only where its time matters.
    pub(in crate::upstream) fn stopwatch(&self) -> Stopwatch {
        match self {
            Self::PeakEwma => Stopwatch::running(),
            Self::RoundRobin(_) | Self::LeastRequests | Self::Hash(..) => Stopwatch::default(),
        }
    }

    /// Picks one of the `backends` that are `eligible`, for a request with this [`Self::key`].
    pub fn pick<'a>(
        &self,
        backends: &'a [Arc<Backend>],
        key: u64,
        eligible: impl Fn(&Backend) -> bool,
    ) -> Option<&'a Arc<Backend>> {
        match self {
            Self::RoundRobin(turn) => turn.pick(backends, eligible),
            Self::LeastRequests => least_requests::pick(backends, eligible),
            Self::PeakEwma => peak_ewma::pick(backends, eligible),
            Self::Hash(_, weights) => hash::pick(backends, key, *weights, eligible),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{num::NonZero, sync::Arc};

    use crate::{
        config::upstream::BackendAddress,
        upstream::backend::{Backend, Origin},
    };

    pub(crate) fn backends(count: u16) -> Vec<Arc<Backend>> {
        weighing(&vec![1; usize::from(count)])
    }

    /// One backend for each weight.
    pub(crate) fn weighing(weights: &[u16]) -> Vec<Arc<Backend>> {
        let numbered = (0..).zip(weights);
        numbered
            .map(|(number, weight)| backend(3000 + number, number.into(), *weight))
            .collect()
    }

    pub(crate) fn backend(port: u16, id: usize, weight: u16) -> Arc<Backend> {
        let origin = Origin {
            address: BackendAddress::Tcp {
                tls: false,
                host: "127.0.0.1".to_owned(),
                port,
            },
            weight: NonZero::new(weight).unwrap(),
            place: id,
            instance: None,
            lost: Arc::default(),
        };
        Arc::new(Backend::new(origin, id, 1))
    }
}
