//! The head that goes back: hop-by-hop fields end here, and places named in the backend's terms are
//! put in the client's.

use http::{HeaderMap, HeaderValue, header};

use crate::message::{
    context::{RequestContext, Scheme},
    hop_by_hop,
    host::Host,
};

/// How a backend's names map to the client's.
#[derive(Debug, Clone)]
pub struct Mapping<'a> {
    /// The stripped prefix without a slash at its end, `/api`; `None` when nothing is stripped.
    pub prefix: Option<&'a str>,
    /// `host:port` of the backend.
    pub authority: &'a str,
}

/// Turns the backend's fields into the client's, in place.
pub fn prepare(headers: &mut HeaderMap, mapping: &Mapping<'_>, context: &RequestContext) {
    hop_by_hop::strip(headers);
    if let Some(mapped) = headers
        .get(header::LOCATION)
        .and_then(|value| location(value, mapping, context))
    {
        headers.insert(header::LOCATION, mapped);
    }
    if let Some(prefix) = mapping.prefix
        && headers.contains_key(header::SET_COOKIE)
    {
        map_cookies(headers, prefix);
    }
}

/// A `Location` that names the backend, or a path of an application that does not know its prefix.
///
/// One that names the public host in https is left alone: whoever knows that name means a page of the
/// site. In plain http it is what an application makes of its own connection and the `Host` it was sent.
fn location(
    value: &HeaderValue,
    mapping: &Mapping<'_>,
    context: &RequestContext,
) -> Option<HeaderValue> {
    let text = value.to_str().ok()?;
    let (origin, path) = match text.split_once("://") {
        None if text.starts_with('/') && !text.starts_with("//") => (String::new(), text),
        Some(("http" | "https", rest)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            let own = mapping.authority.eq_ignore_ascii_case(authority);
            if !own && !is_own_view(text, authority, context) {
                return None;
            }
            (origin(context)?, path)
        }
        _ => return None,
    };
    let prefix = mapping
        .prefix
        .filter(|prefix| !is_below(path, prefix))
        .unwrap_or_default();
    let slash = if path.starts_with('/') { "" } else { "/" };
    HeaderValue::try_from(format!("{origin}{prefix}{slash}{path}")).ok()
}

/// The client's host in plain http, though the client came by https.
fn is_own_view(text: &str, authority: &str, context: &RequestContext) -> bool {
    text.starts_with("http:")
        && context.scheme() == Scheme::Https
        && context.host.is_some()
        && Host::parse(authority) == context.host
}

/// `https://host:port` as the client wrote it.
fn origin(context: &RequestContext) -> Option<String> {
    let host = context.host.as_ref()?;
    let scheme = context.scheme().as_str();
    let name = host.name();
    let name = if name.contains(':') {
        format!("[{name}]")
    } else {
        name.to_owned()
    };
    Some(match host.port() {
        None => format!("{scheme}://{name}"),
        Some(port) => format!("{scheme}://{name}:{port}"),
    })
}

/// Puts `prefix` before cookie paths other than `/`: a cookie for the whole site stays one, since
/// the application's sockets and pages lie outside the prefix.
fn map_cookies(headers: &mut HeaderMap, prefix: &str) {
    let header::Entry::Occupied(mut entry) = headers.entry(header::SET_COOKIE) else {
        return;
    };
    for value in entry.iter_mut() {
        if let Some(mapped) = cookie(value, prefix) {
            *value = mapped;
        }
    }
}

fn cookie(value: &HeaderValue, prefix: &str) -> Option<HeaderValue> {
    let text = value.to_str().ok()?;
    let (at, path) = attribute(text, "path")?;
    if !path.starts_with('/') || path == "/" || is_below(path, prefix) {
        return None;
    }
    let mut mapped = String::with_capacity(text.len() + prefix.len());
    mapped.push_str(&text[..at]);
    mapped.push_str(prefix);
    mapped.push_str(&text[at..]);
    HeaderValue::try_from(mapped).ok()
}

/// Place and value of the last attribute `name`, as browsers read it (RFC 6265 section 5.2).
fn attribute<'a>(text: &'a str, name: &str) -> Option<(usize, &'a str)> {
    let mut found = None;
    let mut at = text.find(';')?;
    while at < text.len() {
        let rest = &text[at + 1..];
        let end = rest.find(';').unwrap_or(rest.len());
        if let Some((key, value)) = rest[..end].split_once('=')
            && key.trim().eq_ignore_ascii_case(name)
        {
            let lead = value.len() - value.trim_start().len();
            found = Some((at + 1 + key.len() + 1 + lead, value.trim()));
        }
        at += 1 + end;
    }
    found
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
}

#[cfg(test)]
mod tests;
