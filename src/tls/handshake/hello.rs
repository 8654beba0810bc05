//! The first bytes of a client: a ClientHello, or something else that deserves an answer.

use std::io::{self, Read};

use rustls::{
    PeerIncompatible,
    server::{Accepted as Hello, AcceptedAlert, Acceptor},
};
use tokio::net::TcpStream;

use crate::tls::handshake::HandshakeError;

/// Answer to HTTP where TLS was expected. The client has not said yet how it calls this host.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 74\r\n\
    Connection: close\r\n\
    \r\n\
    This port speaks HTTPS only: write https:// instead of http:// in the URL\n";

/// Alert for a version that is too old (RFC 5246 section 7.2.2), in a record of TLS 1.0.
const PROTOCOL_VERSION: &[u8] = &[21, 3, 1, 0, 2, 2, 70];

/// Bytes up to the version in a ClientHello: heads of record and message, version.
const FIRST: usize = 11;

/// A client that got no further than its first bytes, and what it is told.
pub(super) struct Refused {
    pub(super) error: HandshakeError,
    pub(super) farewell: Vec<u8>,
}

impl From<HandshakeError> for Refused {
    fn from(error: HandshakeError) -> Self {
        Self {
            error,
            farewell: Vec::new(),
        }
    }
}

/// Reads the ClientHello straight into rustls, and keeps its first bytes to tell what came instead.
pub(super) async fn read(stream: &TcpStream) -> Result<Hello, Refused> {
    let mut acceptor = Acceptor::default();
    let mut tap = Tap {
        stream,
        first: [0; FIRST],
        seen: 0,
    };
    loop {
        stream.readable().await.map_err(HandshakeError::Io)?;
        match acceptor.read_tls(&mut tap) {
            Ok(0) if tap.seen == 0 => return Err(HandshakeError::Silent.into()),
            Ok(0) => return Err(HandshakeError::Closed.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(HandshakeError::Io(error).into()),
        }
        match acceptor.accept() {
            Ok(Some(hello)) => return Ok(hello),
            Ok(None) => {}
            Err((error, alert)) => return Err(tap.judge(error, alert)),
        }
    }
}

/// Reads what the socket has, remembering how it began.
struct Tap<'a> {
    stream: &'a TcpStream,
    first: [u8; FIRST],
    seen: usize,
}

impl Read for Tap<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.try_read(buffer)?;
        let free = self.first.get_mut(self.seen..).unwrap_or_default();
        let kept = free.len().min(count);
        free[..kept].copy_from_slice(&buffer[..kept]);
        self.seen += kept;
        Ok(count)
    }
}

impl Tap<'_> {
    fn judge(&self, error: rustls::Error, mut alert: AcceptedAlert) -> Refused {
        if self.is_http() {
            return Refused {
                error: HandshakeError::PlainHttp,
                farewell: PLAIN_HTTP.to_vec(),
            };
        }
        if self.is_before_tls_1_2() {
            return Refused {
                error: HandshakeError::Tls(PeerIncompatible::Tls12NotOffered.into()),
                farewell: PROTOCOL_VERSION.to_vec(),
            };
        }
        let mut farewell = Vec::new();
        // Writing to memory cannot fail, and without an alert there is nothing to say.
        let _ = alert.write_all(&mut farewell);
        let error = if self.is_hello() {
            HandshakeError::Tls(error)
        } else {
            HandshakeError::NotTls
        };
        Refused { error, farewell }
    }

    /// A handshake record.
    fn is_hello(&self) -> bool {
        self.first[0] == 22
    }

    /// A ClientHello whose version is below that of TLS 1.2, which TLS 1.3 sends too. rustls misses
    /// the signature algorithms in it before it looks at the version, and says so to a client that
    /// has never heard of them.
    fn is_before_tls_1_2(&self) -> bool {
        let version = &self.first[9..FIRST];
        self.seen == FIRST && self.is_hello() && version < &[3, 3][..]
    }

    /// A method and a space, or the longest part of a method that fits.
    fn is_http(&self) -> bool {
        const METHODS: [&[u8]; 10] = [
            b"GET ",
            b"HEAD ",
            b"POST ",
            b"PUT ",
            b"DELETE ",
            b"OPTIONS ",
            b"PATCH ",
            b"CONNECT ",
            b"TRACE ",
            b"PRI * HT",
        ];
        METHODS
            .iter()
            .any(|method| self.first[..self.seen].starts_with(method))
    }
}
