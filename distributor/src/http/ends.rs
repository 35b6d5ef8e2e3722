//! Everything that ends, gathered from the rooms that know: for `status` and for the metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_site::queries::{Endings, HeldAlone, Licenses};
use sealpost_site::rows::LicenseRow;
use sealpost_site::rules::ending_serials::{self, Ending};
use sealpost_site::rules::expiries::{Expiry, in_the_ledger};
use sealpost_site::rules::warnings::{Warning, WarningCode};

use super::Site;
use super::problem::ApiError;

/// The list, and why a part of it is missing.
pub(crate) struct Ends {
    /// The soonest stands first.
    pub(crate) expiries: Vec<Expiry>,
    pub(crate) licenses: Vec<LicenseRow>,
    /// That a file is damaged is no reason to leave the others out.
    pub(crate) problems: Vec<Warning>,
}

pub(crate) async fn gather(site: &Arc<Site>, now: Timestamp) -> Result<Ends, ApiError> {
    let ledger = &site.parts.ledger;
    let licenses = ledger.query(Licenses {}).await?;
    let endings = ledger.query(Endings { now }).await?;
    let of_files = Arc::clone(site);
    let (mut expiries, problems) = tokio::task::spawn_blocking(move || in_files(&of_files))
        .await
        .map_err(|error| ApiError::internal("read what ends", &error))?;
    let mut alone = BTreeMap::new();
    for Ending { serial, others } in ending_serials::to_ask(&licenses, now) {
        let row = ledger.query(HeldAlone { serial: serial.clone(), others }).await?;
        alone.insert(serial, row);
    }
    expiries.extend(in_the_ledger(&licenses, &endings, &alone, now));
    expiries.sort_by_key(|expiry| expiry.at);
    Ok(Ends { expiries, licenses, problems })
}

/// What stands in files: certificates, the vendor's roles, admin tokens.
fn in_files(site: &Site) -> (Vec<Expiry>, Vec<Warning>) {
    let mut expiries = site.parts.presence.expiries();
    let mut problems = Vec::new();
    match site.parts.upstream.expiries() {
        Ok(roles) => expiries.extend(roles.iter().map(|role| Expiry::of_role(&role.role, role.at))),
        Err(error) => problems.push(Warning::new(WarningCode::MetadataDamaged, error.to_string())),
    }
    match site.parts.admin_tokens.list() {
        Ok(tokens) => expiries.extend(tokens.iter().filter_map(|(name, token)| {
            Some(Expiry::of_admin_token(name, token.created_at, token.ends_at?))
        })),
        Err(error) => problems.push(Warning::new(WarningCode::Internal, with_causes(&error))),
    }
    (expiries, problems)
}
