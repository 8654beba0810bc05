//! `Accept` (RFC 9110 section 12.5.1), as far as JSON against HTML goes.

use http::HeaderValue;

/// Whether a page is wanted rather than JSON.
///
/// A navigation names `text/html` first. Whoever accepts anything, or says nothing, is a program and gets JSON.
pub(super) fn prefers_html(accept: Option<&HeaderValue>) -> bool {
    let Some(accept) = accept.and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let html = Preference::of(accept, "text", "html");
    let json = Preference::of(accept, "application", "json");
    html.quality > 0 && html > json
}

/// How much a media type is wanted: by weight, then by how exactly it is named, then by how early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Preference {
    /// In thousandths.
    quality: u16,
    exactness: u8,
    earliness: isize,
}

impl Preference {
    fn of(accept: &str, kind: &str, subtype: &str) -> Self {
        let mut best = Self {
            quality: 0,
            exactness: 0,
            earliness: isize::MIN,
        };
        for (earliness, range) in (0..).map(|place: isize| -place).zip(accept.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let Some((main, sub)) = parts.next().and_then(|range| range.split_once('/')) else {
                continue;
            };
            let exactness = if main.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype)
            {
                3
            } else if main.eq_ignore_ascii_case(kind) && sub == "*" {
                2
            } else if main == "*" && sub == "*" {
                1
            } else {
                continue;
            };
            // The most exact range decides, whatever the weights of the others.
            if exactness > best.exactness {
                best = Self {
                    quality: parts.find_map(weight).unwrap_or(1000),
                    exactness,
                    earliness,
                };
            }
        }
        best
    }
}

/// `q=0.8` as 800; `None` for another parameter.
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let value = value.trim();
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if whole != "0" {
        return Some(if whole == "1" { 1000 } else { 0 });
    }
    let digit = |place| {
        let byte = fraction.as_bytes().get(place).unwrap_or(&b'0');
        byte.is_ascii_digit().then(|| u16::from(byte - b'0'))
    };
    Some(digit(0)? * 100 + digit(1)? * 10 + digit(2)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(accept: &'static str) -> bool {
        prefers_html(Some(&HeaderValue::from_static(accept)))
    }

    #[test]
    fn gives_navigations_a_page() {
        for accept in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
            "text/html, application/xhtml+xml, image/jxr, */*",
            "text/html",
            "Text/HTML;level=1",
            "text/*",
            "text/html, application/json",
            "application/json;q=0.8, text/html;q=0.9",
        ] {
            assert!(html(accept), "{accept}");
        }
    }

    #[test]
    fn gives_programs_json() {
        assert!(!prefers_html(None));
        for accept in [
            "*/*",
            "application/json",
            "application/json, text/plain, */*",
            "application/json, text/html",
            "application/json, text/html;q=0.9",
            "image/png",
            "text/html;q=0",
            "text/html;q=0.0, image/png",
            "*/*;q=0.5, text/html;q=0.4",
            "",
            "nonsense",
            "text/event-stream",
        ] {
            assert!(!html(accept), "{accept}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(accept in "\\PC{0,60}") {
            if let Ok(accept) = HeaderValue::from_str(&accept) {
                prefers_html(Some(&accept));
            }
            weight(&accept);
        }
    }
}
