//! Sockets of the clients' side: workers, listeners, connections, and the way from a request to its route.
//!
//! A worker is one thread with a current-thread runtime. Every listener exists once per worker
//! (`SO_REUSEPORT`), so a connection never leaves the thread that accepted it.

pub mod bind;
pub mod connection;
pub mod framing;
pub mod gate;
pub mod io;
pub mod listener;
pub mod service;
pub mod stream;
pub mod worker;
