//! Variables of the environment, told to pages and scripts when a release is read, so that one build
//! serves every stage.
//!
//! A page gets one script that sets `window.__ENV__`; placeholders like `%PUBLIC_API_URL%` in pages
//! and scripts give way to the value. What was changed has its own validator, and its policy is that
//! of the bytes that are sent.

use std::{borrow::Cow, collections::HashMap, fmt::Write as _};

use bytes::Bytes;
use memchr::memchr;

use crate::assets::{content::Content, html::Tags, mime};

/// Names that are told, each with its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment(Vec<(String, String)>);

/// How a value is written where it stands.
type Escape = fn(&str) -> String;

impl Environment {
    /// Of an allow-list; nothing else of the process is ever told.
    pub fn new(values: Vec<(String, String)>) -> Self {
        Self(values)
    }

    /// Nothing is told.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The files that are not sent as they are, by name. Says what cannot be told, and what will not
    /// work any more.
    pub(super) fn fill_all<'a>(
        &self,
        files: &'a HashMap<String, Content>,
    ) -> HashMap<&'a str, Content> {
        let mut filled = HashMap::new();
        if self.0.is_empty() {
            return filled;
        }
        for (name, content) in files {
            if let Some(changed) = self.fill(name, content) {
                filled.insert(name.as_str(), changed);
            }
        }
        if !filled.is_empty() {
            warn_of_integrity(files, &filled);
        }
        filled
    }

    /// A file with its values; `None` when it is sent as it is.
    pub(super) fn fill(&self, name: &str, content: &Content) -> Option<Content> {
        if self.0.is_empty() {
            return None;
        }
        let mime = mime::of(name);
        let (is_html, is_script) = (mime::is_html(&mime), mime::is_script(&mime));
        if !is_html && !is_script {
            return None;
        }
        let Some(bytes) = content.bytes() else {
            tracing::warn!(file = %name, "files.env is not told to a file that is too large for memory");
            return None;
        };
        let changed = if is_html {
            self.page(bytes)
        } else {
            self.replace(bytes, escape_script)
        };
        match changed {
            Cow::Owned(changed) => Some(content.filled(Bytes::from(changed))),
            Cow::Borrowed(_) => None,
        }
    }

    /// A page with its script and its values.
    fn page<'a>(&self, html: &'a [u8]) -> Cow<'a, [u8]> {
        let mut page = Vec::with_capacity(html.len() + 256);
        let mut is_told = false;
        let mut done = 0;
        let mut tags = Tags::of(html);
        while let Some(tag) = tags.next() {
            let end = html.len() - tags.left();
            let (is_script, is_head) = (tag.is("script"), tag.is("head"));
            if !is_told && (is_script || is_head) {
                let place = if is_head { end } else { html.len() - tag.tail };
                page.extend_from_slice(&self.replace(&html[done..place], escape_html));
                page.extend_from_slice(self.script().as_bytes());
                (is_told, done) = (true, place);
            }
            // Everything else is read with its references decoded, or not at all.
            if is_script || tag.is("style") {
                let text = end - tag.text.len();
                page.extend_from_slice(&self.replace(&html[done..text], escape_html));
                if is_script {
                    page.extend_from_slice(&self.replace(tag.text, escape_script));
                } else {
                    page.extend_from_slice(tag.text);
                }
                done = end;
            }
        }
        page.extend_from_slice(&self.replace(&html[done..], escape_html));
        if page == html {
            Cow::Borrowed(html)
        } else {
            Cow::Owned(page)
        }
    }

    /// `text` with its placeholders replaced, borrowed when it has none.
    fn replace<'a>(&self, text: &'a [u8], escape: Escape) -> Cow<'a, [u8]> {
        let mut whole = Vec::new();
        let (mut done, mut at) = (0, 0);
        while let Some(step) = memchr(b'%', &text[at..]) {
            let start = at + step;
            at = start + 1;
            let Some((name, value)) = self.named_at(&text[at..]) else {
                continue;
            };
            whole.extend_from_slice(&text[done..start]);
            whole.extend_from_slice(escape(value).as_bytes());
            at += name.len() + 1;
            done = at;
        }
        if done == 0 {
            return Cow::Borrowed(text);
        }
        whole.extend_from_slice(&text[done..]);
        Cow::Owned(whole)
    }

    /// The variable whose name stands here, with the sign that ends a placeholder.
    fn named_at(&self, text: &[u8]) -> Option<(&str, &str)> {
        let is_here = |name: &str| {
            let rest = text.strip_prefix(name.as_bytes());
            rest.is_some_and(|rest| rest.first() == Some(&b'%'))
        };
        let known = self.0.iter().find(|(name, _)| is_here(name))?;
        Some((&known.0, &known.1))
    }

    fn script(&self) -> String {
        let mut script = String::from("<script>window.__ENV__=Object.freeze({");
        for (place, (name, value)) in self.0.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            let value = escape_script(value);
            // Writing to a string cannot fail.
            let _ = write!(script, "{comma}\"{name}\":\"{value}\"");
        }
        script.push_str("})</script>");
        script
    }
}

/// For text and attributes, quoted or not.
fn escape_html(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for letter in value.chars() {
        match letter {
            '&' | '<' | '>' | '"' | '\'' | '`' | '=' => {
                let _ = write!(escaped, "&#{};", u32::from(letter));
            }
            _ if letter.is_whitespace() => {
                let _ = write!(escaped, "&#{};", u32::from(letter));
            }
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// For strings and templates of JavaScript, and strings of JSON alike; it closes no script of a page
/// either.
fn escape_script(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for letter in value.chars() {
        let is_sign = matches!(
            letter,
            '\\' | '"' | '\'' | '`' | '$' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}'
        );
        if is_sign || letter.is_ascii_control() {
            let _ = write!(escaped, "\\u{:04x}", u32::from(letter));
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

/// A browser refuses a file whose bytes are not those of the page's `integrity`.
fn warn_of_integrity(files: &HashMap<String, Content>, filled: &HashMap<&str, Content>) {
    for (page, content) in files {
        let html = content.bytes().filter(|_| mime::is_html(&mime::of(page)));
        for tag in html.into_iter().flat_map(|html| Tags::of(html)) {
            let reference = tag.attribute("src").or_else(|| tag.attribute("href"));
            let reference = reference.filter(|_| tag.attribute("integrity").is_some());
            if let Some(file) = reference.and_then(|reference| named_by(reference, filled)) {
                tracing::warn!(
                    %page,
                    %file,
                    "files.env changes a file whose integrity the page demands, so browsers refuse it"
                );
            }
        }
    }
}

/// The file that a reference leads to. The route's prefix is not known here, so its path may start
/// at any segment.
fn named_by<'a>(reference: &[u8], filled: &HashMap<&'a str, Content>) -> Option<&'a str> {
    let text = std::str::from_utf8(reference).ok()?;
    let mut path = text.split(['?', '#']).next()?;
    loop {
        if let Some((name, _)) = filled.get_key_value(path) {
            return Some(name);
        }
        path = path.split_once('/')?.1;
    }
}

#[cfg(test)]
mod tests;
