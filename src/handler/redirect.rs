//! Redirects: a route's own, and the plain listener's to https.

use std::task::{Context, Poll};

use http::{HeaderValue, StatusCode, Uri, header::LOCATION};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tower::Service;

use crate::{
    config::route,
    handler::HandlerFuture,
    message::{
        Call, Response,
        body::Body,
        context::RequestContext,
        error::{ErrorKind, ProxyError},
        host::Host,
    },
};

/// What must not stand in `Location` as the client sent it. Browsers read `\` as `/`, which can make a path
/// the name of another host.
const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'\\').add(b'"').add(b'<').add(b'>');

/// `route.redirect`.
#[derive(Debug, Clone)]
pub struct Redirect {
    status: StatusCode,
    pieces: Box<[Piece]>,
    /// The template itself begins with `//`: another host is meant.
    leaves_host: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Host,
    Path,
    Query,
}

impl Redirect {
    /// The redirect that `redirect` asks for. Braces around other words stand for themselves.
    pub fn new(redirect: &route::Redirect) -> Self {
        Self {
            status: redirect.status,
            pieces: parse(&redirect.to),
            leaves_host: redirect.to.starts_with("//"),
        }
    }

    fn location(&self, context: &RequestContext) -> Result<String, ErrorKind> {
        let uri = &context.uri;
        let mut location = String::with_capacity(128);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => location.push_str(text),
                Piece::Host => push_host(&mut location, host(context)?),
                Piece::Path => push_path(&mut location, uri),
                Piece::Query => push_query(&mut location, uri),
            }
        }
        // `//x` would be a host: a path must not turn into one.
        if !self.leaves_host && location.starts_with("//") {
            location.replace_range(
                ..location.len() - location.trim_start_matches('/').len(),
                "/",
            );
        }
        Ok(location)
    }
}

impl Service<Call> for Redirect {
    type Response = Response;
    type Error = ProxyError;
    type Future = HandlerFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> HandlerFuture {
        let response = self
            .location(&call.context)
            .and_then(|location| answer(self.status, location));
        Box::pin(std::future::ready(response.map_err(ProxyError::from)))
    }
}

/// What the plain listener does with known hosts: the same target over https, 308.
#[derive(Debug, Clone, Copy)]
pub struct RedirectToHttps {
    /// Port of the plain listener.
    pub plain_port: u16,
    /// Port of the TLS listener.
    pub tls_port: u16,
}

impl RedirectToHttps {
    /// Where a request goes.
    ///
    /// A client that came to the port this process listens on finds the TLS listener at its port too. One that
    /// used another port came through a mapping, as containers have, which maps https to its own port.
    fn location(self, context: &RequestContext) -> Result<String, ErrorKind> {
        let host = host(context)?;
        let mut location = String::with_capacity(128);
        location.push_str("https://");
        push_host(&mut location, host);
        if host.port().unwrap_or(80) == self.plain_port && self.tls_port != 443 {
            location.push(':');
            location.push_str(&self.tls_port.to_string());
        }
        push_path(&mut location, &context.uri);
        push_query(&mut location, &context.uri);
        Ok(location)
    }
}

impl Service<Call> for RedirectToHttps {
    type Response = Response;
    type Error = ProxyError;
    type Future = HandlerFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> HandlerFuture {
        let response = self
            .location(&call.context)
            .and_then(|location| answer(StatusCode::PERMANENT_REDIRECT, location));
        Box::pin(std::future::ready(response.map_err(ProxyError::from)))
    }
}

fn answer(status: StatusCode, location: String) -> Result<Response, ErrorKind> {
    let location = HeaderValue::try_from(location)
        .map_err(|_| ErrorKind::Internal("the target of a redirect is not a header value"))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

fn host(context: &RequestContext) -> Result<&Host, ErrorKind> {
    let missing = ErrorKind::BadRequest("the Host field is missing");
    context.host.as_ref().ok_or(missing)
}

fn push_host(location: &mut String, host: &Host) {
    if host.name().contains(':') {
        location.push('[');
        location.push_str(host.name());
        location.push(']');
    } else {
        location.push_str(host.name());
    }
}

fn push_path(location: &mut String, uri: &Uri) {
    // `*` and the target of CONNECT are no paths.
    let path = if uri.path().starts_with('/') {
        uri.path()
    } else {
        "/"
    };
    location.extend(utf8_percent_encode(path, UNSAFE));
}

fn push_query(location: &mut String, uri: &Uri) {
    if let Some(query) = uri.query() {
        location.push('?');
        location.extend(utf8_percent_encode(query, UNSAFE));
    }
}

fn parse(template: &str) -> Box<[Piece]> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some(first) = rest.chars().next() {
        let found = [
            ("{host}", Piece::Host),
            ("{path}", Piece::Path),
            ("{query}", Piece::Query),
        ]
        .into_iter()
        .find_map(|(word, piece)| Some((rest.strip_prefix(word)?, piece)));
        if let Some((after, piece)) = found {
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text).into()));
            }
            pieces.push(piece);
            rest = after;
        } else {
            text.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text.into()));
    }
    pieces.into()
}

#[cfg(test)]
mod tests;
