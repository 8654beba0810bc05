//! An open loop: requests are meant for fixed moments, whether or not earlier ones were answered.
//!
//! Latency counts from the moment a request was meant for. A server that falls behind therefore
//! makes its clients late, and cannot slow them down unnoticed.

use std::{cell::RefCell, rc::Rc, time::Duration};

use anyhow::{Result, bail};
use serde_json::json;
use tokio::{
    task::{JoinSet, spawn_local},
    time::{Instant, timeout},
};

use crate::{
    arguments::Arguments,
    http1, http2,
    pacer::Schedule,
    report::{self, Latencies},
    tls::{Dialer, Stream},
};

/// How much longer than planned a run may last, for a server that cannot keep up.
const PATIENCE: Duration = Duration::from_millis(500);

/// `--rate` requests a second, `--count` in all, over `--connections` connections, with
/// `--streams` at once on each when `--protocol` is `h2`.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let lines = connect(arguments).await?;
    report::ready()?;

    let schedule = Rc::new(Schedule::new(
        arguments.value("rate")?,
        arguments.value("count")?,
    ));
    let tally = Rc::new(RefCell::new(Tally::default()));
    let mut tasks = JoinSet::new();
    for line in lines {
        tasks.spawn_local(work(line, Rc::clone(&schedule), Rc::clone(&tally)));
    }
    let pacer = Rc::clone(&schedule);
    let pacer = spawn_local(async move { pacer.keep().await });
    let finish = async { while tasks.join_next().await.is_some() {} };
    let late = timeout(schedule.length() + PATIENCE, finish).await.is_err();
    let seconds = schedule.elapsed();
    if pacer.is_finished() {
        pacer.await??;
    }
    drop(tasks);

    let mut tally = tally.take();
    let now = Instant::now();
    let mut unsent = 0;
    for intended in schedule.untaken() {
        unsent += 1;
        tally.latencies.push(now - intended);
    }
    report::figures(
        json!({
            "done": tally.done,
            "failed": tally.failed,
            "unsent": unsent,
            "late": late,
            "requests": arguments.value::<usize>("count")? - unsent,
            "seconds": seconds.as_secs_f64(),
            "fault": tally.fault,
        }),
        tally.latencies,
    )
}

/// What all workers saw together.
#[derive(Default)]
struct Tally {
    done: usize,
    failed: usize,
    fault: String,
    latencies: Latencies,
}

/// What carries one request at a time.
enum Line {
    Http1(Box<(http1::Connection<Stream>, http1::Request)>),
    Http2(Box<http2::Connection>),
}

impl Line {
    async fn exchange(&mut self) -> Result<()> {
        match self {
            Self::Http1(line) => line.0.exchange(&line.1).await,
            Self::Http2(stream) => stream.exchange().await,
        }
    }
}

/// Opens the connections.
async fn connect(arguments: &Arguments) -> Result<Vec<Line>> {
    let connections: usize = arguments.value("connections")?;
    let protocol: String = arguments.value("protocol")?;
    let mut lines = Vec::new();
    for _ in 0..connections {
        match protocol.as_str() {
            "h1" => {
                let stream = Dialer::new(arguments, "http/1.1")?.connect().await?;
                let request = http1::Request::new(arguments, "")?;
                let connection = http1::Connection::new(stream);
                lines.push(Line::Http1(Box::new((connection, request))));
            }
            "h2" => {
                let streams: usize = arguments.value("streams")?;
                let stream = Dialer::new(arguments, "h2")?.connect().await?;
                let connection = http2::Connection::start(stream, arguments).await?;
                let own = || Line::Http2(Box::new(connection.clone()));
                lines.extend((0..streams).map(|_| own()));
            }
            other => bail!("no protocol `{other}`: say h1 or h2"),
        }
    }
    Ok(lines)
}

/// Sends what falls due until nothing is left. After a failure the line is not used again.
async fn work(mut line: Line, schedule: Rc<Schedule>, tally: Rc<RefCell<Tally>>) {
    while let Some(intended) = schedule.take().await {
        let outcome = line.exchange().await;
        let mut tally = tally.borrow_mut();
        tally.latencies.push(intended.elapsed());
        match outcome {
            Ok(()) => tally.done += 1,
            Err(fault) => {
                tally.failed += 1;
                tally.fault = format!("{fault:#}");
                return;
            }
        }
    }
}
