//! Idle connections: each has made one request, and is kept open.

use std::{cell::Cell, pin::Pin, rc::Rc};

use anyhow::Result;
use serde_json::json;
use tokio::{
    io::{AsyncRead, ReadBuf},
    task::JoinSet,
    time::Instant,
};

use crate::{
    arguments::Arguments,
    http1::{Connection, Request},
    report::{self, Latencies},
    tls::{Dialer, Stream},
};

/// Connections that are being opened at once.
const OPENING: usize = 64;

/// Opens `--connections` of them before it is ready, and counts those still open at the word to go on.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let count: usize = arguments.value("connections")?;
    let dialer = Dialer::new(arguments, "http/1.1")?;
    let request = Request::new(arguments, "")?;
    let left = Rc::new(Cell::new(count));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..OPENING.min(count) {
        tasks.spawn_local(open(dialer.clone(), request.clone(), Rc::clone(&left)));
    }
    let mut open = Vec::with_capacity(count);
    while let Some(streams) = tasks.join_next().await {
        open.extend(streams??);
    }
    let seconds = start.elapsed().as_secs_f64();
    report::ready()?;

    let mut alive = 0;
    for stream in &mut open {
        alive += usize::from(is_silent(stream).await);
    }
    report::figures(
        json!({
            "requests": count, "done": alive, "failed": count - alive, "seconds": seconds, "fault": "",
        }),
        Latencies::default(),
    )
}

/// Opens connections until nothing is left to open.
async fn open(dialer: Dialer, request: Request, left: Rc<Cell<usize>>) -> Result<Vec<Stream>> {
    let mut streams = Vec::new();
    while left.get() > 0 {
        left.set(left.get() - 1);
        let mut connection = Connection::new(dialer.connect().await?);
        connection.exchange(&request).await?;
        streams.push(connection.into_stream());
    }
    Ok(streams)
}

/// An open connection that nobody uses has nothing to read; a closed one has its end.
async fn is_silent(stream: &mut Stream) -> bool {
    let mut byte = [0];
    std::future::poll_fn(|context| {
        let mut buffer = ReadBuf::new(&mut byte);
        let silent = Pin::new(&mut *stream)
            .poll_read(context, &mut buffer)
            .is_pending();
        std::task::Poll::Ready(silent)
    })
    .await
}
