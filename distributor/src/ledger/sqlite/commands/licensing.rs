//! Serial numbers, grants and seats.

use sealpost_manifests::document::{self, SignedDocument};
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{ChannelName, ComputerName, SerialNumber};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::missing;
use crate::domain::activity::{Actor, Change};
use crate::domain::grants::{Acceptance, HeldGrant, judge};
use crate::domain::seats;
use crate::ledger::sqlite::queries;
use crate::ledger::sqlite::step::{CommandError, Ruling, Step, StepResult};
use crate::ports::ledger::{ClientRow, LicenseRow};

/// Notes that a registration code was made.
pub(in crate::ledger::sqlite) fn register(
    step: &mut Step<'_>,
    actor: Actor,
    serial: SerialNumber,
) -> StepResult<()> {
    step.record(actor, Change::SerialRegistered { serial })?;
    Ok(Ruling::Done(()))
}

/// Accepts a verified grant.
pub(in crate::ledger::sqlite) fn accept_grant(
    step: &mut Step<'_>,
    actor: Actor,
    grant: Grant,
    document: SignedDocument,
) -> StepResult<LicenseRow> {
    if document::read::<Grant>(document.document.as_bytes()).ok().as_ref() != Some(&grant) {
        return Err(CommandError::Refused(Problem::new(
            ProblemCode::GrantRefused,
            "the grant and its signed text do not say the same",
            "use the unlock code or the grant file exactly as the vendor sent it",
        )));
    }
    let held = queries::grant_of(step.connection, &grant.serial)?.map(|held| HeldGrant {
        generation: held.grant.generation,
        epoch: held.grant.epoch,
        digest: held.digest,
    });
    let server = step.server;
    let judged = judge(&grant, document.digest(), held, &server.server_id, &server.site_key)
        .map_err(|refusal| refusal.problem())?;
    // What the vendor signed about the time holds whether the grant is new or not.
    step.floor.observe_vendor(grant.vendor_time);
    let serial = grant.serial.clone();
    if judged == Acceptance::New {
        let change = Change::GrantAccepted {
            serial: grant.serial,
            generation: grant.generation,
            seats: grant.seats,
            model: grant.model,
            valid_until: grant.valid_until,
            grant: document,
        };
        step.record(actor, change)?;
    }
    let row = queries::licenses(step.connection)?.into_iter().find(|row| row.serial == serial);
    Ok(Ruling::Done(row.ok_or_else(|| missing("grant"))?))
}

/// Takes a seat for a name.
pub(in crate::ledger::sqlite) fn reserve(
    step: &mut Step<'_>,
    actor: Actor,
    name: ComputerName,
    channel: ChannelName,
) -> StepResult<ClientRow> {
    if queries::reservation(step.connection, &name)?.is_none() {
        let grants = queries::granted_seats(step.connection)?;
        let serial = seats::take(&grants, step.now).map_err(|refusal| refusal.problem())?.clone();
        step.record(actor, Change::SeatReserved { name: name.clone(), channel, serial })?;
    }
    let row = queries::client(step.connection, &name)?;
    Ok(Ruling::Done(row.ok_or_else(|| missing("reservation"))?))
}
