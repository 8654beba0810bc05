//! Load that h2load cannot make: handshakes, WebSocket messages, idle connections, a fixed rate.
//!
//! `load-driver MODE --key value ...` prepares, prints `ready`, waits for a line on standard input,
//! runs, and prints one JSON object. `benches/load/run` reads the server's counters in between.

use std::process::ExitCode;

use anyhow::{Result, bail};
use tokio::{runtime::Builder, task::LocalSet};

use crate::arguments::Arguments;

mod arguments;
mod backend;
mod handshake;
mod http1;
mod http2;
mod idle;
mod pacer;
mod rate;
mod report;
mod tls;
mod websocket;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            report::complain(&format!("{fault:#}"));
            ExitCode::FAILURE
        }
    }
}

/// One thread does all: the load has one core, which it shares with the backends.
fn run() -> Result<()> {
    let arguments = Arguments::read(std::env::args().skip(1))?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        match arguments.mode() {
            "backend" => backend::serve(&arguments).await,
            "handshake" => handshake::run(&arguments).await,
            "idle" => idle::run(&arguments).await,
            "rate" => rate::run(&arguments).await,
            "websocket" => websocket::run(&arguments).await,
            other => bail!("no mode `{other}`: say backend, handshake, idle, rate or websocket"),
        }
    })
}
