//! One file as clients see it: its representations, and headers that are ready to insert.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use http::{HeaderName, HeaderValue};

use crate::{
    assets::{
        Options,
        content::Content,
        hashed::{is_hashed, pattern},
        links, mime,
        page::Page,
        template::Template,
    },
    config::headers::Inline,
    message::coding::{Coding, DictionaryCoding},
};

/// How long a browser keeps what can never change.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Keep, but ask each time. `max-age=0, must-revalidate` says the same in more words, and `public`
/// would only add that shared caches may keep answers to requests with `Authorization`, which is
/// not for a file server to say.
const ASK: HeaderValue = HeaderValue::from_static("no-cache");

/// A file, ready to be sent.
#[derive(Debug)]
pub struct Asset {
    mime: HeaderValue,
    cache_control: HeaderValue,
    modified: Option<Modified>,
    csp: Option<(HeaderName, HeaderValue)>,
    hashed: bool,
    identity: Content,
    /// Those of the build, smallest first.
    ready: Box<[Variant]>,
    /// With what was made beside them, smallest first; shared with the same file of the next release.
    made: Arc<OnceLock<Box<[Variant]>>>,
    /// Variants are made in the background.
    wanting: bool,
    /// `Use-As-Dictionary`, where the next build may be sent as the difference from this one.
    dictionary: Option<HeaderValue>,
    /// Smallest first.
    deltas: OnceLock<Box<[Delta]>>,
    page: Option<Page>,
    links: Option<HeaderValue>,
    template: Option<Template>,
}

/// The file in a content coding.
#[derive(Debug, Clone)]
pub struct Variant {
    /// How it is coded.
    pub coding: Coding,
    /// The coded bytes, with their own validator.
    pub content: Content,
}

/// The file as its difference from an earlier one (RFC 9842).
#[derive(Debug)]
pub struct Delta {
    /// `Available-Dictionary` of a client that has the earlier one.
    pub available: HeaderValue,
    /// How it is coded.
    pub coding: DictionaryCoding,
    /// The coded bytes, with their own validator.
    pub content: Content,
}

/// When the file was changed last.
#[derive(Debug, Clone)]
pub struct Modified {
    /// Whole seconds, as HTTP has them.
    pub time: SystemTime,
    /// `Last-Modified`.
    pub value: HeaderValue,
}

impl Asset {
    /// The asset at a relative path, with the policy of its pages.
    pub(super) fn new(
        name: &str,
        identity: Content,
        mut variants: Vec<Variant>,
        options: &Options,
    ) -> Self {
        let csp = options.csp.as_ref();
        let mime = mime::of(name);
        let hashed = is_hashed(name);
        // Another value of a variable gives other bytes under the same name and date.
        let filled = identity.is_filled();
        variants.retain(|variant| variant.content.size() < identity.size());
        let html = identity.bytes().filter(|_| mime::is_html(&mime));
        let links = html.and_then(|html| links::of(html));
        let page = html.map(|html| Page::read(html));
        let inline = page.as_ref().map(|page| &page.inline);
        let template = identity.bytes().zip(csp).zip(inline);
        let template = template.and_then(|((html, csp), inline)| Template::new(html, csp, inline));
        let inline = inline.filter(|inline| **inline != Inline::default());
        // A page with nonces is never sent as it is kept.
        let wanting = template.is_none()
            && variants.len() < Coding::ALL.len()
            && is_worth_coding(&mime, &identity);
        let is_code = identity.bytes().is_some() && mime::is_compressible(&mime);
        let dictionary = (hashed && is_code && !filled).then(|| dictionary(name));
        let dictionary = dictionary.flatten();
        Self {
            csp: csp
                .zip(inline)
                .map(|(csp, inline)| (csp.name(), csp.value(inline))),
            cache_control: if hashed && !filled { FOREVER } else { ASK },
            modified: Modified::at(identity.stamp().modified.0).filter(|_| !filled),
            ready: sorted(variants),
            made: Arc::default(),
            wanting,
            dictionary: dictionary.filter(|_| options.dictionaries),
            deltas: OnceLock::new(),
            mime,
            hashed,
            identity,
            page,
            links,
            template,
        }
    }

    /// `Content-Type`.
    pub fn mime(&self) -> &HeaderValue {
        &self.mime
    }

    /// `Cache-Control`.
    pub fn cache_control(&self) -> &HeaderValue {
        &self.cache_control
    }

    /// Its last change; `None` when the clock of its file is absurd, or tells nothing of its bytes.
    pub fn modified(&self) -> Option<&Modified> {
        self.modified.as_ref()
    }

    /// Content security policy of a page with inline scripts or styles.
    pub fn csp(&self) -> Option<&(HeaderName, HeaderValue)> {
        self.csp.as_ref()
    }

    /// `Link`: what a page loads first.
    pub fn links(&self) -> Option<&HeaderValue> {
        self.links.as_ref()
    }

    /// What the page is made of where it has a nonce; everything else here is then for nobody.
    pub fn template(&self) -> Option<&Template> {
        self.template.as_ref()
    }

    /// The name carries a hash of the content, so that it never changes.
    pub fn is_hashed(&self) -> bool {
        self.hashed
    }

    /// The file as it is.
    pub fn identity(&self) -> &Content {
        &self.identity
    }

    /// The file in content codings, smallest first, each smaller than the file. There may be more
    /// later.
    pub fn variants(&self) -> &[Variant] {
        self.made.get().unwrap_or(&self.ready)
    }

    /// It has variants, or may have some later: caches must tell them apart from the start.
    pub fn varies(&self) -> bool {
        self.wanting || !self.ready.is_empty() || self.dictionary.is_some()
    }

    /// `Use-As-Dictionary` (RFC 9842 section 2.1).
    pub fn dictionary(&self) -> Option<&HeaderValue> {
        self.dictionary.as_ref()
    }

    /// The file as its difference from earlier ones, smallest first. There may be more later.
    pub fn deltas(&self) -> &[Delta] {
        self.deltas.get().map_or(&[], |deltas| deltas)
    }

    /// It may have differences, and nobody looked for any so far.
    pub(super) fn lacks_deltas(&self) -> bool {
        self.dictionary.is_some() && self.deltas.get().is_none()
    }

    /// Takes the differences that were made, once.
    pub(super) fn set_deltas(&self, mut deltas: Vec<Delta>) {
        deltas.sort_by_key(|delta| delta.content.size());
        self.deltas.get_or_init(|| deltas.into());
    }

    /// The codings that are still to be made, if any.
    pub(super) fn missing(&self) -> Vec<Coding> {
        if !self.wanting || self.made.get().is_some() {
            return Vec::new();
        }
        let has = |coding: &Coding| self.ready.iter().any(|ready| ready.coding == *coding);
        let codings = Coding::ALL.into_iter();
        codings.filter(|coding| !has(coding)).collect()
    }

    /// Takes what was made of it, once.
    pub(super) fn complete(&self, made: Vec<Variant>) {
        let all = self.ready.iter().cloned().chain(made).collect();
        self.made.get_or_init(|| sorted(all));
    }

    /// Shares what is made of the same file in an earlier release.
    pub(super) fn share(&mut self, earlier: &Self) {
        let ready = |asset: &Self| -> Vec<_> {
            let ready = asset.ready.iter();
            ready
                .map(|variant| (variant.coding, *variant.content.digest()))
                .collect()
        };
        if earlier.identity.digest() == self.identity.digest()
            && earlier.wanting == self.wanting
            && ready(earlier) == ready(self)
        {
            self.made = Arc::clone(&earlier.made);
        }
    }

    pub(super) fn page(&self) -> Option<&Page> {
        self.page.as_ref()
    }

    /// Bytes that it holds in memory.
    pub(super) fn weight(&self) -> u64 {
        let contents = self
            .variants()
            .iter()
            .map(|variant| &variant.content)
            .chain(self.deltas().iter().map(|delta| &delta.content))
            .chain([&self.identity]);
        contents
            .filter_map(Content::bytes)
            .map(|bytes| bytes.len() as u64)
            .sum()
    }
}

impl Modified {
    /// A time in the future is none: a validator must not be later than the answer (RFC 9110
    /// section 8.8.2.1).
    fn at(seconds: i64) -> Option<Self> {
        let since = Duration::from_secs(u64::try_from(seconds).ok()?);
        let time = SystemTime::UNIX_EPOCH.checked_add(since)?;
        if time > SystemTime::now() {
            return None;
        }
        let value = HeaderValue::try_from(httpdate::fmt_http_date(time)).ok()?;
        Some(Self { time, value })
    }
}

/// Whether coding it in the background pays: text in memory that is more than a packet.
fn is_worth_coding(mime: &HeaderValue, identity: &Content) -> bool {
    const LEAST: u64 = 1 << 10;
    identity.size() >= LEAST && identity.bytes().is_some() && mime::is_compressible(mime)
}

/// The name, with a star for what another build has instead; relative to the folder, since nobody here knows the path of
/// the route. `None` where a sign of it would mean something else in a pattern.
fn dictionary(name: &str) -> Option<HeaderValue> {
    let pattern = pattern(name)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte);
    let is_plain = pattern.bytes().all(is_plain);
    HeaderValue::try_from(format!("match=\"{pattern}\""))
        .ok()
        .filter(|_| is_plain)
}

fn sorted(mut variants: Vec<Variant>) -> Box<[Variant]> {
    variants.sort_by_key(|variant| variant.content.size());
    variants.into()
}

/// A shared asset: releases hand theirs on.
pub(super) type Shared = Arc<Asset>;
