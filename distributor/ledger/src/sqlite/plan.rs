//! The plan, and the rollouts with what became of their computers.
//!
//! Invariant: a plan is read again only when its version is another one than that of the plan that is known.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, PackageName};
use sealpost_manifests::version::ReleaseCounter;
use sealpost_site::rules::release::KnownRelease;
use sealpost_site::rules::rollouts::plan::{Delivery, LiveRings, Plan};
use sealpost_site::rules::rollouts::progress::{DeliveryState, RingCounts, RingProgress, RingState, Rollout};
use sealpost_site::rules::rollouts::settings::{SettingChange, SettingKey, Settings};

use super::approvals::approvals;
use super::lists::releases::{known_release, release_id, replaced_of, waypoints};
use super::plan_cache::PlanCache;
use super::values::{
    count, from_json, from_word, integer, optional_from_json, optional_text, optional_time, text, time,
    unreadable,
};
use crate::store::StoreError;

/// What `bare` reads.
macro_rules! rollout_columns {
    () => {
        "o.number, o.manifest, r.package, r.version, r.platform, r.counter, r.kind, o.channels, \
     o.strategy_name, o.strategy, o.emergency, o.state, o.started_at, o.changed"
    };
}

/// The plan of a version.
pub(super) fn plan_of(
    known: &PlanCache,
    connection: &Connection,
    version: u64,
) -> Result<Arc<Plan>, StoreError> {
    if let Some(plan) = known.of(version) {
        return Ok(plan);
    }
    let plan = Arc::new(read(connection, version)?);
    known.keep(&plan);
    Ok(plan)
}

/// The plan as it is now.
pub(super) fn plan_now(known: &PlanCache, connection: &Connection) -> Result<Arc<Plan>, StoreError> {
    let version = version(connection)?;
    plan_of(known, connection, version)
}

fn version(connection: &Connection) -> rusqlite::Result<u64> {
    let found = connection
        .prepare_cached("SELECT version FROM plan")?
        .query_row([], |row| count(row, 0))
        .optional()?;
    Ok(found.unwrap_or(0))
}

fn read(connection: &Connection, version: u64) -> Result<Plan, StoreError> {
    let settings = settings(connection)?;
    let mut rollouts = connection
        .prepare_cached(&format!(
            "{ROLLOUTS} WHERE o.state IN ('running', 'paused') OR r.state = 'approved' ORDER BY o.number"
        ))?
        .query_map([], bare)?
        .collect::<rusqlite::Result<Vec<Rollout>>>()?;
    for rollout in &mut rollouts {
        bare_rings(connection, rollout)?;
    }
    let mut replaced = Vec::new();
    let blocked = settings.blocks.values();
    let everything = blocked.clone().any(|block| block.package.is_none());
    let named = blocked
        .filter_map(|block| block.package.as_ref())
        .chain(settings.pins.values().map(|pin| &pin.package));
    let mut named: Vec<_> = named.collect();
    named.sort();
    named.dedup();
    if everything {
        replaced = replaced_of(connection, None)?;
    } else {
        for package in named {
            replaced.extend(replaced_of(connection, Some(package))?);
        }
    }
    let waypoints = waypoints(connection)?;
    let approvals = approvals(connection)?;
    let plan = Plan { version, settings, rollouts, replaced, waypoints, approvals };
    let delayed = completed_signatures(connection, &plan)?;
    Ok(plan.with_delayed(delayed))
}

/// Without what changes at each contact: see `live_rings`.
fn bare_rings(connection: &Connection, rollout: &mut Rollout) -> rusqlite::Result<()> {
    rollout.rings = rings(connection, rollout)?;
    for ring in &mut rollout.rings {
        ring.counts = RingCounts::default();
        ring.soaked = SignedDuration::ZERO;
    }
    Ok(())
}

/// Superseded signature files whose last rollout is complete, of each package that a delay is set for: as many as computers with
/// the longest one may have to choose from, whatever else is rolled out.
fn completed_signatures(
    connection: &Connection,
    plan: &Plan,
) -> Result<Vec<(KnownRelease, Rollout)>, StoreError> {
    // What was superseded was so by a release that is approved.
    let mut newest: BTreeMap<&PackageName, Timestamp> = BTreeMap::new();
    for rollout in plan.rollouts.iter().filter(|rollout| rollout.is_signatures()) {
        let known = newest.entry(&rollout.release.package).or_insert(rollout.started_at);
        *known = rollout.started_at.max(*known);
    }
    let mut found = Vec::new();
    for (package, newest) in newest {
        let Some(delay) = plan.settings.longest_delay_of(package) else { continue };
        let since = newest.checked_sub(delay).unwrap_or(Timestamp::MIN);
        for mut rollout in completed_of(connection, package, since, lines_of(plan, package))? {
            if let Some(release) = known_release(connection, &rollout.manifest)? {
                bare_rings(connection, &mut rollout)?;
                found.push((release, rollout));
            }
        }
    }
    Ok(found)
}

/// Most signature files of one package and platform that are kept for computers with a delay: more than there are of a vendor
/// who makes one each five minutes, in the longest delay that can be set.
const MAX_DELAYED: usize = 1_000;
/// So many that are older than the longest delay are looked at, beyond those that lead to every channel's last one.
const MORE_LOOKED_AT: usize = 50;
/// Most that are looked at: a channel whose last one lies further back is taken for one without any.
const MAX_LOOKED_AT: u32 = 10_000;

/// Platforms and channels of a package, and whether a signature file was found there that is older than the longest delay.
type Lines = BTreeMap<(String, ChannelName), bool>;

/// Those in which a signature file is the newest: what it superseded may be the only one that a computer can be told, and lie
/// behind any number of others.
fn lines_of(plan: &Plan, package: &PackageName) -> Lines {
    let of_package = |rollout: &&Rollout| rollout.is_signatures() && rollout.release.package == *package;
    let newest = plan.rollouts.iter().filter(of_package);
    let lines = newest.flat_map(|rollout| {
        let platform = rollout.release.platform.to_string();
        rollout.channels.iter().map(move |channel| ((platform.clone(), channel.clone()), false))
    });
    lines.collect()
}

/// Completed rollouts of a package, from the highest counter down: those that began since a time, and of each platform and
/// channel one more.
fn completed_of(
    connection: &Connection,
    package: &PackageName,
    since: Timestamp,
    mut lines: Lines,
) -> Result<Vec<Rollout>, StoreError> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        rollout_columns!(),
        " FROM releases r INDEXED BY releases_in_order CROSS JOIN rollouts o ON o.number = r.rollout WHERE r.package = ?1 \
         AND r.state = 'superseded' AND r.kind = 'signatures' AND o.state = 'completed' AND o.manifest = r.manifest \
         ORDER BY r.counter DESC LIMIT ?2"
    ))?;
    let mut rows = statement.query(params![package.as_str(), MAX_LOOKED_AT])?;
    let (mut found, mut kept, mut older) = (Vec::new(), BTreeMap::<String, usize>::new(), 0);
    while let Some(row) = rows.next()? {
        let (platform, channels): (String, Vec<ChannelName>) = (row.get(4)?, from_json(row, 7)?);
        let is_older = time(row, 12)? < since;
        let mut leads = false;
        for channel in channels {
            let has_one = lines.entry((platform.clone(), channel)).or_default();
            leads |= is_older && !*has_one;
            *has_one |= is_older;
        }
        older += usize::from(is_older);
        let of_platform = kept.entry(platform).or_default();
        if leads || (!is_older && *of_platform < MAX_DELAYED) {
            *of_platform += 1;
            found.push(bare(row)?);
        }
        if older > MORE_LOOKED_AT && lines.values().all(|has_one| *has_one) {
            break;
        }
    }
    Ok(found)
}

fn settings(connection: &Connection) -> Result<Settings, StoreError> {
    let mut settings = Settings::default();
    let mut statement =
        connection.prepare_cached("SELECT kind, name, value FROM settings ORDER BY kind, name")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let key = SettingKey { kind: from_word(row, 0)?, name: row.get(1)? };
        let change = SettingChange { key, value: Some(from_json(row, 2)?) };
        settings.set(&change).map_err(|error| unreadable(2, error))?;
    }
    Ok(settings)
}

const ROLLOUTS: &str =
    concat!("SELECT ", rollout_columns!(), " FROM rollouts o JOIN releases r ON r.manifest = o.manifest");

fn bare(row: &Row<'_>) -> rusqlite::Result<Rollout> {
    Ok(Rollout {
        number: count(row, 0)?,
        manifest: text(row, 1)?,
        release: release_id(row, 2)?,
        counter: ReleaseCounter(count(row, 5)?),
        kind: from_word(row, 6)?,
        channels: from_json(row, 7)?,
        strategy_name: from_word(row, 8)?,
        strategy: from_json(row, 9)?,
        emergency: row.get(10)?,
        state: from_word(row, 11)?,
        started_at: time(row, 12)?,
        changed: optional_from_json(row, 13)?,
        rings: Vec::new(),
    })
}

/// The rings of a rollout, one for each ring of its strategy.
fn rings(connection: &Connection, rollout: &Rollout) -> rusqlite::Result<Vec<RingProgress>> {
    let mut found: BTreeMap<u32, RingProgress> = connection
        .prepare_cached(
            "SELECT g.ring, g.opened_at, g.below, g.offered, g.told, g.begun, g.succeeded, g.failed, g.silent, g.dropped, \
             g.forgiven, g.hour, g.told_in_hour, coalesce(s.soaked_millis, 0) FROM rings g \
             LEFT JOIN soaks s ON s.rollout = g.rollout AND s.ring = g.ring WHERE g.rollout = ?1",
        )?
        .query_map([integer(rollout.number)], |row| {
            let state = match optional_time(row, 1)? {
                Some(at) => RingState::Open { at },
                None => RingState::Waiting,
            };
            let soaked = SignedDuration::from_millis(row.get(13)?);
            Ok((row.get(0)?, RingProgress { state, below: optional_text(row, 2)?, soaked, counts: counts(row, 3)? }))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let waiting = Rollout::waiting_rings(&rollout.strategy);
    Ok((0_u32..).zip(waiting).map(|(ring, waiting)| found.remove(&ring).unwrap_or(waiting)).collect())
}

/// Counts, from `column` on.
fn counts(row: &Row<'_>, column: usize) -> rusqlite::Result<RingCounts> {
    Ok(RingCounts {
        offered: count(row, column)?,
        told: count(row, column + 1)?,
        begun: count(row, column + 2)?,
        succeeded: count(row, column + 3)?,
        failed: count(row, column + 4)?,
        silent: count(row, column + 5)?,
        dropped: count(row, column + 6)?,
        forgiven: count(row, column + 7)?,
        hour: row.get(column + 8)?,
        told_in_hour: count(row, column + 9)?,
    })
}

/// Rollouts that a condition holds for, with everything that became of them.
pub(super) fn rollouts(
    connection: &Connection,
    condition: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<Rollout>, StoreError> {
    let mut found = connection
        .prepare_cached(&format!("{ROLLOUTS} {condition}"))?
        .query_map(values, bare)?
        .collect::<rusqlite::Result<Vec<Rollout>>>()?;
    for rollout in &mut found {
        rollout.rings = rings(connection, rollout)?;
    }
    Ok(found)
}

/// A rollout by its number.
pub(super) fn rollout(connection: &Connection, number: u64) -> Result<Option<Rollout>, StoreError> {
    let values = params![integer(number)];
    Ok(rollouts(connection, "WHERE o.number = ?1", values)?.pop())
}

/// How far the open rings of live rollouts are. Nobody has room in a ring that has not opened.
pub(super) fn live_rings(connection: &Connection) -> Result<LiveRings, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT rollout, ring, offered, told, begun, succeeded, failed, silent, dropped, forgiven, hour, \
         told_in_hour, coalesce((SELECT soaked_millis FROM soaks s WHERE s.rollout = rings.rollout \
         AND s.ring = rings.ring), 0) FROM rings INDEXED BY rings_live WHERE live = 1 AND opened_at IS NOT NULL",
    )?;
    let mut rows = statement.query([])?;
    let mut found = LiveRings::default();
    while let Some(row) = rows.next()? {
        let place = (count(row, 0)?, row.get(1)?);
        found.counts.insert(place, counts(row, 2)?);
        found.soaks.insert(place, SignedDuration::from_millis(row.get(12)?));
    }
    Ok(found)
}

/// The newest deliveries of each package of client `c`, as one JSON text.
macro_rules! deliveries_sql {
    () => {
        "(SELECT json_group_array(json_array(rollout, package, manifest, ring, state, attempt, told_at)) \
     FROM deliveries INDEXED BY deliveries_current WHERE client_id = c.client_id AND current = 1)"
    };
}
pub(super) use deliveries_sql;
/// A delivery as the statement gives it, column by column.
type Stored = (u64, PackageName, Sha256Digest, u32, DeliveryState, u32, i64);

/// Deliveries from `deliveries_sql`.
pub(super) fn deliveries(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<Delivery>> {
    let stored: Option<Vec<Stored>> = optional_from_json(row, column)?;
    let read = |(rollout, package, manifest, ring, state, attempt, told_at): Stored| {
        let told_at = Timestamp::from_microsecond(told_at).map_err(|error| unreadable(column, error))?;
        Ok(Delivery { rollout, package, manifest, ring, state, attempt, told_at })
    };
    let mut all = stored.unwrap_or_default().into_iter().map(read).collect::<rusqlite::Result<Vec<_>>>()?;
    all.sort_by(|one, other| one.package.cmp(&other.package));
    Ok(all)
}

/// The groups that list the computer `c`, as one JSON text.
macro_rules! listed_sql {
    () => {
        "(SELECT json_group_array(of_group ORDER BY of_group) FROM group_members WHERE name = c.name)"
    };
}
pub(super) use listed_sql;
