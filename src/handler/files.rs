//! Static files and single-page applications, answered from a release in memory.
//!
//! A path that nobody has is a client-side route only when a navigation asks for it; a missing
//! asset stays 404.

use std::{future::ready, sync::Arc};

use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Uri,
    header::{CACHE_CONTROL, LOCATION},
};

use crate::{
    assets::{
        Store,
        asset::Asset,
        mime,
        release::{Entry, Release},
    },
    config::route::{self, PathPattern},
    handler::HandlerFuture,
    message::{Call, Response, body::Body, error::ErrorKind, path},
};

mod answer;
mod body;
mod coding;
mod condition;
mod fallback;
mod nonce;
mod range;

use self::answer::Answer;

/// What `Allow` says.
const METHODS: &str = "GET, HEAD";

/// Answers a route from a folder.
#[derive(Debug)]
pub struct Files {
    store: Arc<Store>,
    fallback: Option<Box<str>>,
    path: PathPattern,
    source_maps: bool,
    preload: bool,
}

impl Files {
    /// Answers the route at `path` from `store`, whose root is the root of `config`.
    pub fn new(store: Arc<Store>, config: &route::Files, path: &PathPattern) -> Self {
        let fallback = config.fallback.as_deref();
        Self {
            store,
            fallback: fallback.map(|name| name.trim_start_matches('/').into()),
            path: path.clone(),
            source_maps: config.source_maps,
            preload: config.preload,
        }
    }

    /// Answers with a file, a part of it, or nothing new about it.
    ///
    /// # Errors
    /// [`ErrorKind::Method`] for all but GET and HEAD, [`ErrorKind::NoFile`],
    /// [`ErrorKind::BadRequest`] for a path that no honest client sends,
    /// [`ErrorKind::Precondition`], [`ErrorKind::Range`], and [`ErrorKind::Overloaded`] for a large
    /// file that is being replaced.
    pub fn answer(&self, call: &Call) -> HandlerFuture {
        match self.find(call) {
            Ok(Answer::Ready(response)) => Box::pin(ready(Ok(response))),
            Ok(Answer::Disk(answer)) => Box::pin(answer.open()),
            Err(error) => Box::pin(ready(Err(error.into()))),
        }
    }

    fn find(&self, call: &Call) -> Result<Answer, ErrorKind> {
        let (uri, method, headers) = (
            call.request.uri(),
            call.request.method(),
            call.request.headers(),
        );
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(ErrorKind::Method(METHODS));
        }
        let release = self.store.release();
        let rest = self.rest(uri.path());
        let name = match path::decode(rest) {
            Err(ErrorKind::NoFile) => None,
            decoded => Some(decoded?),
        };
        if !self.source_maps && name.as_deref().is_some_and(mime::is_source_map) {
            return Err(ErrorKind::NoFile);
        }
        let asset = match name.as_deref().and_then(|name| release.find(name)) {
            Some(Entry::File(asset)) if self.is_in_place(uri.path()) => asset,
            Some(Entry::File(_) | Entry::Folder) => {
                return redirect_to_folder(uri).map(Answer::Ready);
            }
            None => self
                .fallback(&release, name.as_deref().unwrap_or(rest), headers)
                .ok_or(ErrorKind::NoFile)?,
        };
        let links = asset.links().filter(|_| self.preload);
        answer::answer(asset, links, method, headers)
    }

    /// What follows the route's path.
    fn rest<'a>(&self, path: &'a str) -> &'a str {
        match &self.path {
            PathPattern::Exact(_) => "",
            PathPattern::Prefix(prefix) => {
                let rest = path.strip_prefix(prefix.as_str()).unwrap_or_default();
                if prefix.ends_with('/') {
                    rest
                } else {
                    rest.strip_prefix('/').unwrap_or(rest)
                }
            }
        }
    }

    /// Relative links of the root's index work only when the path ends with a slash.
    fn is_in_place(&self, path: &str) -> bool {
        match &self.path {
            PathPattern::Exact(_) => true,
            PathPattern::Prefix(prefix) => path.len() > prefix.len() || path.ends_with('/'),
        }
    }

    fn fallback<'a>(
        &self,
        release: &'a Release,
        name: &str,
        headers: &HeaderMap,
    ) -> Option<&'a Asset> {
        let fallback = self.fallback.as_deref()?;
        release
            .file(fallback)
            .filter(|_| fallback::is_navigation(name, headers))
    }
}

/// Sends a client to `dir/`, so that relative links in its index work.
fn redirect_to_folder(uri: &Uri) -> Result<Response, ErrorKind> {
    let query = uri
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    let location = HeaderValue::try_from(format!("{}/{query}", uri.path()))
        .map_err(|_| ErrorKind::BadRequest("the path cannot be sent back"))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(LOCATION, location);
    // The next build may have no such folder.
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

#[cfg(test)]
mod tests;
