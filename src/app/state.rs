//! What the operator may ask: whether the process should be sent traffic, and how the upstreams are.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    admin::{self, Fault, Part, Readiness},
    server::drain::Stage,
    snapshot::Live,
    upstream::Upstream,
};

/// What the answers are read from.
#[derive(Debug)]
pub struct State {
    live: Arc<Live>,
    stage: watch::Receiver<Stage>,
}

impl State {
    /// Follows the snapshot and the stage of the process.
    pub fn new(live: Arc<Live>, stage: watch::Receiver<Stage>) -> Self {
        Self { live, stage }
    }
}

impl admin::State for State {
    /// Not while it drains, and not while every upstream is down: one that is up has work to do.
    fn readiness(&self) -> Readiness {
        let mut faults = Vec::new();
        if *self.stage.borrow() != Stage::Serving {
            faults.push(fault(Part::Process, "portcullis", "is draining"));
        }
        let snapshot = self.live.load();
        let mut some_up = false;
        let mut down = Vec::new();
        for upstream in snapshot.upstreams() {
            if upstream.backends().iter().any(|backend| backend.is_up()) {
                some_up = true;
            } else {
                down.push(fault(
                    Part::Upstream,
                    upstream.name(),
                    "has no healthy backend",
                ));
            }
        }
        if !some_up {
            faults.append(&mut down);
        }
        Readiness { faults }
    }

    fn upstreams(&self) -> Vec<Arc<Upstream>> {
        self.live.load().upstreams().cloned().collect()
    }
}

fn fault(part: Part, name: &str, reason: &str) -> Fault {
    Fault {
        part,
        name: name.to_owned(),
        reason: reason.to_owned(),
    }
}
