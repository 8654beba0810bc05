//! Handshakes: each connection makes one, fetches one file, and is closed by the server.

use std::{cell::Cell, rc::Rc};

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::{task::JoinSet, time::Instant};

use crate::{
    arguments::Arguments,
    http1::{Connection, Request},
    report::{self, Latencies},
    tls::{self, Dialer},
};

/// `--count` handshakes by `--connections` clients at a time: all full, or with `--resume` all resumed.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let count: usize = arguments.value("count")?;
    let clients: usize = arguments.value("connections")?;
    let resume = arguments.has("resume");
    let dialer = Dialer::new(arguments, "http/1.1")?;
    let request = Request::new(arguments, "Connection: close\r\n")?;

    let mut dialers = Vec::with_capacity(clients);
    for _ in 0..clients {
        if resume {
            let own = dialer.resuming();
            ensure!(
                !visit(&own, &request).await?,
                "a first handshake was resumed"
            );
            dialers.push(own);
        } else {
            dialers.push(dialer.clone());
        }
    }
    report::ready()?;

    let start = Instant::now();
    let left = Rc::new(Cell::new(count));
    let mut tasks = JoinSet::new();
    for dialer in dialers {
        tasks.spawn_local(client(dialer, request.clone(), Rc::clone(&left)));
    }
    let mut sum = Tally::default();
    while let Some(tally) = tasks.join_next().await {
        sum.add(tally?);
    }
    let seconds = start.elapsed().as_secs_f64();
    report::figures(
        json!({
            "requests": count + if resume { clients } else { 0 },
            "done": if resume { sum.resumed } else { sum.full },
            "failed": sum.failed + if resume { sum.full } else { sum.resumed },
            "full": sum.full,
            "resumed": sum.resumed,
            "seconds": seconds,
            "fault": sum.fault,
        }),
        sum.latencies,
    )
}

/// What one client saw.
#[derive(Default)]
struct Tally {
    full: usize,
    resumed: usize,
    failed: usize,
    fault: String,
    latencies: Latencies,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.full += other.full;
        self.resumed += other.resumed;
        self.failed += other.failed;
        if self.fault.is_empty() {
            self.fault = other.fault;
        }
        self.latencies.append(other.latencies);
    }
}

/// Takes from what is left until nothing is.
async fn client(dialer: Dialer, request: Request, left: Rc<Cell<usize>>) -> Tally {
    let mut tally = Tally::default();
    while left.get() > 0 {
        left.set(left.get() - 1);
        let start = Instant::now();
        match visit(&dialer, &request).await {
            Ok(true) => tally.resumed += 1,
            Ok(false) => tally.full += 1,
            Err(fault) => {
                tally.failed += 1;
                tally.fault = format!("{fault:#}");
            }
        }
        tally.latencies.push(start.elapsed());
    }
    tally
}

/// One connection from its first byte to its last; true when the session was resumed.
async fn visit(dialer: &Dialer, request: &Request) -> Result<bool> {
    let stream = dialer.connect().await?;
    let resumed = tls::was_resumed(&stream);
    let mut connection = Connection::new(stream);
    connection.exchange(request).await?;
    connection.closed().await?;
    Ok(resumed)
}
