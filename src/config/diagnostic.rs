//! A fault or warning in the configuration, with its place.

use std::{ops::Range, path::PathBuf};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is not used.
    Error,
    /// The configuration works, but probably not as meant.
    Warning,
}

/// A fault or warning in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, lower case, no full stop.
    pub message: String,
    /// Bytes of the file; `None` when it concerns the file as a whole.
    pub span: Option<Range<usize>>,
    /// Further places with a word on each.
    pub related: Vec<(Range<usize>, String)>,
    /// What to write instead.
    pub help: Option<String>,
}

/// Faults and warnings of one file, with its text, so that they can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// In order of place.
    pub diagnostics: Vec<Diagnostic>,
}
