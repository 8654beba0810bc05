//! The same key to the same backend, by rendezvous hash: each backend draws a number for the key, the
//! highest wins. When a backend leaves, only its keys move.
//!
//! The numbers depend on nothing but the names and weights of the backends and the key, so that several
//! proxies, and one proxy before and after a restart, agree.

use std::{cmp::Reverse, net::IpAddr, num::NonZero, sync::Arc};

use crate::{config, upstream::backend::Backend};

/// How the numbers of backends are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// All weigh the same: as they are.
    Equal,
    /// Each by its weight.
    Different,
}

impl Weights {
    /// Of these backends.
    pub fn of(backends: &[config::upstream::Backend]) -> Self {
        let mut pairs = backends.windows(2);
        // SRV records bring weights of their own.
        let is_plain = backends.iter().all(|it| !it.address.is_srv());
        if is_plain && pairs.all(|pair| pair[0].weight == pair[1].weight) {
            Self::Equal
        } else {
            Self::Different
        }
    }
}

/// The backend of `key` among those that are `eligible`.
pub fn pick(
    backends: &[Arc<Backend>],
    key: u64,
    weights: Weights,
    eligible: impl Fn(&Backend) -> bool,
) -> Option<&Arc<Backend>> {
    let candidates = backends.iter().filter(|it| eligible(it));
    let number = |it: &Backend| mix(it.seed() ^ key);
    match weights {
        Weights::Equal => candidates.max_by_key(|it| (number(it), Reverse(it.id()))),
        Weights::Different => candidates
            .map(|it| (score(number(it), it.weight()), it))
            .max_by(|(one, this), (other, that)| {
                let order = one.total_cmp(other);
                order.then(that.id().cmp(&this.id()))
            })
            .map(|(_, it)| it),
    }
}

/// Highest as often as the weight says, for numbers that are spread evenly: `-weight / ln(u)`, the
/// weighted rendezvous of Schindelhauer and Schomaker. Where weights are equal it orders as the numbers
/// do. Another machine's `ln` may differ in its last bit, which no two scores do.
fn score(number: u64, weight: NonZero<u16>) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "52 bits are left, and the half after them"
    )]
    let fraction = ((number >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
    -f64::from(weight.get()) / fraction.ln()
}

/// What tells a backend from others: FNV-1a of its name.
pub(in crate::upstream) fn seed(name: &str) -> u64 {
    fnv(name.as_bytes())
}

/// The key of a text.
pub fn text(text: &[u8]) -> u64 {
    mix(fnv(text))
}

/// The key of a client. IPv6 counts by /64: within it, addresses change by the day.
pub fn client(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(address) => mix(u64::from(u32::from(address))),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments().map(u64::from);
            mix(a << 48 | b << 32 | c << 16 | d).wrapping_add(1)
        }
    }
}

fn fnv(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
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
    use crate::upstream::balancer::tests::{backend, backends, weighing};

    fn clients() -> impl Iterator<Item = u64> {
        (0..4000).map(|number| client(Ipv4Addr::from(0x0a00_0000 + number).into()))
    }

    #[test]
    fn spreads_clients_evenly() {
        let backends = backends(4);
        let mut counts = [0; 4];
        for client in clients() {
            counts[pick(&backends, client, Weights::Equal, |_| true)
                .unwrap()
                .id()] += 1;
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
            let before = pick(&backends, client, Weights::Equal, |_| true).map(|it| it.id());
            let after =
                pick(&backends, client, Weights::Equal, |it| it.id() != 2).map(|it| it.id());
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
        let home = |text: &str| {
            pick(
                &backends,
                client(text.parse().unwrap()),
                Weights::Equal,
                |_| true,
            )
            .map(|it| it.id())
        };
        assert_eq!(home("2001:db8:1:2::1"), home("2001:db8:1:2:aaaa::7"));
        assert_eq!(home("::ffff:10.1.2.3"), home("10.1.2.3"));
        assert!((0..20).any(|net| home(&format!("2001:db8:1:{net}::1")) != home("2001:db8::1")));
    }

    #[test]
    fn does_not_depend_on_the_order_of_the_backends() {
        let forward = backends(3);
        let shuffled = [
            backend(3002, 0, 1),
            backend(3000, 1, 1),
            backend(3001, 2, 1),
        ];
        for client in clients().take(200) {
            let one = pick(&forward, client, Weights::Equal, |_| true).unwrap();
            let other = pick(&shuffled, client, Weights::Equal, |_| true).unwrap();
            assert_eq!(one.name(), other.name());
        }
    }

    fn home(backends: &[Arc<Backend>], client: u64) -> usize {
        let picked = pick(backends, client, Weights::Different, |_| true);
        picked.unwrap().id()
    }

    #[test]
    fn spreads_clients_by_weight() {
        let backends = weighing(&[1, 2, 5]);
        let mut counts = [0; 3];
        for client in clients() {
            counts[home(&backends, client)] += 1;
        }
        assert!((420..580).contains(&counts[0]), "{counts:?}");
        assert!((900..1100).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn puts_clients_where_it_did_without_weights_when_all_weigh_the_same() {
        for weight in [1, 7, 1000] {
            let backends = weighing(&[weight; 5]);
            for client in clients() {
                let as_numbers = pick(&backends, client, Weights::Equal, |_| true);
                assert_eq!(Some(home(&backends, client)), as_numbers.map(|it| it.id()));
            }
        }
    }

    #[test]
    fn moves_only_clients_that_a_heavier_backend_takes() {
        let (before, after) = (weighing(&[2, 2, 3]), weighing(&[2, 4, 3]));
        let mut moved = 0;
        for client in clients() {
            let (from, to) = (home(&before, client), home(&after, client));
            if from != to {
                assert_eq!(to, 1);
                moved += 1;
            }
        }
        // From 2 of 7 to 4 of 9.
        assert!((500..780).contains(&moved), "{moved}");
    }

    #[test]
    fn every_number_has_a_score() {
        for number in [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
            let score = score(number, NonZero::<u16>::MIN);
            assert!(score.is_finite() && score > 0.0, "{number}: {score}");
        }
    }

    #[test]
    fn is_the_same_in_every_version() {
        let backends = weighing(&[1; 5]);
        let of = |key| pick(&backends, key, Weights::Equal, |_| true).unwrap().id();
        let clients = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "10.0.0.1"];
        let homes = clients.map(|it| of(client(it.parse().unwrap())));
        assert_eq!(homes, [3, 1, 0, 2]);
        assert_eq!(
            ["acme", "globex", "1", "2"].map(|it| of(text(it.as_bytes()))),
            [0, 0, 2, 1]
        );
    }

    #[test]
    fn spreads_texts_that_differ_little() {
        let backends = weighing(&[1; 4]);
        let mut counts = [0; 4];
        for number in 0..4000 {
            let key = text(format!("tenant-{number}").as_bytes());
            counts[pick(&backends, key, Weights::Equal, |_| true).unwrap().id()] += 1;
        }
        assert!(
            counts.iter().all(|it| (850..1150).contains(it)),
            "{counts:?}"
        );
    }
}
