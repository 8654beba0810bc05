//! Every default, with its reason. `config/reference.toml` says them to the user; a test compares the two.

use std::{net::SocketAddr, num::NonZero, time::Duration};

use crate::{
    config::{
        limit::{RateKey, RateLimit},
        tls::{CipherSuite, Group},
        upstream::HashKey,
        value::Located,
    },
    message::coding::Coding,
};

/// Long enough for a slow answer, shorter than the 90 s after which systemd kills.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Loopback: metrics and controls concern nobody outside.
pub(crate) const ADMIN_ADDRESS: &str = "127.0.0.1:9090";
/// An honest client sends its head in one piece; slow ones hold memory.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Twice Node's own bound of 16 KiB, so that the application's answer is the one that is seen.
pub(crate) const HEAD_LIMIT: u64 = 32 << 10;
/// A phone that changes cells is silent for less than a minute.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_mins(1);
/// Socket.IO pings every 25 s: what is silent for this long is gone.
pub(crate) const TUNNEL_TIMEOUT: Duration = Duration::from_mins(5);

/// Where the hierarchy of file systems has the state of services, and the image and the unit make a folder.
pub(crate) const STATE: &str = "/var/lib/portcullis";
/// None of our own: `/etc/resolv.conf` is what the rest of the machine goes by.
pub(crate) const DNS: [Located<SocketAddr>; 0] = [];

/// Beyond what one NestJS deployment serves. An idle one takes about 11 KiB over HTTP/1.1.
pub(crate) const MAX_CONNECTIONS: usize = 20_000;

/// Four round trips on a bad line; a scanner that says nothing is cut.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// AES-128 first: as safe in practice and cheaper than AES-256; ChaCha20 for machines without AES.
pub(crate) const CIPHERS: [CipherSuite; 9] = [
    CipherSuite::Tls13Aes128GcmSha256,
    CipherSuite::Tls13Aes256GcmSha384,
    CipherSuite::Tls13Chacha20Poly1305Sha256,
    CipherSuite::EcdheEcdsaAes128GcmSha256,
    CipherSuite::EcdheRsaAes128GcmSha256,
    CipherSuite::EcdheEcdsaAes256GcmSha384,
    CipherSuite::EcdheRsaAes256GcmSha384,
    CipherSuite::EcdheEcdsaChacha20Poly1305Sha256,
    CipherSuite::EcdheRsaChacha20Poly1305Sha256,
];
/// Post-quantum first: what is recorded today must not be read in twenty years.
pub(crate) const GROUPS: [Group; 4] = [
    Group::X25519MlKem768,
    Group::X25519,
    Group::Secp256r1,
    Group::Secp384r1,
];

/// Instances of one application are alike, unless somebody says so.
pub(crate) const WEIGHT: NonZero<u16> = NonZero::<u16>::MIN;
/// The one thing that every request has.
pub(crate) const HASH_KEY: HashKey = HashKey::Client;
/// Two missed probes are noticed within 15 s; a probe per 5 s is no load.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// A backend that needs longer to say it is well is not well.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// One good probe may be luck.
pub(crate) const PROBE_RISE: u32 = 2;
/// A pause of the garbage collector must not eject a backend.
pub(crate) const PROBE_FALL: u32 = 3;
/// A backend of which every second request fails does more harm than good.
pub(crate) const OUTLIER_FAILURES: f64 = 0.5;
/// Fewer say nothing: a page of one broken widget makes ten requests.
pub(crate) const OUTLIER_REQUESTS: u64 = 20;
/// Long enough for a sample on a quiet site, short enough to forget a deploy.
pub(crate) const OUTLIER_WINDOW: Duration = Duration::from_secs(10);
/// What a restart of Node with its migrations takes.
pub(crate) const OUTLIER_EJECT: Duration = Duration::from_secs(10);
/// Node compiles its hot code and opens its database connections in the first seconds.
pub(crate) const SLOW_START: Duration = Duration::from_secs(10);
/// Enough for one dead instance of five; more would double the load on the ones that still stand.
pub(crate) const RETRY_BUDGET: f64 = 0.2;
/// A restart of Node takes seconds: waiting is better than a 503.
pub(crate) const RETRY_HOLD: Duration = Duration::from_secs(10);
/// Three SYNs would take 7 s; inside one data centre 2 s mean dead.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The seed's `proxy_read_timeout`.
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_mins(1);
/// The seed's `proxy_read_timeout`, for the time between two pieces of a body.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// Beyond this one event loop only queues.
pub(crate) const MAX_REQUESTS: usize = 512;
/// A burst of two full backends; what is beyond is told so at once.
pub(crate) const QUEUE: usize = 1024;
/// Node closes idle connections after 5 s: one second of margin ends the race for 502.
pub(crate) const POOL_IDLE: Duration = Duration::from_secs(4);
/// Bounds file descriptors: 128 for each backend and worker.
pub(crate) const POOL_SIZE: usize = 128;

/// Two years: what browsers' preload lists recommend.
pub(crate) const HSTS_MAX_AGE: Duration = Duration::from_hours(17_520);
/// `nosniff`: a file is what its type says.
pub(crate) const CONTENT_TYPE_OPTIONS: &str = "nosniff";
/// Reports of one client. A page that breaks its policy in many places reports each of them at once.
pub(crate) const REPORT_LIMIT: RateLimit = RateLimit {
    requests: 120,
    period: Duration::from_mins(1),
    burst: 60,
    key: RateKey::Client,
};
/// A browser sends a hundred reports together, of about 500 bytes each.
pub(crate) const REPORT_BODY_LIMIT: u64 = 64 << 10;
/// Passes through Vite as it is, and stands in no text by accident.
pub(crate) const NONCE_PLACEHOLDER: &str = "__CSP_NONCE__";
/// `DENY`: nobody may frame the page; silent OIDC renewal in an iframe wants `SAMEORIGIN`.
pub(crate) const FRAME_OPTIONS: &str = "DENY";
/// Other origins learn the origin, never the path.
pub(crate) const REFERRER_POLICY: &str = "strict-origin-when-cross-origin";
/// `0`: the old filter of browsers was itself a hole.
pub(crate) const XSS_PROTECTION: &str = "0";

/// A day of deploys for a page that is still open; rarely does it ask for more than its own.
pub(crate) const RELEASES_KEEP: usize = 3;
/// A tab that is open for longer has been asleep, and loads anew when it wakes.
pub(crate) const RELEASES_AGE: Duration = Duration::from_hours(7 * 24);
/// Several builds of a large client; what is beyond is sent from disk.
pub(crate) const RELEASES_MEMORY: u64 = 64 << 20;
/// Three builds of a client with fonts and films, and their compressed files.
pub(crate) const RELEASES_DISK: u64 = 512 << 20;

/// Nest's own limit for JSON is of this order; uploads say theirs.
pub(crate) const BODY_LIMIT: u64 = 1 << 20;
/// What comes as text, by whatever name. Not what is compressed already: images, video, `woff2`, archives.
pub(crate) const COMPRESS_TYPES: [&str; 12] = [
    "text/*",
    "application/json",
    "application/*+json",
    "application/javascript",
    "application/x-ndjson",
    "application/xml",
    "application/*+xml",
    "application/yaml",
    "application/wasm",
    "image/svg+xml",
    "font/ttf",
    "font/otf",
];
/// A smaller one fits into one packet with its head, compressed or not.
pub(crate) const COMPRESS_MIN_SIZE: u64 = 1 << 10;
/// zstd takes a third to a tenth of the time of the two others, for sizes within a tenth of each other; brotli is a
/// little smaller than gzip. Browsers that know zstd take all three alike.
pub(crate) const COMPRESS_CODINGS: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];
/// A page load fires its calls at once: what the rate allows in this time may come together.
pub(crate) const BURST_WINDOW: Duration = Duration::from_secs(10);
/// What every file server does: the file, or the index of the folder.
pub(crate) const SUFFIXES: [&str; 2] = ["", "/index.html"];
/// They are in the folder because the build was told to write them; a build that must not show its
/// source writes none.
pub(crate) const SOURCE_MAPS: bool = true;
/// A browser that has the head can fetch while the body is on its way, and CDNs make 103 of it.
pub(crate) const PRELOAD: bool = true;
/// Keeps the method, unlike 301, and is cached, unlike 307.
pub(crate) const REDIRECT_STATUS: http::StatusCode = http::StatusCode::PERMANENT_REDIRECT;
/// Two answers more are made of each file, for browsers that have an earlier one; most of the gain of compression is had
/// without.
pub(crate) const DICTIONARIES: bool = false;
/// What a person reads.
pub(crate) const RESPOND_TYPE: &str = "text/plain; charset=utf-8";

/// One worker per core that the process may use.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}
