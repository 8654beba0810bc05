//! The four handlers of a route.

use std::path::{Component, Path};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use super::{Files, Handler, RELEASES, RawHandler, Redirect, Releases, Respond, files};
use crate::config::{
    defaults,
    reader::{
        Read, Value,
        file::Folder,
        quoted,
        table::{Shape, Table},
    },
    value::Located,
};

/// `route.files`.
pub(crate) static FILES: Shape = Shape {
    name: "site.route.files",
    keys: &[
        "root",
        "fallback",
        "try",
        "env",
        "source_maps",
        "preload",
        "dictionaries",
        "releases",
    ],
    reserved: &[],
};

/// `route.proxy`.
pub(crate) static PROXY: Shape = Shape {
    name: "site.route.proxy",
    keys: &["upstream", "strip_prefix"],
    reserved: &[],
};

/// `route.redirect`.
pub(crate) static REDIRECT: Shape = Shape {
    name: "site.route.redirect",
    keys: &["to", "status"],
    reserved: &[],
};

/// `route.respond`.
pub(crate) static RESPOND: Shape = Shape {
    name: "site.route.respond",
    keys: &["status", "body", "content_type"],
    reserved: &[],
};

pub(super) fn read_files(table: &Table<'_>) -> Option<RawHandler> {
    let table = table.child("files", &FILES)?;
    let root: Option<Located<Folder>> = table.require("root", "\"/var/www/client\"");
    let fallback: Option<Located<RelativeFile>> = table.take("fallback");
    let suffixes = files::read_suffixes(&table);
    let env = files::read_env(&table);
    let source_maps = table.take_or("source_maps", defaults::SOURCE_MAPS);
    let preload = table.take_or("preload", defaults::PRELOAD);
    let dictionaries = table.take_or("dictionaries", defaults::DICTIONARIES);
    let releases = table.child("releases", &RELEASES);
    table.finish();
    let root = root?.map(|folder| folder.0);
    if let Some(fallback) = &fallback
        && !root.value.join(&fallback.value.0).is_file()
    {
        // The next build may bring it: navigations are 404 until then.
        table.value("fallback")?.warn(
            format!("the root holds no {}", quoted(&fallback.value.0)),
            "build the client, or correct `root`; until then pages are 404",
        );
    }
    Some(RawHandler::Done(Handler::Files(Files {
        root,
        fallback: fallback.map(|fallback| fallback.value.0),
        suffixes: suffixes.unwrap_or_else(|| defaults::SUFFIXES.map(str::to_owned).into()),
        env,
        source_maps,
        preload,
        dictionaries,
        releases: releases.map_or_else(Releases::default, |table| Releases::read(&table)),
    })))
}

pub(super) fn read_proxy(table: &Table<'_>) -> Option<RawHandler> {
    let table = table.child("proxy", &PROXY)?;
    let upstream = table.require("upstream", "\"api\"");
    let strip_prefix = table.take_or("strip_prefix", false);
    table.finish();
    Some(RawHandler::Proxy {
        upstream: upstream?,
        strip_prefix,
    })
}

pub(super) fn read_redirect(table: &Table<'_>) -> Option<RawHandler> {
    let table = table.child("redirect", &REDIRECT)?;
    let to: Option<Target> = table.require("to", "\"https://{host}{path}{query}\"");
    let status = table
        .take::<RedirectStatus>("status")
        .map_or(defaults::REDIRECT_STATUS, |status| status.0);
    table.finish();
    Some(RawHandler::Done(Handler::Redirect(Redirect {
        to: to?.0,
        status,
    })))
}

pub(super) fn read_respond(table: &Table<'_>) -> Option<RawHandler> {
    let table = table.child("respond", &RESPOND)?;
    let status = table.take_or("status", StatusCode::OK);
    let body: String = table.take_or("body", String::new());
    let content_type = table.take::<ContentType>("content_type").map_or_else(
        || HeaderValue::from_static(defaults::RESPOND_TYPE),
        |it| it.0,
    );
    if let Some(value) = table.value("body")
        && !body.is_empty()
        && matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
        )
    {
        value.reject::<()>(
            format!("a response with status {} has no body", status.as_u16()),
            "take `body` out, or choose another status",
        );
    }
    table.finish();
    Some(RawHandler::Done(Handler::Respond(Respond {
        status,
        body: Bytes::from(body),
        content_type,
    })))
}

/// A file inside some root.
struct RelativeFile(String);

impl Read for RelativeFile {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a file name", "\"index.html\"")?;
        let mut parts = Path::new(&*text).components();
        let stays_inside = parts.all(|part| matches!(part, Component::Normal(_)));
        if text.is_empty() || text.ends_with('/') || text.contains(['\\', '\0']) || !stays_inside {
            let name = text.rsplit('/').next().filter(|name| !name.is_empty());
            return value.reject(
                format!("{} is no file name inside the root", quoted(&text)),
                format!(
                    "write it relative to `root`: `\"{}\"`",
                    name.unwrap_or("index.html")
                ),
            );
        }
        Some(Self(text.into_owned()))
    }
}

/// Where a redirect goes.
struct Target(String);

impl Read for Target {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a URL", "\"https://example.com{path}\"")?;
        match check_target(&text) {
            Ok(()) => Some(Self(text.into_owned())),
            Err((fault, help)) => {
                value.reject(format!("the target {} {fault}", quoted(&text)), help)
            }
        }
    }
}

fn check_target(text: &str) -> Result<(), (String, String)> {
    let fault = |fault: &str, help: &str| Err((fault.to_owned(), help.to_owned()));
    if !["/", "https://", "http://"]
        .iter()
        .any(|start| text.starts_with(start))
    {
        return fault("is no URL", "start it with `https://`, `http://` or `/`");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return fault(
            "has a character that no URL has",
            "write it percent-encoded",
        );
    }
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let known = ["{host}", "{path}", "{query}"];
        let Some(word) = known.iter().find(|word| rest[at..].starts_with(**word)) else {
            return fault(
                "has braces that stand for nothing",
                "write `{host}`, `{path}` or `{query}`",
            );
        };
        rest = &rest[at + word.len()..];
    }
    // A path starts with a slash: behind another one its first segment would be read as a host.
    if text.contains("/{path}") {
        let meant = text.replace("/{path}", "{path}");
        let help = if meant.contains(":/{path}") || meant.starts_with('{') {
            String::from("name a host before `{path}`, like `https://{host}{path}`")
        } else {
            format!("write `\"{meant}\"`")
        };
        return Err((
            String::from("doubles the slash that `{path}` starts with"),
            help,
        ));
    }
    Ok(())
}

struct RedirectStatus(StatusCode);

impl Read for RedirectStatus {
    fn read(value: &Value<'_>) -> Option<Self> {
        let status = StatusCode::read(value)?;
        match status.as_u16() {
            301 | 302 | 303 | 307 | 308 => Some(Self(status)),
            other => value.reject(
                format!("{other} is no redirect"),
                "write 308 (permanent) or 307 (temporary), which keep the method, or 301, 302, 303",
            ),
        }
    }
}

struct ContentType(HeaderValue);

impl Read for ContentType {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a content type", "\"application/json\"")?;
        let kind = text.split(';').next().unwrap_or_default().trim();
        let is_type = kind.split_once('/').is_some_and(|(kind, subtype)| {
            let is_token = |part: &str| {
                !part.is_empty()
                    && part
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
            };
            is_token(kind) && is_token(subtype)
        });
        let header = HeaderValue::try_from(&*text).ok().filter(|_| is_type);
        match header {
            Some(header) => Some(Self(header)),
            None => value.reject(
                format!("{} is no content type", quoted(&text)),
                "write one like `\"text/plain; charset=utf-8\"`",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_cannot_be_led_astray() {
        for good in [
            "/",
            "/login{query}",
            "https://{host}{path}{query}",
            "http://a.example/x",
        ] {
            assert_eq!(check_target(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "{path}",
            "/{path}",
            "https://{path}",
            "https://a/{path}",
            "/a b",
            "/{hots}",
            "/}",
            "ftp://a",
            "//{path}",
        ] {
            assert!(check_target(bad).is_err(), "{bad}");
        }
    }
}
