//! `[upstream.NAME]`: backends with weights, and balances with a key.

use portcullis::config::upstream::{Balance, HashKey};

use super::{around, good};

#[test]
fn backends_are_addresses_or_tables_with_a_weight() {
    let config = good(
        &around(
            "upstream.api = { backends = [\"unix:/run/a\", { address = \"http://b:1\", weight = 3 }, { address = \"http://c:1\" }] }",
        )
        .replace("respond = {}", "proxy = { upstream = \"api\" }"),
    );
    let backends = &config.upstreams["api"].backends;
    let shown: Vec<_> = backends.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["unix:/run/a", "http://b:1 weight 3", "http://c:1"]);
    assert_eq!(backends[0].weight, backends[2].weight);
}

#[test]
fn a_hash_has_a_key() {
    for (keys, expected) in [
        ("", HashKey::Client),
        ("hash_key = \"client\"", HashKey::Client),
        (
            "hash_key = \"header:X-Tenant\"",
            HashKey::Header("x-tenant".parse().unwrap()),
        ),
        (
            "hash_key = \"cookie:connect.sid\"",
            HashKey::Cookie(String::from("connect.sid")),
        ),
        (
            "hash_key = \"cookie:SID\"",
            HashKey::Cookie(String::from("SID")),
        ),
    ] {
        let text = around("").replace("respond = {}", "proxy = { upstream = \"api\" }");
        let config = good(&format!(
            "{text}\n[upstream.api]\nbackends = [\"http://a:1\"]\nbalance = \"hash\"\n{keys}\n"
        ));
        assert_eq!(config.upstreams["api"].balance, Balance::Hash(expected));
    }
}
