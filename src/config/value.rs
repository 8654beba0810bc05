//! Values that the configuration is made of: hosts, secrets, durations, sizes, rates.

use std::{fmt, ops::Range};

use crate::config::{diagnostic::Diagnostic, reader::Reader};

pub(crate) mod address;
pub(crate) mod host;
pub(crate) mod path;
pub(crate) mod unit;

/// A host that a site answers to. Lower case, without port; IPv6 without brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// One name or address.
    Exact(String),
    /// `*.example.com`, kept as `example.com`: one or more labels in front.
    Wildcard(String),
}

impl HostPattern {
    /// Whether `host` (lower case, without port and brackets) is meant.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => host == name,
            Self::Wildcard(parent) => host
                .strip_suffix(parent.as_str())
                .and_then(|labels| labels.strip_suffix('.'))
                .is_some_and(|labels| !labels.is_empty()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(parent) => write!(f, "*.{parent}"),
        }
    }
}

/// Text that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, to compare with or to derive a key from, and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A value with its place in the file, for faults that are found after reading.
///
/// Two are equal when their values are: a configuration that only moved has not changed.
#[derive(Debug, Clone)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Bytes of the file.
    pub span: Range<usize>,
}

impl<T> Located<T> {
    /// The same place with another value.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located {
            value: change(self.value),
            span: self.span,
        }
    }
}

impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Located<T> {}

/// Pushes a fault for each value that an earlier one equals.
pub(crate) fn report_repeats<T: PartialEq>(reader: &Reader<'_>, values: &[Located<T>], what: &str) {
    for (index, value) in values.iter().enumerate() {
        if let Some(first) = values[..index].iter().find(|it| it.value == value.value) {
            let fault = Diagnostic::error(format!("this {what} is named twice"))
                .at(value.span.clone())
                .related(first.span.clone(), "first named here")
                .help("take one of them out");
            reader.push(fault);
        }
    }
}
