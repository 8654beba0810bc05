//! What a page loads first, as the `Link` header that says so before the page itself has come.
//!
//! A browser fetches twice what the header and the page ask for in different ways, so everything
//! that decides how it fetches is taken over, and a tag with more to it is left out.

use http::HeaderValue;
use memchr::memmem;

use crate::assets::html::{Tag, Tags};

/// Links of one page: more would compete with what the first paint needs.
const MAX_LINKS: usize = 10;
/// Bytes of them all.
const MAX_SIZE: usize = 1024;
/// Attributes on which it depends whether or how a browser fetches.
const CONDITIONS: [&str; 7] = [
    "integrity",
    "media",
    "nonce",
    "nomodule",
    "disabled",
    "imagesrcset",
    "referrerpolicy",
];

/// The value of `Link`, if the page loads anything from its own origin.
pub(super) fn of(html: &[u8]) -> Option<HeaderValue> {
    let mut base = Base::Own;
    let mut links: Vec<String> = Vec::new();
    let mut size = 0;
    for tag in Tags::of(html) {
        // What lies in a template is not loaded, and where it ends is not known here.
        if tag.is("template") || links.len() == MAX_LINKS {
            break;
        }
        if tag.is("base") && base == Base::Own {
            base = tag.attribute("href").map_or(Base::Own, Base::of);
        }
        let Some(link) = link(&tag, &base) else {
            continue;
        };
        let target = link.split_once('>').map(|(target, _)| target);
        let is_known = links
            .iter()
            .any(|known| known.split_once('>').map(|(target, _)| target) == target);
        if is_known {
            continue;
        }
        size += link.len() + 2;
        if size > MAX_SIZE {
            break;
        }
        links.push(link);
    }
    let value = HeaderValue::try_from(links.join(", ")).ok()?;
    (!value.is_empty()).then_some(value)
}

/// Where a page's relative references start.
#[derive(Debug, PartialEq, Eq)]
enum Base {
    /// At the page, as those of its header do.
    Own,
    /// At this path, which ends with a slash.
    Path(String),
    /// Elsewhere.
    Foreign,
}

impl Base {
    fn of(href: &[u8]) -> Self {
        match std::str::from_utf8(href).map(str::trim) {
            Ok(path) if path.starts_with('/') && is_plain(path) => {
                let folder = path.rfind('/').map_or(0, |at| at + 1);
                Self::Path(path[..folder].to_owned())
            }
            _ => Self::Foreign,
        }
    }

    /// A reference as a header writes it, if it stays on the origin.
    fn resolve(&self, reference: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(reference).ok()?.trim();
        let first = text.split(['/', '?', '#']).next()?;
        if !is_plain(text) || text.starts_with('#') || first.contains(':') {
            return None;
        }
        match self {
            Self::Foreign => None,
            _ if text.starts_with('/') => Some(text.to_owned()),
            Self::Own => Some(text.to_owned()),
            Self::Path(folder) => {
                let rest = text.strip_prefix("./").unwrap_or(text);
                Some(format!("{folder}{rest}"))
            }
        }
    }
}

/// Whether a reference means the same in a header, and leads to no other host.
fn is_plain(reference: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_graphic() && !b"<>\"\\&".contains(&byte);
    !reference.is_empty()
        && !reference.starts_with("//")
        && reference.bytes().all(is_letter)
        && memmem::find(reference.as_bytes(), b"..").is_none()
}

fn link(tag: &Tag<'_>, base: &Base) -> Option<String> {
    if CONDITIONS.iter().any(|name| tag.attribute(name).is_some()) {
        return None;
    }
    let (reference, kind) = if tag.is("script") {
        (tag.attribute("src")?, script(tag)?)
    } else if tag.is("link") {
        (tag.attribute("href")?, linked(tag)?)
    } else {
        return None;
    };
    let target = base.resolve(reference)?;
    let crossorigin = match tag.attribute("crossorigin") {
        None => "",
        Some(mode) if mode.eq_ignore_ascii_case(b"use-credentials") => {
            "; crossorigin=use-credentials"
        }
        Some(_) => "; crossorigin",
    };
    Some(format!("<{target}>; {kind}{crossorigin}"))
}

fn script(tag: &Tag<'_>) -> Option<String> {
    let kind = tag.attribute("type").unwrap_or_default();
    if kind.eq_ignore_ascii_case(b"module") {
        return Some("rel=modulepreload".to_owned());
    }
    let is_classic = kind.is_empty() || kind.eq_ignore_ascii_case(b"text/javascript");
    is_classic.then(|| "rel=preload; as=script".to_owned())
}

fn linked(tag: &Tag<'_>) -> Option<String> {
    let rel = tag.attribute("rel")?.trim_ascii();
    if rel.eq_ignore_ascii_case(b"stylesheet") {
        return Some("rel=preload; as=style".to_owned());
    }
    if rel.eq_ignore_ascii_case(b"modulepreload") {
        // One for a worker is fetched in another way.
        let is_script = tag.attribute("as").is_none_or(|it| it == b"script");
        return is_script.then(|| "rel=modulepreload".to_owned());
    }
    if !rel.eq_ignore_ascii_case(b"preload") {
        return None;
    }
    let destination = word(tag.attribute("as")?)?;
    let kind = match tag.attribute("type") {
        None => String::new(),
        Some(kind) => format!("; type=\"{}\"", word(kind)?),
    };
    Some(format!("rel=preload; as={destination}{kind}"))
}

/// What stands in a header as it is.
fn word(text: &[u8]) -> Option<&str> {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"/+-.".contains(byte);
    let text = std::str::from_utf8(text).ok()?;
    (!text.is_empty() && text.as_bytes().iter().all(is_letter)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(html: &str) -> String {
        of(html.as_bytes()).map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn names_what_a_page_loads_as_the_page_does() {
        assert_eq!(
            links(
                "<link rel=icon href=/i.svg><script type=module crossorigin src=/assets/a.js></script>\
                 <link rel=modulepreload crossorigin href=/assets/v.js>\
                 <link rel=stylesheet crossorigin href=/assets/a.css>\
                 <link rel=preload as=font type=font/woff2 crossorigin=anonymous href=/f.woff2>\
                 <script defer src='c.js?v=1'></script><script src=/assets/a.js></script>\
                 <link rel=preload as=fetch crossorigin=use-credentials href=/me>"
            ),
            "</assets/a.js>; rel=modulepreload; crossorigin, \
             </assets/v.js>; rel=modulepreload; crossorigin, \
             </assets/a.css>; rel=preload; as=style; crossorigin, \
             </f.woff2>; rel=preload; as=font; type=\"font/woff2\"; crossorigin, \
             <c.js?v=1>; rel=preload; as=script, \
             </me>; rel=preload; as=fetch; crossorigin=use-credentials"
        );
    }

    #[test]
    fn leaves_out_what_a_browser_may_not_fetch_or_fetches_otherwise() {
        for html in [
            "<script src=https://cdn.example/a.js></script>",
            "<script src=//cdn.example/a.js></script>",
            "<script src='/\\cdn.example/a.js'></script>",
            "<script src=data:,x></script>",
            "<script src='/a.js?x=1&amp;y=2'></script>",
            "<script src='/a>; rel=preload, <b.js'></script>",
            "<script src=/../a.js></script>",
            "<script src=/a.js integrity=sha256-x></script>",
            "<script src=/a.js nomodule></script>",
            "<script src=/a.js type=text/template></script>",
            "<script src=></script><script>a</script>",
            "<link rel=stylesheet media=print href=/a.css>",
            "<link rel='alternate stylesheet' href=/a.css>",
            "<link rel=preload href=/a.css>",
            "<link rel=preload as='x, y' href=/a.css>",
            "<link rel=prefetch href=/a.js>",
            "<template><script src=/a.js></script></template>",
            "<noscript><link rel=stylesheet href=/a.css></noscript>",
            "<base href=https://cdn.example/><script src=a.js></script>",
            "<base href=https://cdn.example/><script src=/a.js></script>",
        ] {
            assert_eq!(links(html), "", "{html}");
        }
    }

    #[test]
    fn follows_the_base_of_the_page() {
        for (html, target) in [
            ("<script src=./a.js></script>", "<./a.js>"),
            ("<base href=/><script src=./a.js></script>", "</a.js>"),
            (
                "<base href=/app/x><script src=a.js></script>",
                "</app/a.js>",
            ),
            ("<base target=_top><script src=a.js></script>", "<a.js>"),
            (
                "<base href=/app/><base href=/b/><script src=/a.js></script>",
                "</a.js>",
            ),
        ] {
            assert!(links(html).starts_with(target), "{html}: {}", links(html));
        }
    }

    #[test]
    fn is_bounded() {
        let many: Vec<_> = (0..50)
            .map(|at| format!("<script src=/{at}.js></script>"))
            .collect();
        assert_eq!(links(&many.concat()).matches("rel=").count(), 10);
        let long = format!("<script src=/{}.js></script>", "a".repeat(500))
            + &format!("<script src=/{}.js></script>", "b".repeat(600));
        assert_eq!(links(&long).matches("rel=").count(), 1);
    }
}
