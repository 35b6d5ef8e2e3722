//! Releases: with their counts for people, without them for rules.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, PackageName};
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::version::ReleaseCounter;
use sealpost_site::changes::Approval;
use sealpost_site::queries::{
    ApprovedReleases, DeltaReleases, HeldReleases, KnownReleaseOf, KnownReleases, ReleaseByManifest,
    ReleaseCounts, Releases, Revisions, Untested, VoidedReleases, page_limit,
};
use sealpost_site::rows::{DecidedBy, DeltaReleaseRow, DeltaRow, ReleaseRow, RevisionRow};
use sealpost_site::rules::held::HeldRelease;
use sealpost_site::rules::release::{KnownRelease, ReleaseState};
use sealpost_site::rules::test_load::TestLoad;

use crate::sqlite::connection::Connected;
use crate::sqlite::values::{
    count, from_json, from_word, optional_count, optional_from_json, optional_text, optional_time, text, time,
};
use crate::store::{Read, StoreError};

// ── with counts ──

const RELEASE_COLUMNS: &str = "SELECT package, version, platform, manifest, kind, counter, severity, state, channels, \
     signer, payload_bytes, staged_at, decided_at, decided_by, reason, rollout, voided, approval, \
     (SELECT count(*) FROM assigned a WHERE a.manifest = r.manifest), \
     (SELECT count(*) FROM installed i WHERE i.manifest = r.manifest), \
     (SELECT count(*) FROM last_reports l WHERE l.manifest = r.manifest AND l.failed = 1), rollback, attempt, \
     t.outcome, t.program, t.detail, t.at, t.by \
     FROM releases r LEFT JOIN test_loads t USING (manifest)";

impl<C: Connected> Read<Releases> for C {
    fn read(&mut self, query: &Releases) -> Result<Vec<ReleaseRow>, StoreError> {
        let connection = self.connection();
        let after = match &query.after {
            Some(manifest) => match place(connection, manifest)? {
                Some(place) => Some(place),
                // It is gone, and with it the place in the list.
                None => return Ok(Vec::new()),
            },
            None => None,
        };
        let mut statement = connection.prepare_cached(&format!(
            "{RELEASE_COLUMNS} WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR (package >= ?2 AND \
             (package > ?2 OR counter < ?3 OR (counter = ?3 AND (platform, manifest) > (?4, ?5))))) \
             ORDER BY package, counter DESC, platform, manifest LIMIT ?6"
        ))?;
        let (package, counter, platform) = after
            .map_or((None, None, None), |(package, counter, platform)| {
                (Some(package), Some(counter), Some(platform))
            });
        let rows = statement.query_map(
            params![
                query.state.map(ReleaseState::as_str),
                package,
                counter,
                platform,
                query.after.map(|manifest| manifest.to_string()),
                page_limit(Some(query.limit))
            ],
            bare_release,
        )?;
        let rows = rows.map(|row| with_deltas(connection, row?)).collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }
}

/// Where a release stands in the list.
fn place(
    connection: &Connection,
    manifest: &Sha256Digest,
) -> rusqlite::Result<Option<(String, i64, String)>> {
    connection
        .prepare_cached("SELECT package, counter, platform FROM releases WHERE manifest = ?1")?
        .query_row([manifest.to_string()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
}

impl<C: Connected> Read<ReleaseByManifest> for C {
    fn read(&mut self, query: &ReleaseByManifest) -> Result<Option<ReleaseRow>, StoreError> {
        let connection = self.connection();
        let row = connection
            .prepare_cached(&format!("{RELEASE_COLUMNS} WHERE manifest = ?1"))?
            .query_row([query.manifest.to_string()], bare_release)
            .optional()?;
        Ok(row.map(|row| with_deltas(connection, row)).transpose()?)
    }
}

fn bare_release(row: &Row<'_>) -> rusqlite::Result<ReleaseRow> {
    let approval: Option<Approval> = optional_from_json(row, 17)?;
    let approved_for = approval.as_ref().map(|approval| approval.channels.clone()).unwrap_or_default();
    let comment = approval.map(|approval| approval.comment).filter(|comment| !comment.is_empty());
    let decided = match (optional_time(row, 12)?, optional_from_json(row, 13)?) {
        (Some(at), Some(actor)) => Some(DecidedBy { at, actor, comment }),
        _ => None,
    };
    Ok(ReleaseRow {
        release: release_id(row, 0)?,
        manifest: text(row, 3)?,
        kind: from_word(row, 4)?,
        counter: ReleaseCounter(count(row, 5)?),
        severity: from_word(row, 6)?,
        state: from_word(row, 7)?,
        channels: from_json(row, 8)?,
        approved_for,
        rollback: row.get(21)?,
        attempt: row.get(22)?,
        signer: optional_text(row, 9)?,
        payload_bytes: count(row, 10)?,
        staged_at: time(row, 11)?,
        decided,
        reason: row.get(14)?,
        rollout: optional_count(row, 15)?,
        voided: row.get(16)?,
        assigned: count(row, 18)?,
        installed: count(row, 19)?,
        failed: count(row, 20)?,
        test_load: optional_test_load(row, 23)?,
        deltas: Vec::new(),
    })
}

fn with_deltas(connection: &Connection, mut row: ReleaseRow) -> rusqlite::Result<ReleaseRow> {
    row.deltas = deltas(connection, &row.manifest)?;
    Ok(row)
}

fn deltas(connection: &Connection, target: &Sha256Digest) -> rusqlite::Result<Vec<DeltaRow>> {
    connection
        .prepare_cached("SELECT base, bytes FROM deltas WHERE target = ?1 ORDER BY base")?
        .query_map([target.to_string()], |row| Ok(DeltaRow { base: text(row, 0)?, bytes: count(row, 1)? }))?
        .collect()
}

impl<C: Connected> Read<ReleaseCounts> for C {
    fn read(&mut self, _: &ReleaseCounts) -> Result<Vec<(ReleaseState, u64)>, StoreError> {
        let counts = self
            .connection()
            .prepare_cached("SELECT state, count(*) FROM releases GROUP BY state ORDER BY state")?
            .query_map([], |row| Ok((from_word(row, 0)?, count(row, 1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(counts)
    }
}

// ── without counts ──

/// The columns of [`known`], in its order.
macro_rules! known_releases {
    ($rest:literal) => {
        concat!(
            "SELECT package, version, platform, manifest, state, counter, channels, rollout, signer, reason, \
             coalesce(json_extract(approval, '$.channels'), '[]'), rollback, attempt, kind, severity, mandatory, \
             rolling_out FROM releases ",
            $rest
        )
    };
}

fn known(row: &Row<'_>) -> rusqlite::Result<KnownRelease> {
    Ok(KnownRelease {
        release: release_id(row, 0)?,
        manifest: text(row, 3)?,
        state: from_word(row, 4)?,
        counter: ReleaseCounter(count(row, 5)?),
        channels: from_json(row, 6)?,
        rollout: optional_count(row, 7)?,
        signer: optional_text(row, 8)?,
        reason: row.get(9)?,
        approved_for: from_json(row, 10)?,
        rollback: row.get(11)?,
        attempt: row.get(12)?,
        kind: from_word(row, 13)?,
        severity: from_word(row, 14)?,
        mandatory: row.get(15)?,
        rolling_out: optional_from_json(row, 16)?.unwrap_or_default(),
    })
}

/// Package, version and platform, from `column` on.
pub(in crate::sqlite) fn release_id(row: &Row<'_>, column: usize) -> rusqlite::Result<ReleaseId> {
    Ok(ReleaseId {
        package: text(row, column)?,
        version: text(row, column + 1)?,
        platform: text(row, column + 2)?,
    })
}

impl<C: Connected> Read<KnownReleases> for C {
    fn read(&mut self, query: &KnownReleases) -> Result<Vec<KnownRelease>, StoreError> {
        let rows = self
            .connection()
            .prepare_cached(known_releases!("WHERE manifest > ?1 ORDER BY manifest LIMIT ?2"))?
            .query_map(
                params![
                    query.after.map(|manifest| manifest.to_string()).unwrap_or_default(),
                    page_limit(Some(query.limit))
                ],
                known,
            )?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }
}

impl<C: Connected> Read<Revisions> for C {
    fn read(&mut self, query: &Revisions) -> Result<Vec<RevisionRow>, StoreError> {
        let mut statement = self.connection().prepare_cached(
            "SELECT manifest, package, staged_at FROM releases WHERE kind = 'signatures' AND manifest > ?1 \
             ORDER BY manifest LIMIT ?2",
        )?;
        let after = query.after.map(|manifest| manifest.to_string()).unwrap_or_default();
        let rows = statement.query_map(params![after, page_limit(Some(query.limit))], |row| {
            Ok(RevisionRow { manifest: text(row, 0)?, package: text(row, 1)?, staged_at: time(row, 2)? })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl<C: Connected> Read<HeldReleases> for C {
    fn read(&mut self, query: &HeldReleases) -> Result<Vec<HeldRelease>, StoreError> {
        let mut statement = self.connection().prepare_cached(
            "SELECT r.package, r.version, r.platform, r.manifest, t.outcome, t.program, t.detail, t.at, t.by \
             FROM test_loads t JOIN releases r ON r.manifest = t.manifest \
             WHERE t.manifest > ?1 AND r.state = 'staged' AND t.outcome IN ('failed', 'timed_out', 'not_run') \
             ORDER BY t.manifest LIMIT ?2",
        )?;
        let after = query.after.map(|manifest| manifest.to_string()).unwrap_or_default();
        let rows = statement.query_map(params![after, page_limit(Some(query.limit))], |row| {
            let (package, version, platform) = (text(row, 0)?, text(row, 1)?, text(row, 2)?);
            Ok(HeldRelease {
                release: ReleaseId { package, version, platform },
                manifest: text(row, 3)?,
                test: test_load(row, 4)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl<C: Connected> Read<Untested> for C {
    fn read(&mut self, query: &Untested) -> Result<Vec<KnownRelease>, StoreError> {
        let rows = self
            .connection()
            .prepare_cached(known_releases!(
                "WHERE package = ?1 AND state = 'staged' AND manifest NOT IN (SELECT manifest FROM test_loads \
                 WHERE outcome = 'overridden' OR (program = ?2 AND outcome <> 'not_run')) \
                 ORDER BY counter, manifest LIMIT ?3"
            ))?
            .query_map(
                params![query.package.as_str(), query.program.to_string(), page_limit(Some(query.limit))],
                known,
            )?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }
}

/// The newest test-load of a release.
pub(in crate::sqlite) fn test_load_of(
    connection: &Connection,
    manifest: &Sha256Digest,
) -> rusqlite::Result<Option<TestLoad>> {
    connection
        .prepare_cached("SELECT outcome, program, detail, at, by FROM test_loads WHERE manifest = ?1")?
        .query_row([manifest.to_string()], |row| test_load(row, 0))
        .optional()
}

/// Test-loads of staged releases that did not pass, by manifest.
pub(in crate::sqlite) fn held_tests(
    connection: &Connection,
) -> rusqlite::Result<BTreeMap<Sha256Digest, TestLoad>> {
    let mut statement = connection.prepare_cached(
        "SELECT t.outcome, t.program, t.detail, t.at, t.by, t.manifest FROM test_loads t JOIN releases r ON r.manifest = t.manifest \
         WHERE r.state = 'staged' AND t.outcome IN ('failed', 'timed_out', 'not_run')",
    )?;
    statement.query_map([], |row| Ok((text(row, 5)?, test_load(row, 0)?)))?.collect()
}

/// The columns `outcome, program, detail, at, by` from one on.
fn test_load(row: &Row<'_>, column: usize) -> rusqlite::Result<TestLoad> {
    Ok(TestLoad {
        outcome: from_word(row, column)?,
        program: optional_text(row, column + 1)?,
        detail: row.get(column + 2)?,
        at: time(row, column + 3)?,
        by: from_json(row, column + 4)?,
    })
}

/// The same of a row that may have none.
fn optional_test_load(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<TestLoad>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => test_load(row, column).map(Some),
    }
}

impl<C: Connected> Read<KnownReleaseOf> for C {
    fn read(&mut self, query: &KnownReleaseOf) -> Result<Option<KnownRelease>, StoreError> {
        Ok(known_release(self.connection(), &query.manifest)?)
    }
}

impl<C: Connected> Read<DeltaReleases> for C {
    fn read(&mut self, query: &DeltaReleases) -> Result<Vec<DeltaReleaseRow>, StoreError> {
        let connection = self.connection();
        let rows = connection
            .prepare_cached(
                "SELECT package, version, platform, manifest, state, counter, channels, rollout, signer, reason, \
                 coalesce(json_extract(approval, '$.channels'), '[]'), rollback, attempt, kind, severity, mandatory, rolling_out, told OR runs, told, payload_bytes FROM (SELECT *, \
                 EXISTS (SELECT 1 FROM assigned a WHERE a.manifest = r.manifest) AS told, \
                 EXISTS (SELECT 1 FROM installed i WHERE i.manifest = r.manifest) AS runs FROM releases r) \
                 WHERE manifest > ?1 AND (told OR runs OR state IN ('staged', 'approved')) ORDER BY manifest LIMIT ?2",
            )?
            .query_map(
                params![query.after.map(|manifest| manifest.to_string()).unwrap_or_default(), page_limit(Some(query.limit))],
                |row| {
                    Ok(DeltaReleaseRow {
                        release: known(row)?,
                        in_use: row.get(17)?,
                        told: row.get(18)?,
                        payload_bytes: count(row, 19)?,
                        bases: Vec::new(),
                    })
                },
            )?
            .map(|row| {
                let row: DeltaReleaseRow = row?;
                let bases = deltas(connection, &row.release.manifest)?.into_iter().map(|delta| delta.base);
                Ok(DeltaReleaseRow { bases: bases.collect(), ..row })
            })
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }
}

impl<C: Connected> Read<ApprovedReleases> for C {
    fn read(&mut self, _: &ApprovedReleases) -> Result<Vec<KnownRelease>, StoreError> {
        approved(self.connection())
    }
}

/// Every release that goes to clients, from an index of only these, which gives them in order. It
/// is named because the planner would take the index of all states, and sort.
pub(in crate::sqlite) fn approved(connection: &Connection) -> Result<Vec<KnownRelease>, StoreError> {
    let found = connection
        .prepare_cached(known_releases!(
            "INDEXED BY releases_approved WHERE state = 'approved' ORDER BY package, counter, manifest"
        ))?
        .query_map([], known)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

/// Every release that waits for a review.
pub(in crate::sqlite) fn staged(connection: &Connection) -> rusqlite::Result<Vec<KnownRelease>> {
    connection
        .prepare_cached(known_releases!("WHERE state = 'staged' ORDER BY manifest"))?
        .query_map([], known)?
        .collect()
}

/// Approved and superseded releases of a package.
pub(in crate::sqlite) fn approved_of(
    connection: &Connection,
    package: &PackageName,
) -> rusqlite::Result<Vec<KnownRelease>> {
    connection
        .prepare_cached(known_releases!(
            "WHERE package = ?1 AND state IN ('approved', 'superseded') ORDER BY counter, manifest"
        ))?
        .query_map([package.as_str()], known)?
        .collect()
}

/// Superseded releases, of one package or of all: what a pin or a block may bring back.
pub(in crate::sqlite) fn replaced_of(
    connection: &Connection,
    package: Option<&PackageName>,
) -> rusqlite::Result<Vec<KnownRelease>> {
    connection
        .prepare_cached(known_releases!(
            "WHERE state = 'superseded' AND (?1 IS NULL OR package = ?1) ORDER BY counter DESC, manifest LIMIT 1000"
        ))?
        .query_map([package.map(PackageName::as_str)], known)?
        .collect()
}

/// Releases through which computers pass on their way to newer ones.
pub(in crate::sqlite) fn waypoints(connection: &Connection) -> rusqlite::Result<Vec<KnownRelease>> {
    connection
        .prepare_cached(known_releases!(
            "INDEXED BY releases_mandatory WHERE mandatory = 1 AND state NOT IN ('withdrawn', 'refused') ORDER BY manifest"
        ))?
        .query_map([], known)?
        .collect()
}

/// Releases of a package that passed staging, whatever became of them.
pub(in crate::sqlite) fn accepted_of(
    connection: &Connection,
    package: &PackageName,
) -> rusqlite::Result<Vec<KnownRelease>> {
    connection
        .prepare_cached(known_releases!(
            "WHERE package = ?1 AND state <> 'refused' ORDER BY counter, manifest"
        ))?
        .query_map([package.as_str()], known)?
        .collect()
}

/// Manifests of releases above a counter that the vendor reset.
pub(in crate::sqlite) fn voided(connection: &Connection) -> rusqlite::Result<BTreeSet<Sha256Digest>> {
    connection
        .prepare_cached("SELECT manifest FROM releases WHERE voided = 1")?
        .query_map([], |row| text(row, 0))?
        .collect()
}

impl<C: Connected> Read<VoidedReleases> for C {
    fn read(&mut self, _: &VoidedReleases) -> Result<BTreeSet<Sha256Digest>, StoreError> {
        Ok(voided(self.connection())?)
    }
}

/// One by its manifest.
pub(in crate::sqlite) fn known_release(
    connection: &Connection,
    manifest: &Sha256Digest,
) -> rusqlite::Result<Option<KnownRelease>> {
    connection
        .prepare_cached(known_releases!("WHERE manifest = ?1"))?
        .query_row([manifest.to_string()], known)
        .optional()
}

/// The manifest of a release that stands under this id and was not refused.
pub(in crate::sqlite) fn manifest_of(
    connection: &Connection,
    release: &ReleaseId,
) -> rusqlite::Result<Option<Sha256Digest>> {
    connection
        .prepare_cached(
            "SELECT manifest FROM releases WHERE package = ?1 AND version = ?2 AND platform = ?3 AND state <> 'refused'",
        )?
        .query_row(
            [release.package.as_str(), release.version.as_str(), release.platform.as_str()],
            |row| text(row, 0),
        )
        .optional()
}

/// The channels that releases are known of.
pub(in crate::sqlite) fn known_channels(connection: &Connection) -> rusqlite::Result<BTreeSet<ChannelName>> {
    connection
        .prepare_cached("SELECT DISTINCT j.value FROM releases r, json_each(r.channels) j")?
        .query_map([], |row| text(row, 0))?
        .collect()
}

/// The highest attempt that a retry of a release gave a computer. Only retries are in the table, so it is short.
pub(in crate::sqlite) fn highest_attempt(
    connection: &Connection,
    manifest: &Sha256Digest,
) -> rusqlite::Result<u32> {
    connection
        .prepare_cached("SELECT coalesce(max(attempt), 0) FROM attempts WHERE manifest = ?1")?
        .query_row([manifest.to_string()], |row| row.get(0))
}

/// The number of the next rollout.
pub(in crate::sqlite) fn next_rollout(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(
            "SELECT max(coalesce((SELECT max(rollout) FROM releases WHERE rollout IS NOT NULL), 0), \
             coalesce((SELECT max(number) FROM rollouts), 0)) + 1",
        )?
        .query_row([], |row| count(row, 0))
}
