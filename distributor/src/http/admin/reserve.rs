//! `POST /api/v1/clients` and `/api/v1/clients/reserve`: seats for names, for good.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use sealpost_admin_api::clients::{
    Client, ReserveManyRequest, ReserveRequest, ReservedMany, SeatAnswer, SeatWanted,
};
use sealpost_ledger::LedgerError;
use sealpost_manifests::ids::{ComputerName, SerialNumber};
use sealpost_manifests::wire::problem::Problem;
use sealpost_site::changes::Actor;
use sealpost_site::commands::clients::{MAX_RESERVED, Reserve, ReserveMany, Seat, Wanted};
use sealpost_site::queries::{ClientByName, ReservedAmong, ReservedNames};
use sealpost_site::rules::names::{MixedScripts, canonical};
use sealpost_site::rules::spelling::{self, CloseNames, CloseSpelling};

use super::clients::{client, not_reserved};
use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;

/// Names that are read at once to look for one that is spelled nearly alike: each is compared by its hashes alone.
const PAGE: u32 = 500;

/// Takes a seat, for good; the same name again answers the same.
pub(crate) async fn one(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<ReserveRequest>,
) -> Result<Json<Client>, ApiError> {
    let ReserveRequest { name, channel, mixed_scripts, similar, serial } = request;
    if let Some((_, problem)) = asked_back(&site, [&name], close(similar)).await?.into_iter().next() {
        return Err(problem.into());
    }
    let asked = serial.clone();
    let command = Reserve { actor, name, channel, mixed: mixed(mixed_scripts), serial };
    let name = site.parts.ledger.execute(site.now(), command).await.inspect_err(|error| {
        if let LedgerError::Refused(problem) = error {
            site.seat_refusals.note(problem, asked.as_ref(), site.now());
        }
    })?;
    let row = site.parts.ledger.query(ClientByName { name: name.clone() }).await.map_err(|error| {
        ApiError::done_but_unread(&error, "the seat is taken", "distributor clients show")
    })?;
    Ok(Json(client(&site, row.ok_or_else(|| not_reserved(&name))?, Vec::new()).await?))
}

/// Takes seats for many names in one transaction, and answers what became of each, in their order. The same again answers that
/// they hold one.
pub(crate) async fn many(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<ReserveManyRequest>,
) -> Result<Json<ReservedMany>, ApiError> {
    let ReserveManyRequest { wanted, mixed_scripts, similar } = request;
    // What is too long is refused as a whole by the command.
    let close = if wanted.len() > MAX_RESERVED { CloseSpelling::Meant } else { close(similar) };
    let asked_back = asked_back(&site, wanted.iter().map(|seat| &seat.name), close).await?;
    let of = |seat: &SeatWanted| {
        let SeatWanted { name, channel, serial } = seat.clone();
        Wanted { name, channel, serial }
    };
    let asked: Vec<Wanted> =
        wanted.iter().filter(|seat| !asked_back.contains_key(&seat.name)).map(of).collect();
    let serials: Vec<Option<SerialNumber>> = asked.iter().map(|wanted| wanted.serial.clone()).collect();
    let command = ReserveMany { actor, wanted: asked, mixed: mixed(mixed_scripts) };
    let seats = site.parts.ledger.execute(site.now(), command).await?;
    for (seat, serial) in seats.iter().zip(&serials) {
        if let Seat::Refused { problem, .. } = seat {
            site.seat_refusals.note(problem, serial.as_ref(), site.now());
        }
    }
    let mut seats = seats.into_iter();
    let answers = wanted.into_iter().filter_map(|SeatWanted { name, .. }| match asked_back.get(&name) {
        Some(problem) => Some(SeatAnswer::Refused { name, problem: problem.clone() }),
        None => seats.next().map(|seat| match seat {
            Seat::Taken { name, channel, serial } => SeatAnswer::Taken { name, channel, serial },
            Seat::Held { name } => SeatAnswer::Held { name },
            Seat::Refused { name, problem } => SeatAnswer::Refused { name, problem },
        }),
    });
    Ok(Json(ReservedMany { answers: answers.collect() }))
}

/// The names, as they were typed, that would take a seat and are spelled nearly as one that holds one, or as an earlier one of
/// these. It is advice: two admins at the same moment can both pass.
pub(super) async fn asked_back<'n>(
    site: &Site,
    names: impl IntoIterator<Item = &'n ComputerName>,
    close: CloseSpelling,
) -> Result<BTreeMap<ComputerName, Problem>, ApiError> {
    if close == CloseSpelling::Meant {
        return Ok(BTreeMap::new());
    }
    let spelled: Vec<(&ComputerName, ComputerName)> =
        names.into_iter().map(|name| (name, canonical(name))).collect();
    let ledger = &site.parts.ledger;
    let names = spelled.iter().flat_map(|(typed, plain)| [(*typed).clone(), plain.clone()]).collect();
    let reserved = ledger.query(ReservedAmong { names }).await?;
    let is_new = |(typed, plain): &&(&ComputerName, ComputerName)| {
        !reserved.contains(*typed) && !reserved.contains(plain)
    };
    let new: Vec<&(&ComputerName, ComputerName)> = spelled.iter().filter(is_new).collect();
    if new.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut close = CloseNames::of(new.iter().map(|(_, plain)| plain));
    let page = |after| ReservedNames { after, limit: PAGE };
    ledger.each(page, ComputerName::clone, |there| close.look(&there)).await?;
    let found = close.found();
    let problems = new.iter().filter_map(|(typed, plain)| {
        found.get(plain).map(|close_to| ((*typed).clone(), spelling::problem(plain, close_to)))
    });
    Ok(problems.collect())
}

pub(super) const fn close(meant: bool) -> CloseSpelling {
    if meant { CloseSpelling::Meant } else { CloseSpelling::AskBack }
}

pub(super) fn mixed(meant: bool) -> MixedScripts {
    if meant { MixedScripts::Meant } else { MixedScripts::AskBack }
}
