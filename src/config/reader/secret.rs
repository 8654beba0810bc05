//! Secrets: written in the configuration, or alone in a file of their own.

use std::fs;

use super::{Value, file::ReadableFile, table::Table};

/// Longest file; what is longer is some other file.
const LONGEST: u64 = 4096;

/// How a secret is asked for.
pub(crate) struct Wanted {
    /// Key of the text itself.
    pub(crate) key: &'static str,
    /// Key of the file that holds it.
    pub(crate) file: &'static str,
    /// What it is called: `token`.
    pub(crate) noun: &'static str,
    /// What to write under `key`.
    pub(crate) example: &'static str,
}

/// The text, with the value to blame for it; `None` when it is absent or faulty. That of a file is trimmed.
pub(crate) fn read<'a>(table: &Table<'a>, wanted: &Wanted) -> Option<(Value<'a>, String)> {
    let Wanted {
        key,
        file,
        noun,
        example,
    } = *wanted;
    match (table.value(key), table.value(file)) {
        (Some(_), Some(value)) => value.reject(
            format!("both `{key}` and `{file}` are given"),
            "keep one of them",
        ),
        (Some(value), None) => {
            let text = value.text(&format!("a {noun}"), example)?.into_owned();
            Some((value, text))
        }
        (None, Some(value)) => {
            let text = alone_in(&table.take::<ReadableFile>(file)?, &value, noun)?;
            Some((value, text))
        }
        (None, None) => None,
    }
}

fn alone_in(file: &ReadableFile, value: &Value<'_>, noun: &str) -> Option<String> {
    let help = format!("name a file with the {noun} alone");
    let size = fs::metadata(&file.0).map_or(u64::MAX, |about| about.len());
    if size > LONGEST {
        return value.reject(format!("the file is too long for a {noun}"), help);
    }
    match fs::read_to_string(&file.0) {
        Ok(text) => Some(text.trim().to_owned()),
        Err(_) => value.reject("the file holds no text", help),
    }
}
