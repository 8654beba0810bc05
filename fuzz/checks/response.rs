//! What must hold for any answer of a backend, in any pieces.

use bytes::BytesMut;
use http::{HeaderMap, Method, StatusCode};
use portcullis::upstream::client::decode::{
    self, Malformed,
    framing::{Decoder, Piece},
};

/// The first byte chooses method and pieces, the others are the answer.
pub(crate) fn check(input: &[u8]) {
    let Some((choice, answer)) = input.split_first() else {
        return;
    };
    let method = if choice & 1 == 0 {
        Method::GET
    } else {
        Method::HEAD
    };
    let whole = read(&method, answer, answer.len());
    let in_pieces = read(&method, answer, usize::from(choice >> 1));
    // Which of two faults is met first may depend on the pieces; that there is one may not.
    assert_eq!(whole.is_ok(), in_pieces.is_ok(), "{whole:?} {in_pieces:?}");
    if let (Ok(whole), Ok(in_pieces)) = (whole, in_pieces) {
        assert_eq!(whole, in_pieces);
    }
}

/// Everything that an answer said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    status: Option<StatusCode>,
    headers: HeaderMap,
    keep_alive: bool,
    payload: Vec<u8>,
    trailers: Option<HeaderMap>,
    is_at_end: bool,
    /// Bytes behind its end.
    left: usize,
}

/// Reads `answer` in pieces of `step` bytes and one more.
fn read(method: &Method, answer: &[u8], step: usize) -> Result<Said, Malformed> {
    let mut said = Said::default();
    let mut decoder = None;
    let mut buffer = BytesMut::new();
    for piece in answer.chunks(step + 1) {
        buffer.extend_from_slice(piece);
        while decoder.is_none()
            && let Some(head) = taking(&mut buffer, |it| decode::head(it, &mut HeaderMap::new()))?
        {
            if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
                decoder = Some(Decoder::of(method, &head)?);
                said.status = Some(head.status);
                said.headers = head.headers;
                said.keep_alive = head.keep_alive;
            }
        }
        assert!(decoder.is_some() || buffer.len() < decode::MAX_HEAD);
        while let Some(decoder) = &mut decoder
            && !said.is_at_end
        {
            match taking(&mut buffer, |it| decoder.decode(it))? {
                Piece::More => break,
                Piece::Data(data) => {
                    assert!(!data.is_empty(), "a piece of nothing");
                    said.payload.extend_from_slice(&data);
                }
                Piece::Trailers(trailers) => {
                    assert!(decoder.is_end());
                    said.trailers = Some(trailers);
                    said.is_at_end = true;
                }
                Piece::End => said.is_at_end = true,
            }
        }
        assert!(said.payload.len() + buffer.len() <= answer.len());
    }
    // A length that is met has its end with its last byte.
    said.is_at_end |= decoder.is_some_and(|it| it.is_end());
    said.left = buffer.len();
    Ok(said)
}

/// Bytes are taken off the front, and none are put back.
fn taking<T>(buffer: &mut BytesMut, act: impl FnOnce(&mut BytesMut) -> T) -> T {
    let before = buffer.clone();
    let result = act(buffer);
    assert!(before.ends_with(buffer), "the buffer is another one");
    result
}
