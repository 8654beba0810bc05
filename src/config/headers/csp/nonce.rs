//! `csp.nonce`: whether pages have nonces, and what stands in for them in HTML files.

use toml::de::DeValue;

use super::{
    super::{
        Csp, Inline,
        policy::{DEFAULT, SCRIPT, UNSAFE_INLINE},
    },
    Policy,
};
use crate::config::{
    defaults,
    reader::{Read, Value, quoted, table::Table},
};

/// What stands where a nonce belongs; `None` where pages have none.
pub(super) struct Placeholder(pub(super) Option<String>);

impl Read for Placeholder {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = match value.node.get_ref() {
            DeValue::Boolean(true) => {
                return Some(Self(Some(defaults::NONCE_PLACEHOLDER.to_owned())));
            }
            DeValue::Boolean(false) => return Some(Self(None)),
            DeValue::String(_) => value.text("a placeholder", "\"__CSP_NONCE__\"")?,
            _ => return value.wrong_type("`true` or a placeholder", "true"),
        };
        // It is replaced wherever it stands, so it must not be a word.
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-{}".contains(&byte);
        if (8..=64).contains(&text.len()) && text.bytes().all(is_good) {
            return Some(Self(Some(text.into_owned())));
        }
        value.reject(
            format!("{} is no placeholder for a nonce", quoted(&text)),
            "write 8 to 64 letters, digits and `_-{}`, the same as Vite's `html.cspNonce`; or `true` for `__CSP_NONCE__`",
        )
    }
}

/// Pushes the fault of a nonce that no page could have.
pub(super) fn report_misuse(table: &Table<'_>, csp: &Csp) {
    let (Some(value), true) = (table.value("nonce"), csp.nonce.is_some()) else {
        return;
    };
    let Policy::Directives(directives) = &csp.policy else {
        value.reject::<()>(
            "`policy` is sent as it is written, so it can have no nonce",
            "write the directives instead of `policy`, or take `nonce` out",
        );
        return;
    };
    let named = |wanted| directives.iter().find(|(name, _)| name == wanted);
    let scripts = named(SCRIPT).or_else(|| named(DEFAULT));
    if scripts.is_some_and(|(_, sources)| sources.iter().any(|it| it == UNSAFE_INLINE)) {
        value.reject::<()>(
            "a nonce switches `'unsafe-inline'` off, which scripts have",
            "take `'unsafe-inline'` out of `script` or `default`, or `nonce` out",
        );
    } else if csp.around_nonces(&Inline::default()).len() < 2 {
        value.reject::<()>(
            "the policy has no place for a nonce: it says nothing of scripts and styles, or allows none",
            "take `nonce` out, or allow scripts as in `script = [\"'self'\"]`",
        );
    }
}
