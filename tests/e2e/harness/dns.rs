//! A real DNS server, dnsmasq, with the records that a test gives it.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
};

use crate::harness::{eventually, lines::Lines};

/// A server for `*.test`. Dropping it ends it.
pub(crate) struct Dns {
    child: Child,
    log: Lines,
    address: SocketAddr,
}

impl Dns {
    /// Answers with `records`, which are arguments of dnsmasq without the dashes.
    pub(crate) async fn start(records: &[String]) -> Self {
        loop {
            // Somebody else may be given the port meanwhile: then it ends, and another one is tried.
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = port.local_addr().unwrap();
            drop(port);
            if let Some(dns) = Self::start_at(address, records).await {
                return dns;
            }
        }
    }

    async fn start_at(address: SocketAddr, records: &[String]) -> Option<Self> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut child = Command::new("dnsmasq")
            .env("PATH", format!("{path}:/usr/sbin"))
            .args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--pid-file",
            ])
            .args(["--log-facility=-", "--log-queries", "--bind-interfaces"])
            .args(["--no-resolv", "--no-hosts", "--local=/test/"])
            .arg(format!("--listen-address={}", address.ip()))
            .arg(format!("--port={}", address.port()))
            .args(records.iter().map(|it| format!("--{it}")))
            .stderr(Stdio::piped())
            .spawn()
            .expect("dnsmasq is installed by scripts/setup");
        let log = Lines::follow(child.stderr.take().unwrap());
        let started = eventually("the DNS server", async || {
            if child.try_wait().unwrap().is_some() {
                assert!(log.count("bad") == 0, "{:?}", log.all());
                return Some(false);
            }
            (log.count("started") > 0).then_some(true)
        });
        started.await.then_some(Self {
            child,
            log,
            address,
        })
    }

    /// Answers with other records from now on, after a moment without an answer.
    pub(crate) async fn change(&mut self, records: &[String]) {
        self.kill();
        let changed = eventually("the port of the DNS server", async || {
            Self::start_at(self.address, records).await
        });
        *self = changed.await;
    }

    /// Ends it.
    pub(crate) fn kill(&mut self) {
        // Both fail only when the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// For `server.dns`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Questions for SRV records since the last change.
    pub(crate) fn questions(&self) -> usize {
        self.log.count("query[SRV]")
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.kill();
    }
}
