//! The TLS certificate of this server: read at the start, and again whenever its files change.
//!
//! Invariant: what is served always fits together. A certificate that was put there before its key is not taken, and
//! tried again until the key has come; until then the one before is served.
//! Left out on purpose: when it ends, which `publisher status` says.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealpost_files::with_causes;
use sealpost_serving::tls::{TlsError, TlsIdentity};

/// Where a certificate's chain and its private key lie, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A certificate that is served.
#[derive(Debug)]
pub struct Served {
    identity: Arc<TlsIdentity>,
    files: CertificateFiles,
    /// What the files were when they were read last.
    seen: Option<[Stamp; 2]>,
}

/// What shows that a file was changed or replaced: device, inode, length, and the times of its last change in
/// nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp(u64, u64, u64, i64, i64);

impl Served {
    /// # Errors
    /// [`TlsError`], if the files cannot be read or do not fit together.
    pub fn load(files: CertificateFiles) -> Result<Self, TlsError> {
        // Before reading, so that a change meanwhile is seen the next time.
        let seen = stamps(&files);
        let identity = TlsIdentity::load(&files.certificate, &files.key, None)?;
        Ok(Self { identity, files, seen })
    }

    /// What a listener presents.
    #[must_use]
    pub fn identity(&self) -> Arc<TlsIdentity> {
        Arc::clone(&self.identity)
    }

    /// Reads these files from now on, and serves what is in them.
    pub fn replace_files(&mut self, files: CertificateFiles) {
        self.files = files;
        self.seen = None;
        self.follow();
    }

    /// Serves what is in the files, if they have changed since. A failure is logged once for each change.
    pub fn follow(&mut self) {
        let now = stamps(&self.files);
        if now.is_some() && now == self.seen {
            return;
        }
        let was_seen = std::mem::replace(&mut self.seen, now);
        let CertificateFiles { certificate, key } = &self.files;
        match self.identity.replace(certificate, key, None) {
            Ok(true) => {
                tracing::info!(certificate = %certificate.display(), "another certificate is served now")
            }
            Ok(false) => {}
            // A file that is gone is logged as it goes, and not again and again.
            Err(_) if now.is_none() && was_seen.is_none() => {}
            Err(error) => tracing::error!(
                error = %with_causes(&error),
                "cannot take the new certificate over; the one before is still served"
            ),
        }
    }
}

fn stamps(files: &CertificateFiles) -> Option<[Stamp; 2]> {
    Some([stamp(&files.certificate)?, stamp(&files.key)?])
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    let changed = found.ctime().checked_mul(1_000_000_000)?.checked_add(found.ctime_nsec())?;
    let modified = found.mtime().checked_mul(1_000_000_000)?.checked_add(found.mtime_nsec())?;
    Some(Stamp(found.dev(), found.ino(), found.size(), changed, modified))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A self-signed certificate and its key, made for tests, valid until 4096.
    fn put(folder: &Path, which: usize) {
        let made = rcgen::generate_simple_self_signed(vec![format!("host-{which}")]).unwrap();
        fs::write(folder.join("c.pem"), made.cert.pem()).unwrap();
        fs::write(folder.join("k.pem"), made.signing_key.serialize_pem()).unwrap();
    }

    #[test]
    fn a_changed_certificate_is_served_once_its_key_has_come_and_until_then_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        put(folder.path(), 1);
        put(other.path(), 2);
        let path = |name: &str| folder.path().join(name);
        let files = CertificateFiles { certificate: path("c.pem"), key: path("k.pem") };
        let mut served = Served::load(files).unwrap();
        let first = served.identity().chain();
        served.follow();
        assert_eq!(served.identity().chain(), first);

        fs::rename(other.path().join("c.pem"), path("c.pem")).unwrap();
        served.follow();
        assert_eq!(served.identity().chain(), first, "the key is still the old one");
        fs::rename(other.path().join("k.pem"), path("k.pem")).unwrap();
        served.follow();
        let second = served.identity().chain();
        assert_ne!(second, first);

        fs::remove_file(path("k.pem")).unwrap();
        served.follow();
        served.follow();
        assert_eq!(served.identity().chain(), second);
        put(folder.path(), 3);
        served.follow();
        assert_ne!(served.identity().chain(), second);
    }
}
