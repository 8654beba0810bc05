//! Asks a running process from outside: `portcullis status`, `drain`, and a container's health check.
//!
//! Blocking and small on purpose, for commands that ask few questions and end.

use std::{
    io::{self, Error, ErrorKind, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use http::{Method, StatusCode, header::HeaderValue};
use tokio::time::Instant;

use crate::config::value::Secret;

/// Time for the whole question.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer in bytes.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;
/// Most fields of an answer's head.
const FIELDS: usize = 64;

/// Sends `method` and `path` to the admin listener configured as `address`: status and body.
///
/// # Errors
/// Nobody answers there in 5 s, or what answers does not speak HTTP.
pub fn ask(
    address: SocketAddr,
    token: Option<&Secret>,
    method: &Method,
    path: &str,
) -> io::Result<(StatusCode, String)> {
    let deadline = Instant::now() + TIMEOUT;
    let address = reachable(address);
    let request = request(address, token, method, path)?;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(&request)?;
    let answer = read_to_end(&mut stream, deadline)?;
    parse(&answer)
}

/// A listener on every address is reached through loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn request(
    address: SocketAddr,
    token: Option<&Secret>,
    method: &Method,
    path: &str,
) -> io::Result<Vec<u8>> {
    let malformed = |what| Error::new(ErrorKind::InvalidInput, what);
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed("a path starts with / and holds no blank"));
    }
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n"
    );
    if let Some(token) = token {
        let value = HeaderValue::from_str(token.expose());
        if value.is_err() {
            return Err(malformed("the token holds what no header can"));
        }
        request.push_str("authorization: Bearer ");
        request.push_str(token.expose());
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    Ok(request.into_bytes())
}

fn read_to_end(stream: &mut TcpStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(answer),
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // What a socket says when its read timeout has passed.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
        if answer.len() > ANSWER_LIMIT {
            return Err(Error::new(
                ErrorKind::InvalidData,
                "the answer is too large",
            ));
        }
    }
}

fn parse(answer: &[u8]) -> io::Result<(StatusCode, String)> {
    let malformed = || {
        Error::new(
            ErrorKind::InvalidData,
            "what answers there is not portcullis",
        )
    };
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let parsed = head.parse(answer).map_err(|_| malformed())?;
    let httparse::Status::Complete(length) = parsed else {
        return Err(malformed());
    };
    let status = head.code.and_then(|code| StatusCode::from_u16(code).ok());
    let announced = head
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"))
        .and_then(|field| str::from_utf8(field.value).ok()?.parse::<usize>().ok());
    let body = &answer[length..];
    match (status, announced) {
        (Some(status), Some(announced)) if announced == body.len() => {
            let body = str::from_utf8(body).map_err(|_| malformed())?;
            Ok((status, body.to_owned()))
        }
        (Some(_), Some(announced)) if announced > body.len() => {
            Err(ErrorKind::UnexpectedEof.into())
        }
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_a_whole_answer_alone() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno";
        let (status, body) = parse(answer).unwrap();
        assert_eq!((status.as_u16(), body.as_str()), (503, "no"));
        let cut = &answer[..answer.len() - 1];
        assert_eq!(parse(cut).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        for other in [
            &b"220 smtp.example\r\n"[..],
            b"",
            b"HTTP/1.1 200 OK\r\n\r\nx",
        ] {
            assert_eq!(parse(other).unwrap_err().kind(), ErrorKind::InvalidData);
        }
    }

    #[test]
    fn lets_no_argument_forge_a_request() {
        let address = "127.0.0.1:1".parse().unwrap();
        let token = Secret::new("a\r\nx: y".into());
        for (token, path) in [
            (Some(&token), "/"),
            (None, "/ HTTP/1.1\r\nx: y"),
            (None, "x"),
        ] {
            let error = request(address, token, &Method::GET, path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn reaches_a_listener_on_every_address_through_loopback() {
        let reached = |address: &str| reachable(address.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:9090"), "127.0.0.1:9090");
        assert_eq!(reached("[::]:9090"), "[::1]:9090");
        assert_eq!(reached("10.0.0.1:9090"), "10.0.0.1:9090");
    }

    proptest! {
        #[test]
        fn never_panics_on_what_answers(bytes in any::<Vec<u8>>()) {
            let _ = parse(&bytes);
            let _ = parse(&[b"HTTP/1.1 200 OK\r\n", bytes.as_slice()].concat());
        }
    }
}
