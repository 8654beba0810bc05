//! A strict reader of the text format, and what it finds.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    backend::{Outcome, RetryReason},
    listener::Protocol,
    route::Sample,
    *,
};

const EXPECTED: &str = r#"requests_total{site="example.com",route="/api/",code="200"} 1
requests_total{site="example.com",route="/api/",code="502"} 0
request_errors_total{site="example.com",route="/api/",class="rate_limited"} 1
response_bytes_total{site="example.com",route="/api/"} 20
rate_limited_total{site="example.com",route="/api/"} 1
request_duration_seconds_bucket{le="0.005",site="example.com",route="/api/"} 2
request_duration_seconds_bucket{le="+Inf",site="example.com",route="/api/"} 2
request_duration_seconds_count{site="example.com",route="/api/"} 2
request_duration_seconds_sum{site="example.com",route="/api/"} 0.006
backend_up{upstream="api",backend="http://127.0.0.1:3001"} 0
backend_in_flight{upstream="api",backend="http://127.0.0.1:3001"} 0
pool_idle{upstream="api",backend="http://127.0.0.1:3001"} 1
retries_total{upstream="api",reason="stale_connection"} 1
connections_open{listener="0.0.0.0:443",tls="true"} 1
tls_handshakes_total{version="TLSv1.3",resumed="true"} 1
handshake_failures_total{class="no_shared_cipher"} 1
certificate_not_after_seconds{name="site"} 5
config_reloads_total{result="applied"} 1
config_reloads_total{result="refused"} 0
config_generation 1
tunnels_open 1
access_log_dropped_total 1"#;

/// Families by name with their type; samples by name and labels.
#[derive(Default)]
struct Page {
    types: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

impl Page {
    /// Refuses what a scraper would refuse, and what it would take but misread.
    fn read(text: &str) -> Self {
        let mut page = Self::default();
        let mut helped = BTreeSet::new();
        let mut current = String::new();
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("help has a text");
                assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("type has a value");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(helped.contains(name), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(page.types.insert(name.into(), kind.into()).is_none());
                name.clone_into(&mut current);
            } else {
                page.sample(line, &current);
            }
        }
        page
    }

    fn sample(&mut self, line: &str, family: &str) {
        let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let suffix = name
            .strip_prefix(family)
            .expect("samples follow their head");
        let allowed: &[&str] = match self.types[family].as_str() {
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        assert!(allowed.contains(&suffix), "{line}");
        assert!(name.starts_with("portcullis_"), "{line}");
        assert!(
            name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{line}"
        );
        let labels = labels.strip_suffix('}').expect("labels are closed");
        assert_eq!(labels.matches('"').count() % 2, 0, "{line}");
        let value: f64 = value.parse().expect("a value is a number");
        assert!(
            self.samples.insert(series.into(), value).is_none(),
            "{line}"
        );
    }
}

fn sample(status: u16, error: Option<&'static str>) -> Sample {
    Sample {
        status,
        duration: Duration::from_millis(3),
        bytes: 10,
        limited: status == 429,
        error,
    }
}

#[test]
fn writes_a_page_that_a_strict_reader_takes() {
    let metrics = Metrics::new();
    let route = metrics.route("example.com", "/api/");
    route.record(&sample(200, None));
    route.record(&sample(429, Some("rate_limited")));
    let backend = metrics.backend("api", "http://127.0.0.1:3001");
    backend.started();
    backend.finished(Outcome::Answered);
    backend.is_up(false);
    backend.idle_changed(0, 1);
    let upstream = metrics.upstream("api");
    upstream.retried(RetryReason::StaleConnection);
    let listener = metrics.listener("0.0.0.0:443", Protocol::Tls);
    listener.opened();
    metrics.tls_handshake("TLSv1.3", Resumption::Resumed);
    metrics.tls_handshake_failed("no_shared_cipher");
    metrics.certificates([("site", UNIX_EPOCH + Duration::from_secs(5))]);
    metrics.reload(Reload::Applied(1));
    metrics.tunnel_opened();
    metrics.dropped_lines().inc();

    let page = Page::read(&metrics.encode());
    for line in EXPECTED.lines() {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let found = page.samples.get(&format!("portcullis_{series}"));
        assert_eq!(found, Some(&value.parse().unwrap()), "{series}");
    }
    let build = format!(
        "portcullis_build_info{{version=\"{}\"}}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(page.samples.get(&build), Some(&1.0));
}

#[test]
fn counts_on_when_a_reload_names_the_same_route() {
    let metrics = Metrics::new();
    let old = metrics.route("a", "/");
    old.record(&sample(200, None));
    let new = metrics.route("a", "/");
    drop(old);
    new.record(&sample(200, None));
    let page = Page::read(&metrics.encode());
    let series = r#"portcullis_requests_total{site="a",route="/",code="200"}"#;
    assert_eq!(page.samples.get(series), Some(&2.0));
}

#[test]
fn forgets_what_a_reload_removed() {
    let metrics = Metrics::new();
    drop(metrics.backend("api", "http://127.0.0.1:1"));
    metrics.certificates([("old", UNIX_EPOCH)]);
    metrics.certificates([("new", UNIX_EPOCH)]);
    let page = metrics.encode();
    assert!(!page.contains("127.0.0.1:1") && !page.contains("old"));
    assert!(page.contains("new"));
}

#[test]
fn escapes_label_values() {
    let metrics = Metrics::new();
    let _route = metrics.route("a\"b\\c\nd", "/");
    assert!(metrics.encode().contains(r#"site="a\"b\\c\nd""#));
}
