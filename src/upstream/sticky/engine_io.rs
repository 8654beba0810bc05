//! Engine.IO, the protocol below Socket.IO: which requests are its own, and which session an answer opens.
//!
//! A handshake by polling (`EIO=4&transport=polling`) is answered with an `open` packet, `0{"sid":"..."}`; every later
//! request of the session has that `sid` in its query. Revision 4 sends the packet bare. Revision 3 has its length in
//! front, as text (`97:0{...}`) or, from older servers, in binary (`00 09 07 ff`). The call that JSONP makes of it is
//! not read: no browser of this decade needs it.

use std::borrow::Cow;

use http::Uri;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

/// What the beginning of an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Opening {
    /// It opens this session.
    Session(String),
    /// More bytes are needed.
    Incomplete,
    /// It opens none.
    Other,
}

/// The JSON of an `open` packet.
#[derive(Deserialize)]
struct Open {
    sid: String,
}

/// Socket.IO's own path, or the query of its transport under another path.
pub(super) fn is_own(uri: &Uri) -> bool {
    let mut segments = uri.path().as_bytes().split(|byte| *byte == b'/');
    segments.any(|it| it == b"socket.io")
        || parameter(uri, "EIO").is_some() && parameter(uri, "transport").is_some()
}

/// The session that a request belongs to, if it has one.
pub(super) fn session(uri: &Uri) -> Option<Cow<'_, [u8]>> {
    let sid = parameter(uri, "sid").filter(|sid| !sid.is_empty())?;
    is_own(uri).then(|| percent_decode_str(sid).into())
}

/// Whether the answer will open a session that goes on in other requests. That of a WebSocket stays on its connection.
pub(super) fn is_handshake(uri: &Uri) -> bool {
    parameter(uri, "transport") == Some("polling")
        && parameter(uri, "EIO").is_some()
        && parameter(uri, "sid").is_none_or(str::is_empty)
}

/// Which session the answer opens that begins with `body`.
pub(super) fn opening(body: &[u8]) -> Opening {
    let packet = match packet(body) {
        Ok(packet) => packet,
        Err(other) => return other,
    };
    let json = match packet {
        [] | [b'0'] => return Opening::Incomplete,
        [b'0', json @ ..] if json.starts_with(b"{") => json,
        _ => return Opening::Other,
    };
    // Other packets may follow.
    let mut values = serde_json::Deserializer::from_slice(json).into_iter::<Open>();
    match values.next() {
        Some(Ok(open)) if !open.sid.is_empty() => Opening::Session(open.sid),
        Some(Err(error)) if error.is_eof() => Opening::Incomplete,
        _ => Opening::Other,
    }
}

/// The first packet of `body` without the length in front of it.
fn packet(body: &[u8]) -> Result<&[u8], Opening> {
    if let [0, rest @ ..] = body {
        let digits = rest.iter().take_while(|it| **it <= 9).count();
        return behind(rest, digits, 0xff);
    }
    match body {
        [] => Err(Opening::Incomplete),
        [b'0', b'{', ..] => Ok(body),
        _ => {
            let digits = body.iter().take_while(|it| it.is_ascii_digit()).count();
            behind(body, digits, b':')
        }
    }
}

fn behind(body: &[u8], digits: usize, end: u8) -> Result<&[u8], Opening> {
    match body.get(digits) {
        None => Err(Opening::Incomplete),
        Some(found) if *found == end && digits > 0 => Ok(&body[digits + 1..]),
        Some(_) => Err(Opening::Other),
    }
}

fn parameter<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    let mut pairs = uri.query()?.split('&');
    pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the server of Socket.IO 4 sends it.
    const OPEN: &str = r#"0{"sid":"9eVnA2v0T1xMf2tuAAAA","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
    const SID: &str = "9eVnA2v0T1xMf2tuAAAA";

    fn binary() -> Vec<u8> {
        [b"\x00\x01\x01\x08\xff", OPEN.as_bytes()].concat()
    }

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    fn opened(body: &[u8]) -> Option<String> {
        match opening(body) {
            Opening::Session(sid) => Some(sid),
            Opening::Incomplete | Opening::Other => None,
        }
    }

    #[test]
    fn reads_the_session_of_both_revisions() {
        let revision_3 = format!("118:{OPEN}");
        let with_packets_behind = format!("118:{OPEN}2:40");
        for body in [
            OPEN.as_bytes(),
            revision_3.as_bytes(),
            with_packets_behind.as_bytes(),
            format!("{OPEN}\x1e40").as_bytes(),
            &binary(),
            br#"0{"pingInterval":1,"upgrades":[{"sid":"inner"}],"sid":"9eVnA2v0T1xMf2tuAAAA"}"#,
            br#"0{ "sid" : "9eVnA2v0T1xMf2tu\u0041AAA" }"#,
        ] {
            let text = String::from_utf8_lossy(body).into_owned();
            assert_eq!(opened(body).as_deref(), Some(SID), "{text}");
        }
    }

    #[test]
    fn finds_no_session_in_other_answers() {
        for body in [
            r#"{"code":1,"message":"Session ID unknown"}"#,
            "ok",
            "2probe",
            "00{\"sid\":\"x\"}",
            ":0{\"sid\":\"x\"}",
            "40{\"sid\":\"x\"}",
            "0[\"x\"]",
            "0{\"sid\":7}",
            "0{\"sid\":\"\"}",
            "0{\"id\":\"x\"}",
            "0{\"sid\":\"x\" \"y\"}",
            "\0\u{1}:0{\"sid\":\"x\"}",
            "___eio[0](\"0{\\\"sid\\\":\\\"x\\\"}\");",
            "<!doctype html>",
        ] {
            assert_ne!(opening(body.as_bytes()), Opening::Incomplete, "{body}");
            assert_eq!(opened(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn knows_its_requests_by_path_or_query() {
        for good in [
            "/socket.io/?EIO=4&transport=polling",
            "/socket.io",
            "/api/socket.io/",
            "/live/?EIO=4&transport=websocket&sid=x",
        ] {
            assert!(is_own(&uri(good)), "{good}");
        }
        for other in ["/", "/socket.iox/", "/x?EIO=4", "/x?transport=polling"] {
            assert!(!is_own(&uri(other)), "{other}");
        }
    }

    #[test]
    fn knows_handshakes_by_polling() {
        for good in [
            "/socket.io/?EIO=4&transport=polling",
            "/socket.io/?EIO=3&transport=polling&t=Oabc&b64=1",
            "/live?transport=polling&EIO=4&sid=",
        ] {
            assert!(is_handshake(&uri(good)), "{good}");
        }
        for other in [
            "/socket.io/",
            "/socket.io/?transport=polling",
            "/socket.io/?EIO=4&transport=websocket",
            "/socket.io/?EIO=4&transport=polling&sid=x",
        ] {
            assert!(!is_handshake(&uri(other)), "{other}");
        }
    }

    #[test]
    fn reads_the_session_of_a_request() {
        let sid = |text: &str| session(&uri(text)).map(|it| String::from_utf8_lossy(&it).into());
        let found: [(&str, Option<String>); 7] = [
            (
                "/socket.io/?EIO=4&transport=polling&sid=a-_1",
                Some("a-_1".into()),
            ),
            ("/socket.io/?sid=a%2Fb", Some("a/b".into())),
            ("/live?sid=x&EIO=3&transport=websocket", Some("x".into())),
            ("/socket.io/?sid=", None),
            ("/socket.io/?xsid=a", None),
            ("/socket.io/", None),
            ("/other?sid=a", None),
        ];
        for (request, expected) in found {
            assert_eq!(sid(request), expected, "{request}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_read_without_a_panic(
            head in prop::sample::select(vec!["", "0", "0{", "97:0{\"sid\":\"", "\0\u{9}\u{7}"]),
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            opening(&[head.as_bytes(), &rest].concat());
        }

        #[test]
        fn the_beginning_of_a_handshake_is_never_taken_for_another_answer(cut in 0_usize..118) {
            for body in [OPEN.as_bytes().to_vec(), format!("118:{OPEN}").into(), binary()] {
                prop_assert_eq!(opening(&body[..cut]), Opening::Incomplete);
            }
        }

        #[test]
        fn any_query_is_read_without_a_panic(query in "[ -~]{0,80}") {
            if let Ok(uri) = format!("/socket.io/?{query}").parse::<Uri>() {
                let _ = (is_own(&uri), is_handshake(&uri), session(&uri));
            }
        }

        #[test]
        fn a_session_is_the_same_in_body_and_query(sid in "[ -~]{1,40}") {
            let body = format!("0{}", serde_json::json!({ "sid": sid }));
            prop_assert_eq!(opened(body.as_bytes()), Some(sid.clone()));
            let encoded = percent_encoding::utf8_percent_encode(&sid, percent_encoding::NON_ALPHANUMERIC);
            let uri = uri(&format!("/socket.io/?EIO=4&sid={encoded}&transport=polling"));
            let found = session(&uri);
            prop_assert_eq!(found.as_deref(), Some(sid.as_bytes()));
        }
    }
}
