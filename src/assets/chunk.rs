//! What a script or style sheet of a build names: the chunks that it loads later, fonts, images.
//!
//! A page names only the first of its scripts. The rest of a build is named by those, as
//! `import("./About-DOrZadgW.js")` or `url(/assets/font-BmG3xY2a.woff2)`.

use crate::assets::hashed::is_hashed;

/// Longest name that is taken for one.
const LONGEST: usize = 256;

/// Whether a file is one that names others.
pub(super) fn names_others(file: &str) -> bool {
    [".js", ".mjs", ".css"]
        .iter()
        .any(|extension| file.ends_with(extension))
}

/// The hashed files that `code` names, without their folders: code is relative to itself, to its
/// page, or to a base that is known only where it runs. A name that is put together where it runs
/// is not seen.
pub(super) fn hashed_names(code: &[u8]) -> impl Iterator<Item = &str> {
    let ends = |byte: &u8| matches!(byte, b'"' | b'\'' | b'`' | b'(' | b')');
    code.split(ends).filter_map(|token| {
        let is_path = token.len() <= LONGEST
            && !token.starts_with(b"//")
            && token.iter().all(|byte| is_of_path(*byte));
        let path = std::str::from_utf8(token).ok().filter(|_| is_path)?;
        let name = base(path);
        is_hashed(name).then_some(name)
    })
}

/// The last segment of a path.
pub(super) fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// No colon: what has a scheme is elsewhere.
fn is_of_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/' | b'~' | b'@')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(code: &str) -> Vec<&str> {
        hashed_names(code.as_bytes()).collect()
    }

    #[test]
    fn finds_what_bundlers_write() {
        let vite = r#"m.f=["assets/About-DOrZadgW.js","assets/About-CgXfVyGo.css"];import(`./Live-BzoayW7S.js`)"#;
        assert_eq!(
            names(vite),
            [
                "About-DOrZadgW.js",
                "About-CgXfVyGo.css",
                "Live-BzoayW7S.js"
            ]
        );
        assert_eq!(
            names("@font-face{src:url(/assets/inter-BmG3xY2a.woff2)format('woff2')}"),
            ["inter-BmG3xY2a.woff2"]
        );
    }

    #[test]
    fn leaves_out_what_is_elsewhere_or_no_file_of_a_build() {
        for code in [
            "'https://cdn.example/lib-DOrZadgW.js'",
            "'//cdn.example/lib-DOrZadgW.js'",
            "'/api/items'",
            "'./plain.js'",
            "'some text about a-DOrZadgW.js'",
            "//# sourceMappingURL=index-DOrZadgW.js.map",
        ] {
            assert!(names(code).is_empty(), "{code}");
        }
    }
}
