//! A fault or warning in the configuration, with its place.
//!
//! Whoever finds one pushes it and goes on, so that the user meets every fault at once.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

mod json;
mod render;

pub use render::Color;

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

impl Diagnostic {
    /// A fault: the configuration is not used.
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message.into())
    }

    /// A warning: the configuration works, but probably not as meant.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message.into())
    }

    fn new(severity: Severity, message: String) -> Self {
        Self {
            severity,
            message,
            span: None,
            related: Vec::new(),
            help: None,
        }
    }

    /// Says where: bytes of the file.
    #[must_use]
    pub fn at(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }

    /// Names a further place, with a word on it.
    #[must_use]
    pub fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// Says what to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Faults and warnings of one file, with its text, so that they can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// Its text; literal secrets in it are masked.
    pub text: String,
    /// In order of place.
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// Puts diagnostics in order of place. Places outside `text` or inside a character are moved to
    /// the nearest good one, so that showing them cannot fail.
    pub fn new(path: &Path, text: String, mut diagnostics: Vec<Diagnostic>) -> Self {
        for diagnostic in &mut diagnostics {
            let related = diagnostic.related.iter_mut().map(|(span, _)| span);
            for span in diagnostic.span.iter_mut().chain(related) {
                *span = fit(span, &text);
            }
        }
        diagnostics.sort_by_key(|diagnostic| diagnostic.span.as_ref().map(|span| span.start));
        diagnostics.dedup();
        Self {
            path: path.to_owned(),
            text,
            diagnostics,
        }
    }

    /// Adds what was found after reading, for instance a key that does not match its chain.
    #[must_use]
    pub fn with(mut self, more: impl IntoIterator<Item = Diagnostic>) -> Self {
        self.diagnostics.extend(more);
        Self::new(&self.path, self.text, self.diagnostics)
    }

    /// Where a diagnostic is, as `file:line:column`.
    pub fn place(&self, diagnostic: &Diagnostic) -> String {
        let path = self.path.display();
        let Some(span) = &diagnostic.span else {
            return path.to_string();
        };
        let before = &self.text[..span.start];
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        format!("{path}:{line}:{column}")
    }

    /// Whether the configuration must not be used.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// How many diagnostics are of `severity`.
    pub fn count(&self, severity: Severity) -> usize {
        self.diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == severity)
            .count()
    }
}

/// `span` inside `text`, on character borders.
fn fit(span: &Range<usize>, text: &str) -> Range<usize> {
    let start = text.floor_char_boundary(span.start);
    let end = text.ceil_char_boundary(span.end.max(start));
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_by_place_and_moves_places_onto_characters() {
        let report = Report::new(
            Path::new("x.toml"),
            "aé".to_owned(),
            vec![
                Diagnostic::warning("late").at(2..90),
                Diagnostic::error("whole"),
                Diagnostic::error("early").at(0..1),
            ],
        );
        let places: Vec<_> = report
            .diagnostics
            .iter()
            .map(|it| it.span.clone())
            .collect();
        assert_eq!(places, [None, Some(0..1), Some(1..3)]);
        assert!(report.has_errors());
        assert_eq!(report.count(Severity::Warning), 1);
    }
}
