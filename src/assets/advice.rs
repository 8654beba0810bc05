//! What an operator should know about the pages of a build under their policy: said in the log, once
//! per release.

use std::path::Path;

use crate::{
    assets::{asset::Asset, release::Release},
    config::headers::{Attribute, Csp},
};

/// Warns of what browsers will refuse.
pub(super) fn give(root: &Path, release: &Release, csp: Option<&Csp>) {
    let Some(csp) = csp else { return };
    let root = root.display();
    if let Some(placeholder) = &csp.nonce
        && let Some(name) = without_nonce(release)
    {
        tracing::warn!(%root, page = name, "the page is served without a nonce: it has no {placeholder}");
    }
    for kind in [Attribute::Handler, Attribute::Style] {
        if let Some((name, attribute)) = forbidden(release, csp, kind) {
            let help = match kind {
                Attribute::Handler => "add the listener in a script",
                Attribute::Style => "use a class, or allow `'unsafe-inline'` in `csp.style`",
            };
            tracing::warn!(%root, page = name, "the policy forbids {attribute}: {help}");
        }
    }
}

/// The first page, by name, that has no place for a nonce.
fn without_nonce(release: &Release) -> Option<&str> {
    let pages = release.pages();
    pages
        .filter_map(|(name, asset)| asset.template().is_none().then_some(name))
        .min()
}

/// The first page, by name, with an attribute that its policy does not allow.
fn forbidden<'a>(release: &'a Release, csp: &Csp, kind: Attribute) -> Option<(&'a str, &'a str)> {
    if csp.allows(kind) {
        return None;
    }
    let attribute = |asset: &'a Asset| asset.page()?.attribute(kind);
    let pages = release.pages();
    pages
        .filter_map(|(name, asset)| Some((name, attribute(asset)?)))
        .min()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        assets::{Options, Store},
        config::headers::Headers,
    };

    #[test]
    fn names_the_first_page_with_an_attribute_that_the_policy_forbids() {
        let dir = tempfile::tempdir().unwrap();
        for (name, html) in [
            ("index.html", "<p>"),
            ("a.html", "<p style=color:red>"),
            ("b.html", "<body onload=x()>"),
            ("c.html", "<body onclick=x()>"),
        ] {
            fs::write(dir.path().join(name), html).unwrap();
        }
        let store = Store::open(dir.path(), Options::default()).unwrap();
        let csp = Headers::default().csp.unwrap();
        let release = store.release();
        assert_eq!(
            forbidden(&release, &csp, Attribute::Handler),
            Some(("b.html", "<body onload>"))
        );
        assert_eq!(forbidden(&release, &csp, Attribute::Style), None);
    }

    #[test]
    fn names_the_first_page_without_a_place_for_a_nonce() {
        let dir = tempfile::tempdir().unwrap();
        let csp = Some(Csp {
            nonce: Some("__NONCE__".into()),
            ..Headers::default().csp.unwrap()
        });
        let options = Options {
            csp,
            ..Options::default()
        };
        let page = |name: &str, html: &str| fs::write(dir.path().join(name), html).unwrap();
        page("index.html", "<script nonce=__NONCE__>1</script>");
        page("script.js", "1");
        let store = Store::open(dir.path(), options).unwrap();
        assert_eq!(without_nonce(&store.release()), None);
        page("a.html", "<script>1</script>");
        let store = Store::open(dir.path(), store.options().clone()).unwrap();
        assert_eq!(without_nonce(&store.release()), Some("a.html"));
    }
}
