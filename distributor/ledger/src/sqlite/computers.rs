//! What changes of computers do to their rows: seats, setups, clients, what they were issued and what they reported.

use rusqlite::{Connection, OptionalExtension, params};
use sealpost_manifests::assignment::{Assignment, PackageAssignment};
use sealpost_manifests::document::Document;
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName, SerialNumber};
use sealpost_manifests::lease::{Entitlement, Lease};
use sealpost_manifests::order::{HighestOrders, Order};
use sealpost_manifests::wire::contact::Drift;
use sealpost_manifests::wire::report::Report;
use sealpost_site::changes::tries::Reported;
use sealpost_site::changes::{ActivityEntry, Change, EnrolledBy, Recreated};
use sealpost_site::rules::reports::ReportEffect;

use super::connection::execute;
use super::deliveries;
use super::values::{integer, json, micros, optional_from_json};
use crate::store::StoreError;

/// Applies a change of a computer.
pub(super) fn apply(connection: &Connection, entry: &ActivityEntry) -> Result<(), StoreError> {
    match &entry.change {
        Change::SeatReserved { name, channel, serial } => {
            execute(connection, "DELETE FROM pending WHERE name = ?1", [name.as_str()])?;
            seat_taken(connection, entry, name, channel, serial)
        }
        Change::SetupIssued { name, setup, expires_at } => execute(
            connection,
            "INSERT INTO setups (name, setup, issued_at, expires_at) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (name) DO UPDATE SET setup = ?2, issued_at = ?3, expires_at = ?4, used_by = NULL, admitted_key = NULL",
            params![name.as_str(), setup.as_str(), micros(entry.at), micros(*expires_at)],
        ),
        Change::ClientEnrolled { .. } => client_enrolled(connection, entry),
        Change::UnknownComputerSeen { name, source, drops } => {
            if let Some(dropped) = drops {
                execute(connection, "DELETE FROM pending WHERE name = ?1", [dropped.as_str()])?;
            }
            execute(
                connection,
                "INSERT INTO pending (name, source, seen_at, sequence) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (name) DO UPDATE SET source = ?2, seen_at = ?3, sequence = ?4",
                params![name.as_str(), source, micros(entry.at), integer(entry.sequence)],
            )
        }
        Change::LeaseIssued { client_id, order, entitlements } => {
            lease_issued(connection, client_id, *order, entitlements)?;
            seats_leased(connection, client_id, entitlements)
        }
        Change::AssignmentChanged { client_id, order, packages, deliveries: steps, .. } => {
            assignment_changed(connection, client_id, *order, packages)?;
            steps.iter().try_for_each(|step| deliveries::moved_on(connection, entry, client_id, step))
        }
        Change::StepReported { client_id, report, effect, delivery } => {
            step_reported(connection, client_id, report, *effect)?;
            let reported = Reported::of(report, *effect);
            deliveries::reported(connection, entry, client_id, reported.as_ref(), delivery.as_ref())
        }
        Change::ForkDetected { client_id } => {
            execute(connection, "UPDATE clients SET forked = 1 WHERE client_id = ?1", [client_id.as_str()])
        }
        Change::LogForkReported { client_id, held, seen } => execute(
            connection,
            "INSERT OR REPLACE INTO log_forks (client_id, held_size, held_root, seen_size, seen_root, at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                client_id.as_str(),
                integer(held.size),
                held.root.to_string(),
                integer(seen.size),
                seen.root.to_string(),
                micros(entry.at)
            ],
        ),
        Change::ClientResumed { .. } => client_resumed(connection, entry),
        Change::ChannelChanged { name, channel } => execute(
            connection,
            "UPDATE computers SET channel = ?2 WHERE name = ?1",
            [name.as_str(), channel.as_str()],
        ),
        Change::DriftReported { client_id, drift } => drift_reported(connection, entry, client_id, drift),
        Change::ServerInitialized { .. }
        | Change::SerialRegistered { .. }
        | Change::GrantAccepted { .. }
        | Change::LedgerRestored { .. }
        | Change::RestoreAcknowledged { .. }
        | Change::MetadataPulled { .. }
        | Change::PullFailed { .. }
        | Change::ReleaseStaged { .. }
        | Change::ReleaseRefused { .. }
        | Change::ReleaseChannelsChanged { .. }
        | Change::CounterReset { .. }
        | Change::DeltaMade { .. }
        | Change::ReleaseTestLoaded(_)
        | Change::ReleaseApproved { .. }
        | Change::ReleaseRejected { .. }
        | Change::ReleaseWithdrawn { .. }
        | Change::Refused { .. }
        | Change::AdminTokenMade { .. }
        | Change::AdminTokenUsed { .. }
        | Change::AdminTokenRevoked { .. }
        | Change::ServerOperated { .. }
        | Change::ServerStarted { .. }
        | Change::ServerListChanged { .. }
        | Change::ReleaseHalted { .. }
        | Change::ReleaseReconsidered { .. }
        | Change::SettingsChanged { .. }
        | Change::GroupMembersChanged { .. }
        | Change::RingOpened { .. }
        | Change::RolloutCompleted { .. }
        | Change::RolloutPaused { .. }
        | Change::RolloutResumed { .. }
        | Change::RolloutEdited { .. }
        | Change::DeliveriesChanged { .. }
        | Change::ReleaseMandatoryChanged { .. }
        | Change::ReleaseRetried { .. }
        | Change::AccountAdded(_)
        | Change::AccountDisabled(_)
        | Change::AccountEnabled(_)
        | Change::AdminTokenConfirmed(_)
        | Change::ProposalMade(_)
        | Change::ProposalEnded(_)
        | Change::ReleaseDeferred(_)
        | Change::ComputerKnocked(_)
        | Change::ComputerAdmitted(_)
        | Change::CopySeen(_)
        | Change::CopyResolved(_)
        | Change::ScheduleChanged(_)
        | Change::InstallTried(_) => Ok(()),
    }
}

/// A name takes a seat; the first one makes it known, with its channel.
fn seat_taken(
    connection: &Connection,
    entry: &ActivityEntry,
    name: &ComputerName,
    channel: &ChannelName,
    serial: &SerialNumber,
) -> Result<(), StoreError> {
    computer_known(connection, entry, name, channel)?;
    execute(
        connection,
        "INSERT INTO reservations (name, serial, reserved_at) VALUES (?1, ?2, ?3)",
        params![name.as_str(), serial.as_str(), micros(entry.at)],
    )?;
    execute(
        connection,
        "UPDATE grants SET used = used + 1, active = active + EXISTS (SELECT 1 FROM clients WHERE name = ?2) \
         WHERE serial = ?1",
        [serial.as_str(), name.as_str()],
    )
}

fn computer_known(
    connection: &Connection,
    entry: &ActivityEntry,
    name: &ComputerName,
    channel: &ChannelName,
) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO computers (name, channel, reserved_at) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO NOTHING",
        params![name.as_str(), channel.as_str(), micros(entry.at)],
    )
}

fn client_enrolled(connection: &Connection, entry: &ActivityEntry) -> Result<(), StoreError> {
    let Change::ClientEnrolled {
        client_id,
        name,
        client_key,
        sealing_key,
        platform,
        agent_version,
        replaces,
        by,
        ..
    } = &entry.change
    else {
        return Ok(());
    };
    make_room(connection, entry, name, replaces.as_ref())?;
    // The id of before is the one that the copy goes on using which was not kept.
    if let (EnrolledBy::Copy, Some(replaced)) = (by, replaces) {
        let sql = "UPDATE former_clients SET given_up = 1 WHERE client_id = ?1";
        execute(connection, sql, [replaced.as_str()])?;
    }
    // It is here: nobody waits for it any more.
    execute(connection, "DELETE FROM knocks WHERE name = ?1", [name.as_str()])?;
    execute(connection, "DELETE FROM schedules WHERE name = ?1", [name.as_str()])?;
    execute(
        connection,
        "INSERT INTO clients (client_id, name, client_key, sealing_key, platform, agent_version, enrolled_at, era) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, (SELECT era FROM server))",
        params![
            client_id.as_str(),
            name.as_str(),
            client_key.to_base64(),
            sealing_key.to_string(),
            platform.as_str(),
            agent_version,
            micros(entry.at)
        ],
    )?;
    // A copy that goes on proved no setup: what was issued since for its name is there for whom it was issued.
    if *by == EnrolledBy::Copy {
        return Ok(());
    }
    execute(
        connection,
        "UPDATE setups SET used_by = ?2 WHERE name = ?1",
        params![name.as_str(), client_id.as_str()],
    )
}

/// A name gets a client: the one before is forgotten, or its seats become active ones.
fn make_room(
    connection: &Connection,
    entry: &ActivityEntry,
    name: &ComputerName,
    replaces: Option<&ClientId>,
) -> Result<(), StoreError> {
    match replaces {
        Some(replaced) => forget_client(connection, entry, replaced, name),
        None => execute(
            connection,
            "UPDATE grants SET active = active + 1 WHERE serial IN (SELECT serial FROM reservations WHERE name = ?1)",
            [name.as_str()],
        ),
    }
}

/// Rows and notes of a client that was replaced; its id stays known as one that counts no more.
fn forget_client(
    connection: &Connection,
    entry: &ActivityEntry,
    client_id: &ClientId,
    name: &ComputerName,
) -> Result<(), StoreError> {
    deliveries::forget(connection, entry, client_id)?;
    for sql in [
        "DELETE FROM clients WHERE client_id = ?1",
        "DELETE FROM assigned WHERE client_id = ?1",
        "DELETE FROM last_reports WHERE client_id = ?1",
        "DELETE FROM attempts WHERE client_id = ?1",
        "DELETE FROM drifts WHERE client_id = ?1",
        "DELETE FROM copies WHERE client_id = ?1",
        "DELETE FROM log_forks WHERE client_id = ?1",
        "DELETE FROM contacts WHERE client_id = ?1",
        "DELETE FROM seen WHERE client_id = ?1",
        "DELETE FROM installed WHERE client_id = ?1",
        "DELETE FROM sent WHERE client_id = ?1",
    ] {
        execute(connection, sql, [client_id.as_str()])?;
    }
    // The setup that it used is used for good: without its row nobody else can use it either.
    execute(
        connection,
        "DELETE FROM setups WHERE name = ?1 AND used_by = ?2",
        [name.as_str(), client_id.as_str()],
    )?;
    execute(
        connection,
        "INSERT OR REPLACE INTO former_clients (client_id, name, sequence) VALUES (?1, ?2, ?3)",
        params![client_id.as_str(), name.as_str(), integer(entry.sequence)],
    )
}

fn lease_issued(
    connection: &Connection,
    client_id: &ClientId,
    order: Order,
    entitlements: &[Entitlement],
) -> Result<(), StoreError> {
    let until = entitlements.iter().map(|entitlement| entitlement.not_after).max();
    execute(
        connection,
        "UPDATE clients SET lease_epoch = ?2, lease_sequence = ?3, lease_until = ?4 WHERE client_id = ?1",
        params![client_id.as_str(), integer(order.epoch.0), integer(order.sequence), until.map(micros)],
    )
}

/// From now on these seats are held: a computer that is set up again under the name takes no new license.
fn seats_leased(
    connection: &Connection,
    client_id: &ClientId,
    entitlements: &[Entitlement],
) -> Result<(), StoreError> {
    entitlements.iter().try_for_each(|entitlement| {
        execute(
            connection,
            "UPDATE reservations SET leased = 1 WHERE serial = ?2 AND leased = 0 \
             AND name = (SELECT name FROM clients WHERE client_id = ?1)",
            [client_id.as_str(), entitlement.serial.as_str()],
        )
    })
}

/// All that a client says is not as it was signed; what it said before and says again keeps its time.
fn drift_reported(
    connection: &Connection,
    entry: &ActivityEntry,
    client_id: &ClientId,
    drift: &[Drift],
) -> Result<(), StoreError> {
    let packages: Vec<&str> = drift.iter().map(|drift| drift.package.as_str()).collect();
    execute(
        connection,
        "DELETE FROM drifts WHERE client_id = ?1 AND package NOT IN (SELECT value FROM json_each(?2))",
        params![client_id.as_str(), json(&packages)?],
    )?;
    drift.iter().try_for_each(|drift| {
        execute(
            connection,
            "INSERT INTO drifts (client_id, package, kind, since) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (client_id, package) DO UPDATE SET kind = ?3, \
             since = CASE WHEN kind = ?3 THEN since ELSE ?4 END",
            params![client_id.as_str(), drift.package.as_str(), drift.kind.to_string(), micros(entry.at)],
        )
    })
}

fn assignment_changed(
    connection: &Connection,
    client_id: &ClientId,
    order: Order,
    packages: &[PackageAssignment],
) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE clients SET assignment_epoch = ?2, assignment_sequence = ?3 WHERE client_id = ?1",
        params![client_id.as_str(), integer(order.epoch.0), integer(order.sequence)],
    )?;
    execute(connection, "DELETE FROM assigned WHERE client_id = ?1", [client_id.as_str()])?;
    for told in packages {
        execute(
            connection,
            "INSERT OR REPLACE INTO assigned (client_id, package, manifest, told) VALUES (?1, ?2, ?3, ?4)",
            params![
                client_id.as_str(),
                told.release.package.as_str(),
                told.manifest.to_string(),
                json(told)?
            ],
        )?;
    }
    Ok(())
}

fn step_reported(
    connection: &Connection,
    client_id: &ClientId,
    report: &Report,
    effect: ReportEffect,
) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE clients SET acknowledged_report = max(acknowledged_report, ?2) WHERE client_id = ?1",
        params![client_id.as_str(), integer(report.id)],
    )?;
    let failed = match effect {
        ReportEffect::Unlisted => return Ok(()),
        ReportEffect::Progress => false,
        ReportEffect::Failure => true,
    };
    execute(
        connection,
        "INSERT OR REPLACE INTO last_reports (client_id, package, manifest, failed, report) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            client_id.as_str(),
            report.release.package.as_str(),
            report.manifest.to_string(),
            failed,
            json(report)?
        ],
    )
}

fn client_resumed(connection: &Connection, entry: &ActivityEntry) -> Result<(), StoreError> {
    let Change::ClientResumed {
        client_id,
        name,
        era,
        contacts,
        shown,
        provisional_until,
        recreated,
        displaces,
        ..
    } = &entry.change
    else {
        return Ok(());
    };
    if let Some(recreated) = recreated {
        recreate(connection, entry, client_id, name, recreated)?;
    }
    execute(
        connection,
        "UPDATE clients SET resumed_era = ?2, resumed_at = ?3, resumed_contacts = ?4, provisional_until = ?5, \
         displaced_contacts = ?6 WHERE client_id = ?1",
        params![
            client_id.as_str(),
            era.as_str(),
            micros(entry.at),
            integer(*contacts),
            micros(*provisional_until),
            displaces.as_ref().map(|displaced| integer(displaced.contacts)),
        ],
    )?;
    raise_orders(connection, client_id, shown)
}

/// Makes again what the ledger lost: the name, its seats, and the client if it is not here.
fn recreate(
    connection: &Connection,
    entry: &ActivityEntry,
    client_id: &ClientId,
    name: &ComputerName,
    recreated: &Recreated,
) -> Result<(), StoreError> {
    computer_known(connection, entry, name, &recreated.channel)?;
    let known = connection
        .prepare_cached("SELECT 1 FROM clients WHERE client_id = ?1")?
        .exists([client_id.as_str()])?;
    if !known {
        make_room(connection, entry, name, recreated.replaces.as_ref())?;
        execute(
            connection,
            "INSERT INTO clients (client_id, name, client_key, platform, agent_version, enrolled_at, era, resumed_head) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT era FROM server), ?7)",
            params![
                client_id.as_str(),
                name.as_str(),
                recreated.client_key.to_base64(),
                recreated.platform.as_str(),
                recreated.agent_version,
                micros(entry.at),
                integer(recreated.head),
            ],
        )?;
        // It enrolled in the part that was lost. A code that was good before the restore counts as the one that it used,
        // or whoever kept the setup file could use it once more and take the name.
        execute(
            connection,
            "UPDATE setups SET used_by = ?2 WHERE name = ?1 AND used_by IS NULL \
             AND issued_at <= (SELECT restored_at FROM server)",
            [name.as_str(), client_id.as_str()],
        )?;
    }
    for serial in &recreated.serials {
        seat_taken(connection, entry, name, &recreated.channel, serial)?;
    }
    Ok(())
}

/// Everything new starts above what was shown.
fn raise_orders(
    connection: &Connection,
    client_id: &ClientId,
    shown: &HighestOrders,
) -> Result<(), StoreError> {
    let mut others: HighestOrders = connection
        .prepare_cached("SELECT other_orders FROM clients WHERE client_id = ?1")?
        .query_row([client_id.as_str()], |row| optional_from_json(row, 0))
        .optional()?
        .flatten()
        .unwrap_or_default();
    for (kind, order) in shown {
        let columns = match kind.as_str() {
            Lease::TYPE => "lease",
            Assignment::TYPE => "assignment",
            _ => {
                let known = others.entry(*kind).or_insert(*order);
                *known = (*known).max(*order);
                continue;
            }
        };
        execute(
            connection,
            &format!(
                "UPDATE clients SET {columns}_epoch = ?2, {columns}_sequence = ?3 WHERE client_id = ?1 AND \
                 ({columns}_epoch IS NULL OR ({columns}_epoch, {columns}_sequence) < (?2, ?3))"
            ),
            params![client_id.as_str(), integer(order.epoch.0), integer(order.sequence)],
        )?;
    }
    if others.is_empty() {
        return Ok(());
    }
    execute(
        connection,
        "UPDATE clients SET other_orders = ?2 WHERE client_id = ?1",
        params![client_id.as_str(), json(&others)?],
    )
}
