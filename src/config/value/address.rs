//! Socket addresses, networks, and backends.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use ipnet::IpNet;

use crate::config::{
    reader::{Read, Value, quoted},
    upstream::{BackendAddress, HAS_DNS},
    value::host,
};

/// Longest path of a Unix socket on Linux, without its final zero.
const LONGEST_SOCKET_PATH: usize = 107;

impl Read for SocketAddr {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("an address with a port", "\"0.0.0.0:443\"")?;
        if let Ok(address) = text.parse() {
            return Some(address);
        }
        let help = match text.rsplit_once(':') {
            Some(("" | "*", port)) if port.parse::<u16>().is_ok() => {
                format!("write `\"0.0.0.0:{port}\"`, or `\"[::]:{port}\"` for IPv6")
            }
            Some(("localhost", port)) if port.parse::<u16>().is_ok() => {
                format!("write `\"127.0.0.1:{port}\"` or `\"[::1]:{port}\"`")
            }
            _ if text.parse::<u16>().is_ok() => format!("write `\"0.0.0.0:{text}\"`"),
            _ => match text.parse::<IpAddr>() {
                Ok(IpAddr::V4(address)) => format!("add a port: `\"{address}:443\"`"),
                Ok(IpAddr::V6(address)) => {
                    format!("add brackets and a port: `\"[{address}]:443\"`")
                }
                Err(_) => String::from("write `\"0.0.0.0:443\"`, or `\"[::]:443\"` for IPv6"),
            },
        };
        value.reject(format!("{} is no address with a port", quoted(&text)), help)
    }
}

impl Read for IpNet {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a network", "\"10.0.0.0/8\"")?;
        let network = text
            .parse::<Self>()
            .or_else(|_| text.parse::<IpAddr>().map(Self::from));
        match network {
            Ok(network) => Some(network.trunc()),
            Err(_) => value.reject(
                format!("{} is no address and no network", quoted(&text)),
                "write an address, or a network like `\"10.0.0.0/8\"`",
            ),
        }
    }
}

impl Read for BackendAddress {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("an address", "\"http://127.0.0.1:3001\"")?;
        match parse_backend(&text) {
            Ok(address) if address.is_srv() && !HAS_DNS => value.reject(
                "this build cannot look up SRV names",
                "build with `--features dns`, or name the host",
            ),
            Ok(address) => Some(address),
            Err(help) => value.reject(
                format!("{} is no address of a backend", quoted(&text)),
                help,
            ),
        }
    }
}

/// The address, or what to write instead.
fn parse_backend(text: &str) -> Result<BackendAddress, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return parse_socket(path);
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(format!("name the scheme: `\"http://{text}\"`"));
    };
    let (tls, is_srv) = match scheme.to_ascii_lowercase().as_str() {
        "http" => (false, false),
        "https" => (true, false),
        "srv+http" => (false, true),
        "srv+https" => (true, true),
        "ws" | "wss" => {
            let http = scheme.to_ascii_lowercase().replace("ws", "http");
            let authority = rest.split('/').next().unwrap_or(rest);
            return Err(format!(
                "write `\"{http}://{authority}\"`; WebSockets go over the same backends"
            ));
        }
        _ => {
            return Err(String::from(
                "write `http://`, `https://`, `srv+http://`, `srv+https://` or `unix:/path`",
            ));
        }
    };
    if let Some((authority, _)) = rest.split_once(['/', '?', '#']) {
        return Err(format!(
            "write `\"{scheme}://{authority}\"`; paths belong to routes, where `strip_prefix` takes a prefix off"
        ));
    }
    if let Some((_, authority)) = rest.rsplit_once('@') {
        return Err(format!(
            "write `\"{scheme}://{authority}\"`; credentials belong to the client's request"
        ));
    }
    if is_srv {
        return parse_srv(scheme, tls, rest);
    }
    let (name, port) = match rest.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (rest, None),
    };
    let host = host::bare(name)
        .ok_or_else(|| String::from("write a host, like `\"http://app.internal:3001\"`"))?;
    let port = match port {
        None => {
            if tls {
                443
            } else {
                80
            }
        }
        Some(digits) => digits
            .parse()
            .ok()
            .filter(|port| *port != 0 && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .ok_or_else(|| String::from("write a port from 1 to 65535"))?,
    };
    Ok(BackendAddress::Tcp { tls, host, port })
}

fn parse_srv(scheme: &str, tls: bool, rest: &str) -> Result<BackendAddress, String> {
    let bare = rest.split_once(':').map_or(rest, |(name, _)| name);
    let name = host::bare(bare).filter(|it| it.parse::<IpAddr>().is_err());
    match name {
        Some(_) if bare != rest => Err(format!(
            "write `\"{scheme}://{bare}\"`; the SRV records say the ports"
        )),
        Some(name) => Ok(BackendAddress::Srv { tls, name }),
        None => Err(format!(
            "write the name of SRV records, like `\"{scheme}://_api._tcp.service.consul\"`"
        )),
    }
}

fn parse_socket(path: &str) -> Result<BackendAddress, String> {
    if path.starts_with("//") {
        return Err(format!(
            "write `\"unix:/{}\"`",
            path.trim_start_matches('/')
        ));
    }
    if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
        return Err(String::from(
            "write an absolute path: `\"unix:/run/app.sock\"`",
        ));
    }
    if path.len() > LONGEST_SOCKET_PATH {
        return Err(format!(
            "use a path of at most {LONGEST_SOCKET_PATH} bytes, the system's bound for sockets"
        ));
    }
    Ok(BackendAddress::Unix(PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_backends_with_default_ports() {
        let tcp = |tls, host: &str, port| {
            Ok(BackendAddress::Tcp {
                tls,
                host: host.to_owned(),
                port,
            })
        };
        assert_eq!(
            parse_backend("http://App.internal"),
            tcp(false, "app.internal", 80)
        );
        assert_eq!(
            parse_backend("https://10.0.0.1"),
            tcp(true, "10.0.0.1", 443)
        );
        assert_eq!(parse_backend("http://[::1]:3001"), tcp(false, "::1", 3001));
        assert_eq!(parse_backend("http://[::1]"), tcp(false, "::1", 80));
        assert_eq!(
            parse_backend("unix:/run/app.sock"),
            Ok(BackendAddress::Unix(PathBuf::from("/run/app.sock")))
        );
        let srv = |tls| {
            let name = String::from("_api._tcp.service.consul");
            Ok(BackendAddress::Srv { tls, name })
        };
        assert_eq!(
            parse_backend("srv+http://_api._tcp.Service.consul"),
            srv(false)
        );
        assert_eq!(
            parse_backend("srv+https://_api._tcp.service.consul."),
            srv(true)
        );
    }

    #[test]
    fn refuses_what_belongs_elsewhere_and_says_where() {
        for (bad, help) in [
            ("127.0.0.1:3001", "http://127.0.0.1:3001"),
            ("ws://a:1/x", "\"http://a:1\""),
            ("http://a/", "\"http://a\""),
            ("http://a?x", "\"http://a\""),
            ("http://me:pw@a:1", "\"http://a:1\""),
            ("unix:///run/a", "unix:/run/a"),
            ("unix:a", "absolute"),
            ("http://a:0", "port"),
            ("http://a:+1", "port"),
            ("http://", "host"),
            ("ftp://a", "http"),
            ("srv+http://_a._tcp.b:80", "\"srv+http://_a._tcp.b\""),
            ("srv+http://_a._tcp.b:", "\"srv+http://_a._tcp.b\""),
            ("srv+https://_a._tcp.b/", "\"srv+https://_a._tcp.b\""),
            ("srv+http://10.0.0.1", "srv+http://_api"),
            ("srv+http://[::1]", "srv+http://_api"),
            ("srv+http://", "srv+http://_api"),
            ("srv://_a._tcp.b", "srv+http://"),
        ] {
            let given = parse_backend(bad).unwrap_err();
            assert!(given.contains(help), "{bad}: {given}");
        }
    }
}
