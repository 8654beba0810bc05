//! Content negotiation: which ready-made variant of a file a client takes.

use http::{HeaderMap, HeaderName, HeaderValue, header::ACCEPT_ENCODING};

use crate::{
    assets::{asset::Asset, content::Content},
    message::coding::Weights,
};

/// By which a client says what it has (RFC 9842 section 2.2).
const AVAILABLE_DICTIONARY: HeaderName = HeaderName::from_static("available-dictionary");

/// The bytes to send, and how they are coded (RFC 9110 section 12.5.3).
///
/// The client's highest weight wins, and the smaller representation among equals. A client that
/// says nothing gets the file as it is, and so does one that takes nothing of what there is: an
/// answer serves it better than a 406.
///
/// Differences go before variants, since they are smaller; they are for a client that says which earlier file it has.
pub(super) fn select<'a>(
    asset: &'a Asset,
    headers: &HeaderMap,
) -> (&'a Content, Option<HeaderValue>) {
    let mut best = (asset.identity(), None);
    let is_plain = asset.variants().is_empty() && asset.deltas().is_empty();
    if is_plain || !headers.contains_key(ACCEPT_ENCODING) {
        return best;
    }
    let weights = Weights::read(headers.get_all(ACCEPT_ENCODING));
    let mut weight = 0;
    if let Some(available) = headers.get(AVAILABLE_DICTIONARY) {
        for delta in asset.deltas().iter().filter(|it| it.available == available) {
            let offered = weights.of_dictionary(delta.coding);
            if offered > weight {
                weight = offered;
                best = (&delta.content, Some(delta.coding.value()));
            }
        }
    }
    for variant in asset.variants() {
        let offered = weights.of(variant.coding);
        if offered > weight {
            weight = offered;
            best = (&variant.content, Some(variant.coding.value()));
        }
    }
    if weights.identity.is_some_and(|identity| identity > weight) {
        return (asset.identity(), None);
    }
    best
}
