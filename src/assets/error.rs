//! Why a folder cannot be served.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a folder could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// A file or folder could not be read.
    #[error("cannot read {path:?}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// More files than are taken.
    #[error("{path:?} holds more than {limit} files; point root at the built files alone")]
    TooMany {
        /// The root.
        path: PathBuf,
        /// The bound.
        limit: usize,
    },
    /// Folders too deep within each other.
    #[error("{path:?} lies more than {limit} folders deep")]
    TooDeep {
        /// The folder.
        path: PathBuf,
        /// The bound.
        limit: usize,
    },
    /// A file changed while it was read.
    #[error("{0:?} changes while it is read; start again when the copy is complete")]
    Changing(PathBuf),
}

impl AssetError {
    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn is_forbidden(&self) -> bool {
        match self {
            Self::Read { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            _ => false,
        }
    }

    /// A copy in progress explains it.
    pub(super) fn is_passing(&self, root: &Path) -> bool {
        match self {
            Self::Changing(_) => true,
            Self::Read { path, source } => path != root && source.kind() == io::ErrorKind::NotFound,
            Self::TooMany { .. } | Self::TooDeep { .. } => false,
        }
    }
}
