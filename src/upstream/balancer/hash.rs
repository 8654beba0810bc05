//! The same client to the same backend, by rendezvous hash: each backend draws a number for the
//! client, the highest wins. When a backend leaves, only its clients move.
//!
//! The numbers depend on nothing but the names of the backends and the client address, so that
//! several proxies, and one proxy before and after a restart, agree.

use std::{cmp::Reverse, net::IpAddr, sync::Arc};

use crate::upstream::backend::Backend;

/// The backend of `client` among those that are `eligible`.
pub fn pick(
    backends: &[Arc<Backend>],
    client: IpAddr,
    eligible: impl Fn(&Backend) -> bool,
) -> Option<&Arc<Backend>> {
    let client = fold(client);
    backends
        .iter()
        .filter(|it| eligible(it))
        .max_by_key(|it| (mix(it.seed() ^ client), Reverse(it.id())))
}

/// What tells a backend from others: FNV-1a of its name.
pub(in crate::upstream) fn seed(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A number for the client. IPv6 counts by /64: within it, addresses change by the day.
fn fold(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(address) => mix(u64::from(u32::from(address))),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments().map(u64::from);
            mix(a << 48 | b << 32 | c << 16 | d).wrapping_add(1)
        }
    }
}

/// Spreads a change of one bit over all bits (the finaliser of splitmix64).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::upstream::balancer::tests::{backend, backends};

    fn clients() -> impl Iterator<Item = IpAddr> {
        (0..4000).map(|number| Ipv4Addr::from(0x0a00_0000 + number).into())
    }

    #[test]
    fn spreads_clients_evenly() {
        let backends = backends(4);
        let mut counts = [0; 4];
        for client in clients() {
            counts[pick(&backends, client, |_| true).unwrap().id()] += 1;
        }
        assert!(
            counts.iter().all(|it| (850..1150).contains(it)),
            "{counts:?}"
        );
    }

    #[test]
    fn moves_only_the_clients_of_a_backend_that_leaves() {
        let backends = backends(4);
        for client in clients() {
            let before = pick(&backends, client, |_| true).map(|it| it.id());
            let after = pick(&backends, client, |it| it.id() != 2).map(|it| it.id());
            if before == Some(2) {
                assert_ne!(after, Some(2));
            } else {
                assert_eq!(after, before);
            }
        }
    }

    #[test]
    fn keeps_a_client_when_its_ipv6_interface_changes() {
        let backends = backends(16);
        let home = |text: &str| pick(&backends, text.parse().unwrap(), |_| true).map(|it| it.id());
        assert_eq!(home("2001:db8:1:2::1"), home("2001:db8:1:2:aaaa::7"));
        assert_eq!(home("::ffff:10.1.2.3"), home("10.1.2.3"));
        assert!((0..20).any(|net| home(&format!("2001:db8:1:{net}::1")) != home("2001:db8::1")));
    }

    #[test]
    fn does_not_depend_on_the_order_of_the_backends() {
        let forward = backends(3);
        let shuffled = [backend(3002, 0), backend(3000, 1), backend(3001, 2)];
        for client in clients().take(200) {
            let one = pick(&forward, client, |_| true).unwrap();
            let other = pick(&shuffled, client, |_| true).unwrap();
            assert_eq!(one.name(), other.name());
        }
    }
}
