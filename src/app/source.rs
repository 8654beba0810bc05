//! Where the configuration comes from: a file that a reload reads again, or a text that stays.

use std::path::PathBuf;

use crate::config::{Config, diagnostic::Report};

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A text made from arguments; relative paths in it start at the folder of `path`.
    Text {
        /// What stands for a file name in diagnostics.
        path: PathBuf,
        /// TOML.
        text: String,
    },
}

impl Source {
    /// Reads and checks.
    ///
    /// # Errors
    /// Every fault, with its place.
    pub fn load(&self) -> Result<(Config, Report), Report> {
        match self {
            Self::File(path) => Config::load(path),
            Self::Text { path, text } => {
                Config::parse(path, text, &|name| std::env::var(name).ok())
            }
        }
    }
}
