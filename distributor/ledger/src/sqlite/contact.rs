//! What a contact is decided from: one statement for the site and the client, and further ones only for what the contact
//! brings.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, Nonce, PackageName, Platform, SerialNumber};
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::{Epoch, Order};
use sealpost_manifests::wire::contact::{Drift, InstalledPackage};
use sealpost_site::commands::contact::{
    ContactClient, ContactFacts, HeldGrantText, LastContact, LoadContact, LostFacts, SeenClient, ShownKey,
};
use sealpost_site::rules::contact::NoncePair;
use sealpost_site::rules::release::KnownRelease;
use sealpost_site::rules::restore::{NameHolder, RestoreState};
use serde::Deserialize;

use super::connection::Connected;
use super::entries::{has_seat, log_at};
use super::granted::{epoch_of, lossy, raised};
use super::lists::licenses::restore_columns;
use super::lists::releases::known_release;
use super::lists::servers::server_list;
use super::plan::{deliveries, deliveries_sql, listed_sql, plan_of};
use super::restored::{kept, kept_before};
use super::values::{
    count, from_json, optional_count, optional_from_json, optional_text, optional_time, text, unreadable,
};
use crate::grants::{TrustedGrant, TrustedGrants};
use crate::store::{Read, StoreError};
use crate::trusted_log::TrustedLog;

/// The site's columns come first, so that they are there for an unknown client too.
const CONTACT: &str = concat!(
    "SELECT v.era, v.past_eras, v.restored_at, v.restored_epoch, v.resumes_until, v.confirmed, \
     (SELECT json_group_array(json_array(serial, document)) FROM grants), (SELECT metadata_as_of FROM freshness), \
     (SELECT json_group_array(manifest) FROM releases INDEXED BY releases_voided WHERE voided = 1), \
     l.sequence, l.issued_at, l.ways, \
     (SELECT json_group_array(manifest) FROM releases INDEXED BY releases_rolled_back WHERE rollback = 1), c.name, p.channel, c.client_key, c.forked, c.lease_epoch, c.lease_sequence, c.assignment_epoch, \
     c.assignment_sequence, c.acknowledged_report, \
     (SELECT json_group_array(json_object('leased', leased, 'serial', serial)) FROM reservations WHERE name = c.name), \
     k.previous, k.next, k.answer, k.progress, t.lease, t.assignment, s.platform, s.agent_version, s.instance, \
     s.hostname, s.installed, c.resumed_era, f.seen_size, f.seen_root, s.before, \
     (SELECT json_group_array(json_object('package', package, 'kind', kind)) FROM drifts WHERE client_id = c.client_id), \
     (SELECT json_group_object(manifest, attempt) FROM attempts WHERE client_id = c.client_id), \
     (SELECT json_group_object(manifest, json_extract(report, '$.attempt')) FROM last_reports \
     WHERE client_id = c.client_id AND failed = 1 AND json_extract(report, '$.step') = 'roll_back' \
     AND json_extract(report, '$.reason') = 'asked_locally'), k.at, ",
    listed_sql!(),
    ", ",
    deliveries_sql!(),
    ", (SELECT version FROM plan), s.tags, s.postponed, s.came_by, k.cadence, c.kept_copy, CASE WHEN c.forked = 1 THEN (SELECT json_group_array(branch) FROM copies \
     WHERE client_id = c.client_id) END, ",
    kept_before!(),
    " FROM server v LEFT JOIN server_list l ON l.id = 1 LEFT JOIN clients c ON c.client_id = ?1 LEFT JOIN computers p ON p.name = c.name \
     LEFT JOIN contacts k ON k.client_id = c.client_id LEFT JOIN sent t ON t.client_id = c.client_id \
     LEFT JOIN seen s ON s.client_id = c.client_id LEFT JOIN log_forks f ON f.client_id = c.client_id",
);
/// Where the client's columns begin.
const CLIENT: usize = 13;

impl<C: Connected> Read<LoadContact> for C {
    fn read(&mut self, query: &LoadContact) -> Result<ContactFacts, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(CONTACT)?;
        let mut rows = statement.query([query.client_id.as_str()])?;
        let row = rows.next()?.ok_or(StoreError::Missing { what: "server's row" })?;
        // Asked first: a trust document that comes in between makes grants count, and never takes any away.
        let has_trust = self.grants().has_trust();
        let granted = granted_in(row, 6, self.grants())?;
        let epoch = epoch_of(&granted);
        let restore = self.grants().log().stricter(restore_columns(row)?).believed(epoch);
        let known: Option<String> = row.get(CLIENT)?;
        let client = match known {
            None => None,
            Some(_) => {
                let reported = if query.reports {
                    reported_packages(connection, &query.client_id)?
                } else {
                    BTreeSet::new()
                };
                let mut client = contact_client(row, &restore, &granted)?;
                client.not_reserved = drop_unlogged(connection, self.grants().log(), &mut client)?;
                for seat in client.seats.iter_mut().filter(|seat| !seat.leased) {
                    seat.used = Some(self.used(&seat.grant.serial)?);
                }
                Some(ContactClient { reported, ..client })
            }
        };
        let lost = match &query.shown {
            Some(shown) => Some(lost(connection, &query.client_id, shown, &granted)?),
            None => None,
        };
        let mut left = Vec::new();
        let rolled_back: BTreeSet<Sha256Digest> = from_json(row, 12)?;
        for manifest in query.runs.iter().filter(|manifest| rolled_back.contains(*manifest)) {
            left.extend(known_release(connection, manifest)?);
        }
        let mut kept = Vec::new();
        if !left.is_empty() {
            kept = ran_before(connection, &query.client_id)?;
        }
        let plan_version = optional_count(row, CLIENT + 31)?.unwrap_or(0);
        Ok(ContactFacts {
            client,
            plan: plan_of(self.plans(), connection, plan_version)?,
            live: self.live()?,
            approved: self.approved()?,
            voided: from_json(row, 8)?,
            left,
            kept,
            metadata_as_of: optional_time(row, 7)?,
            has_trust,
            epoch,
            raised: raised(&granted),
            restore,
            server_list: server_list(row, 9)?,
            lost,
        })
    }
}

/// The grants that count, of pairs of serial number and text. They are few, and each is verified once.
fn granted_in(row: &Row<'_>, column: usize, trusted: &TrustedGrants) -> rusqlite::Result<Vec<TrustedGrant>> {
    let text = lossy(row, column)?;
    let stored: Vec<(String, String)> =
        serde_json::from_str(&text).map_err(|error| unreadable(column, error))?;
    Ok(stored.iter().filter_map(|(serial, text)| trusted.check_text(serial, text).ok()).collect())
}

fn contact_client(
    row: &Row<'_>,
    restore: &RestoreState,
    granted: &[TrustedGrant],
) -> Result<ContactClient, StoreError> {
    let reserved: Vec<Seat> = from_json(row, CLIENT + 9)?;
    let held = |seat: &Seat| held_grant(granted, &seat.serial, seat.leased == 1);
    let mut seats: Vec<HeldGrantText> = reserved.iter().filter_map(held).collect();
    // The order of a group is the planner's.
    seats.sort_by(|one, other| one.grant.serial.cmp(&other.grant.serial));
    let seen = match (optional_text::<Platform>(row, CLIENT + 16)?, row.get(CLIENT + 17)?) {
        (Some(platform), Some(agent_version)) => Some(SeenClient {
            platform,
            agent_version,
            instance: optional_text(row, CLIENT + 18)?,
            hostname: row.get(CLIENT + 19)?,
            installed: optional_from_json(row, CLIENT + 20)?.unwrap_or_default(),
            before: optional_from_json(row, CLIENT + 24)?.unwrap_or_default(),
            tags: optional_from_json(row, CLIENT + 32)?.unwrap_or_default(),
            postponed: optional_from_json(row, CLIENT + 33)?.unwrap_or_default(),
            came_by: optional_text(row, CLIENT + 34)?,
        }),
        _ => None,
    };
    let mut drift: Vec<Drift> = from_json(row, CLIENT + 25)?;
    drift.sort_by(|one, other| one.package.cmp(&other.package));
    let mut copies: Vec<Sha256Digest> = optional_from_json(row, CLIENT + 37)?.unwrap_or_default();
    copies.sort_unstable();
    let resumed_era: Option<String> = row.get(CLIENT + 21)?;
    let log_fork = match (optional_count(row, CLIENT + 22)?, optional_text(row, CLIENT + 23)?) {
        (Some(size), Some(root)) => Some(LogHead { size, root }),
        _ => None,
    };
    Ok(ContactClient {
        name: text(row, CLIENT)?,
        channel: text(row, CLIENT + 1)?,
        client_key: text(row, CLIENT + 2)?,
        forked: row.get(CLIENT + 3)?,
        copies,
        kept_copy: kept(row, (CLIENT + 36, CLIENT + 38), restore)?,
        seats,
        lease_order: optional_order(row, CLIENT + 4)?,
        assignment_order: optional_order(row, CLIENT + 6)?,
        acknowledged_report: count(row, CLIENT + 8)?,
        last: last_contact(row)?,
        lease: optional_from_json(row, CLIENT + 14)?,
        assignment: optional_from_json(row, CLIENT + 15)?,
        seen,
        reported: BTreeSet::new(),
        not_reserved: false,
        resumed: resumed_era.as_deref() == Some(restore.era.as_str()),
        log_fork,
        drift,
        attempts: from_json(row, CLIENT + 26)?,
        left_locally: from_json(row, CLIENT + 27)?,
        listed: from_json(row, CLIENT + 29)?,
        deliveries: deliveries(row, CLIENT + 30)?,
    })
}

/// Takes the seats away that the log does not know: two rows are written more easily than a log. Says whether there were.
fn drop_unlogged(
    connection: &Connection,
    log: &TrustedLog,
    client: &mut ContactClient,
) -> Result<bool, StoreError> {
    let mut logged = Vec::with_capacity(client.seats.len());
    let held = client.seats.len();
    for seat in std::mem::take(&mut client.seats) {
        if has_seat(connection, log, &client.name, &seat.grant.serial)? {
            logged.push(seat);
        }
    }
    client.seats = logged;
    Ok(client.seats.len() < held)
}

/// A seat as the statement gives it.
#[derive(Deserialize)]
struct Seat {
    leased: u8,
    serial: SerialNumber,
}

/// The grant of a serial number, if it counts.
fn held_grant(granted: &[TrustedGrant], serial: &SerialNumber, leased: bool) -> Option<HeldGrantText> {
    let TrustedGrant { grant, document, digest } =
        granted.iter().find(|trusted| trusted.grant.serial == *serial)?;
    let grant = (**grant).clone();
    Some(HeldGrantText { grant, document: document.clone(), digest: *digest, leased, used: None })
}

/// What a client ran before of the packages that it runs, as this site knows it.
pub(super) fn ran_before(
    connection: &Connection,
    client_id: &ClientId,
) -> Result<Vec<KnownRelease>, StoreError> {
    let before: Option<Vec<InstalledPackage>> = connection
        .prepare_cached("SELECT before FROM seen WHERE client_id = ?1")?
        .query_row([client_id.as_str()], |row| optional_from_json(row, 0))
        .optional()?
        .flatten();
    let mut releases = Vec::new();
    for package in before.unwrap_or_default() {
        releases.extend(known_release(connection, &package.manifest)?);
    }
    Ok(releases)
}

/// An order in two columns.
fn optional_order(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Order>> {
    Ok(match (optional_count(row, column)?, optional_count(row, column + 1)?) {
        (Some(epoch), Some(sequence)) => Some(Order { epoch: Epoch(epoch), sequence }),
        _ => None,
    })
}

fn last_contact(row: &Row<'_>) -> rusqlite::Result<Option<LastContact>> {
    let Some(next) = optional_text::<Nonce>(row, CLIENT + 11)? else { return Ok(None) };
    let nonces = NoncePair { previous: optional_text(row, CLIENT + 10)?, next };
    let at = optional_time(row, CLIENT + 28)?.unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(Some(LastContact {
        at,
        nonces,
        answer: from_json(row, CLIENT + 12)?,
        progress: from_json(row, CLIENT + 13)?,
        cadence: optional_from_json(row, CLIENT + 35)?,
    }))
}

fn reported_packages(
    connection: &Connection,
    client_id: &ClientId,
) -> rusqlite::Result<BTreeSet<PackageName>> {
    connection
        .prepare_cached("SELECT package FROM last_reports WHERE client_id = ?1")?
        .query_map([client_id.as_str()], |row| text(row, 0))?
        .collect()
}

/// What the ledger knows beside what a client shows. Few contacts ask for it.
fn lost(
    connection: &Connection,
    client_id: &ClientId,
    shown: &ShownKey,
    granted: &[TrustedGrant],
) -> Result<LostFacts, StoreError> {
    let given_up: Option<bool> = connection
        .prepare_cached("SELECT given_up FROM former_clients WHERE client_id = ?1")?
        .query_row([client_id.as_str()], |row| row.get(0))
        .optional()?;
    let (was_replaced, given_up) = (given_up.is_some(), given_up.unwrap_or(false));
    let holder = connection
        .prepare_cached(
            "SELECT client_id, era, resumed_head FROM clients WHERE name = ?1 AND client_id <> ?2",
        )?
        .query_row([shown.name.as_str(), client_id.as_str()], |row| {
            Ok(NameHolder {
                client_id: text(row, 0)?,
                era: text(row, 1)?,
                resumed_head: optional_count(row, 2)?,
            })
        })
        .optional()?;
    let reserved = connection
        .prepare_cached("SELECT serial FROM reservations WHERE name = ?1")?
        .query_map([shown.name.as_str()], |row| text(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut seats = Vec::new();
    for serial in &shown.serials {
        let leased: Option<bool> = connection
            .prepare_cached("SELECT leased FROM reservations WHERE serial = ?1 AND name = ?2")?
            .query_row([serial.as_str(), shown.name.as_str()], |row| row.get(0))
            .optional()?;
        seats.extend(held_grant(granted, serial, leased.unwrap_or(false)));
    }
    let head = log_at(connection, shown.head.size)?.map(|log| log.head());
    Ok(LostFacts { was_replaced, given_up, holder, reserved, seats, head_is_known: head == Some(shown.head) })
}
