//! The two shapes of an error.

use serde::Serialize;

use crate::message::error::ErrorKind;

/// The shape of NestJS, with the id that finds the request in the log.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json<'a> {
    status_code: u16,
    error: &'a str,
    message: &'a str,
    request_id: &'a str,
}

/// One JSON object.
pub(super) fn json(kind: ErrorKind, id: &str) -> Vec<u8> {
    let json = Json {
        status_code: kind.status().as_u16(),
        error: reason(kind),
        message: kind.message(),
        request_id: id,
    };
    serde_json::to_vec(&json).expect("a number and three strings are always JSON")
}

/// A page without script, style or anything to load, so that no content security policy can break it.
pub(super) fn html(kind: ErrorKind, id: &str) -> Vec<u8> {
    let (status, reason) = (kind.status().as_u16(), reason(kind));
    let (message, id) = (escape(kind.message()), escape(id));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{status} {reason}</title>\n\
         </head>\n<body>\n<h1>{status} {reason}</h1>\n<p>{message}</p>\n\
         <p>Request id: <code>{id}</code></p>\n</body>\n</html>\n"
    )
    .into_bytes()
}

fn reason(kind: ErrorKind) -> &'static str {
    kind.status().canonical_reason().unwrap_or("Error")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
