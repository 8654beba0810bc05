//! Portcullis: the edge in front of a NestJS backend and a single-page application.
//!
//! The library is the whole program; the binary only calls [`cli::main`]. It is split so that tests and
//! benches can reach the parts, not to be depended on: there is no stable interface.
//!
//! # Life of a request
//!
//! 1. A worker accepts on its own socket ([`server::listener`]) and runs the connection to its end
//!    ([`server::connection`]): the handshake ([`tls::handshake`]), then HTTP/2 or HTTP/1.1 by ALPN.
//! 2. [`server::service`] takes the worker's view of the newest [`snapshot`], finds the host of the request and
//!    asks [`snapshot::services`] for the route: host first, then path ([`router`]).
//! 3. The route's [`middleware`] runs, outermost first: request id, client address, access log and metrics,
//!    security headers, rate limit, error response, body limit.
//! 4. The [`handler`] answers: files out of memory ([`assets`]), a redirect, a fixed response, or a backend.
//! 5. [`handler::proxy`] leases a backend of the [`upstream`], takes a pooled connection or makes one, sends the
//!    request and reads the head of the answer; where that is safe it tries again.
//! 6. The response goes back up through the same layers. The access log is written when its last byte has left.
//!
//! A request on a plain listener goes the same way as far as step 2, and is sent to https there.
//!
//! # Modules, in reading order
//!
//! A module imports only from those on lower floors; `ARCHITECTURE.md` has the table, `tests/tidy.rs` holds it.
//!
//! - [`message`]: what HTTP means: bodies, errors, hosts, paths, forwarded headers.
//! - [`config`]: what the user asked for: TOML made into typed values, every fault with its place.
//! - [`observe`]: what the operator is told: log, access log, metrics.
//! - [`certs`]: chains and keys: read, proved, or made for development.
//! - [`router`]: host, then path, to a route.
//! - [`limiter`]: how many requests a client may make, in bounded memory.
//! - [`assets`]: a built single-page application, read whole into memory.
//! - [`tls`]: rustls on both sides; nothing else names it.
//! - [`upstream`]: backends: balance, health, pool, and the client that speaks to them.
//! - [`middleware`]: the layers around every handler, in one place.
//! - [`handler`]: what answers a route: files, proxy, redirect, respond.
//! - [`snapshot`]: a configuration made into running objects, replaced as a whole.
//! - [`server`]: workers, listeners, connections, requests.
//! - [`admin`]: the operator's listener: health, readiness, metrics, backends that are drained.
//! - [`app`]: life and death of the process: start, reload, drain.
//! - [`cli`]: the words of the user: arguments, exit codes, what is printed.

pub mod admin;
pub mod app;
pub mod assets;
pub mod certs;
pub mod cli;
pub mod config;
pub mod handler;
pub mod limiter;
pub mod message;
pub mod middleware;
pub mod observe;
pub mod router;
pub mod server;
pub mod snapshot;
pub mod tls;
pub mod upstream;
