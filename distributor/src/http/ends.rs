//! Everything that ends, gathered from the rooms that know: for `status` and for the metrics.

use std::sync::Arc;

use jiff::Timestamp;
use sealpost_site::queries::{Endings, Licenses};
use sealpost_site::rows::LicenseRow;
use sealpost_site::rules::expiries::{Expiry, in_the_ledger};

use super::Site;
use super::problem::ApiError;

/// The list, and why a part of it is missing.
pub(crate) struct Ends {
    pub(crate) expiries: Vec<Expiry>,
    pub(crate) licenses: Vec<LicenseRow>,
    /// That the mirrored metadata is damaged is no reason to leave the others out.
    pub(crate) problem: Option<String>,
}

pub(crate) async fn gather(site: &Arc<Site>, now: Timestamp) -> Result<Ends, ApiError> {
    let ledger = &site.parts.ledger;
    let licenses = ledger.query(Licenses {}).await?;
    let endings = ledger.query(Endings { now }).await?;
    let mut expiries = site.parts.presence.expiries();
    let upstream = Arc::clone(&site.parts.upstream);
    let roles = tokio::task::spawn_blocking(move || upstream.expiries())
        .await
        .map_err(|error| ApiError::internal("read its metadata", &error))?;
    let problem = match roles {
        Ok(roles) => {
            expiries.extend(roles.iter().map(|role| Expiry::of_role(&role.role, role.at)));
            None
        }
        Err(error) => Some(error.to_string()),
    };
    expiries.extend(in_the_ledger(&licenses, &endings));
    expiries.sort_by_key(|expiry| expiry.at);
    Ok(Ends { expiries, licenses, problem })
}
