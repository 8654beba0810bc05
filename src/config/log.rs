//! `[log]`: what the program says, and a line per request.

use std::path::PathBuf;

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// What the program says about itself, on standard error.
    pub level: Level,
    /// One line per request; `None` when `access = false`.
    pub access: Option<Access>,
}

/// Least severity that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

/// `log.access`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Shape of a line.
    pub format: Format,
    /// File it is appended to; `None` is standard output (`"-"`).
    pub path: Option<PathBuf>,
    /// Query values are replaced by `*`; keys stay. OIDC codes live in query values.
    pub redact: bool,
}

/// Shape of an access log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json,
    /// Apache's combined format.
    Combined,
}
