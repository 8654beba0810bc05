//! `upstream.tls`: how https backends are verified, and what is shown to them.

use crate::config::{
    diagnostic::Diagnostic,
    reader::{
        Read, Value,
        file::ReadableFile,
        quoted,
        table::{Shape, Table},
    },
    tls::CertificateFiles,
    upstream::BackendTls,
    value::{Located, host},
};

/// `upstream.tls`.
pub(crate) static SHAPE: Shape = Shape {
    name: "upstream.NAME.tls",
    keys: &["ca", "name", "certificate"],
    reserved: &[],
};

/// `upstream.tls.certificate`.
pub(crate) static CERTIFICATE: Shape = Shape {
    name: "upstream.NAME.tls.certificate",
    keys: &["chain", "key"],
    reserved: &[],
};

/// `default` is present exactly when a backend speaks TLS.
pub(super) fn read(table: &Table<'_>, default: Option<BackendTls>) -> Option<BackendTls> {
    let Some(child) = table.child("tls", &SHAPE) else {
        return default;
    };
    let tls = BackendTls {
        ca: child
            .take::<Located<ReadableFile>>("ca")
            .map(|ca| ca.map(|file| file.0)),
        name: child.take::<ServerName>("name").map(|name| name.0),
        certificate: child
            .child("certificate", &CERTIFICATE)
            .and_then(|table| read_certificate(&table)),
    };
    child.finish();
    if default.is_none() {
        let fault = Diagnostic::error("`tls` is for `https://` backends, and no backend is one")
            .at(child.span)
            .help("write the backends with `https://`, or take `tls` out");
        table.reader.push(fault);
    }
    default.map(|_| tls)
}

fn read_certificate(table: &Table<'_>) -> Option<CertificateFiles> {
    let files = CertificateFiles::read(table);
    table.finish();
    files
}

/// A name that a certificate can carry.
struct ServerName(String);

impl Read for ServerName {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a host name", "\"api.internal\"")?;
        match host::bare(&text) {
            Some(name) => Some(Self(name)),
            None => value.reject(
                format!("{} is no host name", quoted(&text)),
                "write the name that the backend's certificate carries, like `\"api.internal\"`",
            ),
        }
    }
}
