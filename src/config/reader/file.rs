//! Files that the configuration names: resolved against its folder, and there.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

use super::{Read, Value, quoted};

/// A file that exists and can be read.
pub(crate) struct ReadableFile(pub(crate) PathBuf);

/// A folder that exists.
pub(crate) struct Folder(pub(crate) PathBuf);

/// A folder that exists and can be written to.
pub(crate) struct WritableFolder(pub(crate) PathBuf);

/// A file that may not exist yet, in a folder that does.
pub(crate) struct WritableFile(pub(crate) PathBuf);

impl Read for ReadableFile {
    fn read(value: &Value<'_>) -> Option<Self> {
        let path = resolve(value)?;
        // A FIFO or device would block or never end: only plain files are opened.
        let checked = fs::metadata(&path).and_then(|about| {
            if about.is_file() {
                fs::File::open(&path).map(drop)
            } else {
                Err(io::Error::other("it is no plain file"))
            }
        });
        match checked {
            Ok(()) => Some(Self(path)),
            Err(error) => missing(value, &path.display().to_string(), &error),
        }
    }
}

impl Read for Folder {
    fn read(value: &Value<'_>) -> Option<Self> {
        let path = resolve(value)?;
        match fs::metadata(&path) {
            Ok(about) if about.is_dir() => Some(Self(path)),
            Ok(_) => value.reject(
                format!("{} is no folder", quoted(&path.display().to_string())),
                "name the folder that holds the files",
            ),
            Err(error) => missing(value, &path.display().to_string(), &error),
        }
    }
}

impl Read for WritableFolder {
    fn read(value: &Value<'_>) -> Option<Self> {
        let Folder(path) = Folder::read(value)?;
        if is_writable(&path) {
            return Some(Self(path));
        }
        value.reject(
            format!("cannot write to {}", quoted(&path.display().to_string())),
            "let the user that runs portcullis write to it, or name another folder",
        )
    }
}

impl Read for WritableFile {
    fn read(value: &Value<'_>) -> Option<Self> {
        let path = resolve(value)?;
        let folder = path.parent().unwrap_or(&path);
        match fs::metadata(folder) {
            Ok(about) if about.is_dir() && !path.is_dir() => Some(Self(path)),
            Ok(_) => value.reject(
                format!("{} is no file", quoted(&path.display().to_string())),
                "name a file in a folder that exists",
            ),
            Err(error) => missing(value, &folder.display().to_string(), &error),
        }
    }
}

/// Whether files can be made in the folder at `path`. Nothing is tried.
pub(crate) fn is_writable(path: &Path) -> bool {
    path.is_dir() && access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

fn resolve(value: &Value<'_>) -> Option<PathBuf> {
    let text = value.text("a path", "\"/etc/portcullis/...\"")?;
    if text.is_empty() || text.contains('\0') {
        return value.reject(
            format!("{} is no path", quoted(&text)),
            "write an absolute path, or one relative to the configuration file",
        );
    }
    Some(value.reader.resolve(&text))
}

fn missing<T>(value: &Value<'_>, path: &str, error: &io::Error) -> Option<T> {
    let help = match error.kind() {
        io::ErrorKind::NotFound => {
            "create it, or correct the path; relative paths start at the configuration file's folder"
        }
        io::ErrorKind::PermissionDenied => "let the user that runs portcullis read it",
        _ => "name a plain file that can be read",
    };
    value.reject(
        format!("cannot read {}: {}", quoted(path), reason(error)),
        help,
    )
}

/// The system's words without its error number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}
