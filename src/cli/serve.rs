//! `portcullis serve`: the same proxy without a file.
//!
//! The arguments become the text of a configuration, so they meet the same checks and the same code.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use clap::Args;

use crate::{
    app::{Started, source::Source},
    cli::{Exit, run, say},
};

/// Shown behind the help.
pub const EXAMPLES: &str = "\
Examples:
  portcullis serve
  portcullis serve --files client/dist --proxy /api/=http://127.0.0.1:3001/
  portcullis serve --proxy /=http://127.0.0.1:3001 --proxy /=http://127.0.0.1:3002

A URL that ends in a slash takes PATH off before the request is sent, as in nginx. The same PATH given
twice is balanced over both. The certificate is signed by a local authority: `portcullis cert dev
localhost` tells how to trust it.";

const START_PAGE: &str = include_str!("serve/start.html");

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct Options {
    /// Folder with a built single-page application; without it a start page is shown
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// Requests below PATH go to URL; may be given often
    #[arg(long, value_name = "PATH=URL", value_parser = parse_proxy)]
    proxy: Vec<Proxy>,
    /// Host name to answer to; may be given often
    #[arg(long = "host", value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
    hosts: Vec<String>,
    /// Port to listen on, on all of this machine's loopback, or everywhere if a host is not local
    #[arg(long, value_name = "N", default_value_t = 8443)]
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Proxy {
    path: String,
    backend: String,
    strip: bool,
}

fn parse_proxy(text: &str) -> Result<Proxy, String> {
    let (path, url) = text
        .split_once('=')
        .ok_or("write PATH=URL, as in /api/=http://127.0.0.1:3001")?;
    if !path.starts_with('/') {
        return Err("PATH starts with a slash, as in /api/=http://127.0.0.1:3001".to_owned());
    }
    let (backend, strip) = match url.strip_suffix('/') {
        Some(rest) if !url.starts_with("unix:") => (rest, true),
        _ => (url, false),
    };
    Ok(Proxy {
        path: path.to_owned(),
        backend: backend.to_owned(),
        strip,
    })
}

/// Serves what the arguments say until a signal ends it.
pub fn serve(options: &Options) -> Exit {
    let source = Source::Text {
        path: PathBuf::from("arguments of serve"),
        text: options.to_toml(),
    };
    let greeting = options.greeting();
    run::serve(&source, |started| greet(started, &greeting))
}

fn greet(started: &Started<'_>, greeting: &str) {
    let port = started
        .addresses
        .first()
        .map_or(0, |(address, _)| address.port());
    say(&greeting.replace("{port}", &port.to_string()));
}

impl Options {
    fn to_toml(&self) -> String {
        let mut toml = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_toml(&mut toml);
        toml
    }

    fn write_toml(&self, toml: &mut String) -> std::fmt::Result {
        writeln!(toml, "[server]\nadmin = false\nstate = false\n")?;
        writeln!(toml, "[log]\naccess = {{ format = \"combined\" }}\n")?;
        for address in self.addresses() {
            writeln!(toml, "[[listener]]\naddress = \"{address}\"\ntls = true\n")?;
        }
        let paths = self.paths();
        for (index, path) in paths.iter().enumerate() {
            let backends: Vec<_> = self
                .proxy
                .iter()
                .filter(|proxy| proxy.path == *path)
                .map(|proxy| quote(&proxy.backend))
                .collect();
            writeln!(
                toml,
                "[upstream.{}]\nbackends = [{}]\n",
                name(index),
                backends.join(", ")
            )?;
        }
        let hosts: Vec<_> = self.hosts.iter().map(|host| quote(host)).collect();
        writeln!(
            toml,
            "[[site]]\nhosts = [{}]\ncertificate = {{ dev = true }}\n",
            hosts.join(", ")
        )?;
        for (index, path) in paths.iter().enumerate() {
            let strip = self
                .proxy
                .iter()
                .any(|proxy| proxy.path == *path && proxy.strip);
            let (path, name) = (quote(path), name(index));
            writeln!(
                toml,
                "[[site.route]]\npath = {path}\nproxy = {{ upstream = \"{name}\", strip_prefix = {strip} }}\n"
            )?;
        }
        if paths.contains(&"/") {
            return Ok(());
        }
        if let Some(root) = &self.files {
            let root = std::path::absolute(root).unwrap_or_else(|_| root.clone());
            let root = quote(&root.to_string_lossy());
            writeln!(toml, "[[site.route]]\npath = \"/\"")?;
            writeln!(
                toml,
                "files = {{ root = {root}, fallback = \"index.html\" }}"
            )
        } else {
            let page = quote(&START_PAGE.replace("{configured}", &escape(&self.summary())));
            writeln!(toml, "[[site.route]]\npath = \"/\"")?;
            writeln!(
                toml,
                "respond = {{ body = {page}, content_type = \"text/html; charset=utf-8\" }}"
            )
        }
    }

    /// Loopback alone while every host is local: a development certificate is nothing for a network.
    fn addresses(&self) -> Vec<SocketAddr> {
        let local = |host: &String| {
            host == "localhost"
                || host.ends_with(".localhost")
                || host
                    .parse::<IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        };
        let address = if self.hosts.iter().all(local) {
            Ipv4Addr::LOCALHOST
        } else {
            Ipv4Addr::UNSPECIFIED
        };
        vec![SocketAddr::from((address, self.port))]
    }

    /// Paths in the order they were given in, each once.
    fn paths(&self) -> Vec<&str> {
        let mut paths: Vec<&str> = Vec::new();
        for proxy in &self.proxy {
            if !paths.contains(&proxy.path.as_str()) {
                paths.push(&proxy.path);
            }
        }
        paths
    }

    fn summary(&self) -> String {
        let mut lines: Vec<_> = self
            .proxy
            .iter()
            .map(|proxy| format!("{} goes to {}", proxy.path, proxy.backend))
            .collect();
        if let Some(files) = &self.files {
            lines.push(format!("/ is served from {}", files.display()));
        }
        if lines.is_empty() {
            "nothing yet".to_owned()
        } else {
            lines.join("\n")
        }
    }

    fn greeting(&self) -> String {
        let host = self.hosts.first().map_or("localhost", String::as_str);
        format!(
            "{}\n\nOpen https://{host}:{{port}}  (Ctrl-C stops)",
            self.summary()
        )
    }
}

fn name(index: usize) -> String {
    format!("proxy{index}")
}

/// A TOML string. JSON's escapes are TOML's; `${` would be a variable.
fn quote(text: &str) -> String {
    serde_json::Value::from(text.replace("${", "$${")).to_string()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, route::Handler};

    fn options(proxy: &[&str]) -> Options {
        Options {
            files: None,
            proxy: proxy
                .iter()
                .map(|text| parse_proxy(text).unwrap())
                .collect(),
            hosts: vec!["localhost".to_owned()],
            port: 8443,
        }
    }

    fn config(options: &Options) -> Config {
        let text = options.to_toml();
        Config::parse(Path::new("x"), &text, &|_| None)
            .unwrap_or_else(|report| panic!("{report:?}\n{text}"))
            .0
    }

    #[test]
    fn shows_a_start_page_without_arguments() {
        let config = config(&options(&[]));
        let Handler::Respond(respond) = &config.sites[0].routes[0].handler else {
            panic!()
        };
        assert!(String::from_utf8_lossy(&respond.body).contains("nothing yet"));
    }

    #[test]
    fn balances_the_same_path_and_strips_by_a_slash() {
        let config = config(&options(&[
            "/api/=http://127.0.0.1:1/",
            "/api/=http://127.0.0.1:2/",
            "/=http://127.0.0.1:3",
        ]));
        assert_eq!(config.upstreams["proxy0"].backends.len(), 2);
        let strips: Vec<_> = config.sites[0]
            .routes
            .iter()
            .map(|route| matches!(&route.handler, Handler::Proxy(proxy) if proxy.strip_prefix))
            .collect();
        assert_eq!(strips, [true, false]);
    }

    #[test]
    fn says_how_to_write_a_proxy() {
        assert!(parse_proxy("http://127.0.0.1:1").is_err());
        assert!(parse_proxy("api=http://127.0.0.1:1").is_err());
    }
}
