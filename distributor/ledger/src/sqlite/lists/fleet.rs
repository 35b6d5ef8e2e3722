//! How the computers of the site stand: who is silent, who does not run what it was told to, who knocks, who was refused.
//!
//! Invariant: one statement for each question, however many computers there are; `clients` narrows its list by the same
//! expressions. They name `r`, `c` and `k`: the rows of `computers`, `clients` and `contacts`.

use rusqlite::OptionalExtension;
use sealpost_site::changes::Change;
use sealpost_site::changes::chain::{self, ReadEntry};
use sealpost_site::queries::{Fleet, MAX_PAGE, Refusals};
use sealpost_site::rows::{FleetRow, RefusalRow};

use crate::sqlite::connection::Connected;
use crate::sqlite::values::{micros, optional_time, text, time};
use crate::store::{Read, StoreError};

/// When a computer was heard last.
const HEARD: &str = "coalesce(k.at, c.enrolled_at)";

/// The same, not before the last restore: what is older may be of the copy.
pub(super) const HEARD_SINCE: &str =
    "max(coalesce(k.at, c.enrolled_at), coalesce((SELECT restored_at FROM server), 0))";

/// Since when a computer has something to install, or to go back to, that it does not say it runs.
pub(super) const BEHIND_SINCE: &str = "(SELECT min(max(c.enrolled_at, \
     CASE WHEN h.counter > t.counter THEN coalesce(h.decided_at, t.decided_at) ELSE \
     (SELECT min(x.decided_at) FROM releases x WHERE x.package = t.package AND x.platform = t.platform \
     AND x.counter > coalesce(h.counter, -1) AND x.counter <= t.counter AND x.state IN ('approved', 'superseded') \
     AND EXISTS (SELECT 1 FROM json_each(x.approval, '$.channels') n WHERE n.value = r.channel)) END)) \
     FROM assigned a JOIN releases t ON t.manifest = a.manifest \
     LEFT JOIN installed i ON i.client_id = a.client_id AND i.package = a.package \
     LEFT JOIN releases h ON h.manifest = i.manifest \
     WHERE a.client_id = c.client_id AND i.manifest IS NOT a.manifest)";

impl<C: Connected> Read<Fleet> for C {
    fn read(&mut self, query: &Fleet) -> Result<FleetRow, StoreError> {
        let connection = self.connection();
        let mut fleet = FleetRow::default();
        let mut statement = connection.prepare_cached(&format!(
            "SELECT c.name, {HEARD}, {HEARD_SINCE} < ?1, {BEHIND_SINCE} FROM clients c JOIN computers r ON r.name = c.name \
             LEFT JOIN contacts k ON k.client_id = c.client_id ORDER BY c.name"
        ))?;
        let mut rows = statement.query([micros(query.bounds.heard)])?;
        while let Some(row) = rows.next()? {
            let (heard, behind) = (time(row, 1)?, optional_time(row, 3)?);
            fleet.enrolled += 1;
            fleet.heard = fleet.heard.max(Some(heard));
            if row.get::<_, bool>(2)? {
                fleet.offline.add(text(row, 0)?, Some(heard));
            }
            if behind.is_some_and(|behind| behind <= query.bounds.decided) {
                fleet.outdated.add(text(row, 0)?, behind);
            }
        }
        let mut statement = connection.prepare_cached(
            "SELECT name, min(seen_at) FROM (SELECT name, seen_at FROM pending UNION ALL \
             SELECT name, seen_at FROM knocks) GROUP BY name ORDER BY name",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            fleet.pending.add(text(row, 0)?, Some(time(row, 1)?));
        }
        fleet.announced = connection
            .prepare_cached("SELECT issued_at FROM server_list")?
            .query_row([], |row| time(row, 0))
            .optional()?;
        Ok(fleet)
    }
}

impl<C: Connected> Read<Refusals> for C {
    fn read(&mut self, _: &Refusals) -> Result<Vec<RefusalRow>, StoreError> {
        let mut statement = self.connection().prepare_cached(
            "SELECT a.entry, k.at FROM (SELECT entry, sequence, computer FROM activity \
             WHERE kind = 'refused' ORDER BY sequence DESC LIMIT ?1) a LEFT JOIN clients c ON c.name = a.computer \
             LEFT JOIN contacts k ON k.client_id = c.client_id ORDER BY a.sequence DESC",
        )?;
        let mut rows = statement.query([MAX_PAGE])?;
        let mut refusals = Vec::new();
        while let Some(row) = rows.next()? {
            let bytes: Vec<u8> = row.get(0)?;
            // One that cannot be read is `log verify`'s to find: here it would keep everything that is wrong from being said.
            let Ok(ReadEntry::Known(entry)) = chain::read(&bytes) else { continue };
            if let Change::Refused { code, source, minute, count, computer } = entry.change {
                let answered = optional_time(row, 1)?;
                refusals.push(RefusalRow { code, source, minute, count, computer, answered });
            }
        }
        Ok(refusals)
    }
}
