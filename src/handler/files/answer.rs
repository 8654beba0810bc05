//! An asset made into a response: representation, preconditions, ranges, headers.

use std::{collections::VecDeque, io, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
        CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, LINK, VARY,
    },
};
use tokio::task::spawn_blocking;

use crate::{
    assets::{
        asset::Asset,
        content::{Content, LargeFile, Source},
    },
    handler::files::{
        body::{Piece, Pieces},
        coding,
        condition::{self, Validators, Verdict},
        nonce,
        range::{self, Selection},
    },
    message::{
        Response,
        body::Body,
        error::{ErrorKind, ProxyError},
    },
};

/// Room for our headers and those of the layers above, so that the map is made once.
pub(super) const HEADERS: usize = 24;
/// When to try again after a file was found replaced; by then the new release is read.
const RETRY: Duration = Duration::from_secs(2);

/// A response, or all of it but an open file.
#[derive(Debug)]
pub(super) enum Answer {
    /// From memory.
    Ready(Response),
    /// From disk.
    Disk(DiskAnswer),
}

/// A response whose pieces lie in a file.
#[derive(Debug)]
pub(super) struct DiskAnswer {
    head: http::Response<()>,
    file: Arc<LargeFile>,
    pieces: VecDeque<Piece>,
}

/// Answers a GET or HEAD for `asset`, the whole of it with `links`.
pub(super) fn answer(
    asset: &Asset,
    links: Option<&HeaderValue>,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Answer, ErrorKind> {
    if let Some(template) = asset.template() {
        return nonce::answer(asset, template, links, method).map(Answer::Ready);
    }
    let (content, coding) = coding::select(asset, headers);
    let validators = Validators {
        etag: content.etag(),
        modified: asset.modified(),
    };
    let mut head = http::Response::new(());
    *head.headers_mut() = common_headers(asset, content);
    if condition::evaluate(headers, validators)? == Verdict::NotModified {
        *head.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(Answer::Ready(head.map(|()| Body::empty())));
    }
    add_content_headers(head.headers_mut(), asset, coding);
    // Ranges are defined for GET alone (RFC 9110 section 14.2).
    let selection = if *method == Method::GET && condition::allows_range(headers, validators) {
        range::select(headers, content.size())
    } else {
        Selection::Whole
    };
    match selection {
        Selection::Whole => {
            head.headers_mut()
                .insert(CONTENT_LENGTH, content.length().clone());
            if let Some(dictionary) = asset.dictionary() {
                let name = HeaderName::from_static("use-as-dictionary");
                head.headers_mut().insert(name, dictionary.clone());
            }
            if let Some(links) = links {
                head.headers_mut().insert(LINK, links.clone());
            }
            if *method == Method::HEAD {
                return Ok(Answer::Ready(head.map(|()| Body::empty())));
            }
            Ok(fill(head, content, 0..content.size()))
        }
        Selection::Part(range) => {
            *head.status_mut() = StatusCode::PARTIAL_CONTENT;
            let length = range.end - range.start;
            head.headers_mut().insert(CONTENT_LENGTH, length.into());
            head.headers_mut()
                .insert(CONTENT_RANGE, value(content_range(&range, content.size())));
            Ok(fill(head, content, range))
        }
        Selection::Parts(ranges) => Ok(fill_parts(head, asset, content, ranges)),
        Selection::Unsatisfiable => Err(ErrorKind::Range(content.size())),
    }
}

impl DiskAnswer {
    /// Opens the file.
    pub(super) async fn open(self) -> Result<Response, ProxyError> {
        let file = self.file;
        #[expect(
            clippy::disallowed_methods,
            reason = "opening a file may wait for a disk"
        )]
        let opened = spawn_blocking(move || file.open()).await;
        match opened {
            Ok(Ok(file)) => Ok(self
                .head
                .map(|()| Body::wrap(Pieces::new(self.pieces, Some(file))))),
            // One that is gone does not come back by trying again.
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                Err(ProxyError::caused(ErrorKind::NoFile, error))
            }
            Ok(Err(error)) => Err(ProxyError::caused(ErrorKind::Overloaded(RETRY), error)),
            Err(error) => Err(ProxyError::caused(
                ErrorKind::Internal("a file could not be opened"),
                error,
            )),
        }
    }
}

/// Headers of 200, 206 and 304 alike. The policy is among them: a browser updates what it has
/// stored by those of a 304.
fn common_headers(asset: &Asset, content: &Content) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(ETAG, content.etag().clone());
    headers.insert(CACHE_CONTROL, asset.cache_control().clone());
    if asset.varies() {
        headers.insert(VARY, vary(asset));
    }
    if let Some((name, policy)) = asset.csp() {
        headers.insert(name, policy.clone());
    }
    headers
}

/// What a cache has to tell requests apart by; from the start, also while there is one answer for all.
fn vary(asset: &Asset) -> HeaderValue {
    match asset.dictionary() {
        Some(_) => HeaderValue::from_static("accept-encoding, available-dictionary"),
        None => ACCEPT_ENCODING.into(),
    }
}

fn add_content_headers(headers: &mut HeaderMap, asset: &Asset, coding: Option<HeaderValue>) {
    headers.insert(CONTENT_TYPE, asset.mime().clone());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(modified) = asset.modified() {
        headers.insert(LAST_MODIFIED, modified.value.clone());
    }
    if let Some(coding) = coding {
        headers.insert(CONTENT_ENCODING, coding);
    }
}

fn fill(head: http::Response<()>, content: &Content, range: Range<u64>) -> Answer {
    match (content.source(), piece(content, range)) {
        (Source::Disk(file), piece) => Answer::Disk(DiskAnswer {
            head,
            file: Arc::clone(file),
            pieces: [piece].into(),
        }),
        (Source::Memory(_), Piece::Bytes(bytes)) => Answer::Ready(head.map(|()| Body::full(bytes))),
        (Source::Memory(_), Piece::File { .. }) => Answer::Ready(head.map(|()| Body::empty())),
    }
}

/// A `multipart/byteranges` body (RFC 9110 section 14.6).
fn fill_parts(
    mut head: http::Response<()>,
    asset: &Asset,
    content: &Content,
    ranges: Vec<Range<u64>>,
) -> Answer {
    // Random, so that no file can contain it on purpose.
    let boundary = format!("{:032x}", fastrand::u128(..));
    let mime = asset.mime().to_str().unwrap_or("application/octet-stream");
    let mut pieces = VecDeque::with_capacity(2 * ranges.len() + 1);
    for range in ranges {
        let range_field = content_range(&range, content.size());
        let part = format!(
            "\r\n--{boundary}\r\nContent-Type: {mime}\r\nContent-Range: {range_field}\r\n\r\n"
        );
        pieces.push_back(Piece::Bytes(part.into()));
        pieces.push_back(piece(content, range));
    }
    pieces.push_back(Piece::Bytes(format!("\r\n--{boundary}--\r\n").into()));
    let length: u64 = pieces.iter().map(Piece::len).sum();
    *head.status_mut() = StatusCode::PARTIAL_CONTENT;
    head.headers_mut().insert(CONTENT_LENGTH, length.into());
    head.headers_mut().insert(
        CONTENT_TYPE,
        value(format!("multipart/byteranges; boundary={boundary}")),
    );
    match content.source() {
        Source::Memory(_) => Answer::Ready(head.map(|()| Body::wrap(Pieces::new(pieces, None)))),
        Source::Disk(file) => Answer::Disk(DiskAnswer {
            head,
            file: Arc::clone(file),
            pieces,
        }),
    }
}

fn piece(content: &Content, range: Range<u64>) -> Piece {
    match content.source() {
        Source::Memory(bytes) => Piece::Bytes(slice(bytes, &range)),
        Source::Disk(_) => Piece::File {
            offset: range.start,
            length: range.end - range.start,
        },
    }
}

/// A range that was cut from the size of these very bytes.
fn slice(bytes: &Bytes, range: &Range<u64>) -> Bytes {
    let at = |place: u64| {
        usize::try_from(place)
            .unwrap_or(usize::MAX)
            .min(bytes.len())
    };
    bytes.slice(at(range.start)..at(range.end))
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits, letters and signs are visible ASCII")
}
