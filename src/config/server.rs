//! `[server]`: what concerns the whole process.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;

use crate::config::{
    defaults,
    diagnostic::Diagnostic,
    reader::{
        secret::{self, Wanted},
        table::{Shape, Switch, Table},
    },
    value::{Located, Secret, unit::Size},
};

mod dns;
mod state;

pub use state::State;

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
    /// How long a WebSocket tunnel, or an event stream of a backend, may carry no byte.
    pub tunnel_timeout: Duration,
    /// Makes the key of affinity cookies; `None`: a key that ends with the process.
    pub secret: Option<Secret>,
    /// Servers that SRV names are asked of; none: those of the system.
    pub dns: Vec<Located<SocketAddr>>,
    /// Where is kept what outlives a restart.
    pub state: State,
}

/// `server.admin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens.
    pub address: SocketAddr,
    /// Bearer token; always present when `address` is not loopback.
    pub token: Option<Secret>,
}

/// `[server]`.
pub(crate) static SHAPE: Shape = Shape {
    name: "server",
    keys: &[
        "threads",
        "drain_timeout",
        "admin",
        "trusted_proxies",
        "head_timeout",
        "head_limit",
        "stall_timeout",
        "tunnel_timeout",
        "secret",
        "secret_file",
        "dns",
        "state",
    ],
    reserved: &[],
};

/// `server.admin`.
pub(crate) static ADMIN: Shape = Shape {
    name: "server.admin",
    keys: &["address", "token", "token_file"],
    reserved: &[],
};

/// Bytes: what is shorter can be guessed from the cookies that it makes.
const SHORTEST_SECRET: usize = 32;

impl Default for Server {
    fn default() -> Self {
        Self {
            threads: defaults::threads(),
            drain_timeout: defaults::DRAIN_TIMEOUT,
            admin: Some(Admin::default()),
            trusted_proxies: Vec::new(),
            head_timeout: defaults::HEAD_TIMEOUT,
            head_limit: to_usize(defaults::HEAD_LIMIT),
            stall_timeout: defaults::STALL_TIMEOUT,
            tunnel_timeout: defaults::TUNNEL_TIMEOUT,
            secret: None,
            dns: defaults::DNS.to_vec(),
            state: State::Default,
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            address: defaults::ADMIN_ADDRESS
                .parse()
                .expect("the constant is an address"),
            token: None,
        }
    }
}

impl Server {
    /// Reads `[server]`.
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let long = Duration::from_millis(1)..=Duration::from_hours(24);
        let threads = match table.take_within("threads", 0, &(0..=1024)) {
            0 => default.threads,
            threads => threads,
        };
        let head_limit = table.take_within(
            "head_limit",
            Size(defaults::HEAD_LIMIT),
            &(Size(8 << 10)..=Size(1 << 20)),
        );
        let server = Self {
            threads,
            drain_timeout: table.take_or("drain_timeout", default.drain_timeout),
            admin: Admin::find(table),
            trusted_proxies: read_trusted(table),
            head_timeout: table.take_within("head_timeout", default.head_timeout, &long),
            head_limit: to_usize(head_limit.0),
            stall_timeout: table.take_within("stall_timeout", default.stall_timeout, &long),
            tunnel_timeout: table.take_within("tunnel_timeout", default.tunnel_timeout, &long),
            secret: read_secret(table),
            dns: dns::read(table),
            state: state::read(table),
        };
        table.finish();
        server
    }
}

fn read_trusted(table: &Table<'_>) -> Vec<IpNet> {
    let trusted = table
        .list::<IpNet>("trusted_proxies", "[\"10.0.0.0/8\"]")
        .unwrap_or_default();
    for network in &trusted {
        if network.value.prefix_len() == 0 {
            let warning = Diagnostic::warning("everybody is trusted to say who the client is")
                .at(network.span.clone())
                .help("name only the proxies in front, or anyone can forge an address");
            table.reader.push(warning);
        }
    }
    trusted.into_iter().map(|network| network.value).collect()
}

impl Admin {
    /// The operator's listener of `[server]`; `None` when it is switched off.
    pub(crate) fn find(server: &Table<'_>) -> Option<Self> {
        match server.switch("admin", &ADMIN) {
            Switch::Absent => Some(Self::default()),
            Switch::Off => None,
            Switch::On(table) => Some(Self::read(&table)),
        }
    }

    fn read(table: &Table<'_>) -> Self {
        let address: Option<Located<SocketAddr>> = table.take("address");
        let token = read_token(table);
        let is_open = address
            .as_ref()
            .is_some_and(|address| !is_loopback(address.value.ip()));
        if let (Some(address), true) = (&address, is_open && token.is_none())
            && !table.has("token")
            && !table.has("token_file")
        {
            let fault = Diagnostic::error("the admin listener is open to the network without a token")
                .at(address.span.clone())
                .help("add `token_file = \"...\"` or `token = \"${ADMIN_TOKEN}\"`, or listen on 127.0.0.1");
            table.reader.push(fault);
        }
        table.finish();
        Self {
            address: address.map_or_else(|| Self::default().address, |address| address.value),
            token,
        }
    }
}

fn read_secret(table: &Table<'_>) -> Option<Secret> {
    let wanted = Wanted {
        key: "secret",
        file: "secret_file",
        noun: "secret",
        example: "\"${PORTCULLIS_SECRET}\"",
    };
    let (value, secret) = secret::read(table, &wanted)?;
    if secret.len() < SHORTEST_SECRET {
        return value.reject(
            format!("the secret has less than {SHORTEST_SECRET} bytes"),
            "make one with `openssl rand -base64 32`",
        );
    }
    Some(Secret::new(secret))
}

fn read_token(table: &Table<'_>) -> Option<Secret> {
    let wanted = Wanted {
        key: "token",
        file: "token_file",
        noun: "token",
        example: "\"${ADMIN_TOKEN}\"",
    };
    let (value, token) = secret::read(table, &wanted)?;
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return value.reject(
            "the token is empty or holds characters that no header can carry",
            "use letters, digits and punctuation without spaces",
        );
    }
    Some(Secret::new(token))
}

/// Loopback, also as an IPv4 address in IPv6 clothes.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn to_usize(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
