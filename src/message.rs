//! What HTTP means: the words that every floor above may use.
//!
//! Nothing here opens a socket, reads configuration or knows a handler.

use std::rc::Rc;

pub mod body;
pub mod coding;
pub mod context;
pub mod cookie;
pub mod error;
pub mod forwarded;
pub mod hop_by_hop;
pub mod host;
pub mod notice;
pub mod path;
pub mod text;

/// A request on its way through the stack, with what is known about it.
#[derive(Debug)]
pub struct Call {
    /// The request; layers may edit its head and wrap its body.
    pub request: http::Request<body::Body>,
    /// What the log, the metrics and the handlers read, shared with the response body.
    pub context: Rc<context::RequestContext>,
}

/// A response on its way back.
pub type Response = http::Response<body::Body>;
