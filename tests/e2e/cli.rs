//! The commands: what they print and how they end.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::harness::{
    Proxy,
    backend::Backend,
    command::{Said, portcullis, run},
    folder,
    setup::{SPA, Setup, folder_with_spa},
};

/// Writes `toml` into `dir` and names the file.
fn written(dir: &Path, toml: &str) -> String {
    let file = dir.join("portcullis.toml");
    std::fs::write(&file, toml.replace("@dir", dir.to_str().unwrap())).unwrap();
    file.to_str().unwrap().to_owned()
}

async fn check(dir: &TempDir, toml: &str) -> Said {
    portcullis(&["check", "--config", &written(dir.path(), toml)]).await
}

fn good() -> Setup {
    Setup::new().route("/", SPA)
}

#[tokio::test]
async fn help_teaches_every_command() {
    let said = portcullis(&["--help"]).await;
    assert_eq!(said.code, Some(0));
    for command in ["run", "check", "serve", "cert", "explain"] {
        assert!(said.stdout.contains(command), "{command} in {said:?}");
        let help = portcullis(&[command, "--help"]).await;
        assert_eq!(help.code, Some(0), "{command}");
        assert!(help.stdout.contains("Usage"), "{help:?}");
    }
}

#[tokio::test]
async fn version_names_itself() {
    let said = portcullis(&["--version"]).await;
    assert_eq!(
        (said.code, said.stdout.trim()),
        (Some(0), concat!("portcullis ", env!("CARGO_PKG_VERSION")))
    );
}

#[tokio::test]
async fn unknown_flags_and_commands_are_64_with_a_suggestion() {
    for args in [
        &["run", "--confg", "x"][..],
        &["chek"],
        &[],
        &["run", "extra"],
    ] {
        let said = portcullis(args).await;
        assert_eq!(said.code, Some(64), "{args:?} {said:?}");
    }
    assert!(portcullis(&["chek"]).await.stderr.contains("check"));
}

#[tokio::test]
async fn check_is_content_with_a_good_file() {
    let said = check(&folder_with_spa(), &good().toml()).await;
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[tokio::test]
async fn check_reports_every_fault_with_line_caret_and_suggestion() {
    let toml = good()
        .server("head_timout = \"5s\"\ndrain_timeout = \"soon\"")
        .route(
            "/api/",
            "proxy = { upstream = \"nobody\", strip_prefx = true }",
        )
        .toml();
    let dir = folder_with_spa();
    let said = check(&dir, &toml).await;
    assert_eq!(said.code, Some(78), "{said:?}");
    let all = said.all();
    for part in [
        "head_timout",
        "head_timeout",
        "soon",
        "nobody",
        "strip_prefx",
        "strip_prefix",
        "portcullis.toml:",
        "^",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
}

#[tokio::test]
async fn check_speaks_json() {
    let dir = folder_with_spa();
    let file = written(dir.path(), &good().server("nonsense = 1").toml());
    let said = portcullis(&["check", "--format", "json", "--config", &file]).await;
    assert_eq!(said.code, Some(78));
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert!(report.to_string().contains("nonsense"), "{report}");
}

#[tokio::test]
async fn check_finds_what_is_wrong_with_files() {
    let dir = folder_with_spa();
    for (certificate, part) in [
        (
            "{ chain = \"@dir/none.pem\", key = \"@dir/site.key\" }",
            "none.pem",
        ),
        (
            "{ chain = \"@dir/site.pem\", key = \"@dir/site.pem\" }",
            "key",
        ),
        (
            "{ chain = \"@dir/site.key\", key = \"@dir/site.key\" }",
            "certificate",
        ),
        (
            "{ chain = \"@dir/site.pem\", key = \"@dir/other.key\" }",
            "does not belong",
        ),
    ] {
        crate::harness::pki::Pki::get().write_leaf(dir.path(), "other", &["other.test"]);
        let said = check(&dir, &good().certificate(certificate).toml()).await;
        assert_eq!(said.code, Some(78), "{certificate} {said:?}");
        assert!(said.all().contains(part), "{part} in {said:?}");
    }
}

#[tokio::test]
async fn check_finds_clashes_of_sites_and_routes() {
    let dir = folder_with_spa();
    let site = "[[site]]\nhosts = [\"site.test\"]\ncertificate = { chain = \"@dir/site.pem\", key = \"@dir/site.key\" }\n\
                [[site.route]]\npath = \"/\"\nrespond = { status = 200, body = \"x\" }\n";
    assert_eq!(
        check(&dir, &good().more(site).toml()).await.code,
        Some(78),
        "one host twice"
    );
    assert_eq!(
        check(&dir, &good().route("/", SPA).toml()).await.code,
        Some(78),
        "one path twice"
    );
    let two = "proxy = { upstream = \"app\" }\nrespond = { status = 200, body = \"x\" }";
    assert_eq!(
        check(&dir, &good().route("/two", two).toml()).await.code,
        Some(78),
        "two handlers"
    );
    assert_eq!(
        check(&dir, &good().route("/none", "body_limit = 1").toml())
            .await
            .code,
        Some(78),
        "no handler"
    );
}

#[tokio::test]
async fn check_warns_of_an_upstream_that_nobody_uses() {
    let dir = folder_with_spa();
    let toml = Setup::to_urls(&["http://127.0.0.1:9".into()])
        .route("/", SPA)
        .toml();
    let said = check(&dir, &toml).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.all().contains("app"), "{said:?}");
}

#[tokio::test]
async fn check_takes_nothing_reserved() {
    let dir = folder_with_spa();
    for toml in [
        good().more("[cache]\nsize = \"1MiB\"").toml(),
        good().certificate("{ acme = true }").toml(),
        good()
            .route(
                "/x",
                "respond = { status = 200, body = \"x\" }\ncors_errors = true",
            )
            .toml(),
    ] {
        assert_eq!(check(&dir, &toml).await.code, Some(78), "{toml}");
    }
}

#[tokio::test]
async fn check_fills_in_the_environment() {
    let dir = folder_with_spa();
    let toml = good()
        .admin("{ address = \"127.0.0.1:${ADMIN_PORT_THAT_IS_NOT_SET:-0}\" }")
        .toml();
    assert_eq!(check(&dir, &toml).await.code, Some(0));
    let toml = good()
        .admin("{ address = \"127.0.0.1:${ADMIN_PORT_THAT_IS_NOT_SET}\" }")
        .toml();
    let said = check(&dir, &toml).await;
    assert_eq!(said.code, Some(78));
    assert!(
        said.all().contains("ADMIN_PORT_THAT_IS_NOT_SET"),
        "{said:?}"
    );
}

#[tokio::test]
async fn run_refuses_a_broken_file_as_check_does() {
    let dir = folder_with_spa();
    let file = written(dir.path(), &good().server("nonsense = 1").toml());
    let said = portcullis(&["run", "--config", &file]).await;
    assert_eq!(said.code, Some(78), "{said:?}");
    assert!(
        said.all().contains("nonsense") && said.all().contains('^'),
        "{said:?}"
    );
}

#[tokio::test]
async fn run_says_when_there_is_no_file() {
    let said = portcullis(&["run", "--config", "/nowhere/portcullis.toml"]).await;
    assert_eq!(said.code, Some(78), "{said:?}");
    assert!(said.all().contains("/nowhere/portcullis.toml"), "{said:?}");
}

#[tokio::test]
async fn run_ends_with_71_when_a_port_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = folder_with_spa();
    let file = written(
        dir.path(),
        &good().toml().replacen("127.0.0.2:0", &address, 1),
    );
    let said = portcullis(&["run", "--config", &file]).await;
    assert_eq!(said.code, Some(71), "{said:?}");
    assert!(said.all().contains(&address), "{said:?}");
}

#[tokio::test]
async fn two_proxies_do_not_share_a_port_silently() {
    let proxy: Proxy = good().start_in(folder_with_spa()).await;
    let dir = folder_with_spa();
    let file = written(
        dir.path(),
        &good()
            .toml()
            .replacen("127.0.0.2:0", &proxy.http().to_string(), 1),
    );
    assert_eq!(portcullis(&["run", "--config", &file]).await.code, Some(71));
}

#[tokio::test]
async fn explain_says_what_a_request_meets() {
    let backend = Backend::echo().await;
    let dir = folder_with_spa();
    let toml = Setup::new()
        .route("/api/", "proxy = { upstream = \"app\", strip_prefix = true }\nrate_limit = { rate = \"120/min\" }")
        .more(&format!(
            "[upstream.app]\nbackends = [{{ address = \"{}\", weight = 3 }}]\nbalance = \"hash\"\nhash_key = \"cookie:sid\"",
            backend.url()
        ))
        .toml();
    let file = written(dir.path(), &toml);
    let said = portcullis(&[
        "explain",
        "--config",
        &file,
        "GET",
        "https://site.test/api/users",
    ])
    .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    for part in [
        "site.test",
        "/api/",
        "app",
        "120 requests",
        "body limit",
        "compress    zstd, br, gzip from 1024 bytes",
        "GET /users",
        "nosniff",
        "weight 3",
        "hash by cookie:sid",
    ] {
        assert!(said.stdout.contains(part), "{part} in {}", said.stdout);
    }
    let said = portcullis(&["explain", "--config", &file, "GET", "https://other.test/"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
}

#[tokio::test]
async fn cert_dev_makes_a_leaf_that_its_authority_signed() {
    let dir = folder();
    let out: PathBuf = dir.path().join("out");
    let out_name = out.to_str().unwrap();
    let home = dir.path().to_str().unwrap();
    let args = [
        &format!("HOME={home}"),
        &format!("XDG_DATA_HOME={home}"),
        crate::harness::BINARY,
    ];
    let args = [
        &args.map(|arg| arg as &str)[..],
        &["cert", "dev", "db.test", "localhost", "--out", out_name],
    ]
    .concat();
    let said = run("env", &args, "").await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let files: Vec<_> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let key = files
        .iter()
        .find(|file| file.extension().is_some_and(|extension| extension == "key"))
        .unwrap();
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(key).unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "the key is nobody else's");
    let leaf = key.with_extension("pem");
    let text = run(
        "openssl",
        &["x509", "-noout", "-text", "-in", leaf.to_str().unwrap()],
        "",
    )
    .await
    .stdout;
    assert!(
        text.contains("DNS:db.test") && text.contains("DNS:localhost"),
        "{text}"
    );
}
