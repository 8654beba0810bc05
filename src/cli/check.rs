//! `portcullis check`.

use std::path::Path;

use crate::{
    cli::{Exit, say, show},
    config::{Config, diagnostic::Report},
    snapshot,
};

/// For people: faults and warnings on standard error, the verdict on standard output.
pub fn text(path: &Path) -> Exit {
    let report = report(path);
    show(&report);
    if report.has_errors() {
        return Exit::Config;
    }
    match report.diagnostics.len() {
        0 => say(&format!("{}: good", path.display())),
        1 => say(&format!("{}: good, with a warning", path.display())),
        count => say(&format!("{}: good, with {count} warnings", path.display())),
    }
    Exit::Good
}

/// For programs: one JSON array on standard output.
pub fn json(path: &Path) -> Exit {
    let report = report(path);
    say(&report.to_json());
    if report.has_errors() {
        Exit::Config
    } else {
        Exit::Good
    }
}

/// What reading finds, and what the certificates show.
fn report(path: &Path) -> Report {
    match Config::load(path) {
        Err(report) => report,
        Ok((config, report)) => report
            .with(snapshot::certificates::check(&config))
            .with(snapshot::backend_tls::check(&config)),
    }
}
