//! `portcullis drain` and `portcullis undrain`.

use std::{collections::BTreeSet, path::Path, thread, time::Duration};

use anyhow::anyhow;
use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::time::Instant;

use crate::cli::{Exit, complain, process::Process, say};

/// Time between two looks at a backend that is not idle yet.
const PAUSE: Duration = Duration::from_millis(100);

/// The backends that an order is about.
#[derive(Debug)]
pub(super) struct Order<'a> {
    /// Name of the upstream.
    pub(super) upstream: &'a str,
    /// Name of the backend, or of all instances of a name.
    pub(super) backend: &'a str,
}

/// Takes a backend out of service, and returns when it is idle or `timeout` is over.
pub(super) fn drain(path: &Path, order: &Order<'_>, timeout: Duration) -> Exit {
    let deadline = Instant::now() + timeout;
    match begin(path, order).and_then(|(process, names)| wait(&process, order, &names, deadline)) {
        Ok(()) => Exit::Good,
        Err(exit) => exit,
    }
}

/// Puts a backend back into service.
pub(super) fn undrain(path: &Path, order: &Order<'_>) -> Exit {
    match Process::find(path).and_then(|process| send(&process, order, "undrain")) {
        Ok(backends) => {
            if backends.is_empty() {
                say(&format!(
                    "{} is back in service when it comes",
                    order.backend
                ));
            }
            for backend in backends {
                say(&format!("{} is back in service", backend.name));
            }
            Exit::Good
        }
        Err(exit) => exit,
    }
}

fn begin(path: &Path, order: &Order<'_>) -> Result<(Process, BTreeSet<String>), Exit> {
    let process = Process::find(path)?;
    let backends = send(&process, order, "drain")?;
    Ok((process, backends.into_iter().map(|it| it.name).collect()))
}

/// Waits until none of `names` has anything in flight. One that has left the list is in it while it has.
#[expect(
    clippy::disallowed_methods,
    reason = "a command of its own, with no runtime"
)]
fn wait(
    process: &Process,
    order: &Order<'_>,
    names: &BTreeSet<String>,
    deadline: Instant,
) -> Result<(), Exit> {
    loop {
        let upstreams: Upstreams = read(process.ask(&Method::GET, "/api/upstreams")?)?;
        let upstream = upstreams
            .upstreams
            .into_iter()
            .find(|it| it.name == order.upstream);
        let mut backends = upstream.map(|it| it.backends).unwrap_or_default();
        backends.retain(|it| names.contains(&it.name));
        if let Some(back) = backends.iter().find(|it| it.state != "drained") {
            complain(&anyhow!(
                "{} was put back into service meanwhile",
                back.name
            ));
            return Err(Exit::Bad);
        }
        backends.retain(|it| it.in_flight + it.lingering > 0);
        if backends.is_empty() {
            for name in names {
                say(&format!("{name} is drained and idle"));
            }
            return Ok(());
        }
        if Instant::now() > deadline {
            for it in backends {
                complain(&anyhow!(
                    "{} is drained but not idle: {} requests in flight, {} tunnels and event streams",
                    it.name,
                    it.in_flight,
                    it.lingering
                ));
            }
            return Err(Exit::Bad);
        }
        thread::sleep(PAUSE);
    }
}

fn send(process: &Process, order: &Order<'_>, what: &str) -> Result<Vec<Backend>, Exit> {
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let (upstream, backend) = (encode(order.upstream), encode(order.backend));
    let path = format!("/api/{what}?upstream={upstream}&backend={backend}");
    let Backends { backends } = read(process.ask(&Method::POST, &path)?)?;
    Ok(backends)
}

fn read<T: for<'a> Deserialize<'a>>((status, text): (StatusCode, String)) -> Result<T, Exit> {
    let read = if status == StatusCode::OK {
        serde_json::from_str(&text).map_err(anyhow::Error::from)
    } else {
        let refusal = serde_json::from_str::<Refusal>(&text).map(|it| it.message);
        Err(anyhow!(refusal.unwrap_or(text)))
    };
    read.map_err(|error| {
        complain(&error);
        Exit::Bad
    })
}

#[derive(Debug, Deserialize)]
struct Upstreams {
    upstreams: Vec<Upstream>,
}

#[derive(Debug, Deserialize)]
struct Upstream {
    name: String,
    backends: Vec<Backend>,
}

#[derive(Debug, Deserialize)]
struct Backends {
    backends: Vec<Backend>,
}

#[derive(Debug, Deserialize)]
struct Backend {
    name: String,
    state: String,
    in_flight: u64,
    lingering: u64,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    message: String,
}
