//! From a spanned tree to typed values, collecting every fault on the way.
//!
//! serde stops at the first fault; this walker does not. A [`table::Table`] knows which keys it may
//! hold, a [`Value`] its place, and both push diagnostics into the one [`Reader`]. A faulty value becomes
//! `None`, its default stands in, and the whole is refused at the end.

use std::{
    borrow::Cow,
    cell::RefCell,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::{Spanned, de::DeValue};

use crate::config::{
    diagnostic::{Diagnostic, Severity},
    value::Located,
};

mod environment;
pub(crate) mod file;
pub(crate) mod number;
pub(crate) mod secret;
pub(crate) mod suggest;
pub(crate) mod table;

/// What reading needs beside the tree, and where faults go.
pub(crate) struct Reader<'a> {
    /// The text that spans point into.
    pub(crate) text: &'a str,
    /// Folder that relative paths start from; absolute.
    pub(crate) folder: PathBuf,
    /// Environment variables.
    pub(crate) environment: &'a dyn Fn(&str) -> Option<String>,
    /// What was found.
    pub(crate) diagnostics: RefCell<Vec<Diagnostic>>,
}

impl Reader<'_> {
    /// Keeps a fault or warning.
    pub(crate) fn push(&self, diagnostic: Diagnostic) {
        self.diagnostics.borrow_mut().push(diagnostic);
    }

    /// Whether a fault was found so far. Warnings about what is missing wait until there is none: what
    /// a faulty value was meant to be might be just that.
    pub(crate) fn has_errors(&self) -> bool {
        let is_error = |it: &Diagnostic| it.severity == Severity::Error;
        self.diagnostics.borrow().iter().any(is_error)
    }

    /// `path` as the configuration means it: relative to the file's folder.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        self.folder.join(Path::new(path))
    }
}

/// A value that can be read from the tree.
pub(crate) trait Read: Sized {
    /// The value, or `None` after its fault was pushed.
    fn read(value: &Value<'_>) -> Option<Self>;
}

/// One value of the tree, with its place.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a> {
    /// Where faults go.
    pub(crate) reader: &'a Reader<'a>,
    /// Its key, as messages name it.
    pub(crate) key: &'a str,
    /// The value.
    pub(crate) node: &'a Spanned<DeValue<'a>>,
    /// Whether it is the key's own value or inside its array.
    pub(crate) place: Place,
}

/// Where a value stands.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// Behind the `=` of its key.
    Key,
    /// Inside the array of its key.
    Element,
}

impl<'a> Value<'a> {
    /// Bytes of the file.
    pub(crate) fn span(&self) -> Range<usize> {
        self.node.span()
    }

    /// Pushes a fault at this value.
    pub(crate) fn reject<T>(
        &self,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<T> {
        let fault = Diagnostic::error(message).at(self.span()).help(help);
        self.reader.push(fault);
        None
    }

    /// Pushes a warning at this value.
    pub(crate) fn warn(&self, message: impl Into<String>, help: impl Into<String>) {
        let warning = Diagnostic::warning(message).at(self.span()).help(help);
        self.reader.push(warning);
    }

    /// Pushes the fault of a wrong type: what was found, what is wanted, an example.
    pub(crate) fn wrong_type<T>(&self, wanted: &str, example: &str) -> Option<T> {
        let found = match self.node.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        let key = self.key;
        match self.place {
            Place::Key => self.reject(
                format!("`{key}` is {found}, {wanted} is wanted"),
                format!("write it like `{key} = {example}`"),
            ),
            Place::Element => self.reject(
                format!("an element of `{key}` is {found}, {wanted} is wanted"),
                format!("write it like `{example}`"),
            ),
        }
    }

    /// The string, with `${NAME}` replaced, or the fault that it is none.
    pub(crate) fn text(&self, wanted: &str, example: &str) -> Option<Cow<'a, str>> {
        match self.node.get_ref() {
            DeValue::String(text) => environment::substitute(self, text),
            _ => self.wrong_type(wanted, example),
        }
    }

    /// The elements of an array, or the fault that it is none.
    pub(crate) fn items(&self, wanted: &str, example: &str) -> Option<Vec<Self>> {
        match self.node.get_ref() {
            DeValue::Array(nodes) => Some(nodes.iter().map(|node| self.element(node)).collect()),
            _ => self.wrong_type(wanted, example),
        }
    }

    /// A value inside this array.
    pub(crate) fn element(&self, node: &'a Spanned<DeValue<'a>>) -> Self {
        Self {
            node,
            place: Place::Element,
            ..*self
        }
    }

    /// Whether it is the literal `false`, which switches a feature off.
    pub(crate) fn is_off(&self) -> bool {
        matches!(self.node.get_ref(), DeValue::Boolean(false))
    }
}

impl<T: Read> Read for Located<T> {
    fn read(value: &Value<'_>) -> Option<Self> {
        Some(Self {
            value: T::read(value)?,
            span: value.span(),
        })
    }
}

impl Read for bool {
    fn read(value: &Value<'_>) -> Option<Self> {
        match value.node.get_ref() {
            DeValue::Boolean(truth) => Some(*truth),
            _ => value.wrong_type("true or false", "true"),
        }
    }
}

impl Read for String {
    fn read(value: &Value<'_>) -> Option<Self> {
        value.text("a string", "\"...\"").map(Cow::into_owned)
    }
}

/// Foreign text in a message: in backticks, short, without control characters.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    if text.is_empty() {
        return String::from("an empty string");
    }
    let mut shown = String::from("`");
    for character in text.chars().take(LONGEST) {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        shown.push_str("...");
    }
    shown.push('`');
    shown
}
