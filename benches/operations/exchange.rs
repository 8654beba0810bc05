//! The codecs of the HTTP/1.1 client to backends.

use std::hint::black_box;

use bytes::BytesMut;
use http::{HeaderMap, Method};
use portcullis::upstream::client::decode::{
    self,
    framing::{Chunk, Decoder, Piece},
};

use super::Operation;

/// What NestJS says around a small answer.
pub(crate) const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nX-Powered-By: Express\r\n\
    Content-Type: application/json; charset=utf-8\r\nContent-Length: 27\r\n\
    ETag: W/\"1b-0123456789abcdefghijklmnopq\"\r\nDate: Tue, 24 Nov 2026 06:00:00 GMT\r\n\
    Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n{\"id\":42,\"title\":\"a to-do\"}";

/// The head of a response, and where its body ends.
pub(crate) fn decode_head() -> Operation {
    Box::new(|| {
        let mut buffer = BytesMut::with_capacity(1024);
        buffer.extend_from_slice(black_box(RESPONSE));
        let head = decode::head(&mut buffer, &mut HeaderMap::new()).expect("it is HTTP");
        let head = head.expect("it is whole");
        black_box(Decoder::of(&Method::GET, &head).expect("its framing is good"));
    })
}

/// 16 chunks of 100 bytes.
pub(crate) fn decode_chunked() -> Operation {
    let mut coded = Vec::new();
    for _ in 0..16 {
        coded.extend_from_slice(b"64\r\n");
        coded.extend_from_slice(&[b'x'; 100]);
        coded.extend_from_slice(b"\r\n");
    }
    coded.extend_from_slice(b"0\r\n\r\n");
    Box::new(move || {
        let mut buffer = BytesMut::from(&coded[..]);
        let mut decoder = Decoder::Chunked(Chunk::Size);
        while let Piece::Data(data) = decoder.decode(&mut buffer).expect("the coding is good") {
            black_box(data);
        }
    })
}
