//! `Router`: host, then path, to whatever is routed. Knows no handler and no socket.

use fnv::FnvHashMap;

use crate::{
    config::{route::PathPattern, value::HostPattern},
    router::path::Paths,
};

mod path;

/// Sites by host and their routes by path.
#[derive(Debug)]
pub struct Router<T> {
    // The keys are the operator's: a request can only look, so it cannot make them fall together.
    exact: FnvHashMap<Box<str>, usize>,
    /// Keyed by what follows `*.`.
    wildcard: FnvHashMap<Box<str>, usize>,
    /// In the order they were given in.
    sites: Vec<Paths<T>>,
}

/// Where a request leads. Sites are counted in the order they were given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a, T> {
    /// No site has this host, and the listener has no default site.
    NoSite,
    /// The site has no route for this path.
    NoRoute {
        /// The site.
        site: usize,
    },
    /// A route of a site.
    Route {
        /// The site.
        site: usize,
        /// What its route leads to.
        route: &'a T,
    },
}

impl<T> Router<T> {
    /// A router over `sites`, each with its hosts and routes. Of two hosts or two paths alike the first counts;
    /// the configuration refuses them before.
    pub fn new<'a>(
        sites: impl IntoIterator<Item = (&'a [HostPattern], Vec<(PathPattern, T)>)>,
    ) -> Self {
        let mut router = Self {
            exact: FnvHashMap::default(),
            wildcard: FnvHashMap::default(),
            sites: Vec::new(),
        };
        for (index, (hosts, routes)) in sites.into_iter().enumerate() {
            for host in hosts {
                let (map, name) = match host {
                    HostPattern::Exact(name) => (&mut router.exact, name),
                    HostPattern::Wildcard(suffix) => (&mut router.wildcard, suffix),
                };
                map.entry(name.as_str().into()).or_insert(index);
            }
            router.sites.push(Paths::new(routes));
        }
        router
    }

    /// The route of a request: the site of `host`, or else the one that `default` gives, and in it the route
    /// of `path`.
    ///
    /// `host` is in lower case and without port; `path` is taken byte for byte as it was received.
    pub fn find(
        &self,
        host: &str,
        default: impl FnOnce() -> Option<usize>,
        path: &str,
    ) -> Found<'_, T> {
        let Some(site) = self.site(host).or_else(default) else {
            return Found::NoSite;
        };
        match self.sites.get(site).and_then(|paths| paths.find(path)) {
            Some(route) => Found::Route { site, route },
            None => Found::NoRoute { site },
        }
    }

    /// The site of a host: by its name, else by the longest wildcard above it.
    pub fn site(&self, host: &str) -> Option<usize> {
        if let Some(site) = self.exact.get(host) {
            return Some(*site);
        }
        if self.wildcard.is_empty() {
            return None;
        }
        let mut rest = host;
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(site) = self.wildcard.get(parent) {
                return Some(*site);
            }
            rest = parent;
        }
        None
    }

    /// The route of `path` in `site`.
    pub fn route(&self, site: usize, path: &str) -> Option<&T> {
        self.sites.get(site)?.find(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(host: &str) -> HostPattern {
        HostPattern::Exact(host.to_owned())
    }

    fn wildcard(host: &str) -> HostPattern {
        HostPattern::Wildcard(host.to_owned())
    }

    fn router(sites: &[&[HostPattern]]) -> Router<usize> {
        Router::new(sites.iter().enumerate().map(|(index, hosts)| {
            let routes = vec![(PathPattern::Prefix("/app/".to_owned()), index)];
            (*hosts, routes)
        }))
    }

    #[test]
    fn prefers_the_exact_host_then_the_longest_wildcard() {
        let router = router(&[
            &[wildcard("example.com")],
            &[wildcard("eu.example.com"), exact("example.com")],
            &[exact("a.eu.example.com")],
        ]);
        assert_eq!(router.site("x.example.com"), Some(0));
        assert_eq!(router.site("x.y.example.com"), Some(0));
        assert_eq!(router.site("x.eu.example.com"), Some(1));
        assert_eq!(router.site("a.eu.example.com"), Some(2));
        assert_eq!(router.site("example.com"), Some(1));
        assert_eq!(router.site("eu.example.com"), Some(0));
        assert_eq!(router.site("notexample.com"), None);
        assert_eq!(router.site("192.0.2.1"), None);
    }

    #[test]
    fn tells_no_site_from_a_site_without_route() {
        let router = router(&[&[exact("a.example")], &[exact("b.example")]]);
        assert_eq!(router.find("c.example", || None, "/app"), Found::NoSite);
        assert_eq!(
            router.find("b.example", || None, "/x"),
            Found::NoRoute { site: 1 }
        );
        let found = Found::Route { site: 1, route: &1 };
        assert_eq!(router.find("b.example", || Some(0), "/app"), found);
        let default = Found::Route { site: 0, route: &0 };
        assert_eq!(router.find("c.example", || Some(0), "/app"), default);
        assert_eq!(
            router.find("c.example", || Some(9), "/app"),
            Found::NoRoute { site: 9 }
        );
    }

    proptest::proptest! {
        #[test]
        fn finds_the_host_that_a_search_through_all_finds(
            patterns in proptest::collection::vec((proptest::bool::ANY, "[ab](\\.[ab]){0,3}"), 0..12),
            host in "[ab](\\.[ab]){0,4}",
        ) {
            let patterns: Vec<[HostPattern; 1]> = patterns
                .iter()
                .map(|(exactly, name)| [if *exactly { exact(name) } else { wildcard(name) }])
                .collect();
            let slices: Vec<&[HostPattern]> = patterns.iter().map(|hosts| &hosts[..]).collect();
            let expected = patterns
                .iter()
                .enumerate()
                .filter_map(|(index, [pattern])| match pattern {
                    HostPattern::Exact(name) => (*name == host).then_some((usize::MAX, index)),
                    HostPattern::Wildcard(suffix) => {
                        host.ends_with(&format!(".{suffix}")).then_some((suffix.len(), index))
                    }
                })
                .max_by_key(|(length, index)| (*length, std::cmp::Reverse(*index)))
                .map(|(_, index)| index);
            proptest::prop_assert_eq!(router(&slices).site(&host), expected);
        }
    }
}
