//! `csp.report`: where browsers send what the policy forbids.

use super::{super::Csp, Policy};
use crate::config::{
    reader::{Read, Value, quoted, table::Table},
    value::path,
};

/// A path of the site.
pub(super) struct ReportPath(pub(super) String);

impl Read for ReportPath {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a path", "\"/csp-report\"")?;
        if let Err((fault, help)) = path::check(&text) {
            return value.reject(format!("the path {} {fault}", quoted(&text)), help);
        }
        if text.starts_with("//") {
            return value.reject(
                format!("the path {} leads to another host", quoted(&text)),
                "begin it with one slash, as in `\"/csp-report\"`",
            );
        }
        if text.contains([';', ',']) {
            return value.reject(
                format!(
                    "the path {} has a character that ends a policy",
                    quoted(&text)
                ),
                "write a plain path like `\"/csp-report\"`",
            );
        }
        Some(Self(text.into_owned()))
    }
}

/// Pushes the fault of reports that nothing would ask for.
pub(super) fn report_misuse(table: &Table<'_>, csp: &Csp) {
    if let (Some(value), Policy::Literal(_)) = (table.value("report"), &csp.policy) {
        value.reject::<()>(
            "`policy` is sent as it is written, so it would not name this path",
            "write the directives instead of `policy`, or take `report` out",
        );
    }
}
