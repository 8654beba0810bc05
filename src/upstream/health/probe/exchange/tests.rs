//! Requests and answers of probes, byte by byte.

use http::HeaderValue;
use proptest::prelude::*;
use tokio::io::duplex;

use super::*;
use crate::upstream::tests::http_probe;

/// What a probe makes of `response`, after which the backend closes.
async fn answer(response: &[u8]) -> io::Result<(u16, Vec<u8>)> {
    let (mut ours, mut theirs) = duplex(256 * 1024);
    theirs.write_all(response).await?;
    theirs.shutdown().await?;
    let answer = ask(&mut ours, b"GET / HTTP/1.1\r\n\r\n").await?;
    let status = answer.status().as_u16();
    Ok((status, answer.body(&mut ours).await?.to_vec()))
}

async fn status(response: &[u8]) -> io::Result<u16> {
    Ok(answer(response).await?.0)
}

async fn body(response: &[u8]) -> io::Result<Vec<u8>> {
    Ok(answer(response).await?.1)
}

fn text(probe: &HttpProbe) -> String {
    String::from_utf8(request(probe, "app:3000")).unwrap()
}

#[test]
fn asks_as_the_backend_unless_told_otherwise() {
    let probe = http_probe("/health?x=1");
    assert_eq!(
        text(&probe),
        "GET /health?x=1 HTTP/1.1\r\nHost: app:3000\r\nuser-agent: portcullis-probe\r\naccept: */*\r\n\
         Connection: close\r\n\r\n"
    );
    let probe = HttpProbe {
        host: Some("api.example".to_owned()),
        headers: vec![
            (header::AUTHORIZATION, HeaderValue::from_static("Bearer x")),
            (header::USER_AGENT, HeaderValue::from_static("mine")),
        ],
        ..probe
    };
    assert_eq!(
        text(&probe),
        "GET /health?x=1 HTTP/1.1\r\nHost: api.example\r\naccept: */*\r\nauthorization: Bearer x\r\n\
         user-agent: mine\r\nConnection: close\r\n\r\n"
    );
}

#[tokio::test]
async fn reads_the_status() {
    assert_eq!(status(b"HTTP/1.1 200 OK\r\n\r\nbody").await.unwrap(), 200);
    assert_eq!(status(b"HTTP/1.0 503 \r\nA: b\r\n\r\n").await.unwrap(), 503);
}

#[tokio::test]
async fn passes_over_interim_responses() {
    let response = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    assert_eq!(status(response).await.unwrap(), 204);
}

#[tokio::test]
async fn reads_bodies_of_every_framing_to_their_end_and_no_further() {
    for response in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall wellHTTP/1.1 500 x\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nall \r\n4;a=b\r\nwell\r\n0\r\nT: x\r\n\r\nmore",
        b"HTTP/1.1 200 OK\r\n\r\nall well",
        b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nall well",
    ] {
        let read = body(response).await.unwrap();
        assert_eq!(read, b"all well", "{}", response.escape_ascii());
    }
    assert_eq!(
        body(b"HTTP/1.1 204 No Content\r\n\r\nx").await.unwrap(),
        b""
    );
}

#[tokio::test]
async fn refuses_bodies_that_break_off_or_have_two_ends() {
    for response in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall well"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nall well\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nall well",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nall well",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        assert!(body(response).await.is_err(), "{}", response.escape_ascii());
    }
}

#[tokio::test]
async fn reads_no_more_of_a_body_than_its_limit() {
    let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    endless.resize(200_000, b'a');
    assert_eq!(body(&endless).await.unwrap().len(), MAX_BODY);
    let chunk = [b"4000\r\n", &[b'a'; 0x4000][..], b"\r\n"].concat();
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let endless = [&head[..], &chunk.repeat(10)].concat();
    assert_eq!(body(&endless).await.unwrap().len(), MAX_BODY);
}

#[tokio::test]
async fn refuses_what_is_no_response() {
    for response in [
        &b""[..],
        b"HTTP/1.1 ",
        b"HTTP/1.1 200 OK\r\nA: b\r\n",
        b"SSH-2.0-x\r\n",
        b"\x15\x03\x01\x00\x02",
    ] {
        assert!(status(response).await.is_err(), "{response:?}");
    }
}

#[tokio::test]
async fn reads_no_more_of_heads_than_its_limit() {
    let endless = b"HTTP/1.1 103 x\r\n\r\n".repeat(8000);
    let error = status(&endless).await.unwrap_err();
    assert!(error.to_string().contains("no final response"), "{error}");
    let mut long = b"HTTP/1.1 103 x\r\nA: ".to_vec();
    long.resize(140_000, b'a');
    assert!(status(&long).await.is_err());
}

proptest! {
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for start in ["", "HTTP/1.1 ", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] {
            let response = [start.as_bytes(), &bytes].concat();
            let _ = runtime.block_on(answer(&response));
        }
    }
}
