//! Request paths as the configuration writes them.

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

/// What is wrong with a path that requests shall be matched with or sent to, and what to write; `Ok` when
/// nothing is (RFC 3986 section 3.3). Paths are compared byte for byte, so they are written as sent.
pub(crate) fn check(path: &str) -> Result<(), (&'static str, String)> {
    if !path.starts_with('/') {
        let help = format!("write `\"/{}\"`", path.trim_start());
        return Err(("does not start with `/`", help));
    }
    if path.contains(['?', '#']) {
        let end = path.find(['?', '#']).unwrap_or(path.len());
        let help = format!("write `\"{}\"`; only paths are compared", &path[..end]);
        return Err(("has a query or a fragment", help));
    }
    if let Some(bad) = path
        .chars()
        .find(|it| !it.is_ascii_graphic() || "\"<>\\^`{|}".contains(*it))
    {
        let help = format!("write it as it is sent: `{}`", encode(bad));
        return Err(("has a character that no request path has", help));
    }
    if !path.split('%').skip(1).all(starts_with_two_digits) {
        let help = String::from("write two hex digits after each `%`, and `%25` for `%` itself");
        return Err(("has a `%` without two hex digits", help));
    }
    if path
        .split('/')
        .any(|segment| segment == ".." || segment == ".")
    {
        let help = String::from("write the path without `.` and `..`, as browsers send it");
        return Err(("has a `.` or `..` segment", help));
    }
    Ok(())
}

fn starts_with_two_digits(text: &str) -> bool {
    let digits = text.bytes().take(2).filter(u8::is_ascii_hexdigit);
    digits.count() == 2
}

fn encode(character: char) -> String {
    let mut buffer = [0; 4];
    let bytes = character.encode_utf8(&mut buffer).as_bytes();
    percent_encode(bytes, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_paths_as_they_are_sent() {
        for good in [
            "/",
            "/api/",
            "/caf%C3%A9",
            "/a;b=c/@me",
            "/.well-known/x",
            "//x",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "", "api", "/a?b", "/a#b", "/a b", "/é", "/%", "/%zz", "/%é", "/a/../b", "/.",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check("/é").unwrap_err().1.contains("%C3%A9"));
    }
}
