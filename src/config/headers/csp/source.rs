//! Sources of a content security policy, with the slips that people make.

use crate::config::reader::{Read, Value, quoted, suggest};

/// A source expression.
pub(super) struct Source(pub(super) String);

const KEYWORDS: [&str; 9] = [
    "self",
    "none",
    "unsafe-inline",
    "unsafe-eval",
    "unsafe-hashes",
    "strict-dynamic",
    "wasm-unsafe-eval",
    "report-sample",
    "inline-speculation-rules",
];

impl Read for Source {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a source", "\"https://cdn.example\"")?;
        match check_source(&text) {
            Ok(()) => Some(Self(text.into_owned())),
            Err(help) => value.reject(format!("{} is no source", quoted(&text)), help),
        }
    }
}

/// Nothing, or what to write instead.
fn check_source(text: &str) -> Result<(), String> {
    if text.split_whitespace().nth(1).is_some() {
        let parts: Vec<_> = text
            .split_whitespace()
            .map(|part| format!("\"{part}\""))
            .collect();
        return Err(format!(
            "write each source as a string of its own: `{}`",
            parts.join(", ")
        ));
    }
    let bare = text.trim_matches('\'');
    let lower = bare.to_ascii_lowercase();
    let is_hash = ["sha256-", "sha384-", "sha512-"]
        .iter()
        .any(|it| lower.starts_with(it));
    if lower.starts_with("nonce-") {
        return Err(String::from(
            "a nonce that stays the same protects nothing; write `nonce = true` for one per request, or a hash",
        ));
    }
    let is_quoted = text.len() > 2 && text.starts_with('\'') && text.ends_with('\'');
    let has_quotes = text.contains('\'');
    if KEYWORDS.contains(&&*lower) || is_hash {
        if is_quoted && text.len() == bare.len() + 2 && (is_hash || lower == bare) {
            return check_characters(text);
        }
        let meant = if is_hash { bare } else { &lower };
        return Err(format!("write it in single quotes: `\"'{meant}'\"`"));
    }
    if has_quotes {
        return Err(match suggest::nearest(&lower, KEYWORDS) {
            Some(word) => format!("did you mean `\"'{word}'\"`?"),
            None => String::from("only keywords like `'self'` and hashes stand in single quotes"),
        });
    }
    check_characters(text)
}

fn check_characters(text: &str) -> Result<(), String> {
    let is_good = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b';' | b',' | b'"');
    if !text.is_empty() && text.bytes().all(is_good) {
        return Ok(());
    }
    Err(String::from(
        "write a host like `\"https://cdn.example\"`, a scheme like `\"data:\"`, or a keyword like `\"'self'\"`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_keywords_from_hosts() {
        for good in [
            "'self'",
            "data:",
            "*",
            "https://a.example",
            "wss://*.a.example:8443",
            "'sha256-AbC='",
        ] {
            assert_eq!(check_source(good), Ok(()), "{good}");
        }
        for (bad, help) in [
            ("self", "\"'self'\""),
            ("'self", "\"'self'\""),
            ("'SELF'", "\"'self'\""),
            ("sha256-AbC=", "\"'sha256-AbC='\""),
            ("'slef'", "\"'self'\""),
            ("'nonce-abc'", "hash"),
            ("https://a https://b", "\"https://a\", \"https://b\""),
            ("https://a;", "host"),
            ("", "host"),
            ("é", "host"),
        ] {
            let given = check_source(bad).unwrap_err();
            assert!(given.contains(help), "{bad}: {given}");
        }
    }
}
