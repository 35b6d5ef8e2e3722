//! What commands decide from.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, Row, params};
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{ChannelName, ComputerName, SerialNumber};
use sealpost_site::commands::clients::{
    ChannelFacts, EnrolledClient, EnrollmentFacts, Held, LoadChannels, LoadEnrollment, LoadSeats, LoadSetups,
    NewestSetup, SeatFacts, SetupFacts, SetupsOf,
};
use sealpost_site::commands::licenses::{GrantFacts, LoadHeldGrant};
use sealpost_site::commands::pulls::{LoadPull, PullFacts, PulledVersions};
use sealpost_site::commands::releases::{
    CounterResetFacts, LoadCounterReset, LoadDelta, LoadRelease, ReleaseFacts,
};
use sealpost_site::commands::restores::{LoadRestore, RestoreFacts};
use sealpost_site::commands::servers::{LoadServerList, ServerListFacts};
use sealpost_site::commands::undoing::{AttemptOf, LoadRetry, MAX_RETRIED, RetryFacts};
use sealpost_site::queries::SetupOf;
use sealpost_site::rules::enrollment::SetupState;
use sealpost_site::rules::seats::GrantedSeats;

use super::admissions::{pending, setup};
use super::connection::Connected;
use super::granted::{self, claimed_epoch, epoch_of, granted, granted_times};
use super::lists::licenses::{highest_epoch, restore_state, restored, restored_at, stored_time};
use super::lists::releases::{
    accepted_of, approved_of, highest_attempt, known_channels, known_release, manifest_of, next_rollout,
    test_load_of,
};
use super::lists::servers::known_list;
use super::plan::plan_now;
use super::restored::{kept, kept_before, setup_end};
use super::values::{count, micros, optional_count, optional_text, optional_time, text, time};
use crate::grants::TrustedGrant;
use crate::store::{Read, StoreError};

impl<C: Connected> Read<LoadHeldGrant> for C {
    fn read(&mut self, query: &LoadHeldGrant) -> Result<GrantFacts, StoreError> {
        let connection = self.connection();
        let held = granted::held(connection, &query.serial, self.grants())?;
        let granted = granted_times(connection, self.grants())?;
        let answers_restored = match &query.request_id {
            Some(request_id) => connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM restore_requests WHERE request_id = ?1)")?
                .query_row([request_id.as_str()], |row| row.get(0))?,
            None => false,
        };
        let restore = restore_state(connection, self.grants())?;
        let newest = stored_time(connection)?.statement;
        Ok(GrantFacts { held, restore, answers_restored, newest, granted })
    }
}

impl<C: Connected> Read<LoadSeats> for C {
    fn read(&mut self, query: &LoadSeats) -> Result<SeatFacts, StoreError> {
        let connection = self.connection();
        let granted = granted(connection, self.grants())?;
        let seats = granted.iter().map(|TrustedGrant { grant, .. }| {
            let Grant { serial, seats, not_after, ends_at, .. } = &**grant;
            let used = self.used(serial)?;
            let (serial, seats, not_after, ends_at) = (serial.clone(), *seats, *not_after, *ends_at);
            Ok(GrantedSeats { serial, seats, used, not_after, ends_at })
        });
        let grants = seats.collect::<rusqlite::Result<_>>()?;
        Ok(SeatFacts {
            held: held(connection, &query.names)?,
            channels: known_channels(connection)?,
            grants,
            restore: restored(connection, epoch_of(&granted), self.grants())?,
        })
    }
}

impl<C: Connected> Read<LoadChannels> for C {
    fn read(&mut self, query: &LoadChannels) -> Result<ChannelFacts, StoreError> {
        let connection = self.connection();
        let (channel, channels) = (channel_of(connection, &query.name)?, known_channels(connection)?);
        Ok(ChannelFacts { channel, channels })
    }
}

/// The channel that a name follows, if it holds a seat.
fn channel_of(connection: &Connection, name: &ComputerName) -> rusqlite::Result<Option<ChannelName>> {
    connection
        .prepare_cached("SELECT channel FROM computers WHERE name = ?1")?
        .query_row([name.as_str()], |row| text(row, 0))
        .optional()
}

/// The enrolled computers that another attempt is asked for.
const ATTEMPTS: &str = "SELECT c.client_id, c.name, a.attempt, \
     CASE l.failed WHEN 1 THEN json_extract(l.report, '$.attempt') END FROM clients c \
     LEFT JOIN attempts a ON a.client_id = c.client_id AND a.manifest = ?1 \
     LEFT JOIN last_reports l ON l.client_id = c.client_id AND l.manifest = ?1 AND l.package = ?2";

impl<C: Connected> Read<LoadRetry> for C {
    fn read(&mut self, query: &LoadRetry) -> Result<RetryFacts, StoreError> {
        let connection = self.connection();
        let Some(known) = known_release(connection, &query.manifest)? else {
            return Ok(RetryFacts { known: None, computers: Vec::new() });
        };
        let (manifest, package) = (query.manifest.to_string(), known.release.package.to_string());
        let read = |row: &Row<'_>| {
            Ok(AttemptOf {
                client_id: text(row, 0)?,
                name: text(row, 1)?,
                attempt: row.get(2)?,
                failed: row.get(3)?,
            })
        };
        let mut computers = Vec::new();
        if query.names.is_empty() {
            computers = connection
                .prepare_cached(&format!(
                    "{ATTEMPTS} WHERE l.failed = 1 ORDER BY c.name LIMIT {MAX_RETRIED}"
                ))?
                .query_map([&manifest, &package], read)?
                .collect::<rusqlite::Result<_>>()?;
        }
        let mut named = connection.prepare_cached(&format!("{ATTEMPTS} WHERE c.name = ?3"))?;
        let names: BTreeSet<&ComputerName> = query.names.iter().collect();
        for name in names {
            computers.extend(named.query_row([&manifest, &package, name.as_str()], read).optional()?);
        }
        Ok(RetryFacts { known: Some(known), computers })
    }
}

/// The serial numbers whose seats a name holds.
fn reserved(connection: &Connection, name: &ComputerName) -> rusqlite::Result<BTreeSet<SerialNumber>> {
    connection
        .prepare_cached("SELECT serial FROM reservations WHERE name = ?1")?
        .query_map([name.as_str()], |row| text(row, 0))?
        .collect()
}

/// What names hold, of those that hold a seat.
fn held(
    connection: &Connection,
    names: &BTreeSet<ComputerName>,
) -> rusqlite::Result<BTreeMap<ComputerName, Held>> {
    let mut statement = connection.prepare_cached(
        "SELECT c.channel, r.serial FROM computers c JOIN reservations r ON r.name = c.name WHERE c.name = ?1",
    )?;
    let mut held = BTreeMap::new();
    for name in names {
        let mut rows = statement.query([name.as_str()])?;
        while let Some(row) = rows.next()? {
            let (channel, serial) = (text(row, 0)?, text(row, 1)?);
            let none = Held { channel, serials: BTreeSet::new() };
            held.entry(name.clone()).or_insert(none).serials.insert(serial);
        }
    }
    Ok(held)
}

const SETUPS: &str = concat!(
    "SELECT s.setup, ",
    setup_end!("?2"),
    ", s.used_by IS NOT NULL, c.client_id IS NOT NULL FROM computers p \
     LEFT JOIN setups s ON s.name = p.name AND s.admitted_key IS NULL \
     LEFT JOIN clients c ON c.name = p.name WHERE p.name = ?1"
);

impl<C: Connected> Read<LoadSetups> for C {
    fn read(&mut self, query: &LoadSetups) -> Result<SetupFacts, StoreError> {
        let restored_at = restored_at(self.connection(), self.grants())?.map(micros);
        let mut statement = self.connection().prepare_cached(SETUPS)?;
        let mut held = BTreeMap::new();
        for name in &query.names {
            let found = statement
                .query_row(params![name.as_str(), restored_at], |row| {
                    let newest = match (optional_text(row, 0)?, optional_time(row, 1)?) {
                        (Some(setup), Some(expires_at)) => {
                            Some(NewestSetup { setup, expires_at, used: row.get(2)? })
                        }
                        _ => None,
                    };
                    Ok(SetupsOf { newest, enrolled: row.get(3)? })
                })
                .optional()?;
            held.extend(found.map(|setups| (name.clone(), setups)));
        }
        Ok(SetupFacts { held })
    }
}

impl<C: Connected> Read<SetupOf> for C {
    fn read(&mut self, query: &SetupOf) -> Result<SetupState, StoreError> {
        Ok(setup(self.connection(), &query.name, self.grants())?)
    }
}

const ENROLLED: &str = concat!(
    "SELECT c.client_id, c.client_key, c.enrolled_at, k.at, c.forked, c.kept_copy, ",
    kept_before!(),
    " FROM clients c LEFT JOIN contacts k ON k.client_id = c.client_id WHERE c.name = ?1"
);

impl<C: Connected> Read<LoadEnrollment> for C {
    fn read(&mut self, query: &LoadEnrollment) -> Result<EnrollmentFacts, StoreError> {
        let (connection, name) = (self.connection(), &query.name);
        let granted = granted(connection, self.grants())?;
        let restore = restored(connection, epoch_of(&granted), self.grants())?;
        let client = connection
            .prepare_cached(ENROLLED)?
            .query_row([name.as_str()], |row| {
                Ok(EnrolledClient {
                    client_id: text(row, 0)?,
                    client_key: text(row, 1)?,
                    enrolled_at: time(row, 2)?,
                    last_contact: optional_time(row, 3)?,
                    forked: row.get(4)?,
                    kept_copy: kept(row, (5, 6), &restore)?,
                })
            })
            .optional()?;
        let held = reserved(connection, name)?;
        let mut seats: Vec<_> = granted.iter().filter(|seat| held.contains(&seat.grant.serial)).collect();
        seats.sort_by(|one, other| one.grant.serial.cmp(&other.grant.serial));
        let grants = seats.into_iter().map(|seat| seat.document.clone()).collect();
        let setup = setup(connection, name, self.grants())?;
        // Also for an admitted key: its admission can have ended, and then it waits again.
        let pending = pending(connection, name, &query.client_key)?;
        Ok(EnrollmentFacts { setup, client, grants, restore, pending })
    }
}

impl<C: Connected> Read<LoadRestore> for C {
    fn read(&mut self, _: &LoadRestore) -> Result<RestoreFacts, StoreError> {
        // What does not count can only make the vendor raise it further.
        Ok(RestoreFacts { epoch: claimed_epoch(self.connection())? })
    }
}

impl<C: Connected> Read<LoadServerList> for C {
    fn read(&mut self, _: &LoadServerList) -> Result<ServerListFacts, StoreError> {
        let connection = self.connection();
        Ok(ServerListFacts {
            known: known_list(connection)?,
            epoch: highest_epoch(connection, self.grants())?,
        })
    }
}

impl<C: Connected> Read<LoadPull> for C {
    fn read(&mut self, _: &LoadPull) -> Result<PullFacts, StoreError> {
        let found = self
            .connection()
            .prepare_cached("SELECT root_version, timestamp_version, snapshot_version, failure FROM pulls")?
            .query_row([], |row| {
                let versions = (optional_count(row, 0)?, optional_count(row, 1)?, optional_count(row, 2)?);
                let versions = match versions {
                    (Some(root), Some(timestamp), Some(snapshot)) => {
                        Some(PulledVersions { root, timestamp, snapshot })
                    }
                    _ => None,
                };
                Ok(PullFacts { versions, failure: row.get(3)?, granted: Vec::new() })
            })
            .optional()?;
        let granted = granted_times(self.connection(), self.grants())?;
        Ok(PullFacts { granted, ..found.unwrap_or_default() })
    }
}

impl<C: Connected> Read<LoadRelease> for C {
    fn read(&mut self, query: &LoadRelease) -> Result<ReleaseFacts, StoreError> {
        let connection = self.connection();
        let known = known_release(connection, &query.manifest)?;
        let approved = match &known {
            Some(known) => approved_of(connection, &known.release.package)?,
            None => Vec::new(),
        };
        let manifest_of_claimed = match &query.claimed {
            Some(claimed) => manifest_of(connection, claimed)?,
            None => None,
        };
        Ok(ReleaseFacts {
            known,
            test: test_load_of(connection, &query.manifest)?,
            manifest_of_claimed,
            approved,
            next_rollout: next_rollout(connection)?,
            highest_attempt: highest_attempt(connection, &query.manifest)?,
            staged_at: staged_at(connection, &query.manifest)?,
            plan: plan_now(self.plans(), connection)?,
        })
    }
}

/// Since when a release lies here.
fn staged_at(
    connection: &Connection,
    manifest: &sealpost_manifests::digest::Sha256Digest,
) -> rusqlite::Result<Option<jiff::Timestamp>> {
    connection
        .prepare_cached("SELECT staged_at FROM releases WHERE manifest = ?1")?
        .query_row([manifest.to_string()], |row| time(row, 0))
        .optional()
}

impl<C: Connected> Read<LoadCounterReset> for C {
    fn read(&mut self, query: &LoadCounterReset) -> Result<CounterResetFacts, StoreError> {
        let connection = self.connection();
        let applied = connection
            .prepare_cached("SELECT number FROM counter_resets WHERE package = ?1")?
            .query_row([query.package.as_str()], |row| count(row, 0))
            .optional()?;
        Ok(CounterResetFacts { applied, releases: accepted_of(connection, &query.package)? })
    }
}

impl<C: Connected> Read<LoadDelta> for C {
    fn read(&mut self, query: &LoadDelta) -> Result<Option<u64>, StoreError> {
        let bytes = self
            .connection()
            .prepare_cached("SELECT bytes FROM deltas WHERE target = ?1 AND base = ?2")?
            .query_row([query.target.to_string(), query.base.to_string()], |row| count(row, 0))
            .optional()?;
        Ok(bytes)
    }
}
