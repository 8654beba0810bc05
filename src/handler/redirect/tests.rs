//! Where redirects lead.

use std::{net::SocketAddr, rc::Rc};

use super::*;
use crate::message::context::ConnectionInfo;

fn context(host: Option<&str>, target: &str) -> RequestContext {
    let connection = ConnectionInfo {
        peer: SocketAddr::from(([127, 0, 0, 1], 50000)),
        local: SocketAddr::from(([127, 0, 0, 1], 8080)),
        worker: 0,
        tls: None,
    };
    let request = http::Request::builder().uri(target).body(()).unwrap();
    let host = host.map(|host| Host::parse(host).unwrap());
    RequestContext::new(Rc::new(connection), &request, host)
}

fn location(to: &str, target: &str) -> String {
    let redirect = Redirect::new(&route::Redirect {
        to: to.to_owned(),
        status: StatusCode::FOUND,
    });
    redirect
        .location(&context(Some("a.example:8443"), target))
        .unwrap()
}

fn https(plain_port: u16, tls_port: u16, host: &str) -> String {
    let redirect = RedirectToHttps {
        plain_port,
        tls_port,
    };
    redirect.location(&context(Some(host), "/x?y=z")).unwrap()
}

#[test]
fn fills_host_path_and_query_into_its_target() {
    assert_eq!(
        location("https://www.{host}{path}{query}", "/a/b?c=d"),
        "https://www.a.example/a/b?c=d"
    );
    assert_eq!(
        location("https://{host}{path}{query}", "/a"),
        "https://a.example/a"
    );
    assert_eq!(location("/new{query}", "/old?x"), "/new?x");
    assert_eq!(location("/{other}{", "/old"), "/{other}{");
    assert_eq!(location("https://{host}{path}", "*"), "https://a.example/");
}

#[test]
fn never_makes_a_host_of_a_path() {
    assert_eq!(location("{path}", "//evil.example/x"), "/evil.example/x");
    assert_eq!(location("/{path}", "/evil.example"), "/evil.example");
    assert_eq!(location("{path}", "/\\evil.example"), "/%5Cevil.example");
    assert_eq!(location("//cdn.example{path}", "/x"), "//cdn.example/x");
}

#[test]
fn encodes_what_a_header_cannot_carry() {
    let uri: Uri = Uri::from_maybe_shared("/caf\u{e9}?\u{fc}".as_bytes()).unwrap();
    let mut context = context(Some("a.example"), "/");
    context.uri = uri;
    let redirect = Redirect::new(&route::Redirect {
        to: "{path}{query}".to_owned(),
        status: StatusCode::FOUND,
    });
    assert_eq!(redirect.location(&context).unwrap(), "/caf%C3%A9?%C3%BC");
}

#[test]
fn sends_plain_requests_to_https() {
    assert_eq!(https(80, 443, "a.example"), "https://a.example/x?y=z");
    assert_eq!(https(80, 8443, "a.example"), "https://a.example:8443/x?y=z");
    assert_eq!(
        https(8080, 8443, "a.example:8080"),
        "https://a.example:8443/x?y=z"
    );
    assert_eq!(https(80, 443, "[::1]:80"), "https://[::1]/x?y=z");
}

#[test]
fn leaves_the_port_to_the_mapping_when_ports_are_mapped() {
    assert_eq!(https(8080, 8443, "a.example"), "https://a.example/x?y=z");
    assert_eq!(https(8080, 8443, "a.example:80"), "https://a.example/x?y=z");
}

#[test]
fn refuses_a_request_without_host() {
    let redirect = RedirectToHttps {
        plain_port: 80,
        tls_port: 443,
    };
    assert!(redirect.location(&context(None, "/")).is_err());
}

#[tokio::test]
async fn answers_with_its_status_and_location() {
    let mut redirect = RedirectToHttps {
        plain_port: 80,
        tls_port: 443,
    };
    let call = Call {
        request: http::Request::new(Body::empty()),
        context: Rc::new(context(Some("a.example"), "/x")),
    };
    let response = redirect.call(call).await.unwrap();
    assert_eq!(response.status(), 308);
    assert_eq!(response.headers()[LOCATION], "https://a.example/x");
}
