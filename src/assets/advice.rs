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
}
