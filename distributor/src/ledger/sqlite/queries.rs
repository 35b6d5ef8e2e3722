//! Reading the tables: what commands decide from, and what the port answers.
//!
//! Every list is bounded here. Left out on purpose: any write.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, SignedDocument};
use sealpost_manifests::grant::{Grant, LicenseModel};
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName, PackageName, Platform, SerialNumber};
use sealpost_manifests::release::{PackageKind, ReleaseId};
use sealpost_manifests::version::{DisplayVersion, ReleaseCounter, Revision};
use sealpost_manifests::wire::contact::InstalledPackage;

use super::step::CommandError;
use super::values::{
    count, from_json, from_word, integer, optional_count, optional_from_json, optional_text, optional_time,
    text, time,
};
use crate::domain::assignment::Candidate;
use crate::domain::enrollment::{IssuedSetup, Standing};
use crate::domain::release::{ApprovedRelease, ReleaseState};
use crate::domain::seats::GrantedSeats;
use crate::ports::ledger::{ClientRow, ClientState, LicenseRow, PullRow, ReleaseRow};

/// Most rows of one page.
pub(super) const MAX_PAGE: u32 = 1_000;
/// Most releases in one answer: far more than a site keeps.
const MAX_RELEASES: i64 = 10_000;

// ── licensing ──

/// Every grant with its seats, in the order in which the serial numbers came.
pub(super) fn granted_seats(connection: &Connection) -> rusqlite::Result<Vec<GrantedSeats>> {
    let mut statement = connection.prepare_cached(
        "SELECT serial, seats, valid_until, (SELECT count(*) FROM reservations r WHERE r.serial = g.serial) \
         FROM grants g ORDER BY accepted_sequence",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(GrantedSeats {
            serial: text(row, 0)?,
            seats: row.get(1)?,
            valid_until: time(row, 2)?,
            used: row.get(3)?,
        })
    })?;
    rows.collect()
}

/// Every grant with its counts.
pub(super) fn licenses(connection: &Connection) -> rusqlite::Result<Vec<LicenseRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT serial, seats, model, generation, valid_until, \
         (SELECT count(*) FROM reservations r WHERE r.serial = g.serial), \
         (SELECT count(*) FROM reservations r JOIN clients c ON c.name = r.name WHERE r.serial = g.serial) \
         FROM grants g ORDER BY serial",
    )?;
    let rows = statement.query_map([], |row| {
        let (used, active): (u32, u32) = (row.get(5)?, row.get(6)?);
        Ok(LicenseRow {
            serial: text(row, 0)?,
            licenses: row.get(1)?,
            used,
            active,
            reserved: used.saturating_sub(active),
            model: from_word::<LicenseModel>(row, 2)?,
            generation: count(row, 3)?,
            valid_until: time(row, 4)?,
        })
    })?;
    rows.collect()
}

/// A grant as it is held.
pub(super) struct StoredGrant {
    pub(super) grant: Grant,
    pub(super) document: SignedDocument,
    pub(super) digest: Sha256Digest,
}

fn stored_grant(document: Option<SignedDocument>) -> Result<Option<StoredGrant>, CommandError> {
    document
        .map(|document| {
            let grant = document::read(document.document.as_bytes())?;
            let digest = document.digest();
            Ok(StoredGrant { grant, document, digest })
        })
        .transpose()
}

/// The grant of a serial number.
pub(super) fn grant_of(
    connection: &Connection,
    serial: &SerialNumber,
) -> Result<Option<StoredGrant>, CommandError> {
    let document = connection
        .prepare_cached("SELECT document FROM grants WHERE serial = ?1")?
        .query_row([serial.as_str()], |row| from_json(row, 0))
        .optional()?;
    stored_grant(document)
}

/// The highest epoch of any grant.
pub(super) fn epoch(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT coalesce(max(epoch), 0) FROM grants")?
        .query_row([], |row| count(row, 0))
}

// ── clients ──

/// The channel and serial number of a reservation.
pub(super) fn reservation(
    connection: &Connection,
    name: &ComputerName,
) -> rusqlite::Result<Option<(ChannelName, SerialNumber)>> {
    connection
        .prepare_cached("SELECT channel, serial FROM reservations WHERE name = ?1")?
        .query_row([name.as_str()], |row| Ok((text(row, 0)?, text(row, 1)?)))
        .optional()
}

/// What is known of a name that wants to enroll.
pub(super) fn standing(connection: &Connection, name: &ComputerName) -> rusqlite::Result<Standing> {
    if reservation(connection, name)?.is_none() {
        return Ok(Standing::Unknown);
    }
    let setup = connection
        .prepare_cached(
            "SELECT s.code_sha256, c.client_key FROM setups s LEFT JOIN clients c ON c.client_id = s.used_by \
             WHERE s.name = ?1",
        )?
        .query_row([name.as_str()], |row| {
            Ok(IssuedSetup { code_sha256: text(row, 0)?, used_by: optional_text::<PublicKey>(row, 1)? })
        })
        .optional()?;
    Ok(setup.map_or(Standing::Reserved, Standing::SetupIssued))
}

/// The name that a setup code was issued for.
pub(super) fn name_of_code(
    connection: &Connection,
    code_sha256: &Sha256Digest,
) -> rusqlite::Result<Option<ComputerName>> {
    connection
        .prepare_cached("SELECT name FROM setups WHERE code_sha256 = ?1")?
        .query_row([code_sha256.to_string()], |row| text(row, 0))
        .optional()
}

/// How many computers wait, whether this one does, and when the longest waiting was seen.
pub(super) fn pending(
    connection: &Connection,
    name: &ComputerName,
) -> rusqlite::Result<(u64, bool, Option<jiff::Timestamp>)> {
    connection
        .prepare_cached(
            "SELECT (SELECT count(*) FROM pending), EXISTS (SELECT 1 FROM pending WHERE name = ?1), \
             (SELECT min(seen_at) FROM pending)",
        )?
        .query_row([name.as_str()], |row| Ok((count(row, 0)?, row.get(1)?, optional_time(row, 2)?)))
}

const CLIENT_COLUMNS: &str = "SELECT r.name, r.channel, r.reserved_at, c.client_id, c.client_key, c.forked, \
     coalesce(k.platform, c.platform), coalesce(k.agent_version, c.agent_version), k.at, c.lease_until \
     FROM reservations r LEFT JOIN clients c ON c.name = r.name LEFT JOIN contacts k ON k.client_id = c.client_id";

/// One reservation by name.
pub(super) fn client(connection: &Connection, name: &ComputerName) -> rusqlite::Result<Option<ClientRow>> {
    let row = connection
        .prepare_cached(&format!("{CLIENT_COLUMNS} WHERE r.name = ?1"))?
        .query_row([name.as_str()], bare_client)
        .optional()?;
    row.map(|row| with_packages(connection, row)).transpose()
}

/// One reservation by the id of its client.
pub(super) fn client_by_id(
    connection: &Connection,
    client_id: &ClientId,
) -> rusqlite::Result<Option<ClientRow>> {
    let row = connection
        .prepare_cached(&format!("{CLIENT_COLUMNS} WHERE c.client_id = ?1"))?
        .query_row([client_id.as_str()], bare_client)
        .optional()?;
    row.map(|row| with_packages(connection, row)).transpose()
}

/// Reservations sorted by name.
pub(super) fn clients(
    connection: &Connection,
    after: Option<&ComputerName>,
    limit: u32,
) -> rusqlite::Result<Vec<ClientRow>> {
    let mut statement =
        connection.prepare_cached(&format!("{CLIENT_COLUMNS} WHERE r.name > ?1 ORDER BY r.name LIMIT ?2"))?;
    let after = after.map_or("", ComputerName::as_str);
    let rows = statement.query_map(params![after, limit.min(MAX_PAGE)], bare_client)?;
    rows.map(|row| with_packages(connection, row?)).collect()
}

fn bare_client(row: &Row<'_>) -> rusqlite::Result<ClientRow> {
    let client_id: Option<ClientId> = optional_text(row, 3)?;
    let forked: Option<bool> = row.get(5)?;
    let state = match (&client_id, forked) {
        (None, _) => ClientState::Reserved,
        (Some(_), Some(true)) => ClientState::Forked,
        (Some(_), _) => ClientState::Active,
    };
    Ok(ClientRow {
        name: text(row, 0)?,
        channel: text(row, 1)?,
        state,
        reserved_at: time(row, 2)?,
        client_id,
        client_key: optional_text(row, 4)?,
        platform: optional_text(row, 6)?,
        agent_version: row.get(7)?,
        last_contact: optional_time(row, 8)?,
        lease_until: optional_time(row, 9)?,
        installed: Vec::new(),
        assigned: Vec::new(),
        last_reports: Vec::new(),
        display_version: DisplayVersion::default().to_string(),
    })
}

fn with_packages(connection: &Connection, mut row: ClientRow) -> rusqlite::Result<ClientRow> {
    let Some(client_id) = row.client_id.as_ref().map(ToString::to_string) else { return Ok(row) };
    row.installed = connection
        .prepare_cached("SELECT installed FROM installed WHERE client_id = ?1 ORDER BY package")?
        .query_map([&client_id], |row| from_json(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    row.assigned = connection
        .prepare_cached(
            "SELECT package, version, platform, manifest FROM assigned WHERE client_id = ?1 ORDER BY package",
        )?
        .query_map([&client_id], |row| Ok((release_id(row, 0)?, text(row, 3)?)))?
        .collect::<rusqlite::Result<_>>()?;
    row.last_reports = connection
        .prepare_cached("SELECT report FROM last_reports WHERE client_id = ?1 ORDER BY package")?
        .query_map([&client_id], |row| from_json(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    row.display_version = display_version(&row.installed).to_string();
    Ok(row)
}

/// The first program and the first signature package, by name.
fn display_version(installed: &[InstalledPackage]) -> DisplayVersion {
    let first = |kind| installed.iter().find(|package| package.kind == kind);
    DisplayVersion {
        program: first(PackageKind::Program).map(|package| package.release.version.clone()),
        signatures: first(PackageKind::Signatures)
            .and_then(|package| Revision::from_version(&package.release.version).ok()),
    }
}

fn release_id(row: &Row<'_>, column: usize) -> rusqlite::Result<ReleaseId> {
    Ok(ReleaseId {
        package: text(row, column)?,
        version: text(row, column + 1)?,
        platform: text(row, column + 2)?,
    })
}

/// How many other packages this client reported about.
pub(super) fn other_reported_packages(
    connection: &Connection,
    client_id: &ClientId,
    package: &PackageName,
) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT count(*) FROM last_reports WHERE client_id = ?1 AND package <> ?2")?
        .query_row([client_id.as_str(), package.as_str()], |row| count(row, 0))
}

/// When a client of this id enrolled.
pub(super) fn enrolled_at(
    connection: &Connection,
    client_id: &ClientId,
) -> rusqlite::Result<Option<jiff::Timestamp>> {
    connection
        .prepare_cached("SELECT enrolled_at FROM clients WHERE client_id = ?1")?
        .query_row([client_id.as_str()], |row| time(row, 0))
        .optional()
}

// ── releases ──

const RELEASE_COLUMNS: &str = "SELECT package, version, platform, manifest, kind, counter, severity, state, channels, \
     signer, payload_bytes, staged_at, decided_at, decided_by, reason, rollout, \
     (SELECT count(*) FROM assigned a WHERE a.manifest = r.manifest), \
     (SELECT count(*) FROM installed i WHERE i.manifest = r.manifest), \
     (SELECT count(*) FROM last_reports l WHERE l.manifest = r.manifest AND l.failed = 1) FROM releases r";

/// Every release, newest counter first within its package.
pub(super) fn releases(connection: &Connection) -> rusqlite::Result<Vec<ReleaseRow>> {
    let mut statement = connection.prepare_cached(&format!(
        "{RELEASE_COLUMNS} ORDER BY package, counter DESC, platform, manifest LIMIT ?1"
    ))?;
    let rows = statement.query_map([MAX_RELEASES], bare_release)?;
    rows.map(|row| with_deltas(connection, row?)).collect()
}

/// One by its manifest.
pub(super) fn release(
    connection: &Connection,
    manifest: &Sha256Digest,
) -> rusqlite::Result<Option<ReleaseRow>> {
    let row = connection
        .prepare_cached(&format!("{RELEASE_COLUMNS} WHERE manifest = ?1"))?
        .query_row([manifest.to_string()], bare_release)
        .optional()?;
    row.map(|row| with_deltas(connection, row)).transpose()
}

fn bare_release(row: &Row<'_>) -> rusqlite::Result<ReleaseRow> {
    let decided = match (optional_time(row, 12)?, optional_from_json(row, 13)?) {
        (Some(at), Some(actor)) => Some((at, actor)),
        _ => None,
    };
    Ok(ReleaseRow {
        release: release_id(row, 0)?,
        manifest: text(row, 3)?,
        kind: from_word(row, 4)?,
        counter: ReleaseCounter(count(row, 5)?),
        severity: from_word(row, 6)?,
        state: from_word::<ReleaseState>(row, 7)?,
        channels: from_json(row, 8)?,
        signer: optional_text(row, 9)?,
        payload_bytes: count(row, 10)?,
        staged_at: time(row, 11)?,
        decided,
        reason: row.get(14)?,
        rollout: optional_count(row, 15)?,
        assigned: count(row, 16)?,
        installed: count(row, 17)?,
        failed: count(row, 18)?,
        deltas: Vec::new(),
    })
}

fn with_deltas(connection: &Connection, mut row: ReleaseRow) -> rusqlite::Result<ReleaseRow> {
    row.deltas = connection
        .prepare_cached("SELECT base, bytes FROM deltas WHERE target = ?1 ORDER BY base")?
        .query_map([row.manifest.to_string()], |row| Ok((text(row, 0)?, count(row, 1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(row)
}

/// The package of a release.
pub(super) fn package_of(
    connection: &Connection,
    manifest: &Sha256Digest,
) -> rusqlite::Result<Option<PackageName>> {
    connection
        .prepare_cached("SELECT package FROM releases WHERE manifest = ?1")?
        .query_row([manifest.to_string()], |row| text(row, 0))
        .optional()
}

/// The manifest of a release that stands under this id and was not refused.
pub(super) fn manifest_of(
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

/// Approved and superseded releases of a package.
pub(super) fn approved_of(
    connection: &Connection,
    package: &PackageName,
) -> rusqlite::Result<Vec<(Sha256Digest, ApprovedRelease)>> {
    let mut statement = connection.prepare_cached(
        "SELECT manifest, version, platform, counter, channels FROM releases \
         WHERE package = ?1 AND state IN ('approved', 'superseded') ORDER BY counter",
    )?;
    let rows = statement.query_map([package.as_str()], |row| {
        let facts = ApprovedRelease {
            version: text(row, 1)?,
            platform: text::<Platform>(row, 2)?,
            counter: ReleaseCounter(count(row, 3)?),
            channels: from_json(row, 4)?,
        };
        Ok((text(row, 0)?, facts))
    })?;
    rows.collect()
}

/// Every release that goes to clients.
pub(super) fn candidates(connection: &Connection) -> rusqlite::Result<Vec<Candidate>> {
    let mut statement = connection.prepare_cached(
        "SELECT package, version, platform, manifest, counter, channels, coalesce(rollout, 0) FROM releases \
         WHERE state = 'approved' ORDER BY package, counter",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Candidate {
            release: release_id(row, 0)?,
            manifest: text(row, 3)?,
            counter: ReleaseCounter(count(row, 4)?),
            channels: from_json(row, 5)?,
            rollout: count(row, 6)?,
        })
    })?;
    rows.collect()
}

/// The number of the next rollout.
pub(super) fn next_rollout(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT coalesce(max(rollout), 0) + 1 FROM releases")?
        .query_row([], |row| count(row, 0))
}

/// The size of a delta that is known.
pub(super) fn delta_bytes(
    connection: &Connection,
    base: &Sha256Digest,
    target: &Sha256Digest,
) -> rusqlite::Result<Option<u64>> {
    connection
        .prepare_cached("SELECT bytes FROM deltas WHERE target = ?1 AND base = ?2")?
        .query_row([target.to_string(), base.to_string()], |row| count(row, 0))
        .optional()
}

/// Versions of the last pull that brought something, and the failure that stands since.
pub(super) struct PullState {
    pub(super) versions: Option<(u64, u64, u64)>,
    pub(super) failure: Option<String>,
}

/// As [`PullState`].
pub(super) fn pull_state(connection: &Connection) -> rusqlite::Result<PullState> {
    let found = connection
        .prepare_cached("SELECT root_version, timestamp_version, snapshot_version, failure FROM pulls")?
        .query_row([], |row| {
            let versions = (optional_count(row, 0)?, optional_count(row, 1)?, optional_count(row, 2)?);
            let versions = match versions {
                (Some(root), Some(timestamp), Some(snapshot)) => Some((root, timestamp, snapshot)),
                _ => None,
            };
            Ok(PullState { versions, failure: row.get(3)? })
        })
        .optional()?;
    Ok(found.unwrap_or(PullState { versions: None, failure: None }))
}

/// The last pull.
pub(super) fn last_pull(connection: &Connection) -> rusqlite::Result<PullRow> {
    let failure = pull_state(connection)?.failure;
    let times = connection
        .prepare_cached("SELECT metadata_as_of, tried_at FROM freshness")?
        .query_row([], |row| Ok((optional_time(row, 0)?, optional_time(row, 1)?)))
        .optional()?;
    let (metadata_as_of, tried_at) = times.unwrap_or((None, None));
    Ok(PullRow { metadata_as_of, tried_at, failure })
}

/// The floor that was stored, and the newest time that the vendor signed.
pub(super) fn time_floor(connection: &Connection) -> rusqlite::Result<Option<jiff::Timestamp>> {
    connection.query_row(
        "SELECT max(floor) FROM (SELECT floor FROM clock UNION ALL SELECT max(vendor_time) FROM grants)",
        [],
        |row| optional_time(row, 0),
    )
}

/// Bounds what a caller asks for.
pub(super) fn page(limit: Option<u32>) -> i64 {
    integer(u64::from(limit.unwrap_or(MAX_PAGE).min(MAX_PAGE)))
}
