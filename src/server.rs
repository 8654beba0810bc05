//! Sockets of the clients' side: workers, listeners, connections, and the way from a request to its route.
//!
//! A worker is one thread with a current-thread runtime. Every listener exists once per worker
//! (`SO_REUSEPORT`). A worker may give a connection that it has just accepted to one with less to do;
//! from then on a connection never leaves its thread.

pub mod bind;
pub mod connection;
pub mod drain;
pub mod framing;
pub mod gate;
pub mod handover;
pub mod io;
mod lent;
pub mod listener;
pub mod load;
mod pulse;
pub mod service;
pub mod stream;
mod timer;
mod unread;
pub mod worker;
