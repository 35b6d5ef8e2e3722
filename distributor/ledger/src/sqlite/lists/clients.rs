//! Reservations and their computers.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use sealpost_keys::{PublicKey, SealingPublicKey};
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName, SerialNumber, ServerId};
use sealpost_manifests::log::LogHead;
use sealpost_manifests::wire::report::{InstallStep, ReasonCode};
use sealpost_site::queries::{
    ClientByName, ClientKey, ClientSealingKey, Clients, Drifted, ExplainClient, Failing, Followers,
    HolderById, NotStarted, Recipients, Trying, page_limit,
};
use sealpost_site::rows::{
    ClientRow, ComputersRow, DriftRow, FailingRow, HolderRow, LogForkRow, RecipientRow, ResumedRow, TryingRow,
};
use sealpost_site::rules::contact::ClientState;
use sealpost_site::rules::explain::ExplainFacts;
use sealpost_site::rules::leaving::Named;
use sealpost_site::rules::reports::GIVEN_UP_FOR;
use sealpost_site::rules::rollouts::share::Salt;
use sealpost_site::rules::troubles::Trouble;

use super::fleet::{BEHIND_SINCE, HEARD_SINCE};
use super::releases::{approved, held_tests, known_release, staged, voided};
use crate::grants::TrustedGrant;
use crate::sqlite::connection::Connected;
use crate::sqlite::granted::granted;
use crate::sqlite::plan::{deliveries, deliveries_sql, live_rings, plan_now, rollouts};
use crate::sqlite::values::{
    count, from_json, from_word, json, micros, optional_count, optional_from_json, optional_text,
    optional_time, text, time,
};
use crate::store::{Read, StoreError};

const CLIENT_COLUMNS: &str = concat!(
    "SELECT r.name, r.channel, r.reserved_at, c.client_id, c.client_key, c.forked, \
     coalesce(s.platform, c.platform), coalesce(s.agent_version, c.agent_version), k.at, c.lease_until, s.installed, \
     s.hostname, s.instance, c.resumed_era = (SELECT era FROM server), c.resumed_at, c.resumed_contacts, \
     c.provisional_until, c.displaced_contacts, f.held_size, f.held_root, f.seen_size, f.seen_root, f.at, s.before, \
     (SELECT json_group_array(of_group ORDER BY of_group) FROM group_members WHERE name = r.name), ",
    deliveries_sql!(),
    ", s.tags, s.postponed, s.came_by \
     FROM computers r LEFT JOIN clients c ON c.name = r.name LEFT JOIN contacts k ON k.client_id = c.client_id \
     LEFT JOIN seen s ON s.client_id = c.client_id LEFT JOIN log_forks f ON f.client_id = c.client_id",
);

/// Whether a client fails; `?8` is the reason that does not count.
const FAILING: &str = "(c.forked = 1 OR EXISTS (SELECT 1 FROM last_reports l JOIN releases x ON x.manifest = l.manifest \
     WHERE l.client_id = c.client_id AND l.failed = 1 AND x.state = 'approved' AND l.report ->> 'reason' <> ?8))";

impl<C: Connected> Read<Clients> for C {
    fn read(&mut self, query: &Clients) -> Result<Vec<ClientRow>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(&format!(
            "{CLIENT_COLUMNS} WHERE r.name > ?1 AND (NOT ?3 OR {FAILING}) AND (NOT ?4 OR {HEARD_SINCE} < ?5) \
             AND (NOT ?6 OR {BEHIND_SINCE} <= ?7) ORDER BY r.name LIMIT ?2"
        ))?;
        let after = query.after.as_ref().map_or("", ComputerName::as_str);
        let with = |trouble| query.with.contains(&trouble);
        let values = params![
            after,
            page_limit(Some(query.limit)),
            with(Trouble::Failing),
            with(Trouble::Offline),
            micros(query.bounds.heard),
            with(Trouble::Outdated),
            micros(query.bounds.decided),
            ReasonCode::NotKept.to_string(),
        ];
        let rows = statement.query_map(values, bare_client)?;
        let rows = rows.map(|row| with_packages(connection, row?)).collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }
}

impl<C: Connected> Read<ClientByName> for C {
    fn read(&mut self, query: &ClientByName) -> Result<Option<ClientRow>, StoreError> {
        Ok(client(self.connection(), &query.name)?)
    }
}

fn client(connection: &Connection, name: &ComputerName) -> rusqlite::Result<Option<ClientRow>> {
    let row = connection
        .prepare_cached(&format!("{CLIENT_COLUMNS} WHERE r.name = ?1"))?
        .query_row([name.as_str()], bare_client)
        .optional()?;
    row.map(|row| with_packages(connection, row)).transpose()
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
        hostname: row.get(11)?,
        instance: optional_text(row, 12)?,
        resumed: resumed(row)?,
        log_fork: log_fork(row)?,
        last_contact: optional_time(row, 8)?,
        lease_until: optional_time(row, 9)?,
        installed: optional_from_json(row, 10)?.unwrap_or_default(),
        before: optional_from_json(row, 23)?.unwrap_or_default(),
        drift: Vec::new(),
        assigned: Vec::new(),
        last_reports: Vec::new(),
        listed: from_json(row, 24)?,
        deliveries: deliveries(row, 25)?,
        tags: optional_from_json(row, 26)?.unwrap_or_default(),
        postponed: optional_from_json(row, 27)?.unwrap_or_default(),
        came_by: optional_text(row, 28)?,
    })
}

/// How the client went on after the last restore, if it did.
fn resumed(row: &Row<'_>) -> rusqlite::Result<Option<ResumedRow>> {
    let of_this_era: Option<bool> = row.get(13)?;
    let parts = (optional_time(row, 14)?, optional_count(row, 15)?, optional_time(row, 16)?);
    Ok(match (of_this_era, parts) {
        (Some(true), (Some(at), Some(contacts), Some(provisional_until))) => {
            Some(ResumedRow { at, contacts, provisional_until, displaced: optional_count(row, 17)? })
        }
        _ => None,
    })
}

/// The fork of the log that the client reported, if it did.
fn log_fork(row: &Row<'_>) -> rusqlite::Result<Option<LogForkRow>> {
    if optional_count(row, 18)?.is_none() {
        return Ok(None);
    }
    Ok(Some(LogForkRow {
        name: text(row, 0)?,
        held: LogHead { size: count(row, 18)?, root: text(row, 19)? },
        seen: LogHead { size: count(row, 20)?, root: text(row, 21)? },
        at: time(row, 22)?,
    }))
}

fn with_packages(connection: &Connection, mut row: ClientRow) -> rusqlite::Result<ClientRow> {
    let Some(client_id) = &row.client_id else { return Ok(row) };
    row.assigned = assigned(connection, client_id)?;
    row.drift = connection
        .prepare_cached("SELECT package, kind, since FROM drifts WHERE client_id = ?1 ORDER BY package")?
        .query_map([client_id.as_str()], |row| {
            Ok(DriftRow { package: text(row, 0)?, kind: from_word(row, 1)?, since: time(row, 2)? })
        })?
        .collect::<rusqlite::Result<_>>()?;
    row.last_reports = connection
        .prepare_cached("SELECT report FROM last_reports WHERE client_id = ?1 ORDER BY package")?
        .query_map([client_id.as_str()], |row| from_json(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(row)
}

fn assigned(connection: &Connection, client_id: &ClientId) -> rusqlite::Result<Vec<PackageAssignment>> {
    connection
        .prepare_cached("SELECT told FROM assigned WHERE client_id = ?1 ORDER BY package")?
        .query_map([client_id.as_str()], |row| from_json(row, 0))?
        .collect()
}

impl<C: Connected> Read<HolderById> for C {
    fn read(&mut self, query: &HolderById) -> Result<Option<HolderRow>, StoreError> {
        let connection = self.connection();
        let row = connection
            .prepare_cached(
                "SELECT c.client_id, r.name, r.channel, c.forked, c.lease_until FROM clients c \
                 JOIN computers r ON r.name = c.name WHERE c.client_id = ?1",
            )?
            .query_row([query.client_id.as_str()], |row| {
                Ok(HolderRow {
                    client_id: text(row, 0)?,
                    name: text(row, 1)?,
                    channel: text(row, 2)?,
                    forked: row.get(3)?,
                    lease_until: optional_time(row, 4)?,
                    assigned: Vec::new(),
                })
            })
            .optional()?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(HolderRow { assigned: assigned(connection, &query.client_id)?, ..row }))
    }
}

impl<C: Connected> Read<ClientKey> for C {
    fn read(&mut self, query: &ClientKey) -> Result<Option<PublicKey>, StoreError> {
        let key = self
            .connection()
            .prepare_cached("SELECT client_key FROM clients WHERE client_id = ?1")?
            .query_row([query.client_id.as_str()], |row| text(row, 0))
            .optional()?;
        Ok(key)
    }
}

impl<C: Connected> Read<ClientSealingKey> for C {
    fn read(&mut self, query: &ClientSealingKey) -> Result<Option<SealingPublicKey>, StoreError> {
        let key = self
            .connection()
            .prepare_cached("SELECT sealing_key FROM clients WHERE client_id = ?1")?
            .query_row([query.client_id.as_str()], |row| optional_text(row, 0))
            .optional()?;
        Ok(key.flatten())
    }
}

impl<C: Connected> Read<ExplainClient> for C {
    fn read(&mut self, query: &ExplainClient) -> Result<Option<ExplainFacts>, StoreError> {
        let connection = self.connection();
        let Some(client) = client(connection, &query.name)? else { return Ok(None) };
        let granted = granted(connection, self.grants())?;
        let serials: Vec<SerialNumber> = connection
            .prepare_cached("SELECT serial FROM reservations WHERE name = ?1 ORDER BY serial")?
            .query_map([query.name.as_str()], |row| text(row, 0))?
            .collect::<rusqlite::Result<_>>()?;
        let mut had = Vec::new();
        for package in client.installed.iter().chain(&client.before) {
            had.extend(known_release(connection, &package.manifest)?);
        }
        // What it may try, and does not say that it runs.
        for report in &client.last_reports {
            had.extend(known_release(connection, &report.manifest)?);
        }
        let attempts = match &client.client_id {
            Some(client_id) => attempts(connection, client_id)?,
            None => BTreeMap::new(),
        };
        Ok(Some(ExplainFacts {
            client,
            had,
            attempts,
            grants: grants_of(&granted, &serials),
            approved: approved(connection)?,
            staged: staged(connection)?,
            voided: voided(connection)?,
            plan: plan_now(self.plans(), connection)?,
            counts: live_rings(connection)?.counts,
            rollouts: rollouts(
                connection,
                "WHERE o.state IN ('running', 'paused') OR (o.state IN ('halted', 'aborted', 'withdrawn') \
                 AND r.state IN ('halted', 'withdrawn')) ORDER BY o.number",
                [],
            )?,
            tests: held_tests(connection)?,
            salt: salt(connection)?,
        }))
    }
}

/// What makes the order of computers the site's own.
fn salt(connection: &Connection) -> Result<Salt, StoreError> {
    let server: Option<ServerId> = connection
        .prepare_cached("SELECT server_id FROM server")?
        .query_row([], |row| text(row, 0))
        .optional()?;
    Ok(Salt::of(&server.ok_or(StoreError::Missing { what: "server's row" })?))
}

fn attempts(connection: &Connection, client_id: &ClientId) -> rusqlite::Result<BTreeMap<Sha256Digest, u32>> {
    connection
        .prepare_cached("SELECT manifest, attempt FROM attempts WHERE client_id = ?1")?
        .query_map([client_id.as_str()], |row| Ok((text(row, 0)?, row.get(1)?)))?
        .collect()
}

/// The grants of serial numbers, as far as they count.
fn grants_of(granted: &[TrustedGrant], serials: &[SerialNumber]) -> Vec<Grant> {
    shared_grants_of(granted, serials).iter().map(|grant| (**grant).clone()).collect()
}

/// The same, without a copy for each computer.
fn shared_grants_of(granted: &[TrustedGrant], serials: &[SerialNumber]) -> Vec<Arc<Grant>> {
    let of = |serial: &SerialNumber| granted.iter().find(|trusted| trusted.grant.serial == *serial);
    serials.iter().filter_map(of).map(|trusted| Arc::clone(&trusted.grant)).collect()
}

impl<C: Connected> Read<Drifted> for C {
    fn read(&mut self, _: &Drifted) -> Result<ComputersRow, StoreError> {
        computers_with(self.connection(), "!= 'not_started'")
    }
}

impl<C: Connected> Read<NotStarted> for C {
    fn read(&mut self, _: &NotStarted) -> Result<ComputersRow, StoreError> {
        computers_with(self.connection(), "= 'not_started'")
    }
}

/// The computers that say that a package of theirs is in such a state.
fn computers_with(connection: &Connection, kind: &str) -> Result<ComputersRow, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT c.name, min(d.since) FROM drifts d JOIN clients c ON c.client_id = d.client_id \
         WHERE d.kind {kind} GROUP BY c.name ORDER BY c.name"
    ))?;
    let mut rows = statement.query([])?;
    let mut found = ComputersRow::default();
    while let Some(row) = rows.next()? {
        found.add(text(row, 0)?, Some(time(row, 1)?));
    }
    Ok(found)
}

impl<C: Connected> Read<Failing> for C {
    fn read(&mut self, _: &Failing) -> Result<FailingRow, StoreError> {
        let connection = self.connection();
        let mut failing = FailingRow::default();
        let mut statement = connection.prepare_cached(
            "SELECT l.manifest, c.name, l.report ->> 'at', l.report ->> 'step' = ?2 OR l.report ->> 'reason' IN \
             (SELECT value FROM json_each(?3)) FROM releases r JOIN last_reports l ON l.manifest = r.manifest \
             JOIN clients c ON c.client_id = l.client_id WHERE r.state = 'approved' AND l.failed = 1 \
             AND l.report ->> 'reason' <> ?1 ORDER BY c.name",
        )?;
        let mut rows = statement.query(params![
            ReasonCode::NotKept.to_string(),
            InstallStep::RollBack.to_string(),
            json(&GIVEN_UP_FOR)?
        ])?;
        while let Some(row) = rows.next()? {
            let gave_up: bool = row.get(3)?;
            let of_release = if gave_up { &mut failing.gave_up } else { &mut failing.again };
            of_release.entry(text(row, 0)?).or_default().add(text(row, 1)?, Some(text(row, 2)?));
        }
        let mut statement =
            connection.prepare_cached("SELECT name FROM clients WHERE forked = 1 ORDER BY name")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            failing.forked.add(text(row, 0)?, None);
        }
        Ok(failing)
    }
}

impl<C: Connected> Read<Followers> for C {
    fn read(&mut self, _: &Followers) -> Result<BTreeMap<ChannelName, Named>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT channel, name FROM computers ORDER BY name")?;
        let mut rows = statement.query([])?;
        let mut followers: BTreeMap<ChannelName, Named> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            followers.entry(text(row, 0)?).or_default().add(&text(row, 1)?);
        }
        Ok(followers)
    }
}

impl<C: Connected> Read<Trying> for C {
    fn read(&mut self, query: &Trying) -> Result<Vec<TryingRow>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "WITH meant AS (SELECT value AS manifest FROM json_each(?3)) \
             SELECT * FROM (SELECT c.name AS name, \
             (SELECT json_group_array(json(p.value)) FROM json_each(s.assignment, '$.packages') p \
             WHERE p.value ->> 'manifest' IN meant AND p.value ->> 'manifest' NOT IN \
             (SELECT manifest FROM installed WHERE client_id = c.client_id)) AS told, \
             (SELECT json_group_array(json(l.report) ORDER BY l.package) FROM last_reports l \
             WHERE l.client_id = c.client_id AND l.manifest IN meant AND l.manifest NOT IN \
             (SELECT manifest FROM installed WHERE client_id = c.client_id)) AS reports \
             FROM clients c LEFT JOIN sent s ON s.client_id = c.client_id WHERE c.name > ?1) \
             WHERE told <> '[]' OR reports <> '[]' ORDER BY name LIMIT ?2",
        )?;
        let after = query.after.as_ref().map_or("", ComputerName::as_str);
        let manifests: Vec<String> = query.manifests.iter().map(ToString::to_string).collect();
        let rows =
            statement.query_map(params![after, page_limit(Some(query.limit)), json(&manifests)?], |row| {
                Ok(TryingRow {
                    name: text(row, 0)?,
                    told: from_json(row, 1)?,
                    last_reports: from_json(row, 2)?,
                })
            })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl<C: Connected> Read<Recipients> for C {
    fn read(&mut self, query: &Recipients) -> Result<Vec<RecipientRow>, StoreError> {
        let connection = self.connection();
        let granted = granted(connection, self.grants())?;
        let mut statement = connection.prepare_cached(concat!(
            "SELECT r.name, r.channel, coalesce(s.platform, c.platform), \
             (SELECT json_group_array(o.serial) FROM reservations o WHERE o.name = r.name), \
             s.installed, s.before, k.at, \
             CASE WHEN ?4 THEN (SELECT json_group_array(of_group) FROM group_members WHERE name = r.name) ELSE '[]' END, ",
            deliveries_sql!(),
            ", s.tags, s.came_by FROM computers r LEFT JOIN clients c ON c.name = r.name LEFT JOIN seen s ON s.client_id = c.client_id \
             LEFT JOIN contacts k ON k.client_id = c.client_id \
             WHERE r.name > ?1 AND (?3 IS NULL \
             OR c.client_id IN (SELECT client_id FROM installed WHERE manifest = ?3)) ORDER BY r.name LIMIT ?2",
        ))?;
        let after = query.after.as_ref().map_or("", ComputerName::as_str);
        let running = query.running.map(|manifest| manifest.to_string());
        // Most sites list nobody by name.
        let lists: bool = connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM group_members)")?
            .query_row([], |row| row.get(0))?;
        let mut rows = statement.query(params![after, page_limit(Some(query.limit)), running, lists])?;
        let mut recipients = Vec::new();
        while let Some(row) = rows.next()? {
            // Sorted here: of one value a sorter of the database costs more than the look.
            let mut serials: Vec<SerialNumber> = from_json(row, 3)?;
            serials.sort();
            recipients.push(RecipientRow {
                name: text(row, 0)?,
                channel: text(row, 1)?,
                platform: optional_text(row, 2)?,
                grants: shared_grants_of(&granted, &serials),
                last_contact: optional_time(row, 6)?,
                installed: optional_from_json(row, 4)?.unwrap_or_default(),
                before: optional_from_json(row, 5)?.unwrap_or_default(),
                listed: from_json(row, 7)?,
                deliveries: deliveries(row, 8)?,
                tags: optional_from_json(row, 9)?.unwrap_or_default(),
                came_by: optional_text(row, 10)?,
            });
        }
        Ok(recipients)
    }
}
