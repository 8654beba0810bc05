//! `upstream.balance`, and `hash_key` which belongs to it.

use std::fmt;

use http::{HeaderName, header};

use crate::config::{
    defaults,
    diagnostic::Diagnostic,
    reader::{
        Read, Value, quoted,
        table::{Table, choice},
    },
};

/// `upstream.balance`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Balance {
    /// Each in turn.
    RoundRobin,
    /// The less busy of two picked at random.
    LeastRequests,
    /// The one where the wait is shorter, of two picked at random.
    PeakEwma,
    /// The same key to the same backend (rendezvous hash).
    Hash(HashKey),
}

/// `upstream.hash_key`: what of a request is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// The client address, IPv6 by /64.
    Client,
    /// The value of a request header (`"header:x-tenant"`); the client address without it.
    Header(HeaderName),
    /// The value of a cookie (`"cookie:sid"`), whose case counts; the client address without it.
    Cookie(String),
}

/// A balance as it is written, without its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    LeastRequests,
    RoundRobin,
    PeakEwma,
    Hash,
}

const WORDS: [(&str, Word); 4] = [
    ("least_requests", Word::LeastRequests),
    ("round_robin", Word::RoundRobin),
    ("peak_ewma", Word::PeakEwma),
    ("hash", Word::Hash),
];

impl Balance {
    /// Reads `balance` and `hash_key`.
    pub(super) fn read(table: &Table<'_>) -> Self {
        let written = table.value("balance");
        let word = match &written {
            None => Some(Word::LeastRequests),
            Some(value) => choice(value, &WORDS),
        };
        let key = table.value("hash_key");
        // What a faulty `balance` was meant to be might be just that.
        if let Some(key) = &key
            && word.is_some_and(|word| word != Word::Hash)
        {
            let fault = Diagnostic::error("`hash_key` is for `balance = \"hash\"`")
                .at(key.span())
                .help("write `balance = \"hash\"`, or take `hash_key` out");
            table.reader.push(match written {
                Some(value) => fault.related(value.span(), "this balance has no key"),
                None => fault,
            });
        }
        let key = key.and_then(|value| HashKey::read(&value));
        match word {
            Some(Word::LeastRequests) | None => Self::LeastRequests,
            Some(Word::RoundRobin) => Self::RoundRobin,
            Some(Word::PeakEwma) => Self::PeakEwma,
            Some(Word::Hash) => Self::Hash(key.unwrap_or(defaults::HASH_KEY)),
        }
    }
}

impl Read for HashKey {
    fn read(value: &Value<'_>) -> Option<Self> {
        const HELP: &str = "write `\"client\"`, `\"header:x-tenant\"` or `\"cookie:sid\"`";
        let text = value.text("a word", "\"client\"")?;
        if text == "client" {
            return Some(Self::Client);
        }
        let Some((kind @ ("header" | "cookie"), name)) = text.split_once(':') else {
            let key = value.key;
            return value.reject(format!("unknown value {} of `{key}`", quoted(&text)), HELP);
        };
        // The name of a cookie is a token too (RFC 6265 section 4.1.1).
        let Ok(header) = HeaderName::try_from(name) else {
            return value.reject(format!("{} is no {kind} name", quoted(name)), HELP);
        };
        match kind {
            "cookie" => Some(Self::Cookie(name.to_owned())),
            _ if header == header::COOKIE => value.reject(
                "the whole `cookie` header changes with every cookie that is set",
                "name one cookie: `\"cookie:sid\"`",
            ),
            _ => Some(Self::Header(header)),
        }
    }
}

/// As it is written in the file.
impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("client"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
        }
    }
}
