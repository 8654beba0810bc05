//! SRV names (RFC 2782), asked of DNS servers directly: the system's own look-up knows hosts alone.

use std::{io, net::SocketAddr, time::Duration};

use hickory_resolver::{
    net::NetError,
    proto::rr::{self, RData, RecordType},
};
use tokio::time::timeout;

use crate::upstream::{
    backend::Instance,
    members::{
        found::Found,
        srv::{MOST, Record, Target, targets},
    },
    resolver::{Answer, srv::dns::Dns},
};

mod dns;

/// A name, and whom to ask.
#[derive(Debug)]
pub(super) struct Name {
    name: String,
    servers: Vec<SocketAddr>,
}

/// How long an answer may count as fresh. Consul's say 0, which would be one query after the other; a zone that says
/// an hour would hide an instance that is new for as long.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// For a name with all its targets. Each query has a shorter deadline of its own.
const WHOLE: Duration = Duration::from_secs(10);

impl Name {
    /// `servers` are asked, or those of the system where there are none.
    pub(super) fn new(name: &str, servers: &[SocketAddr]) -> Self {
        Self {
            name: name.to_owned(),
            servers: servers.to_vec(),
        }
    }

    async fn ask(&self) -> io::Result<Answer> {
        let name = rr::Name::from_ascii(&self.name).map_err(io::Error::other)?;
        // Each time: the system's servers may be others by now.
        let dns = Dns::new(&self.servers).map_err(explain)?;
        let answer = dns.ask(name, RecordType::SRV).await.map_err(explain)?;
        let records: Vec<_> = answer.answers().iter().filter_map(srv).collect();
        let Some(targets) = targets(&records) else {
            return Err(not_found("no SRV record of the name has a host and a port"));
        };
        let mut fresh = shortest_life(answer.answers());
        let mut found = Vec::with_capacity(targets.list.len());
        for target in targets.list {
            let mut known = addresses(answer.additionals(), &target);
            if known.is_empty() {
                let (asked, life) = ask_for(&dns, &target).await;
                known = asked;
                fresh = fresh.min(life);
            }
            found.push(Found {
                addresses: known,
                rank: target.rank,
                weight: Some(target.weight),
                instance: Some(Instance::Target {
                    host: target.host,
                    port: target.port,
                }),
            });
        }
        if !found.is_empty() && found.iter().all(|it| it.addresses.is_empty()) {
            return Err(not_found("no target of the SRV records has an address"));
        }
        Ok(Answer {
            lack: lack(&found, targets.left_out),
            found,
            fresh: fresh.clamp(SHORTEST, LONGEST),
        })
    }
}

impl super::Name for Name {
    async fn look_up(&self) -> io::Result<Answer> {
        timeout(WHOLE, self.ask())
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

fn srv(record: &rr::Record) -> Option<Record> {
    let RData::SRV(data) = &record.data else {
        return None;
    };
    Some(Record {
        priority: data.priority,
        weight: data.weight,
        port: data.port,
        target: data.target.to_string(),
    })
}

/// The addresses that `records` have for a target.
fn addresses(records: &[rr::Record], target: &Target) -> Vec<SocketAddr> {
    let is_meant = |record: &&rr::Record| {
        let name = record.name.to_string();
        name.trim_end_matches('.')
            .eq_ignore_ascii_case(&target.host)
    };
    let found = records.iter().filter(is_meant).filter_map(address);
    found.map(|ip| SocketAddr::new(ip, target.port)).collect()
}

fn address(record: &rr::Record) -> Option<std::net::IpAddr> {
    match &record.data {
        RData::A(address) => Some(address.0.into()),
        RData::AAAA(address) => Some(address.0.into()),
        _ => None,
    }
}

/// Asks for the addresses of a target, one target after the other so that a long answer makes no burst; how long they
/// live.
async fn ask_for(dns: &Dns, target: &Target) -> (Vec<SocketAddr>, Duration) {
    let mut found = Vec::new();
    let mut life = LONGEST;
    let Ok(name) = rr::Name::from_ascii(format!("{}.", target.host)) else {
        return (found, life);
    };
    for kind in [RecordType::A, RecordType::AAAA] {
        // What cannot be found is told by the answer as a whole.
        if let Ok(answer) = dns.ask(name.clone(), kind).await {
            let ips = answer.answers().iter().filter_map(address);
            found.extend(ips.map(|ip| SocketAddr::new(ip, target.port)));
            life = life.min(shortest_life(answer.answers()));
        }
    }
    (found, life)
}

fn shortest_life(records: &[rr::Record]) -> Duration {
    let lives = records.iter().map(|it| Duration::from_secs(it.ttl.into()));
    lives.min().unwrap_or(LONGEST)
}

/// What the operator should know of an answer that is used all the same.
fn lack(found: &[Found], left_out: usize) -> Option<String> {
    if found.is_empty() {
        return Some("its SRV record says that the service is not there".to_owned());
    }
    if left_out > 0 {
        return Some(format!(
            "{left_out} SRV records are left out: at most {MOST} are used, each with a host and a port"
        ));
    }
    let without = found.iter().filter(|it| it.addresses.is_empty()).count();
    (without > 0).then(|| format!("{without} targets of its SRV records have no address"))
}

fn not_found(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, what)
}

fn explain(error: NetError) -> io::Error {
    if error.is_nx_domain() {
        not_found("there is no such name")
    } else if error.is_no_records_found() {
        not_found("the name has no SRV record")
    } else {
        io::Error::other(error)
    }
}

#[cfg(test)]
mod tests;
