//! `Forwarded` and `X-Forwarded-*`: who really asked, told to the backend and read from trusted proxies.
//!
//! Reading believes only what trusted proxies wrote: the walk goes from the peer outwards and ends at the
//! first address that is not trusted. Writing replaces everything by one address, the client's: then
//! `trust proxy` of Express and Fastify gives the right `req.ip` whether it is `1`, `true` or a network.

use std::net::{IpAddr, SocketAddr};

use bytes::BufMut;
use http::{HeaderMap, HeaderName, header::FORWARDED};
use ipnet::IpNet;

use crate::message::{
    context::{Client, ConnectionInfo, RequestContext, Scheme},
    host::Host,
    text::{push_address, push_decimal},
};

mod element;

/// `X-Forwarded-For`.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Proto`.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

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

/// Whether a client's field `name` does not reach the backend: those that [`write()`] replaces, those that
/// name another target, and what an untrusted peer says about the client.
pub fn is_replaced(name: &str, context: &RequestContext) -> bool {
    is_ours(name)
        || is_another_target(name)
        || is_claim(name) && !context.client.get().is_some_and(|client| client.forwarded)
}

/// Writes every forwarded field with the truth, as far as this proxy knows it.
///
/// `X-Forwarded-Host` is always the host that the request was matched by, also behind a trusted proxy: many load
/// balancers pass on what the client wrote there. `Client` of the context must have been set; until then the
/// peer counts as the client.
pub fn write(out: &mut impl BufMut, context: &RequestContext) {
    let client = context.client_address().to_canonical();
    let scheme = context.scheme().as_str().as_bytes();
    let host = context.host.as_ref();
    out.put_slice(b"x-forwarded-for: ");
    push_address(out, client);
    out.put_slice(b"\r\nx-real-ip: ");
    push_address(out, client);
    out.put_slice(b"\r\nx-forwarded-proto: ");
    out.put_slice(scheme);
    out.put_slice(b"\r\nx-forwarded-port: ");
    push_decimal(out, port(host, context.scheme()).into());
    if let Some(host) = host {
        out.put_slice(b"\r\nx-forwarded-host: ");
        push_authority(out, host);
    }
    out.put_slice(b"\r\nforwarded: for=");
    push_node(out, client);
    if let Some(host) = host {
        push_host(out, host);
    }
    out.put_slice(b";proto=");
    out.put_slice(scheme);
    out.put_slice(b"\r\n");
}

fn is_ours(name: &str) -> bool {
    matches!(
        name,
        "x-forwarded-for"
            | "x-real-ip"
            | "x-forwarded-proto"
            | "x-forwarded-port"
            | "x-forwarded-host"
            | "forwarded"
    )
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

fn port(host: Option<&Host>, scheme: Scheme) -> u16 {
    host.and_then(Host::port).unwrap_or(match scheme {
        Scheme::Https => 443,
        Scheme::Http => 80,
    })
}

/// Appends an address as `for` takes it (RFC 7239 section 6).
fn push_node(out: &mut impl BufMut, address: IpAddr) {
    if address.is_ipv4() {
        return push_address(out, address);
    }
    out.put_slice(b"\"[");
    push_address(out, address);
    out.put_slice(b"]\"");
}

/// Appends the `host` parameter; what is no token is quoted.
fn push_host(out: &mut impl BufMut, host: &Host) {
    let quote: &[u8] = if host.port().is_none() && !is_literal(host) {
        b""
    } else {
        b"\""
    };
    out.put_slice(b";host=");
    out.put_slice(quote);
    push_authority(out, host);
    out.put_slice(quote);
}

/// Appends host and port as they stand in a `Host` field.
fn push_authority(out: &mut impl BufMut, host: &Host) {
    let name = host.name().as_bytes();
    if is_literal(host) {
        out.put_u8(b'[');
        out.put_slice(name);
        out.put_u8(b']');
    } else {
        out.put_slice(name);
    }
    if let Some(port) = host.port() {
        out.put_u8(b':');
        push_decimal(out, port.into());
    }
}

/// An IPv6 address: no other host has a colon.
fn is_literal(host: &Host) -> bool {
    host.name().contains(':')
}

#[cfg(test)]
mod tests;
