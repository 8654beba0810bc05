//! `[server]`: what concerns the whole process.

use std::{net::SocketAddr, time::Duration};

use ipnet::IpNet;

use crate::config::value::Secret;

/// `[server]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Worker threads; never 0 (0 in the file means one per core).
    pub threads: usize,
    /// How long requests and tunnels in flight may go on after `TERM`.
    pub drain_timeout: Duration,
    /// The operator's listener; `None` when `admin = false`.
    pub admin: Option<Admin>,
    /// Peers whose forwarded headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Time for a request head; also how long an idle HTTP/1.1 client connection is kept.
    pub head_timeout: Duration,
    /// Largest request head in bytes; above it the answer is 431.
    pub head_limit: usize,
    /// How long a client may stall while it sends a body or takes a response.
    pub stall_timeout: Duration,
    /// How long a WebSocket tunnel may carry no byte.
    pub tunnel_timeout: Duration,
}

/// `server.admin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens.
    pub address: SocketAddr,
    /// Bearer token; always present when `address` is not loopback.
    pub token: Option<Secret>,
}
