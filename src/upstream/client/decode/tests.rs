use http::Method;
use proptest::prelude::*;

use super::{
    framing::{Chunk, Decoder, Piece},
    *,
};

fn read(buffer: &mut BytesMut) -> Result<Option<Head>, Malformed> {
    head(buffer, &mut HeaderMap::new())
}

fn parse(text: &str) -> Head {
    read(&mut BytesMut::from(text)).unwrap().unwrap()
}

fn decoder(text: &str) -> Result<Decoder, Malformed> {
    Decoder::of(&Method::GET, &parse(text))
}

/// Everything a decoder gives for `bytes` that arrive in pieces of `step`.
fn decode_all(
    mut decoder: Decoder,
    bytes: &[u8],
    step: usize,
) -> Result<(Vec<u8>, bool), Malformed> {
    let mut payload = Vec::new();
    let mut buffer = BytesMut::new();
    for part in bytes.chunks(step.max(1)) {
        buffer.extend_from_slice(part);
        loop {
            match decoder.decode(&mut buffer)? {
                Piece::Data(data) => payload.extend_from_slice(&data),
                Piece::More => break,
                Piece::End | Piece::Trailers(_) => return Ok((payload, true)),
            }
        }
    }
    Ok((payload, false))
}

#[test]
fn reads_a_head_and_leaves_what_follows() {
    let mut buffer = BytesMut::from("HTTP/1.1 200 OK\r\nA: b\r\nEmpty:\r\nA: c\r\n\r\nrest");
    let head = read(&mut buffer).unwrap().unwrap();
    assert_eq!(head.status, StatusCode::OK);
    let values: Vec<_> = head.headers.get_all("a").iter().collect();
    assert_eq!(values, ["b", "c"]);
    assert_eq!(head.headers["empty"], "");
    assert!(head.keep_alive);
    assert_eq!(buffer, "rest");
}

#[test]
fn waits_for_a_whole_head_and_refuses_an_endless_one() {
    assert!(
        read(&mut BytesMut::from("HTTP/1.1 200 OK\r\nA: b\r\n"))
            .unwrap()
            .is_none()
    );
    let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(MAX_HEAD));
    assert!(read(&mut BytesMut::from(endless.as_str())).is_err());
}

#[test]
fn knows_when_a_connection_ends() {
    assert!(!parse("HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n").keep_alive);
    assert!(!parse("HTTP/1.0 200 OK\r\n\r\n").keep_alive);
    assert!(parse("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n").keep_alive);
}

#[test]
fn never_keeps_a_connection_that_is_to_be_closed() {
    let text = "HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\n\r\n";
    assert!(!parse(text).keep_alive);
    let mut text = BytesMut::from(&b"HTTP/1.1 200 OK\r\nConnection: \xff, close\r\n\r\n"[..]);
    assert!(!read(&mut text).unwrap().unwrap().keep_alive);
}

#[test]
fn refuses_a_transfer_coding_in_http_1_0() {
    let text = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(read(&mut BytesMut::from(text)).is_err());
}

#[test]
fn refuses_trailers_that_end_in_a_bare_line_feed() {
    for text in ["0\r\n\n", "0\r\nA: b\n\r\n", "0\r\nA: b\r\n\n"] {
        let decoded = decode_all(Decoder::Chunked(Chunk::Size), text.as_bytes(), 100);
        assert!(decoded.is_err(), "{text:?}");
    }
}

#[test]
fn refuses_large_trailers_however_they_arrive() {
    let text = format!("0\r\nA: {}\r\n\r\n", "x".repeat(16 * 1024));
    for step in [100, 20_000] {
        let decoded = decode_all(Decoder::Chunked(Chunk::Size), text.as_bytes(), step);
        assert!(decoded.is_err(), "in pieces of {step}");
    }
}

#[test]
fn refuses_framing_that_can_be_read_two_ways() {
    for fields in [
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: +3",
        "Content-Length: 3, 3",
        "Content-Length: 18446744073709551615",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ] {
        assert!(
            decoder(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n")).is_err(),
            "{fields}"
        );
    }
}

#[test]
fn gives_no_body_to_head_204_and_304() {
    let head = parse("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
    assert!(Decoder::of(&Method::HEAD, &head).unwrap().is_end());
    for status in ["204", "304"] {
        assert!(
            decoder(&format!("HTTP/1.1 {status} X\r\n\r\n"))
                .unwrap()
                .is_end()
        );
    }
    assert!(decoder("HTTP/1.1 200 OK\r\n\r\n").unwrap().is_until_close());
}

#[test]
fn hands_trailers_on() {
    let mut buffer = BytesMut::from("3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n");
    let mut decoder = Decoder::Chunked(Chunk::Size);
    assert_eq!(
        decoder.decode(&mut buffer).unwrap(),
        Piece::Data(Bytes::from("abc"))
    );
    let Piece::Trailers(trailers) = decoder.decode(&mut buffer).unwrap() else {
        panic!()
    };
    assert_eq!(trailers["x-sum"], "1");
    assert!(decoder.is_end());
}

#[test]
fn refuses_malformed_chunks() {
    for text in [
        "x\r\n",
        "3\nabc",
        "-1\r\n",
        "3\r\nabcd\r\n",
        "3\x0c\r\n",
        "3\x0c;x\r\n",
        "1111111111111111\r\n",
        ";\r\n",
        "3 4\r\nabc\r\n",
        "3 x\r\nabc\r\n",
        "3;a\rb\r\nabc\r\n",
        "\r\n",
    ] {
        assert!(
            decode_all(Decoder::Chunked(Chunk::Size), text.as_bytes(), 100).is_err(),
            "{text:?}"
        );
    }
}

proptest! {
    #[test]
    fn chunks_come_out_as_they_went_in(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..8), step in 1usize..20) {
        let mut coded = Vec::new();
        for part in &parts {
            coded.extend_from_slice(format!("{:X};ext=1\r\n", part.len()).as_bytes());
            coded.extend_from_slice(part);
            coded.extend_from_slice(b"\r\n");
        }
        coded.extend_from_slice(b"0\r\n\r\n");
        let (payload, ended) = decode_all(Decoder::Chunked(Chunk::Size), &coded, step).unwrap();
        prop_assert!(ended);
        prop_assert_eq!(payload, parts.concat());
    }

    #[test]
    fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), step in 1usize..20) {
        let _ = read(&mut BytesMut::from(&bytes[..]));
        let _ = decode_all(Decoder::Chunked(Chunk::Size), &bytes, step);
        let mut with_line = b"HTTP/1.1 200 OK\r\n".to_vec();
        with_line.extend_from_slice(&bytes);
        if let Ok(Some(head)) = read(&mut BytesMut::from(&with_line[..])) {
            let _ = Decoder::of(&Method::GET, &head);
        }
    }
}
