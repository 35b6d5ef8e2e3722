//! `/api/v1/client-lines`: the list of all computers, with filters, in several orders.
//!
//! Invariant: no request holds the list in memory. By name, a page ends after so many computers were looked at, however few of
//! them are wanted; in another order all are looked at, a thousand at a time, and no more are kept than two pages have. Few
//! requests do that at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::Timestamp;
use sealpost_admin_api::client_lines::{
    ClientLine, ClientLinesPage, ClientLinesQuery, MAX_LINES, MAX_LOOKED_AT, MAX_SORTED_LINES,
};
use sealpost_admin_api::schedules::PlannedLine;
use sealpost_ledger::Ledger;
use sealpost_manifests::ids::{ComputerName, SerialNumber};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::queries::{ClientLines, Licenses, MAX_PAGE};
use sealpost_site::rows::ClientLineRow;
use sealpost_site::rules::computer_filter::{ComputerFilter, Place, Sort};
use sealpost_site::rules::rollouts::plan::Plan;
use sealpost_site::rules::seats::all_ended;
use sealpost_site::rules::standing::Gate;

use crate::http::Site;
use crate::http::problem::{ApiError, bad_query};

/// A page of the list.
pub(crate) async fn list(
    State(site): State<Arc<Site>>,
    query: Result<Query<ClientLinesQuery>, QueryRejection>,
) -> Result<Json<ClientLinesPage>, ApiError> {
    let Query(query) = query.map_err(|error| bad_query(&error.body_text()))?;
    let sort = query.sort.unwrap_or_default();
    let plan = site.parts.ledger.query(LoadPlan {}).await?;
    // Of what is not there it is not said that nobody is like that.
    if let Some(group) = query.group.as_ref().filter(|group| !plan.settings.groups.contains_key(*group)) {
        return Err(ApiError::new(
            ProblemCode::NotFound,
            format!("no computer can be listed by the group {group}: there is none of that name"),
            "see `distributor groups list`",
        ));
    }
    let licenses = site.parts.ledger.query(Licenses {}).await?;
    if let Some(serial) = &query.serial
        && licenses.iter().all(|license| license.serial != *serial)
    {
        return Err(ApiError::new(
            ProblemCode::NotFound,
            format!(
                "no computer can be listed by the serial number {serial}: this server has none of that number"
            ),
            "see `distributor status` for its serial numbers",
        ));
    }
    let now = site.now();
    let ended = licenses
        .into_iter()
        .filter_map(|license| Some((license.serial, license.ends_at.filter(|end| *end < now)?)));
    let ended = ended.collect();
    let look = Look { ledger: &site.parts.ledger, plan: &plan, filter: query.filter(), ended, now };
    if sort.is_by_name() {
        let limit = query.limit.unwrap_or(MAX_LINES).clamp(1, MAX_LINES);
        let after = query.after.map(ComputerName::new).transpose().map_err(|_| bad_place())?;
        return Ok(Json(look.by_name(after, limit).await?));
    }
    let limit = query.limit.unwrap_or(MAX_SORTED_LINES).clamp(1, MAX_SORTED_LINES);
    let after = query.after.map(|place| place_of(&place, sort)).transpose()?;
    // Who waits for others waits in the line, and not with a page in memory.
    let turn = site.sorted_lists.acquire().await;
    let _turn = turn.map_err(|error| ApiError::internal("wait for a turn", &error))?;
    Ok(Json(look.sorted(sort, after, limit).await?))
}

/// Where the page before ended.
fn place_of(text: &str, sort: Sort) -> Result<Place, ApiError> {
    let place: Place = serde_json::from_str(text).map_err(|_| bad_place())?;
    if place.key.is_of(sort.by) { Ok(place) } else { Err(bad_place()) }
}

fn bad_place() -> ApiError {
    ApiError::new(
        ProblemCode::BadRequest,
        "cannot go on with the list: `after` is not where a page in this order ended",
        "give `next` of the page before, with the same `sort`, or leave `after` out to begin anew",
    )
}

/// A look through the list.
struct Look<'a> {
    ledger: &'a Ledger,
    plan: &'a Plan,
    filter: ComputerFilter,
    /// The serial numbers that ended, and when.
    ended: BTreeMap<SerialNumber, Timestamp>,
    now: Timestamp,
}

impl Look<'_> {
    async fn by_name(&self, after: Option<ComputerName>, limit: u32) -> Result<ClientLinesPage, ApiError> {
        // Where everyone is wanted nobody is looked at for nothing.
        let rows_at_once = if self.filter.takes_all() { limit } else { MAX_PAGE };
        let wanted = as_count(limit);
        let (mut clients, mut last, mut looked_at) = (Vec::new(), after, 0);
        loop {
            let page = ClientLines { after: last.clone(), limit: rows_at_once };
            let rows = self.ledger.query(page).await?;
            let is_last = rows.len() < as_count(rows_at_once);
            for row in rows {
                looked_at += 1;
                last = Some(row.name.clone());
                clients.extend(self.line(row));
                if clients.len() == wanted {
                    return Ok(ClientLinesPage { clients, next: last.map(String::from) });
                }
            }
            if is_last {
                return Ok(ClientLinesPage { clients, next: None });
            }
            if looked_at >= MAX_LOOKED_AT {
                return Ok(ClientLinesPage { clients, next: last.map(String::from) });
            }
        }
    }

    async fn sorted(
        &self,
        sort: Sort,
        after: Option<Place>,
        limit: u32,
    ) -> Result<ClientLinesPage, ApiError> {
        let wanted = as_count(limit);
        let mut found: Vec<(Place, ClientLine)> = Vec::new();
        let keep_first = |found: &mut Vec<(Place, ClientLine)>| {
            found.sort_unstable_by(|(one, _), (other, _)| sort.compare(one, other));
            // One more than the page has says that there is another page.
            found.truncate(wanted + 1);
        };
        let mut last = None;
        loop {
            let rows = self.ledger.query(ClientLines { after: last, limit: MAX_PAGE }).await?;
            let is_last = rows.len() < as_count(MAX_PAGE);
            last = rows.last().map(|row| row.name.clone());
            for row in rows {
                let place = sort.place(&row, row.state(self.ledger.outages(), self.now));
                if after.as_ref().is_none_or(|after| sort.compare(&place, after).is_gt()) {
                    found.extend(self.line(row).map(|line| (place, line)));
                }
            }
            if found.len() > 2 * wanted {
                keep_first(&mut found);
            }
            if is_last {
                break;
            }
        }
        keep_first(&mut found);
        let is_more = found.len() > wanted;
        found.truncate(wanted);
        let next = found.last().filter(|_| is_more).map(|(place, _)| serde_json::to_string(place));
        let next = next.transpose().map_err(|error| ApiError::internal("say where a page ends", &error))?;
        Ok(ClientLinesPage { clients: found.into_iter().map(|(_, line)| line).collect(), next })
    }

    /// The line of a computer, if it is wanted.
    fn line(&self, row: ClientLineRow) -> Option<ClientLine> {
        let state = row.state(self.ledger.outages(), self.now);
        if !self.filter.takes(&row, state, self.now) {
            return None;
        }
        let groups = row.groups_in(self.plan);
        if !self.filter.takes_groups(&groups) {
            return None;
        }
        let display_version = row.display_version().to_string();
        let ClientLineRow {
            name,
            channel,
            reserved_at,
            client_id,
            forked: _,
            enrolled_at,
            platform,
            agent_version,
            installed,
            last_contact,
            heard: _,
            cadence: _,
            lease_until,
            serials,
            listed: _,
            tags,
            came_by,
            install,
        } = row;
        Some(ClientLine {
            name,
            state,
            display_version,
            channel,
            serial_ended: all_ended(&serials, |serial| self.ended.get(serial).copied()),
            serials,
            groups: groups.into_iter().collect(),
            gate: Gate::of(state, lease_until),
            last_contact,
            came_by,
            lease_until,
            reserved_at,
            enrolled_at,
            client_id,
            platform,
            agent_version,
            installed,
            tags,
            install: install.map(|install| PlannedLine::new(install, self.now)),
        })
    }
}

fn as_count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
