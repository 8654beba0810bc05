//! Answers of a backend: good ones of every framing, bad ones of every kind, cut anywhere.

use bytes::Bytes;
use http::Method;
use proptest::{prelude::*, sample::Index};

use super::play::Upload;

/// What a backend says, and to what kind of request.
#[derive(Clone)]
pub(super) struct Script {
    pub(super) method: Method,
    pub(super) wants_upgrade: bool,
    /// The request body never comes to its end.
    pub(super) is_early: bool,
    pub(super) bytes: Vec<u8>,
    /// Where the bytes are cut, in order.
    pub(super) cuts: Vec<usize>,
}

impl Script {
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.cuts.iter().copied());
        let ends = self.cuts.iter().copied().chain([self.bytes.len()]);
        starts
            .zip(ends)
            .map(|(start, end)| &self.bytes[start..end])
            .filter(|piece| !piece.is_empty())
    }

    pub(super) fn upload(&self) -> Upload {
        let has_body = self.is_early || self.method == Method::POST;
        Upload {
            ready: has_body.then(|| Bytes::from_static(b"hello")),
            is_whole: !self.is_early,
        }
    }
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script")
            .field("method", &self.method)
            .field("wants_upgrade", &self.wants_upgrade)
            .field("is_early", &self.is_early)
            .field("bytes", &self.bytes.escape_ascii().to_string())
            .field("cuts", &self.cuts)
            .finish()
    }
}

/// Any script.
pub(super) fn script() -> impl Strategy<Value = Script> {
    let request = (
        prop_oneof![6 => Just(Method::GET), 2 => Just(Method::POST), 1 => Just(Method::HEAD)],
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.1),
    );
    let damages = prop_oneof![
        3 => Just(Vec::new()),
        1 => prop::collection::vec(damage(), 1..4),
    ];
    (request, answer(), damages, cuts()).prop_map(|(request, mut bytes, damages, cuts)| {
        let (method, wants_upgrade, is_early) = request;
        // hyper sends no body of unknown length with a GET, and does not upgrade before a body's end.
        let is_early =
            is_early && method == Method::POST && !bytes.windows(5).any(|it| it == b" 101 ");
        for (kind, at, byte) in damages {
            inflict(&mut bytes, kind, at, byte);
        }
        let cuts = cuts.places(bytes.len());
        Script {
            method,
            wants_upgrade,
            is_early,
            bytes,
            cuts,
        }
    })
}

#[derive(Debug, Clone)]
enum Cuts {
    At(Vec<Index>),
    /// After each byte, where the answer is short.
    Each,
}

impl Cuts {
    fn places(&self, length: usize) -> Vec<usize> {
        match self {
            Self::Each if length < 1000 => (1..length).collect(),
            Self::Each => vec![length / 2],
            Self::At(places) => {
                let mut places: Vec<_> = places.iter().map(|it| it.index(length + 1)).collect();
                places.sort_unstable();
                places
            }
        }
    }
}

fn cuts() -> impl Strategy<Value = Cuts> {
    prop_oneof![
        9 => prop::collection::vec(any::<Index>(), 0..8).prop_map(Cuts::At),
        1 => Just(Cuts::Each),
    ]
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    Replace,
    Insert,
    Remove,
    Truncate,
}

fn damage() -> impl Strategy<Value = (Damage, Index, u8)> {
    use Damage::{Insert, Remove, Replace, Truncate};
    let kinds = vec![Replace, Replace, Insert, Insert, Remove, Remove, Truncate];
    let bytes = b"\r\n\0 \t:;,=0159afFx-\x7f\x80\xff".to_vec();
    (
        prop::sample::select(kinds),
        any::<Index>(),
        prop::sample::select(bytes),
    )
}

fn inflict(bytes: &mut Vec<u8>, kind: Damage, at: Index, byte: u8) {
    if bytes.is_empty() {
        return;
    }
    let at = at.index(bytes.len());
    match kind {
        Damage::Replace => bytes[at] = byte,
        Damage::Insert => bytes.insert(at, byte),
        Damage::Remove => drop(bytes.remove(at)),
        Damage::Truncate => bytes.truncate(at),
    }
}

/// A whole answer: interim responses, a final one, and at times something behind it.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let interim = prop::sample::select(vec![
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\nX: y\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nLink: </b.js>\r\n\r\n",
        "HTTP/1.1 199 X\r\nContent-Length: 3\r\n\r\n",
    ]);
    let interims = prop_oneof![
        5 => Just(Vec::new()),
        1 => prop::collection::vec(interim, 1..4),
    ];
    let behind = prop_oneof![
        9 => Just(""),
        1 => prop::sample::select(vec!["\r\n", "x", "HTTP/1.1 200 OK\r\n\r\n", "0\r\n\r\n"]),
    ];
    let line = (rarely("HTTP/1.1", VERSIONS), rarely("200 OK", STATUSES));
    (interims, line, fields(), message(), behind).prop_map(
        |(interims, (version, status), fields, (framing, body), behind)| {
            let mut bytes = interims.concat().into_bytes();
            bytes.extend_from_slice(format!("{version} {status}\r\n").as_bytes());
            let middle = fields.len() / 2;
            for field in &fields[..middle] {
                bytes.extend_from_slice(field.as_bytes());
            }
            bytes.extend_from_slice(framing.as_bytes());
            for field in &fields[middle..] {
                bytes.extend_from_slice(field.as_bytes());
            }
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(&body);
            bytes.extend_from_slice(behind.as_bytes());
            bytes
        },
    )
}

const VERSIONS: &[&str] = &[
    "HTTP/1.0",
    "HTTP/1.0",
    "HTTP/1.0",
    "HTTP/1.2",
    "HTTP/2",
    "http/1.1",
    "HTTP/0.9",
    "\r\nHTTP/1.1",
    "ICY",
];

const STATUSES: &[&str] = &[
    "204 No Content",
    "304 Not Modified",
    "101 Switching Protocols",
    "404 Not Found",
    "500",
    "206 ",
    "999 \u{e9}\tx",
    "099 X",
    "20 X",
    "2000 X",
    "200\tOK",
    " 200 OK",
];

const FIELDS: &[&str] = &[
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "connection: x, CLOSE ,y\r\n",
    "Connection: keep-alive, close\r\n",
    "Connection: \u{e9}, close\r\n",
    "Keep-Alive: timeout=5\r\n",
    "Upgrade: websocket\r\n",
    "Set-Cookie: a=b\r\n",
    "set-cookie: c=d\r\n",
    "Empty:\r\n",
    "Spaces: \t a \t b \t \r\n",
    "Text: \u{e9}\r\n",
    "Bare: a\n",
    "Fold: a\r\n b\r\n",
    "Name : a\r\n",
    ": nameless\r\n",
    "no colon\r\n",
    "Carriage: a\rb\r\n",
    "Nul: a\0b\r\n",
    "T\u{e9}xt: a\r\n",
];

/// Header fields, the odd ones rarely.
fn fields() -> impl Strategy<Value = Vec<String>> {
    let plain = ("[A-Za-z-]{1,12}", "[ -~]{0,20}")
        .prop_map(|(name, value)| format!("X-{name}: {value}\r\n"));
    let field = prop_oneof![
        4 => plain,
        3 => prop::sample::select(&FIELDS[..11]).prop_map(str::to_owned),
        1 => prop::sample::select(FIELDS).prop_map(str::to_owned),
    ];
    prop_oneof![
        60 => prop::collection::vec(field, 0..6),
        1 => (100..160usize).prop_map(|count| vec!["a: b\r\n".to_owned(); count]),
        1 => (65_000..66_000usize).prop_map(|size| vec![format!("a: {}\r\n", "x".repeat(size))]),
    ]
}

/// Framing fields, and a body that fits them or nearly does.
fn message() -> impl Strategy<Value = (String, Vec<u8>)> {
    let payload = || prop::collection::vec(any::<u8>(), 0..60);
    prop_oneof![
        2 => payload().prop_map(|body| (String::new(), body)),
        4 => payload().prop_map(|body| (format!("Content-Length: {}\r\n", body.len()), body)),
        1 => (payload(), 0..60usize)
            .prop_map(|(body, length)| (format!("Content-Length: {length}\r\n"), body)),
        1 => (payload(), prop::sample::select(LENGTHS)).prop_map(|(body, fields)| {
            (fields.replace('N', &body.len().to_string()), body)
        }),
        6 => (rarely("Transfer-Encoding: chunked\r\n", CODINGS), chunked())
            .prop_map(|(coding, body)| (coding.to_owned(), body)),
    ]
}

/// `N` stands for the length of the body.
const LENGTHS: &[&str] = &[
    "Content-Length: N\r\nContent-Length: N\r\n",
    "Content-Length: N\r\nContent-Length: 0N\r\n",
    "Content-Length: N\r\nContent-Length: 1\r\n",
    "Content-Length: N, N\r\n",
    "Content-Length: 00N\r\n",
    "Content-Length: +N\r\n",
    "Content-Length: -1\r\n",
    "Content-Length: 0xN\r\n",
    "Content-Length: N \t\r\n",
    "Content-Length:\r\n",
    "Content-Length: 18446744073709551615\r\n",
    "Content-Length: 18446744073709551616\r\n",
    "Content-Length: \u{e9}\r\n",
];

const CODINGS: &[&str] = &[
    "transfer-encoding: CHUNKED\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: chunked, gzip\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding: chunked;q=1\r\n",
    "Transfer-Encoding:\r\n",
    "Transfer-Encoding: \u{e9}chunked\r\n",
];

/// A body in the chunked coding, with sizes and line ends that are odd at times.
fn chunked() -> impl Strategy<Value = Vec<u8>> {
    let chunk = (
        prop::collection::vec(any::<u8>(), 1..40),
        rarely("N\r\n", SIZES),
        rarely("\r\n", &["\n", "x\r\n", "\r", ""]),
    );
    let trailers = prop_oneof![
        6 => Just(String::new()),
        3 => prop::collection::vec("[A-Z]{1,5}: [a-z]{0,8}\r\n", 1..4).prop_map(|it| it.concat()),
        1 => prop::sample::select(TRAILERS).prop_map(str::to_owned),
        1 => (30..36usize).prop_map(|count| "a: b\r\n".repeat(count)),
    ];
    let last = rarely(
        "0\r\n",
        &[
            "000\r\n",
            "0;x=y\r\n",
            "0 \r\n",
            "0\n",
            "00000000000000000\r\n",
        ],
    );
    let end = rarely("\r\n", &["\n", "\r", "", "x"]);
    let chunks = prop::collection::vec(chunk, 0..5);
    (chunks, last, trailers, end).prop_map(|(chunks, last, trailers, end)| {
        let mut bytes = Vec::new();
        for (payload, line, behind) in chunks {
            let line = line
                .replace('N', &format!("{:x}", payload.len()))
                .replace('L', &"x".repeat(1100));
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(&payload);
            bytes.extend_from_slice(behind.as_bytes());
        }
        bytes.extend_from_slice(last.as_bytes());
        bytes.extend_from_slice(trailers.as_bytes());
        bytes.extend_from_slice(end.as_bytes());
        bytes
    })
}

/// Lines of a chunk's size: `N` stands for it, `L` for something long.
const SIZES: &[&str] = &[
    "N;name=value\r\n",
    "N ; name = \"a;b\"\r\n",
    "N;\r\n",
    "N \t\r\n",
    "00N\r\n",
    "0000000000000000N\r\n",
    "N x\r\n",
    "N\u{e9}\r\n",
    "N;a\rb\r\n",
    "N;a\0\r\n",
    " N\r\n",
    "0xN\r\n",
    "+N\r\n",
    "-N\r\n",
    "N\n",
    "N;a\n",
    "N\r",
    "\r\n",
    ";x\r\n",
    "ffffffffffffffff\r\n",
    "fffffffffffffffff\r\n",
    "N;L\r\n",
];

const TRAILERS: &[&str] = &[
    "Bare: a\n",
    "Fold: a\r\n b\r\n",
    "Name : a\r\n",
    "no colon\r\n",
    "Nul: a\0\r\n",
    "Text: \u{e9}\r\n",
    "Carriage: a\rb\r\n",
    "\n",
];

/// The usual text mostly, one of `others` otherwise.
fn rarely(
    usual: &'static str,
    others: &'static [&'static str],
) -> impl Strategy<Value = &'static str> {
    prop_oneof![
        5 => Just(usual),
        2 => prop::sample::select(others),
    ]
}
