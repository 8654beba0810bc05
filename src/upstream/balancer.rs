//! How a backend is picked among those that may be: the algorithms behind one enum.
//!
//! None of them locks or allocates: each walks over the backends and asks which may be picked.

use std::{net::IpAddr, sync::Arc};

use crate::{
    config::upstream::Balance,
    upstream::{backend::Backend, balancer::round_robin::RoundRobin},
};

pub mod hash;
pub mod least_requests;
pub mod round_robin;

/// The algorithm of one upstream, with its state.
#[derive(Debug)]
pub enum Balancer {
    /// Each in turn.
    RoundRobin(RoundRobin),
    /// The less busy of two.
    LeastRequests,
    /// By client address.
    Hash,
}

impl Balancer {
    /// The algorithm that the configuration names.
    pub fn new(balance: Balance) -> Self {
        match balance {
            Balance::RoundRobin => Self::RoundRobin(RoundRobin::default()),
            Balance::LeastRequests => Self::LeastRequests,
            Balance::Hash => Self::Hash,
        }
    }

    /// Whether it is all the same which backend a request gets: then one may stand in for another.
    pub fn spreads(&self) -> bool {
        !matches!(self, Self::Hash)
    }

    /// Picks one of the `backends` that are `eligible`, for a client.
    pub fn pick<'a>(
        &self,
        backends: &'a [Arc<Backend>],
        client: IpAddr,
        eligible: impl Fn(&Backend) -> bool,
    ) -> Option<&'a Arc<Backend>> {
        match self {
            Self::RoundRobin(turn) => turn.pick(backends, eligible),
            Self::LeastRequests => least_requests::pick(backends, eligible),
            Self::Hash => hash::pick(backends, client, eligible),
        }
    }
}

/// The eligible backend with `rank` others before it; the last one when others have dropped out
/// since they were counted.
fn nth(
    backends: &[Arc<Backend>],
    rank: usize,
    eligible: impl Fn(&Backend) -> bool,
) -> Option<&Arc<Backend>> {
    let mut last = None;
    for (seen, backend) in backends.iter().filter(|it| eligible(it)).enumerate() {
        last = Some(backend);
        if seen == rank {
            break;
        }
    }
    last
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use crate::{
        config::upstream::BackendAddress,
        upstream::backend::{Backend, Origin},
    };

    pub(crate) fn backends(count: u16) -> Vec<Arc<Backend>> {
        (0..count)
            .map(|number| backend(3000 + number, number.into()))
            .collect()
    }

    pub(crate) fn backend(port: u16, id: usize) -> Arc<Backend> {
        let origin = Origin {
            address: BackendAddress::Tcp {
                tls: false,
                host: "127.0.0.1".to_owned(),
                port,
            },
            place: id,
            instance: None,
            lost: Arc::default(),
        };
        Arc::new(Backend::new(origin, id, 1))
    }
}
