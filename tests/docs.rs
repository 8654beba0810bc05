//! The documentation, held to be true where a machine can tell: what it shows as configuration is one, its links lead
//! somewhere, and it names every key and every metric.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use portcullis::{
    config::{
        Config,
        diagnostic::{Color, Report},
    },
    observe::metrics::{Metrics, Resumption, listener::Protocol},
};
use tempfile::TempDir;

/// First line of a block that is a part of a configuration.
const PART: &str = "# part";
/// Beginning of one that a build without the feature `dns` refuses.
const OF_SRV_NAMES: &str = "# part, of SRV names";

/// What a part needs around it, where it does not bring its own.
const LISTENER: &str = "[[listener]]\naddress = \"127.0.0.1:8443\"\ntls = true\n";
const UPSTREAM: &str = "[upstream.api]\nbackends = [\"http://127.0.0.1:3001\"]\n";
const SITE: &str = "[[site]]\nhosts = [\"example.com\"]\ncertificate = { dev = true }\n";
const ROUTE: &str = "[[site.route]]\npath = \"=/part\"\nproxy = { upstream = \"api\" }\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md, the other pages beside it, docs/*.md, and the READMEs further down.
fn pages() -> Vec<PathBuf> {
    let in_folder = |folder: &str| {
        fs::read_dir(root().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|it| it == "md"))
            .collect::<Vec<_>>()
    };
    let mut pages = in_folder("");
    pages.extend(in_folder("docs"));
    pages.extend(in_folder("benches"));
    pages.extend(in_folder("examples/nestflux"));
    pages.sort();
    assert!(pages.len() > 10, "only {pages:?}");
    pages
}

fn read(page: &Path) -> String {
    fs::read_to_string(page).unwrap()
}

/// Fenced blocks of `language`, each with the number of its first line.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((_, line)) = lines.next() {
        let Some(fence) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let start = lines.clone().next().map_or(0, |(index, _)| index + 1);
        let inside: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| !line.trim_start().starts_with("```"))
            .collect();
        if fence == language {
            blocks.push((start, inside.join("\n") + "\n"));
        }
    }
    blocks
}

/// `text` with its absolute files and folders moved into `folder`, where they exist.
fn move_files(text: &str, folder: &Path) -> String {
    let mut moved = text.to_owned();
    let pieces: Vec<&str> = text.split('"').collect();
    for pair in pieces.windows(2) {
        let (before, written) = (pair[0], pair[1]);
        let is_file = ["/etc/", "/var/", "/srv/", "/run/"]
            .iter()
            .any(|start| written.starts_with(start));
        if !is_file {
            continue;
        }
        let target = folder.join(written.trim_start_matches('/'));
        if before
            .trim_end()
            .trim_end_matches('=')
            .trim_end()
            .ends_with("root")
        {
            fs::create_dir_all(&target).unwrap();
            fs::write(target.join("index.html"), "").unwrap();
        } else {
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(&target, "a-secret-that-is-certainly-long-enough").unwrap();
        }
        let target = format!("\"{}\"", target.display());
        moved = moved.replace(&format!("\"{written}\""), &target);
    }
    moved
}

/// A part of a configuration made into a whole one.
fn complete(part: &str) -> String {
    let mut text = String::new();
    let lacks = |header: &str| !part.lines().any(|line| line.trim() == header);
    for (header, extra) in [
        ("[[listener]]", LISTENER),
        ("[upstream.api]", UPSTREAM),
        ("[[site]]", SITE),
    ] {
        if lacks(header) {
            text += extra;
        }
    }
    text += part;
    if lacks("[[site.route]]") {
        text += ROUTE;
    }
    text
}

fn parse(page: &Path, text: &str) -> Result<(Config, Report), Report> {
    let folder = TempDir::new().unwrap();
    let text = move_files(text, folder.path());
    let name = page.file_name().unwrap().to_str().unwrap();
    // The one relative folder that a page shows.
    fs::create_dir_all(folder.path().join("client/dist")).unwrap();
    fs::write(folder.path().join("client/dist/index.html"), "").unwrap();
    Config::parse(&folder.path().join(name), &text, &|name| match name {
        "ADMIN_TOKEN" | "HEALTH_TOKEN" | "HEALTH_KEY" => {
            Some(String::from("a-secret-that-is-certainly-long-enough"))
        }
        _ => None,
    })
}

#[test]
fn every_configuration_that_is_shown_is_a_good_one() {
    let (mut wholes, mut parts) = (0, 0);
    let mut wrong = Vec::new();
    for page in pages() {
        for (line, block) in blocks(&read(&page), "toml") {
            if cfg!(not(feature = "dns")) && block.starts_with(OF_SRV_NAMES) {
                continue;
            }
            let place = format!("{}:{line}", page.display());
            let is_part = block.starts_with(PART);
            let result = if is_part {
                parts += 1;
                parse(&page, &complete(&block))
            } else {
                wholes += 1;
                parse(&page, &block)
            };
            match result {
                // A part may leave something unused; a whole one is shown as the best there is.
                Ok((_, report)) if is_part || report.diagnostics.is_empty() => {}
                Ok((_, report)) | Err(report) => {
                    wrong.push(format!("{place}\n{}", report.render(Color::Never)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        wholes >= 2 && parts >= 15,
        "{wholes} whole ones, {parts} parts"
    );
}

#[cfg(feature = "dns")]
#[test]
fn srv_names_that_are_shown_are_good_without_a_warning() {
    let mut seen = 0;
    for page in pages() {
        let blocks = blocks(&read(&page), "toml");
        for (_, block) in blocks.iter().filter(|it| it.1.starts_with(OF_SRV_NAMES)) {
            let (_, report) = parse(&page, &complete(block)).unwrap();
            assert_eq!(report.diagnostics, []);
            seen += 1;
        }
    }
    assert!(seen > 0);
}

#[test]
fn every_link_leads_somewhere() {
    let mut checked = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        let text = read(&page);
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if link.contains("://") || link.starts_with('#') {
                continue;
            }
            checked += 1;
            let file = link.split('#').next().unwrap_or(link);
            if !page.parent().unwrap().join(file).exists() {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 30, "only {checked} links");
}

#[test]
fn the_configuration_page_names_every_key_of_the_reference() {
    let page = read(&root().join("docs/configuration.md"));
    let reference = read(&root().join("config/reference.toml"));
    let missing: Vec<&str> = reference
        .lines()
        .filter_map(|line| {
            let key = line
                .trim_start_matches(['#', ' '])
                .split_once('=')?
                .0
                .trim();
            let is_key =
                !key.is_empty() && key.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
            is_key.then_some(key)
        })
        .filter(|key| {
            !page
                .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
                .any(|word| word == *key)
        })
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_page_on_metrics_names_every_one() {
    let page = read(&root().join("docs/logs-and-metrics.md"));
    let metrics = Metrics::new();
    let _route = metrics.route("site", "/");
    let _listener = metrics.listener("127.0.0.1:443", Protocol::Tls);
    let _csp = metrics.csp("site");
    let _upstream = metrics.upstream("api");
    let _backend = metrics.backend("api", "http://127.0.0.1:3001");
    metrics.tls_handshake("TLSv1.3", Resumption::Full);
    metrics.tls_handshake_failed("silent");
    metrics.certificates([("example.com", SystemTime::now())]);
    let text = metrics.encode();
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next())
        .collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}
