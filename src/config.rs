//! What the user asked for: one TOML file, read with places, turned into typed values.
//!
//! Text becomes a spanned tree, the tree becomes [`Config`], and every fault on the way is a
//! [`diagnostic::Diagnostic`] with a place. Whoever holds a `Config` need not check anything again.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

pub mod diagnostic;
pub mod headers;
pub mod limit;
pub mod listener;
pub mod log;
pub mod route;
pub mod server;
pub mod site;
pub mod tls;
pub mod upstream;
pub mod value;

/// A whole, faultless configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it came from; relative paths in it were resolved against its folder.
    pub path: PathBuf,
    /// `[server]`.
    pub server: server::Server,
    /// `[[listener]]`, at least one.
    pub listeners: Vec<listener::Listener>,
    /// `[tls]`.
    pub tls: tls::Tls,
    /// `[log]`.
    pub log: log::Log,
    /// `[upstream.NAME]`, by name.
    pub upstreams: BTreeMap<String, Arc<upstream::Upstream>>,
    /// `[[site]]`, in file order.
    pub sites: Vec<site::Site>,
}
