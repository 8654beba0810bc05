//! The start tags of an HTML file, with the raw text that follows some of them.
//!
//! A tokenizer in small, by the rules that browsers follow (HTML standard section 13.2.5):
//! comments, quoted attributes, elements whose content is text. It never fails; what is malformed
//! ends early.

use memchr::{memchr, memmem};

/// A start tag.
#[derive(Debug)]
pub(super) struct Tag<'a> {
    /// As written; compare without case.
    pub(super) name: &'a [u8],
    /// Names and values as written, without quotes.
    pub(super) attributes: Vec<(&'a [u8], &'a [u8])>,
    /// Content of an element whose content is text, as written; else empty.
    pub(super) text: &'a [u8],
    /// Bytes from its `<` to the end of the file.
    pub(super) tail: usize,
}

/// Iterates over the start tags of a file.
#[derive(Debug)]
pub(super) struct Tags<'a> {
    rest: &'a [u8],
}

/// Elements whose content is text to a browser that runs scripts.
const RAW: [&str; 9] = [
    "script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes", "noscript",
];

impl<'a> Tags<'a> {
    /// Of `html`, in ASCII or any superset of it.
    pub(super) fn of(html: &'a [u8]) -> Self {
        Self { rest: html }
    }

    /// Bytes behind the tag that came last, and behind its text.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Attributes up to the end of the tag.
    fn attributes(&mut self) -> Vec<(&'a [u8], &'a [u8])> {
        let mut attributes = Vec::new();
        loop {
            self.take_while(|byte| is_space(byte) || byte == b'/');
            match self.rest.first() {
                None => return attributes,
                Some(b'>') => {
                    self.rest = &self.rest[1..];
                    return attributes;
                }
                Some(_) => attributes.push(self.attribute()),
            }
        }
    }

    fn attribute(&mut self) -> (&'a [u8], &'a [u8]) {
        let start = self.rest;
        // A leading `=` is part of the name.
        self.rest = &self.rest[1..];
        self.take_while(|byte| !is_space(byte) && !matches!(byte, b'/' | b'>' | b'='));
        let name = &start[..start.len() - self.rest.len()];
        self.take_while(is_space);
        let Some((b'=', rest)) = self.rest.split_first() else {
            return (name, b"");
        };
        self.rest = rest;
        self.take_while(is_space);
        let value = match self.rest.split_first() {
            Some((quote @ (b'"' | b'\''), rest)) => {
                let end = memchr(*quote, rest).unwrap_or(rest.len());
                self.rest = rest.get(end + 1..).unwrap_or_default();
                &rest[..end]
            }
            _ => self.take_while(|byte| !is_space(byte) && byte != b'>'),
        };
        (name, value)
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !wanted(*byte));
        let (taken, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// Skips a comment, a doctype, an end tag; `rest` starts behind the `<`.
    fn skip_other(&mut self) {
        if let Some(comment) = self.rest.strip_prefix(b"!--") {
            self.rest = &comment[comment_end(comment)..];
        } else if self.rest.first() == Some(&b'/')
            && self.rest.get(1).is_some_and(u8::is_ascii_alphabetic)
        {
            self.rest = &self.rest[1..];
            self.attributes();
        } else if matches!(self.rest.first(), Some(b'!' | b'?' | b'/')) {
            let end = memchr(b'>', self.rest).map_or(self.rest.len(), |at| at + 1);
            self.rest = &self.rest[end..];
        }
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        loop {
            let open = memchr(b'<', self.rest)?;
            let tail = self.rest.len() - open;
            self.rest = &self.rest[open + 1..];
            if !self.rest.first()?.is_ascii_alphabetic() {
                self.skip_other();
                continue;
            }
            let name = self.take_while(|byte| !is_space(byte) && !matches!(byte, b'/' | b'>'));
            let attributes = self.attributes();
            let raw = RAW
                .iter()
                .find(|raw| name.eq_ignore_ascii_case(raw.as_bytes()));
            let end = raw.map_or(0, |raw| text_end(self.rest, raw));
            let (text, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Some(Tag {
                name,
                attributes,
                text,
                tail,
            });
        }
    }
}

impl Tag<'_> {
    /// Whether it is a `name`.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// Value of an attribute; the first counts.
    pub(super) fn attribute(&self, name: &str) -> Option<&[u8]> {
        let mut attributes = self.attributes.iter();
        attributes
            .find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| *value)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

/// Where a comment ends, counted from behind its `<!--`.
fn comment_end(comment: &[u8]) -> usize {
    if comment.starts_with(b">") {
        return 1;
    }
    if comment.starts_with(b"->") {
        return 2;
    }
    let ends =
        [&b"-->"[..], b"--!>"].map(|end| memmem::find(comment, end).map(|at| at + end.len()));
    ends.into_iter().flatten().min().unwrap_or(comment.len())
}

/// Where the text of a `name` element ends.
///
/// In a script, `<!--` and then `<script` make the next end tag part of the text (section 13.2.5.17
/// and on).
fn text_end(html: &[u8], name: &str) -> usize {
    let (mut escaped, mut nested) = (false, false);
    let mut at = 0;
    while let Some(step) = html[at..]
        .iter()
        .position(|byte| matches!(byte, b'<' | b'-'))
    {
        at += step;
        let rest = &html[at..];
        if name == "script" && rest.starts_with(b"<!--") {
            escaped = true;
            // `<!-->` opens and closes.
            at += 2;
            continue;
        }
        if rest.starts_with(b"-->") {
            (escaped, nested) = (false, false);
        } else if is_tag(rest, b"</", name) {
            if !nested {
                return at;
            }
            nested = false;
        } else if escaped && is_tag(rest, b"<", name) {
            nested = true;
        }
        at += 1;
    }
    html.len()
}

fn is_tag(rest: &[u8], open: &[u8], name: &str) -> bool {
    let Some((found, tail)) = rest
        .strip_prefix(open)
        .and_then(|rest| rest.split_at_checked(name.len()))
    else {
        return false;
    };
    found.eq_ignore_ascii_case(name.as_bytes())
        && tail
            .first()
            .is_some_and(|byte| is_space(*byte) || matches!(byte, b'/' | b'>'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scripts(html: &str) -> Vec<&str> {
        Tags::of(html.as_bytes())
            .filter(|tag| tag.is("script"))
            .map(|tag| std::str::from_utf8(tag.text).unwrap())
            .collect()
    }

    #[test]
    fn finds_scripts_as_a_browser_does() {
        assert_eq!(
            scripts("<script>a</script><SCRIPT type=module >b</Script\n><script/x>c</script/>"),
            ["a", "b", "c"]
        );
        assert_eq!(scripts("<script>'</scripty>'</script>"), ["'</scripty>'"]);
        assert_eq!(
            scripts("<script>if (a<b) '<b>'</script >"),
            ["if (a<b) '<b>'"]
        );
        assert_eq!(scripts("<script>unfinished"), ["unfinished"]);
    }

    #[test]
    fn passes_over_what_only_looks_like_a_script() {
        for html in [
            "<!-- <script>x</script> -->",
            "<!-- > <script>x</script> --!>",
            "<a title=\"<script>x</script>\">",
            "<a title='<script>x</script>'>",
            "<title><script>x</script></title>",
            "<textarea><script>x</script></textarea>",
            "<noscript><script>x</script></noscript>",
            "<style>/*<script>x</script>*/</style>",
            "<!doctype html><? <script x ?><scripty>x</scripty>",
            "</a title=\"<script>x</script>\">",
            "a < script>x",
        ] {
            assert_eq!(
                scripts(&format!("{html}<script>y</script>")),
                ["y"],
                "{html}"
            );
        }
        assert_eq!(scripts("<!--><script>y</script>"), ["y"]);
        assert_eq!(scripts("<!---><script>y</script>"), ["y"]);
    }

    #[test]
    fn follows_the_escapes_inside_scripts() {
        assert_eq!(scripts("<script><!-- a --></script>"), ["<!-- a -->"]);
        assert_eq!(scripts("<script><!-- a </script>"), ["<!-- a "]);
        assert_eq!(
            scripts("<script><!--<script>a</script>--></script>"),
            ["<!--<script>a</script>-->"]
        );
        assert_eq!(
            scripts("<script><!--><script>a</script>"),
            ["<!--><script>a"]
        );
    }

    #[test]
    fn reads_attributes_with_any_quotes() {
        let tag = Tags::of(b"<link REL = stylesheet href='a>b' crossorigin x=\"1\" href=2>")
            .next()
            .unwrap();
        assert_eq!(tag.attribute("rel"), Some(&b"stylesheet"[..]));
        assert_eq!(tag.attribute("href"), Some(&b"a>b"[..]));
        assert_eq!(tag.attribute("crossorigin"), Some(&b""[..]));
        assert_eq!(tag.attribute("src"), None);
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_always_ends(html in "(<|>|/|=|\"|'|-|!|script|style|a| ){0,40}") {
            for tag in Tags::of(html.as_bytes()) {
                proptest::prop_assert!(!tag.name.is_empty());
            }
        }
    }
}
