//! Follows the folders of assets: a new build is looked for all the time, and told of once.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    assets::{AssetError, Changed, Store},
    snapshot::Live,
};

/// How often folders are looked at.
const PAUSE: Duration = Duration::from_secs(1);
/// Share of the time that looking may take, as a divisor: a folder of many thousand files is looked
/// at less often.
const SHARE: u32 = 20;

/// Looks for new builds until it is dropped.
pub(super) async fn follow(live: Arc<Live>) {
    let mut told = Told::default();
    let mut took = Duration::ZERO;
    loop {
        sleep(PAUSE.max(took * SHARE)).await;
        let stores = live.load().stores();
        if stores.is_empty() {
            continue;
        }
        let start = Instant::now();
        #[expect(clippy::disallowed_methods, reason = "walks folders and reads files")]
        let looked = tokio::task::spawn_blocking(move || look(&stores, told));
        let was_quiet;
        (told, was_quiet) = match looked.await {
            Ok(looked) => looked,
            Err(error) => {
                tracing::error!(%error, "looking for a new build failed");
                (Told::default(), true)
            }
        };
        // A build that is on its way is waited for; reading one says nothing of how long looking takes.
        took = start.elapsed();
        if !was_quiet {
            took = Duration::ZERO;
        }
    }
}

/// What was said, and whether nothing is on its way.
fn look(stores: &[Arc<Store>], mut told: Told) -> (Told, bool) {
    let mut is_quiet = true;
    for store in stores {
        let outcome = store.refresh();
        is_quiet &= !matches!(outcome, Ok(Changed::Settling | Changed::Published(_)));
        told.tell(store, outcome);
    }
    (told, is_quiet)
}

/// What was said last of each folder, so that a build that stays broken is no line a second.
#[derive(Debug, Default)]
struct Told(BTreeMap<PathBuf, String>);

impl Told {
    fn tell(&mut self, store: &Store, outcome: Result<Changed, AssetError>) {
        let root = store.root().display();
        let trouble = match outcome {
            Ok(Changed::Settling) => return,
            Ok(Changed::No) => None,
            Ok(Changed::Published(files)) => {
                tracing::info!(%root, files, "a new build is served");
                None
            }
            Ok(Changed::Incomplete(lacks)) => Some(format!("it lacks {lacks}")),
            Err(error) => Some(match std::error::Error::source(&error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            }),
        };
        if let Some(trouble) = self.is_news(store.root().to_owned(), trouble) {
            tracing::warn!(%root, trouble, "a new build cannot be served, the old one stays");
        }
    }

    /// The trouble, unless it was said already.
    fn is_news(&mut self, root: PathBuf, trouble: Option<String>) -> Option<String> {
        let Some(trouble) = trouble else {
            self.0.remove(&root);
            return None;
        };
        let before = self.0.insert(root, trouble.clone());
        (before.as_ref() != Some(&trouble)).then_some(trouble)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_a_trouble_once_until_it_changes_or_is_over() {
        let mut told = Told::default();
        let mut says = |trouble: Option<&str>| {
            told.is_news("/www".into(), trouble.map(str::to_owned))
                .is_some()
        };
        assert!(says(Some("it lacks a.js")));
        assert!(!says(Some("it lacks a.js")));
        assert!(says(Some("it lacks b.js")));
        assert!(!says(None));
        assert!(says(Some("it lacks b.js")));
    }
}
