//! The access log: one line per request, its keys, and what it never tells.

use std::collections::BTreeSet;

use crate::harness::{
    HOST, Proxy,
    backend::Backend,
    eventually,
    setup::{SPA, Setup, folder_with_spa},
};

async fn echo(log: &str) -> (Backend, Proxy) {
    let backend = Backend::echo().await;
    let setup = Setup::to(&[&backend]);
    let proxy = if log.is_empty() {
        setup
    } else {
        setup.log(log)
    }
    .start()
    .await;
    (backend, proxy)
}

#[tokio::test]
async fn a_line_has_these_keys_and_no_others() {
    let (backend, proxy) = echo("").await;
    proxy
        .request("POST", "/users?x=1")
        .body("12345")
        .send()
        .await;
    let line = proxy.access("/users").await;
    let keys: BTreeSet<_> = line
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    for key in [
        "time",
        "request_id",
        "client",
        "method",
        "host",
        "path",
        "query",
        "protocol",
        "tls",
        "status",
        "bytes",
        "upstream",
        "backend",
        "attempts",
        "limited",
    ] {
        assert!(keys.contains(key), "{key} in {line}");
    }
    for part in ["duration", "connect", "first_byte"] {
        assert!(
            keys.iter().any(|key| key.contains(part)),
            "{part} in {line}"
        );
    }
    assert_eq!(
        (&line["method"], &line["status"], &line["host"]),
        (&"POST".into(), &200.into(), &HOST.into())
    );
    assert_eq!(
        (&line["client"], &line["upstream"], &line["attempts"]),
        (&"127.0.0.1".into(), &"app".into(), &1.into())
    );
    assert!(
        backend.url().contains(
            line["backend"]
                .as_str()
                .unwrap()
                .trim_start_matches("http://")
        ),
        "{line}"
    );
    assert!(line["tls"].to_string().contains("TLSv1.3"), "{line}");
    assert!(line["bytes"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn every_request_has_one_line() {
    let (_backend, proxy) = echo("").await;
    for _ in 0..20 {
        proxy.get("/counted").await;
    }
    let mut session = proxy.session2().await;
    for _ in 0..20 {
        session.send(proxy.request("GET", "/counted")).await;
    }
    eventually("40 lines", async || {
        (proxy.output().count("\"/counted\"") >= 40).then_some(())
    })
    .await;
    proxy.get("/last").await;
    proxy.access("/last").await;
    assert_eq!(proxy.output().count("\"/counted\""), 40);
}

#[tokio::test]
async fn answers_of_the_proxy_have_a_line_too() {
    let proxy = Setup::new()
        .route("/spa/", SPA)
        .start_in(folder_with_spa())
        .await;
    proxy.get("/spa/index.html").await;
    proxy.get("/none").await;
    proxy.plain("GET", "/plain").send().await;
    assert_eq!(proxy.access("/spa/index.html").await["status"], 200);
    assert_eq!(proxy.access("/none").await["status"], 404);
    assert_eq!(proxy.access("/plain").await["status"], 308);
}

#[tokio::test]
async fn query_values_are_redacted() {
    let (_backend, proxy) = echo("").await;
    proxy.get("/callback?code=sekrit&state=hidden").await;
    let line = proxy.access("/callback").await;
    assert!(line["query"].as_str().unwrap().contains("code="), "{line}");
    assert!(
        !line.to_string().contains("sekrit") && !line.to_string().contains("hidden"),
        "{line}"
    );
}

#[tokio::test]
async fn query_values_are_kept_when_asked_for() {
    let (_backend, proxy) = echo("access = { redact = false }").await;
    proxy.get("/search?q=words").await;
    assert_eq!(proxy.access("/search").await["query"], "q=words");
}

#[tokio::test]
async fn secrets_of_fields_are_nowhere() {
    let (_backend, proxy) = echo("level = \"debug\"").await;
    proxy
        .request("GET", "/private")
        .header("authorization", "Bearer sekrit-token")
        .header("cookie", "session=sekrit-cookie")
        .header("referer", "https://site.test/cb?code=sekrit-referer")
        .send()
        .await;
    proxy.access("/private").await;
    let all = [proxy.output().all(), proxy.log().all()]
        .concat()
        .join("\n");
    assert!(!all.contains("sekrit"), "{all}");
}

#[tokio::test]
async fn combined_is_apaches() {
    let (_backend, proxy) = echo("access = { format = \"combined\" }").await;
    proxy
        .request("GET", "/c?x=1")
        .header("user-agent", "agent/1")
        .header("referer", "https://a.test/")
        .send()
        .await;
    let line = proxy.output().wait_for(&["GET /c"]).await;
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(line.contains("] \"GET /c?x=* HTTP/1.1\" 200 "), "{line}");
    assert!(line.ends_with("\"https://a.test/\" \"agent/1\""), "{line}");
}

#[tokio::test]
async fn a_client_cannot_forge_a_line() {
    for log in ["", "access = { format = \"combined\" }"] {
        let (_backend, proxy) = echo(log).await;
        let mut raw = proxy.raw().await;
        raw.send(
            b"GET /x\"%0aforged\\ HTTP/1.1\r\nHost: site.test\r\nUser-Agent: a\" \xff\x1b[31m \\\r\n\
              Referer: \"}\t{\"forged\":1\r\nConnection: close\r\n\r\n",
        )
        .await;
        raw.read_to_end().await;
        proxy.get("/after").await;
        proxy.output().wait_for(&["/after"]).await;
        for line in proxy.output().all() {
            assert!(!line.starts_with("forged"), "{line}");
            assert!(
                line.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
                "{line:?}"
            );
            if log.is_empty() {
                let record: serde_json::Value = serde_json::from_str(&line).unwrap();
                assert!(record.get("forged").is_none());
            }
        }
    }
}

#[tokio::test]
async fn a_file_is_appended_to_and_reopened() {
    let backend = Backend::echo().await;
    let proxy = Setup::to(&[&backend])
        .log("access = { path = \"@dir/access.log\" }")
        .start()
        .await;
    let file = proxy.dir().join("access.log");
    let holds = async |part: &str| {
        eventually("the line in the file", async || {
            std::fs::read_to_string(&file)
                .ok()
                .filter(|text| text.contains(part))
                .map(drop)
        })
        .await;
    };
    proxy.get("/first").await;
    holds("/first").await;
    std::fs::rename(&file, proxy.dir().join("access.log.1")).unwrap();
    proxy.signal("USR1");
    eventually("the new file", async || {
        proxy.get("/second").await;
        std::fs::read_to_string(&file)
            .ok()
            .filter(|text| text.contains("/second"))
            .map(drop)
    })
    .await;
}

#[tokio::test]
async fn off_means_none() {
    let (_backend, proxy) = echo("access = false").await;
    proxy.get("/x").await;
    proxy.admin("/metrics").await;
    assert!(proxy.output().all().is_empty());
}

#[tokio::test]
async fn failures_of_backends_name_upstream_and_class() {
    let backend = Backend::canned_once("junk\r\n\r\n").await;
    let proxy = Setup::to(&[&backend]).start().await;
    proxy.get("/junk").await;
    let line = proxy.access("/junk").await;
    assert_eq!(
        (&line["status"], &line["upstream"]),
        (&502.into(), &"app".into())
    );
}
