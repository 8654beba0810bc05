//! Folders that nobody would build on purpose: many files, large ones, files that change while they are sent, and all
//! that must not be reached through a folder.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    time::Duration,
};

use http::{Response, Version};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::harness::{
    PATIENCE, Proxy,
    command::portcullis,
    eventually, folder, note,
    setup::{SPA, Setup, folder_with_spa},
};

mod paths;

/// What stands in every file that no client may see.
const CANARY: &str = "canary-5f0c1e7a";
const MIB: u64 = 1 << 20;

async fn proxy_in(dir: TempDir) -> Proxy {
    Setup::new()
        .route("/spa/", SPA)
        .route("/", "files = { root = \"@dir/www\" }")
        .start_in(dir)
        .await
}

#[tokio::test]
async fn twenty_thousand_files_are_served_and_a_change_in_them_is_noticed() {
    const FOLDERS: usize = 200;
    const FILES: usize = 100;
    let dir = folder_with_spa();
    let www = dir.path().join("www");
    for outer in 0..FOLDERS {
        let folder = www.join(format!("photos/{outer}"));
        fs::create_dir_all(&folder).unwrap();
        for inner in 0..FILES {
            fs::write(
                folder.join(format!("{inner}.svg")),
                format!("{outer} {inner}"),
            )
            .unwrap();
        }
    }
    fs::write(www.join("photos/7/index.html"), "<title>seven</title>").unwrap();
    fs::write(www.join("large.bin"), vec![7; 3 << 20]).unwrap();
    let start = Instant::now();
    let proxy = proxy_in(dir).await;
    note(format!(
        "{} files: served after {:?}, {} MiB",
        FOLDERS * FILES,
        start.elapsed(),
        proxy.resident_mib()
    ));
    let mut session = proxy.session().await;
    for path in [
        "/photos/0/0.svg",
        "/photos/199/99.svg",
        "/photos/7/",
        "/assets/index-B1c2D3e4.js",
    ] {
        assert_eq!(
            session.send(proxy.request("GET", path)).await.status,
            200,
            "{path}"
        );
    }
    let large = session.send(proxy.request("GET", "/large.bin")).await;
    assert!(large.body.len() == 3 << 20 && large.body.iter().all(|byte| *byte == 7));
    let missing = session
        .send(proxy.request("GET", "/photos/200/0.svg"))
        .await;
    assert_eq!(missing.status, 404);
    fs::write(proxy.dir().join("www/photos/150/50.svg"), "changed").unwrap();
    let start = Instant::now();
    // A large folder is looked at less often.
    loop {
        let reply = session
            .send(proxy.request("GET", "/photos/150/50.svg"))
            .await;
        if reply.text() == "changed" {
            break;
        }
        assert_eq!(reply.text(), "150 50");
        assert!(start.elapsed() < PATIENCE * 8, "the change is not noticed");
        sleep(Duration::from_millis(50)).await;
    }
    note(format!("the change was served after {:?}", start.elapsed()));
}

#[tokio::test]
async fn a_file_of_two_gibibytes_is_served_in_parts_and_held_for_slow_clients_in_bounded_memory() {
    const SIZE: u64 = 2048 * MIB;
    const SLOW: usize = 16;
    let dir = folder_with_spa();
    let file = File::create(dir.path().join("www/film.mp4")).unwrap();
    file.set_len(SIZE).unwrap();
    file.write_all_at(b"the end", SIZE - 7).unwrap();
    drop(file);
    let proxy = proxy_in(dir).await;
    let head = proxy.request("HEAD", "/film.mp4").send().await;
    assert_eq!(head.header("content-length"), SIZE.to_string());
    assert_eq!(head.header("accept-ranges"), "bytes");
    let etag = head.header("etag");
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let part = async |if_range: &str, range: &str| {
            let request = proxy.request("GET", "/film.mp4").version(version);
            let request = request.header("range", range).header("if-range", if_range);
            request.open().await
        };
        let end = part(etag, "bytes=-7").await;
        assert_eq!(end.status(), 206);
        assert_eq!(
            end.headers()["content-range"],
            format!("bytes {}-{}/{SIZE}", SIZE - 7, SIZE - 1)
        );
        assert_eq!(
            end.into_body().collect().await.unwrap().to_bytes(),
            "the end"
        );
        let other = part("\"other\"", "bytes=-7").await;
        assert_eq!(other.status(), 200);
        assert_eq!(other.headers()["content-length"], SIZE.to_string());
        let beyond = part(etag, &format!("bytes={SIZE}-")).await;
        assert_eq!(beyond.status(), 416);
    }
    let before = proxy.resident_mib();
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        slow.push(proxy.get_open("/film.mp4").await);
        slow.push(proxy.request("GET", "/film.mp4").h2().open().await);
    }
    // They take a little, and then nothing.
    for response in &mut slow {
        next_piece(response).await.unwrap().unwrap();
    }
    let grown = proxy.resident_mib().saturating_sub(before);
    note(format!("{} slow clients of 2 GiB: {grown} MiB", slow.len()));
    assert!(
        grown < 3 * slow.len(),
        "{grown} MiB for {} clients",
        slow.len()
    );
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_sent_breaks_off_and_is_never_a_mixture() {
    const SIZE: usize = 32 << 20;
    let dir = folder_with_spa();
    let names = ["written", "cut", "grown", "replaced", "removed"];
    for name in names {
        fs::write(dir.path().join("www").join(name), vec![b'a'; SIZE]).unwrap();
    }
    let proxy = proxy_in(dir).await;
    let path = |name: &str| proxy.dir().join("www").join(name);
    let mut sent = Vec::new();
    for name in names {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let request = proxy.request("GET", &format!("/{name}")).version(version);
            let mut response = request.open().await;
            assert_eq!(response.headers()["content-length"], SIZE.to_string());
            let first = next_piece(&mut response).await.unwrap().unwrap();
            sent.push((name, version, response, first));
        }
    }
    let written = OpenOptions::new()
        .write(true)
        .open(path("written"))
        .unwrap();
    written.write_all_at(&vec![b'b'; SIZE], 0).unwrap();
    let cut = OpenOptions::new().write(true).open(path("cut")).unwrap();
    cut.set_len(MIB).unwrap();
    let grown = OpenOptions::new().append(true).open(path("grown")).unwrap();
    grown.set_len(SIZE as u64 + 1).unwrap();
    fs::write(path("new"), vec![b'b'; SIZE]).unwrap();
    fs::rename(path("new"), path("replaced")).unwrap();
    fs::remove_file(path("removed")).unwrap();
    for (name, version, mut response, first) in sent {
        let mut bytes = first;
        let ended = loop {
            match next_piece(&mut response).await {
                Some(Ok(piece)) => bytes.extend(piece),
                Some(Err(())) => break false,
                None => break true,
            }
        };
        assert!(
            bytes.iter().all(|byte| *byte == b'a'),
            "{name} {version:?}: a mixture"
        );
        // An open file outlives its name.
        let survives = matches!(name, "replaced" | "removed");
        assert_eq!(ended, survives, "{name} {version:?}: {} bytes", bytes.len());
        assert_eq!(bytes.len() == SIZE, survives, "{name} {version:?}");
    }
    // Until the new release is read, the old bytes are not there any more.
    for (name, first) in [("written", b'b'), ("cut", b'a'), ("replaced", b'b')] {
        let reply = eventually("the changed file", async || {
            let reply = proxy.get(&format!("/{name}")).await;
            assert!(reply.status == 200 || reply.status == 503, "{reply:?}");
            (reply.status == 200 && reply.body[0] == first).then_some(reply)
        });
        let reply = reply.await;
        assert!(reply.body.iter().all(|byte| *byte == first), "{name}");
    }
}

/// Bytes of a body; an error when it broke off, nothing at its end.
async fn next_piece(response: &mut Response<Incoming>) -> Option<Result<Vec<u8>, ()>> {
    let frame = timeout(PATIENCE, response.body_mut().frame()).await;
    let frame = frame.expect("the body goes on, ends, or breaks off")?;
    Some(
        frame
            .map(|frame| frame.into_data().unwrap().to_vec())
            .map_err(|_| ()),
    )
}

#[tokio::test]
async fn what_may_not_be_read_is_left_out_and_the_rest_is_served() {
    let dir = folder_with_spa();
    let www = dir.path().join("www");
    fs::write(dir.path().join("unprivileged"), "").unwrap();
    fs::write(www.join("file.txt"), CANARY).unwrap();
    // The first can be listed and not entered, the second neither.
    for (name, mode) in [("listed", 0o444), ("closed", 0o000), ("file.txt", 0o000)] {
        let path = www.join(name);
        if !path.exists() {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("x.txt"), CANARY).unwrap();
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let proxy = proxy_in(dir).await;
    for path in ["/file.txt", "/listed/x.txt", "/closed/x.txt"] {
        assert_eq!(proxy.get(path).await.status, 404, "{path}");
    }
    assert_eq!(proxy.get("/robots.txt").await.status, 200);
    proxy
        .logged(&["files are left out", "count=3", "it may not be read"])
        .await;
    // So that the folder can be removed.
    for name in ["listed", "closed"] {
        let path = proxy.dir().join("www").join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[tokio::test]
async fn a_root_that_is_no_folder_is_said_and_not_served() {
    let dir = folder();
    fs::write(dir.path().join("www"), CANARY).unwrap();
    let toml = Setup::new()
        .route("/", "files = { root = \"@dir/www\" }")
        .toml();
    let toml = toml.replace("@dir", dir.path().to_str().unwrap());
    fs::write(dir.path().join("portcullis.toml"), toml).unwrap();
    let config = dir.path().join("portcullis.toml").display().to_string();
    let said = portcullis(&["check", "--config", &config]).await;
    assert_ne!(said.code, Some(0), "{said:?}");
    assert!(said.all().contains("www"), "{said:?}");
}
