//! Serial numbers and grants.

use sealpost_manifests::document::{self, SignedDocument};
use sealpost_manifests::grant::{Grant, RegistrationReason};
use sealpost_manifests::ids::{RequestId, SerialNumber};
use sealpost_manifests::license_time::VendorStatement;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::decision::{Command, Context, Decision, NoFacts};
use crate::changes::{Actor, Change, Note};
use crate::queries::{Query, query};
use crate::rules::grants::{Acceptance, Came, HeldGrant, judge};
use crate::rules::restore::RestoreState;
use crate::rules::vendor_time::{self, GrantedTimes};

/// A registration code was made for a serial number.
#[derive(Debug, Clone)]
pub struct RegisterSerial {
    /// Who made it.
    pub actor: Actor,
    /// The serial number.
    pub serial: SerialNumber,
    /// Why the server asks.
    pub reason: RegistrationReason,
    /// The request.
    pub request_id: RequestId,
}

impl Command for RegisterSerial {
    type Facts = NoFacts;
    type Answer = ();
    const ATTEMPTED: &'static str = "note a registration";

    fn facts(&self) -> NoFacts {
        NoFacts
    }

    fn decide(self, (): (), _: &Context<'_>) -> Decision<()> {
        let Self { actor, serial, reason, request_id } = self;
        Decision::answer(()).change(actor, Change::SerialRegistered { serial, reason, request_id })
    }
}

query! {
    /// What a grant is judged against.
    LoadHeldGrant {
        /// Its serial number.
        pub serial: SerialNumber,
        /// The registration that it answers.
        pub request_id: Option<RequestId>,
    } -> GrantFacts, "read a grant"
}

/// As [`LoadHeldGrant`] says.
#[derive(Debug, Clone)]
pub struct GrantFacts {
    /// The grant of the serial number that is held.
    pub held: Option<HeldGrant>,
    /// Where the ledger stands after restores.
    pub restore: RestoreState,
    /// Whether the grant answers a registration that told the vendor of the last restore.
    pub answers_restored: bool,
    /// What the vendor said last of the time.
    pub newest: Option<VendorStatement>,
    /// The times of all grants that count.
    pub granted: Vec<GrantedTimes>,
}

/// Accepts a grant that was verified: for this server and site key, its generation not lower. The same one again is
/// answered the same.
#[derive(Debug, Clone)]
pub struct AcceptGrant {
    /// Who brought it.
    pub actor: Actor,
    /// What it says.
    pub grant: Grant,
    /// Its exact signed text.
    pub document: SignedDocument,
    /// The serial number of the registration that it answers, if it answers one.
    pub asked_for: Option<SerialNumber>,
}

/// What became of a grant that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantAnswer {
    /// Whether the ledger was restored, and this grant does not confirm it.
    pub unconfirmed: bool,
    /// What it changed of the one before.
    pub came: Came,
}

impl Command for AcceptGrant {
    type Facts = LoadHeldGrant;
    type Answer = GrantAnswer;
    const ATTEMPTED: &'static str = "accept a grant";

    fn facts(&self) -> LoadHeldGrant {
        LoadHeldGrant { serial: self.grant.serial.clone(), request_id: self.grant.request_id.clone() }
    }

    fn decide(self, facts: GrantFacts, context: &Context<'_>) -> Decision<GrantAnswer> {
        let Self { actor, grant, document, asked_for } = self;
        if document::read::<Grant>(document.document.as_bytes()).ok().as_ref() != Some(&grant) {
            return Decision::refuse(Problem::new(
                ProblemCode::GrantRefused,
                "the grant and its signed text do not say the same",
                "use the unlock code or the grant file exactly as the vendor sent it",
            ));
        }
        let server = context.server;
        // An answer to an earlier registration, kept until now, says nothing of this restore.
        let confirms = facts.restore.is_confirmed_by(grant.epoch) && facts.answers_restored;
        let unconfirmed = facts.restore.unconfirmed().is_some() && !confirms;
        let came = Came::of(facts.held.map(|held| held.not_after), grant.not_after);
        let answer = GrantAnswer { unconfirmed, came };
        let held = facts.held;
        let statement = vendor_time::with_grant(&grant, facts.newest, &facts.granted);
        match judge(&grant, document.digest(), held, asked_for.as_ref(), &server.server_id, &server.site_key)
        {
            Err(refusal) => Decision::refuse(refusal.problem()),
            Ok(Acceptance::Same) => Decision::answer(answer),
            Ok(Acceptance::New) => Decision::answer(answer)
                // What the vendor signed about the time holds at once, also where it lowers what was wrong.
                .note(Note::VendorStatement { statement })
                .change(
                    actor,
                    Change::GrantAccepted {
                        serial: grant.serial,
                        generation: grant.generation,
                        epoch: grant.epoch,
                        seats: grant.seats,
                        model: grant.model,
                        not_after: grant.not_after,
                        grant: document,
                        confirms,
                    },
                ),
        }
    }
}

#[cfg(test)]
mod tests;
