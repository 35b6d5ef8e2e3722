//! Serial numbers and grants.

use sealpost_manifests::document::{self, SignedDocument};
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::SerialNumber;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::decision::{Command, Context, Decision, NoFacts};
use crate::changes::{Actor, Change, Note};
use crate::queries::{Query, query};
use crate::rules::grants::{Acceptance, HeldGrant, judge};

/// A registration code was made for a serial number.
#[derive(Debug, Clone)]
pub struct RegisterSerial {
    /// Who made it.
    pub actor: Actor,
    /// The serial number.
    pub serial: SerialNumber,
}

impl Command for RegisterSerial {
    type Facts = NoFacts;
    type Answer = ();
    const ATTEMPTED: &'static str = "note a registration";

    fn facts(&self) -> NoFacts {
        NoFacts
    }

    fn decide(self, (): (), _: &Context<'_>) -> Decision<()> {
        Decision::answer(()).change(self.actor, Change::SerialRegistered { serial: self.serial })
    }
}

query! {
    /// The grant of a serial number that is held.
    LoadHeldGrant {
        /// The serial number.
        pub serial: SerialNumber,
    } -> Option<HeldGrant>, "read a grant"
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

impl Command for AcceptGrant {
    type Facts = LoadHeldGrant;
    type Answer = ();
    const ATTEMPTED: &'static str = "accept a grant";

    fn facts(&self) -> LoadHeldGrant {
        LoadHeldGrant { serial: self.grant.serial.clone() }
    }

    fn decide(self, held: Option<HeldGrant>, context: &Context<'_>) -> Decision<()> {
        let Self { actor, grant, document, asked_for } = self;
        if document::read::<Grant>(document.document.as_bytes()).ok().as_ref() != Some(&grant) {
            return Decision::refuse(Problem::new(
                ProblemCode::GrantRefused,
                "the grant and its signed text do not say the same",
                "use the unlock code or the grant file exactly as the vendor sent it",
            ));
        }
        let server = context.server;
        match judge(&grant, document.digest(), held, asked_for.as_ref(), &server.server_id, &server.site_key)
        {
            Err(refusal) => Decision::refuse(refusal.problem()),
            Ok(Acceptance::Same) => Decision::answer(()),
            Ok(Acceptance::New) => Decision::answer(())
                // What the vendor signed about the time holds at once.
                .note(Note::TimeFloor { floor: grant.vendor_time })
                .change(
                    actor,
                    Change::GrantAccepted {
                        serial: grant.serial,
                        generation: grant.generation,
                        seats: grant.seats,
                        model: grant.model,
                        valid_until: grant.valid_until,
                        grant: document,
                    },
                ),
        }
    }
}
