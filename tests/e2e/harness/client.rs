//! Clients: requests by hyper over HTTP/1.1 and HTTP/2.

use std::{io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{
    body::{Body, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::harness::{HOST, PATIENCE, pki};

type Sent = BoxBody<Bytes, io::Error>;

/// Where a client connects to, and how.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    tls: Option<ClientConfig>,
    name: String,
}

impl Target {
    /// TLS with [`HOST`] as the server name.
    pub(crate) fn tls(address: SocketAddr) -> Self {
        Self {
            address,
            tls: Some(pki::client(&[])),
            name: HOST.into(),
        }
    }

    /// No TLS.
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            tls: None,
            name: HOST.into(),
        }
    }

    /// Another server name.
    pub(crate) fn name(self, name: &str) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }

    /// Another TLS client.
    pub(crate) fn config(self, config: ClientConfig) -> Self {
        Self {
            tls: Some(config),
            ..self
        }
    }

    /// The same, offering one protocol.
    pub(crate) fn alpn(&self, protocol: &str) -> Self {
        let mut target = self.clone();
        if let Some(config) = &mut target.tls {
            config.alpn_protocols = vec![protocol.into()];
        }
        target
    }

    /// A TLS connection, for what the handshake tells.
    pub(crate) async fn handshake(&self) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let config = Arc::new(self.tls.clone().expect("a TLS target"));
        let name = ServerName::try_from(self.name.clone()).unwrap();
        TlsConnector::from(config).connect(name, stream).await
    }

    /// A connection as bytes.
    pub(crate) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self.tls {
            None => Box::new(TcpStream::connect(self.address).await?),
            Some(_) => Box::new(self.handshake().await?),
        })
    }
}

/// Bytes both ways.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A request to be sent.
pub(crate) struct Request {
    target: Target,
    method: String,
    path: String,
    host: String,
    headers: HeaderMap,
    body: Sent,
    http2: bool,
    protocol: Option<&'static str>,
}

impl Request {
    /// To `target`.
    pub(crate) fn new(target: Target, method: &str, path: &str) -> Self {
        Self {
            target,
            method: method.into(),
            path: path.into(),
            host: HOST.into(),
            headers: HeaderMap::new(),
            body: full(""),
            http2: false,
            protocol: None,
        }
    }

    /// With `:protocol` (RFC 8441).
    pub(crate) fn protocol(self, protocol: &'static str) -> Self {
        Self {
            protocol: Some(protocol),
            ..self
        }
    }

    /// Over HTTP/2.
    pub(crate) fn h2(self) -> Self {
        Self {
            http2: true,
            ..self
        }
    }

    /// Over HTTP/2 when `version` says so.
    pub(crate) fn version(self, version: Version) -> Self {
        Self {
            http2: version == Version::HTTP_2,
            ..self
        }
    }

    /// For another host; the TLS server name stays.
    pub(crate) fn host(self, host: &str) -> Self {
        Self {
            host: host.into(),
            ..self
        }
    }

    /// With a field.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers
            .append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    /// With a body of known length.
    pub(crate) fn body(self, body: impl Into<Bytes>) -> Self {
        Self {
            body: full(body),
            ..self
        }
    }

    /// With a body that comes piece by piece.
    pub(crate) fn stream(
        self,
        body: impl Body<Data = Bytes, Error = io::Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            body: BoxBody::new(body),
            ..self
        }
    }

    /// The whole answer.
    pub(crate) async fn send(self) -> Reply {
        Reply::read(self.open().await).await.unwrap()
    }

    /// The head of the answer; the body streams.
    pub(crate) async fn open(self) -> Response<Incoming> {
        self.try_open().await.unwrap()
    }

    /// The head of the answer, or why there is none.
    pub(crate) async fn try_open(self) -> Result<Response<Incoming>, Failure> {
        let mut session = if self.http2 {
            Session::http2(&self.target).await?
        } else {
            Session::http1(&self.target).await?
        };
        session.try_open(self).await
    }

    fn build(self, http2: bool) -> http::Request<Sent> {
        let uri = if http2 {
            format!("https://{}{}", self.host, self.path)
        } else {
            self.path
        };
        let mut request = http::Request::new(self.body);
        *request.method_mut() = self.method.parse().unwrap();
        *request.uri_mut() = uri.parse::<Uri>().unwrap();
        *request.headers_mut() = self.headers;
        if let Some(protocol) = self.protocol {
            let protocol = hyper::ext::Protocol::from_static(protocol);
            request.extensions_mut().insert(protocol);
        }
        if !http2 {
            request
                .headers_mut()
                .insert("host", self.host.parse().unwrap());
        }
        request
    }
}

/// Whatever a client may meet.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A connection that takes several requests.
pub(crate) enum Session {
    Http1(http1::SendRequest<Sent>),
    Http2(http2::SendRequest<Sent>),
}

impl Session {
    /// HTTP/1.1.
    pub(crate) async fn http1(target: &Target) -> Result<Self, Failure> {
        let stream = TokioIo::new(target.alpn("http/1.1").connect().await?);
        let (sender, connection) = http1::handshake(stream).await?;
        tokio::spawn(connection);
        Ok(Self::Http1(sender))
    }

    /// HTTP/2, agreed on by ALPN.
    pub(crate) async fn http2(target: &Target) -> Result<Self, Failure> {
        let stream = TokioIo::new(target.alpn("h2").connect().await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
        tokio::spawn(connection);
        Ok(Self::Http2(sender))
    }

    /// Whether it takes no request any more.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    /// The same HTTP/2 connection, for somebody else beside.
    pub(crate) fn share(&self) -> Self {
        match self {
            Self::Http2(sender) => Self::Http2(sender.clone()),
            Self::Http1(_) => panic!("HTTP/1.1 carries one request at a time"),
        }
    }

    /// The whole answer.
    pub(crate) async fn send(&mut self, request: Request) -> Reply {
        self.try_send(request).await.unwrap()
    }

    /// The whole answer, or why there is none.
    pub(crate) async fn try_send(&mut self, request: Request) -> Result<Reply, Failure> {
        Reply::read(self.try_open(request).await?).await
    }

    /// The head of the answer.
    pub(crate) async fn try_open(
        &mut self,
        request: Request,
    ) -> Result<Response<Incoming>, Failure> {
        let answer = async {
            match self {
                Self::Http1(sender) => {
                    sender.ready().await?;
                    sender.send_request(request.build(false)).await
                }
                Self::Http2(sender) => {
                    sender.ready().await?;
                    sender.send_request(request.build(true)).await
                }
            }
        };
        Ok(timeout(PATIENCE, answer).await??)
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Reply {
    /// Reads the body to its end.
    pub(crate) async fn read(response: Response<Incoming>) -> Result<Self, Failure> {
        let (head, body) = response.into_parts();
        let body = timeout(PATIENCE, body.collect()).await??;
        let trailers = body.trailers().cloned();
        Ok(Self {
            status: head.status,
            version: head.version,
            headers: head.headers,
            body: body.to_bytes(),
            trailers,
        })
    }

    /// A field, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// How often a field was sent.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.headers.get_all(name).iter().count()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

fn full(body: impl Into<Bytes>) -> Sent {
    Full::new(body.into())
        .map_err(|never| match never {})
        .boxed()
}
