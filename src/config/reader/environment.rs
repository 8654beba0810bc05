//! `${NAME}` and `${NAME:-default}` inside strings; `$${` is a literal `${`.

use std::borrow::Cow;

use super::{Value, quoted};
use crate::config::diagnostic::Diagnostic;

/// `text` with its variables replaced, or `None` after each fault in it was pushed.
pub(super) fn substitute<'a>(value: &Value<'a>, text: &'a str) -> Option<Cow<'a, str>> {
    if !text.contains("${") {
        return Some(Cow::Borrowed(text));
    }
    let mut whole = String::new();
    let mut is_good = true;
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            whole.push_str(before);
            whole.push_str("${");
            rest = after;
            continue;
        }
        whole.push_str(before);
        let Some((variable, after)) = after.split_once('}') else {
            // The text may be a secret.
            return value.reject(
                "`${` without its `}`",
                "write `${NAME}`, or `$${` for a literal `${`",
            );
        };
        match lookup(value, variable) {
            Some(found) => whole.push_str(&found),
            None => is_good = false,
        }
        rest = after;
    }
    whole.push_str(rest);
    is_good.then_some(Cow::Owned(whole))
}

fn lookup(value: &Value<'_>, variable: &str) -> Option<String> {
    let (name, default) = match variable.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (variable, None),
    };
    let is_name = !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name {
        return value.reject(
            format!("{} is no name of an environment variable", quoted(name)),
            "write `${NAME}` or `${NAME:-default}`, or `$${` for a literal `${`",
        );
    }
    // As in a shell, `:-` also stands in for a variable that is set to nothing.
    let found = (value.reader.environment)(name)
        .filter(|found| default.is_none() || !found.is_empty())
        .or_else(|| default.map(str::to_owned));
    if found.is_none() {
        let fault = Diagnostic::error(format!("the environment variable `{name}` is not set"))
            .at(place(value, &format!("${{{variable}}}")))
            .help(format!("set it, or write `${{{name}:-default}}`"));
        value.reader.push(fault);
    }
    found
}

/// The variable's own place, where it is written in the string as it reads.
fn place(value: &Value<'_>, written: &str) -> std::ops::Range<usize> {
    let span = value.span();
    match value.reader.text[span.clone()].find(written) {
        Some(at) => span.start + at..span.start + at + written.len(),
        None => span,
    }
}
