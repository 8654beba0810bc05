//! The file as text: reading it, its syntax, and what must not be shown of it.

use std::{
    fs,
    io::ErrorKind,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

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

/// `text` with every secret replaced by stars of the same length, so that no report shows one.
pub(super) fn mask(text: &str, root: &DeTable<'_>) -> String {
    let mut masked = text.to_owned();
    for span in secrets(root) {
        if let Some(secret) = text.get(span.clone()) {
            masked.replace_range(span, &stars(secret));
        }
    }
    masked
}

/// Places of the secret, of the admin token and of the header values that probes send.
fn secrets(root: &DeTable<'_>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let server = root.get("server").map(Spanned::get_ref);
    let secret = server.and_then(|server| server.get("secret"));
    let token = server
        .and_then(|server| server.get("admin"))
        .and_then(|admin| admin.get_ref().get("token"));
    let upstreams = root
        .get("upstream")
        .and_then(|it| it.get_ref().as_table())
        .into_iter()
        .flatten();
    let headers = upstreams
        .filter_map(|(_, upstream)| upstream.get_ref().get("probe")?.get_ref().get("headers"));
    for node in secret.into_iter().chain(token).chain(headers) {
        collect(node, &mut found);
    }
    found
}

/// Every value below `node`, also where another type is wanted.
fn collect(node: &Spanned<DeValue<'_>>, found: &mut Vec<Range<usize>>) {
    match node.get_ref() {
        DeValue::Table(entries) => entries.iter().for_each(|(_, it)| collect(it, found)),
        DeValue::Array(items) => items.iter().for_each(|it| collect(it, found)),
        _ => found.push(node.span()),
    }
}

/// Stars for each byte but quotes and line ends. The name of a variable is no secret, so `${NAME}` stays.
fn stars(secret: &str) -> String {
    let mut stars = String::new();
    let mut rest = secret;
    while let Some(next) = rest.chars().next() {
        if let Some(length) = variable(rest) {
            stars.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        match next {
            '"' | '\'' | '\n' | '\r' => stars.push(next),
            _ => stars.extend(std::iter::repeat_n('*', next.len_utf8())),
        }
        rest = &rest[next.len_utf8()..];
    }
    stars
}

/// Length of the `${NAME}` that `text` begins with.
fn variable(text: &str) -> Option<usize> {
    let name = text.strip_prefix("${")?.split('}').next()?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let length = "${}".len() + name.len();
    (name.bytes().all(is_name) && length <= text.len()).then_some(length)
}
