//! `[[site]]`: host names, certificates, headers and routes.

use std::ops::Range;

use toml::de::DeValue;

use crate::config::{
    headers::{self, Headers},
    reader::{
        Read, Value,
        table::{Shape, Table},
    },
    route::{self, RawRoute, Route},
    tls::{self, Certificate},
    value::{HostPattern, Located},
};

/// `[[site]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// At least one; unique over all sites.
    pub hosts: Vec<HostPattern>,
    /// At least one when a TLS listener exists.
    pub certificates: Vec<Certificate>,
    /// Security headers of every response.
    pub headers: Headers,
    /// In file order; the router sorts them.
    pub routes: Vec<Route>,
}

/// `[[site]]`.
pub(crate) static SHAPE: Shape = Shape {
    name: "site",
    keys: &["hosts", "certificate", "headers", "route"],
    reserved: &["access"],
};

/// `[[site]]` before its names are looked up.
pub(crate) struct RawSite {
    /// Hosts with their places.
    pub(crate) hosts: Vec<Located<HostPattern>>,
    /// Certificates; empty when none is given.
    pub(crate) certificates: Vec<Certificate>,
    /// Whether `certificate` is written at all.
    pub(crate) has_certificate: bool,
    /// Security headers.
    pub(crate) headers: Headers,
    /// Routes.
    pub(crate) routes: Vec<RawRoute>,
    /// Its header.
    pub(crate) span: Range<usize>,
}

impl RawSite {
    /// Reads one `[[site]]`.
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let routes = table.children("route", &route::SHAPE);
        if !table.has("route") {
            let example = "{ path = \"/\", proxy = { upstream = \"api\" } }";
            table.missing::<()>("route", &format!("[{example}]"));
        }
        let headers = table.child("headers", &headers::SHAPE);
        let site = Self {
            hosts: read_hosts(table),
            certificates: read_certificates(table),
            has_certificate: table.has("certificate"),
            headers: headers.map_or_else(Headers::default, |table| Headers::read(&table)),
            routes: routes.iter().map(RawRoute::read).collect(),
            span: table.span.clone(),
        };
        table.finish();
        site
    }
}

fn read_hosts(table: &Table<'_>) -> Vec<Located<HostPattern>> {
    const EXAMPLE: &str = "[\"example.com\"]";
    let Some(value) = table.value("hosts") else {
        table.missing::<()>("hosts", EXAMPLE);
        return Vec::new();
    };
    let items = value.items("an array of host names", EXAMPLE);
    if items.as_ref().is_some_and(Vec::is_empty) {
        value.reject::<()>("`hosts` is empty", format!("write `hosts = {EXAMPLE}`"));
    }
    items
        .unwrap_or_default()
        .iter()
        .filter_map(Located::read)
        .collect()
}

fn read_certificates(table: &Table<'_>) -> Vec<Certificate> {
    let Some(value) = table.value("certificate") else {
        return Vec::new();
    };
    let read = |value: &Value<'_>| {
        let table = Table::open(value, &tls::CERTIFICATE)?;
        Certificate::read(&table)
    };
    match value.node.get_ref() {
        DeValue::Array(nodes) => {
            if nodes.is_empty() {
                value.reject::<()>("`certificate` is empty", "name a chain and a key");
            }
            nodes
                .iter()
                .filter_map(|node| read(&value.element(node)))
                .collect()
        }
        _ => read(&value).into_iter().collect(),
    }
}
