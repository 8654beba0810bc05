//! Where the body of a response ends (RFC 9112 sections 6 and 7).

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::upstream::client::decode::{Head, Malformed};

/// Longest line of a chunk size with its extensions.
const MAX_CHUNK_LINE: usize = 1024;
/// Largest trailer section.
const MAX_TRAILERS: usize = 16 * 1024;

/// Reads a body out of a connection's bytes, up to its end.
#[derive(Debug)]
pub enum Decoder {
    /// Bytes that are still to come; 0 is the end.
    Length(u64),
    /// Chunked coding.
    Chunked(Chunk),
    /// Everything until the backend closes.
    UntilClose,
    /// Nothing more; a chunked body's trailers were handed on.
    End,
}

/// Where in the chunked coding the next byte lies.
#[derive(Debug)]
pub enum Chunk {
    /// In the line with a chunk's size.
    Size,
    /// In a chunk, with the bytes still to come.
    Data(u64),
    /// At the line end behind a chunk.
    DataEnd,
    /// In the trailer section.
    Trailers,
}

/// One step of a decoder.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Payload.
    Data(Bytes),
    /// Trailer fields; the body is at its end.
    Trailers(HeaderMap),
    /// The body is at its end.
    End,
    /// More bytes are needed.
    More,
}

impl Decoder {
    /// How the body of a response to `method` ends (RFC 9112 section 6.3).
    ///
    /// # Errors
    /// Framing that two readers may read differently.
    pub fn of(method: &Method, head: &Head) -> Result<Self, Malformed> {
        let no_body = *method == Method::HEAD
            || head.status.is_informational()
            || head.status == StatusCode::NO_CONTENT
            || head.status == StatusCode::NOT_MODIFIED;
        let length = content_length(&head.headers)?;
        let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
        let coding = codings.next();
        if no_body {
            return Ok(Self::End);
        }
        match (coding, length) {
            (Some(_), Some(_)) => Err(Malformed(
                "the response has both Transfer-Encoding and Content-Length",
            )),
            (Some(coding), None)
                if codings.next().is_none()
                    && coding.as_bytes().eq_ignore_ascii_case(b"chunked") =>
            {
                Ok(Self::Chunked(Chunk::Size))
            }
            (Some(_), None) => Err(Malformed(
                "the response has a transfer coding other than chunked",
            )),
            (None, Some(0)) => Ok(Self::End),
            (None, Some(length)) => Ok(Self::Length(length)),
            (None, None) => Ok(Self::UntilClose),
        }
    }

    /// Whether the body ends where the connection does.
    pub fn is_until_close(&self) -> bool {
        matches!(self, Self::UntilClose)
    }

    /// Whether nothing more comes.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::End)
    }

    /// The body, if all of it lies in `buffer` and its length is known.
    pub fn whole(&self, buffer: &mut BytesMut) -> Option<Bytes> {
        let length = usize::try_from(self.remaining()?).ok()?;
        (length <= buffer.len()).then(|| buffer.split_to(length).freeze())
    }

    /// Payload bytes still to come, where that is known.
    pub fn remaining(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::End => Some(0),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }

    /// Takes the next piece off `buffer`.
    ///
    /// # Errors
    /// The chunked coding is malformed or a line of it too long.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Piece, Malformed> {
        match self {
            Self::End => Ok(Piece::End),
            Self::UntilClose if buffer.is_empty() => Ok(Piece::More),
            Self::UntilClose => Ok(Piece::Data(buffer.split().freeze())),
            Self::Length(left) => {
                let Some(data) = take(buffer, left) else {
                    return Ok(Piece::More);
                };
                if *left == 0 {
                    *self = Self::End;
                }
                Ok(Piece::Data(data))
            }
            Self::Chunked(_) => self.decode_chunked(buffer),
        }
    }

    fn decode_chunked(&mut self, buffer: &mut BytesMut) -> Result<Piece, Malformed> {
        while let Self::Chunked(chunk) = self {
            match chunk {
                Chunk::Size => match chunk_size(buffer)? {
                    None => return Ok(Piece::More),
                    Some(0) => *chunk = Chunk::Trailers,
                    Some(size) => *chunk = Chunk::Data(size),
                },
                Chunk::Data(left) => {
                    let Some(data) = take(buffer, left) else {
                        return Ok(Piece::More);
                    };
                    if *left == 0 {
                        *chunk = Chunk::DataEnd;
                    }
                    return Ok(Piece::Data(data));
                }
                Chunk::DataEnd => {
                    if buffer.len() < 2 {
                        return Ok(Piece::More);
                    }
                    if &buffer[..2] != b"\r\n" {
                        return Err(Malformed("a chunk is longer than its size"));
                    }
                    buffer.advance(2);
                    *chunk = Chunk::Size;
                }
                Chunk::Trailers => {
                    let Some(trailers) = trailers(buffer)? else {
                        return Ok(Piece::More);
                    };
                    *self = Self::End;
                    return Ok(if trailers.is_empty() {
                        Piece::End
                    } else {
                        Piece::Trailers(trailers)
                    });
                }
            }
        }
        Ok(Piece::End)
    }
}

/// Takes at most `left` bytes, and counts them off.
fn take(buffer: &mut BytesMut, left: &mut u64) -> Option<Bytes> {
    if buffer.is_empty() {
        return None;
    }
    let count = usize::try_from(*left)
        .unwrap_or(usize::MAX)
        .min(buffer.len());
    *left -= count as u64;
    Some(buffer.split_to(count).freeze())
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let malformed = Malformed("the Content-Length of the response is malformed");
    let mut length = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        let digits = value.as_bytes();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(malformed);
        }
        // Lengths that do not fit are nobody's; the largest that do mean something else to others.
        let number = value
            .to_str()
            .ok()
            .and_then(|text| text.parse().ok())
            .filter(|number| *number <= i64::MAX.unsigned_abs())
            .ok_or(malformed)?;
        if length.is_some_and(|before| before != number) {
            return Err(Malformed("the response has two Content-Lengths"));
        }
        length = Some(number);
    }
    Ok(length)
}

/// Several equal lengths are one (RFC 9110 section 8.6): a client must not have to choose. Others
/// are refused where the body's end is looked for.
pub(super) fn say_length_once(headers: &mut HeaderMap) {
    if headers
        .get_all(header::CONTENT_LENGTH)
        .iter()
        .nth(1)
        .is_some()
        && let Ok(Some(length)) = content_length(headers)
    {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// The size line of a chunk; extensions are skipped.
fn chunk_size(buffer: &mut BytesMut) -> Result<Option<u64>, Malformed> {
    let Some(end) = memchr::memchr(b'\n', &buffer[..buffer.len().min(MAX_CHUNK_LINE)]) else {
        return if buffer.len() < MAX_CHUNK_LINE {
            Ok(None)
        } else {
            Err(Malformed("a chunk size line is too long"))
        };
    };
    let line = buffer[..end]
        .strip_suffix(b"\r")
        .ok_or(Malformed("a chunk size line ends in a bare LF"))?;
    let length = line.iter().take_while(|it| it.is_ascii_hexdigit()).count();
    let (digits, extensions) = line.split_at(length);
    if digits.is_empty() || !are_extensions(extensions) {
        return Err(Malformed("a chunk size is malformed"));
    }
    if digits.len() > 15 {
        return Err(Malformed("a chunk size has more than 15 digits"));
    }
    let size = digits
        .iter()
        .fold(0, |size, digit| size << 4 | u64::from(hex(*digit)));
    buffer.advance(end + 1);
    Ok(Some(size))
}

/// Whether nothing, or `;` and anything on the same line, follows a chunk's size (RFC 9112 section 7.1.1). Space
/// before it is bad, but in use.
fn are_extensions(text: &[u8]) -> bool {
    let mut rest = text.iter().skip_while(|byte| matches!(byte, b' ' | b'\t'));
    matches!(rest.next(), None | Some(b';')) && !text.contains(&b'\r')
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// The trailer section with its empty line.
fn trailers(buffer: &mut BytesMut) -> Result<Option<HeaderMap>, Malformed> {
    if buffer.starts_with(b"\r\n") {
        buffer.advance(2);
        return Ok(Some(HeaderMap::new()));
    }
    let malformed = Malformed("the trailer section is malformed");
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let (length, headers) = match httparse::parse_headers(buffer, &mut fields) {
        Ok(httparse::Status::Complete((length, parsed))) => {
            let mut headers = HeaderMap::with_capacity(parsed.len());
            for field in parsed {
                let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| malformed)?;
                headers.append(
                    name,
                    HeaderValue::from_bytes(field.value).map_err(|_| malformed)?,
                );
            }
            (length, headers)
        }
        Ok(httparse::Status::Partial) if buffer.len() < MAX_TRAILERS => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Malformed("the trailer section has more than 32 fields"));
        }
        Ok(httparse::Status::Partial) => {
            return Err(Malformed("the trailer section is larger than 16 KiB"));
        }
        Err(_) => return Err(malformed),
    };
    if length > MAX_TRAILERS {
        return Err(Malformed("the trailer section is larger than 16 KiB"));
    }
    // Another reader may see another end of the section there.
    if memchr::memchr_iter(b'\n', &buffer[..length]).any(|at| !buffer[..at].ends_with(b"\r")) {
        return Err(Malformed("the trailer section has a bare LF"));
    }
    buffer.advance(length);
    Ok(Some(headers))
}
