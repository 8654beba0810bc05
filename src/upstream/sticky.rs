//! Affinity: which backend served a client before, by its cookie or by its Socket.IO session.
//!
//! The value of the cookie is a keyed hash of the backend's name. It tells no address, and since it is
//! only looked up among the backends that are configured, nothing else can be picked with it. The
//! cookie has `SameSite=Lax`: a page of another site does not send it with its requests, and neither
//! do clients without a cookie jar. For them the sessions of Socket.IO are learned as they open.

use std::{fmt, sync::Arc};

use aws_lc_rs::{digest, hmac, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, Uri};

use crate::{
    config::{self, upstream::Sticky as Mode},
    message::{context::Scheme, cookie},
    upstream::{
        backend::Backend,
        sticky::sessions::{Listener, Sessions},
    },
};

mod engine_io;
pub mod sessions;

/// The affinity of one upstream.
#[derive(Debug)]
pub struct Sticky {
    mode: Mode,
    upstream: String,
    name: String,
    key: Key,
    sessions: Arc<Sessions>,
}

/// What the cookie says of one backend.
#[derive(Debug)]
pub(in crate::upstream) struct Cookie {
    value: String,
    http: HeaderValue,
    https: HeaderValue,
}

impl Sticky {
    /// `None` when nothing sticks. Shares the sessions of the affinity `before` it, which a reload replaces: they name
    /// their backends as the configuration does, so they hold for this one as well.
    pub(in crate::upstream) fn new(
        config: &config::upstream::Upstream,
        key: &Key,
        before: Option<&Self>,
    ) -> Option<Self> {
        (config.sticky != Mode::Off).then(|| Self {
            mode: config.sticky,
            upstream: config.name.clone(),
            name: cookie_name(&config.name),
            key: key.clone(),
            sessions: before
                .map_or_else(|| Arc::new(Sessions::new()), |it| Arc::clone(&it.sessions)),
        })
    }

    /// The cookie of a backend, by its name.
    pub(in crate::upstream) fn cookie(&self, backend: &str) -> Cookie {
        Cookie::new(&self.name, self.key.value(&self.upstream, backend))
    }

    /// Whether a request for `uri` sticks: each does, or those of Socket.IO alone.
    pub fn applies(&self, uri: &Uri) -> bool {
        match self.mode {
            Mode::Off => false,
            Mode::Cookie => true,
            Mode::SocketIo => engine_io::is_own(uri),
        }
    }

    /// The id of the one among `backends` that a request for `uri` belongs to.
    ///
    /// The session that it names comes before its cookie: it lives on one backend and nowhere else, and a browser has
    /// one cookie for many sessions, of which some may be older than it.
    pub fn home(&self, uri: &Uri, headers: &HeaderMap, backends: &[Arc<Backend>]) -> Option<usize> {
        let by_session = || {
            let home = self.sessions.find(&engine_io::session(uri)?)?;
            let backend = backends.iter().find(|it| it.seed() == home)?;
            Some(backend.id())
        };
        by_session().or_else(|| self.read(headers, backends))
    }

    /// What learns the session that `backend` opens with its answer to a request for `uri`, where that asks for one.
    pub fn listener(&self, uri: &Uri, backend: &Backend) -> Option<Listener> {
        engine_io::is_handshake(uri)
            .then(|| Listener::new(Arc::clone(&self.sessions), backend.seed()))
    }

    /// The id of the backend that the request's cookie names, if it is one of `backends`.
    fn read(&self, headers: &HeaderMap, backends: &[Arc<Backend>]) -> Option<usize> {
        cookie::values(headers, &self.name).find_map(|value| {
            let is_named =
                |it: &&Arc<Backend>| it.cookie().is_some_and(|it| it.value.as_bytes() == value);
            backends.iter().find(is_named).map(|it| it.id())
        })
    }

    /// What to set on the response of a request that sticks: nothing when the client `named` the
    /// backend that `served` it.
    pub fn answer<'a>(
        &self,
        named: Option<usize>,
        served: &'a Backend,
        scheme: Scheme,
    ) -> Option<&'a HeaderValue> {
        if named == Some(served.id()) {
            return None;
        }
        let cookie = served.cookie()?;
        Some(match scheme {
            Scheme::Http => &cookie.http,
            Scheme::Https => &cookie.https,
        })
    }

    /// Whether its cookies are those of `key`.
    pub fn is_keyed_by(&self, key: &Key) -> bool {
        self.key.value("", "") == key.value("", "")
    }

    /// Name of the cookie.
    pub fn cookie_name(&self) -> &str {
        &self.name
    }
}

impl Cookie {
    fn new(name: &str, value: String) -> Self {
        let header = |attributes: &str| {
            let text = format!("{name}={value}; Path=/; HttpOnly; {attributes}");
            HeaderValue::try_from(text).expect("name and value are hex and base64url")
        };
        Self {
            http: header("SameSite=Lax"),
            https: header("Secure; SameSite=Lax"),
            value,
        }
    }
}

/// The key of all affinity cookies.
///
/// Cookies made with another key are not recognised, so it is kept over reloads, and comes from `server.secret` where
/// cookies are to outlive the process or several processes answer for the same site.
#[derive(Clone)]
pub struct Key(hmac::Key);

impl Key {
    /// A new one that nobody knows.
    ///
    /// # Errors
    ///
    /// The system has no randomness to give.
    pub fn random() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut secret = [0; 32];
        rand::fill(&mut secret)?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &secret)))
    }

    /// The one that belongs to a secret; the same secret gives the same cookies.
    pub fn from_secret(secret: &[u8]) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = hmac::sign(&secret, LABEL);
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    fn value(&self, upstream: &str, backend: &str) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(upstream.as_bytes());
        context.update(&[0]);
        context.update(backend.as_bytes());
        URL_SAFE_NO_PAD.encode(&context.sign().as_ref()[..VALUE_BYTES])
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

/// What is derived from a secret for other uses tells nothing of this key.
const LABEL: &[u8] = b"portcullis affinity cookie";

/// Enough that no two backends share a value.
const VALUE_BYTES: usize = 12;

/// Two upstreams of one site must not share a cookie; the name need not be secret.
fn cookie_name(upstream: &str) -> String {
    let hash = digest::digest(&digest::SHA256, upstream.as_bytes());
    let [a, b, c, ..] = hash.as_ref() else {
        return "pcls".to_owned();
    };
    format!("pcls_{a:02x}{b:02x}{c:02x}")
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        observe::metrics::Metrics,
        upstream::{Surroundings, Upstream, tests::upstream},
    };

    const BACKENDS: [&str; 2] = ["http://127.0.0.1:3001", "http://127.0.0.1:3002"];

    fn sticky(name: &str, mode: Mode, secret: &[u8]) -> Arc<Upstream> {
        after(None, name, mode, secret)
    }

    fn after(before: Option<&Upstream>, name: &str, mode: Mode, secret: &[u8]) -> Arc<Upstream> {
        let mut config = upstream(&BACKENDS, |_| {}).config().as_ref().clone();
        name.clone_into(&mut config.name);
        config.sticky = mode;
        let surroundings = Surroundings {
            key: &Key::from_secret(secret),
            metrics: &Arc::new(Metrics::new()),
            workers: 1,
            before,
        };
        Upstream::new(Arc::new(config), &surroundings).unwrap()
    }

    fn name(upstream: &Upstream) -> String {
        upstream.sticky().unwrap().name.clone()
    }

    fn pair(upstream: &Upstream, index: usize) -> String {
        let backends = upstream.backends();
        let cookie = backends[index].cookie().unwrap();
        format!("{}={}", name(upstream), cookie.value)
    }

    fn read(upstream: &Upstream, fields: &[&str]) -> Option<usize> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(COOKIE, HeaderValue::from_str(field).unwrap());
        }
        let sticky = upstream.sticky().unwrap();
        sticky.read(&headers, &upstream.backends())
    }

    #[test]
    fn finds_its_cookie_among_others() {
        let sticky = sticky("api", Mode::Cookie, b"k");
        let mine = pair(&sticky, 1);
        assert_eq!(read(&sticky, &[&mine]), Some(1));
        assert_eq!(read(&sticky, &[&format!("a=b; {mine};c=d")]), Some(1));
        assert_eq!(read(&sticky, &["a=b", &mine]), Some(1));
        let (name, value) = mine.split_once('=').unwrap();
        assert_eq!(read(&sticky, &[&format!("{name}=\"{value}\"")]), Some(1));
        assert_eq!(
            read(&sticky, &[&format!("{name}=stale; {mine}")]),
            Some(1),
            "a stale one in front does not hide it"
        );
    }

    #[test]
    fn ignores_what_is_not_its_own() {
        let sticky = sticky("api", Mode::Cookie, b"k");
        let mine = pair(&sticky, 0);
        assert_eq!(read(&sticky, &[]), None);
        assert_eq!(read(&sticky, &[&format!("x{mine}")]), None);
        assert_eq!(read(&sticky, &[&format!("{mine}x")]), None);
        assert_eq!(read(&sticky, &[&format!("{}=0", name(&sticky))]), None);
        assert_eq!(
            read(&sticky, &[&format!("{}=127.0.0.1:3001", name(&sticky))]),
            None
        );
    }

    #[test]
    fn depends_on_the_key_and_on_the_upstream() {
        let value = |pair: &str| pair.split_once('=').unwrap().1.to_owned();
        let one = sticky("api", Mode::Cookie, b"k");
        assert_eq!(
            read(&sticky("api", Mode::Cookie, b"k"), &[&pair(&one, 1)]),
            Some(1)
        );
        assert_eq!(
            read(&sticky("api", Mode::Cookie, b"other"), &[&pair(&one, 1)]),
            None
        );
        let other = sticky("admin", Mode::Cookie, b"k");
        assert_ne!(name(&one), name(&other));
        assert_ne!(value(&pair(&one, 0)), value(&pair(&other, 0)));
    }

    #[test]
    fn sets_a_cookie_only_when_the_client_names_another_backend() {
        let upstream = sticky("api", Mode::Cookie, b"k");
        let backends = upstream.backends();
        let (sticky, served) = (upstream.sticky().unwrap(), &backends[1]);
        assert_eq!(sticky.answer(Some(1), served, Scheme::Https), None);
        let header = sticky.answer(Some(0), served, Scheme::Https).unwrap();
        let expected = format!(
            "{}; Path=/; HttpOnly; Secure; SameSite=Lax",
            pair(&upstream, 1)
        );
        assert_eq!(header, expected.as_str());
        let plain = sticky.answer(None, served, Scheme::Http).unwrap();
        assert!(!plain.to_str().unwrap().contains("Secure"));
    }

    fn opened(upstream: &Upstream, index: usize, sid: &str) {
        let uri = "/socket.io/?EIO=4&transport=polling".parse().unwrap();
        let sticky = upstream.sticky().unwrap();
        let listener = sticky.listener(&uri, &upstream.backends()[index]).unwrap();
        assert!(
            listener
                .hear(format!("0{{\"sid\":\"{sid}\"}}").as_bytes())
                .is_none()
        );
    }

    fn home(upstream: &Upstream, uri: &str, cookie: Option<&str>) -> Option<usize> {
        let mut headers = HeaderMap::new();
        if let Some(cookie) = cookie {
            headers.append(COOKIE, HeaderValue::from_str(cookie).unwrap());
        }
        let sticky = upstream.sticky().unwrap();
        sticky.home(&uri.parse().unwrap(), &headers, &upstream.backends())
    }

    #[test]
    fn a_session_is_found_without_a_cookie_and_before_one() {
        for mode in [Mode::SocketIo, Mode::Cookie] {
            let upstream = sticky("api", mode, b"k");
            opened(&upstream, 1, "abc");
            let request = "/socket.io/?EIO=4&transport=polling&sid=abc";
            assert_eq!(home(&upstream, request, None), Some(1));
            let cookie = pair(&upstream, 0);
            assert_eq!(home(&upstream, request, Some(&cookie)), Some(1));
            let other = "/socket.io/?EIO=4&transport=polling&sid=other";
            assert_eq!(home(&upstream, other, None), None);
            assert_eq!(home(&upstream, other, Some(&cookie)), Some(0));
            assert_eq!(home(&upstream, "/x?sid=abc", None), None);
        }
    }

    #[test]
    fn an_upstream_that_was_made_anew_knows_the_sessions_of_the_old_one() {
        let old = sticky("api", Mode::SocketIo, b"k");
        opened(&old, 1, "abc");
        let new = after(Some(&old), "api", Mode::SocketIo, b"other");
        let session = |sid: &str| format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
        assert_eq!(home(&new, &session("abc"), None), Some(1));
        // A request that the old one still had under way.
        opened(&old, 0, "late");
        assert_eq!(home(&new, &session("late"), None), Some(0));
    }

    #[test]
    fn knows_its_key() {
        let upstream = sticky("api", Mode::Cookie, b"k");
        let is_keyed_by = |key: &Key| upstream.sticky().unwrap().is_keyed_by(key);
        assert!(is_keyed_by(&Key::from_secret(b"k")));
        assert!(!is_keyed_by(&Key::from_secret(b"other")));
        assert!(!is_keyed_by(&Key::random().unwrap()));
    }

    #[test]
    fn does_not_exist_when_nothing_sticks() {
        assert!(
            upstream(&BACKENDS, |config| config.sticky = Mode::Off)
                .sticky()
                .is_none()
        );
    }

    proptest! {
        #[test]
        fn reads_any_bytes_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let sticky = sticky("api", Mode::Cookie, b"k");
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                headers.append(COOKIE, value);
            }
            prop_assert_eq!(sticky.sticky().unwrap().read(&headers, &sticky.backends()), None);
        }

        #[test]
        fn reads_its_cookie_behind_any_other(other in "[ -:<-~]{0,40}", index in 0_usize..2) {
            let sticky = sticky("api", Mode::Cookie, b"k");
            prop_assume!(!other.contains(&name(&sticky)));
            let field = format!("{other}; {}", pair(&sticky, index));
            prop_assert_eq!(read(&sticky, &[&field]), Some(index));
        }
    }
}
