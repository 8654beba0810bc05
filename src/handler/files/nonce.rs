//! A page with a nonce: made for one request, and kept by nobody.

use std::collections::VecDeque;

use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Method,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LINK},
};

use crate::{
    assets::{asset::Asset, template::Template},
    handler::files::{
        answer::HEADERS,
        body::{Piece, Pieces},
    },
    message::{Response, body::Body, error::ErrorKind},
};

/// Random bytes: more than the 128 bits that CSP Level 3 section 7.1 asks for, and a whole number
/// of letters.
const RANDOM: usize = 18;
/// Letters of a nonce.
const LENGTH: usize = RANDOM * 4 / 3;
/// Pages up to this size are copied into one piece; larger ones are sent in parts, so that many
/// slow clients do not cost a copy each.
const COPIED: usize = 16 << 10;

/// What nobody can guess, once.
struct Nonce([u8; LENGTH]);

/// Answers a GET or HEAD for a page, with `links`. Preconditions and ranges are for bytes that come again, so
/// they are not looked at.
pub(super) fn answer(
    asset: &Asset,
    template: &Template,
    links: Option<&HeaderValue>,
    method: &Method,
) -> Result<Response, ErrorKind> {
    let nonce = Nonce::random()?;
    let policy = template
        .policy(nonce.as_str())
        .map_err(|_| ErrorKind::Internal("a policy is not a header value"))?;
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(CONTENT_TYPE, asset.mime().clone());
    headers.insert(CONTENT_LENGTH, template.size(LENGTH).into());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(template.policy_name(), policy);
    if let Some(links) = links {
        headers.insert(LINK, links.clone());
    }
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = headers;
    if *method == Method::GET {
        *response.body_mut() = fill(template, &nonce);
    }
    Ok(response)
}

fn fill(template: &Template, nonce: &Nonce) -> Body {
    let Some((first, rest)) = template.parts().split_first() else {
        return Body::empty();
    };
    let size = template.size(LENGTH);
    if size <= COPIED {
        let mut page = BytesMut::with_capacity(size);
        page.extend_from_slice(first);
        for part in rest {
            page.extend_from_slice(&nonce.0);
            page.extend_from_slice(part);
        }
        return Body::full(page);
    }
    let nonce = Bytes::copy_from_slice(&nonce.0);
    let mut pieces = VecDeque::with_capacity(2 * rest.len() + 1);
    pieces.push_back(Piece::Bytes(first.clone()));
    for part in rest {
        pieces.push_back(Piece::Bytes(nonce.clone()));
        pieces.push_back(Piece::Bytes(part.clone()));
    }
    // An empty piece would be an empty frame.
    pieces.retain(|piece| piece.len() > 0);
    Body::wrap(Pieces::new(pieces, None))
}

impl Nonce {
    /// In letters that need no escape in HTML, in scripts and in a header.
    fn random() -> Result<Self, ErrorKind> {
        const FAILED: ErrorKind = ErrorKind::Internal("the system has no randomness");
        let mut random = [0; RANDOM];
        // Less than 2 us: no store of them is worth its state.
        rand::fill(&mut random).map_err(|_| FAILED)?;
        let mut nonce = [0; LENGTH];
        URL_SAFE_NO_PAD
            .encode_slice(random, &mut nonce)
            .map_err(|_| FAILED)?;
        Ok(Self(nonce))
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base64 is ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_never_comes_again() {
        let nonces: std::collections::BTreeSet<_> =
            (0..1000).map(|_| Nonce::random().unwrap().0).collect();
        assert_eq!(nonces.len(), 1000);
    }
}
