//! The server's side of TLS: 1.2 and 1.3, HTTP/1.1, no client certificates.
//!
//! Clients that pin a CA's key look for it in the chain that the server presents, so the CA's certificate is always
//! presented too. The certificate is looked up anew for each handshake, so that a later version can replace it while
//! the server runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Most certificates in a chain file.
const MAX_CERTIFICATES: usize = 16;

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read as PEM.
    #[error("cannot read {what} from {}; restore it from a backup, or make the home anew", path.display())]
    File {
        /// What was expected in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// It holds no certificate, or too many.
    #[error("{} holds {found} certificates; expected 1 to {MAX_CERTIFICATES}", path.display())]
    Count {
        /// The file.
        path: PathBuf,
        /// How many it holds.
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
    /// The cryptography library does not offer the protocol versions.
    #[error("cannot set up TLS 1.2 and 1.3 with the cryptography that this program was built with")]
    Versions(#[source] rustls::Error),
}

/// The certificates of a PEM file.
///
/// # Errors
/// [`TlsError`].
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fail = |source| TlsError::File { what: "certificates", path: path.to_owned(), source };
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(fail)?.collect::<Result<_, _>>().map_err(fail)?;
    if chain.is_empty() || chain.len() > MAX_CERTIFICATES {
        return Err(TlsError::Count { path: path.to_owned(), found: chain.len() });
    }
    Ok(chain)
}

/// What a server presents in each handshake: its certificate with the CA behind it, and its key.
#[derive(Debug)]
pub struct TlsIdentity {
    presented: Arc<CertifiedKey>,
}

impl TlsIdentity {
    /// Reads certificate, key and CA from PEM files, and checks that the key is the certificate's.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load(certificate: &Path, key: &Path, ca: &Path) -> Result<Arc<Self>, TlsError> {
        let mut chain = certificates(certificate)?;
        for authority in certificates(ca)? {
            if !chain.contains(&authority) {
                chain.push(authority);
            }
        }
        let secret = PrivateKeyDer::from_pem_file(key).map_err(|source| TlsError::File {
            what: "a private key",
            path: key.to_owned(),
            source,
        })?;
        let presented = CertifiedKey::from_der(chain, secret, &provider())
            .map_err(|source| TlsError::Unusable { path: certificate.to_owned(), source })?;
        Ok(Arc::new(Self { presented: Arc::new(presented) }))
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
        Some(Arc::clone(&self.presented))
    }
}

fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertifiedKey as Generated, KeyPair, generate_simple_self_signed};

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

    #[test]
    fn the_ca_is_presented_once_behind_the_certificate() {
        let (server, ca) = (files(), files());
        let identity = TlsIdentity::load(&server.certificate, &server.key, &ca.certificate).unwrap();
        let expected =
            [certificates(&server.certificate).unwrap(), certificates(&ca.certificate).unwrap()].concat();
        assert_eq!(identity.presented.cert, expected);
        let identity = TlsIdentity::load(&server.certificate, &server.key, &server.certificate).unwrap();
        assert_eq!(identity.presented.cert.len(), 1);
    }

    #[test]
    fn a_key_of_another_certificate_a_file_without_one_and_an_absent_file_are_refused() {
        let server = files();
        let load = || TlsIdentity::load(&server.certificate, &server.key, &server.certificate);
        fs::write(&server.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        assert!(matches!(load(), Err(TlsError::Unusable { .. })));
        fs::write(&server.certificate, "").unwrap();
        assert!(matches!(load(), Err(TlsError::Count { found: 0, .. })));
        let absent = server.folder.path().join("absent");
        assert!(matches!(certificates(&absent), Err(TlsError::File { .. })));
    }
}
