//! How the responses of a route are compressed.

use std::fmt::Write as _;

use crate::config::route::{Handler, Route};

/// Writes the line of `route`, if it could have one.
pub(super) fn write(text: &mut String, route: &Route) -> std::fmt::Result {
    match (&route.handler, &route.compress) {
        // Files are compressed before, and a redirect has nothing to compress.
        (Handler::Files(_) | Handler::Redirect(_), _) => Ok(()),
        (_, None) => writeln!(text, "compress    no"),
        (_, Some(compress)) => {
            let codings: Vec<_> = compress.codings.iter().map(|it| it.as_str()).collect();
            let types: Vec<_> = compress.types.iter().map(ToString::to_string).collect();
            writeln!(
                text,
                "compress    {} from {} bytes: {}",
                codings.join(", "),
                compress.min_size,
                types.join(", ")
            )
        }
    }
}
