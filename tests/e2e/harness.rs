//! The real proxy as a child process: `Proxy::start(toml).await`, requests, log lines, signals.
//!
//! Every wait is for a condition and has a deadline. A proxy that panicked fails its test.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use http::Response;
use hyper::body::Incoming;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::harness::{
    client::{Reply, Request, Session, Target},
    lines::Lines,
    pki::Pki,
    raw::Raw,
};

pub(crate) mod backend;
pub(crate) mod client;
pub(crate) mod command;
#[cfg(feature = "dns")]
pub(crate) mod dns;
pub(crate) mod frames;
mod launch;
pub(crate) mod lines;
pub(crate) mod load;
pub(crate) mod nest;
pub(crate) mod node;
pub(crate) mod peer;
pub(crate) mod pki;
mod process;
pub(crate) mod raw;
pub(crate) mod scripted;
pub(crate) mod setup;

/// How long anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);
/// The host that tests ask for when they do not say another.
pub(crate) const HOST: &str = "site.test";
/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_portcullis");

/// A running proxy. Dropping it kills the process.
pub(crate) struct Proxy {
    child: Child,
    dir: TempDir,
    log: Lines,
    output: Lines,
    https: Option<SocketAddr>,
    http: Option<SocketAddr>,
    admin: Option<SocketAddr>,
}

/// What a proxy has to say before it is taken to listen.
#[derive(Clone, Copy)]
struct Expected {
    listeners: usize,
    admins: usize,
}

/// Waits until `check` finds something; fails the test when it does not in time.
pub(crate) async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// A folder with a certificate for [`HOST`]: `site.pem`, `site.key` and `ca.pem`.
pub(crate) fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    Pki::get().write_leaf(dir.path(), "site", &[HOST]);
    fs::write(dir.path().join("ca.pem"), Pki::get().ca_pem()).unwrap();
    dir
}

impl Proxy {
    /// Starts with a configuration in which `@dir` stands for a folder that has `site.pem`,
    /// `site.key` and `ca.pem`.
    pub(crate) async fn start(toml: &str) -> Self {
        Self::start_in(folder(), toml).await
    }

    /// Starts in a folder that was prepared.
    pub(crate) async fn start_in(dir: TempDir, toml: &str) -> Self {
        write_config(dir.path(), toml);
        let expected = Expected {
            listeners: toml.matches("[[listener]]").count().min(2),
            admins: usize::from(!toml.contains("admin = false")),
        };
        Self::launch(dir, &["run", "--config", "portcullis.toml"], expected).await
    }

    /// Starts without a file: `portcullis serve` with `args`.
    pub(crate) async fn serve(dir: TempDir, args: &[&str]) -> Self {
        let args = [&["serve", "--port", "0"], args].concat();
        let expected = Expected {
            listeners: 1,
            admins: 0,
        };
        Self::launch(dir, &args, expected).await
    }

    /// Development certificates are kept in the folder, in `dev`.
    async fn launch(dir: TempDir, args: &[&str], expected: Expected) -> Self {
        let mut child = launch::command(dir.path())
            .args(args)
            .env("PORTCULLIS_DEV_DIR", dir.path().join("dev"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Lines::follow(child.stderr.take().unwrap());
        let output = Lines::follow(child.stdout.take().unwrap());
        let mut proxy = Self {
            child,
            dir,
            log,
            output,
            https: None,
            http: None,
            admin: None,
        };
        proxy.wait_until_it_listens(expected).await;
        proxy
    }

    async fn wait_until_it_listens(&mut self, expected: Expected) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.read_addresses();
            let found = usize::from(self.https.is_some()) + usize::from(self.http.is_some());
            if found >= expected.listeners && usize::from(self.admin.is_some()) >= expected.admins {
                return;
            }
            let log = self.log.all().join("\n");
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the proxy ended with {status}:\n{log}");
            }
            assert!(Instant::now() < deadline, "does not listen:\n{log}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn read_addresses(&mut self) {
        for line in self.log.all() {
            let Some(address) = field(&line, "address") else {
                continue;
            };
            let Ok(address) = address.parse() else {
                continue;
            };
            if line.contains("admin listening") {
                self.admin = Some(address);
            } else if line.contains("listening") && line.contains("tls=true") {
                self.https.get_or_insert(address);
            } else if line.contains("listening") && line.contains("tls=false") {
                self.http.get_or_insert(address);
            }
        }
    }

    /// The TLS listener.
    pub(crate) fn https(&self) -> SocketAddr {
        self.https.expect("the configuration has a TLS listener")
    }

    /// The plain listener.
    pub(crate) fn http(&self) -> SocketAddr {
        self.http.expect("the configuration has a plain listener")
    }

    /// Where TLS clients go.
    pub(crate) fn target(&self) -> Target {
        Target::tls(self.https())
    }

    /// A request over TLS.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        Request::new(self.target(), method, path)
    }

    /// A request over the plain listener.
    pub(crate) fn plain(&self, method: &str, path: &str) -> Request {
        Request::new(Target::plain(self.http()), method, path)
    }

    /// The answer to a GET over HTTP/1.1 and TLS.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.request("GET", path).send().await
    }

    /// The head of the answer to a GET; its body streams.
    pub(crate) async fn get_open(&self, path: &str) -> Response<Incoming> {
        self.request("GET", path).open().await
    }

    /// An HTTP/1.1 connection over TLS.
    pub(crate) async fn session(&self) -> Session {
        Session::http1(&self.target()).await.unwrap()
    }

    /// An HTTP/2 connection over TLS.
    pub(crate) async fn session2(&self) -> Session {
        Session::http2(&self.target()).await.unwrap()
    }

    /// Bytes over TLS.
    pub(crate) async fn raw(&self) -> Raw {
        Raw::connect(&self.target()).await.unwrap()
    }

    /// The answer of the admin listener to a GET.
    pub(crate) async fn admin(&self, path: &str) -> Reply {
        self.admin_request("GET", path).send().await
    }

    /// The admin listener.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin.expect("the configuration has an admin listener")
    }

    /// A request to the admin listener.
    pub(crate) fn admin_request(&self, method: &str, path: &str) -> Request {
        let admin = self.admin_address();
        Request::new(Target::plain(admin), method, path).host(&admin.to_string())
    }

    /// Sum of the samples of a metric whose labels hold all of `labels`.
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let page = self.admin("/metrics").await.text();
        page.lines()
            .filter(|line| {
                line.starts_with(name) && labels.iter().all(|label| line.contains(label))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// What the program says.
    pub(crate) fn log(&self) -> &Lines {
        &self.log
    }

    /// Waits for a line of the log that holds all of `parts`.
    pub(crate) async fn logged(&self, parts: &[&str]) -> String {
        self.log.wait_for(parts).await
    }

    /// Waits for the access log line of a path, as JSON.
    pub(crate) async fn access(&self, path: &str) -> Value {
        self.access_where(path, |_| true).await
    }

    /// Waits for an access log line of a path that `wanted` accepts.
    pub(crate) async fn access_where(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("an access log line of {path}"), async || {
            self.output
                .all()
                .iter()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .find(|record| record["path"] == path && wanted(record))
        })
        .await
    }

    /// Lines on standard output.
    pub(crate) fn output(&self) -> &Lines {
        &self.output
    }

    /// The folder of the configuration.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes another configuration; a reload reads it.
    pub(crate) fn configure(&self, toml: &str) {
        write_config(self.dir.path(), toml);
    }

    /// Writes another configuration, reloads, and waits until it serves.
    pub(crate) async fn reload(&self, toml: &str) {
        let before = self.log.count("reloaded");
        self.configure(toml);
        self.signal("HUP");
        eventually("the reload", async || {
            (self.log.count("reloaded") > before).then_some(())
        })
        .await;
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Whether the process still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end of the process.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        eventually("the end of the process", async || {
            self.child.try_wait().unwrap()
        })
        .await
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log.all();
        if std::thread::panicking() {
            show(&log);
        } else if let Some(line) = log.iter().find(|line| line.contains("panicked at")) {
            panic!("the proxy panicked: {line}");
        }
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(process: u32, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &process.to_string()])
        .status();
    assert!(status.unwrap().success());
}

/// A figure in the output of a test: it is not judged.
#[expect(clippy::print_stderr, reason = "figures are there to be read")]
pub(crate) fn note(text: impl std::fmt::Display) {
    eprintln!("# {text}");
}

/// The value of `name=value` in a log line.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("{name}="))?;
    rest.split([' ', ',']).next()
}

fn write_config(dir: &Path, toml: &str) {
    let toml = toml.replace("@dir", dir.to_str().unwrap());
    fs::write(dir.join("portcullis.toml"), toml).unwrap();
}

#[expect(clippy::print_stderr, reason = "explains a test that failed")]
fn show(log: &[String]) {
    let tail = &log[log.len().saturating_sub(40)..];
    eprintln!("--- the proxy's log:\n{}\n---", tail.join("\n"));
}
