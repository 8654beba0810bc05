//! What an HTML file asks of a browser: inline scripts and styles, by hash, and files, by name.

use std::{borrow::Cow, collections::BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    assets::html::{Tag, Tags},
    config::headers::{Attribute, Inline},
};

/// Hashes that still fit into a header that every client takes.
const MAX_HASHES: usize = 100;
/// Letters of a name in a message.
const MAX_NAME: usize = 40;

/// What an HTML file asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// Hashes of inline scripts and styles, once each, in order.
    pub(super) inline: Inline,
    /// First event handler and first style that is an attribute, as `<body onload>`.
    handler: Option<String>,
    style: Option<String>,
    /// Scripts, styles and icons on the same host, as written, without query and fragment.
    pub(super) references: BTreeSet<String>,
}

impl Page {
    /// Reads `html`.
    pub(super) fn read(html: &[u8]) -> Self {
        let mut page = Self::default();
        for tag in Tags::of(html) {
            page.note_attributes(&tag);
            if tag.is("style") && is_css(&tag) {
                page.add_hash(tag.text, |inline| &mut inline.styles);
            }
            let reference = match &tag {
                tag if tag.is("script") => tag.attribute("src"),
                tag if tag.is("link") => tag.attribute("href"),
                _ => continue,
            };
            page.references.extend(reference.and_then(local));
            if tag.is("script") && reference.is_none() && is_run(&tag) {
                page.add_hash(tag.text, |inline| &mut inline.scripts);
            }
        }
        page
    }

    /// The first such attribute, with its element.
    pub(super) fn attribute(&self, kind: Attribute) -> Option<&str> {
        match kind {
            Attribute::Handler => self.handler.as_deref(),
            Attribute::Style => self.style.as_deref(),
        }
    }

    fn note_attributes(&mut self, tag: &Tag<'_>) {
        for (name, _) in tag.attributes.iter().filter(|(_, it)| !it.is_empty()) {
            let kind = match name.split_at_checked(2) {
                _ if name.eq_ignore_ascii_case(b"style") => &mut self.style,
                Some((on, event)) if on.eq_ignore_ascii_case(b"on") && is_word(event) => {
                    &mut self.handler
                }
                _ => continue,
            };
            kind.get_or_insert_with(|| format!("<{} {}>", shown(tag.name), shown(name)));
        }
    }

    fn add_hash(&mut self, text: &[u8], list: impl Fn(&mut Inline) -> &mut Vec<String>) {
        let hash = STANDARD.encode(digest(&SHA256, &normalize_lines(text)));
        let hash = format!("sha256-{hash}");
        let is_full = self.inline.scripts.len() + self.inline.styles.len() >= MAX_HASHES;
        let hashes = list(&mut self.inline);
        if !is_full && !hashes.contains(&hash) {
            hashes.push(hash);
        }
    }
}

fn is_word(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_alphabetic)
}

/// A name for the log, which a file chose.
fn shown(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(&name[..name.len().min(MAX_NAME)]);
    name.to_lowercase().escape_debug().to_string()
}

/// Whether a browser applies a style of this type (HTML standard section 4.2.6).
fn is_css(tag: &Tag<'_>) -> bool {
    let kind = tag.attribute("type").unwrap_or_default();
    kind.is_empty() || kind.eq_ignore_ascii_case(b"text/css")
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
        Page::read(html.as_bytes()).inline.scripts
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
    fn hashes_each_inline_style_once() {
        let html = "<style>alert(1)</style><style type='text/css'>alert(1)</style>\
                    <style type='text/less'>x</style><script>alert(1)</script>";
        let inline = Page::read(html.as_bytes()).inline;
        assert_eq!(inline.styles, [ALERT]);
        assert_eq!(inline.scripts, [ALERT]);
    }

    #[test]
    fn has_no_more_hashes_than_a_header_can_carry() {
        let html = |n| format!("<script>{n}</script><style>{n}</style>");
        let html = (0..MAX_HASHES).map(html).collect::<Vec<_>>().concat();
        let inline = Page::read(html.as_bytes()).inline;
        assert_eq!(inline.scripts.len() + inline.styles.len(), MAX_HASHES);
    }

    #[test]
    fn notes_the_first_attribute_of_each_kind_that_a_policy_may_forbid() {
        let html = "<p online onx-y=1 on=1 style><!-- <a onclick=1> --><BODY OnLoad='x()' onclick=2 \
                    style=color:red><i style=x>";
        let page = Page::read(html.as_bytes());
        assert_eq!(page.attribute(Attribute::Handler), Some("<body onload>"));
        assert_eq!(page.attribute(Attribute::Style), Some("<body style>"));
        assert_eq!(Page::read(b"<p>").attribute(Attribute::Style), None);
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
