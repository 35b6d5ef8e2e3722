//! The connection to the vendor's files: `<vendor_url>/metadata/` and `<vendor_url>/targets/`.
//!
//! TLS as the system trusts it. Plain http is safe too, because everything that is fetched is verified against signed
//! metadata. Redirects are not followed.

use std::sync::Arc;
use std::time::Duration;

use sealpost_repository::{HttpTransport, Transport};

use super::error::UpstreamError;

/// Upper bound on connecting to the vendor's server.
const CONNECT_TIME: Duration = Duration::from_secs(30);

/// The transport for the vendor's server at this address.
///
/// # Errors
/// [`UpstreamError`] if the address cannot be used.
pub fn vendor_transport(vendor_url: &str) -> Result<Arc<dyn Transport>, UpstreamError> {
    // An error says that a provider is installed already. It is this one, since the program has no other.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder()
        .user_agent(concat!("sealpost-distributor/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIME)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|source| UpstreamError::Client { source })?;
    let base = vendor_url.trim_end_matches('/');
    let transport = HttpTransport::new(client, &format!("{base}/metadata"), &format!("{base}/targets"))
        .map_err(|source| UpstreamError::Address { url: base.to_owned(), source })?;
    Ok(Arc::new(transport))
}
