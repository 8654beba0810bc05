//! A WebSocket over HTTP/2 (RFC 8441): what the backend is told instead, in HTTP/1.1.
//!
//! The client sends CONNECT with `:protocol`, and no key: HTTP/2 cannot be taken for anything else. The backend
//! is sent a GET with a key of our own, and has to answer with what belongs to it (RFC 6455 section 4.2.2).

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};

use crate::{handler::websocket::PROTOCOL, message::error::ErrorKind, upstream::client::Answer};

static GET: Method = Method::GET;

/// The field of the key.
pub const KEY: HeaderName = header::SEC_WEBSOCKET_KEY;

/// What a key is hashed with (RFC 6455 section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether `request` asks for a WebSocket by CONNECT.
pub fn is_asked_by<B>(request: &http::Request<B>) -> bool {
    let protocol = request.extensions().get::<hyper::ext::Protocol>();
    *request.method() == Method::CONNECT
        && protocol.is_some_and(|it| it.as_str().eq_ignore_ascii_case(PROTOCOL))
}

/// What the backend is asked with when the client asks with `method`.
pub fn method(method: &Method) -> &Method {
    if *method == Method::CONNECT {
        &GET
    } else {
        method
    }
}

/// The key of one handshake. It guards against caches and servers that echo, not against an attacker.
#[derive(Debug)]
pub struct Key(String);

impl Key {
    /// Another one than any before.
    pub fn random() -> Self {
        Self(STANDARD.encode(fastrand::u128(..).to_be_bytes()))
    }

    /// As it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the client may hear of `answer`: a success means an open WebSocket to it.
    ///
    /// # Errors
    /// The backend did not accept this handshake, and does not say so by its status either.
    pub fn check(&self, answer: &Answer) -> Result<(), ErrorKind> {
        match answer {
            Answer::Upgraded(head, _) if self.is_accepted(&head.headers) => Ok(()),
            Answer::Upgraded(..) => Err(ErrorKind::BackendProtocol(
                "the backend accepted another WebSocket handshake",
            )),
            other if other.head().status.is_success() => Err(ErrorKind::BackendProtocol(
                "the backend answered a WebSocket handshake with a page",
            )),
            _ => Ok(()),
        }
    }

    fn is_accepted(&self, headers: &HeaderMap) -> bool {
        let accept = headers.get(header::SEC_WEBSOCKET_ACCEPT);
        accept.is_some_and(|accept| accept.as_bytes() == self.accept().as_bytes())
    }

    fn accept(&self) -> String {
        let text = format!("{}{GUID}", self.0);
        STANDARD.encode(digest::digest(
            &digest::SHA1_FOR_LEGACY_USE_ONLY,
            text.as_bytes(),
        ))
    }
}

/// Turns the fields of a 101 into those of the client's answer, whose status this gives.
pub fn accept(headers: &mut HeaderMap) -> StatusCode {
    headers.remove(header::SEC_WEBSOCKET_ACCEPT);
    StatusCode::OK
}

#[cfg(test)]
mod tests {
    use http::Request;
    use hyper::ext::Protocol;

    use super::*;

    #[test]
    fn knows_a_connect_for_a_websocket() {
        let asked = |method: Method, protocol: Option<&'static str>| {
            let mut request = Request::new(());
            *request.method_mut() = method;
            if let Some(protocol) = protocol {
                request
                    .extensions_mut()
                    .insert(Protocol::from_static(protocol));
            }
            is_asked_by(&request)
        };
        assert!(asked(Method::CONNECT, Some("websocket")));
        assert!(asked(Method::CONNECT, Some("WebSocket")));
        assert!(!asked(Method::CONNECT, Some("connect-udp")));
        assert!(!asked(Method::CONNECT, None));
        assert!(!asked(Method::GET, Some("websocket")));
    }

    #[test]
    fn expects_what_the_rfc_gives_as_an_example() {
        let key = Key("dGhlIHNhbXBsZSBub25jZQ==".to_owned());
        assert_eq!(key.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(Key::random().as_str().len(), 24);
        assert_ne!(Key::random().as_str(), Key::random().as_str());
    }
}
