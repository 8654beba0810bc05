//! `[[listener]]`: an address that is accepted on.

use std::{net::SocketAddr, ops::Range};

use crate::config::{
    defaults,
    reader::table::{Shape, Table},
    value::Located,
};

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

/// `[[listener]]`.
pub(crate) static SHAPE: Shape = Shape {
    name: "listener",
    keys: &["address", "tls", "max_connections", "default_site"],
    reserved: &["proxy_protocol", "http3"],
};

/// `[[listener]]` before its site is looked up.
pub(crate) struct RawListener {
    /// Required.
    pub(crate) address: Option<Located<SocketAddr>>,
    /// Speaks TLS.
    pub(crate) tls: bool,
    /// Connections open at once.
    pub(crate) max_connections: usize,
    /// A host of some site.
    pub(crate) default_site: Option<Located<String>>,
    /// Its header.
    pub(crate) span: Range<usize>,
}

impl RawListener {
    /// Reads one `[[listener]]`.
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let listener = Self {
            address: table.require("address", "\"0.0.0.0:443\""),
            tls: table.take_or("tls", false),
            max_connections: table.take_within(
                "max_connections",
                defaults::MAX_CONNECTIONS,
                &(1..=10_000_000),
            ),
            default_site: table.take("default_site"),
            span: table.span.clone(),
        };
        table.finish();
        listener
    }
}
