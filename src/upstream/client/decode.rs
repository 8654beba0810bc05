//! The head of a response, read as HTTP/1.1 (RFC 9112 section 4).
//!
//! The bytes are a backend's, and a backend may be taken over: nothing here trusts them.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

pub mod framing;

/// Most header fields of a response.
const MAX_FIELDS: usize = 128;

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

/// Takes a complete head off the front of `buffer`; `None` when more bytes are needed.
///
/// # Errors
/// The bytes are not HTTP/1, or the head is larger than [`MAX_HEAD`].
pub fn head(buffer: &mut BytesMut) -> Result<Option<Head>, Malformed> {
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
    let start = buffer.as_ptr() as usize;
    let places: Places = response
        .headers
        .iter()
        .map(|field| Place::of(field, start))
        .collect();
    let http11 = response.version == Some(1);
    let bytes = buffer.split_to(length).freeze();
    let mut headers = places.headers(&bytes)?;
    framing::say_length_once(&mut headers);
    let keep_alive = keeps_alive(&headers, http11);
    Ok(Some(Head {
        status,
        headers,
        keep_alive,
    }))
}

/// Where a field lies in the head.
#[derive(Clone, Copy)]
struct Place {
    name: (u32, u32),
    value: (u32, u32),
}

/// The fields' places, kept while the buffer that `httparse` borrows is given up.
struct Places {
    places: [Place; MAX_FIELDS],
    count: usize,
}

impl Place {
    fn of(field: &httparse::Header<'_>, start: usize) -> Self {
        let range = |bytes: &[u8]| {
            if bytes.is_empty() {
                return (0, 0);
            }
            let from = bytes.as_ptr() as usize - start;
            // A head is at most 64 KiB, and httparse's slices lie in it.
            #[expect(
                clippy::cast_possible_truncation,
                reason = "offsets in a buffer below 4 GiB"
            )]
            (from as u32, (from + bytes.len()) as u32)
        };
        Self {
            name: range(field.name.as_bytes()),
            value: range(field.value),
        }
    }
}

impl FromIterator<Place> for Places {
    fn from_iter<I: IntoIterator<Item = Place>>(places: I) -> Self {
        let mut all = Self {
            places: [Place {
                name: (0, 0),
                value: (0, 0),
            }; MAX_FIELDS],
            count: 0,
        };
        for (slot, place) in all.places.iter_mut().zip(places) {
            *slot = place;
            all.count += 1;
        }
        all
    }
}

impl Places {
    /// The fields, whose values share `head`'s memory.
    fn headers(&self, head: &Bytes) -> Result<HeaderMap, Malformed> {
        let mut headers = HeaderMap::with_capacity(self.count);
        for place in &self.places[..self.count] {
            let name = &head[place.name.0 as usize..place.name.1 as usize];
            let name = HeaderName::from_bytes(name)
                .map_err(|_| Malformed("a header field name is malformed"))?;
            // An empty value has no place of its own in the buffer.
            let value = if place.value.0 >= place.value.1 {
                HeaderValue::from_static("")
            } else {
                HeaderValue::from_maybe_shared(
                    head.slice(place.value.0 as usize..place.value.1 as usize),
                )
                .map_err(|_| Malformed("a header field value is malformed"))?
            };
            headers.append(name, value);
        }
        Ok(headers)
    }
}

fn keeps_alive(headers: &HeaderMap, http11: bool) -> bool {
    let has = |token: &str| {
        headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| {
                value
                    .split(',')
                    .any(|part| part.trim().eq_ignore_ascii_case(token))
            })
    };
    if http11 {
        !has("close")
    } else {
        has("keep-alive")
    }
}

#[cfg(test)]
mod tests;
