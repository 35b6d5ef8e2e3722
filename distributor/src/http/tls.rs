//! The server's TLS identity: its certificate with the site CA behind it. Clients find the CA whose key they pinned in
//! the presented chain, so the CA is always presented too.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Most certificates in a chain file.
const MAX_CERTIFICATES: usize = 16;

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read as PEM.
    #[error("cannot read {what} from {}; restore it from a backup, or make the home anew", path.display())]
    File {
        /// What was expected in it.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// No certificate in it, or too many.
    #[error("{} holds {found} certificates; expected 1 to {MAX_CERTIFICATES}", path.display())]
    Count {
        /// Which file.
        path: PathBuf,
        /// How many it holds.
        found: usize,
    },
    /// Certificate and key do not fit.
    #[error("cannot use the certificate {} with its key; do they belong together?", path.display())]
    Unusable {
        /// Which certificate.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
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

/// The server's side of TLS: 1.2 and 1.3, HTTP/1.1, no client certificates (clients sign their contacts).
///
/// # Errors
/// [`TlsError`].
pub fn server_config(certificate: &Path, key: &Path, ca: &Path) -> Result<Arc<ServerConfig>, TlsError> {
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
    let unusable = |source| TlsError::Unusable { path: certificate.to_owned(), source };
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
