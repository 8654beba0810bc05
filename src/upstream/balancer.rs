//! How a backend is picked among those that may be: the algorithms behind one enum.
//!
//! None of them locks or allocates: each walks over the backends and asks which may be picked.

use std::net::IpAddr;

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

    /// Picks one of the `backends` that are `eligible`, for a client.
    pub fn pick(
        &self,
        backends: &[Backend],
        client: IpAddr,
        eligible: impl Fn(&Backend) -> bool,
    ) -> Option<usize> {
        match self {
            Self::RoundRobin(turn) => turn.pick(backends, eligible),
            Self::LeastRequests => least_requests::pick(backends, eligible),
            Self::Hash => hash::pick(backends, client, eligible),
        }
    }
}

/// The place of the eligible backend with `rank` others before it; the last one when others have
/// dropped out since they were counted.
fn nth(backends: &[Backend], rank: usize, eligible: impl Fn(&Backend) -> bool) -> Option<usize> {
    let mut last = None;
    for (seen, backend) in backends.iter().filter(|it| eligible(it)).enumerate() {
        last = Some(backend.index());
        if seen == rank {
            break;
        }
    }
    last
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::{config::upstream::BackendAddress, upstream::backend::Backend};

    pub(crate) fn backends(count: u16) -> Vec<Backend> {
        (0..count)
            .map(|number| {
                let address = BackendAddress::Tcp {
                    tls: false,
                    host: "127.0.0.1".to_owned(),
                    port: 3000 + number,
                };
                Backend::new(address, number.into(), 1)
            })
            .collect()
    }
}
