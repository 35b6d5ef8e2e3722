//! Gathers what `domain::explain` needs to say one sentence per package of one computer.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::Connection;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ComputerName, PackageName, Platform};
use sealpost_manifests::release::ReleaseId;

use super::queries;
use super::step::CommandError;
use crate::domain::assignment::{Candidate, Target, wanted};
use crate::domain::explain::{Explanation, PackageView, explain};
use crate::domain::release::ReleaseState;
use crate::ports::ledger::{ClientRow, ReleaseRow};

/// One sentence for each package that the computer runs, should run, or could run after a review; none for a name that
/// holds no reservation.
pub(super) fn explain_client(
    connection: &Connection,
    now: Timestamp,
    name: &ComputerName,
) -> Result<Vec<Explanation>, CommandError> {
    let (Some(row), Some((channel, serial))) =
        (queries::client(connection, name)?, queries::reservation(connection, name)?)
    else {
        return Ok(Vec::new());
    };
    let licensed =
        queries::grant_of(connection, &serial)?.map(|grant| grant.grant.packages).unwrap_or_default();
    // A computer that has not enrolled has no platform yet; what runs anywhere is all that is known to fit.
    let platform = row.platform.clone().unwrap_or_else(Platform::any);
    let target =
        Target { channel: &channel, platform: &platform, licensed: &licensed, installed: &row.installed };
    let staged: Vec<Candidate> = queries::releases(connection)?
        .iter()
        .filter(|row| row.state == ReleaseState::Staged)
        .map(candidate)
        .collect();
    let (should, could) = (wanted(&queries::candidates(connection)?, &target), wanted(&staged, &target));

    let mut packages: BTreeSet<&PackageName> = BTreeSet::new();
    packages.extend(row.installed.iter().map(|installed| &installed.release.package));
    packages.extend(row.assigned.iter().map(|(release, _)| &release.package));
    packages.extend(should.iter().chain(&could).map(|candidate| &candidate.release.package));
    Ok(packages.into_iter().map(|package| explain(&view(&row, package, &should, &could), now)).collect())
}

fn candidate(row: &ReleaseRow) -> Candidate {
    Candidate {
        release: row.release.clone(),
        manifest: row.manifest,
        counter: row.counter,
        channels: row.channels.clone(),
        rollout: 0,
    }
}

fn view<'a>(
    row: &'a ClientRow,
    package: &'a PackageName,
    should: &'a [Candidate],
    could: &'a [Candidate],
) -> PackageView<'a> {
    let of = |candidates: &'a [Candidate]| -> Option<(&'a ReleaseId, Sha256Digest)> {
        let found = candidates.iter().find(|candidate| candidate.release.package == *package);
        found.map(|candidate| (&candidate.release, candidate.manifest))
    };
    let installed = row.installed.iter().find(|installed| installed.release.package == *package);
    PackageView {
        name: &row.name,
        state: row.state,
        last_contact: row.last_contact,
        lease_until: row.lease_until,
        package,
        runs: installed.map(|installed| (&installed.release.version, installed.manifest)),
        assigned: row
            .assigned
            .iter()
            .find(|(release, _)| release.package == *package)
            .map(|(release, manifest)| (release, *manifest)),
        wanted: of(should),
        waits_for_review: of(could).map(|(release, _)| release),
        last_report: row.last_reports.iter().find(|report| report.release.package == *package),
    }
}
