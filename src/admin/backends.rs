//! Upstreams and their backends as JSON, and the operator's orders about them.

use std::{borrow::Cow, sync::Arc};

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::upstream::{Upstream, backend::Backend, members::List};

/// Whom an order is about is not there; says who is.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknown {
    #[error("no upstream is named `{0}`; there are: {1}")]
    Upstream(String, String),
    #[error("upstream `{0}` has no backend `{1}`; it has: {2}")]
    Backend(String, String, String),
}

/// Each upstream with its backends.
pub(super) fn all(upstreams: &[Arc<Upstream>]) -> Value {
    let upstreams = upstreams.iter().map(|upstream| {
        json!({
            "name": **upstream.name(),
            "waiting": upstream.waiting(),
            "backends": states(upstream, &upstream.backends(), &upstream.departed()),
        })
    });
    json!({ "upstreams": upstreams.collect::<Vec<_>>() })
}

/// Carries out an order about the `upstream` and the `backend` that `query` names; how these backends are then.
///
/// # Errors
/// There is no such upstream or backend.
pub(super) fn order(
    upstreams: &[Arc<Upstream>],
    query: &str,
    carry_out: fn(&Upstream, &Arc<str>),
) -> Result<Value, Unknown> {
    let (upstream, backend) = (value(query, "upstream"), value(query, "backend"));
    let Some(found) = upstreams.iter().find(|it| **it.name() == *upstream) else {
        let names = upstreams.iter().map(|it| it.name());
        return Err(Unknown::Upstream(upstream.into_owned(), list(names)));
    };
    let Some(key) = found.known_as(&backend) else {
        let backends = found.backends();
        let names = list(backends.iter().map(|it| it.name()));
        let (upstream, backend) = (upstream.into_owned(), backend.into_owned());
        return Err(Unknown::Backend(upstream, backend, names));
    };
    carry_out(found, &key);
    Ok(json!({ "backends": states(found, &found.meant(&key), &List::new()) }))
}

/// Those of the list, and those that have left it but are busy yet.
fn states(upstream: &Upstream, list: &List, departed: &List) -> Vec<Value> {
    let here = list.iter().map(|it| state(upstream, it, word(it)));
    let gone = departed.iter().map(|it| {
        let word = if it.is_drained() { "drained" } else { "gone" };
        state(upstream, it, word)
    });
    here.chain(gone).collect()
}

/// How a backend of the list is.
fn word(backend: &Backend) -> &'static str {
    let health = backend.health();
    if backend.is_drained() {
        "drained"
    } else if health.is_ejected() {
        "ejected"
    } else if !health.is_healthy() {
        "down"
    } else if health.is_cooling() {
        "unreachable"
    } else {
        "up"
    }
}

fn state(upstream: &Upstream, backend: &Backend, word: &str) -> Value {
    let under_way = upstream.under_way(backend);
    json!({
        "name": **backend.name(),
        "state": word,
        "addresses": backend.addresses().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "in_flight": under_way.requests,
        "lingering": under_way.lingering,
    })
}

/// The value of `key`; empty where it is missing.
fn value<'a>(query: &'a str, key: &str) -> Cow<'a, str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| value)
        .next();
    percent_decode_str(found.unwrap_or_default()).decode_utf8_lossy()
}

fn list<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> String {
    let quoted: Vec<_> = names.map(|it| format!("`{it}`")).collect();
    quoted.join(", ")
}
