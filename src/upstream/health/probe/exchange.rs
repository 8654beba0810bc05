//! The HTTP of a probe: one `GET`, and as much of its answer as is asked for.

use std::io;

use bytes::{BufMut as _, BytesMut};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{
    config::upstream::HttpProbe,
    upstream::client::decode::{
        self, Head, MAX_HEAD, Malformed,
        framing::{Decoder, Piece},
    },
};

/// Bytes of a body that are read at most: a sign of health has a few hundred.
const MAX_BODY: usize = 64 * 1024;
/// Room for one read.
const READ: usize = 4 * 1024;

/// The request that `probe` makes of a backend that is called `authority`.
pub fn request(probe: &HttpProbe, authority: &str) -> Vec<u8> {
    let host = probe.host.as_deref().unwrap_or(authority);
    let mut request = format!("GET {} HTTP/1.1\r\nHost: {host}\r\n", probe.path).into_bytes();
    let defaults = [
        (header::USER_AGENT, "portcullis-probe"),
        (header::ACCEPT, "*/*"),
    ];
    for (name, value) in defaults {
        if !probe.headers.iter().any(|(known, _)| *known == name) {
            write_field(&mut request, &name, value.as_bytes());
        }
    }
    for (name, value) in &probe.headers {
        write_field(&mut request, name, value.as_bytes());
    }
    request.extend_from_slice(b"Connection: close\r\n\r\n");
    request
}

fn write_field(request: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        request.extend_from_slice(part);
    }
}

/// An answer whose head has come.
#[derive(Debug)]
pub struct Answer {
    head: Head,
    /// What was read behind the head.
    buffer: BytesMut,
}

/// Sends `request` and gives the final answer; interim ones (RFC 9110 section 15.2) are passed over.
///
/// # Errors
/// The connection breaks or ends, what comes is not HTTP/1, or no final head comes within 64 KiB.
pub async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin + ?Sized),
    request: &[u8],
) -> io::Result<Answer> {
    stream.write_all(request).await?;
    stream.flush().await?;
    let mut buffer = BytesMut::with_capacity(READ);
    let mut read = 0;
    loop {
        while let Some(head) = decode::head(&mut buffer, &mut HeaderMap::new()).map_err(refused)? {
            if !head.status.is_informational() {
                return Ok(Answer { head, buffer });
            }
        }
        if read >= MAX_HEAD {
            return Err(refused(Malformed("no final response comes in 64 KiB")));
        }
        read += more(stream, &mut buffer).await?;
    }
}

impl Answer {
    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// Its body, or the first 64 KiB of it.
    ///
    /// # Errors
    /// The connection breaks or ends too soon, or the body has no clear end (RFC 9112 section 6.3).
    pub async fn body(
        mut self,
        stream: &mut (impl AsyncRead + Unpin + ?Sized),
    ) -> io::Result<BytesMut> {
        let mut decoder = Decoder::of(&Method::GET, &self.head).map_err(refused)?;
        let mut body = BytesMut::new();
        while body.len() < MAX_BODY {
            match decoder.decode(&mut self.buffer).map_err(refused)? {
                Piece::Data(data) => body.extend_from_slice(&data),
                Piece::Trailers(_) | Piece::End => break,
                Piece::More => match more(stream, &mut self.buffer).await {
                    Ok(_) => {}
                    Err(error)
                        if error.kind() == io::ErrorKind::UnexpectedEof
                            && decoder.is_until_close() =>
                    {
                        break;
                    }
                    Err(error) => return Err(error),
                },
            }
        }
        body.truncate(MAX_BODY);
        Ok(body)
    }
}

/// Reads what there is; `UnexpectedEof` at the end of the stream.
async fn more(
    stream: &mut (impl AsyncRead + Unpin + ?Sized),
    buffer: &mut BytesMut,
) -> io::Result<usize> {
    buffer.reserve(READ);
    match stream.read_buf(&mut buffer.limit(READ)).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => Ok(count),
    }
}

fn refused(malformed: Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, malformed)
}

#[cfg(test)]
mod tests;
