//! Where a backend comes from: its place in the configuration, and which of several it is.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZero,
    sync::Arc,
};

use tokio::sync::Notify;

use crate::config::upstream::BackendAddress;

/// Where a backend comes from.
#[derive(Debug, Clone)]
pub(in crate::upstream) struct Origin {
    /// As configured.
    pub(in crate::upstream) address: BackendAddress,
    /// As configured, for each instance.
    pub(in crate::upstream) weight: NonZero<u16>,
    /// Which of `upstream.backends` it is, counted from 0.
    pub(in crate::upstream) place: usize,
    /// Which instance, of a name that stands for several.
    pub(in crate::upstream) instance: Option<Instance>,
    /// Wakes the resolver of the name before its interval is over.
    pub(in crate::upstream) lost: Arc<Notify>,
}

/// One of those that a name stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Instance {
    /// By an address of the name.
    Address(IpAddr),
    /// By an SRV record of the name.
    Target {
        /// A host name, in lower case.
        host: Arc<str>,
        /// Port.
        port: u16,
    },
}

impl Origin {
    /// As configured, and `#` with the address or `/` with the target where the name stands for several instances.
    pub(super) fn name(&self) -> String {
        match &self.instance {
            None => self.address.to_string(),
            Some(Instance::Address(ip)) => format!("{}#{ip}", self.address),
            Some(Instance::Target { host, port }) => format!("{}/{host}:{port}", self.address),
        }
    }

    /// Host and port; `None` for a Unix socket, and for SRV records that are not known so far.
    pub(super) fn host(&self) -> Option<(&str, u16)> {
        match (&self.address, &self.instance) {
            (_, Some(Instance::Target { host, port })) => Some((host, *port)),
            (BackendAddress::Tcp { host, port, .. }, _) => Some((host, *port)),
            (BackendAddress::Srv { .. } | BackendAddress::Unix(_), _) => None,
        }
    }
}

/// What a `Host` field says for it.
pub(super) fn authority(origin: &Origin) -> String {
    let Some((host, port)) = origin.host() else {
        return "localhost".to_owned();
    };
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let usual = if origin.address.is_tls() { 443 } else { 80 };
    if port == usual {
        host
    } else {
        format!("{host}:{port}")
    }
}

/// Its socket address, where that is configured.
pub(super) fn literal(address: &BackendAddress) -> Option<SocketAddr> {
    match address {
        BackendAddress::Tcp { host, port, .. } => {
            let address: IpAddr = host.parse().ok()?;
            Some(SocketAddr::new(address, *port))
        }
        BackendAddress::Srv { .. } | BackendAddress::Unix(_) => None,
    }
}
