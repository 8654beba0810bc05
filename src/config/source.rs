//! The file as text: reading it, its syntax, and what must not be shown of it.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use toml::{Spanned, de::DeTable};

use crate::config::{diagnostic::Diagnostic, reader::file::reason};

/// Larger than any configuration; what is beyond is some other file.
const LONGEST_FILE: u64 = 16 << 20;

/// The text of the file at `path`.
pub(super) fn read(path: &Path) -> Result<String, Diagnostic> {
    let cannot = |reason: String| Diagnostic::error(format!("cannot read the file: {reason}"));
    let about = fs::metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => cannot(reason(&error)).help(
            "write one there, or name another with `--config FILE`; `portcullis serve` needs none",
        ),
        _ => cannot(reason(&error)),
    })?;
    if !about.is_file() {
        return Err(cannot(String::from("it is no plain file")));
    }
    if about.len() > LONGEST_FILE {
        return Err(cannot(String::from("it is larger than 16 MiB")));
    }
    let bytes = fs::read(path).map_err(|error| cannot(reason(&error)))?;
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        cannot(format!("byte {place} is not UTF-8"))
    })
}

/// The folder that relative paths start from, absolute.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// Faults of the TOML itself.
pub(super) fn syntax_faults(text: &str, faults: &[toml::de::Error]) -> Vec<Diagnostic> {
    let fault = |fault: &toml::de::Error| {
        let message = fault.message().replace('\n', ", ");
        let span = fault.span().unwrap_or(text.len()..text.len());
        let written = text.get(span.clone()).unwrap_or_default();
        let help = if message.starts_with("duplicate key") {
            String::from("keep one of them")
        } else if message.starts_with("string values must be quoted") {
            format!("write `\"{}\"`", written.trim())
        } else if message.starts_with("unclosed") || message.starts_with("invalid basic string") {
            String::from("close it on the same line")
        } else {
            String::from("values are `\"text\"`, `5`, `true`, `[...]` and `{ key = value }`")
        };
        Diagnostic::error(message).at(span).help(help)
    };
    faults.iter().map(fault).collect()
}

/// `text` with the admin token replaced by stars of the same length, so that no report shows it.
pub(super) fn mask(text: &str, root: &DeTable<'_>) -> String {
    let token = root
        .get("server")
        .and_then(|server| server.get_ref().get("admin"))
        .and_then(|admin| admin.get_ref().get("token"));
    let Some(span) = token.map(Spanned::span) else {
        return text.to_owned();
    };
    let (Some(before), Some(secret), Some(after)) = (
        text.get(..span.start),
        text.get(span.clone()),
        text.get(span.end..),
    ) else {
        return text.to_owned();
    };
    if secret.contains("${") {
        // The name of a variable is no secret.
        return text.to_owned();
    }
    let mut masked = String::from(before);
    for character in secret.chars() {
        match character {
            '"' | '\'' | '\n' | '\r' => masked.push(character),
            _ => masked.extend(std::iter::repeat_n('*', character.len_utf8())),
        }
    }
    masked.push_str(after);
    masked
}
