//! Where files are looked for: pages without their extension, several clients on one site, source maps.

use std::fs;

use crate::harness::{
    Proxy,
    client::Reply,
    setup::{Setup, folder_with_spa},
};

async fn page(proxy: &Proxy, path: &str) -> Reply {
    let request = proxy.request("GET", path).header("accept", "text/html");
    request.send().await
}

#[tokio::test]
async fn an_export_with_html_files_is_served_without_their_extension() {
    let dir = folder_with_spa();
    let www = dir.path().join("www");
    for (name, text) in [
        ("about.html", "about"),
        ("blog.html", "blog"),
        ("blog/one.html", "one"),
        ("docs/index.html", "docs"),
        ("404.html", "lost"),
    ] {
        fs::create_dir_all(www.join(name).parent().unwrap()).unwrap();
        fs::write(www.join(name), text).unwrap();
    }
    let keys = "try = [\"{path}\", \"{path}.html\", \"{path}/index.html\"]";
    let proxy = Setup::new()
        .route("/", &format!("files = {{ root = \"@dir/www\", {keys} }}"))
        .route("/plain/", "files = { root = \"@dir/www\" }")
        .start_in(dir)
        .await;
    for (path, text) in [
        ("/about", "about"),
        ("/about.html", "about"),
        ("/about?x=1", "about"),
        ("/blog", "blog"),
        ("/blog/one", "one"),
        ("/docs/", "docs"),
        ("/404", "lost"),
    ] {
        let reply = page(&proxy, path).await;
        assert_eq!(
            (reply.status.as_u16(), &*reply.text()),
            (200, text),
            "{path}"
        );
        assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(reply.header("cache-control"), "no-cache");
    }
    let folder = page(&proxy, "/docs?x=1").await;
    assert_eq!(
        (folder.status.as_u16(), folder.header("location")),
        (308, "/docs/?x=1")
    );
    for path in [
        "/about/",
        "/blog/",
        "/about.html.html",
        "/abou",
        "/plain/about",
    ] {
        assert_eq!(page(&proxy, path).await.status, 404, "{path}");
    }
    assert_eq!(page(&proxy, "/plain/docs").await.status, 308);
}

#[tokio::test]
async fn several_clients_on_one_site_have_their_own_files_and_fallbacks() {
    let dir = folder_with_spa();
    let admin = dir.path().join("admin");
    fs::create_dir_all(admin.join("assets")).unwrap();
    fs::write(admin.join("app.html"), "<title>Admin</title>").unwrap();
    fs::write(admin.join("assets/main-Q1w2E3r4.js"), "admin()").unwrap();
    let proxy = Setup::new()
        .route(
            "/",
            "files = { root = \"@dir/www\", fallback = \"index.html\" }",
        )
        .route(
            "/admin/",
            "files = { root = \"@dir/admin\", fallback = \"app.html\" }",
        )
        .start_in(dir)
        .await;
    for path in ["/", "/users/42", "/administration", "/adm"] {
        assert!(
            page(&proxy, path).await.text().contains("<title>SPA"),
            "{path}"
        );
    }
    for path in ["/admin/users/42", "/admin/x", "/admin/app.html"] {
        assert!(
            page(&proxy, path).await.text().contains("<title>Admin"),
            "{path}"
        );
    }
    assert_eq!(
        proxy.get("/admin/assets/main-Q1w2E3r4.js").await.text(),
        "admin()"
    );
    for path in [
        "/assets/main-Q1w2E3r4.js",
        "/admin/robots.txt",
        "/admin/assets/index-B1c2D3e4.js",
    ] {
        assert_eq!(proxy.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn source_maps_are_404_where_they_are_switched_off() {
    let dir = folder_with_spa();
    for name in ["a.js.map", "a.js.map.br"] {
        fs::write(dir.path().join("www").join(name), "{}").unwrap();
    }
    let proxy = Setup::new()
        .route("/", "files = { root = \"@dir/www\", source_maps = false }")
        .route("/open/", "files = { root = \"@dir/www\" }")
        .start_in(dir)
        .await;
    for name in ["a.js.map", "a.js.map.br", "a.js%2emap"] {
        let hidden = proxy.get(&format!("/{name}")).await;
        assert_eq!(hidden.status, 404, "{name}");
        assert_eq!(hidden.header("cache-control"), "no-store");
        assert_eq!(proxy.get(&format!("/open/{name}")).await.status, 200);
    }
}

#[tokio::test]
async fn a_page_says_what_it_loads_before_it_comes() {
    let proxy = Setup::new()
        .route(
            "/",
            "files = { root = \"@dir/www\", fallback = \"index.html\" }",
        )
        .route(
            "/quiet/",
            "files = { root = \"@dir/www\", fallback = \"index.html\", preload = false }",
        )
        .start_in(folder_with_spa())
        .await;
    let link = "</assets/index-B1c2D3e4.js>; rel=modulepreload";
    let first = page(&proxy, "/deep/link").await;
    assert_eq!(first.header("link"), link);
    let again = proxy
        .request("GET", "/")
        .header("if-none-match", first.header("etag"));
    let again = again.send().await;
    assert_eq!((again.status.as_u16(), again.header("link")), (304, ""));
    assert_eq!(page(&proxy, "/quiet/").await.header("link"), "");
    assert_eq!(proxy.get("/robots.txt").await.header("link"), "");
}
