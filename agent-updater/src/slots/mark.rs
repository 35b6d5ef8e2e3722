//! The mark of an install root: a file in it that tells it from every other folder.

use std::path::Path;

use sealpost_files::{PUBLIC, make_folder, read_bounded, replace};
use sealpost_manifests::digest::Sha256Digest;

use crate::config::INSTALL_ROOT_MARK;

use super::beneath::{BeneathError, Folder, io_error};

/// What it begins with; a digest of random bytes and a line end follow.
const LABEL: &str = "sealpost-install-root 1 ";
/// Longest file that is read.
const MAX_BYTES: u64 = 256;

/// The mark of an install root; `None` without one, or without the root. One that is not understood is none.
///
/// # Errors
/// [`BeneathError`].
pub fn read_mark(install_root: &Path) -> Result<Option<Sha256Digest>, BeneathError> {
    let path = install_root.join(INSTALL_ROOT_MARK);
    let bytes = read_bounded(&path, MAX_BYTES).map_err(|source| io_error("read", &path, source))?;
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(text.and_then(|text| text.strip_prefix(LABEL)?.strip_suffix('\n')?.parse().ok()))
}

/// Marks an install root, which is made if it is missing; durable at return.
///
/// # Errors
/// [`BeneathError`], also when somebody else could change the root.
pub fn write_mark(install_root: &Path, mark: &Sha256Digest) -> Result<(), BeneathError> {
    make_folder(install_root, 0o755).map_err(|source| io_error("make the folder", install_root, source))?;
    Folder::open_root(install_root)?;
    let path = install_root.join(INSTALL_ROOT_MARK);
    replace(&path, format!("{LABEL}{mark}\n").as_bytes(), PUBLIC)
        .map_err(|source| io_error("write", &path, source))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_mark_keeps_its_form_and_what_is_none_reads_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("products");
        assert_eq!(read_mark(&root).unwrap(), None);
        let mark = Sha256Digest::of(b"1");
        write_mark(&root, &mark).unwrap();
        let path = root.join(INSTALL_ROOT_MARK);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("sealpost-install-root 1 {mark}\n"));
        assert_eq!(read_mark(&root).unwrap(), Some(mark));
        for other in [String::new(), format!("sealpost-install-root 2 {mark}\n"), format!("{mark}\n")] {
            fs::write(&path, other).unwrap();
            assert_eq!(read_mark(&root).unwrap(), None);
        }
    }
}
