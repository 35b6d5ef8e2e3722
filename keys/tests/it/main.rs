//! What this crate promises to the outside: minisign's formats, read and written, and nothing that
//! merely looks like them.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod interop;
mod key_files;
mod reference;
mod sealed;
mod verification;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sealpost_keys::{PassphraseSource, PublicKey, SigningKey, TrustedComment, key_file};

/// The frozen files: made once with the original minisign 0.11 and never changed.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// A private copy of a frozen secret key: version control does not keep its permissions.
fn private_copy(name: &str, folder: &Path) -> PathBuf {
    let copy = folder.join(name);
    fs::copy(golden(name), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).unwrap();
    copy
}

fn golden_key() -> SigningKey {
    let folder = tempfile::tempdir().unwrap();
    let path = private_copy("unencrypted-by-minisign.key", folder.path());
    key_file::read_secret(&path, &PassphraseSource::None).unwrap()
}

fn golden_public() -> PublicKey {
    key_file::read_public(&golden("public.pub")).unwrap()
}

fn comment(text: &str) -> TrustedComment {
    TrustedComment::new(text).unwrap()
}

/// The two signature lines and the trusted comment: everything that is not free text.
fn covered_lines(minisig: &str) -> Vec<&str> {
    minisig.lines().skip(1).collect()
}
