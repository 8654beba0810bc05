//! SRV names, in a build that can look them up.

use portcullis::config::{diagnostic::Severity, upstream::BackendAddress};

use crate::{around, fixtures, good, parse};

const ROUTE: &str = "\n[[site.route]]\npath = \"=/x\"\nproxy = { upstream = \"api\" }\n";

fn with(servers: &str, backend: &str) -> String {
    let upstream = format!("[upstream.api]\nbackends = [\"{backend}\"]\n");
    around(&format!("[server]\ndns = {servers}\n{upstream}")) + ROUTE
}

#[test]
fn an_upstream_of_srv_names_has_the_servers_and_others_have_none() {
    let config = good(&with(
        "[\"10.0.0.2\", \"[::1]:8600\"]",
        "srv+https://_a._tcp.test",
    ));
    let api = &config.upstreams["api"];
    let expected = ["10.0.0.2:53", "[::1]:8600"].map(|it| it.parse().unwrap());
    assert_eq!(api.dns, expected);
    let address = BackendAddress::Srv {
        tls: true,
        name: String::from("_a._tcp.test"),
    };
    assert_eq!(api.backends, [address.into()]);
    assert_eq!(api.backends[0].to_string(), "srv+https://_a._tcp.test");
    assert!(api.tls.is_some());
    let plain = good(&with("[]", "http://a.test"));
    assert!(plain.upstreams["api"].dns.is_empty());
}

#[test]
fn servers_without_an_srv_name_are_warned_of() {
    let text = with("[\"10.0.0.2\"]", "http://a.test");
    let (_, report) = parse(&fixtures(), "x.toml", &text).unwrap();
    assert_eq!(report.count(Severity::Warning), 1);
    assert!(report.diagnostics[0].message.contains("server.dns"));
}

#[test]
fn a_server_is_an_address_that_is_named_once() {
    let text = with(
        "[\"localhost\", \"10.0.0.2:0\", 53, \"10.0.0.3\", \"10.0.0.3:53\"]",
        "srv+http://_a._tcp.test",
    );
    let report = parse(&fixtures(), "x.toml", &text).unwrap_err();
    let messages: Vec<_> = report.diagnostics.iter().map(|it| &*it.message).collect();
    let expected = [
        "`localhost` is no address of a DNS server",
        "`10.0.0.2:0` is no address of a DNS server",
        "an element of `dns` is an integer, an address is wanted",
        "this DNS server is named twice",
    ];
    assert_eq!(messages, expected);
    assert!(report.diagnostics.iter().all(|it| it.help.is_some()));
}
