//! One handshake on the server's side: bounded in time, answered even when it fails.

use std::{io, sync::Arc, time::Duration};

use rustls::{CipherSuite, HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::StartHandshake;

use crate::{
    message::context::TlsInfo,
    tls::{failure, handshake::hello::Refused, read_ahead::ReadAhead},
};

pub use tokio_rustls::server::TlsStream;

mod hello;

/// Time for telling a client why, once its handshake has failed.
const FAREWELL: Duration = Duration::from_secs(1);

/// Bytes that such a client may still send.
const FAREWELL_BYTES: u64 = 64 * 1024;

/// Bytes of records that wait for the socket. Twice the default is a tenth of the CPU time of bulk;
/// they are allocated only while the client reads more slowly than we write.
const BUFFER: usize = 128 * 1024;

/// A connection that speaks TLS.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: TlsStream<ReadAhead>,
    /// What was agreed on.
    pub info: TlsInfo,
    /// What to speak inside.
    pub protocol: Protocol,
    /// An earlier session was taken up again.
    pub resumed: bool,
}

/// What is spoken inside TLS, by ALPN (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `http/1.1`, or a client that did not ask.
    Http1,
    /// `h2`.
    Http2,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The deadline passed.
    #[error("the client did not finish the handshake in time")]
    Timeout,
    /// The client left without a word, as load balancers and port scanners do.
    #[error("the client closed the connection before it sent anything")]
    Silent,
    /// The client left in the middle.
    #[error("the client closed the connection during the handshake")]
    Closed,
    /// HTTP without TLS.
    #[error("the client spoke HTTP without TLS")]
    PlainHttp,
    /// Something else without TLS.
    #[error("the client did not speak TLS")]
    NotTls,
    /// TLS, but no agreement.
    #[error("{0}")]
    Tls(rustls::Error),
    /// The socket failed.
    #[error("{0}")]
    Io(io::Error),
}

impl HandshakeError {
    /// Class for log and metric: one of a few fixed words.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Silent => "silent",
            Self::Closed => "closed",
            Self::PlainHttp => "plain_http",
            Self::NotTls => "not_tls",
            Self::Tls(error) => failure::class(error),
            Self::Io(_) => "io",
        }
    }
}

/// tokio-rustls wraps what rustls says in an I/O error.
impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match (tls, error.kind()) {
            (Some(tls), _) => Self::Tls(tls.clone()),
            (None, io::ErrorKind::UnexpectedEof) => Self::Closed,
            (None, _) => Self::Io(error),
        }
    }
}

/// Performs the handshake that a client begins on `stream`, within `limit`.
///
/// A client that fails gets its alert, and one that speaks plain HTTP a readable answer; both are
/// bounded too, by a second beyond the limit.
///
/// # Errors
/// There is no connection; the socket is closed.
pub async fn accept(
    stream: TcpStream,
    config: &Arc<ServerConfig>,
    limit: Duration,
) -> Result<Accepted, HandshakeError> {
    let deadline = Instant::now() + limit;
    let hello = match timeout_at(deadline, hello::read(&stream)).await {
        Err(_) => return Err(HandshakeError::Timeout),
        Ok(Ok(hello)) => hello,
        Ok(Err(Refused { error, farewell })) => {
            say(stream, &farewell).await;
            return Err(error);
        }
    };
    let handshake = StartHandshake::from_parts(hello, ReadAhead::new(stream))
        .into_stream_with(Arc::clone(config), |connection| {
            connection.set_buffer_limit(Some(BUFFER));
        })
        .into_fallible();
    match timeout_at(deadline, handshake).await {
        Err(_) => Err(HandshakeError::Timeout),
        Ok(Ok(stream)) => Ok(agreed(stream)),
        // The alert is out already.
        Ok(Err((error, stream))) => {
            say(stream, &[]).await;
            Err(error.into())
        }
    }
}

fn agreed(stream: TlsStream<ReadAhead>) -> Accepted {
    let connection = stream.get_ref().1;
    let protocol = match connection.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let info = describe(connection);
    let resumed = matches!(connection.handshake_kind(), Some(HandshakeKind::Resumed));
    Accepted {
        stream,
        info,
        protocol,
        resumed,
    }
}

fn describe(connection: &ServerConnection) -> TlsInfo {
    let suite = connection
        .negotiated_cipher_suite()
        .map(|suite| suite.suite());
    let name = connection.server_name();
    TlsInfo {
        version: match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        },
        cipher: match suite {
            Some(CipherSuite::TLS13_AES_128_GCM_SHA256) => "TLS_AES_128_GCM_SHA256",
            Some(CipherSuite::TLS13_AES_256_GCM_SHA384) => "TLS_AES_256_GCM_SHA384",
            Some(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256) => "TLS_CHACHA20_POLY1305_SHA256",
            Some(suite) => suite.as_str().unwrap_or("unknown"),
            None => "unknown",
        },
        server_name: name.map(|name| {
            let name = name.strip_suffix('.').unwrap_or(name);
            name.to_ascii_lowercase().into()
        }),
    }
}

/// Sends `farewell` and closes. What the client still sends is read and dropped: closing over unread
/// bytes resets the connection, and a reset would overtake the farewell.
async fn say(mut stream: impl AsyncRead + AsyncWrite + Unpin, farewell: &[u8]) {
    let talk = async {
        stream.write_all(farewell).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(FAREWELL_BYTES), &mut tokio::io::sink()).await
    };
    // The client has failed already: whether it hears why changes nothing here.
    let _ = timeout(FAREWELL, talk).await;
}
