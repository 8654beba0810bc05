//! What happens to every request around its handler: the stack, in one place.
//!
//! A layer edits heads and keeps no state of its own; what it needs is prebuilt in [`Settings`] and belongs to
//! one worker. Only the handler's future is boxed, the layers wrap it by name.

use std::rc::Rc;

use crate::{
    message::forwarded::TrustedProxies,
    middleware::{
        body_limit::BodyLimit,
        client_address::ClientAddress,
        compression::Compression,
        error_response::ErrorResponse,
        observe::{Observe, Observers},
        rate_limit::RateLimit,
        request_id::RequestId,
        security_headers::SecurityHeaders,
    },
};

pub mod body_limit;
pub mod client_address;
pub mod compression;
pub mod error_response;
pub mod observe;
pub mod rate_limit;
pub mod request_id;
pub mod security_headers;

/// What the layers of one route need, built once per worker.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `server.trusted_proxies`.
    pub trusted: Rc<TrustedProxies>,
    /// Access log and metrics of the route.
    pub observers: Rc<Observers>,
    /// `site.headers`.
    pub headers: Rc<security_headers::Fields>,
    /// `route.rate_limit`.
    pub rate_limit: Option<Rc<rate_limit::Policy>>,
    /// `route.body_limit` in bytes.
    pub body_limit: u64,
    /// `route.compress`.
    pub compression: Option<Rc<compression::Policy>>,
}

/// A handler in its layers. It cannot fail: every error has become a response.
pub type Stack<H> = RequestId<
    ClientAddress<Observe<SecurityHeaders<RateLimit<ErrorResponse<BodyLimit<Compression<H>>>>>>>,
>;

/// Puts the layers around `handler`, outermost first.
///
/// Layers and handlers are always ready; what has to be waited for is waited for inside a request's future.
pub fn stack<H>(settings: Settings, handler: H) -> Stack<H> {
    // First, so that whatever happens below can be found again by its id, and no response leaves without it.
    RequestId::new(
        settings.trusted.clone(),
        // Before all that log, count, limit or forward: they must mean the client, not a proxy in front of us.
        ClientAddress::new(
            settings.trusted,
            // Outside all that answer, so that every answer is logged and counted, a refusal too.
            Observe::new(
                settings.observers,
                // Outside all that answer, so that a 304, a 429 and a 502 carry the fields too.
                SecurityHeaders::new(
                    settings.headers,
                    // Before all that costs. Outside the error response, so that errors too say what is left; its
                    // own refusal it has answered there.
                    RateLimit::new(
                        settings.rate_limit,
                        // Above all that fail: from here on inwards errors are errors, outside there are only responses.
                        ErrorResponse::new(
                            // Above the handlers: whatever reads the body reads it bounded.
                            BodyLimit::new(
                                settings.body_limit,
                                // Last before the handler, so that all above count and log the bytes that are sent.
                                // Errors are answered above it: they are small, and hold no secret worth guessing.
                                Compression::new(settings.compression, handler),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    )
}

#[cfg(test)]
mod tests;
