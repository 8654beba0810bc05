//! Which backend has which Socket.IO session: learned from handshakes, for clients that keep no cookies.
//!
//! The table holds no session, only a keyed hash of each, so that no client can aim for the place of another's. It has
//! two generations: what is asked for moves to the younger one, and when that is full or old enough, the elder one is
//! forgotten. So a session that polls stays, and memory has a bound.

use std::{
    hash::{BuildHasher as _, RandomState},
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fnv::FnvHashMap;
use tokio::time::Instant;

use crate::upstream::sticky::engine_io::{Opening, opening};

/// Sessions in one generation: as many as a hash table of 65,536 places takes. The places are 1.1 MiB, so both
/// generations of an upstream are 2.2 MiB at most, and nothing before a session is learned.
const GENERATION: usize = 57_344;

/// Life of a generation, and so the least time that a silent session is remembered. Socket.IO polls each 25 s, and
/// gives up after 45 s without an answer.
const LIFE: Duration = Duration::from_mins(5);

/// Bytes of an answer that are looked at; an `open` packet is about 120.
const LONGEST: usize = 1024;

/// The sessions of one upstream, shared by all workers.
#[derive(Debug)]
pub(super) struct Sessions {
    /// `SipHash`, with a key that nobody knows.
    hasher: RandomState,
    table: Mutex<Table>,
}

/// Homes by the hash of their session.
#[derive(Debug)]
struct Table {
    young: FnvHashMap<u64, u64>,
    old: FnvHashMap<u64, u64>,
    turned: Instant,
}

impl Sessions {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            table: Mutex::new(Table {
                young: FnvHashMap::default(),
                old: FnvHashMap::default(),
                turned: Instant::now(),
            }),
        }
    }

    /// The home of `session`, if it was learned.
    pub(super) fn find(&self, session: &[u8]) -> Option<u64> {
        let hash = self.hasher.hash_one(session);
        self.table(|table| table.find(hash))
    }

    /// Remembers that `session` lives at `home`.
    fn learn(&self, session: &[u8], home: u64) {
        let hash = self.hasher.hash_one(session);
        self.table(|table| table.young.insert(hash, home));
    }

    fn table<T>(&self, on: impl FnOnce(&mut Table) -> T) -> T {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.turn();
        on(&mut table)
    }
}

impl Table {
    fn find(&mut self, hash: u64) -> Option<u64> {
        if let Some(home) = self.young.get(&hash) {
            return Some(*home);
        }
        let home = self.old.remove(&hash)?;
        self.young.insert(hash, home);
        Some(home)
    }

    /// Begins another generation when this one is full or old. It has room for one more after that.
    fn turn(&mut self) {
        let now = Instant::now();
        if self.young.len() >= GENERATION || now.duration_since(self.turned) >= LIFE {
            self.old = mem::take(&mut self.young);
            self.turned = now;
        }
    }
}

/// Looks at the beginning of an answer for the session that it opens.
#[derive(Debug)]
pub struct Listener {
    sessions: Arc<Sessions>,
    home: u64,
    /// What has passed so far, [`LONGEST`] bytes at most.
    heard: Vec<u8>,
}

impl Listener {
    /// Learns for `sessions` that what is opened lives at `home`.
    pub(super) fn new(sessions: Arc<Sessions>, home: u64) -> Self {
        Self {
            sessions,
            home,
            heard: Vec::new(),
        }
    }

    /// Hears the next bytes of the body; `None` when no more need be heard.
    #[must_use]
    pub fn hear(mut self, bytes: &[u8]) -> Option<Self> {
        let room = LONGEST - self.heard.len();
        self.heard
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
        match opening(&self.heard) {
            Opening::Session(session) => {
                self.sessions.learn(session.as_bytes(), self.home);
                None
            }
            Opening::Incomplete if self.heard.len() < LONGEST => Some(self),
            Opening::Incomplete | Opening::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::time::advance;

    use super::*;

    fn hear(sessions: &Arc<Sessions>, pieces: &[&[u8]]) -> Option<Listener> {
        let listener = Listener::new(sessions.clone(), 7);
        pieces
            .iter()
            .try_fold(listener, |listener, piece| listener.hear(piece))
    }

    fn size(sessions: &Sessions) -> (usize, usize) {
        let table = sessions.table.lock().unwrap();
        (table.young.len(), table.old.len())
    }

    #[tokio::test(start_paused = true)]
    async fn remembers_a_session_that_polls_and_forgets_a_silent_one() {
        let sessions = Sessions::new();
        sessions.learn(b"polls", 1);
        sessions.learn(b"silent", 2);
        for _ in 0..100 {
            advance(Duration::from_secs(25)).await;
            assert_eq!(sessions.find(b"polls"), Some(1));
        }
        assert_eq!(sessions.find(b"silent"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn remembers_a_silent_session_for_one_life() {
        let sessions = Sessions::new();
        advance(LIFE * 9 / 10).await;
        sessions.learn(b"x", 1);
        for _ in 0..LIFE.as_secs() {
            advance(Duration::from_secs(1)).await;
            // Others go on.
            sessions.learn(b"y", 2);
        }
        assert_eq!(sessions.find(b"x"), Some(1));
    }

    #[test]
    fn never_holds_more_than_two_generations() {
        let sessions = Sessions::new();
        for number in 0..3 * GENERATION {
            sessions.learn(&number.to_ne_bytes(), 1);
            if number % 1000 == 0 {
                sessions.learn(b"mine", 2);
            }
        }
        let (young, old) = size(&sessions);
        assert!(young <= GENERATION && old <= GENERATION, "{young} {old}");
        assert_eq!(sessions.find(b"mine"), Some(2));
        assert_eq!(sessions.find(&0_usize.to_ne_bytes()), None);
        let table = sessions.table.lock().unwrap();
        assert!(table.young.capacity() <= GENERATION && table.old.capacity() <= GENERATION);
    }

    #[test]
    fn moves_a_session_that_is_opened_anew() {
        let sessions = Sessions::new();
        sessions.learn(b"x", 1);
        sessions.learn(b"x", 2);
        assert_eq!(sessions.find(b"x"), Some(2));
    }

    #[test]
    fn hears_no_more_than_it_must() {
        let sessions = Arc::new(Sessions::new());
        assert!(hear(&sessions, &[b"<!doctype html>"]).is_none());
        assert!(hear(&sessions, &[b"0{\"sid\":\"a\"", b"}"]).is_none());
        assert_eq!(sessions.find(b"a"), Some(7));
        let endless = [b"0{\"x\":\"".as_slice(), &[b'a'; 2 * LONGEST]];
        assert!(hear(&sessions, &endless).is_none());
        let long = hear(&sessions, &[b"0{\"x\":\"", &[b'a'; 100]]).unwrap();
        assert_eq!(long.heard.len(), 107);
    }

    proptest! {
        #[test]
        fn learns_from_any_split_and_from_any_bytes(
            sid in "[A-Za-z0-9_-]{1,40}",
            sizes in prop::collection::vec(1_usize..30, 1..40),
            noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
        ) {
            let sessions = Arc::new(Sessions::new());
            let body = format!("0{{\"sid\":\"{sid}\",\"upgrades\":[]}}");
            let mut rest = body.as_bytes();
            let mut pieces = Vec::new();
            for size in sizes.iter().cycle() {
                let (piece, more) = rest.split_at(rest.len().min(*size));
                pieces.push(piece);
                rest = more;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert!(hear(&sessions, &pieces).is_none());
            prop_assert_eq!(sessions.find(sid.as_bytes()), Some(7));
            let noise: Vec<&[u8]> = noise.iter().map(Vec::as_slice).collect();
            if let Some(listener) = hear(&sessions, &noise) {
                prop_assert!(listener.heard.len() < LONGEST);
            }
        }
    }
}
