//! Why a server could not be made, started or stopped.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use sealpost_manifests::document::DocumentError;
use sealpost_manifests::wire::problem::Problem;
use sealpost_serving::tls::TlsError;

use crate::config::{ConfigError, VendorCaError, port_hint};
use crate::home::HomeError;
use crate::http::token_desk::TokenDeskError;
use crate::ledger_marker::MarkerError;
use crate::ports::blobs::BlobError;
use crate::ports::staging::StagingError;
use crate::presence::PresenceError;
use crate::staging::ChildError;
use crate::upstream::UpstreamError;

/// Why a server could not be made, started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot use the ledger")]
    Ledger {
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("cannot read the admin tokens")]
    Tokens(#[from] TokenDeskError),
    #[error(transparent)]
    Marker(#[from] MarkerError),
    #[error("cannot open the stored files")]
    Blobs(#[from] BlobError),
    #[error("cannot open staging")]
    Staging(#[from] StagingError),
    #[error("cannot open the vendor's repository")]
    Upstream(#[from] UpstreamError),
    #[error("cannot set up connections to the vendor; check the system's certificates")]
    Client(#[from] reqwest::Error),
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
    /// The vendor's or the ledger's word about a registration.
    #[error(transparent)]
    Registration(#[from] Problem),
    #[error("cannot certify the key of the log")]
    Certify(#[source] DocumentError),
    #[error("cannot make the delta")]
    Delta(#[from] ChildError),
    #[error("cannot listen on {address}; {hint}")]
    Listen {
        address: String,
        hint: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot use the server's certificate")]
    Presence(#[from] PresenceError),
    #[error(transparent)]
    VendorCa(#[from] VendorCaError),
    #[error("cannot take over the sockets that systemd holds; check the socket unit")]
    Inherited(#[source] io::Error),
    /// This program's own file is gone.
    #[error("cannot find this program's own file, which makes deltas; start the server anew")]
    Program {
        #[source]
        source: io::Error,
    },
}

impl AppError {
    pub(super) fn ledger(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Ledger { source: source.into() }
    }

    /// The admin socket cannot be bound.
    pub(super) fn socket(socket: &Path) -> impl FnOnce(io::Error) -> Self {
        let address = socket.display().to_string();
        move |source| Self::Listen { address, hint: port_hint(&source, None), source }
    }

    /// A TCP port cannot be listened on. Whoever holds it is named.
    pub(super) fn port(address: SocketAddr) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            let hint = port_hint(&source, Some(address));
            Self::Listen { address: address.to_string(), hint, source }
        }
    }
}
