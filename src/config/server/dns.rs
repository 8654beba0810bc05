//! `server.dns`: which servers are asked for SRV records.

use std::net::{IpAddr, SocketAddr};

use crate::config::{
    defaults,
    reader::{Read, Value, quoted, table::Table},
    upstream::HAS_DNS,
    value::{Located, report_repeats},
};

/// What a DNS server listens on unless it says otherwise (RFC 1035 section 4.2).
const PORT: u16 = 53;

/// Reads `server.dns`, which only a build that can ask them takes.
pub(super) fn read(table: &Table<'_>) -> Vec<Located<SocketAddr>> {
    let Some(value) = table.value("dns") else {
        return defaults::DNS.to_vec();
    };
    if !HAS_DNS {
        value.reject::<()>(
            "this build cannot ask DNS servers itself",
            "build with `--features dns`, or take `dns` out",
        );
        return Vec::new();
    }
    let servers = table
        .list::<DnsServer>("dns", "[\"127.0.0.1:8600\"]")
        .unwrap_or_default();
    let servers: Vec<_> = servers
        .into_iter()
        .map(|server| server.map(|it| it.0))
        .collect();
    report_repeats(table.reader, &servers, "DNS server");
    servers
}

/// An address, with a port or without.
struct DnsServer(SocketAddr);

impl Read for DnsServer {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("an address", "\"127.0.0.1:8600\"")?;
        let address = text.parse::<SocketAddr>().or_else(|_| {
            text.parse::<IpAddr>()
                .map(|address| SocketAddr::new(address, PORT))
        });
        match address {
            Ok(address) if address.port() != 0 => Some(Self(address)),
            _ => value.reject(
                format!("{} is no address of a DNS server", quoted(&text)),
                "write an address, or one with a port like `\"127.0.0.1:8600\"`",
            ),
        }
    }
}
