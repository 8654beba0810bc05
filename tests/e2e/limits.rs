//! Bounds on what a client may take: rate, bodies, heads, time, connections.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::harness::{
    HOST, PATIENCE, Proxy,
    backend::Backend,
    eventually,
    raw::{Raw, status_of},
    setup::Setup,
};

const HERE: &str = "respond = { status = 200, body = \"here\" }";

#[tokio::test]
async fn a_rate_is_told_before_it_is_met() {
    let proxy = Setup::new()
        .route(
            "/",
            &format!("{HERE}\nrate_limit = {{ rate = \"60/min\", burst = 4 }}"),
        )
        .start()
        .await;
    let reply = proxy.get("/").await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("ratelimit-policy").contains("q="), "{reply:?}");
    assert!(reply.header("ratelimit").contains("r="), "{reply:?}");
}

#[tokio::test]
async fn above_the_rate_is_429_with_the_time_to_wait() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend])
        .route(
            "/api/",
            "proxy = { upstream = \"app\" }\nrate_limit = { rate = \"6/min\", burst = 3 }",
        )
        .start()
        .await;
    let mut statuses = Vec::new();
    let mut last = proxy.get("/api/x").await;
    while statuses.len() < 8 {
        statuses.push(last.status.as_u16());
        last = proxy.get("/api/x").await;
    }
    assert!(
        statuses[..3].iter().all(|status| *status == 200),
        "{statuses:?}"
    );
    assert!(
        statuses[5..].iter().all(|status| *status == 429),
        "{statuses:?}"
    );
    let wait = last.header("retry-after").parse::<u64>().unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    assert_ne!(last.header("ratelimit"), "");
    assert_eq!(
        backend.requests().len(),
        statuses.iter().filter(|status| **status == 200).count()
    );
    assert_eq!(
        proxy.get("/elsewhere").await.status,
        200,
        "other routes are free"
    );
    let line = proxy
        .access_where("/api/x", |line| line["status"] == 429)
        .await;
    assert_eq!(line["limited"], true);
}

#[tokio::test]
async fn a_rate_may_count_a_header() {
    let keys = format!(
        "{HERE}\nrate_limit = {{ rate = \"1/min\", burst = 0, key = \"header:x-api-key\" }}"
    );
    let proxy = Setup::new().route("/", &keys).start().await;
    for key in ["a", "b", "c"] {
        assert_eq!(
            proxy
                .request("GET", "/")
                .header("x-api-key", key)
                .send()
                .await
                .status,
            200
        );
        assert_eq!(
            proxy
                .request("GET", "/")
                .header("x-api-key", key)
                .send()
                .await
                .status,
            429
        );
    }
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_have_a_rate_each() {
    let proxy = Setup::new()
        .server("trusted_proxies = [\"127.0.0.1\"]")
        .route(
            "/",
            &format!("{HERE}\nrate_limit = {{ rate = \"1/min\", burst = 0 }}"),
        )
        .start()
        .await;
    for client in ["9.9.9.1", "9.9.9.2", "2001:db8:1::1", "2001:db8:2::1"] {
        assert_eq!(
            proxy
                .request("GET", "/")
                .header("x-forwarded-for", client)
                .send()
                .await
                .status,
            200,
            "{client}"
        );
    }
    // IPv6 is counted by /64.
    for client in ["9.9.9.1", "2001:db8:1::2"] {
        assert_eq!(
            proxy
                .request("GET", "/")
                .header("x-forwarded-for", client)
                .send()
                .await
                .status,
            429,
            "{client}"
        );
    }
}

async fn small(backend: &Backend) -> Proxy {
    Setup::to(&[backend])
        .route(
            "/up/",
            "proxy = { upstream = \"app\" }\nbody_limit = \"1KiB\"",
        )
        .start()
        .await
}

#[tokio::test]
async fn a_body_above_its_limit_by_length_is_413() {
    let backend = Backend::echo().await;
    let proxy = small(&backend).await;
    for http2 in [false, true] {
        let fits = proxy.request("POST", "/up/").body(vec![b'x'; 1024]);
        assert_eq!(
            if http2 { fits.h2() } else { fits }.send().await.status,
            200
        );
        let large = proxy.request("POST", "/up/").body(vec![b'x'; 1025]);
        assert_eq!(
            if http2 { large.h2() } else { large }.send().await.status,
            413
        );
    }
    assert_eq!(backend.requests().len(), 2);
}

#[tokio::test]
async fn a_chunked_body_above_its_limit_is_413() {
    let backend = Backend::echo().await;
    let proxy = small(&backend).await;
    let mut raw = proxy.raw().await;
    let head = format!("POST /up/ HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("200\r\n{}\r\n", "x".repeat(512));
    raw.send(head + &chunk.repeat(4) + "0\r\n\r\n").await;
    assert_eq!(status_of(&raw.head().await), 413);
    let lines = proxy
        .access_where("/up/", |line| line["status"] == 413)
        .await;
    assert_eq!(lines["method"], "POST");
}

#[tokio::test]
async fn the_default_limit_is_one_mebibyte() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend]).start().await;
    assert_eq!(
        proxy
            .request("POST", "/")
            .body(vec![0; 1 << 20])
            .send()
            .await
            .status,
        200
    );
    assert_eq!(
        proxy
            .request("POST", "/")
            .body(vec![0; (1 << 20) + 1])
            .send()
            .await
            .status,
        413
    );
}

#[tokio::test]
async fn a_head_above_its_limit_is_431() {
    let proxy = Setup::new().route("/", HERE).start().await;
    for (size, wanted) in [(20 << 10, 200), (40 << 10, 431)] {
        let mut raw = proxy.raw().await;
        let field = format!("X-Large: {}\r\n", "x".repeat(1000));
        let fields = field.repeat(size / field.len());
        raw.try_send(format!(
            "GET / HTTP/1.1\r\nHost: {HOST}\r\n{fields}Connection: close\r\n\r\n"
        ))
        .await
        .ok();
        assert_eq!(status_of(&raw.read_to_end().await), wanted, "{size}");
    }
}

#[tokio::test]
async fn a_target_above_the_limit_is_414_or_431() {
    let proxy = Setup::new().route("/", HERE).start().await;
    let mut raw = proxy.raw().await;
    raw.try_send(format!(
        "GET /{} HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
        "x".repeat(70_000)
    ))
    .await
    .ok();
    let status = status_of(&raw.read_to_end().await);
    assert!([414, 431].contains(&status), "{status}");
}

#[tokio::test]
async fn an_h2_head_above_its_limit_is_refused() {
    let proxy = Setup::new().route("/", HERE).start().await;
    let mut session = proxy.session2().await;
    let mut request = proxy.request("GET", "/").h2();
    for index in 0..40 {
        request = request.header(&format!("x-large-{index}"), &"x".repeat(1000));
    }
    if let Ok(reply) = session.try_send(request).await {
        assert_eq!(reply.status, 431);
    }
    assert_eq!(proxy.request("GET", "/").h2().send().await.status, 200);
}

#[tokio::test]
async fn a_slow_head_is_cut_at_its_deadline() {
    let proxy = Setup::new()
        .server("head_timeout = \"500ms\"")
        .route("/", HERE)
        .start()
        .await;
    let start = Instant::now();
    let mut raw = proxy.raw().await;
    raw.send(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Slow: "))
        .await;
    let answer = raw.read_to_end().await;
    assert!(answer.is_empty() || status_of(&answer) == 408, "{answer}");
    assert!((Duration::from_millis(400)..Duration::from_secs(5)).contains(&start.elapsed()));
    proxy.logged(&["head_timeout"]).await;
}

#[tokio::test]
async fn a_drip_does_not_extend_the_deadline() {
    let proxy = Setup::new()
        .server("head_timeout = \"600ms\"")
        .route("/", HERE)
        .start()
        .await;
    // Empty lines before a request line are no request either, however far apart they come.
    for (text, pause) in [("X", 50), ("\r\n", 50), ("\r\n", 250)] {
        drip(&proxy, text.as_bytes(), Duration::from_millis(pause)).await;
    }
}

async fn drip(proxy: &Proxy, text: &[u8], pause: Duration) {
    let mut stream = TcpStream::connect(proxy.http()).await.unwrap();
    let start = Instant::now();
    let drip = async {
        loop {
            if stream.write_all(text).await.is_err() {
                return;
            }
            let mut byte = [0; 256];
            if let Ok(Ok(0) | Err(_)) = timeout(pause, stream.read(&mut byte)).await {
                return;
            }
        }
    };
    timeout(PATIENCE, drip)
        .await
        .expect("a drip keeps the connection");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let proxy = Setup::new()
        .server("head_timeout = \"500ms\"")
        .route("/", HERE)
        .start()
        .await;
    let mut raw = proxy.raw().await;
    raw.send(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"))
        .await;
    assert_eq!(raw.response().await.1, "here");
    assert_eq!(raw.read_to_end().await, "");
}

#[tokio::test]
async fn a_body_that_stalls_is_cut() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend])
        .server("stall_timeout = \"500ms\"")
        .start()
        .await;
    let mut raw = proxy.raw().await;
    let start = Instant::now();
    raw.send(format!(
        "POST /stall HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10\r\n\r\nhalf"
    ))
    .await;
    let answer = raw.read_to_end().await;
    assert!(
        answer.is_empty() || [408, 400].contains(&status_of(&answer)),
        "{answer}"
    );
    assert!(start.elapsed() < Duration::from_secs(8));
    eventually("the backend's end", async || {
        (backend.open() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_stalls_is_cut() {
    let backend = Backend::scripted(|mut conn| async move {
        conn.head().await;
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
            .await?;
        let piece = "x".repeat(1 << 16);
        loop {
            conn.write(&piece).await?;
        }
    })
    .await;
    let proxy = Setup::to(&[&backend])
        .server("stall_timeout = \"500ms\"")
        .start()
        .await;
    let mut raw = proxy.raw().await;
    raw.send(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"))
        .await;
    raw.head().await;
    eventually("the backend's end", async || {
        (backend.open() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn connections_above_the_limit_wait_until_one_ends() {
    let proxy = Setup::new()
        .listener("max_connections = 2")
        .route("/", HERE)
        .start()
        .await;
    let (first, _second) = (proxy.session().await, proxy.session().await);
    let target = proxy.target();
    let mut third = tokio::spawn(async move {
        let mut raw = Raw::connect(&target).await.unwrap();
        raw.send(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"))
            .await;
        status_of(&raw.head().await)
    });
    let early = timeout(Duration::from_millis(300), &mut third).await;
    assert!(early.is_err(), "served above the limit");
    drop(first);
    assert_eq!(timeout(PATIENCE, third).await.unwrap().unwrap(), 200);
}
