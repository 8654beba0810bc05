//! Diagnostics as a compiler shows them: file, line, caret, help.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Diagnostic, Report, Severity};

/// Whether the text carries terminal colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Plain text, for logs and files.
    Never,
    /// ANSI escapes, for a terminal.
    Always,
}

impl Report {
    /// Every diagnostic with its lines of the file; empty when there is none.
    pub fn render(&self, color: Color) -> String {
        let renderer = match color {
            Color::Never => Renderer::plain(),
            Color::Always => Renderer::styled(),
        };
        let path = self.path.display().to_string();
        let mut shown = String::new();
        for diagnostic in &self.diagnostics {
            let group = self.group(diagnostic, &path);
            shown.push_str(&renderer.render(&[group]));
            shown.push_str("\n\n");
        }
        shown
    }

    fn group<'a>(&'a self, diagnostic: &'a Diagnostic, path: &'a str) -> Group<'a> {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(diagnostic.message.as_str());
        let mut group = match &diagnostic.span {
            None => Group::with_title(title).element(annotate_snippets::Origin::path(path)),
            Some(span) => {
                let primary = AnnotationKind::Primary.span(span.clone());
                let related = diagnostic.related.iter().map(|(span, label)| {
                    AnnotationKind::Context
                        .span(span.clone())
                        .label(label.as_str())
                });
                title.element(
                    Snippet::source(self.text.as_str())
                        .path(path)
                        .annotation(primary)
                        .annotations(related),
                )
            }
        };
        if let Some(help) = &diagnostic.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        group
    }
}
