//! WebSocket: the upgrade on both sides, then bytes.
//!
//! Only `websocket` is upgraded, and only when the backend says 101. The relay is left in the
//! request's context; the worker runs it, counts it and ends it. It heeds two notices: that of the process and that
//! of its backend.

use std::{rc::Rc, time::Duration};

use http::{HeaderMap, HeaderValue, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::{
    message::{context::RequestContext, notice::Heed},
    upstream::{client::Connection, lease::Lease},
};

pub mod extended;
pub mod frames;
pub(in crate::handler) mod moment;
pub mod tunnel;

/// What `Upgrade` says.
pub const PROTOCOL: &str = "websocket";

/// Puts the upgrade back that hop-by-hop stripping took off a 101.
pub fn accept(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
}

/// Leaves the relay between the client's side, once hyper lets go of it, and `backend`.
pub fn join(
    context: &Rc<RequestContext>,
    client: OnUpgrade,
    backend: Connection,
    lease: Lease,
    idle: Duration,
) {
    let request_id = context.request_id.get().cloned();
    // Over HTTP/2 the connection is in use for as long.
    let connection = context.connection.clone();
    let notice_of_backend = lease.backend().notice().heed();
    let relay = async move |notice: Heed| {
        let client = match client.await {
            Ok(client) => TokioIo::new(client),
            Err(error) => {
                tracing::debug!(?request_id, %error, "the client left before its upgrade");
                return 0;
            }
        };
        let (end, bytes) = tunnel::relay(
            client,
            backend.stream,
            backend.buffer,
            idle,
            moment::come(notice, notice_of_backend),
        )
        .await;
        tracing::debug!(?request_id, ?end, "tunnel closed");
        drop((lease, connection));
        bytes
    };
    context
        .tunnel
        .replace(Some(Box::new(|notice| Box::pin(relay(notice)))));
}
