//! What is read from peers and told to backends.

use std::rc::Rc;

use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::message::context::TlsInfo;

fn connection(peer: &str, tls: bool) -> ConnectionInfo {
    ConnectionInfo {
        peer: SocketAddr::new(peer.parse().unwrap(), 50000),
        local: SocketAddr::from(([127, 0, 0, 1], 443)),
        worker: 0,
        tls: tls.then_some(TlsInfo {
            version: "TLSv1.3",
            cipher: "TLS13_AES_128_GCM_SHA256",
            server_name: None,
        }),
    }
}

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    headers
}

fn trusted() -> TrustedProxies {
    TrustedProxies::new(&["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
}

fn client(peer: &str, fields: &[(&str, &str)]) -> (String, Scheme) {
    let client = read(&headers(fields), &connection(peer, false), &trusted());
    (client.address.to_string(), client.scheme)
}

fn written(peer: &str, host: Option<&str>, fields: &[(&str, &str)]) -> HeaderMap {
    let mut request = http::Request::new(());
    *request.headers_mut() = headers(fields);
    let connection = Rc::new(connection(peer, true));
    let host = host.map(|host| Host::parse(host).unwrap());
    let context = RequestContext::new(connection.clone(), &request, host);
    let client = read(request.headers(), &connection, &trusted());
    context.client.set(client).unwrap();
    let mut written = Vec::new();
    write(&mut written, &context);
    let mut all = HeaderMap::new();
    for (name, value) in request.headers() {
        if !is_replaced(name.as_str(), &context) {
            all.append(name, value.clone());
        }
    }
    for line in String::from_utf8(written).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        all.extend(headers(&[(name, value)]));
    }
    all
}

#[test]
fn believes_nothing_that_an_untrusted_peer_says() {
    let fields = [
        ("x-forwarded-for", "6.6.6.6"),
        ("forwarded", "for=6.6.6.6;proto=https"),
        ("x-forwarded-proto", "https"),
    ];
    assert_eq!(
        client("203.0.113.9", &fields),
        ("203.0.113.9".into(), Scheme::Http)
    );
}

#[test]
fn walks_to_the_first_untrusted_address_from_the_right() {
    let fields = [
        ("x-forwarded-for", "6.6.6.6, 203.0.113.7"),
        ("x-forwarded-for", "10.0.0.9"),
        ("x-forwarded-proto", "https"),
    ];
    assert_eq!(
        client("10.0.0.1", &fields),
        ("203.0.113.7".into(), Scheme::Https)
    );
}

#[test]
fn ends_at_the_last_good_entry_when_one_is_malformed() {
    let entry = |list| client("10.0.0.1", &[("x-forwarded-for", list)]).0;
    assert_eq!(entry("6.6.6.6, nonsense, 10.0.0.2"), "10.0.0.2");
    assert_eq!(entry("6.6.6.6, unknown"), "10.0.0.1");
    assert_eq!(entry("6.6.6.6, \u{e9}"), "10.0.0.1");
    assert_eq!(entry("10.0.0.3, , 10.0.0.2,"), "10.0.0.3");
    assert_eq!(entry(""), "10.0.0.1");
}

#[test]
fn takes_ports_brackets_and_mapped_addresses() {
    let entry = |list| client("::ffff:10.0.0.1", &[("x-forwarded-for", list)]).0;
    assert_eq!(entry("203.0.113.7:4711"), "203.0.113.7");
    assert_eq!(entry("[2001:db8::1]:4711"), "2001:db8::1");
    assert_eq!(entry("[2001:db8::1]"), "2001:db8::1");
    assert_eq!(entry("2001:db8::1"), "2001:db8::1");
    assert_eq!(entry("::ffff:203.0.113.7"), "203.0.113.7");
}

#[test]
fn takes_the_scheme_that_belongs_to_the_hop() {
    let scheme = |fields: &[_]| client("10.0.0.1", fields).1;
    let chain = ("x-forwarded-for", "203.0.113.7, 10.0.0.2");
    assert_eq!(
        scheme(&[chain, ("x-forwarded-proto", "https, http")]),
        Scheme::Https
    );
    assert_eq!(
        scheme(&[chain, ("x-forwarded-proto", "https")]),
        Scheme::Https
    );
    let forged = ("x-forwarded-for", "6.6.6.6, 203.0.113.7");
    assert_eq!(
        scheme(&[forged, ("x-forwarded-proto", "https, http")]),
        Scheme::Http
    );
    assert_eq!(scheme(&[("x-forwarded-proto", "WSS")]), Scheme::Https);
    assert_eq!(scheme(&[("x-forwarded-proto", "gopher")]), Scheme::Http);
}

#[test]
fn reads_forwarded_where_x_forwarded_for_is_absent() {
    let fields = [(
        "forwarded",
        "for=6.6.6.6, for=\"[2001:db8::1]:1\";proto=https, for=10.0.0.2",
    )];
    assert_eq!(
        client("10.0.0.1", &fields),
        ("2001:db8::1".into(), Scheme::Https)
    );
    let hidden = [(
        "forwarded",
        "for=6.6.6.6, for=_hidden, for=10.0.0.2;proto=https",
    )];
    assert_eq!(
        client("10.0.0.1", &hidden),
        ("10.0.0.2".into(), Scheme::Https)
    );
}

#[test]
fn cannot_be_led_astray_by_an_open_quote() {
    let fields = [("forwarded", "for=6.6.6.6;x=\", for=203.0.113.7")];
    assert_eq!(client("10.0.0.1", &fields).0, "10.0.0.1");
    let lines = [
        ("forwarded", "for=6.6.6.6"),
        ("forwarded", "for=\""),
        ("forwarded", "for=10.0.0.2"),
    ];
    assert_eq!(client("10.0.0.1", &lines).0, "10.0.0.2");
}

#[test]
fn overwrites_what_the_client_forged() {
    let headers = written(
        "203.0.113.9",
        Some("api.example.com"),
        &[
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "7.7.7.7"),
            ("x-real-ip", "6.6.6.6"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-port", "1"),
            ("x-forwarded-proto", "http"),
            ("forwarded", "for=6.6.6.6"),
            ("x-forwarded-prefix", "/evil"),
            ("cf-connecting-ip", "6.6.6.6"),
            ("x-original-url", "/admin"),
            ("accept", "*/*"),
        ],
    );
    let mut fields: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    fields.sort();
    assert_eq!(
        fields,
        [
            "accept: */*",
            "forwarded: for=203.0.113.9;host=api.example.com;proto=https",
            "x-forwarded-for: 203.0.113.9",
            "x-forwarded-host: api.example.com",
            "x-forwarded-port: 443",
            "x-forwarded-proto: https",
            "x-real-ip: 203.0.113.9",
        ]
    );
}

#[test]
fn names_the_client_alone_behind_a_trusted_proxy() {
    let headers = written(
        "10.0.0.1",
        Some("a.example:8443"),
        &[
            ("x-forwarded-for", "2001:db8::7, 10.0.0.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("x-rewrite-url", "/admin"),
            ("cf-connecting-ip", "2001:db8::7"),
        ],
    );
    assert_eq!(headers[X_FORWARDED_FOR], "2001:db8::7");
    assert_eq!(headers["x-forwarded-host"], "a.example:8443");
    assert_eq!(headers["x-forwarded-port"], "8443");
    assert_eq!(
        headers[FORWARDED],
        "for=\"[2001:db8::7]\";host=\"a.example:8443\";proto=https"
    );
    assert!(headers.contains_key("cf-connecting-ip"));
    assert!(!headers.contains_key("x-rewrite-url"));
}

#[test]
fn writes_address_literals_as_hosts() {
    let headers = written("203.0.113.9", Some("[::1]:8443"), &[]);
    assert_eq!(headers["x-forwarded-host"], "[::1]:8443");
    let headers = written("203.0.113.9", None, &[("x-forwarded-host", "evil.example")]);
    assert!(!headers.contains_key("x-forwarded-host"));
    assert_eq!(headers[FORWARDED], "for=203.0.113.9;proto=https");
}

proptest! {
    #[test]
    fn never_panics_and_never_goes_past_an_untrusted_address(
        forged in "[ -~]{0,40}", client in any::<[u8; 4]>(), proxies in proptest::collection::vec(any::<u8>(), 0..4),
    ) {
        let address = IpAddr::from(client);
        prop_assume!(!trusted().contains(address));
        let mut list = vec![forged, address.to_string()];
        list.extend(proxies.iter().map(|last| format!("10.0.0.{last}")));
        let list = list.join(", ");
        let found = read(
            &headers(&[("x-forwarded-for", &list)]),
            &connection("10.1.1.1", true),
            &trusted(),
        );
        prop_assert_eq!(found.address, address);
    }

    #[test]
    fn reads_back_what_it_writes(v6 in any::<u128>(), host in "[a-z]{1,10}(\\.[a-z]{1,5}){0,2}") {
        let address = IpAddr::from(std::net::Ipv6Addr::from(v6)).to_canonical();
        prop_assume!(!trusted().contains(address));
        let headers = written(&address.to_string(), Some(&host), &[]);
        let mut only = HeaderMap::new();
        only.insert(FORWARDED, headers[FORWARDED].clone());
        let found = read(&only, &connection("10.1.1.1", false), &trusted());
        prop_assert_eq!((found.address, found.scheme), (address, Scheme::Https));
    }
}
