//! A fixed answer, and a fixed refusal.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{
    HeaderValue, Method, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use tower::Service;

use crate::{
    config::route,
    handler::HandlerFuture,
    message::{
        Call, Response,
        body::Body,
        error::{ErrorKind, ProxyError},
    },
};

/// `route.respond`: the same answer to every request.
#[derive(Debug, Clone)]
pub struct Respond {
    status: StatusCode,
    body: Bytes,
    content_type: HeaderValue,
}

impl Respond {
    /// The answer that `respond` asks for.
    pub fn new(respond: &route::Respond) -> Self {
        Self {
            status: respond.status,
            body: respond.body.clone(),
            content_type: respond.content_type.clone(),
        }
    }

    fn answer(&self, method: &Method) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        if self.body.is_empty() || matches!(self.status.as_u16(), 204 | 205 | 304) {
            return response;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, self.content_type.clone());
        if *method == Method::HEAD {
            // Over HTTP/2 nobody else takes the body off.
            headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        } else {
            *response.body_mut() = Body::full(self.body.clone());
        }
        response
    }
}

impl Service<Call> for Respond {
    type Response = Response;
    type Error = ProxyError;
    type Future = HandlerFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> HandlerFuture {
        let response = self.answer(call.request.method());
        Box::pin(std::future::ready(Ok(response)))
    }
}

/// Refuses every request with the same error: what stands where a host has no site, or a path no route.
#[derive(Debug, Clone)]
pub struct Refuse(pub ErrorKind);

impl Service<Call> for Refuse {
    type Response = Response;
    type Error = ProxyError;
    type Future = HandlerFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Call) -> HandlerFuture {
        Box::pin(std::future::ready(Err(self.0.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn respond(status: u16) -> Respond {
        Respond::new(&route::Respond {
            status: StatusCode::from_u16(status).unwrap(),
            body: Bytes::from_static(b"back soon"),
            content_type: HeaderValue::from_static("text/plain"),
        })
    }

    #[test]
    fn answers_with_status_type_and_body() {
        let response = respond(503).answer(&Method::POST);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/plain");
        assert_eq!(response.body().as_bytes().unwrap(), "back soon");
    }

    #[test]
    fn says_the_length_of_the_body_that_head_does_not_get() {
        let response = respond(200).answer(&Method::HEAD);
        assert_eq!(response.headers()[CONTENT_LENGTH], "9");
        assert!(response.body().as_bytes().is_none());
    }

    #[test]
    fn sends_no_body_where_the_status_has_none() {
        let response = respond(204).answer(&Method::GET);
        assert!(response.headers().is_empty());
        assert!(response.body().as_bytes().is_none());
    }
}
