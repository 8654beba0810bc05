//! A backend for what nginx cannot do: it echoes WebSocket messages, and reads a body to its end
//! before it answers.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::spawn_local,
};

use crate::{
    arguments::Arguments,
    report,
    websocket::{Frame, Opcode, accept_key},
};

/// Room for what is read at once.
const BUFFER: usize = 64 * 1024;

/// Listens on `--port` until the process is ended.
pub(crate) async fn serve(arguments: &Arguments) -> Result<()> {
    let address = (Ipv4Addr::LOCALHOST, arguments.value::<u16>("port")?);
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        spawn_local(async move {
            // A proxy that closes an idle connection is no fault.
            if let Err(fault) = converse(stream).await {
                report::complain(&format!("backend: {fault:#}"));
            }
        });
    }
}

/// What the head of a request asks for.
enum Question {
    Upgrade { accept: String },
    Body { length: usize },
}

async fn converse(mut stream: TcpStream) -> Result<()> {
    let mut buffer = BytesMut::with_capacity(BUFFER);
    loop {
        let Some((head, question)) = parse(&buffer)? else {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            continue;
        };
        buffer.advance(head);
        match question {
            Question::Upgrade { accept } => {
                let answer = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                     Upgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
                );
                stream.write_all(answer.as_bytes()).await?;
                return echo(stream, buffer).await;
            }
            Question::Body { length } => {
                take(&mut stream, &mut buffer, length).await?;
                let body = format!("{{\"received\":{length}}}");
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await?;
            }
        }
    }
}

/// Reads the body and forgets it.
async fn take(stream: &mut TcpStream, buffer: &mut BytesMut, length: usize) -> Result<()> {
    let mut missing = length;
    loop {
        let taken = missing.min(buffer.len());
        buffer.advance(taken);
        missing -= taken;
        if missing == 0 {
            return Ok(());
        }
        buffer.reserve(BUFFER);
        let read = stream.read_buf(buffer).await?;
        ensure!(read > 0, "closed inside a body");
    }
}

/// Sends every message back until the client says goodbye.
async fn echo(mut stream: TcpStream, mut buffer: BytesMut) -> Result<()> {
    loop {
        let mut answers = Vec::new();
        let mut closing = false;
        while let Some((mut frame, length)) = Frame::parse(&buffer)? {
            buffer.advance(length);
            closing |= frame.opcode == Opcode::CLOSE;
            if frame.opcode == Opcode::PING {
                frame.opcode = Opcode::PONG;
            }
            answers.extend_from_slice(&frame.bytes());
        }
        stream.write_all(&answers).await?;
        if closing || stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// The length of the head and what it asks for, once it is whole. A body must announce its length.
fn parse(bytes: &[u8]) -> Result<Option<(usize, Question)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(bytes)? else {
        return Ok(None);
    };
    let value = |name: &str| {
        let mut headers = request.headers.iter();
        headers
            .find(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    };
    ensure!(
        value("transfer-encoding").is_none(),
        "the body has no announced length"
    );
    if value("upgrade").is_some_and(|token| token.eq_ignore_ascii_case(b"websocket")) {
        let key = value("sec-websocket-key").context("an upgrade without key")?;
        let accept = accept_key(key);
        return Ok(Some((head, Question::Upgrade { accept })));
    }
    let length = match value("content-length") {
        Some(text) => std::str::from_utf8(text)?.parse()?,
        None => 0,
    };
    Ok(Some((head, Question::Body { length })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_without_announced_length_is_refused() {
        let chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(parse(chunked).is_err());
    }

    #[test]
    fn a_request_without_body_has_length_zero() {
        let (_, question) = parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap()
            .unwrap();
        assert!(matches!(question, Question::Body { length: 0 }));
    }
}
