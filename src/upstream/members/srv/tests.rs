//! What SRV records mean.

use proptest::prelude::*;

use super::*;

fn record(priority: u16, port: u16, target: &str) -> Record {
    Record {
        priority,
        weight: 1,
        port,
        target: target.to_owned(),
    }
}

fn shown(targets: &Targets) -> Vec<String> {
    let list = targets.list.iter();
    list.map(|it| format!("{} {}:{}", it.rank, it.host, it.port))
        .collect()
}

#[test]
fn counts_priorities_from_the_lowest_that_is_there() {
    let targets = targets(&[
        record(900, 1, "c.test."),
        record(10, 2, "b.test."),
        record(10, 1, "B.test."),
        record(20, 1, "a.test"),
    ]);
    let expected = ["0 b.test:1", "0 b.test:2", "1 a.test:1", "2 c.test:1"];
    assert_eq!(shown(&targets.unwrap()), expected);
}

#[test]
fn a_lone_dot_says_that_there_is_none() {
    assert_eq!(targets(&[record(0, 0, ".")]).unwrap().list, []);
    let beside_others = targets(&[record(0, 0, "."), record(5, 1, "a.test.")]).unwrap();
    assert_eq!(shown(&beside_others), ["0 a.test:1"]);
    assert_eq!(targets(&[record(0, 0, "."), record(1, 0, ".")]), None);
}

#[test]
fn leaves_out_what_is_no_host_with_a_port() {
    assert_eq!(targets(&[]), None);
    for bad in [
        "a b.test.",
        "a\\032b.test.",
        "x\"y.test.",
        "a/b.",
        "é.test.",
    ] {
        assert_eq!(targets(&[record(0, 1, bad)]), None, "{bad}");
    }
    let answer = targets(&[
        record(0, 0, "a.test."),
        record(0, 1, "a/b."),
        record(0, 1, "b.test."),
    ]);
    let answer = answer.unwrap();
    assert_eq!(shown(&answer), ["0 b.test:1"]);
    assert_eq!(answer.left_out, 2);
}

#[test]
fn a_target_counts_once_by_its_best_priority() {
    let answer = targets(&[
        record(2, 1, "a.test."),
        record(1, 1, "A.test"),
        record(1, 1, "a.test."),
    ]);
    let answer = answer.unwrap();
    assert_eq!(shown(&answer), ["0 a.test:1"]);
    assert_eq!(answer.left_out, 0);
}

#[test]
fn takes_64_targets_of_the_first_priorities() {
    let records: Vec<_> = (0..70)
        .map(|number| record(70 - number, 1 + number, "a.test."))
        .collect();
    let answer = targets(&records).unwrap();
    assert_eq!(answer.list.len(), MOST);
    assert_eq!(answer.left_out, 6);
    assert_eq!((answer.list[0].port, answer.list[63].port), (70, 7));
    assert_eq!(answer.list[63].rank, 63);
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let one = (0_u16..4, 0_u16..3, 0_u16..6, "[ab]{1,2}[.]?|[.]|.{0,4}");
    let one = one.prop_map(|(priority, weight, port, target)| Record {
        priority,
        weight,
        port,
        target,
    });
    prop::collection::vec(one, 0..90)
}

proptest! {
    #[test]
    fn the_order_of_the_answer_does_not_matter(records in records().prop_flat_map(|it| {
        (Just(it.clone()), Just(it).prop_shuffle())
    })) {
        let (one, other) = records;
        prop_assert_eq!(targets(&one), targets(&other));
    }

    #[test]
    fn is_bounded_ordered_and_without_gaps(records in records()) {
        if let Some(Targets { list, left_out }) = targets(&records) {
            prop_assert!(list.len() <= MOST);
            prop_assert!(list.len() + left_out <= records.len());
            let ranks: Vec<_> = list.iter().map(|it| it.rank).collect();
            prop_assert!(ranks.first().is_none_or(|it| *it == 0));
            prop_assert!(ranks.windows(2).all(|it| it[1] == it[0] || it[1] == it[0] + 1));
            let names: HashSet<_> = list.iter().map(|it| (&it.host, it.port)).collect();
            prop_assert_eq!(names.len(), list.len());
            prop_assert!(list.iter().all(|it| it.port != 0 && !it.host.ends_with('.')));
        }
    }
}
