//! HTTP/2, many requests at once on one connection.

use anyhow::{Result, ensure};
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::Request;
use tokio::task::spawn_local;

use crate::{arguments::Arguments, report, tls::Stream};

/// A window that bodies of a benchmark never fill.
const WINDOW: u32 = 1 << 26;

/// One of the streams that share a connection.
#[derive(Clone)]
pub(crate) struct Connection {
    send: SendRequest<Bytes>,
    request: Request<()>,
    bytes: usize,
}

impl Connection {
    /// Starts the protocol. The requests are a GET for `--path`, answered by `--bytes` bytes.
    pub(crate) async fn start(stream: Stream, arguments: &Arguments) -> Result<Self> {
        let path: String = arguments.value("path")?;
        let port: u16 = arguments.value("port")?;
        let request = Request::get(format!("https://localhost:{port}{path}"))
            .header("user-agent", "load-driver")
            .body(())?;
        let (send, connection) = Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .enable_push(false)
            .handshake(stream)
            .await?;
        spawn_local(async move {
            if let Err(fault) = connection.await {
                report::complain(&format!("an HTTP/2 connection ended: {fault}"));
            }
        });
        Ok(Self {
            send,
            request,
            bytes: arguments.value("bytes")?,
        })
    }

    /// Sends the request, and takes the whole response; whatever is not a 2xx is an error.
    pub(crate) async fn exchange(&mut self) -> Result<()> {
        let mut send = self.send.clone().ready().await?;
        let (response, _) = send.send_request(self.request.clone(), true)?;
        let response = response.await?;
        ensure!(
            response.status().is_success(),
            "status {}",
            response.status()
        );
        let mut body = response.into_body();
        let mut length = 0;
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            length += chunk.len();
            body.flow_control().release_capacity(chunk.len())?;
        }
        ensure!(
            length == self.bytes,
            "a body of {length} bytes instead of {}",
            self.bytes
        );
        Ok(())
    }
}
