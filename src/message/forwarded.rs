//! `Forwarded` and `X-Forwarded-*`: who really asked, told to the backend and read from trusted proxies.
//!
//! Reading believes only what trusted proxies wrote: the walk goes from the peer outwards and ends at the
//! first address that is not trusted. Writing replaces everything by one address, the client's: then
//! `trust proxy` of Express and Fastify gives the right `req.ip` whether it is `1`, `true` or a network.

use std::{
    fmt,
    io::{Cursor, Write as _},
    net::{IpAddr, SocketAddr},
};

use http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};
use ipnet::IpNet;

use crate::message::{
    context::{Client, ConnectionInfo, RequestContext, Scheme},
    hop_by_hop,
    host::Host,
};

mod element;

/// `X-Forwarded-For`.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Proto`.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `X-Forwarded-Host`.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `X-Forwarded-Port`.
pub const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
/// `X-Real-IP`.
pub const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// `server.trusted_proxies`: peers whose forwarded fields are believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies(Box<[IpNet]>);

impl TrustedProxies {
    /// Trusts every address in `nets`.
    pub fn new(nets: &[IpNet]) -> Self {
        Self(nets.into())
    }

    /// Whether `address` is trusted; a v4 address mapped into v6 counts as the v4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }
}

/// Who really asked.
///
/// An untrusted peer is the client itself. Behind a trusted one `X-Forwarded-For`, or `Forwarded` (RFC 7239)
/// where that is absent, is walked from the right to the first untrusted address; a malformed entry ends the
/// walk at the last good one.
pub fn read(headers: &HeaderMap, connection: &ConnectionInfo, trusted: &TrustedProxies) -> Client {
    let peer = connection.peer.ip().to_canonical();
    if !trusted.contains(peer) {
        return Client {
            address: peer,
            scheme: connection.scheme(),
            forwarded: false,
        };
    }
    let (address, scheme) = if headers.contains_key(&X_FORWARDED_FOR) {
        let hops = entries(headers, X_FORWARDED_FOR).map(parse_address);
        let (address, hop) = walk(peer, hops, trusted);
        (address, scheme_of_hop(headers, hop.saturating_sub(1)))
    } else if headers.contains_key(FORWARDED) {
        let elements = element::parse_all(headers);
        let hops = elements.iter().rev().map(|element| element.node);
        let (address, hop) = walk(peer, hops, trusted);
        let said = hop
            .checked_sub(1)
            .and_then(|hop| elements.iter().rev().nth(hop))
            .and_then(|element| element.scheme);
        (address, said)
    } else {
        (peer, scheme_of_hop(headers, 0))
    };
    Client {
        address,
        scheme: scheme.unwrap_or_else(|| connection.scheme()),
        forwarded: true,
    }
}

/// Overwrites every forwarded field with the truth, as far as this proxy knows it.
///
/// `X-Forwarded-Host` is always the host that the request was matched by, also behind a trusted proxy: many load
/// balancers pass on what the client wrote there. `Client` of the context must have been set; until then the
/// peer counts as the client. Call it after [`hop_by_hop::strip`].
pub fn write(headers: &mut HeaderMap, context: &RequestContext) {
    hop_by_hop::remove_where(headers, is_another_target);
    if !context.client.get().is_some_and(|client| client.forwarded) {
        hop_by_hop::remove_where(headers, is_claim);
    }
    let client = context.client_address().to_canonical();
    let scheme = context.scheme();
    let address = text(format_args!("{client}"));
    headers.insert(X_FORWARDED_FOR, address.clone());
    headers.insert(X_REAL_IP, address);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme.as_str()));
    let port = context.host.as_ref().and_then(Host::port);
    headers.insert(X_FORWARDED_PORT, port_value(port, scheme));
    let authority = context.host.as_ref().map(|host| Authority {
        name: host.name(),
        port,
    });
    match &authority {
        Some(authority) => headers.insert(X_FORWARDED_HOST, text(format_args!("{authority}"))),
        None => headers.remove(X_FORWARDED_HOST),
    };
    headers.insert(FORWARDED, forwarded(client, scheme, authority.as_ref()));
}

/// Fields that name another path than the one that was matched and limited; some frameworks obey them.
fn is_another_target(name: &str) -> bool {
    matches!(name, "x-original-url" | "x-rewrite-url")
}

/// What servers in front say about the client, where it is no field that is overwritten in any case. From
/// an untrusted peer it is forged.
fn is_claim(name: &str) -> bool {
    matches!(
        name,
        "x-forwarded-prefix"
            | "x-forwarded-server"
            | "x-forwarded-scheme"
            | "x-forwarded-protocol"
            | "x-forwarded-ssl"
            | "x-forwarded"
            | "forwarded-for"
            | "front-end-https"
            | "x-url-scheme"
            | "x-original-host"
            | "x-original-forwarded-for"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "true-client-ip"
            | "cf-connecting-ip"
            | "fastly-client-ip"
    )
}

/// The last good address on the way outwards and how many entries lie on that way.
fn walk(
    peer: IpAddr,
    hops: impl Iterator<Item = Option<IpAddr>>,
    trusted: &TrustedProxies,
) -> (IpAddr, usize) {
    let mut last = (peer, 0);
    for (index, hop) in hops.enumerate() {
        let Some(address) = hop else { break };
        last = (address, index + 1);
        if !trusted.contains(address) {
            break;
        }
    }
    last
}

/// Entries of a list field over all its lines, from the right. Text that is not ASCII is an entry that parses as nothing.
fn entries(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .iter()
        .rev()
        .flat_map(|value| value.to_str().unwrap_or("?").rsplit(','))
        .map(|entry| entry.trim_matches([' ', '\t']))
        .filter(|entry| !entry.is_empty())
}

/// The scheme that the proxy which added `hop` (counted from the right) saw: the entry at the same place, or the
/// outermost one where proxies pass a single value on.
fn scheme_of_hop(headers: &HeaderMap, hop: usize) -> Option<Scheme> {
    let said = entries(headers, X_FORWARDED_PROTO).take(hop + 1).last()?;
    parse_scheme(said)
}

fn parse_scheme(text: &str) -> Option<Scheme> {
    // Some proxies write the WebSocket schemes for upgrades.
    if text.eq_ignore_ascii_case("https") || text.eq_ignore_ascii_case("wss") {
        Some(Scheme::Https)
    } else if text.eq_ignore_ascii_case("http") || text.eq_ignore_ascii_case("ws") {
        Some(Scheme::Http)
    } else {
        None
    }
}

/// An address with or without port, IPv6 with or without brackets.
fn parse_address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .map(|address| address.to_canonical())
}

fn port_value(port: Option<u16>, scheme: Scheme) -> HeaderValue {
    match (port, scheme) {
        (None | Some(443), Scheme::Https) => HeaderValue::from_static("443"),
        (None | Some(80), Scheme::Http) => HeaderValue::from_static("80"),
        (Some(port), _) => HeaderValue::from(port),
    }
}

fn forwarded(client: IpAddr, scheme: Scheme, authority: Option<&Authority<'_>>) -> HeaderValue {
    let node = Node(client);
    let scheme = scheme.as_str();
    match authority {
        None => text(format_args!("for={node};proto={scheme}")),
        Some(authority) if authority.is_token() => {
            text(format_args!("for={node};host={authority};proto={scheme}"))
        }
        Some(authority) => text(format_args!(
            "for={node};host=\"{authority}\";proto={scheme}"
        )),
    }
}

/// Formats on the stack, which leaves one allocation of the right size.
fn text(arguments: fmt::Arguments<'_>) -> HeaderValue {
    // Room for the longest host name (255 bytes) and all that stands around it.
    let mut buffer = Cursor::new([0; 384]);
    let value = match buffer.write_fmt(arguments) {
        Ok(()) => {
            let length = usize::try_from(buffer.position()).unwrap_or(0);
            HeaderValue::from_bytes(&buffer.get_ref()[..length])
        }
        Err(_) => HeaderValue::try_from(arguments.to_string()),
    };
    value.expect("addresses, ports and hosts that were parsed are visible ASCII")
}

/// An address as `for` takes it.
struct Node(IpAddr);

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "\"[{address}]\""),
        }
    }
}

/// Host and port as they stand in a `Host` field.
struct Authority<'a> {
    name: &'a str,
    port: Option<u16>,
}

impl Authority<'_> {
    /// Whether it needs no quotes in `Forwarded`.
    fn is_token(&self) -> bool {
        self.port.is_none() && !self.name.contains(':')
    }
}

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]", self.name)?;
        } else {
            f.write_str(self.name)?;
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
