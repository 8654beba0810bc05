//! The example application as backends, and the clients of `tests/peers`.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::harness::{PATIENCE, Proxy, note, pki::Pki, signal};

/// The host that the clients ask for: Chromium resolves it to loopback by itself.
const HOST: &str = "localhost";
/// How long a client may take for all of its checks.
const CLIENT_PATIENCE: Duration = Duration::from_mins(2);

/// Instances of the application. Dropping them kills their processes.
pub(crate) struct Nest {
    instances: Vec<Instance>,
}

struct Instance {
    child: Child,
    start: Start,
}

/// What an instance is started with, once or again.
#[derive(Clone)]
struct Start {
    index: usize,
    adapter: String,
    variables: Vec<(String, String)>,
    /// 0 at first: any that is free.
    port: u16,
}

impl Nest {
    /// Starts `count` instances on Nest's `adapter`, with `variables` beside.
    pub(crate) async fn start(count: usize, adapter: &str, variables: &[(&str, &str)]) -> Self {
        let mut starting = Vec::new();
        for index in 1..=count {
            let variables = variables.iter();
            let start = Start {
                index,
                adapter: adapter.to_owned(),
                variables: variables
                    .map(|(k, v)| (k.to_string(), v.to_string()))
                    .collect(),
                port: 0,
            };
            starting.push(tokio::spawn(start.run()));
        }
        let mut instances = Vec::new();
        for instance in starting {
            instances.push(instance.await.unwrap());
        }
        Self { instances }
    }

    /// The same with the routes of `tests/peers/orders.mjs`, which only tests want. `journal` is the file of all
    /// orders.
    pub(crate) async fn with_orders(count: usize, adapter: &str, journal: &Path) -> Self {
        let routes = root().join("tests/peers/orders.mjs");
        let import = format!("--import={}", routes.display());
        let journal = journal.display().to_string();
        let variables = [("NODE_OPTIONS", &*import), ("JOURNAL", &*journal)];
        Self::start(count, adapter, &variables).await
    }

    /// The proxy in front of them: the client at `/`, the API below `/api/`, and Socket.IO.
    pub(crate) async fn behind_proxy(&self) -> Proxy {
        proxy_to(&self.urls()).await
    }

    /// Kills an instance without a word.
    pub(crate) async fn kill(&mut self, index: usize) {
        self.instances[index].child.kill().await.unwrap();
    }

    /// Asks an instance to end, and waits until it has.
    pub(crate) async fn terminate(&mut self, index: usize) {
        self.signal(index, "TERM");
        let ended = self.instances[index].child.wait();
        let ended = timeout(PATIENCE, ended).await;
        ended.expect("the application ends").unwrap();
    }

    /// Starts an instance again where it was, and waits until it serves.
    pub(crate) async fn restart(&mut self, index: usize) {
        let start = self.instances[index].start.clone();
        self.instances[index] = start.run().await;
    }

    /// Sends a signal to an instance.
    pub(crate) fn signal(&self, index: usize, name: &str) {
        signal(self.pid(index), name);
    }

    /// The process of an instance.
    pub(crate) fn pid(&self, index: usize) -> u32 {
        self.instances[index].child.id().expect("it runs")
    }

    /// Where each instance listens.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.instances.iter().map(Instance::url).collect()
    }
}

impl Instance {
    fn url(&self) -> String {
        format!("http://{}:{}", self.start.host(), self.start.port)
    }
}

impl Start {
    /// An address of its own: nobody can have the port when it starts again.
    fn host(&self) -> String {
        format!("127.0.0.{}", 10 + self.index)
    }

    fn run(self) -> impl Future<Output = Instance> + Send + 'static {
        let server = root().join("examples/nestflux/server");
        let main = server.join("dist/main.js");
        assert!(
            main.exists(),
            "the example server is not built: run ./scripts/test, or npm ci and npm run build in {}",
            server.display()
        );
        let mut child = Command::new("node")
            .arg(main)
            .env("HOST", self.host())
            .env("PORT", self.port.to_string())
            .env("ADAPTER", &self.adapter)
            .env("INSTANCE", format!("nest-{}", self.index))
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        async move {
            let ready = listening(&mut child).await;
            let port = ready["listening"].as_u64().unwrap();
            let port = port.try_into().unwrap();
            Instance {
                child,
                start: Self { port, ..self },
            }
        }
    }
}

/// The line by which a server of ours says where it listens.
async fn listening(child: &mut Child) -> serde_json::Value {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(PATIENCE * 4, lines.next_line())
        .await
        .expect("the server starts")
        .unwrap()
        .expect("the server says where it listens");
    serde_json::from_str(&line).unwrap()
}

/// A plain Node server, `tests/peers/idle-server.mjs`. Dropping it kills the process.
pub(crate) struct Plain {
    _child: Child,
    port: u64,
}

impl Plain {
    /// Starts one that closes connections that are idle for `keep_alive` milliseconds.
    pub(crate) async fn start(keep_alive: u32) -> Self {
        let mut child = Command::new("node")
            .arg(root().join("tests/peers/idle-server.mjs"))
            .env("KEEP_ALIVE_MS", keep_alive.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let port = listening(&mut child).await["listening"].as_u64().unwrap();
        Self {
            _child: child,
            port,
        }
    }

    /// For `upstream.backends`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// A proxy for the clients of `tests/peers` in front of the backends at `urls`.
pub(crate) async fn proxy_to(urls: &[String]) -> Proxy {
    let client = root().join("examples/nestflux/client/dist");
    let toml = include_str!("nest.toml")
        .replace("[@backends]", &format!("{urls:?}"))
        .replace("@client", client.to_str().unwrap());
    let dir = tempfile::tempdir().unwrap();
    Pki::get().write_leaf(dir.path(), "site", &[HOST]);
    std::fs::write(dir.path().join("ca.pem"), Pki::get().ca_pem()).unwrap();
    Proxy::start_in(dir, &toml).await
}

/// Runs a client of `tests/peers` against `proxy`; every check of it must hold.
pub(crate) async fn client(script: &str, proxy: &Proxy, variables: &[(&str, &str)]) {
    let peers = root().join("tests/peers");
    assert!(
        peers.join("node_modules").exists(),
        "run ./scripts/test, or npm ci in {}",
        peers.display()
    );
    let child = Command::new("node")
        .arg(script)
        .current_dir(peers)
        .env(
            "BASE_URL",
            format!("https://{HOST}:{}", proxy.https().port()),
        )
        .env("CA_FILE", proxy.dir().join("ca.pem"))
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let output = timeout(CLIENT_PATIENCE, child.wait_with_output())
        .await
        .expect("the client ends")
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("ok - "),
        "{script}:\n{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for figure in said.lines().filter_map(|line| line.strip_prefix("# ")) {
        note(figure);
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
