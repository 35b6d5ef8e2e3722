//! Reservations, setup files and enrollment.

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName};
use sealpost_manifests::wire::enroll::{Enrolled, Enrollment};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::decision::{Command, Context, Decision, missing};
use crate::changes::{Actor, Change};
use crate::queries::{Query, query};
use crate::rules::enrollment::{self, EnrollDecision, EnrollRefusal, SetupState};
use crate::rules::pending::{self, PendingDecision, PendingFacts};
use crate::rules::seats::{self, GrantedSeats};
use crate::rules::text;

query! {
    /// What a reservation is decided from.
    LoadSeats {
        /// The name that wants a seat.
        pub name: ComputerName,
    } -> SeatFacts, "read the seats"
}

/// As [`LoadSeats`] says.
#[derive(Debug, Clone)]
pub struct SeatFacts {
    /// Whether the name holds a seat already.
    pub reserved: bool,
    /// Every grant with its seats, in the order in which the serial numbers came.
    pub grants: Vec<GrantedSeats>,
}

/// Takes a seat for a name, for good; the same name again takes no second one.
#[derive(Debug, Clone)]
pub struct Reserve {
    /// Who reserves.
    pub actor: Actor,
    /// The name.
    pub name: ComputerName,
    /// The channel that it follows.
    pub channel: ChannelName,
}

impl Command for Reserve {
    type Facts = LoadSeats;
    type Answer = ();
    const ATTEMPTED: &'static str = "reserve a seat";

    fn facts(&self) -> LoadSeats {
        LoadSeats { name: self.name.clone() }
    }

    fn decide(self, facts: SeatFacts, context: &Context<'_>) -> Decision<()> {
        if facts.reserved {
            return Decision::answer(());
        }
        match seats::take(&facts.grants, context.now) {
            Err(refusal) => Decision::refuse(refusal.problem()),
            Ok(serial) => Decision::answer(()).change(
                self.actor,
                Change::SeatReserved { name: self.name, channel: self.channel, serial: serial.clone() },
            ),
        }
    }
}

query! {
    /// What a setup file is decided from.
    LoadSetup {
        /// The name that it is for.
        pub name: ComputerName,
        /// SHA-256 of its enrollment code.
        pub code_sha256: Sha256Digest,
    } -> SetupFacts, "read the setups"
}

/// As [`LoadSetup`] says.
#[derive(Debug, Clone)]
pub struct SetupFacts {
    /// Whether the name holds a seat.
    pub reserved: bool,
    /// The name that the code was issued for before.
    pub code_of: Option<ComputerName>,
}

/// Notes that a setup file was issued; codes that were issued for the name before are void.
#[derive(Debug, Clone)]
pub struct IssueSetup {
    /// Who issued it.
    pub actor: Actor,
    /// The reserved name.
    pub name: ComputerName,
    /// SHA-256 of its enrollment code.
    pub code_sha256: Sha256Digest,
}

impl Command for IssueSetup {
    type Facts = LoadSetup;
    type Answer = ();
    const ATTEMPTED: &'static str = "note a setup file";

    fn facts(&self) -> LoadSetup {
        LoadSetup { name: self.name.clone(), code_sha256: self.code_sha256 }
    }

    fn decide(self, facts: SetupFacts, _: &Context<'_>) -> Decision<()> {
        let Self { actor, name, code_sha256 } = self;
        if !facts.reserved {
            return Decision::refuse(Problem::new(
                ProblemCode::NotReserved,
                format!("no setup file can be issued: no seat is reserved for {name}"),
                format!("run `distributor clients reserve {name}` first"),
            ));
        }
        match facts.code_of {
            Some(known) if known == name => Decision::answer(()),
            Some(_) => Decision::refuse(Problem::new(
                ProblemCode::AlreadyExists,
                "the enrollment code belongs to another computer",
                "issue a setup file with a new code",
            )),
            None => Decision::answer(()).change(actor, Change::SetupIssued { name, code_sha256 }),
        }
    }
}

query! {
    /// What an enrollment is decided from.
    LoadEnrollment {
        /// The name that it gives.
        pub name: ComputerName,
    } -> EnrollmentFacts, "read what is known of a computer"
}

/// As [`LoadEnrollment`] says.
#[derive(Debug, Clone)]
pub struct EnrollmentFacts {
    /// The newest setup of the name.
    pub setup: SetupState,
    /// The client that holds the name now.
    pub client: Option<EnrolledClient>,
    /// The grant that its seat comes from.
    pub grant: Option<SignedDocument>,
    /// The list of computers that wait for a seat.
    pub pending: PendingFacts,
}

/// A client as it enrolled.
#[derive(Debug, Clone)]
pub struct EnrolledClient {
    /// Its id.
    pub client_id: ClientId,
    /// Its key.
    pub client_key: PublicKey,
    /// License time of its enrollment.
    pub enrolled_at: Timestamp,
}

/// Enrolls a computer whose enrollment was verified with the key inside.
#[derive(Debug, Clone)]
pub struct Enroll {
    /// Where the request came from.
    pub source: String,
    /// The enrollment.
    pub enrollment: Enrollment,
    /// The id that the client gets if this is its first time.
    pub new_id: ClientId,
}

/// What enrollment answers; unsigned: the caller signs after the commit. Ed25519 is deterministic, so a retry gets the
/// same bytes.
#[derive(Debug, Clone)]
pub struct EnrollOutcome {
    /// What to sign.
    pub enrolled: Enrolled,
    /// The grant to send with it.
    pub grant: SignedDocument,
}

impl Command for Enroll {
    type Facts = LoadEnrollment;
    type Answer = EnrollOutcome;
    const ATTEMPTED: &'static str = "enroll a computer";

    fn facts(&self) -> LoadEnrollment {
        LoadEnrollment { name: self.enrollment.computer_name.clone() }
    }

    fn decide(self, facts: EnrollmentFacts, context: &Context<'_>) -> Decision<EnrollOutcome> {
        let enrollment = &self.enrollment;
        if enrollment.server_id != context.server.server_id {
            return Decision::refuse(enrollment::wrong_server());
        }
        let code_sha256 = Sha256Digest::of(enrollment.enrollment_code.as_str().as_bytes());
        match enrollment::decide(&facts.setup, code_sha256, &enrollment.client_key) {
            Err(refusal) => {
                let problem = refusal.problem(&enrollment.computer_name);
                let decision = Decision::refuse(problem);
                match refusal {
                    EnrollRefusal::UnknownComputer => self.wait_for_a_seat(decision, &facts.pending, context),
                    EnrollRefusal::CodeWrong | EnrollRefusal::CodeUsed => decision,
                }
            }
            Ok(EnrollDecision::SameAgain) => self.same_again(facts, context),
            Ok(EnrollDecision::Bind) => self.bind(facts, code_sha256, context),
        }
    }
}

impl Enroll {
    fn wait_for_a_seat(
        self,
        refused: Decision<EnrollOutcome>,
        waiting: &PendingFacts,
        context: &Context<'_>,
    ) -> Decision<EnrollOutcome> {
        match pending::decide(waiting, context.now) {
            PendingDecision::Known | PendingDecision::Full => refused,
            PendingDecision::Add { drops } => {
                let source = text::source(&self.source);
                let name = self.enrollment.computer_name;
                refused.change(
                    Actor::Stranger { source: source.clone() },
                    Change::UnknownComputerSeen { name, source, drops },
                )
            }
        }
    }

    fn same_again(self, facts: EnrollmentFacts, context: &Context<'_>) -> Decision<EnrollOutcome> {
        let Some(client) = facts.client else { return Decision::refuse(missing("client")) };
        let Some(grant) = facts.grant else { return Decision::refuse(missing("grant")) };
        Decision::answer(outcome(client, self.enrollment.computer_name, grant, context))
    }

    fn bind(
        self,
        facts: EnrollmentFacts,
        code_sha256: Sha256Digest,
        context: &Context<'_>,
    ) -> Decision<EnrollOutcome> {
        let Some(grant) = facts.grant else { return Decision::refuse(missing("grant")) };
        let Enrollment { computer_name: name, client_key, platform, agent_version, .. } = self.enrollment;
        let client_id = self.new_id;
        let client = EnrolledClient {
            client_id: client_id.clone(),
            client_key: client_key.clone(),
            enrolled_at: context.now,
        };
        let actor = Actor::Client { client_id: client_id.clone(), name: name.clone() };
        let change = Change::ClientEnrolled {
            client_id,
            name: name.clone(),
            client_key,
            platform,
            agent_version: text::agent_version(&agent_version),
            code_sha256,
            replaces: facts.client.map(|client| client.client_id),
        };
        Decision::answer(outcome(client, name, grant, context)).change(actor, change)
    }
}

fn outcome(
    client: EnrolledClient,
    computer_name: ComputerName,
    grant: SignedDocument,
    context: &Context<'_>,
) -> EnrollOutcome {
    let EnrolledClient { client_id, client_key, enrolled_at } = client;
    let server_id = context.server.server_id.clone();
    EnrollOutcome {
        enrolled: Enrolled { client_id, client_key, computer_name, server_id, enrolled_at },
        grant,
    }
}
