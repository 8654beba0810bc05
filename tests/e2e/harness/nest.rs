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

use crate::harness::{PATIENCE, Proxy, pki::Pki};

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
    port: u16,
}

impl Nest {
    /// Starts `count` instances on Nest's `adapter`, with `variables` beside.
    pub(crate) async fn start(count: usize, adapter: &str, variables: &[(&str, &str)]) -> Self {
        let mut starting = Vec::new();
        for index in 1..=count {
            let instance = Instance::start(index, adapter, variables);
            starting.push(tokio::spawn(instance));
        }
        let mut instances = Vec::new();
        for instance in starting {
            instances.push(instance.await.unwrap());
        }
        Self { instances }
    }

    /// The proxy in front of them: the client at `/`, the API below `/api/`, and Socket.IO.
    pub(crate) async fn behind_proxy(&self) -> Proxy {
        let backends: Vec<_> = self
            .instances
            .iter()
            .map(|it| format!("\"http://127.0.0.1:{}\"", it.port))
            .collect();
        let toml = include_str!("nest.toml")
            .replace("@backends", &backends.join(", "))
            .replace(
                "@client",
                root()
                    .join("examples/nestflux/client/dist")
                    .to_str()
                    .unwrap(),
            );
        let dir = tempfile::tempdir().unwrap();
        Pki::get().write_leaf(dir.path(), "site", &[HOST]);
        std::fs::write(dir.path().join("ca.pem"), Pki::get().ca_pem()).unwrap();
        Proxy::start_in(dir, &toml).await
    }

    /// Kills an instance without a word.
    pub(crate) async fn kill(&mut self, index: usize) {
        self.instances[index].child.kill().await.unwrap();
    }
}

impl Instance {
    fn start(
        index: usize,
        adapter: &str,
        variables: &[(&str, &str)],
    ) -> impl Future<Output = Self> + Send + 'static {
        let server = root().join("examples/nestflux/server");
        let main = server.join("dist/main.js");
        assert!(
            main.exists(),
            "the example server is not built: run ./scripts/test, or npm ci and npm run build in {}",
            server.display()
        );
        let mut child = Command::new("node")
            .arg(main)
            .env("PORT", "0")
            .env("ADAPTER", adapter)
            .env("INSTANCE", format!("nest-{index}"))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        async move {
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let line = timeout(PATIENCE * 4, lines.next_line())
                .await
                .expect("the application starts");
            let line = line
                .unwrap()
                .expect("the application says where it listens");
            let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
            let port = ready["listening"].as_u64().unwrap();
            Self {
                child,
                port: port.try_into().unwrap(),
            }
        }
    }
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
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
