//! What an HTML file asks of a browser: inline scripts, by hash, and files, by name.

use std::{borrow::Cow, collections::BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::assets::html::{Tag, Tags};

/// Inline scripts whose hashes still fit into a header that every client takes.
const MAX_SCRIPTS: usize = 100;

/// What an HTML file asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// `sha256-...` of each inline script, once each, in order.
    pub(super) scripts: Vec<String>,
    /// Scripts, styles and icons on the same host, as written, without query and fragment.
    pub(super) references: BTreeSet<String>,
}

impl Page {
    /// Reads `html`.
    pub(super) fn read(html: &[u8]) -> Self {
        let mut page = Self::default();
        for tag in Tags::of(html) {
            let reference = match &tag {
                tag if tag.is("script") => tag.attribute("src"),
                tag if tag.is("link") => tag.attribute("href"),
                _ => continue,
            };
            page.references.extend(reference.and_then(local));
            if tag.is("script") && reference.is_none() && is_run(&tag) {
                page.add_script(tag.text);
            }
        }
        page
    }

    fn add_script(&mut self, text: &[u8]) {
        let hash = STANDARD.encode(digest(&SHA256, &normalize_lines(text)));
        let hash = format!("sha256-{hash}");
        if self.scripts.len() < MAX_SCRIPTS && !self.scripts.contains(&hash) {
            self.scripts.push(hash);
        }
    }
}

/// Whether a browser runs or applies a script of this type; data blocks need no permission.
fn is_run(tag: &Tag<'_>) -> bool {
    let Some(kind) = tag.attribute("type").map(<[u8]>::trim_ascii) else {
        return true;
    };
    let kind = kind.to_ascii_lowercase();
    match kind
        .strip_prefix(b"text/")
        .or_else(|| kind.strip_prefix(b"application/"))
    {
        // The JavaScript types of the MIME standard, section 4.6; `javascript1.5` and its like
        // among them.
        Some(kind) => {
            let kind = kind.strip_prefix(b"x-").unwrap_or(kind);
            kind.starts_with(b"javascript")
                || kind.starts_with(b"jscript")
                || matches!(kind, b"ecmascript" | b"livescript")
        }
        None => matches!(
            &kind[..],
            b"" | b"module" | b"importmap" | b"speculationrules"
        ),
    }
}

/// A browser hashes what its parser saw, and that has only line feeds (HTML standard section
/// 13.2.3.5).
fn normalize_lines(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\r', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut lines = Vec::with_capacity(text.len());
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'\r' if text.get(at + 1) == Some(&b'\n') => {}
            b'\r' => lines.push(b'\n'),
            byte => lines.push(*byte),
        }
    }
    Cow::Owned(lines)
}

/// The path of a reference to the same host.
fn local(reference: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(reference).ok()?.trim();
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let first = path.split('/').next().unwrap_or_default();
    (!path.is_empty() && !path.starts_with("//") && !first.contains(':')).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(html: &str) -> Vec<String> {
        Page::read(html.as_bytes()).scripts
    }

    /// `printf %s 'alert(1)' | openssl dgst -sha256 -binary | base64`
    const ALERT: &str = "sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=";

    #[test]
    fn hashes_each_inline_script_once() {
        assert_eq!(
            hashes("<script>alert(1)</script><p><script type=\"module\">alert(1)</script>"),
            [ALERT]
        );
    }

    #[test]
    fn hashes_every_type_that_a_browser_applies() {
        for kind in [
            "",
            "module",
            "importmap",
            "text/javascript",
            "Text/JavaScript",
            "application/x-javascript",
            "speculationrules",
        ] {
            assert_eq!(
                hashes(&format!("<script type='{kind}'>alert(1)</script>")),
                [ALERT],
                "{kind}"
            );
        }
        for kind in [
            "application/json",
            "application/ld+json",
            "text/x-template",
            "text/babel",
        ] {
            assert!(
                hashes(&format!("<script type='{kind}'>alert(1)</script>")).is_empty(),
                "{kind}"
            );
        }
    }

    #[test]
    fn leaves_out_scripts_with_a_source() {
        assert!(
            hashes("<script src=\"/a.js\">alert(1)</script><script src>alert(1)</script>")
                .is_empty()
        );
    }

    #[test]
    fn hashes_what_the_parser_of_the_browser_sees() {
        assert_eq!(
            hashes("<script>\r\na\rb\r\n</script>"),
            hashes("<script>\na\nb\n</script>")
        );
    }

    #[test]
    fn notes_references_to_its_own_host() {
        let html = "<script src=/assets/a.js?v=1></script><link rel=icon href=./b.svg>\
                    <link href=//cdn.example/c.css>\
                    <link href=https://cdn.example/d.css><link href=data:,x><a href=/e>";
        let references: Vec<_> = Page::read(html.as_bytes()).references.into_iter().collect();
        assert_eq!(references, ["./b.svg", "/assets/a.js"]);
    }
}
