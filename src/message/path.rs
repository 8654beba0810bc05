//! Request paths: matched as they are written, decoded once and only to find a file.
//!
//! What comes out of [`decode`] cannot leave the folder that it is looked up in.

use std::borrow::Cow;

use crate::message::error::ErrorKind;

/// Decodes what follows a route's path into the name of a file relative to a root.
///
/// Percent escapes are decoded once. The result is relative, is valid UTF-8, and has no `..`
/// segment, no backslash and no control character. A path without escapes is borrowed.
///
/// # Errors
/// [`ErrorKind::BadRequest`] for a path that no honest client sends. [`ErrorKind::NoFile`] for one
/// that is well-formed but cannot name a file: an escaped slash would name a file that the router
/// did not see, and so would a leading slash.
pub fn decode(path: &str) -> Result<Cow<'_, str>, ErrorKind> {
    let (decoded, slashes) = if path.contains('%') {
        let (decoded, slashes) = unescape(path)?;
        (Cow::Owned(decoded), slashes)
    } else {
        (Cow::Borrowed(path), 0)
    };
    if decoded
        .bytes()
        .any(|byte| byte.is_ascii_control() || byte == b'\\')
    {
        return Err(ErrorKind::BadRequest(
            "the path has a control character or a backslash",
        ));
    }
    if decoded.split('/').any(|segment| segment == "..") {
        return Err(ErrorKind::BadRequest("the path has a .. segment"));
    }
    if slashes > 0 || decoded.starts_with('/') {
        return Err(ErrorKind::NoFile);
    }
    Ok(decoded)
}

/// The decoded path, and how many slashes were written as escapes.
fn unescape(path: &str) -> Result<(String, usize), ErrorKind> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut slashes = 0;
    let mut rest = path.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let escape = tail.first_chunk().and_then(|digits| hex(*digits));
        let byte = escape.ok_or(ErrorKind::BadRequest("the path has a broken escape"))?;
        slashes += usize::from(byte == b'/');
        decoded.push(byte);
        rest = &tail[2..];
    }
    let decoded = String::from_utf8(decoded)
        .map_err(|_| ErrorKind::BadRequest("the path is not valid UTF-8"))?;
    Ok((decoded, slashes))
}

fn hex([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decodes_once() {
        assert_eq!(decode("a%20b/%C3%A9.js").unwrap(), "a b/é.js");
        assert_eq!(decode("%252e%252e/x").unwrap(), "%2e%2e/x");
    }

    #[test]
    fn borrows_a_path_without_escapes() {
        assert!(matches!(decode("assets/app.js"), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn refuses_traversal_in_every_spelling() {
        for path in [
            "..",
            "../x",
            "a/../b",
            "a/..",
            "%2e%2e/x",
            ".%2E/x",
            "%2e./x",
            "..%2fx",
            "..%5cx",
            "a\\..\\b",
            "%00",
            "a%00.js",
            "a%0a",
            "%7f",
            "%ff",
            "%c0%ae%c0%ae/x",
            "%",
            "%2",
            "%zz",
            "%+1",
        ] {
            let fault = decode(path);
            assert!(matches!(fault, Err(ErrorKind::BadRequest(_))), "{path:?}");
        }
    }

    #[test]
    fn finds_no_file_behind_a_slash_that_the_router_did_not_see() {
        assert_eq!(decode("a%2Fb"), Err(ErrorKind::NoFile));
        assert_eq!(decode("/etc/passwd"), Err(ErrorKind::NoFile));
        assert_eq!(decode("%2fetc/passwd"), Err(ErrorKind::NoFile));
    }

    proptest! {
        #[test]
        fn never_escapes(path in "([a-z./\\\\%]|%2[eEfF]|%5[cC]|%25|%00|\\PC){0,24}") {
            if let Ok(name) = decode(&path) {
                let inside = Path::new(&*name)
                    .components()
                    .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
                prop_assert!(inside, "{name:?}");
                prop_assert!(!name.contains(['\\', '\0']));
            }
        }
    }
}
