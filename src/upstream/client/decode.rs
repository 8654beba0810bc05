//! The head of a response, read as HTTP/1.1 (RFC 9112 section 4).
//!
//! The bytes are a backend's, and a backend may be taken over: nothing here trusts them.

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

pub mod framing;

/// Most header fields of a response.
const MAX_FIELDS: usize = 128;

/// Room for the fields that are added on the way to the client: growing a map costs more than making it.
const OWN_FIELDS: usize = 12;

/// Largest response head, in bytes.
pub const MAX_HEAD: usize = 64 * 1024;

/// What is wrong with a response; the text is for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// A response head.
#[derive(Debug)]
pub struct Head {
    /// Status.
    pub status: StatusCode,
    /// Fields, hop-by-hop ones included.
    pub headers: HeaderMap,
    /// The connection may carry another request.
    pub keep_alive: bool,
}

/// Takes a complete head off the front of `buffer`; `None` when more bytes are needed. `spare` is an
/// empty map, whose memory the head's fields take.
///
/// # Errors
/// The bytes are not HTTP/1, or the head is larger than [`MAX_HEAD`].
pub fn head(buffer: &mut BytesMut, spare: &mut HeaderMap) -> Result<Option<Head>, Malformed> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        buffer,
        &mut fields,
    );
    let length = match parsed {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if buffer.len() < MAX_HEAD => return Ok(None),
        Ok(httparse::Status::Partial) => {
            return Err(Malformed("the response head is larger than 64 KiB"));
        }
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Malformed("the response has more than 128 header fields"));
        }
        Err(_) => return Err(Malformed("the response head is not HTTP/1")),
    };
    if length > MAX_HEAD {
        return Err(Malformed("the response head is larger than 64 KiB"));
    }
    let status = response
        .code
        .and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Malformed("the status code is out of range"))?;
    let http11 = response.version == Some(1);
    // A copy, so that the fields do not hold the connection's buffer, which is large and used again.
    let bytes = Bytes::copy_from_slice(&buffer[..length]);
    let mut headers = std::mem::take(spare);
    read_fields(&mut headers, response.headers, buffer, &bytes)?;
    buffer.advance(length);
    // Its framing is faulty (RFC 9112 section 6.1).
    if !http11 && headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(Malformed("an HTTP/1.0 response has a transfer coding"));
    }
    framing::say_length_once(&mut headers);
    let keep_alive = keeps_alive(&headers, http11);
    Ok(Some(Head {
        status,
        headers,
        keep_alive,
    }))
}

/// Adds the fields that `httparse` found in `buffer`, with values that share the memory of `copy`.
fn read_fields(
    headers: &mut HeaderMap,
    fields: &[httparse::Header<'_>],
    buffer: &[u8],
    copy: &Bytes,
) -> Result<(), Malformed> {
    headers.reserve(fields.len() + OWN_FIELDS);
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| Malformed("a header field name is malformed"))?;
        // An empty value has no place of its own in the buffer.
        let value = if field.value.is_empty() {
            HeaderValue::from_static("")
        } else {
            let start = field.value.as_ptr() as usize - buffer.as_ptr() as usize;
            HeaderValue::from_maybe_shared(copy.slice(start..start + field.value.len()))
                .map_err(|_| Malformed("a header field value is malformed"))?
        };
        headers.append(name, value);
    }
    Ok(())
}

/// `close` counts whatever else is said (RFC 9112 section 9.3), and so does what is not a list of tokens.
fn keeps_alive(headers: &HeaderMap, http11: bool) -> bool {
    let mut keeps = http11;
    for value in headers.get_all(header::CONNECTION) {
        let Ok(text) = value.to_str() else {
            return false;
        };
        for token in text.split(',').map(str::trim) {
            if token.eq_ignore_ascii_case("close") {
                return false;
            }
            keeps |= token.eq_ignore_ascii_case("keep-alive");
        }
    }
    keeps
}

#[cfg(test)]
mod tests;
