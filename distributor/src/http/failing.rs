//! Computers that failed in a way which only a person ends: they gave a release up, or two of them use one identity.
//!
//! Left out on purpose: what each one should do, which `clients show` says.

use sealpost_ledger::{Ledger, LedgerError};
use sealpost_site::queries::Failing;
use sealpost_site::rows::{ComputersRow, ReleaseRow};
use sealpost_site::rules::text::{counted, first_names};
use sealpost_site::rules::warnings::{Warning, WarningCode};

/// A warning for each approved release, out of `releases`, that computers gave up, and one for the computers that are
/// refused as copies.
pub(crate) async fn warnings(ledger: &Ledger, releases: &[ReleaseRow]) -> Result<Vec<Warning>, LedgerError> {
    let failing = ledger.query(Failing {}).await?;
    let row_of = |manifest| releases.iter().find(|row| row.manifest == manifest);
    let gave_up = failing.gave_up.iter().filter_map(|(manifest, who)| Some(gave_up(row_of(*manifest)?, who)));
    let mut said: Vec<Warning> = gave_up.collect();
    said.extend(copied(&failing.forked));
    Ok(said)
}

fn gave_up(row: &ReleaseRow, who: &ComputersRow) -> Warning {
    let (package, version) = (&row.release.package, &row.release.version);
    let (have, them) = (counted(who.count, "computer has", "computers have"), them(who));
    Warning::new(
        WarningCode::InstallsFailed,
        format!(
            "{have} given up {} ({}): `distributor clients show NAME` says why; when the cause is gone, \
             `distributor updates retry {package}:{version}` lets {them} try again",
            row.release,
            first_names(&who.names, who.count)
        ),
    )
}

fn copied(who: &ComputersRow) -> Option<Warning> {
    if who.count == 0 {
        return None;
    }
    let is = counted(who.count, "computer is", "computers are");
    Some(Warning::new(
        WarningCode::ClientsForked,
        format!(
            "{is} refused because another one uses the same identity, as a copied disk does ({}): make a new setup file \
             with `distributor clients setup NAME`, and enroll with it the one that is to go on",
            first_names(&who.names, who.count)
        ),
    ))
}

fn them(who: &ComputersRow) -> &'static str {
    if who.count == 1 { "it" } else { "them" }
}
