//! Content negotiation: which ready-made variant of a file a client takes.

use http::{HeaderMap, header::ACCEPT_ENCODING};

use crate::{
    assets::{asset::Asset, content::Content},
    message::coding::{Coding, Weights},
};

/// The bytes to send, and how they are coded (RFC 9110 section 12.5.3).
///
/// The client's highest weight wins, and the smaller representation among equals. A client that
/// says nothing gets the file as it is, and so does one that takes nothing of what there is: an
/// answer serves it better than a 406.
pub(super) fn select<'a>(asset: &'a Asset, headers: &HeaderMap) -> (&'a Content, Option<Coding>) {
    let mut best = (asset.identity(), None);
    if asset.variants().is_empty() || !headers.contains_key(ACCEPT_ENCODING) {
        return best;
    }
    let weights = Weights::read(headers.get_all(ACCEPT_ENCODING));
    let mut weight = 0;
    for variant in asset.variants() {
        let offered = weights.of(variant.coding);
        if offered > weight {
            weight = offered;
            best = (&variant.content, Some(variant.coding));
        }
    }
    if weights.identity.is_some_and(|identity| identity > weight) {
        return (asset.identity(), None);
    }
    best
}
