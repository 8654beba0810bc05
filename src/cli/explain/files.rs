//! What a route of files is, for `portcullis explain`.

use std::fmt::{Result, Write as _};

use crate::config::route::Files;

/// Writes how files are found and changed. Of variables only the names: the server may run with
/// other values.
pub(super) fn explain(text: &mut String, files: &Files) -> Result {
    let fallback = files
        .fallback
        .as_deref()
        .unwrap_or("none: what is not there is 404");
    let paths: Vec<_> = files
        .suffixes
        .iter()
        .map(|suffix| format!("{{path}}{suffix}"))
        .collect();
    writeln!(text, "files       {}", files.root.value.display())?;
    writeln!(text, "try         {}", paths.join(", "))?;
    writeln!(text, "fallback    {fallback}")?;
    if !files.env.is_empty() {
        let names: Vec<_> = files.env.iter().map(|(name, _)| name.as_str()).collect();
        writeln!(text, "env         {}", names.join(", "))?;
    }
    if !files.source_maps {
        writeln!(text, "source maps 404")?;
    }
    if files.dictionaries {
        writeln!(text, "deltas      for browsers that have an earlier build")?;
    }
    if !files.preload {
        writeln!(text, "preload     no Link headers")?;
    }
    Ok(())
}
