//! How answers become the next list.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::upstream::{
    Upstream,
    lease::Refusal,
    members::srv::{Record, targets},
    tests::{upstream, wanted},
};

const NAME: &str = "srv+http://_api._tcp.test";

fn three() -> Arc<Upstream> {
    upstream(&["http://10.0.0.8:1", NAME, "http://10.0.0.9:1"], |_| {})
}

/// What SRV records say when each target has an address, but for those of host `x`.
fn answer(records: &[(u16, &str, u16)]) -> Vec<Found> {
    let records: Vec<_> = records
        .iter()
        .map(|(priority, host, port)| Record {
            priority: *priority,
            weight: 0,
            port: *port,
            target: (*host).to_owned(),
        })
        .collect();
    let Some(targets) = targets(&records) else {
        return Vec::new();
    };
    let found = targets.list.into_iter().map(|it| Found {
        addresses: match &*it.host {
            "x" => Vec::new(),
            _ => vec![SocketAddr::from(([127, 0, 0, 1], it.port))],
        },
        rank: it.rank,
        weight: Some(it.weight),
        instance: Some(Instance::Target {
            host: it.host,
            port: it.port,
        }),
    });
    found.collect()
}

fn names(upstream: &Upstream) -> Vec<String> {
    let backends = upstream.backends();
    backends.iter().map(|it| it.name().to_string()).collect()
}

fn hear(upstream: &Upstream, records: &[(u16, &str, u16)]) -> usize {
    upstream.members.resolved(1, &answer(records)).len()
}

fn picks(upstream: &Arc<Upstream>) -> HashSet<String> {
    let pick = |_| {
        upstream
            .lease(&wanted())
            .unwrap()
            .backend()
            .name()
            .to_string()
    };
    (0..100).map(pick).collect()
}

fn target(host: &str, port: u16) -> String {
    format!("{NAME}/{host}:{port}")
}

#[tokio::test]
async fn each_target_is_a_backend_by_its_own_name() {
    let upstream = three();
    assert_eq!(
        hear(&upstream, &[(1, "a.test.", 3001), (1, "b.test.", 80)]),
        2
    );
    let expected = [
        "http://10.0.0.8:1".to_owned(),
        target("a.test", 3001),
        target("b.test", 80),
        "http://10.0.0.9:1".to_owned(),
    ];
    assert_eq!(names(&upstream), expected);
    let backends = upstream.backends();
    assert_eq!(backends[1].authority(), "a.test:3001");
    assert_eq!(backends[2].authority(), "b.test");
    assert_eq!(backends[2].host(), Some("b.test"));
    assert_eq!(upstream.meant(NAME).len(), 2);
    assert_eq!(upstream.meant(&target("b.test", 80)).len(), 1);
}

#[tokio::test]
async fn a_target_that_stays_is_the_same_backend_also_at_another_rank() {
    let upstream = three();
    hear(&upstream, &[(1, "a", 1), (2, "b", 1)]);
    let before = upstream.backends().clone();
    assert_eq!(hear(&upstream, &[(1, "b", 1), (2, "a", 1)]), 0);
    let after = upstream.backends();
    assert!(Arc::ptr_eq(&before[1], &after[2]) && Arc::ptr_eq(&before[2], &after[1]));
    assert_eq!((after[1].rank(), after[2].rank()), (0, 1));
}

#[tokio::test]
async fn a_target_whose_address_is_not_known_for_once_keeps_those_it_had() {
    let upstream = three();
    let mut found = answer(&[(1, "a", 1), (1, "b", 1)]);
    upstream.members.resolved(1, &found);
    found[0].addresses.clear();
    assert!(upstream.members.resolved(1, &found).is_empty());
    assert_eq!(upstream.backends()[1].addresses().len(), 1);
    hear(&upstream, &[(1, "a", 1), (1, "x", 1)]);
    assert_eq!(
        names(&upstream)[1..3],
        [target("a", 1), "http://10.0.0.9:1".into()]
    );
}

#[tokio::test]
async fn a_name_that_stands_for_nothing_comes_back_at_its_place() {
    let upstream = three();
    hear(&upstream, &[(0, ".", 0)]);
    assert_eq!(names(&upstream), ["http://10.0.0.8:1", "http://10.0.0.9:1"]);
    hear(&upstream, &[(1, "a", 1)]);
    assert_eq!(names(&upstream)[1], target("a", 1));
}

#[tokio::test]
async fn an_upstream_without_any_backend_refuses_and_recovers() {
    let upstream = upstream(&[NAME], |_| {});
    upstream.members.resolved(0, &answer(&[(0, ".", 0)]));
    assert_eq!(upstream.lease(&wanted()).unwrap_err(), Refusal::AllTried);
    upstream.members.resolved(0, &answer(&[(0, "a", 1)]));
    assert_eq!(picks(&upstream), [target("a", 1)].into());
}

#[tokio::test(start_paused = true)]
async fn the_next_priority_is_for_when_none_of_the_first_is_ready() {
    let upstream = upstream(&[NAME], |config| config.limits.max_requests = 1);
    let found = answer(&[(1, "a", 1), (1, "b", 1), (2, "c", 1)]);
    upstream.members.resolved(0, &found);
    assert_eq!(picks(&upstream), [target("a", 1), target("b", 1)].into());
    let busy = [(); 2].map(|()| upstream.lease(&wanted()).unwrap());
    assert_eq!(
        upstream.lease(&wanted()).unwrap_err(),
        Refusal::Full,
        "a busy one is waited for"
    );
    let refused = std::io::ErrorKind::ConnectionRefused;
    busy[0].unreachable(&refused.into());
    assert_eq!(upstream.lease(&wanted()).unwrap_err(), Refusal::Full);
    busy[1].unreachable(&refused.into());
    assert_eq!(picks(&upstream), [target("c", 1)].into());
    busy[0].reached();
    drop(busy);
    assert_eq!(picks(&upstream).len(), 1, "back to the first");
    assert!(!picks(&upstream).contains(&target("c", 1)));
}

#[tokio::test]
async fn a_client_sticks_to_its_backend_whatever_the_rank() {
    let upstream = upstream(&[NAME], |_| {});
    upstream
        .members
        .resolved(0, &answer(&[(1, "a", 1), (2, "b", 1)]));
    let mut sticky = wanted();
    sticky.sticky = Some(upstream.backends()[1].id());
    let lease = upstream.lease(&sticky).unwrap();
    assert_eq!(**lease.backend().name(), *target("b", 1));
}

#[tokio::test]
async fn first_priorities_of_several_entries_stand_beside_each_other() {
    let upstream = three();
    hear(&upstream, &[(10, "a", 1), (20, "b", 1)]);
    let expected = [
        "http://10.0.0.8:1".into(),
        target("a", 1),
        "http://10.0.0.9:1".into(),
    ];
    assert_eq!(picks(&upstream), expected.into());
}

fn records() -> impl Strategy<Value = Vec<(u16, &'static str, u16)>> {
    let host = prop::sample::select(vec!["a", "b", "c", "x", "."]);
    prop::collection::vec((1_u16..4, host, 1_u16..3), 0..8)
}

proptest! {
    #[test]
    fn a_list_is_what_the_last_answer_says_and_keeps_what_stays(
        answers in prop::collection::vec(records(), 1..6),
    ) {
        let upstream = three();
        for records in answers {
            let before = upstream.backends().clone();
            let found = answer(&records);
            let moved = upstream.members.resolved(1, &found);
            let after = upstream.backends().clone();
            prop_assert!(Arc::ptr_eq(&before[0], &after[0]));
            prop_assert!(Arc::ptr_eq(&before[before.len() - 1], &after[after.len() - 1]));
            let own = &after[1..after.len() - 1];
            let expected: Vec<_> = found.iter().filter(|it| !it.addresses.is_empty()).collect();
            prop_assert_eq!(own.len(), expected.len());
            for (backend, found) in own.iter().zip(expected) {
                prop_assert_eq!(&backend.origin().instance, &found.instance);
                prop_assert_eq!(backend.rank(), found.rank);
                prop_assert_eq!(&**backend.addresses(), &found.addresses);
                let known = before.iter().find(|it| it.name() == backend.name());
                prop_assert!(known.is_none_or(|it| Arc::ptr_eq(it, backend)));
                prop_assert_eq!(known.is_none(), moved.iter().any(|it| Arc::ptr_eq(it, backend)));
            }
            let ids: HashSet<_> = after.iter().map(|it| it.id()).collect();
            prop_assert_eq!(ids.len(), after.len());
            prop_assert!(upstream.members.resolved(1, &found).is_empty(), "the same again is no news");
            prop_assert!(Arc::ptr_eq(&after, &upstream.backends()), "nor another list");
        }
    }
}
