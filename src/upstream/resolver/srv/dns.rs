//! Questions to DNS servers.

use std::{net::SocketAddr, time::Duration};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    lookup::Lookup,
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name, RecordType},
    system_conf::read_system_conf,
};

/// For one try of one server, as for a connection to a backend: inside one data centre, longer means dead.
const PATIENCE: Duration = Duration::from_secs(2);

/// DNS servers, for one look-up.
///
/// TCP goes first (RFC 7766 section 5): over UDP, Consul answers with as many records as fit and does not say that
/// there are more, so that backends would come and go.
#[derive(Clone)]
pub(super) struct Dns {
    tcp: TokioResolver,
    udp: TokioResolver,
}

impl Dns {
    /// Asks `servers`, or where there are none those of `/etc/resolv.conf`, with its search list.
    ///
    /// # Errors
    /// The file cannot be read or names no server.
    pub(super) fn new(servers: &[SocketAddr]) -> Result<Self, NetError> {
        let (config, ndots) = if servers.is_empty() {
            let (config, options) = read_system_conf()?;
            (config, options.ndots)
        } else {
            let servers = servers.iter().copied().map(server).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            (config, ResolverOpts::default().ndots)
        };
        Ok(Self {
            tcp: resolver(&config, ndots, Way::Tcp)?,
            udp: resolver(&config, ndots, Way::Udp)?,
        })
    }

    /// Asks for the records of a name.
    ///
    /// # Errors
    /// There are none, or no server says so much as that.
    pub(super) async fn ask(&self, name: Name, kind: RecordType) -> Result<Lookup, NetError> {
        match self.tcp.lookup(name.clone(), kind).await {
            Err(error) if !error.is_no_records_found() => self.udp.lookup(name, kind).await,
            done => done,
        }
    }
}

/// How a server is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Once.
    Tcp,
    /// Twice, and over TCP again where the answer says that it is cut.
    Udp,
}

fn resolver(config: &ResolverConfig, ndots: usize, way: Way) -> Result<TokioResolver, NetError> {
    let mut servers = config.name_servers().to_vec();
    if way == Way::Tcp {
        for server in &mut servers {
            server.connections.retain(|it| {
                it.protocol.to_protocol() == ConnectionConfig::tcp().protocol.to_protocol()
            });
        }
    }
    let config =
        ResolverConfig::from_parts(config.domain().cloned(), config.search().to_vec(), servers);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.ndots = ndots;
    options.timeout = PATIENCE;
    options.attempts = usize::from(way == Way::Udp);
    // Answers live in the list of backends, and no longer than they say.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    builder.build()
}

fn server(address: SocketAddr) -> NameServerConfig {
    let mut ways = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for way in &mut ways {
        way.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, ways)
}
