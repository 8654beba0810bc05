//! `[[site]]`: host names, certificates, headers and routes.

use crate::config::{headers::Headers, route::Route, tls::Certificate, value::HostPattern};

/// `[[site]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// At least one; unique over all sites.
    pub hosts: Vec<HostPattern>,
    /// At least one when a TLS listener exists.
    pub certificates: Vec<Certificate>,
    /// Security headers of every response.
    pub headers: Headers,
    /// In file order; the router sorts them.
    pub routes: Vec<Route>,
}
