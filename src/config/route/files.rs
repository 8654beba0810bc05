//! `route.files`, the keys that say what a built client is told and how its paths are looked up.

use toml::de::DeValue;

use crate::config::{
    diagnostic::Diagnostic,
    reader::{Read, Value, quoted, table::Table},
    value::Located,
};

/// Words that stand in names of what nobody may know.
const SECRET: [&str; 5] = ["SECRET", "PASSWORD", "TOKEN", "PRIVATE", "CREDENTIAL"];

/// The stand-in for the path in `try`.
const PATH: &str = "{path}";
/// What `try` looks like.
const EXAMPLE: &str = "[\"{path}\", \"{path}.html\", \"{path}/index.html\"]";

/// `files.env`: names with their values, in the order of the list.
pub(super) fn read_env(table: &Table<'_>) -> Vec<(String, String)> {
    let list: Option<Vec<Located<Variable>>> = table.list("env", "\"PUBLIC_API_URL\"");
    let mut values: Vec<(String, String)> = Vec::new();
    for Located { value, span } in list.unwrap_or_default() {
        if values.iter().any(|(known, _)| *known == value.name) {
            let fault = Diagnostic::error(format!("`{}` is named twice", value.name));
            table.reader.push(fault.at(span).help("keep one of them"));
        }
        values.push((value.name, value.text));
    }
    values
}

/// `files.try`: what is appended to a path, in the order in which files are looked for; `None` when
/// the key is absent or faulty.
pub(super) fn read_suffixes(table: &Table<'_>) -> Option<Vec<String>> {
    let value = table.value("try")?;
    let items = value.items("an array", EXAMPLE)?;
    // All are read, so that the fault of each is said.
    let read: Vec<_> = items.iter().map(Suffix::read).collect();
    let suffixes: Vec<_> = read
        .into_iter()
        .map(|suffix| Some(suffix?.0))
        .collect::<Option<_>>()?;
    if suffixes.iter().any(String::is_empty) {
        return Some(suffixes);
    }
    value.reject(
        "without `{path}` no file is found by its own name",
        format!("write it like `try = {EXAMPLE}`"),
    )
}

/// One element of `env`.
struct Variable {
    name: String,
    text: String,
}

impl Read for Variable {
    fn read(value: &Value<'_>) -> Option<Self> {
        // Not with `${NAME}` replaced: a value in the place of a name must not be in a fault.
        let DeValue::String(text) = value.node.get_ref() else {
            return value.wrong_type("a variable's name", "\"PUBLIC_API_URL\"");
        };
        if text.contains("${") {
            return value.reject(
                "a variable is named here, not its value",
                "write `\"NAME\"` or `\"NAME:-default\"`, without `${` and `}`",
            );
        }
        let (name, default) = match text.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&**text, None),
        };
        if !is_name(name) {
            return value.reject(
                format!("{} is no name of an environment variable", quoted(name)),
                "write `\"PUBLIC_API_URL\"` or `\"PUBLIC_API_URL:-default\"`",
            );
        }
        // As in `${NAME:-default}`, the default also stands in for a variable that is set to nothing.
        let found = (value.reader.environment)(name)
            .filter(|found| default.is_none() || !found.is_empty())
            .or_else(|| default.map(str::to_owned));
        let Some(found) = found else {
            return value.reject(
                format!("the environment variable `{name}` is not set"),
                format!("set it, or write `\"{name}:-default\"`"),
            );
        };
        if looks_secret(name) {
            value.warn(
                format!("`{name}` looks like a secret, and everybody can read what a page is told"),
                "take it out, or give what may be public a name that says so",
            );
        }
        Some(Self {
            name: name.to_owned(),
            text: found,
        })
    }
}

fn is_name(name: &str) -> bool {
    let mut letters = name.bytes();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && letters.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    // A public key is public, and so are many API keys that browsers hold.
    SECRET.iter().any(|word| name.contains(word))
        || name.contains("KEY") && !name.contains("PUBLIC")
}

/// One element of `try`.
struct Suffix(String);

impl Read for Suffix {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a path", "\"{path}.html\"")?;
        let Some(suffix) = text.strip_prefix(PATH) else {
            return value.reject(
                format!("{} does not start with `{PATH}`", quoted(&text)),
                "write it like `\"{path}.html\"`; `fallback` names the page for what is not there",
            );
        };
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/' | b'-' | b'_');
        let mut names = suffix.split('/').skip(1);
        if suffix.bytes().all(is_plain)
            && names.all(|name| !name.is_empty() && !name.starts_with('.'))
        {
            return Some(Self(suffix.to_owned()));
        }
        value.reject(
            format!("{} leads to no file", quoted(&text)),
            "append the end of a file's name, like `.html` or `/index.html`",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_secret_are_told_from_public_ones() {
        for name in [
            "DB_PASSWORD",
            "api_token",
            "PUBLIC_SECRET",
            "STRIPE_KEY",
            "PRIVATE_KEY",
        ] {
            assert!(looks_secret(name), "{name}");
        }
        for name in ["PUBLIC_API_URL", "PUBLIC_STRIPE_KEY", "VITE_STAGE", "_"] {
            assert!(!looks_secret(name), "{name}");
        }
    }

    #[test]
    fn names_are_those_of_a_shell() {
        assert!(is_name("_a1") && is_name("PUBLIC_X"));
        assert!(!is_name("") && !is_name("1A") && !is_name("A-B") && !is_name("Ä"));
    }
}
