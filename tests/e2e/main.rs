//! End to end: the real binary behind real sockets and real TLS, against backends and clients that
//! behave and that do not. One module per behaviour; `harness` makes the sentences.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod harness;

// In the order of a request's way.
mod tls;
mod tls_hostile;

mod redirect;
mod sites;
mod workers;

mod deploy;
mod dictionaries;
mod files;
mod files_env;
mod files_try;
mod headers;
mod no_disk;
mod policy;
mod seed;
mod trees;

mod bodies;
mod compression;
mod forwarding;
mod proxy;
mod refusals;
mod streaming;

mod idle;
mod leaving;

mod backend_tls;
mod balancing;
mod drain;
mod faulty;
mod names;
mod outlier;
mod peak_ewma;
mod pool;
mod probes;
mod proxy_protocol;
mod replay;
mod sessions;
#[cfg(feature = "dns")]
mod srv;
mod sticky;

mod websocket;
mod websocket_drain;
mod websocket_h2;

mod hostile;
mod limits;

mod admin;
mod logs;

mod cli;
mod reload;
mod serve;
mod shutdown;

mod endurance;
mod memory;

mod nest;
