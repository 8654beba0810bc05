//! Which misses are client-side routes.

use http::{HeaderMap, HeaderName, header::ACCEPT};

/// What a browser is going to do with the answer (Fetch Metadata).
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Whether the request may be a navigation to a client-side route.
///
/// A last segment with a dot names a file, and a segment that starts with one is never a page.
/// `*/*` counts as accepting HTML, since `curl` and link checkers send it; a browser that fetches a
/// script or an image says so in `Sec-Fetch-Dest`.
pub(super) fn is_navigation(name: &str, headers: &HeaderMap) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    let hidden = name.split('/').any(|segment| segment.starts_with('.'));
    !hidden && !last.contains('.') && shows_pages(headers) && accepts_html(headers)
}

fn shows_pages(headers: &HeaderMap) -> bool {
    headers.get(SEC_FETCH_DEST).is_none_or(|destination| {
        matches!(
            destination.as_bytes(),
            b"document" | b"iframe" | b"frame" | b"embed" | b"object" | b"empty"
        )
    })
}

/// The most specific range decides (RFC 9110 section 12.5.1); no field accepts everything.
fn accepts_html(headers: &HeaderMap) -> bool {
    let mut accepts = None;
    for field in headers.get_all(ACCEPT) {
        for range in field.as_bytes().split(|byte| *byte == b',') {
            let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let Some(specificity) = parts.next().and_then(specificity) else {
                continue;
            };
            let wanted = !parts.any(is_zero);
            if accepts.is_none_or(|(best, _)| specificity > best) {
                accepts = Some((specificity, wanted));
            }
        }
    }
    match accepts {
        Some((_, wanted)) => wanted,
        None => !headers.contains_key(ACCEPT),
    }
}

fn specificity(range: &[u8]) -> Option<u8> {
    if range.eq_ignore_ascii_case(b"text/html")
        || range.eq_ignore_ascii_case(b"application/xhtml+xml")
    {
        Some(3)
    } else if range.eq_ignore_ascii_case(b"text/*") {
        Some(2)
    } else {
        (range == b"*/*").then_some(1)
    }
}

/// `q=0`, `q=0.0` and so on.
fn is_zero(parameter: &[u8]) -> bool {
    match parameter {
        [b'q' | b'Q', b'=', value @ ..] => {
            value.first() == Some(&b'0') && value.iter().all(|byte| matches!(byte, b'0' | b'.'))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn accepting(accept: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))])
    }

    const BROWSER: &str =
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

    #[test]
    fn answers_navigations() {
        for accept in [
            BROWSER,
            "text/html",
            "TEXT/HTML;level=1",
            "*/*",
            "text/*;q=0.1",
            "application/json, text/html;q=0.5",
        ] {
            assert!(is_navigation("users/42", &accepting(accept)), "{accept}");
        }
        assert!(is_navigation("", &HeaderMap::new()));
        assert!(is_navigation("v1.2/", &accepting(BROWSER)));
    }

    #[test]
    fn leaves_alone_what_asks_for_something_else() {
        for accept in [
            "application/json",
            "image/avif,image/webp,image/*",
            "text/css",
            "text/html;q=0, */*",
            "*/*;q=0.0",
            "",
        ] {
            assert!(!is_navigation("users/42", &accepting(accept)), "{accept}");
        }
        let mut headers = accepting("*/*");
        headers.insert(SEC_FETCH_DEST, HeaderValue::from_static("script"));
        assert!(!is_navigation("assets/lazy", &headers));
    }

    #[test]
    fn takes_names_with_a_dot_for_files() {
        for name in [
            "assets/index-DiwrgTda.js",
            "a/b.c",
            ".git/config",
            ".well-known/assetlinks",
        ] {
            assert!(!is_navigation(name, &accepting(BROWSER)), "{name}");
        }
    }
}
