//! Paths of one site: the exact one, else the longest prefix on segment borders.

use crate::config::route::PathPattern;

/// Routes of one site by path, sorted.
#[derive(Debug)]
pub(super) struct Paths<T> {
    exact: Vec<(Box<str>, T)>,
    /// Without a slash at the end: `/api/` and `/api` are the same prefix, `/` is the empty one.
    prefixes: Vec<(Box<str>, T)>,
    /// Length of the longest prefix, so that a long path costs no more than a short one.
    longest: usize,
}

impl<T> Paths<T> {
    /// Sorts `routes`.
    pub(super) fn new(routes: Vec<(PathPattern, T)>) -> Self {
        let mut paths = Self {
            exact: Vec::new(),
            prefixes: Vec::new(),
            longest: 0,
        };
        for (pattern, route) in routes {
            match pattern {
                PathPattern::Exact(path) => paths.exact.push((path.into(), route)),
                PathPattern::Prefix(path) => {
                    let prefix = path.strip_suffix('/').unwrap_or(&path);
                    paths.longest = paths.longest.max(prefix.len());
                    paths.prefixes.push((prefix.into(), route));
                }
            }
        }
        sort(&mut paths.exact);
        sort(&mut paths.prefixes);
        paths
    }

    /// The route of `path`, byte for byte. `/api` matches `/api`, `/api/` and `/api/x`, but not `/apix`.
    pub(super) fn find(&self, path: &str) -> Option<&T> {
        look_up(&self.exact, path.as_bytes()).or_else(|| self.longest_prefix(path.as_bytes()))
    }

    fn longest_prefix(&self, path: &[u8]) -> Option<&T> {
        // The slash that ends the longest prefix may stand right behind it.
        let mut rest = match path.get(..=self.longest) {
            Some(head) => parent(head)?,
            None => path,
        };
        loop {
            if let Some(route) = look_up(&self.prefixes, rest) {
                return Some(route);
            }
            rest = parent(rest)?;
        }
    }
}

fn sort<T>(routes: &mut Vec<(Box<str>, T)>) {
    routes.sort_by(|left, right| left.0.cmp(&right.0));
    routes.dedup_by(|later, first| later.0 == first.0);
}

fn look_up<'a, T>(routes: &'a [(Box<str>, T)], path: &[u8]) -> Option<&'a T> {
    routes
        .binary_search_by(|(known, _)| known.as_bytes().cmp(path))
        .ok()
        .map(|index| &routes[index].1)
}

/// The path up to its last slash.
fn parent(path: &[u8]) -> Option<&[u8]> {
    memchr::memrchr(b'/', path).map(|slash| &path[..slash])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(patterns: &[&str]) -> Paths<String> {
        let routes = patterns.iter().map(|text| {
            let pattern = match text.strip_prefix('=') {
                Some(path) => PathPattern::Exact(path.to_owned()),
                None => PathPattern::Prefix((*text).to_owned()),
            };
            (pattern, (*text).to_owned())
        });
        Paths::new(routes.collect())
    }

    fn find<'a>(paths: &'a Paths<String>, path: &str) -> Option<&'a str> {
        paths.find(path).map(String::as_str)
    }

    #[test]
    fn matches_prefixes_on_segment_borders() {
        for prefix in ["/api", "/api/"] {
            let paths = paths(&[prefix]);
            for path in ["/api", "/api/", "/api/x", "/api//", "/api/x/y?"] {
                assert_eq!(find(&paths, path), Some(prefix), "{path}");
            }
            for path in ["/apix", "/ap", "/", "/API", "/%61pi", "", "*", "/x/api"] {
                assert_eq!(find(&paths, path), None, "{path}");
            }
        }
    }

    #[test]
    fn prefers_exact_then_the_longest_prefix() {
        let paths = paths(&[
            "/",
            "/api/",
            "/api/v1/",
            "=/api/v1/health",
            "/api-docs",
            "=/api/v1",
        ]);
        assert_eq!(find(&paths, "/api/v1/health"), Some("=/api/v1/health"));
        assert_eq!(find(&paths, "/api/v1/health/"), Some("/api/v1/"));
        assert_eq!(find(&paths, "/api/v1"), Some("=/api/v1"));
        assert_eq!(find(&paths, "/api/v1/"), Some("/api/v1/"));
        assert_eq!(find(&paths, "/api/v2"), Some("/api/"));
        assert_eq!(find(&paths, "/api-docs/x"), Some("/api-docs"));
        assert_eq!(find(&paths, "/other"), Some("/"));
    }

    #[test]
    fn takes_paths_as_they_are_written() {
        let paths = paths(&["/a/", "/a%2Fb/", "/b//c/"]);
        assert_eq!(find(&paths, "/a%2Fb/x"), Some("/a%2Fb/"));
        assert_eq!(find(&paths, "/a/../b"), Some("/a/"));
        assert_eq!(find(&paths, "/b//c"), Some("/b//c/"));
        assert_eq!(find(&paths, "/b/c"), None);
    }

    #[test]
    fn is_not_slowed_down_by_endless_slashes() {
        let paths = paths(&["/api/"]);
        assert_eq!(find(&paths, &"/".repeat(1 << 20)), None);
        assert_eq!(
            find(&paths, &format!("/api{}", "/".repeat(1 << 20))),
            Some("/api/")
        );
    }

    proptest::proptest! {
        #[test]
        fn finds_what_a_search_through_all_finds(
            patterns in proptest::collection::vec("=?/([ab-]{0,2}/){0,3}[ab-]{0,2}", 0..15),
            path in "/([ab-]{0,2}/){0,5}[ab-]{0,2}",
        ) {
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            let paths = paths(&patterns);
            let expected = patterns
                .iter()
                .rev()
                .filter_map(|pattern| {
                    if let Some(exact) = pattern.strip_prefix('=') {
                        return (exact == path).then_some((usize::MAX, *pattern));
                    }
                    let prefix = pattern.strip_suffix('/').unwrap_or(pattern);
                    let matches = path
                        .strip_prefix(prefix)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
                    matches.then_some((prefix.len(), *pattern))
                })
                .max_by_key(|(length, _)| *length)
                .map(|(_, pattern)| pattern);
            proptest::prop_assert_eq!(find(&paths, &path), expected);
        }
    }
}
