//! Why the server's certificate cannot be renewed or replaced.

use std::io;
use std::path::PathBuf;

use sealpost_serving::tls::TlsError;

use crate::home::{CertificateError, HomeError};

/// Why the server's certificate cannot be renewed or replaced. What is presented stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot write {}; check disk space and permissions", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "the site CA's key and certificate in the home's tls folder do not belong together; restore both from a backup"
    )]
    OtherCa,
    /// The admin's own certificate.
    #[error("cannot use tls.certificate {}: {problem}", path.display())]
    Own { path: PathBuf, problem: String },
    #[error("a thread of the server ended before its work; the log says why")]
    Ended,
}
