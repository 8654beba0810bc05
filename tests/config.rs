//! The configuration as its users meet it: example files, defaults, and what every fault looks like.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of tests fail as tests do"
)]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use portcullis::config::{
    Config,
    diagnostic::{Color, Report, Severity},
    headers::Inline,
    route::{Handler, PathPattern, Releases},
    tls::Certificate,
    upstream::{Backend, BackendAddress, Sticky, Upstream},
};
use tempfile::TempDir;

#[path = "config/headers.rs"]
mod headers;
#[path = "config/properties.rs"]
mod properties;
#[cfg(feature = "dns")]
#[path = "config/srv.rs"]
mod srv;
#[path = "config/upstream.rs"]
mod upstream;

/// Reads `text` as a file in `folder`, with three environment variables.
fn parse(folder: &Path, name: &str, text: &str) -> Result<(Config, Report), Report> {
    Config::parse(&folder.join(name), text, &|name| match name {
        "DRAIN" => Some(String::from("7s")),
        "API_PORT" => Some(String::from("3001")),
        "EMPTY" => Some(String::new()),
        _ => None,
    })
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config")
}

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(name);
    fs::read_to_string(path).unwrap()
}

/// The example with its files moved into a temporary folder, where they exist.
fn parse_example(name: &str) -> (Config, Report, TempDir) {
    let folder = TempDir::new().unwrap();
    let root = folder.path().to_str().unwrap();
    let mut text = example(name);
    for (written, file) in [
        ("/etc/portcullis/certs/site.pem", "site.pem"),
        ("/etc/portcullis/certs/site.key", "site.key"),
        ("/etc/portcullis/certs/api.pem", "api.pem"),
        ("/etc/portcullis/certs/api.key", "api.key"),
        ("../examples/nestflux/client/dist", "client/index.html"),
        ("/var/www/nestflux-client", "client/index.html"),
        ("/var/www/client", "client/index.html"),
    ] {
        let file = folder.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        let target = file.to_str().unwrap().trim_end_matches("/index.html");
        text = text.replace(&format!("\"{written}\""), &format!("\"{target}\""));
    }
    assert!(!text.contains("\"/var/"), "{root}: a path was not moved");
    match parse(folder.path(), name, &text) {
        Ok((config, report)) => (config, report, folder),
        Err(report) => panic!("{}", report.render(Color::Never)),
    }
}

/// A good configuration around `extra`, which stands at its top.
fn around(extra: &str) -> String {
    format!(
        "{extra}\n[[listener]]\naddress = \"127.0.0.1:8443\"\ntls = true\n\
         [[site]]\nhosts = [\"example.com\"]\ncertificate = {{ dev = true }}\n\
         [[site.route]]\npath = \"/\"\nrespond = {{}}\n"
    )
}

fn good(text: &str) -> Config {
    match parse(&fixtures(), "good.toml", text) {
        Ok((config, _)) => config,
        Err(report) => panic!("{}", report.render(Color::Never)),
    }
}

/// What only a build without the feature `dns` has to complain of.
const WITHOUT_DNS: &str = "without_dns.toml";

/// Every `tests/fixtures/config/NAME.toml` is reported as `NAME.txt` says. `UPDATE_FIXTURES=1` rewrites those.
#[test]
fn every_fault_is_shown_with_its_place_and_a_remedy() {
    let folder = fixtures();
    let root = format!("{}/", folder.display());
    let mut faults = 0;
    let mut wrong = Vec::new();
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "toml"))
        .filter(|path| cfg!(not(feature = "dns")) || !path.ends_with(WITHOUT_DNS))
        .collect();
    files.sort();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let report = match parse(&folder, name, &text) {
            Ok((_, report)) => report,
            Err(report) => {
                assert!(report.has_errors(), "{name}");
                report
            }
        };
        assert!(!report.diagnostics.is_empty(), "{name} has no fault");
        faults += report.count(Severity::Error);
        let shown = report.render(Color::Never).replace(&root, "");
        let shown = shown.replace(folder.to_str().unwrap(), ".");
        let golden = file.with_extension("txt");
        if env::var_os("UPDATE_FIXTURES").is_some() {
            fs::write(&golden, &shown).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != shown {
            wrong.push(format!("{name} is reported as:\n{shown}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(faults > 100, "only {faults} faults are covered");
}

#[test]
fn ten_faults_are_reported_together() {
    let text = fs::read_to_string(fixtures().join("ten.toml")).unwrap();
    let report = parse(&fixtures(), "ten.toml", &text).unwrap_err();
    assert!(report.count(Severity::Error) >= 10);
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    let entries = json.as_array().unwrap();
    assert_eq!(entries.len(), report.diagnostics.len());
    assert!(
        entries
            .iter()
            .all(|entry| entry["line"].is_u64() && entry["help"].is_string())
    );
}

#[test]
fn every_fault_has_a_help() {
    for entry in fs::read_dir(fixtures()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "toml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let report = parse(&fixtures(), "x.toml", &text).map_or_else(|it| it, |(_, it)| it);
        for diagnostic in report.diagnostics {
            assert!(
                diagnostic.help.is_some(),
                "{}: {}",
                path.display(),
                diagnostic.message
            );
            assert!(!diagnostic.message.ends_with('.'), "{}", diagnostic.message);
        }
    }
}

#[test]
fn the_example_files_are_faultless() {
    for name in [
        "minimal.toml",
        "development.toml",
        "nestflux.toml",
        "reference.toml",
    ] {
        let (config, report, _folder) = parse_example(name);
        assert_eq!(
            report.diagnostics,
            [],
            "{name}: {}",
            report.render(Color::Never)
        );
        assert!(!config.sites.is_empty());
    }
}

#[test]
fn the_reference_says_the_defaults_of_the_code() {
    let (reference, _, _one) = parse_example("reference.toml");
    let (minimal, _, _two) = parse_example("minimal.toml");
    assert_eq!(reference.server, minimal.server);
    assert_eq!(reference.tls, minimal.tls);
    assert_eq!(reference.log, minimal.log);
    assert_eq!(reference.listeners[0], minimal.listeners[0]);
    assert_eq!(reference.upstreams["api"], minimal.upstreams["api"]);
    let tls = BackendAddress::Tcp {
        tls: true,
        host: String::from("api.internal"),
        port: 443,
    };
    assert_eq!(
        *reference.upstreams["internal"],
        Upstream::new("internal", vec![tls.into()])
    );
    assert_eq!(reference.sites[0].headers, minimal.sites[0].headers);
    let plain = good(&around("").replace(
        "respond = {}",
        "respond = {}\nrate_limit = { rate = \"120/min\" }\n\
         [[site.route]]\npath = \"/old\"\nredirect = { to = \"https://{host}/new{query}\" }",
    ));
    let routes = &reference.sites[0].routes;
    assert_eq!(routes[0].body_limit, minimal.sites[0].routes[0].body_limit);
    assert_eq!(routes[0].compress, minimal.sites[0].routes[0].compress);
    assert_eq!(routes[0].rate_limit, plain.sites[0].routes[0].rate_limit);
    assert_eq!(routes[2].handler, plain.sites[0].routes[1].handler);
    assert_eq!(routes[3].handler, plain.sites[0].routes[0].handler);
    let Handler::Files(files) = &routes[4].handler else {
        panic!("it is the client");
    };
    assert_eq!(files.releases, Releases::default());
    let (Handler::Proxy(written), Handler::Proxy(default)) =
        (&routes[0].handler, &minimal.sites[0].routes[0].handler)
    else {
        panic!("both are proxies");
    };
    assert_eq!(written, default);
}

#[test]
fn the_nestflux_example_keeps_what_the_seed_asks_for() {
    let (config, _, folder) = parse_example("nestflux.toml");
    let [client, server] = config.sites.as_slice() else {
        panic!("two sites");
    };
    assert_eq!(client.hosts[0].to_string(), "your-domain.com");
    assert_eq!(server.hosts[0].to_string(), "api.your-domain.com");
    assert_eq!(client.headers.hsts.as_ref().unwrap(), "max-age=63072000");
    assert_eq!(client.headers.frame_options.as_ref().unwrap(), "SAMEORIGIN");
    let policy = client
        .headers
        .csp
        .as_ref()
        .unwrap()
        .value(&Inline::default());
    let policy = policy.to_str().unwrap();
    assert!(policy.contains("connect-src 'self' https://api.your-domain.com;"));
    assert!(policy.ends_with("frame-ancestors 'self'"));
    let paths: Vec<_> = client
        .routes
        .iter()
        .map(|route| route.path.to_string())
        .collect();
    assert_eq!(paths, ["/api/", "/socket.io/", "/"]);
    let Handler::Files(files) = &client.routes[2].handler else {
        panic!("the client is files");
    };
    assert_eq!(files.root.value, folder.path().join("client"));
    assert_eq!(
        config.upstreams["nestflux"].backends,
        [Backend::from(BackendAddress::Tcp {
            tls: false,
            host: String::from("127.0.0.1"),
            port: 3001
        })]
    );
}

#[test]
fn relative_files_start_at_the_folder_of_the_configuration() {
    let folder = TempDir::new().unwrap();
    for name in ["site.pem", "site.key", "admin.token"] {
        fs::write(folder.path().join(name), "secret\n").unwrap();
    }
    let secret = "of 32 bytes at the very least ...";
    fs::write(folder.path().join("cookie.secret"), format!("{secret}\n")).unwrap();
    let text = around("server.secret_file = \"cookie.secret\"\nserver.admin = { address = \"0.0.0.0:1\", token_file = \"admin.token\" }")
        .replace("dev = true", "chain = \"site.pem\", key = \"site.key\"");
    let path = folder.path().join("portcullis.toml");
    fs::write(&path, text).unwrap();
    let (config, _) = Config::load(&path).unwrap();
    let Certificate::Files { chain, .. } = &config.sites[0].certificates[0] else {
        panic!("a certificate of files");
    };
    assert_eq!(chain.value, folder.path().join("site.pem"));
    let admin = config.server.admin.unwrap();
    assert_eq!(admin.token.as_ref().unwrap().expose(), "secret");
    assert_eq!(format!("{:?}", admin.token), "Some(***)");
    assert_eq!(config.server.secret.as_ref().unwrap().expose(), secret);
    assert_eq!(format!("{:?}", config.server.secret), "Some(***)");
}

#[test]
fn the_admin_listener_is_found_in_a_file_that_is_being_written() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("portcullis.toml");
    let load = |text: &str| {
        fs::write(&path, text).unwrap();
        Config::load_admin(&path)
    };
    let admin = load(
        "[server]\nthreads = \"many\"\nadmin = { address = \"127.0.0.1:7070\" }\n[[site]\nhosts = [",
    );
    assert_eq!(admin.unwrap().unwrap().address.port(), 7070);
    assert_eq!(load("site = 1").unwrap().unwrap().address.port(), 9090);
    assert_eq!(load("[server]\nadmin = false").unwrap(), None);
    assert!(
        load("[server]\nadmin = { address = \"0.0.0.0:9090\" }")
            .unwrap_err()
            .has_errors()
    );
}

#[test]
fn a_file_that_cannot_be_read_is_one_fault_without_a_place() {
    let report = Config::load(Path::new("/nowhere/portcullis.toml")).unwrap_err();
    assert_eq!(report.diagnostics.len(), 1);
    assert_eq!(report.diagnostics[0].span, None);
    let text = report.render(Color::Never);
    assert!(text.contains("no such file"), "{text}");
    assert!(text.contains("write one there"), "{text}");
    assert!(report.to_json().contains("\"line\":null"));
    assert!(Config::load(Path::new("/")).unwrap_err().has_errors());
}

#[test]
fn variables_come_from_the_environment() {
    let config = good(&around(
        "server.drain_timeout = \"${DRAIN}\"\nserver.head_limit = \"${NONE:-64}KiB\"\n\
         server.stall_timeout = \"${EMPTY:-3s}\"\n",
    ));
    assert_eq!(config.server.drain_timeout.as_secs(), 7);
    assert_eq!(config.server.head_limit, 64 << 10);
    assert_eq!(config.server.stall_timeout.as_secs(), 3);
    let text = around("").replace("respond = {}", "respond = { body = \"$${DRAIN}\" }");
    let Handler::Respond(respond) = &good(&text).sites[0].routes[0].handler else {
        panic!("a response");
    };
    assert_eq!(respond.body, "${DRAIN}");
}

#[test]
fn https_backends_are_verified_without_a_word_about_tls() {
    let config = good(&around(
        "[upstream.api]\nbackends = [\"https://api.internal\"]\n\
         [upstream.plain]\nbackends = [\"http://127.0.0.1:3001\"]\n",
    ));
    assert!(config.upstreams["api"].tls.is_some());
    assert!(config.upstreams["plain"].tls.is_none());
}

#[test]
fn switches_turn_features_off() {
    let config = good(&around("server.admin = false\nlog.access = false\n"));
    assert_eq!(config.server.admin, None);
    assert_eq!(config.log.access, None);
}

#[test]
fn names_are_resolved() {
    let text = around("upstream.api = { backends = [\"http://[::1]:${API_PORT}\", \"unix:/run/a\"], sticky = \"off\" }")
        .replace("tls = true", "tls = true\ndefault_site = \"Example.com\"")
        .replace("respond = {}", "proxy = { upstream = \"api\" }\n[[site.route]]\npath = \"=/x\"\nrespond = {}");
    let config = good(&text);
    assert_eq!(config.listeners[0].default_site, Some(0));
    assert_eq!(config.upstreams["api"].sticky, Sticky::Off);
    let Handler::Proxy(proxy) = &config.sites[0].routes[0].handler else {
        panic!("a proxy");
    };
    assert!(std::sync::Arc::ptr_eq(
        &proxy.upstream,
        &config.upstreams["api"]
    ));
    assert_eq!(
        config.sites[0].routes[1].path,
        PathPattern::Exact(String::from("/x"))
    );
}

#[test]
fn no_report_shows_a_secret() {
    let text =
        around("[server]\nsecret = \"hunter2\"\nadmin = { address = 5, token = \"hunter2!\" }\n");
    let report = parse(&fixtures(), "x.toml", &text).unwrap_err();
    for shown in [
        report.render(Color::Never),
        report.to_json(),
        format!("{report:?}"),
    ] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
