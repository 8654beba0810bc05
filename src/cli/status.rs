//! `portcullis status`.

use std::path::Path;

use http::StatusCode;

use crate::{
    admin,
    cli::{Exit, complain, say, show},
    config::Config,
};

/// Asks the admin listener of the configuration at `path` whether the process is ready.
pub fn status(path: &Path) -> Exit {
    let admin = match Config::load_admin(path) {
        Ok(admin) => admin,
        Err(report) => {
            show(&report);
            return Exit::Config;
        }
    };
    let Some(admin) = admin else {
        complain(&anyhow::anyhow!(
            "the configuration has `admin = false`, so there is nobody to ask"
        ));
        return Exit::Bad;
    };
    match admin::client::ask(admin.address, admin.token.as_ref(), "/health/ready") {
        Ok((status, text)) => {
            say(&text);
            if status == StatusCode::OK {
                Exit::Good
            } else {
                Exit::Bad
            }
        }
        Err(error) => {
            let error =
                anyhow::Error::from(error).context(format!("nobody answers at {}", admin.address));
            complain(&error);
            Exit::Bad
        }
    }
}
