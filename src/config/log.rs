//! `[log]`: what the program says, and a line per request.

use std::path::PathBuf;

use crate::config::reader::{
    Read, Value,
    file::WritableFile,
    table::{Shape, Switch, Table},
};

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

/// `[log]`.
pub(crate) static SHAPE: Shape = Shape {
    name: "log",
    keys: &["level", "access"],
    reserved: &[],
};

/// `log.access`.
pub(crate) static ACCESS: Shape = Shape {
    name: "log.access",
    keys: &["format", "path", "redact"],
    reserved: &[],
};

impl Default for Log {
    /// What an operator wants to know, and every request: both are needed when something went wrong.
    fn default() -> Self {
        Self {
            level: Level::Info,
            access: Some(Access::default()),
        }
    }
}

impl Default for Access {
    /// JSON on standard output, where container engines and systemd collect it.
    fn default() -> Self {
        Self {
            format: Format::Json,
            path: None,
            redact: true,
        }
    }
}

impl Log {
    /// Reads `[log]`.
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let levels = [
            ("error", Level::Error),
            ("warn", Level::Warn),
            ("info", Level::Info),
            ("debug", Level::Debug),
        ];
        let log = Self {
            level: table.choose("level", default.level, &levels),
            access: match table.switch("access", &ACCESS) {
                Switch::Absent => default.access,
                Switch::Off => None,
                Switch::On(table) => Some(Access::read(&table)),
            },
        };
        table.finish();
        log
    }
}

impl Access {
    fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let formats = [("json", Format::Json), ("combined", Format::Combined)];
        let access = Self {
            format: table.choose("format", default.format, &formats),
            path: table.take("path").and_then(|Destination(path)| path),
            redact: table.take_or("redact", default.redact),
        };
        table.finish();
        access
    }
}

/// A file, or `"-"` for standard output.
struct Destination(Option<PathBuf>);

impl Read for Destination {
    fn read(value: &Value<'_>) -> Option<Self> {
        if value.text("a path", "\"-\"")? == "-" {
            return Some(Self(None));
        }
        WritableFile::read(value).map(|file| Self(Some(file.0)))
    }
}
