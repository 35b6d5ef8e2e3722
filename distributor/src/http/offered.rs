//! What the vendor offers now, for the handlers of admins.

use std::sync::Arc;

use sealpost_manifests::channels::ChannelsDocument;

use super::Site;
use super::problem::ApiError;

/// The channels of every package as of the last good pull; `None` if that is not known.
pub(crate) async fn offered(site: &Site) -> Result<Option<Vec<ChannelsDocument>>, ApiError> {
    let upstream = Arc::clone(&site.parts.upstream);
    let offered = tokio::task::spawn_blocking(move || upstream.offered()).await;
    offered.map_err(|error| ApiError::internal("read the vendor's channels", &error))
}
