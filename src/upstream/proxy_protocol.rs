//! What is said of the client in front of a connection to a backend: the PROXY protocol of HAProxy
//! (`doc/proxy-protocol.txt`, sections 2.1 and 2.2).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::{config::upstream::ProxyProtocol, message::context::RequestContext};

/// The twelve bytes that no other protocol begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, a connection of somebody else.
const PROXY: u8 = 0x21;
/// Version 2, a connection of our own.
const LOCAL: u8 = 0x20;
/// TCP over IPv4, and over IPv6.
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// Both ends of a client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The client; port 0 when it is not known.
    pub source: SocketAddr,
    /// The listener's address that it came to.
    pub destination: SocketAddr,
}

impl Ends {
    /// Of the client that asks, as the trust rules see it. Only the peer itself has a port: forwarded fields name an
    /// address alone.
    pub fn of(context: &RequestContext) -> Self {
        let client = context.client_address().to_canonical();
        let peer = context.connection.peer;
        let port = if peer.ip().to_canonical() == client {
            peer.port()
        } else {
            0
        };
        Self {
            source: SocketAddr::new(client, port),
            destination: context.connection.local,
        }
    }

    /// Source and destination in one family: IPv4 where both are, even if written as IPv6 (RFC 4291 section 2.5.5.2).
    fn family(&self) -> Family {
        let (source, destination) = (self.source.ip(), self.destination.ip());
        match (source.to_canonical(), destination.to_canonical()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Family::V4([source.octets(), destination.octets()])
            }
            (source, destination) => Family::V6([wide(source), wide(destination)]),
        }
    }
}

enum Family {
    V4([[u8; 4]; 2]),
    V6([Ipv6Addr; 2]),
}

fn wide(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// What stands in front of everything else on a connection. Without `ends` it is a connection of our own, as a probe's.
pub fn header(version: ProxyProtocol, ends: Option<&Ends>) -> Vec<u8> {
    match version {
        ProxyProtocol::V1 => text(ends).into_bytes(),
        ProxyProtocol::V2 => binary(ends),
    }
}

fn text(ends: Option<&Ends>) -> String {
    let Some(ends) = ends else {
        return "PROXY UNKNOWN\r\n".to_owned();
    };
    let ports = (ends.source.port(), ends.destination.port());
    match ends.family() {
        Family::V4([source, destination]) => {
            let (source, destination) = (IpAddr::from(source), IpAddr::from(destination));
            format!(
                "PROXY TCP4 {source} {destination} {} {}\r\n",
                ports.0, ports.1
            )
        }
        Family::V6([source, destination]) => {
            format!(
                "PROXY TCP6 {source} {destination} {} {}\r\n",
                ports.0, ports.1
            )
        }
    }
}

fn binary(ends: Option<&Ends>) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let Some(ends) = ends else {
        header.extend([LOCAL, 0, 0, 0]);
        return header;
    };
    match ends.family() {
        Family::V4(addresses) => {
            header.extend([PROXY, TCP4, 0, 12]);
            header.extend(addresses.as_flattened());
        }
        Family::V6(addresses) => {
            header.extend([PROXY, TCP6, 0, 36]);
            header.extend(addresses.iter().flat_map(Ipv6Addr::octets));
        }
    }
    for end in [ends.source, ends.destination] {
        header.extend(end.port().to_be_bytes());
    }
    header
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ends(source: &str, destination: &str) -> Ends {
        Ends {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        }
    }

    fn line(source: &str, destination: &str) -> String {
        String::from_utf8(header(ProxyProtocol::V1, Some(&ends(source, destination)))).unwrap()
    }

    #[test]
    fn writes_a_line_that_a_person_can_read() {
        assert_eq!(
            line("192.0.2.7:40001", "198.51.100.1:443"),
            "PROXY TCP4 192.0.2.7 198.51.100.1 40001 443\r\n"
        );
        assert_eq!(
            line("[2001:db8::7]:40001", "[2001:db8::1]:443"),
            "PROXY TCP6 2001:db8::7 2001:db8::1 40001 443\r\n"
        );
        assert_eq!(
            line("[::ffff:192.0.2.7]:0", "[::ffff:198.51.100.1]:443"),
            "PROXY TCP4 192.0.2.7 198.51.100.1 0 443\r\n"
        );
        assert_eq!(
            line("[2001:db8::7]:0", "198.51.100.1:443"),
            "PROXY TCP6 2001:db8::7 ::ffff:198.51.100.1 0 443\r\n"
        );
        assert_eq!(header(ProxyProtocol::V1, None), b"PROXY UNKNOWN\r\n");
    }

    #[test]
    fn writes_the_bytes_of_the_specification() {
        let local = header(ProxyProtocol::V2, None);
        assert_eq!(local, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
        let four = header(
            ProxyProtocol::V2,
            Some(&ends("192.0.2.7:40001", "198.51.100.1:443")),
        );
        assert_eq!(
            four,
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x9c\x41\x01\xbb"
        );
        let six = header(ProxyProtocol::V2, Some(&ends("[::7]:1", "[::1]:2")));
        assert_eq!(six.len(), 16 + 36);
        assert_eq!(six[12..16], [0x21, 0x21, 0, 36]);
    }

    /// Reads a header as the specification says, and gives the ends and what follows.
    fn parse(bytes: &[u8]) -> Option<(Ends, &[u8])> {
        if let Some(rest) = bytes.strip_prefix(SIGNATURE) {
            let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            let (body, rest) = (&rest[4..4 + length], &rest[4 + length..]);
            let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
            let wide = |at: usize| {
                let octets: [u8; 16] = body[at..at + 16].try_into().unwrap();
                IpAddr::from(octets)
            };
            let narrow = |at: usize| {
                let octets: [u8; 4] = body[at..at + 4].try_into().unwrap();
                IpAddr::from(octets)
            };
            let ends = match length {
                12 => Ends {
                    source: (narrow(0), port(8)).into(),
                    destination: (narrow(4), port(10)).into(),
                },
                36 => Ends {
                    source: (wide(0), port(32)).into(),
                    destination: (wide(16), port(34)).into(),
                },
                _ => return None,
            };
            return Some((ends, rest));
        }
        let end = memchr::memmem::find(bytes, b"\r\n")?;
        // The longest line that a receiver has to take.
        assert!(end + 2 <= 107);
        let line = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut words = line.split(' ');
        assert_eq!(words.next(), Some("PROXY"));
        let is_wide = words.next()? == "TCP6";
        let addresses: Vec<IpAddr> = words
            .by_ref()
            .take(2)
            .map(|it| it.parse().unwrap())
            .collect();
        assert!(addresses.iter().all(|it| it.is_ipv6() == is_wide));
        let ports: Vec<u16> = words.map(|it| it.parse().unwrap()).collect();
        let ends = Ends {
            source: (addresses[0], ports[0]).into(),
            destination: (addresses[1], ports[1]).into(),
        };
        Some((ends, &bytes[end + 2..]))
    }

    fn canonical(end: SocketAddr) -> SocketAddr {
        SocketAddr::new(end.ip().to_canonical(), end.port())
    }

    fn any_end() -> impl Strategy<Value = SocketAddr> {
        let mapped = any::<std::net::Ipv4Addr>().prop_map(|it| IpAddr::V6(it.to_ipv6_mapped()));
        let address = prop_oneof![any::<IpAddr>(), mapped];
        (address, any::<u16>()).prop_map(SocketAddr::from)
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read_back(source in any_end(), destination in any_end()) {
            let ends = Ends { source, destination };
            for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
                let mut bytes = header(version, Some(&ends));
                bytes.extend(b"GET / HTTP/1.1");
                let (read, rest) = parse(&bytes).unwrap();
                prop_assert_eq!(canonical(read.source), canonical(source));
                prop_assert_eq!(canonical(read.destination), canonical(destination));
                prop_assert_eq!(rest, b"GET / HTTP/1.1");
            }
        }
    }
}
