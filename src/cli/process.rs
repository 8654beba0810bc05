//! The running process, as commands reach it.

use std::path::Path;

use http::{Method, StatusCode};

use crate::{
    admin,
    cli::{Exit, complain, show},
    config::{Config, server::Admin},
};

/// A process that has an admin listener.
#[derive(Debug)]
pub(super) struct Process(Admin);

impl Process {
    /// The process of the configuration at `path`. What stands in the way is printed.
    pub(super) fn find(path: &Path) -> Result<Self, Exit> {
        let admin = Config::load_admin(path).map_err(|report| {
            show(&report);
            Exit::Config
        })?;
        admin.map(Self).ok_or_else(|| {
            complain(&anyhow::anyhow!(
                "the configuration has `admin = false`, so there is nobody to ask"
            ));
            Exit::Bad
        })
    }

    /// Status and body of its answer. What stands in the way is printed.
    pub(super) fn ask(&self, method: &Method, path: &str) -> Result<(StatusCode, String), Exit> {
        let Self(admin) = self;
        admin::client::ask(admin.address, admin.token.as_ref(), method, path).map_err(|error| {
            let context = format!("nobody answers at {}", admin.address);
            complain(&anyhow::Error::from(error).context(context));
            Exit::Bad
        })
    }
}
