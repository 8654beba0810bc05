//! What a look-up says of the backends of one name, and how that becomes the next list. Nothing here asks or waits.

use std::{net::SocketAddr, sync::Arc};

use crate::{
    config::upstream::BackendAddress,
    upstream::{
        backend::{Backend, Instance, Origin},
        members::List,
    },
};

/// What a look-up says of one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which of those that the name stands for; `None` where it is the only one.
    pub instance: Option<Instance>,
    /// Ways to it. Empty where only its name is known: then those that it had stay, and one that is new waits for an
    /// answer that has some.
    pub addresses: Vec<SocketAddr>,
    /// Among those of its SRV name, 0 for the first priority.
    pub rank: u8,
    /// Of its SRV record; `None` where no record says one.
    pub weight: Option<u16>,
}

/// The list after an answer.
#[derive(Debug)]
pub(super) struct Merged<'a> {
    pub(super) list: List,
    /// The backends that the answer names, each with what it says.
    pub(super) heard_of: Vec<(Arc<Backend>, &'a Found)>,
}

/// Puts what the name of `origin` stands for in the place of what it stood for before. A backend that stays is the
/// same as before; `make` makes those that are new.
pub(super) fn merge<'a>(
    old: &List,
    origin: &Origin,
    found: &'a [Found],
    mut make: impl FnMut(Origin) -> Arc<Backend>,
) -> Merged<'a> {
    let (own, others): (List, List) = old
        .iter()
        .cloned()
        .partition(|it| it.origin().place == origin.place);
    let place = others.partition_point(|it| it.origin().place < origin.place);
    let mut heard_of = Vec::new();
    for one in found {
        let known = own.iter().find(|it| it.origin().instance == one.instance);
        let backend = match known {
            Some(known) => Arc::clone(known),
            None if one.addresses.is_empty() => continue,
            None => make(Origin {
                instance: one.instance.clone(),
                ..origin.clone()
            }),
        };
        heard_of.push((backend, one));
    }
    let mut list = others;
    list.splice(
        place..place,
        heard_of.iter().map(|(backend, _)| Arc::clone(backend)),
    );
    Merged { list, heard_of }
}

/// Which of the addresses `found` for a plain name, not empty, are ways to one instance.
///
/// Docker, Kubernetes and plain DNS give a name one IPv4 address per instance, so several of these are several
/// instances, and IPv6 addresses beside them are other ways to the same. With one IPv4 address all are ways to one
/// machine, as is whatever `localhost` has (RFC 6761 section 6.3). Where there is no IPv4, each IPv6 address counts.
/// An instance is told by its address also where it is the only one: it is the same when another comes.
pub(in crate::upstream) fn instances(address: &BackendAddress, found: &[SocketAddr]) -> Vec<Found> {
    if is_localhost(address) {
        return vec![plain(None, found.to_vec())];
    }
    let mut sorted = found.to_vec();
    // Answers are shuffled: what is merely in another order must not look like a change.
    sorted.sort_unstable();
    sorted.dedup();
    let (four, six): (Vec<_>, Vec<_>) = sorted.into_iter().partition(SocketAddr::is_ipv4);
    let by = |it: &SocketAddr| Some(Instance::Address(it.ip()));
    match four.as_slice() {
        [] => six.iter().map(|it| plain(by(it), vec![*it])).collect(),
        [one] => vec![plain(by(one), found.to_vec())],
        several => several.iter().map(|it| plain(by(it), vec![*it])).collect(),
    }
}

fn plain(instance: Option<Instance>, addresses: Vec<SocketAddr>) -> Found {
    Found {
        instance,
        addresses,
        rank: 0,
        weight: None,
    }
}

fn is_localhost(address: &BackendAddress) -> bool {
    match address {
        BackendAddress::Tcp { host, .. } => {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            host == "localhost" || host.ends_with(".localhost")
        }
        BackendAddress::Srv { .. } => false,
        BackendAddress::Unix(_) => true,
    }
}

#[cfg(test)]
mod tests;
