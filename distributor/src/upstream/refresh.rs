//! The refresh of the vendor's metadata, and the time as of which it is fresh.
//!
//! That time is license time, so that a clock which is set back makes no old metadata fresh. But license time may rest on
//! a statement that the vendor made by a clock which was ahead, and metadata that says so ends long before that time. So
//! what is refused as expired gets a second look while license time is ahead of this computer's clock: it is judged by
//! the time that holds once it is the vendor's newest statement. Metadata of an earlier version is no statement, and
//! metadata that was signed later than the newest one lowers nothing. Nor does any, once this clock itself went past the
//! newest statement: then it was set back since, and somebody may have kept old metadata for that.

use jiff::Timestamp;
use sealpost_ledger::Ledger;
use sealpost_manifests::license_time::{LicenseFloor, VendorStatement};
use sealpost_repository::{ReaderHandle, RefreshError, Refreshed, Refusal};
use sealpost_site::queries::{LastPull, LicenseTime, Licenses};
use sealpost_site::rules::vendor_time::{GrantedTimes, last_end, with_metadata};

use super::context::Context;
use super::error::PullError;

/// Metadata that was refreshed and found fresh.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) refreshed: Refreshed,
    /// The time as of which it is fresh.
    pub(super) as_of: Timestamp,
    /// The same, where it is earlier than license time was.
    pub(super) corrected_to: Option<Timestamp>,
}

/// The refreshed metadata, and the time as of which it was found fresh.
pub(super) async fn refresh(context: &Context, reader: &ReaderHandle) -> Result<Fresh, PullError> {
    let now = context.clock.now();
    let refused = match reader.refresh(now).await {
        Ok(refreshed) => return Ok(Fresh { refreshed, as_of: now, corrected_to: None }),
        Err(error) => error,
    };
    let local = context.clock.local();
    if refused.refusal() != Some(Refusal::Expired) || local >= now {
        return Err(PullError::Refresh { source: refused });
    }
    match corrected(context, reader, local).await? {
        Some((refreshed, corrected)) => {
            tracing::warn!(
                before = %now,
                now = %corrected,
                "the vendor's newest statement says that its clock was ahead; license time goes back"
            );
            Ok(Fresh { refreshed, as_of: corrected, corrected_to: Some(corrected) })
        }
        None => Err(PullError::Refresh { source: refused }),
    }
}

/// The metadata as of the time that it brings about itself, if it is fresh then.
async fn corrected(
    context: &Context,
    reader: &ReaderHandle,
    local: Timestamp,
) -> Result<Option<(Refreshed, Timestamp)>, PullError> {
    let refreshed = match reader.refresh(local).await {
        Ok(refreshed) => refreshed,
        Err(RefreshError::Store { source }) => {
            return Err(PullError::Refresh { source: RefreshError::Store { source } });
        }
        Err(_) => return Ok(None),
    };
    let Some(signed_at) = refreshed.signed_at else { return Ok(None) };
    let ledger = &*context.ledger;
    let before = ledger.query(LastPull {}).await?.timestamp_version;
    if before.is_some_and(|before| refreshed.timestamp_version <= before) {
        return Ok(None);
    }
    let noted = ledger.query(LicenseTime {}).await?;
    let floor = LicenseFloor::from_stored(noted.floor.unwrap_or(local), noted.statement);
    let newest = statement(ledger, signed_at, refreshed.expires).await?;
    let Some(floor) = floor.corrected_by(newest) else { return Ok(None) };
    let corrected = floor.license_time(local);
    let is_fresh = corrected <= refreshed.expires.min(refreshed.root_expires);
    Ok(is_fresh.then_some((refreshed, corrected)))
}

/// What the vendor says of the time with this metadata, and with the grants that are held.
pub(super) async fn statement(
    ledger: &Ledger,
    signed_at: Timestamp,
    expires: Timestamp,
) -> Result<VendorStatement, PullError> {
    let licenses = ledger.query(Licenses {}).await?;
    let granted = licenses.into_iter().map(|license| GrantedTimes {
        serial: license.serial,
        signed_at: license.granted_at,
        ends: last_end(license.not_after, license.ends_at),
    });
    Ok(with_metadata(VendorStatement::new(signed_at, expires), &granted.collect::<Vec<_>>()))
}
