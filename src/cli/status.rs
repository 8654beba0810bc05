//! `portcullis status`.

use std::path::Path;

use http::{Method, StatusCode};

use crate::cli::{Exit, process::Process, say};

/// Asks the admin listener of the configuration at `path` whether the process is ready.
pub fn status(path: &Path) -> Exit {
    let asked = Process::find(path).and_then(|it| it.ask(&Method::GET, "/health/ready"));
    match asked {
        Ok((status, text)) => {
            say(&text);
            if status == StatusCode::OK {
                Exit::Good
            } else {
                Exit::Bad
            }
        }
        Err(exit) => exit,
    }
}
