//! What a computer may have written to the log, and how often it may be enrolled by the same.
//!
//! Invariant: of two computers that use one identity neither uses up what the other one needs to go on. Asked only after what
//! counts was proven, and the ledger is asked only where a budget is used up.

use axum::http::StatusCode;
use jiff::Timestamp;
use sealpost_manifests::ids::{ClientId, Nonce};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::queries::CopiesOf;
use sealpost_site::rules::copies::shows;

use super::name_of;
use crate::http::Site;
use crate::http::limits::{EnrollsBy, Spender};
use crate::http::problem::ApiError;

/// Takes what a contact with these nonces may have written from the budget of its client; where that is used up and two computers
/// use the identity, from that of the one that it comes from. A contact of neither has none beside that of the client.
pub(super) async fn contact(
    site: &Site,
    client_id: &ClientId,
    (previous, next): (Option<&Nonce>, &Nonce),
    cost: u32,
    now: Timestamp,
) -> Result<(), ApiError> {
    let Err(wait) = site.contact_budgets.spend(&Spender::Client(client_id.clone()), cost, now) else {
        return Ok(());
    };
    let row = match name_of(site, client_id).await {
        Some(name) => site.parts.ledger.query(CopiesOf { name }).await?,
        None => None,
    };
    let row = row.filter(|row| row.client_id == *client_id && row.forked);
    let branches = row.into_iter().flat_map(|row| row.copies).map(|copy| copy.branch);
    let Some(branch) = branches.into_iter().find(|branch| shows(branch, previous, next)) else {
        return Err(too_often(wait));
    };
    site.contact_budgets.spend(&Spender::Copy(client_id.clone(), branch), cost, now).map_err(too_often)
}

/// Takes an enrollment from what may still be enrolled by the same.
pub(super) fn enroll(site: &Site, by: &EnrollsBy, now: Timestamp) -> Result<(), ApiError> {
    let why = "this computer enrolls far too often";
    site.enrollment_budgets.spend(by, 1, now).map_err(|wait| busy(why, wait))
}

fn too_often(wait_secs: i64) -> ApiError {
    busy("this computer contacts and reports far too often", wait_secs)
}

fn busy(why: &'static str, wait_secs: i64) -> ApiError {
    let next = format!("try again in {wait_secs} seconds; look what makes its agent do so");
    ApiError::new(ProblemCode::Busy, why, next).with_status(StatusCode::TOO_MANY_REQUESTS)
}
