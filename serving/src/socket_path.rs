//! Paths of Unix sockets that are too long for the system: a socket's address has 108 bytes, and a home may lie deeper.
//!
//! The folder is opened, and the socket named beneath it by way of `/proc/self/fd`, which every Linux has that runs our
//! programs. Left out on purpose: shorter names of other kinds, such as a link in a runtime folder, which somebody would
//! have to remove.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// Longest path in a socket's address, in bytes: 108, less the zero at its end.
const MAX_SOCKET_PATH: usize = 107;

/// A path by which a socket can be bound or reached, while this lives.
#[derive(Debug)]
pub struct SocketPath {
    path: PathBuf,
    _folder: Option<OwnedFd>,
}

impl SocketPath {
    /// The path itself, or a short one to the same place.
    ///
    /// # Errors
    /// When the path is too long and its folder cannot be opened, or its name alone is too long.
    pub fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= MAX_SOCKET_PATH {
            return Ok(Self { path: path.to_owned(), _folder: None });
        }
        let too_long = || {
            let reason = format!(
                "its path has {} bytes, and the system allows {MAX_SOCKET_PATH} for a socket; use a shorter home",
                path.as_os_str().len()
            );
            io::Error::new(io::ErrorKind::InvalidInput, reason)
        };
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(too_long()) };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(parent, flags, Mode::empty())?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
        if short.as_os_str().len() > MAX_SOCKET_PATH || !Path::new("/proc/self/fd").exists() {
            return Err(too_long());
        }
        Ok(Self { path: short, _folder: Some(folder) })
    }

    /// The path to bind or to connect to.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
