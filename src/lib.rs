//! Portcullis: the edge in front of a NestJS backend and a single-page application.

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
