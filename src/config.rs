//! What the user asked for: one TOML file, read with places, turned into typed values.
//!
//! Text becomes a spanned tree, the tree becomes [`Config`], and every fault on the way is a
//! [`diagnostic::Diagnostic`] with a place. Whoever holds a `Config` need not check anything again.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use toml::{Spanned, de::DeTable};

use crate::config::{
    diagnostic::{Diagnostic, Report},
    listener::RawListener,
    reader::{Reader, quoted, table::Table},
    site::RawSite,
    upstream::RawUpstream,
};

pub mod compress;
pub(crate) mod defaults;
pub mod diagnostic;
pub mod headers;
pub mod limit;
mod link;
pub mod listener;
pub mod log;
mod reader;
pub mod route;
pub mod server;
mod shape;
pub mod site;
mod source;
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

/// What was read, before names are looked up.
pub(crate) struct Raw {
    listeners: Vec<RawListener>,
    upstreams: Vec<RawUpstream>,
    sites: Vec<RawSite>,
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Every fault in it at once, or that it cannot be read. The report of a good file holds only warnings.
    pub fn load(path: &Path) -> Result<(Self, Report), Report> {
        match source::read(path) {
            Ok(text) => Self::parse(path, &text, &|name| env::var(name).ok()),
            Err(fault) => Err(Report::new(path, String::new(), vec![fault])),
        }
    }

    /// Reads where the operator's listener is from the file at `path`, and judges nothing else: whoever
    /// asks the running process must get through while the rest of the file is being written. `None`
    /// when `admin = false`.
    ///
    /// # Errors
    /// The file cannot be read, or `server.admin` has faults.
    pub fn load_admin(path: &Path) -> Result<Option<server::Admin>, Report> {
        let text =
            source::read(path).map_err(|fault| Report::new(path, String::new(), vec![fault]))?;
        // What is no TOML is left out; what is left is the best guess.
        let (root, _) = DeTable::parse_recoverable(&text);
        let environment = |name: &str| env::var(name).ok();
        let reader = Reader {
            text: &text,
            folder: source::folder_of(path),
            environment: &environment,
            diagnostics: RefCell::new(Vec::new()),
        };
        let table = Table::new(&reader, &shape::ROOT, root.get_ref(), 0..0);
        let server = table.child("server", &server::SHAPE);
        let admin = server.map_or_else(
            || Some(server::Admin::default()),
            |it| server::Admin::find(&it),
        );
        let shown = source::mask(&text, root.get_ref());
        let report = Report::new(path, shown, reader.diagnostics.take());
        if report.has_errors() {
            Err(report)
        } else {
            Ok(admin)
        }
    }

    /// Reads `text` as the file at `path`; `env` gives environment variables.
    ///
    /// # Errors
    /// Every fault in it at once. Where the text is no TOML, those faults alone: what it was meant to say
    /// would be guesswork.
    pub fn parse(
        path: &Path,
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Self, Report), Report> {
        let (root, faults) = DeTable::parse_recoverable(text);
        let shown = source::mask(text, root.get_ref());
        if !faults.is_empty() {
            let faults = source::syntax_faults(text, &faults);
            return Err(Report::new(path, shown, faults));
        }
        let reader = Reader {
            text,
            folder: source::folder_of(path),
            environment: env,
            diagnostics: RefCell::new(Vec::new()),
        };
        let config = Self::read(path, &reader, &root);
        let report = Report::new(path, shown, reader.diagnostics.into_inner());
        if report.has_errors() {
            Err(report)
        } else {
            Ok((config, report))
        }
    }

    /// What the tree says; of use only when the reader holds no error.
    fn read<'a>(path: &Path, reader: &'a Reader<'a>, root: &'a Spanned<DeTable<'a>>) -> Self {
        let table = Table::new(reader, &shape::ROOT, root.get_ref(), 0..0);
        let server = table.child("server", &server::SHAPE);
        let server = server.map_or_else(server::Server::default, |it| server::Server::read(&it));
        let tls = table.child("tls", &tls::SHAPE);
        let tls = tls.map_or_else(tls::Tls::default, |it| tls::Tls::read(&it));
        let log = table.child("log", &log::SHAPE);
        let log = log.map_or_else(log::Log::default, |it| log::Log::read(&it));
        let listeners = table.children("listener", &listener::SHAPE);
        let sites = table.children("site", &site::SHAPE);
        let raw = Raw {
            listeners: listeners.iter().map(RawListener::read).collect(),
            upstreams: read_upstreams(&table),
            sites: sites.iter().map(RawSite::read).collect(),
        };
        for (key, example) in [
            (
                "listener",
                "`[[listener]]` with `address = \"0.0.0.0:443\"` and `tls = true`",
            ),
            ("site", "`[[site]]` with `hosts = [\"example.com\"]`"),
        ] {
            if !table.has(key) {
                let message = format!("there is no {key}");
                reader.push(Diagnostic::error(message).help(format!("add {example}")));
            }
        }
        table.finish();
        let linked = link::link(reader, &server, raw);
        Self {
            path: path.to_owned(),
            server,
            listeners: linked.listeners,
            tls,
            log,
            upstreams: linked.upstreams,
            sites: linked.sites,
        }
    }
}

fn read_upstreams(root: &Table<'_>) -> Vec<RawUpstream> {
    let Some(tables) = root.child("upstream", &upstream::SHAPE) else {
        return Vec::new();
    };
    let mut upstreams = Vec::new();
    for (name, value) in tables.entries() {
        if upstream::SHAPE.keys.contains(&name.value) && value.node.get_ref().as_table().is_none() {
            let fault = Diagnostic::error("the upstream has no name")
                .at(name.span.clone())
                .help("write `[upstream.api]` above it, with a name of your own");
            root.reader.push(fault);
            continue;
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.value.is_empty() || name.value.len() > 100 || !name.value.bytes().all(is_name) {
            let message = format!("{} is no name for an upstream", quoted(name.value));
            let fault = Diagnostic::error(message)
                .at(name.span.clone())
                .help("use letters, digits, `-`, `_` and `.`");
            root.reader.push(fault);
        }
        let name = name.map(str::to_owned);
        if let Some(table) = Table::open(&value, &upstream::SHAPE) {
            upstreams.push(RawUpstream::read(name, &table));
        } else {
            upstreams.push(RawUpstream {
                name,
                upstream: None,
                backends: Vec::new(),
            });
        }
    }
    upstreams
}
