//! Key files. Their readers take a path, because they look at the permissions too.

use std::io::Write;
use std::path::Path;

use sealpost_keys::key_file::{read_public, read_secret_with, write_public, write_secret};
use sealpost_keys::{KeyFileError, SealingKey};
use tempfile::NamedTempFile;

/// Reads bytes as the file of each kind of key; what is read is written as a file that reads the same.
pub(crate) fn key_files(data: &[u8]) -> bool {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(data).expect("a temporary file");
    let (path, copy) = (file.path(), file.path().with_extension("copy"));
    let secret = read_secret_with(path, None);
    if let Ok(key) = &secret {
        let again = copied(&copy, |path| write_secret(path, key, None), |path| read_secret_with(path, None));
        assert_eq!((again.public(), again.sign_raw(b"x")), (key.public(), key.sign_raw(b"x")));
    }
    let public = read_public(path);
    if let Ok(key) = &public {
        assert_eq!(copied(&copy, |path| write_public(path, key), read_public), *key);
    }
    let sealing = SealingKey::read_file(path);
    if let Ok(key) = &sealing {
        let again = copied(&copy, |path| key.write_file(path), SealingKey::read_file);
        assert_eq!(*again.to_bytes(), *key.to_bytes());
    }
    secret.is_ok() || public.is_ok() || sealing.is_ok()
}

fn copied<T>(
    copy: &Path,
    write: impl Fn(&Path) -> Result<(), KeyFileError>,
    read: impl Fn(&Path) -> Result<T, KeyFileError>,
) -> T {
    write(copy).expect("what was read can be written");
    let read = read(copy).expect("what was written can be read");
    std::fs::remove_file(copy).expect("a temporary file");
    read
}
