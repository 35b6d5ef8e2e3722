//! Opening a file that holds a secret: a regular file that only its owner can read or change.

use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sealpost_files::open_regular;

/// Permission bits of which a secret file may have none: reading, writing and executing for group and others.
const OTHERS: u32 = 0o077;

/// A secret file, or the reason not to read it.
pub(crate) enum PrivateFile {
    /// Only its owner can read it.
    Private(File),
    /// Others can read or change it, by these permission bits.
    Exposed { mode: u32 },
}

impl PrivateFile {
    /// # Errors
    /// The system's; also when it is not a regular file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = open_regular(path)?;
        let mode = file.metadata()?.permissions().mode() & 0o777;
        Ok(if mode & OTHERS == 0 { Self::Private(file) } else { Self::Exposed { mode } })
    }
}
