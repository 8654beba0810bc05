//! Files of the development authority: private, whole or absent.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    process,
};

use crate::certs::CertError;

/// Makes `dir` and its parents, for the owner alone.
pub(super) fn make_dir(dir: &Path) -> Result<(), CertError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| CertError::Write {
        path: dir.into(),
        source,
    })
}

/// Waits until this process alone holds `path`; dropping the file gives it back.
pub(super) fn lock(path: &Path) -> Result<File, CertError> {
    let locked = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .mode(Access::Private as u32)
        .open(path)
        .and_then(|file| {
            file.lock()?;
            Ok(file)
        });
    locked.map_err(|source| CertError::Write {
        path: path.into(),
        source,
    })
}

/// The text of `path`; `None` when there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<String>, CertError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CertError::Read {
            path: path.into(),
            source,
        }),
    }
}

/// Who may read a file.
#[derive(Clone, Copy)]
pub(super) enum Access {
    /// Everybody.
    Public = 0o644,
    /// Its owner.
    Private = 0o600,
}

/// Puts `text` at `path`, at once or not at all.
pub(super) fn write(path: &Path, text: &str, access: Access) -> Result<(), CertError> {
    let beside = path.with_added_extension(format!("{}.new", process::id()));
    let written = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(access as u32)
        .open(&beside)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|source| CertError::Write {
        path: path.into(),
        source,
    })
}
