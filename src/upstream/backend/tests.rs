//! Names, addresses and counts of a backend.

use std::net::IpAddr;

use super::*;

fn backend(address: BackendAddress, instance: Option<IpAddr>) -> Backend {
    let origin = Origin {
        address,
        weight: NonZero::<u16>::MIN,
        place: 0,
        instance: instance.map(Instance::Address),
        lost: Arc::default(),
    };
    Backend::new(origin, 0, 1)
}

fn tcp(tls: bool, host: &str, port: u16) -> Backend {
    let host = host.to_owned();
    backend(BackendAddress::Tcp { tls, host, port }, None)
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn is_named_as_configured() {
    assert_eq!(
        &**tcp(false, "127.0.0.1", 3001).name(),
        "http://127.0.0.1:3001"
    );
    assert_eq!(&**tcp(true, "::1", 3001).name(), "https://[::1]:3001");
    let unix = backend(BackendAddress::Unix("/run/app.sock".into()), None);
    assert_eq!(&**unix.name(), "unix:/run/app.sock");
    assert_eq!(unix.authority(), "localhost");
    let address = tcp(false, "app", 3000).address().clone();
    let one_of_several = backend(address, Some("10.0.0.3".parse().unwrap()));
    assert_eq!(&**one_of_several.name(), "http://app:3000#10.0.0.3");
    assert_eq!(one_of_several.authority(), "app:3000");
}

#[test]
fn leaves_the_usual_port_out_of_the_authority() {
    assert_eq!(tcp(false, "app", 80).authority(), "app");
    assert_eq!(tcp(true, "app", 80).authority(), "app:80");
    assert_eq!(tcp(true, "::1", 443).authority(), "[::1]");
    assert_eq!(tcp(false, "::1", 3000).authority(), "[::1]:3000");
}

#[test]
fn needs_no_look_up_for_an_address_literal() {
    assert_eq!(
        **tcp(false, "127.0.0.1", 3001).addresses(),
        [at("127.0.0.1:3001")]
    );
    assert_eq!(**tcp(false, "::1", 3001).addresses(), [at("[::1]:3001")]);
    assert!(tcp(false, "localhost", 3001).addresses().is_empty());
}

#[test]
fn tries_the_address_that_worked_first() {
    let backend = tcp(false, "localhost", 3001);
    assert!(backend.learn(&[at("[::1]:3001"), at("127.0.0.1:3001")]));
    backend.remember(at("127.0.0.1:3001"));
    assert_eq!(
        **backend.addresses(),
        [at("127.0.0.1:3001"), at("[::1]:3001")]
    );
    backend.remember(at("10.0.0.1:3001"));
    assert_eq!(backend.addresses().len(), 2);
}

#[test]
fn keeps_the_order_when_an_answer_is_only_shuffled() {
    let backend = tcp(false, "app", 1);
    backend.learn(&[at("10.0.0.1:1"), at("10.0.0.2:1")]);
    assert!(!backend.learn(&[at("10.0.0.2:1"), at("10.0.0.1:1")]));
    assert!(backend.learn(&[at("10.0.0.3:1"), at("10.0.0.2:1")]));
    assert_eq!(**backend.addresses(), [at("10.0.0.2:1"), at("10.0.0.3:1")]);
}

#[test]
fn counts_no_request_over_the_limit() {
    let backend = tcp(false, "app", 1);
    assert!(backend.enter(2));
    assert!(backend.enter(2));
    assert!(!backend.enter(2));
    backend.leave();
    assert!(backend.enter(2));
    assert_eq!(backend.in_flight(), 2);
}
