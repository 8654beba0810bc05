//! A real Vite and React build in a real browser while the next one is put in its place.

use std::{fs, path::Path, process::Command};

use crate::harness::{Proxy, nest::client, pki::Pki};

/// The names of the ways in `tests/peers/deploy.mjs`.
const WAYS: [&str; 8] = [
    "index-first",
    "index-amid",
    "index-last",
    "chunks-last",
    "deleted-first",
    "rsync",
    "link",
    "rename",
];

#[tokio::test]
async fn an_open_tab_works_on_and_a_new_one_gets_the_next_release_however_it_is_copied() {
    let dir = tempfile::tempdir().unwrap();
    let roots = dir.path().join("roots");
    fs::create_dir(&roots).unwrap();
    for way in WAYS {
        let root = roots.join(way);
        if way == "link" {
            copy(&build("1"), &roots.join("link.1"));
            std::os::unix::fs::symlink("link.1", root).unwrap();
        } else {
            copy(&build("1"), &root);
        }
    }
    let names: Vec<_> = WAYS.iter().map(|way| format!("{way}.localhost")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    Pki::get().write_leaf(dir.path(), "site", &names);
    fs::write(dir.path().join("ca.pem"), Pki::get().ca_pem()).unwrap();
    let sites: String = WAYS.iter().map(|way| site(way)).collect();
    let roots = roots.display().to_string();
    let proxy = Proxy::start_in(dir, &format!("{LISTENER}{sites}")).await;
    client("deploy.mjs", &proxy, &[("ROOTS", &roots)]).await;
}

#[tokio::test]
async fn a_progressive_web_app_is_its_next_release_within_one_reload() {
    let dir = tempfile::tempdir().unwrap();
    copy(&build("pwa-1"), &dir.path().join("roots/pwa"));
    Pki::get().write_leaf(dir.path(), "site", &["localhost"]);
    fs::write(dir.path().join("ca.pem"), Pki::get().ca_pem()).unwrap();
    let root = dir.path().join("roots/pwa").display().to_string();
    let sites = site("pwa").replace("pwa.localhost", "localhost");
    let proxy = Proxy::start_in(dir, &format!("{LISTENER}{sites}")).await;
    client("pwa.mjs", &proxy, &[("ROOT", &root)]).await;
}

#[tokio::test]
async fn the_example_client_works_on_over_its_second_release() {
    let dir = tempfile::tempdir().unwrap();
    let (root, next) = (dir.path().join("roots/example"), dir.path().join("next"));
    let client_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/nestflux/client");
    copy(&client_dir.join("dist"), &root);
    let built = Command::new("node_modules/.bin/vite")
        .args(["build", "--logLevel", "warn", "--outDir"])
        .arg(&next)
        .env("PUBLIC_RELEASE", "2")
        .current_dir(client_dir)
        .status();
    assert!(built.unwrap().success(), "run ./scripts/test first");
    Pki::get().write_leaf(dir.path(), "site", &["localhost"]);
    fs::write(dir.path().join("ca.pem"), Pki::get().ca_pem()).unwrap();
    let (root, next) = (root.display().to_string(), next.display().to_string());
    let sites = site("example")
        .replace("example.localhost", "localhost")
        .replace(
            "\"index.html\" }",
            "\"index.html\", env = [\"PUBLIC_API_URL:-/api\"] }",
        );
    let proxy = Proxy::start_in(dir, &format!("{LISTENER}{sites}")).await;
    client("example.mjs", &proxy, &[("ROOT", &root), ("NEXT", &next)]).await;
}

const LISTENER: &str =
    "[server]\nadmin = false\n[[listener]]\naddress = \"127.0.0.1:0\"\ntls = true\n";

fn site(way: &str) -> String {
    format!(
        "[[site]]\nhosts = [\"{way}.localhost\"]\n\
         certificate = {{ chain = \"@dir/site.pem\", key = \"@dir/site.key\" }}\n\
         [[site.route]]\npath = \"/\"\n\
         files = {{ root = \"@dir/roots/{way}\", fallback = \"index.html\" }}\n"
    )
}

/// A build of `tests/peers/spa`.
fn build(name: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/spa/dist");
    let build = folder.join(name);
    assert!(
        build.join("index.html").exists(),
        "run ./scripts/test, or npm ci and npm run build in tests/peers"
    );
    build
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
