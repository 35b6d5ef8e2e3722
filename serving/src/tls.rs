//! The server's side of TLS: 1.2 and 1.3, HTTP/1.1, no client certificates.
//!
//! Clients that pin a CA's key look for it in the chain that the server presents, so a CA's certificate that is given is
//! always presented too. The identity is looked up anew for each handshake, so that it can be replaced while the server
//! runs: connections that are open go on with the old one.
//! Invariant: what is presented is a chain whose key fits; a replacement that fails leaves the one before.
//! Left out on purpose: noticing that files changed, and judging when a certificate ends (both are the programs').

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use sealpost_files::{open_regular, read_bounded};

/// Most certificates in a chain file.
const MAX_CERTIFICATES: usize = 16;
/// Largest PEM file, in bytes: the most certificates, each larger than any that is in use.
const MAX_PEM_BYTES: u64 = 1024 * 1024;

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read as PEM.
    #[error(
        "cannot read {what} from {}; it must be a PEM file that this account may read, and one of a home can be \
         restored from its backup",
        path.display()
    )]
    File {
        /// What was expected in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// Whoever may write a key chooses it.
    #[error("cannot use the key {}: others can write it (mode {mode:03o}); run `chmod 600` on it", path.display())]
    Exposed {
        /// The key's file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It holds no certificate, or too many.
    #[error("{} holds {found} certificates; expected 1 to {MAX_CERTIFICATES}", path.display())]
    Count {
        /// The file.
        path: PathBuf,
        /// How many were read before there were too many.
        found: usize,
    },
    /// Certificate and key do not fit.
    #[error("cannot use the certificate {} with its key; do they belong together?", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// What the library said.
        #[source]
        source: rustls::Error,
    },
    /// Clients that pin the certificate at the end would refuse it.
    #[error(
        "the certificate at the end of {}, which clients pin, does not vouch for the first one; put the CA's certificate \
         there that issued it",
        path.display()
    )]
    NotIssued {
        /// The chain's file.
        path: PathBuf,
        /// What the library said.
        #[source]
        source: rustls::Error,
    },
    /// The cryptography library does not offer the protocol versions.
    #[error("cannot set up TLS 1.2 and 1.3 with the cryptography that this program was built with")]
    Versions(#[source] rustls::Error),
}

/// The certificates of a PEM file.
///
/// # Errors
/// [`TlsError`].
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read_pem(path).map_err(|source| not_certificates(path, source))?;
    chain_of(path, CertificateDer::pem_slice_iter(&bytes))
}

/// A PEM file. One that is no regular file would be waited for or read for ever.
fn read_pem(path: &Path) -> Result<Vec<u8>, pem::Error> {
    let absent = || io::Error::from(io::ErrorKind::NotFound);
    let bytes = read_bounded(path, MAX_PEM_BYTES).and_then(|bytes| bytes.ok_or_else(absent));
    bytes.map_err(pem::Error::Io)
}

/// The certificates that are read from a file, one at the least and not more than a chain may have.
fn chain_of(
    path: &Path,
    read: impl Iterator<Item = Result<CertificateDer<'static>, pem::Error>>,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    // One more shows that there are too many, however long the file is.
    let chain: Vec<_> = read
        .take(MAX_CERTIFICATES + 1)
        .collect::<Result<_, _>>()
        .map_err(|source| not_certificates(path, source))?;
    if chain.is_empty() || chain.len() > MAX_CERTIFICATES {
        return Err(TlsError::Count { path: path.to_owned(), found: chain.len() });
    }
    Ok(chain)
}

fn not_certificates(path: &Path, source: pem::Error) -> TlsError {
    TlsError::File { what: "certificates", path: path.to_owned(), source }
}

/// Refuses a key's file that others than its owner can write. Whether everybody on the computer can read it.
///
/// # Errors
/// [`TlsError`].
pub fn check_key_file(path: &Path) -> Result<bool, TlsError> {
    let about = open_regular(path).and_then(|file| file.metadata());
    let about = about.map_err(|source| not_a_key(path, pem::Error::Io(source)))?;
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o022 != 0 {
        return Err(TlsError::Exposed { path: path.to_owned(), mode });
    }
    Ok(mode & 0o004 != 0)
}

/// Checks that a certificate's chain and its key can be presented together: each with the file that it came from, as PEM.
/// For a caller that stores the very bytes which were checked: files may be replaced between two reads.
///
/// # Errors
/// [`TlsError`].
pub fn check((path, chain): (&Path, &[u8]), (key_path, key): (&Path, &[u8])) -> Result<(), TlsError> {
    let chain = chain_of(path, CertificateDer::pem_slice_iter(chain))?;
    let secret = PrivateKeyDer::from_pem_slice(key).map_err(|source| not_a_key(key_path, source))?;
    CertifiedKey::from_der(chain, secret, &provider())
        .map(drop)
        .map_err(|source| TlsError::Unusable { path: path.to_owned(), source })
}

/// Checks that the certificate at the end of a chain, whose key clients pin, vouches for the first one at a time since the
/// Unix epoch. That a name says who issued a certificate shows nothing: a CA that was made anew has the same name.
///
/// # Errors
/// [`TlsError`].
pub fn check_pinned_end(path: &Path, chain: &[u8], now: Duration) -> Result<(), TlsError> {
    let refused = |source| TlsError::NotIssued { path: path.to_owned(), source };
    let chain = chain_of(path, CertificateDer::pem_slice_iter(chain))?;
    let Some((first, behind)) = chain.split_first() else {
        return Err(TlsError::Count { path: path.to_owned(), found: 0 });
    };
    let (last, between) = behind.split_last().unwrap_or((first, &[]));
    let mut roots = RootCertStore::empty();
    roots.add(last.clone()).map_err(refused)?;
    let first = ParsedCertificate::try_from(first).map_err(refused)?;
    let now = UnixTime::since_unix_epoch(now);
    let algorithms = provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&first, &roots, between, now, algorithms).map_err(refused)
}

/// What a server presents in each handshake: its certificate with the CA behind it, and its key.
#[derive(Debug)]
pub struct TlsIdentity {
    presented: RwLock<Arc<CertifiedKey>>,
}

impl TlsIdentity {
    /// Reads certificate, key and CA from PEM files, and checks that the key is the certificate's. Without a CA the
    /// certificate's file is the whole chain.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load(certificate: &Path, key: &Path, ca: Option<&Path>) -> Result<Arc<Self>, TlsError> {
        let presented = RwLock::new(read(certificate, key, ca)?);
        warn_of_readers(key);
        Ok(Arc::new(Self { presented }))
    }

    /// Presents what is in these files from the next handshake on; whether that is another chain than before.
    ///
    /// # Errors
    /// [`TlsError`]; the identity is as it was.
    pub fn replace(&self, certificate: &Path, key: &Path, ca: Option<&Path>) -> Result<bool, TlsError> {
        let new = read(certificate, key, ca)?;
        let mut presented = self.presented.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = presented.cert != new.cert;
        *presented = new;
        drop(presented);
        if is_other {
            warn_of_readers(key);
        }
        Ok(is_other)
    }

    /// The chain that is presented now, the server's own certificate first.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.presented().cert.clone()
    }

    // Nothing can panic while it is written, so a poisoned lock holds a whole identity too.
    fn presented(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.presented.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The configuration of a listener that presents this identity.
    pub(crate) fn server_config(self: Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Versions)?
            .with_no_client_auth()
            .with_cert_resolver(self);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for TlsIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.presented())
    }
}

fn read(certificate: &Path, key: &Path, ca: Option<&Path>) -> Result<Arc<CertifiedKey>, TlsError> {
    let mut chain = certificates(certificate)?;
    if let Some(ca) = ca {
        for authority in certificates(ca)? {
            if !chain.contains(&authority) {
                chain.push(authority);
            }
        }
    }
    let secret = read_key(key)?;
    CertifiedKey::from_der(chain, secret, &provider())
        .map(Arc::new)
        .map_err(|source| TlsError::Unusable { path: certificate.to_owned(), source })
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let _is_readable = check_key_file(path)?;
    let bytes = read_pem(path).map_err(|source| not_a_key(path, source))?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|source| not_a_key(path, source))
}

fn warn_of_readers(key: &Path) {
    if matches!(check_key_file(key), Ok(true)) {
        tracing::warn!(key = %key.display(), "everybody on this computer can read the key and be this server; run `chmod 600` on it");
    }
}

fn not_a_key(path: &Path, source: pem::Error) -> TlsError {
    TlsError::File { what: "a private key", path: path.to_owned(), source }
}

fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertifiedKey as Generated, KeyPair, generate_simple_self_signed};
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, ServerConnection};

    use super::*;

    struct Files {
        folder: tempfile::TempDir,
        certificate: PathBuf,
        key: PathBuf,
    }

    fn files() -> Files {
        let folder = tempfile::tempdir().unwrap();
        let Generated { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (certificate, key) = (folder.path().join("server.crt"), folder.path().join("server.key"));
        fs::write(&certificate, cert.pem()).unwrap();
        fs::write(&key, signing_key.serialize_pem()).unwrap();
        Files { folder, certificate, key }
    }

    /// What a client sees in a handshake that begins now, over buffers in memory.
    fn seen(config: &Arc<ServerConfig>, trusted: &[&Path]) -> Vec<CertificateDer<'static>> {
        let mut roots = RootCertStore::empty();
        for path in trusted {
            roots.add_parsable_certificates(certificates(path).unwrap());
        }
        let client = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = ServerConnection::new(Arc::clone(config)).unwrap();
        while client.is_handshaking() {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            server.read_tls(&mut bytes.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            let mut bytes = Vec::new();
            server.write_tls(&mut bytes).unwrap();
            client.read_tls(&mut bytes.as_slice()).unwrap();
            client.process_new_packets().unwrap();
        }
        client.peer_certificates().unwrap().to_vec()
    }

    #[test]
    fn the_ca_is_presented_once_behind_the_certificate_and_a_chain_needs_none() {
        let (server, ca) = (files(), files());
        let load = |ca| TlsIdentity::load(&server.certificate, &server.key, ca).unwrap().chain();
        let own = certificates(&server.certificate).unwrap();
        assert_eq!(
            load(Some(&ca.certificate)),
            [own.clone(), certificates(&ca.certificate).unwrap()].concat()
        );
        assert_eq!(load(Some(&server.certificate)), own);
        assert_eq!(load(None), own);
    }

    #[test]
    fn a_replaced_identity_is_presented_from_the_next_handshake_on() {
        let (old, new) = (files(), files());
        let identity = TlsIdentity::load(&old.certificate, &old.key, None).unwrap();
        let config = Arc::clone(&identity).server_config().unwrap();
        let trusted: [&Path; 2] = [&old.certificate, &new.certificate];
        assert_eq!(seen(&config, &trusted), certificates(&old.certificate).unwrap());
        assert!(!identity.replace(&old.certificate, &old.key, None).unwrap());
        assert!(identity.replace(&new.certificate, &new.key, None).unwrap());
        assert_eq!(seen(&config, &trusted), certificates(&new.certificate).unwrap());
    }

    #[test]
    fn a_replacement_that_fails_leaves_the_identity_before_in_use() {
        let (old, new) = (files(), files());
        let identity = TlsIdentity::load(&old.certificate, &old.key, None).unwrap();
        let config = Arc::clone(&identity).server_config().unwrap();
        let absent = new.folder.path().join("absent");
        assert!(matches!(identity.replace(&new.certificate, &old.key, None), Err(TlsError::Unusable { .. })));
        assert!(matches!(identity.replace(&absent, &new.key, None), Err(TlsError::File { .. })));
        assert!(matches!(identity.replace(&new.certificate, &absent, None), Err(TlsError::File { .. })));
        assert_eq!(seen(&config, &[&old.certificate]), certificates(&old.certificate).unwrap());
    }

    #[test]
    fn a_key_of_another_certificate_a_file_without_one_and_an_absent_file_are_refused() {
        let server = files();
        let load = || TlsIdentity::load(&server.certificate, &server.key, None);
        fs::write(&server.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        assert!(matches!(load(), Err(TlsError::Unusable { .. })));
        fs::write(&server.certificate, "").unwrap();
        assert!(matches!(load(), Err(TlsError::Count { found: 0, .. })));
        let absent = server.folder.path().join("absent");
        assert!(matches!(certificates(&absent), Err(TlsError::File { .. })));
    }

    #[test]
    fn a_pipe_or_an_endless_file_in_place_of_a_file_is_refused_and_not_waited_for() {
        let server = files();
        let (pipe, endless) = (server.folder.path().join("pipe"), server.folder.path().join("endless"));
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &endless).unwrap();
        let long = server.folder.path().join("long");
        fs::File::create(&long).unwrap().set_len(MAX_PEM_BYTES + 1).unwrap();
        for odd in [&pipe, &endless, &long] {
            let refused = |loaded: Result<_, TlsError>| matches!(loaded, Err(TlsError::File { .. }));
            assert!(refused(certificates(odd).map(drop)), "{}", odd.display());
            assert!(
                refused(TlsIdentity::load(&server.certificate, odd, None).map(drop)),
                "{}",
                odd.display()
            );
            assert!(
                refused(TlsIdentity::load(&server.certificate, &server.key, Some(odd)).map(drop)),
                "{}",
                odd.display()
            );
        }
    }

    #[test]
    fn a_key_that_others_can_write_is_refused_and_one_that_all_can_read_is_known() {
        let server = files();
        let with = |mode| {
            fs::set_permissions(&server.key, fs::Permissions::from_mode(mode)).unwrap();
            let loaded = TlsIdentity::load(&server.certificate, &server.key, None);
            (loaded.is_ok(), check_key_file(&server.key).ok())
        };
        assert_eq!(with(0o600), (true, Some(false)));
        assert_eq!(with(0o640), (true, Some(false)), "a group for those who may read keys is usual");
        assert_eq!(with(0o644), (true, Some(true)));
        for open in [0o666, 0o660, 0o602] {
            assert_eq!(with(open), (false, None), "{open:o}");
        }
    }

    #[test]
    fn texts_that_do_not_belong_together_are_refused_as_files_are() {
        let (one, other) = (files(), files());
        let text = |path: &Path| fs::read(path).unwrap();
        let checked = |chain: &[u8], key: &[u8]| check((&one.certificate, chain), (&one.key, key));
        checked(&text(&one.certificate), &text(&one.key)).unwrap();
        let mixed = checked(&text(&one.certificate), &text(&other.key));
        assert!(matches!(mixed, Err(TlsError::Unusable { .. })), "{mixed:?}");
        assert!(matches!(checked(b"", &text(&one.key)), Err(TlsError::Count { found: 0, .. })));
        let no_key = checked(&text(&one.certificate), b"");
        assert!(matches!(&no_key, Err(TlsError::File { path, .. }) if *path == one.key), "{no_key:?}");
        let many = text(&one.certificate).repeat(MAX_CERTIFICATES + 1);
        assert!(matches!(checked(&many, &text(&one.key)), Err(TlsError::Count { .. })));
    }
}
