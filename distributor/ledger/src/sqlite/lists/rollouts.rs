//! Settings, rollouts, and what became of them on computers.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};
use sealpost_manifests::ids::{ComputerName, PackageName};
use sealpost_manifests::wire::report::InstallStep;
use sealpost_site::commands::configuration::{ConfigurationFacts, LoadConfiguration};
use sealpost_site::commands::rollouts::{
    AdvancingFacts, LOOKED_AT, LoadAdvance, LoadRollout, Overdue, Place, RolloutFacts,
};
use sealpost_site::commands::settings::{LoadMembers, LoadPlan, MemberFacts};
use sealpost_site::queries::{DeliveriesOf, GroupMembers, RolloutByNumber, Rollouts, page_limit};
use sealpost_site::rows::DeliveryRow;
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::rollouts::plan::{Delivery, Plan};
use sealpost_site::rules::rollouts::progress::{DeliveryState, Rollout};
use sealpost_site::rules::rollouts::tries::{FailedStep, Tries};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::releases::{approved_of, highest_attempt, known_release};
use crate::sqlite::connection::Connected;
use crate::sqlite::plan::{plan_now, rollout, rollouts};
use crate::sqlite::values::{count, from_word, integer, micros, optional_count, optional_text, text, time};
use crate::store::{Read, StoreError};

impl<C: Connected> Read<LoadPlan> for C {
    fn read(&mut self, _: &LoadPlan) -> Result<Arc<Plan>, StoreError> {
        plan_now(self.plans(), self.connection())
    }
}

impl<C: Connected> Read<LoadMembers> for C {
    fn read(&mut self, query: &LoadMembers) -> Result<MemberFacts, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM group_members WHERE name = ?1 AND of_group = ?2)",
        )?;
        let mut listed = BTreeSet::new();
        for name in &query.names {
            if statement.query_row([name.as_str(), query.group.as_str()], |row| row.get(0))? {
                listed.insert(name.clone());
            }
        }
        Ok(MemberFacts { plan: plan_now(self.plans(), connection)?, listed })
    }
}

impl<C: Connected> Read<LoadConfiguration> for C {
    fn read(&mut self, query: &LoadConfiguration) -> Result<ConfigurationFacts, StoreError> {
        let connection = self.connection();
        let mut members: BTreeMap<GroupName, BTreeSet<ComputerName>> = BTreeMap::new();
        if query.lists {
            let mut statement = connection.prepare_cached("SELECT of_group, name FROM group_members")?;
            let rows = statement.query_map([], |row| Ok((text(row, 0)?, text(row, 1)?)))?;
            for row in rows {
                let (group, name): (GroupName, ComputerName) = row?;
                members.entry(group).or_default().insert(name);
            }
        }
        Ok(ConfigurationFacts { plan: plan_now(self.plans(), connection)?, members })
    }
}

/// What became of a rollout on a computer, from column 0 on.
fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        rollout: count(row, 0)?,
        package: text(row, 1)?,
        manifest: text(row, 2)?,
        ring: row.get(3)?,
        state: from_word(row, 4)?,
        attempt: row.get(5)?,
        told_at: time(row, 6)?,
    })
}

/// How a computer tried, from a column on.
fn tries(row: &Row<'_>, column: usize) -> rusqlite::Result<Tries> {
    let step: Option<InstallStep> = optional_text(row, column + 3)?;
    let failed = match step {
        None => None,
        Some(step) => Some(FailedStep { step, reason: text(row, column + 4)?, detail: row.get(column + 5)? }),
    };
    Ok(Tries {
        count: row.get(column)?,
        way: optional_text(row, column + 1)?,
        bytes: optional_count(row, column + 2)?,
        failed,
    })
}

impl<C: Connected> Read<LoadAdvance> for C {
    fn read(&mut self, query: &LoadAdvance) -> Result<AdvancingFacts, StoreError> {
        let connection = self.connection();
        let rollouts = rollouts(
            connection,
            "WHERE o.state IN ('running', 'paused') OR (o.state = 'completed' AND r.state = 'approved' AND EXISTS \
             (SELECT 1 FROM rollouts x JOIN releases y ON y.manifest = x.manifest \
             WHERE x.state IN ('running', 'paused') AND y.package = r.package)) ORDER BY o.number",
            [],
        )?;
        let live = || rollouts.iter().filter(|rollout| rollout.state.is_live());
        let packages: BTreeSet<&PackageName> = live().map(|rollout| &rollout.release.package).collect();
        let mut releases = Vec::new();
        for package in packages {
            releases.extend(approved_of(connection, package)?);
        }
        let (mut overdue, mut looked_to) = (Vec::new(), BTreeMap::new());
        for number in live().map(|rollout| rollout.number) {
            let after = query.after.get(&number);
            let last = overdue_of(connection, number, query.now, after, &mut overdue)?;
            looked_to.extend(last.map(|last| (number, last)));
        }
        Ok(AdvancingFacts { rollouts, releases, overdue, looked_to })
    }
}

/// Adds computers that were told, and neither came nor reported within the time in which they may be silent, of the next ones
/// that work on the rollout. Answers the last of these, if there may be more.
fn overdue_of(
    connection: &Connection,
    rollout: u64,
    now: Timestamp,
    after: Option<&Place>,
    overdue: &mut Vec<Overdue>,
) -> Result<Option<Place>, StoreError> {
    let mut statement = connection.prepare_cached(OVERDUE)?;
    let told_after = after.map_or(i64::MIN, |after| micros(after.told_at));
    let client_after = after.map_or("", |after| after.client_id.as_str());
    let mut rows = statement.query(params![integer(rollout), told_after, client_after, LOOKED_AT])?;
    let (mut looked_at, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        looked_at += 1;
        if looked_at == LOOKED_AT {
            last = Some(Place { told_at: time(row, 6)?, client_id: text(row, 7)? });
        }
        let (heard, silence) = (time(row, 9)?, SignedDuration::from_secs(row.get(10)?));
        let delivery = delivery(row)?;
        // Who waits for a person there is not silent.
        if delivery.state != DeliveryState::Offered && now.duration_since(heard) > silence {
            overdue.push(Overdue { delivery, client_id: text(row, 7)?, name: text(row, 8)?, heard, silence });
        }
    }
    Ok(last)
}

/// In the order of their index, so that as many rows are read as are asked for.
pub(in crate::sqlite) const OVERDUE: &str = "SELECT d.rollout, d.package, d.manifest, d.ring, d.state, d.attempt, d.told_at, d.client_id, d.name, \
     max(d.since, coalesce(k.at, 0)), d.silence_secs FROM deliveries d INDEXED BY deliveries_under_way \
     LEFT JOIN contacts k ON k.client_id = d.client_id WHERE d.rollout = ?1 AND d.state IN ('offered', 'told', 'begun') \
     AND (d.told_at, d.client_id) > (?2, ?3) ORDER BY d.told_at, d.client_id LIMIT ?4";

impl<C: Connected> Read<LoadRollout> for C {
    fn read(&mut self, query: &LoadRollout) -> Result<RolloutFacts, StoreError> {
        let connection = self.connection();
        let plan = plan_now(self.plans(), connection)?;
        let Some(rollout) = rollout(connection, query.number)? else {
            return Ok(RolloutFacts {
                rollout: None,
                known: None,
                releases: Vec::new(),
                newest: None,
                highest_attempt: 0,
                plan,
            });
        };
        let newest = connection
            .prepare_cached("SELECT max(number) FROM rollouts WHERE manifest = ?1")?
            .query_row([rollout.manifest.to_string()], |row| count(row, 0))
            .optional()?;
        let highest_attempt = highest_attempt(connection, &rollout.manifest)?;
        Ok(RolloutFacts {
            known: known_release(connection, &rollout.manifest)?,
            releases: approved_of(connection, &rollout.release.package)?,
            rollout: Some(rollout),
            newest,
            highest_attempt,
            plan,
        })
    }
}

impl<C: Connected> Read<Rollouts> for C {
    fn read(&mut self, query: &Rollouts) -> Result<Vec<Rollout>, StoreError> {
        let before = query.before.map_or(i64::MAX, integer);
        rollouts(
            self.connection(),
            "WHERE o.number < ?1 AND (NOT ?3 OR o.state IN ('running', 'paused', 'halted')) \
             ORDER BY o.number DESC LIMIT ?2",
            params![before, page_limit(Some(query.limit)), query.open],
        )
    }
}

impl<C: Connected> Read<RolloutByNumber> for C {
    fn read(&mut self, query: &RolloutByNumber) -> Result<Option<Rollout>, StoreError> {
        rollout(self.connection(), query.number)
    }
}

impl<C: Connected> Read<DeliveriesOf> for C {
    fn read(&mut self, query: &DeliveriesOf) -> Result<Vec<DeliveryRow>, StoreError> {
        let mut statement = self.connection().prepare_cached(
            "SELECT d.rollout, d.package, d.manifest, d.ring, d.state, d.attempt, d.told_at, d.name, d.since, \
             CASE WHEN l.manifest = d.manifest THEN json_extract(l.report, '$.step') END, d.tries, d.way, d.bytes, \
             d.failed_step, d.failed_reason, d.failed_detail FROM deliveries d LEFT JOIN last_reports l \
             ON l.client_id = d.client_id AND l.package = d.package \
             WHERE d.rollout = ?1 AND d.name > ?2 AND d.name <= (SELECT max(name) FROM (SELECT name FROM deliveries \
             WHERE rollout = ?1 AND name > ?2 ORDER BY name LIMIT ?3)) ORDER BY d.name, d.told_at",
        )?;
        let after = query.after.as_ref().map_or("", ComputerName::as_str);
        let values = params![integer(query.rollout), after, page_limit(Some(query.limit))];
        let rows = statement.query_map(values, |row| {
            Ok(DeliveryRow {
                delivery: delivery(row)?,
                name: text(row, 7)?,
                since: time(row, 8)?,
                step: optional_text(row, 9)?,
                tries: tries(row, 10)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl<C: Connected> Read<GroupMembers> for C {
    fn read(&mut self, query: &GroupMembers) -> Result<Vec<ComputerName>, StoreError> {
        let mut statement = self.connection().prepare_cached(
            "SELECT name FROM group_members WHERE of_group = ?1 AND name > ?2 ORDER BY name LIMIT ?3",
        )?;
        let after = query.after.as_ref().map_or("", ComputerName::as_str);
        let values = params![query.group.as_str(), after, page_limit(Some(query.limit))];
        let rows = statement.query_map(values, |row| text(row, 0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
