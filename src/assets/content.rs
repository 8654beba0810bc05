//! The bytes of a file: in memory, or on disk when there are many.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::Arc,
};

use aws_lc_rs::digest::{Context, Digest, SHA256};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::HeaderValue;

use crate::assets::{
    AssetError,
    walk::{Found, Stamp},
};

/// Above this, hashing would hold up a start for longer than it is worth.
pub(super) const HASHED_WHOLE: u64 = 256 << 20;
/// Step of hashing.
const STEP: usize = 64 << 10;

/// The bytes of a file, as they were when the release was read.
#[derive(Debug, Clone)]
pub struct Content {
    source: Source,
    size: u64,
    digest: [u8; 32],
    etag: HeaderValue,
    length: HeaderValue,
    stamp: Stamp,
    /// Digest of the file's own bytes, where values were filled into them.
    filled: Option<[u8; 32]>,
}

/// Where the bytes are.
#[derive(Debug, Clone)]
pub enum Source {
    /// Here.
    Memory(Bytes),
    /// In a file that is read while it is sent.
    Disk(Arc<LargeFile>),
}

/// A file that is too large for memory.
#[derive(Debug)]
pub struct LargeFile {
    path: PathBuf,
    stamp: Stamp,
    held: Option<Arc<File>>,
}

/// A file that is being sent.
#[derive(Debug, Clone)]
pub struct OpenFile {
    file: Arc<File>,
    stamp: Stamp,
}

/// Where the bytes of a file are to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Memory,
    /// On disk, with an open handle: the file survives its removal.
    Held,
    Disk,
}

impl Content {
    /// Reads a file. Blocks.
    ///
    /// # Errors
    /// [`AssetError::Changing`] when it is not the file that was found any more.
    pub(super) fn read(found: &Found, place: Place) -> Result<Self, AssetError> {
        let read = |source| AssetError::read(&found.path, source);
        let file = File::open(&found.path).map_err(read)?;
        let stamp = Stamp::of(&file.metadata().map_err(read)?);
        if stamp != found.stamp {
            return Err(AssetError::Changing(found.path.clone()));
        }
        let (source, digest) = match place {
            Place::Memory => {
                let bytes = read_whole(&file, found)?;
                let digest = aws_lc_rs::digest::digest(&SHA256, &bytes);
                (Source::Memory(bytes.into()), digest)
            }
            Place::Held | Place::Disk => {
                let digest = hash(&file, &stamp).map_err(read)?;
                let held = (place == Place::Held).then(|| Arc::new(file));
                let path = found.path.clone();
                (
                    Source::Disk(Arc::new(LargeFile { path, stamp, held })),
                    digest,
                )
            }
        };
        Ok(Self::of(source, &digest, stamp))
    }

    /// Bytes that were made of a file with this stamp.
    pub(super) fn made(bytes: Bytes, stamp: Stamp) -> Self {
        let digest = aws_lc_rs::digest::digest(&SHA256, &bytes);
        let size = bytes.len() as u64;
        Self::of(Source::Memory(bytes), &digest, stamp.with_size(size))
    }

    fn of(source: Source, digest: &Digest, stamp: Stamp) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self {
            source,
            size: stamp.size,
            digest: bytes,
            etag: etag(digest),
            length: stamp.size.into(),
            stamp,
            filled: None,
        }
    }

    /// What the same file becomes when values are filled into it.
    pub(super) fn filled(&self, bytes: Bytes) -> Self {
        Self {
            filled: Some(self.digest),
            ..Self::made(bytes, self.stamp)
        }
    }

    /// Where the bytes are.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Strong validator, from the bytes.
    pub fn etag(&self) -> &HeaderValue {
        &self.etag
    }

    /// `Content-Length`.
    pub fn length(&self) -> &HeaderValue {
        &self.length
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> Option<&Bytes> {
        match &self.source {
            Source::Memory(bytes) => Some(bytes),
            Source::Disk(_) => None,
        }
    }

    /// Values were filled in: the name and the date of the file tell nothing of the bytes.
    pub(super) fn is_filled(&self) -> bool {
        self.filled.is_some()
    }

    /// SHA-256 of the bytes that the file has, whatever was filled into them.
    pub(super) fn origin(&self) -> &[u8; 32] {
        self.filled.as_ref().unwrap_or(&self.digest)
    }

    /// SHA-256 of the bytes; of what stands for them when they are too many to hash.
    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    pub(super) fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    pub(super) fn place(&self) -> Place {
        match &self.source {
            Source::Memory(_) => Place::Memory,
            Source::Disk(file) if file.held.is_some() => Place::Held,
            Source::Disk(_) => Place::Disk,
        }
    }
}

impl LargeFile {
    /// Opens it. Blocks.
    ///
    /// # Errors
    /// `StaleNetworkFileHandle` when the path leads to another file than the release was read from,
    /// or its bytes changed.
    pub fn open(&self) -> io::Result<OpenFile> {
        let file = match &self.held {
            Some(file) => Arc::clone(file),
            None => Arc::new(File::open(&self.path)?),
        };
        let open = OpenFile {
            file,
            stamp: self.stamp,
        };
        open.is_unchanged()?;
        Ok(open)
    }
}

impl OpenFile {
    /// Reads `length` bytes from `offset` on. Blocks.
    ///
    /// # Errors
    /// Also when the file was written to since the release was read: its bytes must not be mixed
    /// with those that were sent.
    pub fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        self.is_unchanged()?;
        Ok(bytes.into())
    }

    fn is_unchanged(&self) -> io::Result<()> {
        if Stamp::of(&self.file.metadata()?).has_bytes_of(&self.stamp) {
            Ok(())
        } else {
            Err(io::ErrorKind::StaleNetworkFileHandle.into())
        }
    }
}

fn read_whole(mut file: &File, found: &Found) -> Result<Vec<u8>, AssetError> {
    let size = usize::try_from(found.stamp.size).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(size);
    // One byte more than expected tells a file that grows, and never reads further.
    let limit = found.stamp.size.saturating_add(1);
    file.by_ref()
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|source| AssetError::read(&found.path, source))?;
    if bytes.len() == size {
        Ok(bytes)
    } else {
        Err(AssetError::Changing(found.path.clone()))
    }
}

fn hash(mut file: &File, stamp: &Stamp) -> io::Result<Digest> {
    let mut context = Context::new(&SHA256);
    if stamp.size > HASHED_WHOLE {
        // It is sent only while the stamp holds, so the stamp stands for the bytes.
        context.update(format!("{stamp:?}").as_bytes());
        return Ok(context.finish());
    }
    let mut step = vec![0; STEP];
    loop {
        match file.read(&mut step)? {
            0 => return Ok(context.finish()),
            count => context.update(&step[..count]),
        }
    }
}

/// Half of the hash is plenty to tell one file's versions apart.
fn etag(digest: &Digest) -> HeaderValue {
    let half = &digest.as_ref()[..16];
    HeaderValue::try_from(format!("\"{}\"", URL_SAFE_NO_PAD.encode(half)))
        .expect("base64 is visible ASCII")
}
