//! hyper's client as the oracle: both read the same answers, cut into the same pieces.
//!
//! Where they differ, ours is the stricter one, and [`STRICTER`] says why. What hyper refuses or
//! cannot read to its end ours never accepts, and it keeps no connection that hyper gives up.

use proptest::prelude::*;

use self::play::{End, Outcome, Seen};
use super::*;

mod play;
mod script;

/// What ours refuses and hyper takes, as ours says it, and why it may.
const STRICTER: &[(&str, &str)] = &[
    (
        "the response has both Transfer-Encoding and Content-Length",
        "RFC 9112 section 6.3 item 3: it may be an attempt at response splitting; hyper drops the length silently",
    ),
    (
        "the response has a transfer coding other than chunked",
        "RFC 9112 section 6.1: we decode no other coding, and hyper hands the coded bytes on as content",
    ),
    (
        "an HTTP/1.0 response has a transfer coding",
        "RFC 9112 section 6.1: the framing is faulty; hyper overlooks it where the response has no content",
    ),
    (
        "the Content-Length of the response is malformed",
        "RFC 9110 section 8.6 lets a list of equal lengths be refused; RFC 9112 section 6.3 item 5 refuses bad \
         lengths, which hyper overlooks where the response has no content, but our client would see",
    ),
    (
        "the response has two Content-Lengths",
        "RFC 9112 section 6.3 item 5; hyper overlooks it where the response has no content",
    ),
    (
        "the backend switched protocols unasked",
        "RFC 9110 section 7.8: a server must not; hyper leaves that to its caller",
    ),
    (
        "the response head is larger than 64 KiB",
        "RFC 9110 section 5.4: limits are the recipient's; hyper's is 400 KiB",
    ),
    (
        "a chunk size line is too long",
        "RFC 9112 section 7.1.1: limits are the recipient's; hyper's is 16 KiB",
    ),
    (
        "a chunk size has more than 15 digits",
        "RFC 9112 section 7.1: large numbers must not overflow; hyper takes zeros without end in front",
    ),
    (
        "the trailer section has more than 32 fields",
        "RFC 9110 section 5.4: limits are the recipient's; hyper's is that of the head",
    ),
    (
        "the trailer section has a bare LF",
        "RFC 9112 section 2.2: a line ends in CRLF; taking LF alone is allowed, but readers differ on it",
    ),
];

fn is_stricter(reason: &str) -> bool {
    STRICTER.iter().any(|(known, _)| *known == reason)
}

/// Whether ours read `script` as an edge must, given what hyper read.
fn judge(ours: &Outcome, hypers: &Outcome) -> Result<(), &'static str> {
    match (ours, hypers) {
        (Outcome::Refused(_), Outcome::Refused(_)) => Ok(()),
        (_, Outcome::Refused(_)) => Err("hyper refuses the head"),
        (Outcome::Refused(reason), _) if is_stricter(reason) => Ok(()),
        (Outcome::Refused(_), _) => Err("hyper takes the head"),
        (Outcome::Upgraded(headers, bytes), Outcome::Upgraded(others, other)) => {
            if *headers == said_once(others) && bytes == other {
                Ok(())
            } else {
                Err("the upgrades differ")
            }
        }
        (Outcome::Answered(ours), Outcome::Answered(hypers)) => judge_seen(ours, hypers),
        (Outcome::Upgraded(..), Outcome::Answered(_))
        | (Outcome::Answered(_), Outcome::Upgraded(..)) => Err("one is an upgrade"),
    }
}

fn judge_seen(ours: &Seen, hypers: &Seen) -> Result<(), &'static str> {
    if ours.status != hypers.status {
        return Err("the status differs");
    }
    if ours.headers != said_once(&hypers.headers) {
        return Err("the header fields differ");
    }
    let is_prefix = ours.body.starts_with(&hypers.body) || hypers.body.starts_with(&ours.body);
    let is_same = ours.body == hypers.body && ours.trailers == hypers.trailers;
    match (&ours.end, &hypers.end) {
        (End::Broken(_), End::Broken(_)) if is_prefix => Ok(()),
        (End::Broken(_), End::Broken(_)) => Err("the broken bodies differ"),
        (_, End::Broken(_)) => Err("hyper finds the body broken"),
        (End::Broken(reason), _) if is_stricter(reason) && is_prefix => Ok(()),
        (End::Broken(_), _) => Err("hyper finds the body whole"),
        _ if !is_same => Err("the bodies differ"),
        (End::Kept, End::Kept) | (End::Closed, End::Closed) => Ok(()),
        (End::Kept, End::Closed) => Err("hyper does not keep the connection"),
        (End::Closed, End::Kept) if is_unclear(&ours.headers) => Ok(()),
        (End::Closed, End::Kept) => Err("hyper keeps the connection"),
    }
}

/// Several equal lengths are one (RFC 9110 section 8.6); hyper hands all of them on.
fn said_once(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    let lengths = headers.get_all(http::header::CONTENT_LENGTH);
    if lengths.iter().nth(1).is_some()
        && let Some(length) = lengths.iter().next().and_then(|it| it.to_str().ok())
        && let Ok(length) = length.parse::<u64>()
    {
        headers.insert(http::header::CONTENT_LENGTH, length.into());
    }
    headers
}

/// A connection of which it is not clear what was said is not kept (RFC 9112 section 9.3); hyper overlooks a field
/// that is not all ASCII.
fn is_unclear(headers: &HeaderMap) -> bool {
    let mut fields = headers.get_all(http::header::CONNECTION).iter();
    fields.any(|value| value.to_str().is_err())
}

proptest! {
    #[test]
    fn reads_what_hyper_reads_or_says_why_not(script in script::script()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (ours, hypers) = runtime.block_on(async {
            (play::ours(&script).await, play::hypers(&script).await)
        });
        let judged = judge(&ours, &hypers);
        prop_assert!(judged.is_ok(), "{}\nours: {ours:?}\nhyper's: {hypers:?}", judged.unwrap_err());
    }
}
