//! Diagnostics for programs: one JSON array.

use std::ops::Range;

use serde_json::{Value, json};

use super::{Diagnostic, Report, Severity};

impl Report {
    /// A JSON array of `{severity, message, file, line, column, end_line, end_column, help, related}`.
    ///
    /// Lines and columns count from 1, columns in characters; what is not known is `null`. `related` holds
    /// `{line, column, message}`.
    pub fn to_json(&self) -> String {
        let lines = Lines::of(&self.text);
        let all = self.diagnostics.iter().map(|it| self.entry(it, &lines));
        Value::Array(all.collect()).to_string()
    }

    fn entry(&self, diagnostic: &Diagnostic, lines: &Lines<'_>) -> Value {
        let severity = match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let place = |end: fn(&Range<usize>) -> usize| {
            let span = diagnostic.span.as_ref();
            span.map(|span| lines.place(end(span))).unzip()
        };
        let (line, column) = place(|span| span.start);
        let (end_line, end_column) = place(|span| span.end);
        let related = diagnostic.related.iter().map(|(span, label)| {
            let (line, column) = lines.place(span.start);
            json!({"line": line, "column": column, "message": label})
        });
        json!({
            "severity": severity,
            "message": diagnostic.message,
            "file": self.path.display().to_string(),
            "line": line,
            "column": column,
            "end_line": end_line,
            "end_column": end_column,
            "help": diagnostic.help,
            "related": related.collect::<Vec<_>>(),
        })
    }
}

/// Where the lines of a text begin.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(breaks).collect(),
        }
    }

    /// Line and column of a byte that `Report::new` put on a character border.
    fn place(&self, byte: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= byte);
        let start = self.starts[line - 1];
        (line, self.text[start..byte].chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn counts_lines_and_characters_from_one() {
        let text = "a = 1\né = 2\n".to_owned();
        let found = vec![
            Diagnostic::error("no").at(9..10).help("yes"),
            Diagnostic::warning("whole"),
        ];
        let json = Report::new(Path::new("x.toml"), text, found).to_json();
        let all: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(all[0]["line"], Value::Null);
        assert_eq!(all[0]["severity"], "warning");
        assert_eq!(all[1]["line"], 2);
        assert_eq!(all[1]["column"], 3);
        assert_eq!(all[1]["end_column"], 4);
        assert_eq!(all[1]["help"], "yes");
    }
}
