//! Reading with a bound: a file is never larger in memory than its reader expects.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use crate::faults::{Step, reach};

/// Reads a whole regular file of at most `max_bytes`; `None` only if nothing of that name exists.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] beyond the bound, and what the system says otherwise.
pub fn read_bounded(path: &Path, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    read_at_most(file, max_bytes).map(Some)
}

/// Reads all of what an admin names on the command line, at most `max_bytes`; it may be a pipe, such as `/dev/stdin`.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] beyond the bound, and what the system says otherwise.
pub fn read_input(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    read_at_most(File::open(path)?, max_bytes)
}

fn read_at_most(file: File, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max_bytes {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    Ok(bytes)
}

/// Opens a regular file to be read. A named pipe or a device in its place is refused, not waited for.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] if it is no regular file, and what the system says otherwise.
pub fn open_regular(path: &Path) -> io::Result<File> {
    reach(Step::Read, path)?;
    let file =
        OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_that_is_longer_than_allowed_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        assert!(read_bounded(&path, 3).unwrap().is_none());
        fs::write(&path, b"abcd").unwrap();
        assert_eq!(read_bounded(&path, 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_bounded(&path, 4).unwrap().unwrap(), b"abcd");
    }

    #[test]
    fn what_is_no_regular_file_is_refused_and_not_taken_for_absent() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_bounded(folder.path(), 3).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(read_bounded(&pipe, 3).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
