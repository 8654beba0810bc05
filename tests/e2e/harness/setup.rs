//! A configuration that is whole, of which a test says only what it is about.

use std::fmt::Write as _;

use tempfile::TempDir;

use crate::harness::{HOST, Proxy, backend::Backend, folder};

/// One TLS and one plain listener, one site, maybe one upstream `app`.
#[derive(Clone)]
pub(crate) struct Setup {
    threads: usize,
    admin: String,
    server: String,
    listener: String,
    top: String,
    upstream: String,
    site: String,
    certificate: String,
    routes: String,
}

impl Setup {
    /// A site without routes.
    pub(crate) fn new() -> Self {
        Self {
            threads: 2,
            admin: "{ address = \"127.0.0.1:0\" }".into(),
            server: String::new(),
            listener: String::new(),
            top: String::new(),
            upstream: String::new(),
            site: String::new(),
            certificate: "{ chain = \"@dir/site.pem\", key = \"@dir/site.key\" }".into(),
            routes: String::new(),
        }
    }

    /// A site that is proxied to `backends`.
    pub(crate) fn to(backends: &[&Backend]) -> Self {
        Self::to_urls(
            &backends
                .iter()
                .map(|backend| backend.url())
                .collect::<Vec<_>>(),
        )
        .route("/", "proxy = { upstream = \"app\" }")
    }

    /// An upstream `app`, and no route.
    pub(crate) fn to_urls(urls: &[String]) -> Self {
        Self {
            upstream: format!("[upstream.app]\nbackends = {urls:?}\n"),
            ..Self::new()
        }
    }

    /// Worker threads.
    pub(crate) fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// Another `server.admin`.
    pub(crate) fn admin(self, admin: &str) -> Self {
        Self {
            admin: admin.into(),
            ..self
        }
    }

    /// Keys of `[server]`.
    pub(crate) fn server(mut self, keys: &str) -> Self {
        line(&mut self.server, keys);
        self
    }

    /// Keys of the TLS listener.
    pub(crate) fn listener(mut self, keys: &str) -> Self {
        line(&mut self.listener, keys);
        self
    }

    /// Keys of `[tls]`.
    pub(crate) fn tls(mut self, keys: &str) -> Self {
        line(&mut self.top, &format!("[tls]\n{keys}"));
        self
    }

    /// Keys of `[log]`.
    pub(crate) fn log(mut self, keys: &str) -> Self {
        line(&mut self.top, &format!("[log]\n{keys}"));
        self
    }

    /// Keys of `[upstream.app]`.
    pub(crate) fn upstream(mut self, keys: &str) -> Self {
        line(&mut self.upstream, keys);
        self
    }

    /// Keys of the site.
    pub(crate) fn site(mut self, keys: &str) -> Self {
        line(&mut self.site, keys);
        self
    }

    /// Another `certificate`.
    pub(crate) fn certificate(self, value: &str) -> Self {
        Self {
            certificate: value.into(),
            ..self
        }
    }

    /// A route of the site.
    pub(crate) fn route(mut self, path: &str, keys: &str) -> Self {
        line(
            &mut self.routes,
            &format!("[[site.route]]\npath = {path:?}\n{keys}"),
        );
        self
    }

    /// Whatever stands at the end of the file: further sites, further listeners.
    pub(crate) fn more(mut self, toml: &str) -> Self {
        line(&mut self.routes, toml);
        self
    }

    /// The file.
    pub(crate) fn toml(&self) -> String {
        let mut toml = String::new();
        let Self {
            threads,
            admin,
            server,
            listener,
            top,
            upstream,
            site,
            certificate,
            routes,
        } = self;
        // Listeners are told apart by their address, so the two have one each.
        write!(
            toml,
            "[server]\nthreads = {threads}\nadmin = {admin}\n{server}\n\
             [[listener]]\naddress = \"127.0.0.1:0\"\ntls = true\n{listener}\n\
             [[listener]]\naddress = \"127.0.0.2:0\"\n\
             {top}\n{upstream}\n\
             [[site]]\nhosts = [\"{HOST}\"]\ncertificate = {certificate}\n{site}\n{routes}"
        )
        .unwrap();
        toml
    }

    /// A proxy with it.
    pub(crate) async fn start(&self) -> Proxy {
        Proxy::start(&self.toml()).await
    }

    /// A proxy with it, in a folder that was prepared.
    pub(crate) async fn start_in(&self, dir: TempDir) -> Proxy {
        Proxy::start_in(dir, &self.toml()).await
    }
}

/// A folder that also has a built application in `www`.
pub(crate) fn folder_with_spa() -> TempDir {
    let dir = folder();
    let www = dir.path().join("www");
    std::fs::create_dir_all(www.join("assets")).unwrap();
    let page = "<!doctype html><html><head><title>SPA</title>\
                <script type=\"module\" src=\"/assets/index-B1c2D3e4.js\"></script></head><body></body></html>";
    std::fs::write(www.join("index.html"), page).unwrap();
    std::fs::write(
        www.join("assets/index-B1c2D3e4.js"),
        "console.log('here');\n",
    )
    .unwrap();
    std::fs::write(www.join("robots.txt"), "User-agent: *\n").unwrap();
    dir
}

/// The keys of a route that serves [`folder_with_spa`].
pub(crate) const SPA: &str = "files = { root = \"@dir/www\", fallback = \"index.html\" }";

fn line(text: &mut String, more: &str) {
    text.push_str(more);
    text.push('\n');
}
