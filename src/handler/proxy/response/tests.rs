use std::rc::Rc;

use super::*;
use crate::message::{
    context::{ConnectionInfo, TlsInfo},
    host::Host,
};

fn context() -> RequestContext {
    let connection = ConnectionInfo {
        peer: "192.0.2.1:5000".parse().unwrap(),
        local: "192.0.2.2:443".parse().unwrap(),
        worker: 0,
        tls: Some(TlsInfo {
            version: "TLSv1.3",
            cipher: "",
            server_name: None,
        }),
    };
    let request = http::Request::get("/api/x").body(()).unwrap();
    RequestContext::new(
        Rc::new(connection),
        &request,
        Host::parse("site.example:8443"),
    )
}

const STRIPPED: Mapping<'_> = Mapping {
    prefix: Some("/api"),
    authority: "127.0.0.1:3001",
};
const WHOLE: Mapping<'_> = Mapping {
    prefix: None,
    authority: "127.0.0.1:3001",
};

fn mapped(text: &str, mapping: &Mapping<'_>) -> String {
    let mut headers = HeaderMap::new();
    headers.insert("location", HeaderValue::from_str(text).unwrap());
    prepare(&mut headers, mapping, &context());
    headers["location"].to_str().unwrap().to_owned()
}

#[test]
fn maps_a_location_that_names_the_backend() {
    assert_eq!(
        mapped("http://127.0.0.1:3001/x?y", &STRIPPED),
        "https://site.example:8443/api/x?y"
    );
    assert_eq!(
        mapped("http://127.0.0.1:3001/x", &WHOLE),
        "https://site.example:8443/x"
    );
    assert_eq!(
        mapped("http://127.0.0.1:3001", &WHOLE),
        "https://site.example:8443/"
    );
}

#[test]
fn maps_a_path_of_an_application_that_does_not_know_its_prefix() {
    assert_eq!(mapped("/x", &STRIPPED), "/api/x");
    assert_eq!(mapped("/api/x", &STRIPPED), "/api/x");
    assert_eq!(mapped("/x", &WHOLE), "/x");
}

#[test]
fn maps_what_an_application_makes_of_its_own_plain_connection() {
    assert_eq!(
        mapped("http://site.example:8443/x", &STRIPPED),
        "https://site.example:8443/api/x"
    );
}

#[test]
fn leaves_every_other_location_alone() {
    for text in [
        "https://site.example:8443/page",
        "https://other.example/x",
        "//other.example/x",
        "x",
        "mailto:a@b",
    ] {
        assert_eq!(mapped(text, &STRIPPED), text);
    }
}

#[test]
fn maps_cookie_paths_but_not_the_root() {
    let path = |text: &'static str| {
        cookie(&HeaderValue::from_static(text), "/api")
            .map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(
        path("a=1; Path=/auth; HttpOnly").unwrap(),
        "a=1; Path=/api/auth; HttpOnly"
    );
    assert_eq!(path("a=1;path= /auth").unwrap(), "a=1;path= /api/auth");
    assert_eq!(path("a=1; Path=/"), None);
    assert_eq!(path("a=1; Path=/api/auth"), None);
    assert_eq!(path("path=/x; HttpOnly"), None);
    assert_eq!(path("a=1"), None);
}

proptest::proptest! {
    #[test]
    fn foreign_cookies_and_locations_never_panic(text in "[ -~]{0,60}") {
        if let Ok(value) = HeaderValue::from_str(&text) {
            let _ = cookie(&value, "/api");
            let _ = location(&value, &STRIPPED, &context());
        }
    }
}
