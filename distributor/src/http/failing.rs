//! Computers that failed in a way which only a person ends: they gave a release up, or two of them use one identity.
//!
//! One look at all computers. Left out on purpose: what each one should do, which `clients show` says.

use std::collections::{BTreeMap, BTreeSet};

use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_site::queries::Clients;
use sealpost_site::rows::ReleaseRow;
use sealpost_site::rules::contact::ClientState;
use sealpost_site::rules::leaving::Named;
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::reports::{ReportEffect, effect};
use sealpost_site::rules::text::counted;
use sealpost_site::rules::warnings::{Warning, WarningCode};

/// Names of computers in one sentence.
const MAX_NAMED: usize = 5;

/// A warning for each approved release that computers gave up, and one for the computers that are refused as copies.
pub(crate) async fn warnings(
    ledger: &Ledger,
    releases: &[ReleaseRow],
    page_size: u32,
) -> Result<Vec<Warning>, LedgerError> {
    let failed = releases.iter().filter(|row| row.state == ReleaseState::Approved && row.failed > 0);
    let mut failed: BTreeMap<Sha256Digest, (&ReleaseRow, Named)> =
        failed.map(|row| (row.manifest, (row, Named::default()))).collect();
    let (mut forked, mut after) = (Named::default(), None);
    loop {
        let page = ledger.query(Clients { after, limit: page_size }).await?;
        let is_last = page.len() < page_size as usize;
        after = page.last().map(|row| row.name.clone());
        for row in &page {
            if row.state == ClientState::Forked {
                forked.add(&row.name);
            }
            for report in &row.last_reports {
                if let Some((_, who)) = failed.get_mut(&report.manifest)
                    && effect(report, &BTreeSet::new()) == ReportEffect::Failure
                {
                    who.add(&row.name);
                }
            }
        }
        if is_last {
            break;
        }
    }
    let mut said: Vec<Warning> = failed.values().filter_map(|(row, who)| gave_up(row, who)).collect();
    said.extend(copied(&forked));
    Ok(said)
}

fn gave_up(row: &ReleaseRow, who: &Named) -> Option<Warning> {
    if who.count == 0 {
        return None;
    }
    let (package, version) = (&row.release.package, &row.release.version);
    let (have, them) = (counted(who.count, "computer has", "computers have"), them(who));
    Some(Warning::new(
        WarningCode::InstallsFailed,
        format!(
            "{have} given up {} ({}): `distributor clients show NAME` says why; when the cause is gone, \
             `distributor updates retry {package}:{version}` lets {them} try again",
            row.release,
            names(&who.names, who.count)
        ),
    ))
}

fn copied(who: &Named) -> Option<Warning> {
    if who.count == 0 {
        return None;
    }
    let is = counted(who.count, "computer is", "computers are");
    Some(Warning::new(
        WarningCode::ClientsForked,
        format!(
            "{is} refused because another one uses the same identity, as a copied disk does ({}): make a new setup file \
             with `distributor clients setup NAME`, and enroll with it the one that is to go on",
            names(&who.names, who.count)
        ),
    ))
}

fn them(who: &Named) -> &'static str {
    if who.count == 1 { "it" } else { "them" }
}

fn names(names: &[ComputerName], count: u64) -> String {
    let first: Vec<&str> = names.iter().take(MAX_NAMED).map(AsRef::as_ref).collect();
    let more = if count > first.len() as u64 { ", …" } else { "" };
    format!("{}{more}", first.join(", "))
}
