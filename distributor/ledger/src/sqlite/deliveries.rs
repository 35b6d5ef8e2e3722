//! What becomes of rollouts on computers: one row for each computer that was told, and the counts of its ring with it.
//!
//! Invariant: the counts of a ring are the number of its deliveries in each state, because both move together. What a report
//! leaves goes into the statement that moves its delivery on, where there is one.

use rusqlite::{Connection, OptionalExtension, named_params, params};
use sealpost_manifests::ids::ClientId;
use sealpost_site::changes::tries::Reported;
use sealpost_site::changes::{ActivityEntry, DeliveryStep};
use sealpost_site::rules::rollouts::progress::DeliveryState;

use super::connection::execute;
use super::values::{count, from_word, integer, micros};
use crate::store::StoreError;

/// What a report leaves in the row of its delivery. `Reported::add_to` of the site says the same in Rust.
macro_rules! leaves_sql {
    () => {
        "way = coalesce(:way, way), \
     bytes = CASE WHEN :bytes IS NULL THEN bytes \
     ELSE min(coalesce(bytes, 0), 9223372036854775807 - :bytes) + :bytes END, \
     tries = max(tries + :begins, :tried), \
     failed_step = CASE WHEN :step IS NULL OR (:beside AND state = 'failed') THEN failed_step ELSE :step END, \
     failed_reason = CASE WHEN :step IS NULL OR (:beside AND state = 'failed') THEN failed_reason ELSE :reason END, \
     failed_detail = CASE WHEN :step IS NULL OR (:beside AND state = 'failed') THEN failed_detail ELSE :detail END"
    };
}

/// What became of a rollout on one computer, and the counts of its ring with it.
pub(super) fn moved_on(
    connection: &Connection,
    entry: &ActivityEntry,
    client_id: &ClientId,
    step: &DeliveryStep,
) -> Result<(), StoreError> {
    moved_on_with(connection, entry, client_id, step, None)
}

/// A report leaves something with the delivery that its entry moves on, else with the newest one of its release there.
pub(super) fn reported(
    connection: &Connection,
    entry: &ActivityEntry,
    client_id: &ClientId,
    reported: Option<&Reported>,
    step: Option<&DeliveryStep>,
) -> Result<(), StoreError> {
    match (step, reported) {
        (Some(step), reported) => moved_on_with(connection, entry, client_id, step, reported),
        (None, Some(reported)) => leaves(connection, client_id, reported),
        (None, None) => Ok(()),
    }
}

fn leaves(connection: &Connection, client_id: &ClientId, reported: &Reported) -> Result<(), StoreError> {
    let Left { way, bytes, begins, tried, step, reason, detail, beside } = Left::of(Some(reported));
    let sql = concat!(
        "UPDATE deliveries SET ",
        leaves_sql!(),
        " WHERE client_id = :client AND rollout = (SELECT rollout FROM deliveries INDEXED BY deliveries_current \
         WHERE client_id = :client AND current = 1 AND manifest = :manifest AND attempt <= :attempt)"
    );
    connection.prepare_cached(sql)?.execute(named_params! {
        ":client": client_id.as_str(),
        ":manifest": reported.manifest.to_string(),
        ":attempt": reported.attempt,
        ":way": way,
        ":bytes": bytes,
        ":begins": begins,
        ":tried": tried,
        ":step": step,
        ":reason": reason,
        ":detail": detail,
        ":beside": beside,
    })?;
    Ok(())
}

fn moved_on_with(
    connection: &Connection,
    entry: &ActivityEntry,
    client_id: &ClientId,
    step: &DeliveryStep,
    reported: Option<&Reported>,
) -> Result<(), StoreError> {
    let DeliveryStep { rollout, ring, after, attempt, .. } = step;
    // What stands there and not what the step says: a computer that was told something else meanwhile counts once too.
    let known: Option<(u32, DeliveryState, u32)> = connection
        .prepare_cached("SELECT ring, state, attempt FROM deliveries WHERE client_id = ?1 AND rollout = ?2")?
        .query_row(params![client_id.as_str(), integer(*rollout)], |row| {
            Ok((row.get(0)?, from_word(row, 1)?, row.get(2)?))
        })
        .optional()?;
    let before = known.map(|(_, before, told)| (before, told));
    let tells = after.tells_anew(before, *attempt);
    if tells {
        told(connection, entry, client_id, step)?;
    } else {
        goes_on(connection, entry, client_id, step, reported)?;
    }
    match known {
        Some((told_in, before, _)) if !tells || told_in == *ring => {
            moved(connection, *rollout, told_in, Some(before), Some(*after))?;
        }
        Some((told_in, before, _)) => {
            moved(connection, *rollout, told_in, Some(before), None)?;
            moved(connection, *rollout, *ring, None, Some(*after))?;
        }
        None if tells => moved(connection, *rollout, *ring, None, Some(*after))?,
        // Nobody told it.
        None => {}
    }
    if after.counts_in_hour(before, *attempt) {
        execute(
            connection,
            "UPDATE rings SET told_in_hour = CASE hour WHEN ?3 THEN told_in_hour + 1 ELSE 1 END, hour = ?3 \
             WHERE rollout = ?1 AND ring = ?2",
            params![integer(*rollout), ring, entry.at.as_second().div_euclid(3600)],
        )?;
    }
    Ok(())
}

/// The computer is told, or told anew: what it tried before stays.
fn told(
    connection: &Connection,
    entry: &ActivityEntry,
    client_id: &ClientId,
    step: &DeliveryStep,
) -> Result<(), StoreError> {
    let DeliveryStep { rollout, package, ring, after, attempt, silence_secs, waits_since, .. } = step;
    execute(
        connection,
        "UPDATE deliveries SET current = 0 WHERE client_id = ?1 AND package = ?2 AND current = 1",
        [client_id.as_str(), package.as_str()],
    )?;
    execute(
        connection,
        "INSERT INTO deliveries (client_id, rollout, name, package, manifest, ring, state, attempt, told_at, \
         since, silence_secs, current) SELECT ?1, ?2, c.name, ?3, r.manifest, ?4, ?5, ?6, ?9, ?7, ?8, 1 \
         FROM clients c, rollouts r WHERE c.client_id = ?1 AND r.number = ?2 \
         ON CONFLICT (client_id, rollout) DO UPDATE SET ring = ?4, state = ?5, attempt = ?6, told_at = ?9, \
         since = ?7, silence_secs = ?8, current = 1",
        params![
            client_id.as_str(),
            integer(*rollout),
            package.as_str(),
            ring,
            after.as_str(),
            attempt,
            micros(entry.at),
            silence_secs.unwrap_or(0),
            micros(waits_since.unwrap_or(entry.at)),
        ],
    )
}

/// What was told goes on, or ends.
fn goes_on(
    connection: &Connection,
    entry: &ActivityEntry,
    client_id: &ClientId,
    moves: &DeliveryStep,
    reported: Option<&Reported>,
) -> Result<(), StoreError> {
    let Left { way, bytes, begins, tried, step, reason, detail, beside } = Left::of(reported);
    let sql = concat!(
        "UPDATE deliveries SET state = :after, since = :since, silence_secs = coalesce(:silence, silence_secs), ",
        leaves_sql!(),
        " WHERE client_id = :client AND rollout = :rollout"
    );
    connection.prepare_cached(sql)?.execute(named_params! {
        ":client": client_id.as_str(),
        ":rollout": integer(moves.rollout),
        ":after": moves.after.as_str(),
        ":since": micros(entry.at),
        ":silence": moves.silence_secs,
        ":way": way,
        ":bytes": bytes,
        ":begins": begins,
        ":tried": tried,
        ":step": step,
        ":reason": reason,
        ":detail": detail,
        ":beside": beside,
    })?;
    Ok(())
}

/// What a report leaves, as columns have it.
#[derive(Default)]
struct Left<'a> {
    way: Option<String>,
    bytes: Option<i64>,
    begins: bool,
    tried: bool,
    step: Option<String>,
    reason: Option<String>,
    detail: Option<&'a str>,
    beside: bool,
}

impl<'a> Left<'a> {
    fn of(reported: Option<&'a Reported>) -> Self {
        let Some(reported) = reported else { return Self::default() };
        let failed = reported.failed.as_ref();
        Self {
            way: reported.way.map(|way| way.to_string()),
            bytes: reported.bytes.map(integer),
            begins: reported.begins,
            tried: true,
            step: failed.map(|failed| failed.step.to_string()),
            reason: failed.map(|failed| failed.reason.to_string()),
            detail: failed.map(|failed| failed.detail.as_str()),
            beside: reported.beside,
        }
    }
}

/// A computer of a ring leaves a state, enters one, or both.
fn moved(
    connection: &Connection,
    rollout: u64,
    ring: u32,
    leaves: Option<DeliveryState>,
    enters: Option<DeliveryState>,
) -> Result<(), StoreError> {
    let mut changes = Vec::new();
    match (leaves.map(DeliveryState::as_str), enters.map(DeliveryState::as_str)) {
        (Some(left), Some(entered)) if left == entered => {
            changes.push(format!("{left} = max({left} - 1, 0) + 1"));
        }
        (left, entered) => {
            changes.extend(left.map(|left| format!("{left} = max({left} - 1, 0)")));
            changes.extend(entered.map(|entered| format!("{entered} = {entered} + 1")));
        }
    }
    // No more failures are forgiven than there are without it.
    if matches!(leaves, Some(DeliveryState::Failed | DeliveryState::Silent)) {
        changes.push("forgiven = min(forgiven, max(failed + silent - 1, 0))".to_owned());
    }
    execute(
        connection,
        &format!("UPDATE rings SET {} WHERE rollout = ?1 AND ring = ?2", changes.join(", ")),
        params![integer(rollout), ring],
    )
}

/// A client that was replaced works on nothing any more; what it finished stays counted.
pub(super) fn forget(
    connection: &Connection,
    entry: &ActivityEntry,
    client_id: &ClientId,
) -> Result<(), StoreError> {
    let under_way: Vec<(u64, u32, DeliveryState)> = connection
        .prepare_cached(
            "SELECT rollout, ring, state FROM deliveries WHERE client_id = ?1 \
             AND state IN ('offered', 'told', 'begun')",
        )?
        .query_map([client_id.as_str()], |row| Ok((count(row, 0)?, row.get(1)?, from_word(row, 2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (rollout, ring, state) in under_way {
        moved(connection, rollout, ring, Some(state), Some(DeliveryState::Dropped))?;
    }
    execute(
        connection,
        "UPDATE deliveries SET current = 0, since = CASE WHEN state IN ('offered', 'told', 'begun') THEN ?2 ELSE since END, \
         state = CASE WHEN state IN ('offered', 'told', 'begun') THEN ?3 ELSE state END WHERE client_id = ?1",
        params![client_id.as_str(), micros(entry.at), DeliveryState::Dropped.as_str()],
    )
}
