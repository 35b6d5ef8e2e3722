//! What changes of settings and rollouts do to their rows; of what becomes of them on computers: [`super::deliveries`].
//!
//! Invariant: `plan.version` rises with whatever a [`Plan`](sealpost_site::rules::rollouts::plan::Plan) is made of.

use rusqlite::{Connection, params};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_site::changes::{ActivityEntry, Change, StagedRollout};
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::rollouts::progress::{RolloutState, StateChange};
use sealpost_site::rules::rollouts::settings::SettingChange;
use sealpost_site::rules::rollouts::strategy::Strategy;

use super::connection::execute;
use super::deliveries;
use super::values::{integer, json, micros};
use crate::store::StoreError;

/// Applies a change of settings or of a rollout.
pub(super) fn apply(connection: &Connection, entry: &ActivityEntry) -> Result<(), StoreError> {
    match &entry.change {
        Change::SettingsChanged { changes, .. } => {
            changes.iter().try_for_each(|change| setting(connection, change))?;
            replan(connection, entry)
        }
        Change::GroupMembersChanged { group, added, removed, .. } => {
            members(connection, group, added, removed)
        }
        Change::RingOpened { rollout, ring, below, .. } => {
            execute(
                connection,
                "UPDATE rings SET opened_at = ?3, below = ?4 WHERE rollout = ?1 AND ring = ?2",
                params![integer(*rollout), ring, micros(entry.at), below.map(|below| below.to_string())],
            )?;
            replan(connection, entry)
        }
        Change::RolloutCompleted { rollout, .. } => {
            state(connection, entry, *rollout, RolloutState::Completed, "")?;
            replan(connection, entry)
        }
        Change::RolloutPaused { rollout, comment, .. } => {
            state(connection, entry, *rollout, RolloutState::Paused, comment)?;
            replan(connection, entry)
        }
        Change::RolloutResumed { rollout, forgiven, comment, .. } => {
            state(connection, entry, *rollout, RolloutState::Running, comment)?;
            for (ring, forgiven) in (0_u32..).zip(forgiven) {
                execute(
                    connection,
                    "UPDATE rings SET forgiven = ?3 WHERE rollout = ?1 AND ring = ?2",
                    params![integer(*rollout), ring, integer(*forgiven)],
                )?;
            }
            replan(connection, entry)
        }
        Change::RolloutEdited { rollout, strategy, plan, emergency, .. } => {
            execute(
                connection,
                "UPDATE rollouts SET strategy_name = ?2, strategy = ?3, emergency = ?4 WHERE number = ?1",
                params![integer(*rollout), strategy.as_str(), json(plan)?, emergency],
            )?;
            rings(connection, *rollout, plan, true)?;
            execute(
                connection,
                "DELETE FROM rings WHERE rollout = ?1 AND ring >= ?2",
                params![integer(*rollout), integer(plan.rings().len() as u64)],
            )?;
            replan(connection, entry)
        }
        Change::DeliveriesChanged { computers, .. } => computers
            .iter()
            .try_for_each(|of| deliveries::moved_on(connection, entry, &of.client_id, &of.step)),
        _ => Ok(()),
    }
}

/// Whatever a plan is made of changed with this entry.
pub(super) fn replan(connection: &Connection, entry: &ActivityEntry) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO plan (id, version) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET version = ?1",
        [integer(entry.sequence)],
    )
}

/// A consequence for what a plan may show. Before there is a rollout, a setting or a mandatory release, no plan shows anything,
/// and a log of before these makes no row.
pub(super) fn replan_again(connection: &Connection, entry: &ActivityEntry) -> Result<(), StoreError> {
    execute(connection, "UPDATE plan SET version = ?1", [integer(entry.sequence)])
}

/// A plan shows mandatory and superseded releases as they are, besides those that its rollouts bring.
pub(super) fn replan_if_shown(
    connection: &Connection,
    entry: &ActivityEntry,
    manifest: &Sha256Digest,
) -> Result<(), StoreError> {
    let shown = connection
        .prepare_cached("SELECT 1 FROM releases WHERE manifest = ?1 AND (mandatory = 1 OR state = ?2)")?
        .exists(params![manifest.to_string(), ReleaseState::Superseded.as_str()])?;
    if shown { replan_again(connection, entry) } else { Ok(()) }
}

fn setting(connection: &Connection, change: &SettingChange) -> Result<(), StoreError> {
    let (kind, name) = (change.key.kind.as_str(), change.key.name.as_str());
    match &change.value {
        Some(value) => execute(
            connection,
            "INSERT OR REPLACE INTO settings (kind, name, value) VALUES (?1, ?2, ?3)",
            params![kind, name, json(value)?],
        ),
        None => execute(connection, "DELETE FROM settings WHERE kind = ?1 AND name = ?2", [kind, name]),
    }
}

fn members(
    connection: &Connection,
    group: &GroupName,
    added: &[ComputerName],
    removed: &[ComputerName],
) -> Result<(), StoreError> {
    let each = |sql: &str, names: &[ComputerName]| {
        names.iter().try_for_each(|name| execute(connection, sql, [name.as_str(), group.as_str()]))
    };
    each("INSERT OR IGNORE INTO group_members (name, of_group) VALUES (?1, ?2)", added)?;
    each("DELETE FROM group_members WHERE name = ?1 AND of_group = ?2", removed)
}

/// A release goes out: a new rollout, or one that goes on with further channels.
pub(super) fn begun(
    connection: &Connection,
    entry: &ActivityEntry,
    number: u64,
    manifest: &Sha256Digest,
    staged: &StagedRollout,
) -> Result<(), StoreError> {
    let StagedRollout { strategy, plan, channels, emergency, complete } = staged;
    let begins = if *complete { RolloutState::Completed } else { RolloutState::Running };
    execute(
        connection,
        "INSERT INTO rollouts (number, manifest, channels, strategy_name, strategy, emergency, state, started_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
         ON CONFLICT (number) DO UPDATE SET channels = ?3, emergency = ?6",
        params![
            integer(number),
            manifest.to_string(),
            json(channels)?,
            strategy.as_str(),
            json(plan)?,
            emergency,
            begins.as_str(),
            micros(entry.at),
        ],
    )?;
    rings(connection, number, plan, !complete)?;
    if *complete {
        execute(
            connection,
            "UPDATE rings SET opened_at = ?2 WHERE rollout = ?1",
            params![integer(number), micros(entry.at)],
        )?;
    }
    execute(
        connection,
        "UPDATE releases SET rolling_out = ?2 WHERE manifest = ?1",
        params![manifest.to_string(), if *complete { None } else { Some(json(channels)?) }],
    )?;
    replan(connection, entry)
}

fn rings(connection: &Connection, number: u64, plan: &Strategy, live: bool) -> Result<(), StoreError> {
    (0_u32..).zip(plan.rings()).try_for_each(|(ring, _)| {
        execute(
            connection,
            "INSERT OR IGNORE INTO rings (rollout, ring, live) VALUES (?1, ?2, ?3)",
            params![integer(number), ring, live],
        )
    })
}

/// The rollouts of a release end with it; of one that a newer release had replaced too, so that none of them goes on. A
/// second halt says nothing of an older one that was halted before.
pub(super) fn ended(
    connection: &Connection,
    entry: &ActivityEntry,
    manifest: &Sha256Digest,
    ends: RolloutState,
    why: &str,
) -> Result<(), StoreError> {
    let numbers: Vec<i64> = connection
        .prepare_cached(
            "SELECT number FROM rollouts WHERE manifest = ?1 \
             AND (state IN ('running', 'paused', 'completed', 'superseded') OR (state = 'halted' AND (?2 \
             OR number = (SELECT max(number) FROM rollouts WHERE manifest = ?1)))) ORDER BY number",
        )?
        .query_map(params![manifest.to_string(), ends == RolloutState::Withdrawn], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for number in numbers {
        state(connection, entry, u64::try_from(number).unwrap_or(0), ends, why)?;
    }
    replan_again(connection, entry)
}

/// A newer release took the place of others: their rollouts that still ran end.
pub(super) fn superseded(
    connection: &Connection,
    entry: &ActivityEntry,
    manifests: &[Sha256Digest],
) -> Result<(), StoreError> {
    for manifest in manifests {
        execute(
            connection,
            "UPDATE rings SET live = 0 WHERE rollout IN \
             (SELECT number FROM rollouts WHERE manifest = ?1 AND state IN ('running', 'paused'))",
            [manifest.to_string()],
        )?;
        execute(
            connection,
            "UPDATE rollouts SET superseded_from = state, state = ?2, changed = ?3 \
             WHERE manifest = ?1 AND state IN ('running', 'paused')",
            params![
                manifest.to_string(),
                RolloutState::Superseded.as_str(),
                json(&StateChange { at: entry.at, by: entry.actor.clone(), why: String::new() })?
            ],
        )?;
    }
    Ok(())
}

/// Releases that newer ones had replaced are approved again: their rollouts go on where they were.
pub(super) fn restored(
    connection: &Connection,
    entry: &ActivityEntry,
    manifests: &[Sha256Digest],
) -> Result<(), StoreError> {
    for manifest in manifests {
        execute(
            connection,
            "UPDATE rings SET live = 1 WHERE rollout IN \
             (SELECT number FROM rollouts WHERE manifest = ?1 AND state = ?2)",
            params![manifest.to_string(), RolloutState::Superseded.as_str()],
        )?;
        execute(
            connection,
            "UPDATE rollouts SET state = superseded_from, superseded_from = NULL, changed = ?3 \
             WHERE manifest = ?1 AND state = ?2",
            params![
                manifest.to_string(),
                RolloutState::Superseded.as_str(),
                json(&StateChange { at: entry.at, by: entry.actor.clone(), why: String::new() })?
            ],
        )?;
    }
    Ok(())
}

fn state(
    connection: &Connection,
    entry: &ActivityEntry,
    number: u64,
    state: RolloutState,
    why: &str,
) -> Result<(), StoreError> {
    let changed = StateChange { at: entry.at, by: entry.actor.clone(), why: why.to_owned() };
    execute(
        connection,
        "UPDATE rollouts SET state = ?2, changed = ?3 WHERE number = ?1",
        params![integer(number), state.as_str(), json(&changed)?],
    )?;
    execute(
        connection,
        "UPDATE rings SET live = ?2 WHERE rollout = ?1",
        params![integer(number), state.is_live()],
    )
}
