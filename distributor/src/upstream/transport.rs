//! The connection to the vendor's files: `<vendor_url>/metadata/` and `<vendor_url>/targets/`.
//!
//! A slow server is waited for, one that only pretends to send is not: see [`Pace`]. Redirects are not followed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sealpost_repository::{HttpTransport, Pace, PacedTransport, Transport};

use super::error::UpstreamError;
use crate::config::vendor_client;

/// Upper bound on connecting to the vendor's server.
const CONNECT_TIME: Duration = Duration::from_secs(30);

/// The transport for the vendor's server at this address, which is checked with `vendor_ca` besides the CAs that the
/// system trusts.
///
/// # Errors
/// [`UpstreamError`] if the address or the CA cannot be used.
pub fn vendor_transport(
    vendor_url: &str,
    vendor_ca: Option<&Path>,
    pace: &Arc<Pace>,
) -> Result<Arc<dyn Transport>, UpstreamError> {
    let client = vendor_client(vendor_url, vendor_ca)
        .map_err(|source| UpstreamError::VendorCa { source })?
        .connect_timeout(CONNECT_TIME)
        .build()
        .map_err(|source| UpstreamError::Client { source })?;
    let base = vendor_url.trim_end_matches('/');
    let transport = HttpTransport::new(client, &format!("{base}/metadata"), &format!("{base}/targets"))
        .map_err(|source| UpstreamError::Address { url: base.to_owned(), source })?;
    Ok(Arc::new(PacedTransport::new(transport, Arc::clone(pace))))
}
