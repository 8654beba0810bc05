//! `upstream.backends`: addresses, and how much each backend takes.

use std::{fmt, num::NonZero, path::PathBuf};

use toml::de::DeValue;

use crate::config::{
    defaults,
    reader::{
        Read, Value,
        table::{Shape, Table},
    },
    value::{Located, report_repeats},
};

/// Enough to tell a large machine from a small one, and small enough that no share is rounded away.
const HEAVIEST: u16 = 1000;

/// One of `upstream.backends`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Where it listens.
    pub address: BackendAddress,
    /// Its share of the requests, beside that of the others; 1 to 1000. Each instance of a name has it whole.
    pub weight: NonZero<u16>,
}

/// Where a backend listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BackendAddress {
    /// `http://host:port` or `https://host:port`.
    Tcp {
        /// Speak TLS.
        tls: bool,
        /// Name or address literal (without brackets).
        host: String,
        /// Port.
        port: u16,
    },
    /// `srv+http://name` or `srv+https://name`: wherever the SRV records of the name say (RFC 2782).
    Srv {
        /// Speak TLS.
        tls: bool,
        /// Name of the records.
        name: String,
    },
    /// `unix:/path`.
    Unix(PathBuf),
}

/// Whether this build can look up SRV names, and ask DNS servers that the configuration names.
pub(crate) const HAS_DNS: bool = cfg!(feature = "dns");

impl BackendAddress {
    /// Whether TLS is spoken there.
    pub fn is_tls(&self) -> bool {
        match self {
            Self::Tcp { tls, .. } | Self::Srv { tls, .. } => *tls,
            Self::Unix(_) => false,
        }
    }

    /// Whether SRV records say where it is.
    pub fn is_srv(&self) -> bool {
        matches!(self, Self::Srv { .. })
    }
}

/// A backend as it may be written with more than its address.
pub(crate) static BACKEND: Shape = Shape {
    name: "upstream.NAME.backends",
    keys: &["address", "weight"],
    reserved: &[],
};

impl From<BackendAddress> for Backend {
    fn from(address: BackendAddress) -> Self {
        Self {
            address,
            weight: defaults::WEIGHT,
        }
    }
}

/// Its address, and its weight where that is another than the default.
impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        if self.weight != defaults::WEIGHT {
            write!(f, " weight {}", self.weight)?;
        }
        Ok(())
    }
}

/// As it is written in the file.
impl fmt::Display for BackendAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { tls, host, port } => {
                let scheme = if *tls { "https" } else { "http" };
                if host.contains(':') {
                    write!(f, "{scheme}://[{host}]:{port}")
                } else {
                    write!(f, "{scheme}://{host}:{port}")
                }
            }
            Self::Srv { tls, name } => {
                let scheme = if *tls { "https" } else { "http" };
                write!(f, "srv+{scheme}://{name}")
            }
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The backends, each with the place of its address; faulty ones are left out.
pub(super) fn read(table: &Table<'_>) -> Vec<Located<Backend>> {
    const EXAMPLE: &str = "[\"http://127.0.0.1:3001\"]";
    let Some(value) = table.value("backends") else {
        table.missing::<()>("backends", EXAMPLE);
        return Vec::new();
    };
    let items = value.items("an array of addresses", EXAMPLE);
    if items.as_ref().is_some_and(Vec::is_empty) {
        value.reject::<()>(
            "`backends` is empty",
            format!("write `backends = {EXAMPLE}`"),
        );
    }
    let backends: Vec<_> = items.unwrap_or_default().iter().filter_map(one).collect();
    // Another weight does not make it another backend.
    let addresses: Vec<_> = backends
        .iter()
        .map(|it| it.clone().map(|backend| backend.address))
        .collect();
    report_repeats(table.reader, &addresses, "backend");
    backends
}

/// An address, or a table with one.
fn one(value: &Value<'_>) -> Option<Located<Backend>> {
    if !matches!(value.node.get_ref(), DeValue::Table(_)) {
        let address = Located::<BackendAddress>::read(value)?;
        return Some(address.map(Backend::from));
    }
    let table = Table::open(value, &BACKEND)?;
    let address = table.require::<Located<BackendAddress>>("address", "\"http://127.0.0.1:3001\"");
    let weight = table.take_within("weight", defaults::WEIGHT.get(), &(1..=HEAVIEST));
    table.finish();
    let weight = NonZero::new(weight).unwrap_or(defaults::WEIGHT);
    Some(address?.map(|address| Backend { address, weight }))
}
