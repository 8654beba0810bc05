//! OpenMetrics text to Prometheus' own text format 0.0.4, which every scraper reads.
//!
//! The two differ in the head of a family: OpenMetrics names a counter without `_total` and has a
//! type `info`; a 0.0.4 reader would not find the help and type of either.

/// Rewrites the head of each family; samples are the same in both formats.
pub(super) fn from_open_metrics(page: &str) -> String {
    let mut text = String::with_capacity(page.len() + page.len() / 8);
    let mut help = "";
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            push_head(&mut text, help, rest);
        } else if !line.starts_with('#') {
            push(&mut text, &[line]);
        }
    }
    text
}

fn push_head(text: &mut String, help: &str, family: &str) {
    let Some((name, kind)) = family.split_once(' ') else {
        return;
    };
    let (suffix, kind) = match kind {
        "counter" => ("_total", "counter"),
        "info" => ("_info", "gauge"),
        "unknown" => ("", "untyped"),
        other => ("", other),
    };
    let help = help.strip_prefix(name).unwrap_or(help);
    push(text, &["# HELP ", name, suffix, help]);
    push(text, &["# TYPE ", name, suffix, " ", kind]);
}

fn push(text: &mut String, parts: &[&str]) {
    text.extend(parts.iter().copied());
    text.push('\n');
}
