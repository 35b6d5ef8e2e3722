//! `POST /api/v1/clients` and `/api/v1/clients/reserve`: seats for names, for good.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use sealpost_admin_api::clients::{
    Client, ReserveManyRequest, ReserveRequest, ReservedMany, SeatAnswer, SeatWanted,
};
use sealpost_ledger::LedgerError;
use sealpost_manifests::ids::SerialNumber;
use sealpost_site::changes::Actor;
use sealpost_site::commands::clients::{Reserve, ReserveMany, Seat, Wanted};
use sealpost_site::queries::ClientByName;
use sealpost_site::rules::names::MixedScripts;

use super::clients::{client, not_reserved};
use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;

/// Takes a seat, for good; the same name again answers the same.
pub(crate) async fn one(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<ReserveRequest>,
) -> Result<Json<Client>, ApiError> {
    let ReserveRequest { name, channel, mixed_scripts, serial } = request;
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
    let ReserveManyRequest { wanted, mixed_scripts } = request;
    let of = |SeatWanted { name, channel, serial }| Wanted { name, channel, serial };
    let wanted: Vec<Wanted> = wanted.into_iter().map(of).collect();
    let asked: Vec<Option<SerialNumber>> = wanted.iter().map(|wanted| wanted.serial.clone()).collect();
    let command = ReserveMany { actor, wanted, mixed: mixed(mixed_scripts) };
    let seats = site.parts.ledger.execute(site.now(), command).await?;
    for (seat, serial) in seats.iter().zip(&asked) {
        if let Seat::Refused { problem, .. } = seat {
            site.seat_refusals.note(problem, serial.as_ref(), site.now());
        }
    }
    let answers = seats.into_iter().map(|seat| match seat {
        Seat::Taken { name, channel, serial } => SeatAnswer::Taken { name, channel, serial },
        Seat::Held { name } => SeatAnswer::Held { name },
        Seat::Refused { name, problem } => SeatAnswer::Refused { name, problem },
    });
    Ok(Json(ReservedMany { answers: answers.collect() }))
}

fn mixed(meant: bool) -> MixedScripts {
    if meant { MixedScripts::Meant } else { MixedScripts::AskBack }
}
