//! Security headers: presets, added sources, literal values.

use portcullis::config::headers::{Inline, Policy};

use super::{around, good};

#[test]
fn policy_sources_add_to_the_preset() {
    let policy = |headers: &str| {
        let text = around("").replace(
            "dev = true }",
            &format!("dev = true }}\nheaders = {headers}"),
        );
        let csp = good(&text).sites[0].headers.csp.clone();
        csp.map(|csp| csp.value(&Inline::default()).to_str().unwrap().to_owned())
    };
    let spa =
        policy("{ csp = { connect = [\"wss://a.example\"], script = [\"'none'\"] } }").unwrap();
    assert!(spa.contains("connect-src 'self' wss://a.example;"));
    assert!(spa.contains("script-src 'none';"));
    let media = policy("{ csp = { media = [\"https://cdn.example\"] } }").unwrap();
    assert!(media.contains("media-src 'self' https://cdn.example;"));
    assert_eq!(
        policy("{ preset = \"api\" }").unwrap(),
        "default-src 'none'; frame-ancestors 'none'"
    );
    assert_eq!(
        policy("{ preset = \"api\", frame_options = \"off\", csp = { img = [\"'self'\"] } }")
            .unwrap(),
        "default-src 'none'; img-src 'self'"
    );
    assert_eq!(policy("{ csp = false }"), None);
    assert_eq!(policy("{ preset = \"off\" }"), None);
    assert_eq!(
        policy("{ csp = { policy = \"default-src 'self'\" } }").unwrap(),
        "default-src 'self'"
    );
}

#[test]
fn the_seeds_literal_header_values_can_be_sent() {
    let headers = "{ hsts = { max_age = 63072000 }, content_type_options = \"nosniff\", \
                   frame_options = \"DENY\", xss_protection = \"1; mode=block\", \
                   referrer_policy = \"strict-origin-when-cross-origin\", csp = { policy = \
                   \"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';\" } }";
    let text = around("").replace(
        "dev = true }",
        &format!("dev = true }}\nheaders = {headers}"),
    );
    let headers = good(&text).sites.remove(0).headers;
    assert_eq!(headers.hsts.unwrap(), "max-age=63072000");
    assert_eq!(headers.xss_protection.unwrap(), "1; mode=block");
    let Policy::Literal(policy) = headers.csp.unwrap().policy else {
        panic!("a literal policy");
    };
    assert!(
        policy
            .to_str()
            .unwrap()
            .ends_with("style-src 'self' 'unsafe-inline';")
    );
}
