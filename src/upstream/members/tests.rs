//! How names become backends.

use std::{collections::HashSet, net::SocketAddr};

use crate::upstream::{
    Upstream,
    tests::{resolved, upstream, wanted},
};

use super::*;

fn at(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|it| it.parse().unwrap()).collect()
}

fn names(upstream: &Upstream) -> Vec<String> {
    let backends = upstream.backends();
    backends.iter().map(|it| it.name().to_string()).collect()
}

#[tokio::test]
async fn a_name_with_several_addresses_is_one_backend_each() {
    let upstream = upstream(
        &["http://first:1", "http://app:3000", "http://last:1"],
        |_| {},
    );
    let moved = resolved(
        &upstream,
        1,
        &at(&["10.0.0.1:3000", "10.0.0.2:3000", "[fd00::1]:3000"]),
    );
    assert_eq!(moved.len(), 2);
    let expected = [
        "http://first:1",
        "http://app:3000#10.0.0.1",
        "http://app:3000#10.0.0.2",
        "http://last:1",
    ];
    assert_eq!(names(&upstream), expected);
    let ids: HashSet<_> = upstream.backends().iter().map(|it| it.id()).collect();
    assert_eq!(ids.len(), 4, "no id is given twice");
}

#[tokio::test]
async fn each_instance_of_a_name_has_its_weight() {
    let upstream = upstream(&["http://first:1", "http://app:3000"], |config| {
        config.backends[1].weight = 3.try_into().unwrap();
    });
    let found = at(&["10.0.0.1:3000", "10.0.0.2:3000"]);
    resolved(&upstream, 1, &found);
    let backends = upstream.backends();
    let weights: Vec<u16> = backends.iter().map(|it| it.weight().get()).collect();
    assert_eq!(weights, [1, 3, 3]);
}

#[tokio::test]
async fn one_machine_with_both_families_is_one_backend() {
    for (name, called, found) in [
        (
            "http://app:3000",
            "http://app:3000#10.0.0.1",
            vec!["10.0.0.1:3000", "[fd00::1]:3000", "[fd00::2]:3000"],
        ),
        (
            "http://localhost:3000",
            "http://localhost:3000",
            vec!["127.0.0.1:3000", "127.0.1.1:3000", "[::1]:3000"],
        ),
        (
            "http://Api.Localhost.:3000",
            "http://Api.Localhost.:3000",
            vec!["127.0.0.1:3000", "127.0.1.1:3000"],
        ),
    ] {
        let upstream = upstream(&[name], |_| {});
        let found = at(&found);
        resolved(&upstream, 0, &found);
        assert_eq!(names(&upstream), [called]);
        assert_eq!(**upstream.backends()[0].addresses(), found);
    }
}

#[tokio::test]
async fn counts_ipv6_addresses_where_there_are_no_others() {
    let upstream = upstream(&["http://app:3000"], |_| {});
    resolved(&upstream, 0, &at(&["[fd00::1]:3000", "[fd00::2]:3000"]));
    assert_eq!(
        names(&upstream),
        ["http://app:3000#fd00::1", "http://app:3000#fd00::2"]
    );
}

#[tokio::test]
async fn keeps_the_instances_that_stay() {
    let upstream = upstream(&["http://app:3000"], |_| {});
    resolved(&upstream, 0, &at(&["10.0.0.1:3000", "10.0.0.2:3000"]));
    let before = upstream.backends().clone();
    let shuffled = at(&["10.0.0.2:3000", "10.0.0.1:3000"]);
    assert!(resolved(&upstream, 0, &shuffled).is_empty());
    let moved = resolved(&upstream, 0, &at(&["10.0.0.2:3000", "10.0.0.3:3000"]));
    assert_eq!(moved.len(), 1);
    assert!(Arc::ptr_eq(&upstream.backends()[0], &before[1]));
    assert_eq!(names(&upstream)[1], "http://app:3000#10.0.0.3");
}

#[tokio::test]
async fn an_instance_is_the_same_whether_it_is_alone_or_not() {
    let upstream = upstream(&["http://app:3000"], |_| {});
    resolved(&upstream, 0, &at(&["10.0.0.1:3000"]));
    let alone = Arc::clone(&upstream.backends()[0]);
    resolved(&upstream, 0, &at(&["10.0.0.1:3000", "10.0.0.2:3000"]));
    assert!(Arc::ptr_eq(&upstream.backends()[0], &alone));
    let other = Arc::clone(&upstream.backends()[1]);
    resolved(&upstream, 0, &at(&["10.0.0.2:3000"]));
    assert_eq!(names(&upstream), ["http://app:3000#10.0.0.2"]);
    assert!(Arc::ptr_eq(&upstream.backends()[0], &other));
}

#[tokio::test]
async fn a_request_goes_on_though_its_backend_is_gone() {
    let upstream = upstream(&["http://app:3000"], |_| {});
    resolved(&upstream, 0, &at(&["10.0.0.1:3000", "10.0.0.2:3000"]));
    let lease = upstream.lease(&wanted()).unwrap();
    resolved(&upstream, 0, &at(&["10.0.0.3:3000"]));
    assert_eq!(names(&upstream), ["http://app:3000#10.0.0.3"]);
    assert_eq!(lease.backend().in_flight(), 1);
    lease.unreachable(&std::io::ErrorKind::ConnectionRefused.into());
    drop(lease);
    let next = upstream.lease(&wanted()).unwrap();
    assert_eq!(**next.backend().addresses(), at(&["10.0.0.3:3000"]));
}

#[tokio::test]
async fn those_who_watch_hear_of_a_change_of_the_list_alone() {
    let upstream = upstream(&["http://app:3000"], |_| {});
    let mut changes = upstream.members.changes();
    resolved(&upstream, 0, &at(&["10.0.0.1:3000", "10.0.0.2:3000"]));
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    resolved(&upstream, 0, &at(&["10.0.0.2:3000", "10.0.0.1:3000"]));
    assert!(!changes.has_changed().unwrap());
}
