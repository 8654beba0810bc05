//! `portcullis run`.

use std::path::Path;

use crate::{
    app::{self, RunError, source::Source},
    cli::{Exit, complain, show},
};

/// Serves the configuration at `path` until a signal ends it.
pub fn run(path: &Path) -> Exit {
    serve(&Source::File(path.to_owned()), |_| {})
}

/// Serves `source`; `started` is told when listeners are open.
pub fn serve(source: &Source, started: impl FnOnce(&app::Started<'_>)) -> Exit {
    match app::run(source, started) {
        Ok(()) => Exit::Good,
        Err(RunError::Config(report)) => {
            show(&report);
            Exit::Config
        }
        Err(error) => complain(&error.into()),
    }
}
