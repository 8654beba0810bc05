//! Probes against real listeners.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UnixListener},
};

use super::*;
use crate::{
    config,
    upstream::{
        lease::Unavailable,
        tests::{http_probe, upstream, wanted},
    },
};

fn quick(config: &mut config::upstream::Upstream) {
    config.probe.interval = Duration::from_millis(20);
    config.probe.timeout = Duration::from_millis(200);
}

fn start(upstream: &Arc<Upstream>) -> Probes {
    let direct: Arc<dyn Connect> = Arc::new(Direct);
    Probes::start(upstream, &direct, &Handle::current())
}

/// Answers each connection with `response` and hangs up.
async fn serve(listener: TcpListener, response: &'static [u8]) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = [0; 512];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(response).await;
    }
}

async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(10), waiting)
        .await
        .expect("the condition comes about");
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = format!("http://{}", listener.local_addr().unwrap());
    (listener, name)
}

#[tokio::test]
async fn finds_a_dead_backend_at_once_and_sees_it_return() {
    let (socket, name) = listener().await;
    let address = socket.local_addr().unwrap();
    drop(socket);
    let upstream = upstream(&[&name], |config| {
        config.probe.interval = Duration::from_mins(1);
    });
    let _probes = start(&upstream);
    let backends = upstream.backends();
    let health = backends[0].health();
    until(|| !health.is_healthy()).await;
    assert!(health.ready_at().is_some());
    let socket = TcpListener::bind(address).await.unwrap();
    let _serving = tokio::spawn(serve(socket, b""));
    until(|| health.is_healthy()).await;
    assert!(!health.is_cooling());
}

#[tokio::test]
async fn asks_for_the_path_and_expects_the_status() {
    let (good, good_name) = listener().await;
    let (bad, bad_name) = listener().await;
    let _good = tokio::spawn(serve(good, b"HTTP/1.1 200 OK\r\n\r\n"));
    let _bad = tokio::spawn(serve(bad, b"HTTP/1.1 503 Service Unavailable\r\n\r\n"));
    let upstream = upstream(&[&good_name, &bad_name], |config| {
        quick(config);
        config.probe.http = Some(http_probe("/health"));
    });
    let _probes = start(&upstream);
    let backends = upstream.backends();
    until(|| backends.iter().all(|it| it.health().is_probed())).await;
    assert!(backends[0].health().is_healthy());
    assert!(!backends[1].health().is_healthy());
    assert!(!backends[1].health().is_cooling(), "it could be reached");
}

#[tokio::test]
async fn expects_the_text_and_says_what_is_missing() {
    let (socket, name) = listener().await;
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{\"status\":\"error\"}";
    let _serving = tokio::spawn(serve(socket, response));
    let probing = |text: &str| {
        upstream(&[&name], |config| {
            config.probe.http = Some(HttpProbe {
                contains: Some(text.to_owned()),
                ..http_probe("/health")
            });
        })
    };
    let first = |upstream: &Upstream| Arc::clone(&upstream.backends()[0]);
    let good = probing("\"status\":");
    check(&good, &first(&good), &Direct).await.unwrap();
    let bad = probing("\"ok\"");
    let fault = check(&bad, &first(&bad), &Direct).await.unwrap_err();
    assert_eq!(
        fault.to_string(),
        r#"answered 200, but the body does not contain "\"ok\"""#
    );
}

#[tokio::test]
async fn waits_for_a_body_no_longer_than_for_the_rest() {
    let (socket, name) = listener().await;
    let _serving = tokio::spawn(async move {
        let (mut stream, _) = socket.accept().await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no";
        stream.write_all(head).await.unwrap();
        std::future::pending::<()>().await;
        drop(stream);
    });
    let upstream = upstream(&[&name], |config| {
        quick(config);
        config.probe.http = Some(HttpProbe {
            contains: Some("ok".to_owned()),
            ..http_probe("/")
        });
    });
    let fault = check(&upstream, &upstream.backends()[0], &Direct)
        .await
        .unwrap_err();
    assert!(matches!(fault, Fault::Timeout(_)), "{fault}");
}

#[tokio::test]
async fn does_not_wait_for_ever() {
    let (socket, name) = listener().await;
    let upstream = upstream(&[&name], |config| {
        quick(config);
        config.probe.http = Some(http_probe("/"));
    });
    let fault = check(&upstream, &upstream.backends()[0], &Direct)
        .await
        .unwrap_err();
    assert!(matches!(fault, Fault::Timeout(_)), "{fault}");
    drop(socket);
    let fault = check(&upstream, &upstream.backends()[0], &Direct)
        .await
        .unwrap_err();
    assert!(matches!(fault, Fault::Connect(_)), "{fault}");
}

#[tokio::test]
async fn asks_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let _serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        }
    });
    let upstream = upstream(&[&format!("unix:{}", path.display())], |config| {
        config.probe.http = Some(http_probe("/health"));
    });
    check(&upstream, &upstream.backends()[0], &Direct)
        .await
        .unwrap();
}

#[tokio::test]
async fn finds_the_address_that_works_among_several() {
    let (socket, _) = listener().await;
    let port = socket.local_addr().unwrap().port();
    let upstream = upstream(&[&format!("http://localhost:{port}")], |_| {});
    let backends = upstream.backends();
    let backend = &backends[0];
    let works = socket.local_addr().unwrap();
    backend.learn(&[(std::net::Ipv6Addr::LOCALHOST, port).into(), works]);
    check(&upstream, &upstream.backends()[0], &Direct)
        .await
        .unwrap();
    assert_eq!(backend.addresses()[0], works);
}

#[tokio::test]
async fn looks_at_once_when_a_request_could_not_connect() {
    let (socket, name) = listener().await;
    let _serving = tokio::spawn(serve(socket, b""));
    let upstream = upstream(&[&name], |config| {
        config.probe.interval = Duration::from_mins(10);
    });
    let _probes = start(&upstream);
    let backends = upstream.backends();
    let health = backends[0].health();
    until(|| health.is_probed()).await;
    upstream.unreachable(
        &upstream.backends()[0],
        &io::ErrorKind::ConnectionRefused.into(),
    );
    until(|| health.ready_at().is_none()).await;
}

#[tokio::test]
async fn ends_with_its_owner() {
    let (socket, name) = listener().await;
    let _serving = tokio::spawn(serve(socket, b""));
    let upstream = upstream(&[&name], quick);
    let probes = start(&upstream);
    until(|| upstream.backends()[0].health().is_probed()).await;
    drop(probes);
    until(|| Arc::strong_count(&upstream) == 1).await;
}

#[test]
fn spreads_the_checks_around_the_interval() {
    let health = Health::new();
    let interval = Duration::from_secs(10);
    let waits: Vec<_> = (0..100).map(|_| until_next(&health, interval)).collect();
    assert!(waits.iter().all(|it| (9..=11).contains(&it.as_secs())));
    assert!(waits.iter().any(|it| *it != waits[0]));
}

#[tokio::test]
async fn lets_held_requests_go_when_the_backend_returns() {
    let (socket, name) = listener().await;
    let address = socket.local_addr().unwrap();
    drop(socket);
    let upstream = upstream(&[&name], |_| {});
    let _probes = start(&upstream);
    until(|| upstream.backends()[0].health().ready_at().is_some()).await;
    let mut held = JoinSet::new();
    for _ in 0..20 {
        let upstream = Arc::clone(&upstream);
        held.spawn(async move {
            let mut wanted = wanted();
            wanted.tried.insert(0);
            let deadline = Instant::now() + Duration::from_secs(10);
            loop {
                let lease = upstream.acquire(&mut wanted, deadline).await?;
                if let Err(error) = Direct.connect(lease.backend()).await {
                    lease.unreachable(&error);
                    continue;
                }
                lease.reached();
                return Ok::<_, Unavailable>(());
            }
        });
    }
    until(|| upstream.waiting() > 10).await;
    let returned = Instant::now();
    let _serving = tokio::spawn(serve(TcpListener::bind(address).await.unwrap(), b""));
    assert!(held.join_all().await.iter().all(Result::is_ok));
    assert!(returned.elapsed() < Duration::from_secs(3));
}
