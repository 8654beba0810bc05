//! What must hold for any request that is written for a backend.

use std::rc::Rc;

use bytes::BytesMut;
use http::{HeaderName, HeaderValue, Request, Uri};
use portcullis::{
    handler::proxy::request::head,
    message::{
        body::Body,
        context::{ConnectionInfo, RequestContext},
        host::Host,
    },
    upstream::client::encode::{self, Framing},
};

/// A line with the target, then lines with fields, as a client could send them.
pub(crate) fn check(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let target = lines.next().unwrap_or_default();
    let Ok(uri) = Uri::try_from(target) else {
        return;
    };
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = uri;
    for line in lines.take(60) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = HeaderName::from_bytes(parts.next().unwrap_or_default());
        let value = HeaderValue::from_bytes(parts.next().unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, value) {
            request.headers_mut().append(name, value);
        }
    }
    let host = Host::of(request.uri(), request.headers()).ok();
    let connection = Rc::new(ConnectionInfo {
        peer: ([192, 0, 2, 1], 1).into(),
        local: ([127, 0, 0, 1], 2).into(),
        worker: 0,
        tls: None,
    });
    let context = RequestContext::new(connection, &request, host);
    for (framing, field) in [
        (Framing::None, None),
        (Framing::Length(7), Some(("content-length", "7"))),
        (Framing::Chunked, Some(("transfer-encoding", "chunked"))),
    ] {
        let mut out = head(request.headers(), &context, Some("/api"), None);
        encode::end(&mut out, framing);
        judge(&out, field);
    }
}

/// One head and nothing behind it, whose framing is ours and said once.
fn judge(out: &BytesMut, framing: Option<(&str, &str)>) {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(out).expect("what is written can be read");
    assert_eq!(parsed, httparse::Status::Complete(out.len()));
    assert_eq!(request.version, Some(1));
    assert!(
        request
            .path
            .is_some_and(|it| it.starts_with('/') || it == "*")
    );
    let found: Vec<_> = request
        .headers
        .iter()
        .filter(|it| {
            it.name.eq_ignore_ascii_case("content-length")
                || it.name.eq_ignore_ascii_case("transfer-encoding")
        })
        .map(|it| (it.name, std::str::from_utf8(it.value).expect("it is ours")))
        .collect();
    assert_eq!(found, framing.into_iter().collect::<Vec<_>>());
    let count = |name| {
        let fields = request.headers.iter();
        fields
            .filter(|it| it.name.eq_ignore_ascii_case(name))
            .count()
    };
    assert!(count("host") <= 1);
    assert_eq!(count("connection"), 0);
}
