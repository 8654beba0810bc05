//! WebSocket: small messages that go through the proxy to an echo and come back, one at a time.

use std::{cell::Cell, rc::Rc};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::Instant,
};

use crate::{
    arguments::Arguments,
    report::{self, Latencies},
    tls::{Dialer, Stream},
};

mod frame;

pub(crate) use frame::{Frame, Opcode, accept_key};

/// Bytes in a message.
const SIZE: usize = 32;

/// `--count` messages over `--connections` connections.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let count: usize = arguments.value("count")?;
    let connections: usize = arguments.value("connections")?;
    let dialer = Dialer::new(arguments, "http/1.1")?;
    let mut streams = Vec::with_capacity(connections);
    for _ in 0..connections {
        streams.push(open(&dialer, arguments).await?);
    }
    report::ready()?;

    let start = Instant::now();
    let left = Rc::new(Cell::new(count));
    let mut tasks = JoinSet::new();
    for (number, stream) in streams.into_iter().enumerate() {
        let message = [b'a' + u8::try_from(number % 26)?; SIZE];
        tasks.spawn_local(talk(stream, message, Rc::clone(&left)));
    }
    let (mut latencies, mut fault) = (Latencies::default(), String::new());
    let (mut done, mut end) = (0, start);
    while let Some(outcome) = tasks.join_next().await {
        match outcome? {
            Ok(talk) => {
                done += talk.messages;
                end = end.max(talk.end);
                latencies.append(talk.latencies);
            }
            Err(found) => fault = format!("{found:#}"),
        }
    }
    report::figures(
        json!({
            "requests": connections,
            "done": done,
            "failed": count - done,
            "seconds": (end - start).as_secs_f64(),
            "fault": fault,
        }),
        latencies,
    )
}

/// Asks for the upgrade, and checks that it was granted by someone who read the question.
async fn open(dialer: &Dialer, arguments: &Arguments) -> Result<Stream> {
    let path: String = arguments.value("path")?;
    let port: u16 = arguments.value("port")?;
    let key = STANDARD.encode(*b"sixteen bytes ok");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: https://localhost:{port}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {key}\r\n\r\n"
    );
    let mut stream = dialer.connect().await?;
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(head.len() < 16 * 1024, "an endless head");
        head.push(stream.read_u8().await?);
    }
    let mut headers = [httparse::EMPTY_HEADER; 48];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(&head)?;
    let code = response.code.context("no status")?;
    ensure!(code == 101, "status {code} to the upgrade");
    let accepted = response.headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("sec-websocket-accept")
            && header.value == accept_key(key.as_bytes()).as_bytes()
    });
    ensure!(accepted, "another key was accepted");
    Ok(stream)
}

/// What went over one connection.
struct Talk {
    messages: usize,
    latencies: Latencies,
    /// When the last echo came: how long a goodbye takes is no part of the measurement.
    end: Instant,
}

/// Sends the message and waits for its echo, until nothing is left; then says goodbye.
async fn talk(mut stream: Stream, message: [u8; SIZE], left: Rc<Cell<usize>>) -> Result<Talk> {
    let question = Frame::new(Opcode::TEXT, &message).masked([0x17, 0x2a, 0x9c, 0x5d]);
    let expected = Frame::new(Opcode::TEXT, &message).bytes();
    let mut answer = vec![0; expected.len()];
    let (mut messages, mut latencies) = (0, Latencies::default());
    while left.get() > 0 {
        left.set(left.get() - 1);
        let start = Instant::now();
        stream.write_all(&question).await?;
        stream.flush().await?;
        stream.read_exact(&mut answer).await?;
        ensure!(answer == expected, "the echo is another message");
        latencies.push(start.elapsed());
        messages += 1;
    }
    let end = Instant::now();
    let goodbye = Frame::new(Opcode::CLOSE, &1000_u16.to_be_bytes()).masked([1, 2, 3, 4]);
    stream.write_all(&goodbye).await?;
    stream.flush().await?;
    let mut rest = Vec::new();
    // With a close frame or without, the connection has ended.
    let _ = stream.read_to_end(&mut rest).await;
    Ok(Talk {
        messages,
        latencies,
        end,
    })
}
