//! Header fields, and the line of the access log.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    path::Path,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Version};
use portcullis::{
    config::log::{Access, Format},
    handler::proxy::request::head,
    message::{
        Call, Response,
        body::Body,
        context::{ConnectionInfo, RequestContext, TlsInfo},
        forwarded::{self, TrustedProxies},
        hop_by_hop,
        host::Host,
    },
    middleware::security_headers::{Fields, SecurityHeaders},
    observe::{
        access_log::{AccessLog, Record},
        log_file::LogFile,
        metrics::Metrics,
    },
};
use tower::Service;

use super::{Operation, routing};

/// What a browser sends with a request of a single-page application.
const BROWSER: [(&str, &str); 11] = [
    ("host", "bench.example.com"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
    ("accept", "application/json, text/plain, */*"),
    ("accept-language", "en-US,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://bench.example.com/todos"),
    (
        "cookie",
        "session=0123456789abcdef0123456789abcdef; theme=dark",
    ),
    (
        "authorization",
        "Bearer 0123456789abcdef0123456789abcdef0123456789abcdef",
    ),
    ("sec-fetch-dest", "empty"),
    ("sec-fetch-mode", "cors"),
    ("connection", "keep-alive"),
];

/// A request for `path` as hyper hands it over.
pub(crate) fn browser_request(path: &str) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = path.parse().expect("the path is an URI");
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = browser_fields();
    request
}

fn browser_fields() -> HeaderMap {
    let field = |(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    };
    BROWSER.map(field).into_iter().collect()
}

/// The connection it came by.
pub(crate) fn connection() -> Rc<ConnectionInfo> {
    Rc::new(ConnectionInfo {
        peer: ([192, 0, 2, 1], 50_000).into(),
        local: ([127, 0, 0, 1], 8080).into(),
        worker: 0,
        tls: Some(TlsInfo {
            version: "TLSv1.3",
            cipher: "TLS13_AES_128_GCM_SHA256",
            server_name: Some("bench.example.com".into()),
        }),
    })
}

/// `request` as a call of `connection`.
pub(crate) fn call(connection: &Rc<ConnectionInfo>, request: Request<Body>) -> Call {
    let host = Host::of(request.uri(), request.headers()).ok();
    let context = RequestContext::new(connection.clone(), &request, host);
    Call {
        request,
        context: Rc::new(context),
    }
}

fn context() -> Rc<RequestContext> {
    let context = call(&connection(), browser_request("/api/todos?page=2")).context;
    let client = forwarded::read(
        &HeaderMap::new(),
        &context.connection,
        &TrustedProxies::new(&[]),
    );
    context.client.get_or_init(|| client);
    let id = HeaderValue::from_static("0123456789abcdef0123456789abcdef");
    context.request_id.get_or_init(|| id);
    context
}

/// The client's fields made into the backend's head.
pub(crate) fn request() -> Operation {
    let (fields, context) = (browser_fields(), context());
    Box::new(move || {
        black_box(head(black_box(&fields), &context, Some("/api"), None));
    })
}

/// Who asks is read and told on.
pub(crate) fn forwarded() -> Operation {
    let trusted = TrustedProxies::new(&["192.0.2.0/24".parse().expect("it is a network")]);
    let (mut fields, context) = (browser_fields(), context());
    let chain = HeaderValue::from_static("198.51.100.7, 192.0.2.9");
    fields.insert("x-forwarded-for", chain);
    let mut out = Vec::with_capacity(1024);
    Box::new(move || {
        black_box(forwarded::read(
            black_box(&fields),
            &context.connection,
            &trusted,
        ));
        out.clear();
        forwarded::write(&mut out, &context);
        black_box(&out);
    })
}

/// What concerns one connection alone is taken off.
pub(crate) fn hop_by_hop() -> Operation {
    let fields = browser_fields();
    Box::new(move || {
        let mut fields = fields.clone();
        hop_by_hop::strip(black_box(&mut fields));
        black_box(fields);
    })
}

/// Answers nothing at once.
struct Nothing;

impl Service<Call> for Nothing {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Call) -> Self::Future {
        ready(Ok(Response::new(Body::empty())))
    }
}

/// The fields of the preset for single-page applications on one response.
pub(crate) fn security() -> Operation {
    let text = routing::listener_and_site("respond = { status = 204 }");
    let text = text.replace(
        "\n\n[[site.route]]",
        "\nheaders = { preset = \"spa\" }\n\n[[site.route]]",
    );
    let fields = Fields::new(&routing::parse(&text).sites[0].headers);
    let layer = RefCell::new(SecurityHeaders::new(Rc::new(fields), Nothing));
    let (connection, template) = (connection(), browser_request("/"));
    let context = call(&connection, template).context;
    Box::new(move || {
        let request = Request::new(Body::empty());
        let context = context.clone();
        let answering = layer.borrow_mut().call(Call { request, context });
        let answer = std::pin::pin!(answering).poll(&mut Context::from_waker(Waker::noop()));
        assert!(black_box(answer).is_ready());
    })
}

/// One line of the access log, as far as the worker is concerned.
pub(crate) fn log_line(format: &str) -> Operation {
    let path = Path::new("/dev/null");
    let file = LogFile::open(Some(path), 1, Metrics::new().dropped_lines());
    let file = file.expect("there is a /dev/null");
    let access = Access {
        format: if format == "json" {
            Format::Json
        } else {
            Format::Combined
        },
        path: Some(path.to_owned()),
        redact: true,
    };
    let log = AccessLog::new(&access, file.lines());
    let context = context();
    let write = move || {
        // Kept open.
        let _ = &file;
        log.write(black_box(&Record {
            context: &context,
            status: 200,
            bytes: 1234,
            duration: Duration::from_micros(1234),
            aborted: false,
        }));
    };
    // The writer's thread takes the buffer and leaves the one before. Both are to be large already: whether one has
    // to grow is not up to the worker.
    for _ in 0..4 {
        for _ in 0..400 {
            write();
        }
        std::thread::park_timeout(Duration::from_millis(200));
    }
    Box::new(write)
}
