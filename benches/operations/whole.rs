//! A request through everything that a worker does, less the client's connection.
//!
//! The backend is a task of the same thread, so its share is counted as well; `stack/socket` tells how much that is.

use std::{
    fmt::Write as _, fs, hint::black_box, net::SocketAddr, os::unix::fs::symlink, path::Path,
    pin::pin, sync::Arc,
};

use http_body_util::BodyExt as _;
use portcullis::{
    config::Config,
    observe::{log_file::LogFile, metrics::Metrics},
    snapshot::{build::Shared, services::Services},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    runtime::{Builder, Runtime},
};

use super::{Operation, exchange::RESPONSE, fields, routing};

/// How much is configured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    sites: usize,
    routes_per_site: usize,
    upstreams: usize,
    backends: usize,
}

/// One of each, but for the three routes that are measured.
pub(crate) const ONE: Size = Size {
    sites: 1,
    routes_per_site: 1,
    upstreams: 1,
    backends: 1,
};

/// 500 sites with 10,000 routes, and 50 upstreams of 20 backends.
pub(crate) const MANY: Size = Size {
    sites: 500,
    routes_per_site: 20,
    upstreams: 50,
    backends: 20,
};

/// Answers a browser's request for `path`, to the last byte of the body.
pub(crate) fn answer(size: Size, path: &'static str) -> Operation {
    let folder = tempfile::tempdir().expect("the system has a folder for temporary files");
    let runtime = thread();
    let listener = {
        let _inside = runtime.enter();
        UnixListener::bind(folder.path().join("backend")).expect("the folder is empty")
    };
    runtime.spawn(accept(listener));
    // Never driven: probes would be counted where they happen to fall.
    let control = thread();
    let log = LogFile::open(
        Some(Path::new("/dev/null")),
        1,
        Metrics::new().dropped_lines(),
    );
    let log = log.expect("there is a /dev/null");
    let services = {
        let _inside = control.enter();
        let shared = Shared::new(Arc::new(Metrics::new()), log.lines(), 1);
        let shared = shared.expect("the system has randomness");
        let snapshot = shared.build(configure(size, folder.path()), None);
        Services::new(
            Arc::new(snapshot.expect("every file is there")),
            std::rc::Rc::default(),
        )
    };
    let connection = fields::connection();
    Box::new(move || {
        let _kept = (&folder, &control, &log);
        let request = fields::browser_request(black_box(path));
        let call = fields::call(&connection, request);
        let size = runtime.block_on(async {
            let response = services.answer(ADDRESS, call).await;
            let response = response.unwrap_or_else(|never| match never {});
            assert!(response.status().is_success(), "{response:?}");
            let mut body = pin!(response.into_body());
            let mut size = 0;
            while let Some(frame) = body.frame().await {
                let data = frame.expect("the body is whole").into_data();
                size += data.map_or(0, |data| data.len());
            }
            size
        });
        assert!(black_box(size) > 0);
    })
}

/// What sockets, event queue and backend cost without us: bytes there and back.
pub(crate) fn socket() -> Operation {
    let runtime = thread();
    let (mut near, far) = {
        let _inside = runtime.enter();
        UnixStream::pair().expect("the system has sockets")
    };
    runtime.spawn(serve(far));
    Box::new(move || {
        runtime.block_on(async {
            let request = b"GET /api/todos HTTP/1.1\r\nhost: bench.example.com\r\n\r\n";
            near.write_all(request).await.expect("the backend is there");
            let mut buffer = [0; 8192];
            let count = near.read(&mut buffer).await.expect("the backend is there");
            assert_eq!(count, RESPONSE.len());
        });
    })
}

const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

fn thread() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("the system has an event queue")
}

async fn accept(listener: UnixListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream));
    }
}

/// Answers every request alike. A request without a body comes in one read.
async fn serve(mut stream: UnixStream) {
    let mut buffer = [0; 8192];
    while let Ok(1..) = stream.read(&mut buffer).await {
        if stream.write_all(RESPONSE).await.is_err() {
            return;
        }
    }
}

/// Everything that is on by default or that an operator would turn on. The site that is asked is the one in the
/// middle.
fn configure(size: Size, folder: &Path) -> Config {
    let assets = folder.join("dist/assets");
    fs::create_dir_all(&assets).expect("the folder can be written to");
    fs::write(assets.join("app.js"), [b'x'; 1024]).expect("the folder can be written to");
    let mut text = "[log]\naccess = { format = \"json\", path = \"/dev/null\" }\n\
        [[listener]]\naddress = \"127.0.0.1:8080\"\ntls = false\n"
        .to_owned();
    let backends: Vec<_> = (0..size.backends)
        .map(|number| {
            let path = folder.join(format!("backend-{number:02}"));
            symlink(folder.join("backend"), &path).expect("the folder can be written to");
            format!("unix:{}", path.display())
        })
        .collect();
    for number in 0..size.upstreams {
        let _ = write!(
            text,
            "[upstream.app-{number:02}]\nbackends = {backends:?}\n"
        );
    }
    for site in 0..size.sites {
        let is_asked = site == size.sites / 2;
        let host = if is_asked {
            "bench".to_owned()
        } else {
            format!("site-{site:03}")
        };
        let _ = write!(
            text,
            "[[site]]\nhosts = [\"{host}.example.com\"]\nheaders = {{ preset = \"spa\" }}\n"
        );
        for route in 1..size.routes_per_site {
            let upstream = route % size.upstreams;
            text.push_str(&proxied(&format!("/part-{route:02}/"), upstream));
        }
        text.push_str(&proxied("/api/", size.upstreams / 2));
        if is_asked {
            text.push_str(RATE_LIMIT);
            let root = folder.join("dist");
            let files = format!("files = {{ root = \"{}\" }}", root.display());
            text.push_str(&route("/", &files));
            text.push_str(&route(
                "/fixed",
                "respond = { status = 200, body = \"ok\" }",
            ));
        }
    }
    routing::parse(&text)
}

fn proxied(path: &str, upstream: usize) -> String {
    route(
        path,
        &format!("proxy = {{ upstream = \"app-{upstream:02}\" }}"),
    )
}

fn route(path: &str, handler: &str) -> String {
    format!("[[site.route]]\npath = \"{path}\"\n{handler}\n")
}

/// Of a route that is asked. The others have none: each limit has a table of 1 MiB.
const RATE_LIMIT: &str = "rate_limit = { rate = \"1000000/s\", burst = 1000000 }\n";
