//! A fresh connection to a backend: TCP, Unix or TLS.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::{
    config::{
        self,
        upstream::{BackendAddress, BackendTls, ProxyProtocol},
    },
    tls::{
        self, TlsError,
        client::{Client, TlsStream},
    },
    upstream::{
        backend::Backend,
        proxy_protocol::{self, Ends},
    },
};

/// A byte stream to a backend.
#[derive(Debug)]
pub enum Stream {
    /// `http://`.
    Tcp(TcpStream),
    /// `unix:`.
    Unix(UnixStream),
    /// `https://`. Boxed: it is ten times the size of the others.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Makes connections to the backends of one upstream.
#[derive(Debug, Clone)]
pub struct Connector {
    tls: Option<Tls>,
    proxy_protocol: Option<ProxyProtocol>,
}

#[derive(Debug, Clone)]
struct Tls {
    client: Client,
    /// Which name to ask for.
    policy: BackendTls,
}

impl Connector {
    /// Reads the authorities that `config` trusts and the certificate that it shows, where it has an https backend.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn new(config: &config::upstream::Upstream) -> Result<Self, TlsError> {
        let tls = match &config.tls {
            None => None,
            Some(policy) => Some(Tls {
                client: Client::new(policy)?,
                policy: policy.clone(),
            }),
        };
        Ok(Self {
            tls,
            proxy_protocol: config.proxy_protocol,
        })
    }

    /// Whether the files that it was made from say the same as those of `other`.
    pub fn is_like(&self, other: &Self) -> bool {
        match (&self.tls, &other.tls) {
            (Some(one), Some(other)) => one.client.is_like(&other.client),
            (None, None) => true,
            _ => false,
        }
    }

    /// Connects to `backend` for the client at `ends`, or for ourselves. The caller has a deadline.
    ///
    /// # Errors
    /// The last refusal; `NotFound` when its name has no address so far.
    pub async fn connect(&self, backend: &Backend, ends: Option<Ends>) -> io::Result<Stream> {
        if let BackendAddress::Unix(path) = backend.address() {
            let mut stream = UnixStream::connect(path).await?;
            self.introduce(&mut stream, ends).await?;
            return Ok(Stream::Unix(stream));
        }
        let mut stream = tcp(backend).await?;
        self.introduce(&mut stream, ends).await?;
        if !backend.address().is_tls() {
            return Ok(Stream::Tcp(stream));
        }
        let host = backend.host().unwrap_or_default();
        let Some(Tls { client, policy }) = &self.tls else {
            return Err(io::Error::other("the upstream has no TLS policy"));
        };
        let name = tls::client::server_name(policy, host).map_err(io::Error::other)?;
        let stream = tls::client::connect(stream, &client.config, name)
            .await
            .map_err(io::Error::other)?;
        Ok(Stream::Tls(Box::new(stream)))
    }
}

impl Connector {
    /// Says who is at the other end of a fresh `stream`, where the backend expects that before all else.
    ///
    /// # Errors
    /// The connection breaks.
    pub async fn introduce(
        &self,
        stream: &mut (impl AsyncWrite + Unpin + ?Sized),
        ends: Option<Ends>,
    ) -> io::Result<()> {
        match self.proxy_protocol {
            None => Ok(()),
            Some(version) => {
                let header = proxy_protocol::header(version, ends.as_ref());
                stream.write_all(&header).await
            }
        }
    }
}

/// Time for one address where there are others, so that a dead one leaves them some.
const ONE_OF_SEVERAL: Duration = Duration::from_millis(500);

/// Connects to the first address of `backend` that accepts, and remembers it.
///
/// # Errors
/// As [`Connector::connect`].
pub async fn tcp(backend: &Backend) -> io::Result<TcpStream> {
    let addresses = backend.addresses().clone();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name did not resolve so far");
    for (place, address) in addresses.iter().enumerate() {
        let connecting = TcpStream::connect(*address);
        let connected = if place + 1 < addresses.len() {
            timeout(ONE_OF_SEVERAL, connecting)
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        } else {
            connecting.await
        };
        match connected {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                backend.remember(*address);
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

impl Stream {
    /// Whether nothing has arrived and the peer has not closed: what an idle connection must be.
    ///
    /// Asks the reactor's last word first, so a quiet socket costs no system call.
    pub fn is_quiet(&self) -> bool {
        let mut byte = [0; 1];
        let read = match self {
            Self::Tcp(stream) => stream.try_read(&mut byte),
            Self::Unix(stream) => stream.try_read(&mut byte),
            // What was decrypted already has left the socket.
            Self::Tls(stream) if !stream.get_ref().1.wants_read() => return false,
            Self::Tls(stream) => stream.get_ref().0.try_read(&mut byte),
        };
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream)
                .poll_read(cx, buf)
                .map_err(tls::client::explain),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
