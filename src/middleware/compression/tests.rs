//! Which responses are compressed for whom, and what their heads say then.

use std::future::{Ready, ready};

use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, ETAG, VARY};
use http_body_util::BodyExt as _;

use super::{encoder::tests::decode, *};
use crate::message::context::{ConnectionInfo, RequestContext};

/// Answers every request alike.
struct Canned(Option<Response>);

impl Service<Call> for Canned {
    type Response = Response;
    type Error = ();
    type Future = Ready<Result<Response, ()>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Call) -> Self::Future {
        ready(self.0.take().ok_or(()))
    }
}

fn text() -> String {
    "{\"title\":\"a to-do\"},".repeat(100)
}

/// A response of 2000 bytes of JSON, and further fields.
fn json(fields: &[(&str, &str)]) -> Response {
    let mut response = Response::new(Body::full(text()));
    let all = [("content-type", "application/json; charset=utf-8")];
    for (name, value) in all.iter().chain(fields) {
        let name = http::HeaderName::try_from(*name).unwrap();
        response
            .headers_mut()
            .insert(name, HeaderValue::from_str(value).unwrap());
    }
    response
}

fn get(fields: &[(&str, &str)]) -> http::Request<Body> {
    let mut request = http::Request::new(Body::empty());
    for (name, value) in fields {
        let name = http::HeaderName::try_from(*name).unwrap();
        request
            .headers_mut()
            .append(name, HeaderValue::from_str(value).unwrap());
    }
    request
}

fn policy() -> Rc<Policy> {
    Rc::new(Policy::new(Arc::default(), Rc::default()))
}

async fn answer(request: http::Request<Body>, response: Response) -> Response {
    answer_under(&policy(), request, response).await
}

async fn answer_under(
    policy: &Rc<Policy>,
    request: http::Request<Body>,
    response: Response,
) -> Response {
    let connection = ConnectionInfo {
        peer: ([127, 0, 0, 1], 50000).into(),
        local: ([127, 0, 0, 1], 443).into(),
        worker: 0,
        tls: None,
    };
    let context = Rc::new(RequestContext::new(Rc::new(connection), &request, None));
    let mut layer = Compression::new(Some(policy.clone()), Canned(Some(response)));
    layer.call(Call { request, context }).await.unwrap()
}

const BROWSER: (&str, &str) = ("accept-encoding", "gzip, deflate, br, zstd");

fn coding_of(response: &Response) -> Option<&str> {
    let coding = response.headers().get(CONTENT_ENCODING)?;
    Some(coding.to_str().unwrap())
}

#[tokio::test]
async fn the_highest_weight_wins_and_then_our_order() {
    for (accepted, coding) in [
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip, deflate, br", Some("br")),
        ("gzip", Some("gzip")),
        ("br;q=0.5, gzip", Some("gzip")),
        ("zstd;q=0, *", Some("br")),
        ("*;q=0.1", Some("zstd")),
        ("gzip;q=0.5, identity", None),
        ("gzip, identity", Some("gzip")),
        ("identity;q=0", None),
        ("deflate, compress", None),
        ("", None),
    ] {
        let response = answer(get(&[("accept-encoding", accepted)]), json(&[])).await;
        assert_eq!(coding_of(&response), coding, "{accepted}");
        assert_eq!(response.headers()[VARY], "accept-encoding", "{accepted}");
    }
    let request = get(&[("accept-encoding", "gzip"), ("accept-encoding", "zstd")]);
    assert_eq!(coding_of(&answer(request, json(&[])).await), Some("zstd"));
    let response = answer(get(&[]), json(&[])).await;
    assert_eq!(coding_of(&response), None);
    assert_eq!(response.headers()[VARY], "accept-encoding");
}

#[tokio::test]
async fn a_body_in_memory_gets_its_new_length() {
    for (name, coding) in [
        ("zstd", Coding::Zstd),
        ("br", Coding::Brotli),
        ("gzip", Coding::Gzip),
    ] {
        let fields = [("content-length", "2000"), ("etag", "\"x\"")];
        let response = answer(get(&[("accept-encoding", name)]), json(&fields)).await;
        let headers = response.headers().clone();
        let coded = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(headers[CONTENT_LENGTH], coded.len().to_string());
        assert_eq!(headers[ETAG], "W/\"x\"");
        assert_eq!(decode(coding, &coded).unwrap(), text().as_bytes());
    }
}

#[tokio::test]
async fn a_body_that_does_not_become_smaller_stays_as_it_is() {
    let mut random = fastrand::Rng::with_seed(1);
    let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
        .take(4000)
        .collect();
    let mut response = json(&[("etag", "\"x\""), ("content-length", "4000")]);
    *response.body_mut() = Body::full(bytes.clone());
    let response = answer(get(&[BROWSER]), response).await;
    assert_eq!(coding_of(&response), None);
    assert_eq!(response.headers()[ETAG], "\"x\"");
    assert_eq!(response.headers()[CONTENT_LENGTH], "4000");
    assert_eq!(*response.body().as_bytes().unwrap(), bytes);
}

#[tokio::test]
async fn what_has_to_stay_as_it_is_does() {
    let untouched = [
        ("content-encoding", "br"),
        ("content-encoding", "identity"),
        ("content-type", "text/event-stream; charset=utf-8"),
        ("content-type", "image/png"),
        ("content-type", "application/grpc+json"),
        ("cache-control", "private, no-transform"),
    ];
    for field in untouched {
        let response = json(&[field]);
        let before = response.headers().clone();
        let response = answer(get(&[BROWSER]), response).await;
        assert_eq!(*response.headers(), before, "{field:?}");
        assert_eq!(response.body().as_bytes().unwrap(), &text());
    }
    for digest in ["content-digest", "repr-digest", "digest", "content-md5"] {
        let response = answer(get(&[BROWSER]), json(&[(digest, "x")])).await;
        assert_eq!(coding_of(&response), None, "{digest}");
        assert_eq!(response.headers()[digest], "x");
    }
    for status in [101, 204, 205] {
        let mut response = json(&[("content-range", "bytes 0-1999/9000")]);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        let response = answer(get(&[BROWSER, ("range", "bytes=0-1999")]), response).await;
        assert_eq!(coding_of(&response), None, "{status}");
        assert!(!response.headers().contains_key(VARY), "{status}");
        assert!(response.headers().contains_key(CONTENT_RANGE));
    }
    let mut part = json(&[("content-range", "bytes 0-1999/9000")]);
    *part.status_mut() = StatusCode::PARTIAL_CONTENT;
    let part = answer(get(&[BROWSER, ("range", "bytes=0-1999")]), part).await;
    assert_eq!(coding_of(&part), None);
    assert_eq!(part.headers()[VARY], "accept-encoding");
    let mut small = json(&[]);
    *small.body_mut() = Body::full("x".repeat(1023));
    let small = answer(get(&[BROWSER]), small).await;
    assert_eq!(coding_of(&small), None);
    assert!(!small.headers().contains_key(VARY));
}

#[tokio::test]
async fn a_client_that_forbids_it_gets_the_body_as_it_is() {
    let request = get(&[BROWSER, ("cache-control", "no-transform")]);
    let response = answer(request, json(&[])).await;
    assert_eq!(coding_of(&response), None);
    assert_eq!(response.headers()[VARY], "accept-encoding");
    let mut request = get(&[BROWSER]);
    *request.version_mut() = Version::HTTP_10;
    assert_eq!(coding_of(&answer(request, json(&[])).await), None);
}

#[tokio::test]
async fn a_range_that_the_backend_ignores_gets_a_compressed_whole() {
    let request = get(&[BROWSER, ("range", "bytes=0-99")]);
    let response = answer(request, json(&[("accept-ranges", "bytes")])).await;
    assert_eq!(coding_of(&response), Some("zstd"));
    assert!(!response.headers().contains_key(ACCEPT_RANGES));
}

#[tokio::test]
async fn a_head_is_that_of_get_without_the_length_that_nobody_knows() {
    for (length, coding) in [("2000", Some("zstd")), ("1000", None)] {
        let mut request = get(&[BROWSER]);
        *request.method_mut() = Method::HEAD;
        let mut response = json(&[("content-length", length), ("etag", "\"x\"")]);
        *response.body_mut() = Body::empty();
        let response = answer(request, response).await;
        assert_eq!(coding_of(&response), coding);
        let headers = response.headers();
        assert_eq!(headers.contains_key(CONTENT_LENGTH), coding.is_none());
        assert_eq!(headers.contains_key(VARY), coding.is_some());
        let etag = if coding.is_some() { "W/\"x\"" } else { "\"x\"" };
        assert_eq!(headers[ETAG], etag);
    }
}

#[tokio::test]
async fn a_304_says_what_the_200_said() {
    let not_modified = |fields: &[(&'static str, &'static str)]| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        for (name, value) in fields {
            response
                .headers_mut()
                .insert(*name, HeaderValue::from_static(value));
        }
        response
    };
    for (condition, etag, said) in [
        ("W/\"x\"", "\"x\"", "W/\"x\""),
        ("\"x\"", "\"x\"", "\"x\""),
        ("W/\"x\"", "W/\"x\"", "W/\"x\""),
    ] {
        let request = get(&[BROWSER, ("if-none-match", condition)]);
        let response = answer(request, not_modified(&[("etag", etag)])).await;
        assert_eq!(response.headers()[ETAG], said);
        assert_eq!(response.headers()[VARY], "accept-encoding");
        assert_eq!(coding_of(&response), None);
    }
    let image = not_modified(&[("etag", "\"x\""), ("content-type", "image/png")]);
    let response = answer(get(&[BROWSER]), image).await;
    assert!(!response.headers().contains_key(VARY));
}

#[tokio::test]
async fn responses_beyond_what_memory_allows_stay_as_they_are() {
    let policy = policy();
    let lent: Vec<_> = std::iter::from_fn(|| policy.encoders.lend(Coding::Gzip)).collect();
    let fields = [("cache-control", "private"), ("etag", "\"x\"")];
    let response = answer_under(&policy, get(&[BROWSER]), json(&fields)).await;
    assert_eq!(coding_of(&response), None);
    assert_eq!(response.headers()[CACHE_CONTROL], "private");
    assert_eq!(response.headers()[ETAG], "\"x\"");
    drop(lent);
    let response = answer_under(&policy, get(&[BROWSER]), json(&fields)).await;
    assert_eq!(coding_of(&response), Some("zstd"));
}
