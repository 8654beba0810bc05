//! How a probe gets a connection.

use std::{io, pin::Pin};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
};

use crate::{
    config::upstream::BackendAddress,
    upstream::{
        backend::Backend,
        connector::{self, Connector},
    },
};

/// Bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection in the making.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send + 'a>>;

/// Makes connections to backends, with TLS where their address says so.
pub trait Connect: Send + Sync {
    /// Connects to `backend`. The caller has a deadline.
    fn connect<'a>(&'a self, backend: &'a Backend) -> Connecting<'a>;
}

/// Connects without TLS, whatever the address says: enough to know whether somebody listens.
#[derive(Debug, Clone, Copy)]
pub struct Direct;

impl Connect for Direct {
    fn connect<'a>(&'a self, backend: &'a Backend) -> Connecting<'a> {
        Box::pin(async move {
            let stream: Box<dyn Stream> = match backend.address() {
                BackendAddress::Unix(path) => Box::new(UnixStream::connect(path).await?),
                BackendAddress::Tcp { .. } | BackendAddress::Srv { .. } => {
                    Box::new(connector::tcp(backend).await?)
                }
            };
            Ok(stream)
        })
    }
}

impl Connect for Connector {
    fn connect<'a>(&'a self, backend: &'a Backend) -> Connecting<'a> {
        Box::pin(async move {
            let stream: Box<dyn Stream> = Box::new(Self::connect(self, backend, None).await?);
            Ok(stream)
        })
    }
}
