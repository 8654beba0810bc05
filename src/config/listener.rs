//! `[[listener]]`: an address that is accepted on.

use std::net::SocketAddr;

/// `[[listener]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Address and port.
    pub address: SocketAddr,
    /// TLS, with HTTP/2 and HTTP/1.1 by ALPN; otherwise plain, which only redirects to https.
    pub tls: bool,
    /// Connections open at once; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// Index into `Config::sites` of the site that answers hosts nobody names; `None`: 404.
    pub default_site: Option<usize>,
}
