//! Names of files and paths of requests: what is found, and that nothing else ever is.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink, net::UnixListener},
    path::Path,
    process::Command,
};

use http::StatusCode;
use tempfile::TempDir;

use super::{CANARY, proxy_in};
use crate::harness::{
    HOST, Proxy,
    client::Session,
    note,
    raw::{Raw, status_of},
    setup::folder_with_spa,
};

/// A tree with all that an operator may have by accident, and an attacker by an upload.
fn hostile_tree() -> TempDir {
    let dir = folder_with_spa();
    let (outside, www) = (dir.path().join("outside"), dir.path().join("www"));
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret.txt"), CANARY).unwrap();
    fs::write(dir.path().join("canary.txt"), CANARY).unwrap();
    let link = |to: &Path, name: &str| symlink(to, www.join(name)).unwrap();
    link(&outside.join("secret.txt"), "absolute.txt");
    link(Path::new("../outside/secret.txt"), "relative.txt");
    link(&outside, "folder");
    link(Path::new("../outside"), "relative-folder");
    link(Path::new("/proc/self/environ"), "environ.txt");
    link(Path::new("/proc/self/root"), "root");
    link(Path::new("/dev/zero"), "zero.txt");
    link(Path::new("loop.txt"), "loop.txt");
    link(Path::new("."), "self");
    link(Path::new(".."), "parent");
    link(Path::new("nothing"), "dangling.txt");
    fs::create_dir_all(www.join("deep/er")).unwrap();
    link(Path::new(".."), "deep/er/up");
    link(
        Path::new("../../../outside/secret.txt"),
        "deep/er/secret.txt",
    );
    for hidden in [
        ".env",
        ".git/config",
        "deep/.htpasswd",
        ".well-known/.hidden",
    ] {
        let path = www.join(hidden);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, CANARY).unwrap();
    }
    link(Path::new(".env"), "env.txt");
    fs::write(www.join(OsStr::from_bytes(b"\xff\xfe.txt")), CANARY).unwrap();
    fs::write(www.join("line\nbreak.txt"), CANARY).unwrap();
    fs::write(www.join("back\\slash.txt"), CANARY).unwrap();
    let pipe = Command::new("mkfifo").arg(www.join("pipe.txt")).status();
    assert!(pipe.unwrap().success());
    // The file of a socket stays when the listener is gone.
    UnixListener::bind(www.join("socket.txt")).unwrap();
    for (name, _) in NAMES {
        fs::write(www.join(name), name).unwrap();
    }
    fs::write(www.join("n".repeat(255)), "long").unwrap();
    dir
}

/// Names that are unusual and right, and how a client writes them.
const NAMES: [(&str, &str); 10] = [
    ("100%.txt", "100%25.txt"),
    ("%2e%2e.txt", "%252e%252e.txt"),
    ("a b.txt", "a%20b.txt"),
    ("why?.txt", "why%3F.txt"),
    ("#1.txt", "%231.txt"),
    ("a;b=c.txt", "a;b=c.txt"),
    ("a..txt..", "a..txt.."),
    ("é.txt", "%C3%A9.txt"),
    ("a+b&c=d.txt", "a+b&c=d.txt"),
    ("'<script>\".txt", "%27%3Cscript%3E%22.txt"),
];

#[tokio::test]
async fn unusual_names_are_found_and_nothing_else_is() {
    let proxy = proxy_in(hostile_tree()).await;
    for (name, path) in NAMES {
        for prefix in ["/", "/spa/"] {
            let reply = proxy.get(&format!("{prefix}{path}")).await;
            assert_eq!(
                (reply.status, reply.text()),
                (StatusCode::OK, name.to_owned())
            );
        }
    }
    let long = "n".repeat(255);
    assert_eq!(proxy.get(&format!("/{long}")).await.text(), "long");
    assert_eq!(proxy.get(&format!("/{long}n")).await.status, 404);
    proxy.logged(&["files are left out"]).await;
}

/// What leads nowhere: links, hidden files, what is no file.
const UNREACHABLE: [&str; 33] = [
    "absolute.txt",
    "relative.txt",
    "folder/secret.txt",
    "folder",
    "folder/",
    "relative-folder/secret.txt",
    "environ.txt",
    "root/etc/hostname",
    "root/",
    "zero.txt",
    "loop.txt",
    "self/index.html",
    "self/self/robots.txt",
    "parent/canary.txt",
    "parent/site.key",
    "dangling.txt",
    "deep/er/up/er/secret.txt",
    "deep/er/secret.txt",
    ".env",
    "%2eenv",
    "env.txt",
    ".git/config",
    "%2Egit/config",
    ".git%2fconfig",
    "deep/.htpasswd",
    ".well-known/.hidden",
    "%FF%FE.txt",
    "line%0Abreak.txt",
    "back%5Cslash.txt",
    "pipe.txt",
    "socket.txt",
    "index.html/",
    "index.html/canary.txt",
];

/// Ways out, each before `canary.txt`, which lies beside the root.
const WAYS_OUT: [&str; 29] = [
    "../",
    "%2e%2e/",
    "%2E%2E/",
    ".%2e/",
    "%2e./",
    "..%2f",
    "..%2F",
    "%2e%2e%2f",
    "..%5c",
    "..\\",
    "%2e%2e%5c",
    "%252e%252e/",
    "%252e%252e%252f",
    "%25252e%25252e%25252f",
    "%c0%ae%c0%ae/",
    "%c0%ae%c0%ae%c0%af",
    "%e0%80%ae%e0%80%ae/",
    "%f0%80%80%ae%f0%80%80%ae/",
    "%u002e%u002e/",
    "..%00/",
    "%00../",
    "..;/",
    "..%3b/",
    ".../../",
    "./../",
    "assets/../../",
    "assets/%2e%2e/%2e%2e/",
    "assets/..%2f..%2f",
    "//../",
];

#[tokio::test]
async fn nothing_outside_the_root_is_reached_by_any_spelling() {
    let proxy = proxy_in(hostile_tree()).await;
    let root = proxy.dir().display().to_string();
    let absolute = format!("{root}/canary.txt");
    let mut targets: Vec<Vec<u8>> = Vec::new();
    for prefix in ["/", "/spa/", "//", "/./", "/assets/"] {
        targets.extend(
            UNREACHABLE
                .iter()
                .map(|path| format!("{prefix}{path}").into()),
        );
        targets.extend(
            WAYS_OUT
                .iter()
                .map(|way| format!("{prefix}{way}canary.txt").into()),
        );
        targets.extend(
            WAYS_OUT
                .iter()
                .map(|way| format!("{prefix}{way}{way}{way}{way}{way}etc/hostname").into()),
        );
        targets.push(format!("{prefix}{absolute}").into());
        targets.push(format!("{prefix}%2f{}", absolute.replace('/', "%2f")).into());
        targets.push(format!("{prefix}index.html%00.txt").into());
        targets.push([prefix.as_bytes(), b"index\0.html"].concat());
        targets.push([prefix.as_bytes(), b"\xff\xfe.txt"].concat());
        targets.push([prefix.as_bytes(), b"\xc0\xae\xc0\xae/canary.txt"].concat());
    }
    for target in ["/../canary.txt", "/%2e%2e/canary.txt", "/folder/secret.txt"] {
        targets.push(format!("https://{HOST}{target}").into());
        targets.push(format!("http://{HOST}{target}").into());
        targets.push(format!("https://user@{HOST}{target}").into());
    }
    targets.push(format!("file://{absolute}").into());
    targets.push("..".into());
    targets.push("canary.txt".into());
    targets.push("*".into());
    let mut statuses = BTreeMap::new();
    let mut raw = proxy.raw().await;
    for target in &targets {
        let shown = String::from_utf8_lossy(target);
        let (answer, closed) = ask(&proxy, &mut raw, target).await;
        if closed {
            raw = proxy.raw().await;
        }
        let status = status_of(&answer);
        assert!([400, 404].contains(&status), "{shown:?}: {answer}");
        assert!(!answer.contains(CANARY), "{shown:?}: {answer}");
        *statuses.entry(status).or_insert(0) += 1;
    }
    note(format!("{} targets: {statuses:?}", targets.len()));
    over_http2(&proxy, &targets).await;
}

/// The answer to a GET, and whether the connection ended with it.
async fn ask(proxy: &Proxy, raw: &mut Raw, target: &[u8]) -> (String, bool) {
    let head = format!(" HTTP/1.1\r\nHost: {HOST}\r\nAccept: application/json\r\n\r\n");
    let request = [b"GET ", target, head.as_bytes()].concat();
    if raw.try_send(&request).await.is_err() {
        *raw = proxy.raw().await;
        raw.send(&request).await;
    }
    let (head, body) = raw.response().await;
    let closed = head.contains("connection: close");
    (format!("{head}{body}"), closed)
}

/// The same targets where a client can write them.
async fn over_http2(proxy: &Proxy, targets: &[Vec<u8>]) {
    let mut session: Session = proxy.session2().await;
    for target in targets {
        let Ok(path) = std::str::from_utf8(target) else {
            continue;
        };
        if !path.starts_with('/') || path.parse::<http::uri::PathAndQuery>().is_err() {
            continue;
        }
        let request = proxy.request("GET", path).h2();
        let reply = session
            .send(request.header("accept", "application/json"))
            .await;
        assert!(
            reply.status == 400 || reply.status == 404,
            "{path}: {reply:?}"
        );
        assert!(!reply.text().contains(CANARY), "{path}");
    }
}
