//! A request while backends are tried: all that is needed to send it, and to send it again.

use std::{rc::Rc, time::Duration};

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, Method};
use http_body::Body as _;
use hyper::upgrade::OnUpgrade;

use crate::{
    handler::{
        proxy::{event_stream, replay, request},
        websocket::{
            self,
            extended::{self, Key},
        },
    },
    message::{Call, body::Body, context::RequestContext, hop_by_hop},
    upstream::{Upstream, lease::Wanted, pool::Demand},
};

/// A request while backends are tried.
pub(super) struct Pending {
    /// What the backend is asked with.
    pub(super) method: Method,
    /// Request line and fields, as [`request::head`] writes them.
    pub(super) head: BytesMut,
    /// The map of the request's fields, empty: that of the response is made of its memory.
    pub(super) spare: HeaderMap,
    pub(super) body: Body,
    pub(super) is_bodyless: bool,
    /// The client's side, when it asks for a WebSocket.
    pub(super) upgrade: Option<OnUpgrade>,
    /// What the backend has to accept, when the client does so over HTTP/2.
    pub(super) key: Option<Key>,
    pub(super) context: Rc<RequestContext>,
    pub(super) wanted: Wanted,
    /// Whether affinity is asked for.
    pub(super) sticks: bool,
    /// Sending it twice is like sending it once.
    pub(super) is_repeatable: bool,
    pub(super) demand: Demand,
    /// `timeout.header`, but for event streams.
    pub(super) header_timeout: Option<Duration>,
}

impl Pending {
    /// Of a call that goes to `upstream`, without the path's `prefix`.
    pub(super) fn new(call: Call, upstream: &Upstream, prefix: Option<&str>) -> Self {
        let Call {
            mut request,
            context,
        } = call;
        let key = extended::is_asked_by(&request).then(Key::random);
        let upgrade = (key.is_some()
            || hop_by_hop::wants_websocket(request.headers(), request.method(), request.version()))
        .then(|| hyper::upgrade::on(&mut request));
        let (mut parts, body) = request.into_parts();
        if let Some(key) = &key {
            let key = HeaderValue::try_from(key.as_str()).expect("base64 is visible ASCII");
            parts.headers.insert(extended::KEY, key);
        }
        let headers = &parts.headers;
        let hashed = upstream.key(headers, &context);
        let sticky = upstream
            .sticky()
            .filter(|sticky| sticky.applies(&context.uri));
        let sticks = sticky.is_some();
        let named =
            sticky.and_then(|sticky| sticky.home(&context.uri, headers, &upstream.backends()));
        let protocol = upgrade.is_some().then_some(websocket::PROTOCOL);
        let method = extended::method(&context.method).clone();
        let is_repeatable = replay::is_repeatable(&method, headers);
        // What must not be sent twice takes no connection that the backend may be closing now.
        let demand = if is_repeatable && upgrade.is_none() {
            Demand::Alive
        } else {
            Demand::Fresh
        };
        let timeout = upstream.config().timeout.header;
        let header_timeout =
            (!event_stream::is_asked_for(&context.method, headers)).then_some(timeout);
        let head = request::head(headers, &context, prefix, protocol);
        parts.headers.clear();
        Self {
            method,
            head,
            spare: parts.headers,
            is_bodyless: body.size_hint().exact() == Some(0),
            body,
            upgrade,
            key,
            wanted: Wanted::new(hashed, named),
            sticks,
            is_repeatable,
            demand,
            header_timeout,
            context,
        }
    }
}
