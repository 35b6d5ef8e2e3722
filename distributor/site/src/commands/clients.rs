//! Reservations, setup files, installs at a time, and enrollment.

mod admit;
mod copies;
mod reserve;
mod schedule;
mod setups;

use std::collections::BTreeSet;

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName, SetupId};
use sealpost_manifests::wire::enroll::{Enrolled, Enrollment};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

pub use self::admit::{ADMITTED_DAYS, Admission, AdmissionFacts, Admit, Admitted, LoadAdmission, NameFacts};
pub use self::copies::{ProvenCopy, ResolveCopies};
pub use self::reserve::{
    DEFAULT_CHANNEL, Held, LoadSeats, MAX_RESERVED, Reserve, ReserveMany, Seat, SeatFacts, Wanted,
};
pub use self::schedule::{
    CallOff, ClaimInstall, Claimed, LoadSchedule, NoteInstall, PlanInstall, ScheduleFacts,
};
pub use self::setups::{
    HasSetup, IssueSetup, IssueSetups, Issued, LoadSetups, MAX_SETUPS, NewestSetup, SetupFacts, SetupWanted,
    SetupsOf,
};
use super::decision::{Command, Context, Decision, missing};
use crate::changes::{Actor, Change, ComputerKnocked, Dropped, EnrolledBy};
use crate::queries::{Query, query};
use crate::rules::copies::{
    Kept, decided_before_restore_problem, given_up_problem, shows, undecided_problem,
};
use crate::rules::enrollment::{self, BoundBy, EnrollDecision, EnrollRefusal, Proof, SetupState};
use crate::rules::names::unknown_channel;
use crate::rules::pending::{self, PendingDecision, PendingFacts, Waits};
use crate::rules::restore::{RestoreState, unconfirmed_problem};
use crate::rules::text;

query! {
    /// What a move to another channel is decided from.
    LoadChannels {
        /// The name.
        pub name: ComputerName,
    } -> ChannelFacts, "read the channels"
}

/// As [`LoadChannels`] says.
#[derive(Debug, Clone)]
pub struct ChannelFacts {
    /// The channel that the name follows, if it holds a seat.
    pub channel: Option<ChannelName>,
    /// The channels that releases are known of.
    pub channels: BTreeSet<ChannelName>,
}

/// Moves a computer to another channel. What it runs stays until something newer is approved for that channel.
#[derive(Debug, Clone)]
pub struct ChangeChannel {
    /// Who moves it.
    pub actor: Actor,
    /// The name.
    pub name: ComputerName,
    /// The channel that it follows from now on.
    pub channel: ChannelName,
}

impl Command for ChangeChannel {
    type Facts = LoadChannels;
    type Answer = ();
    const ATTEMPTED: &'static str = "move a computer to another channel";

    fn facts(&self) -> LoadChannels {
        LoadChannels { name: self.name.clone() }
    }

    fn decide(self, facts: ChannelFacts, _: &Context<'_>) -> Decision<()> {
        let Self { actor, name, channel } = self;
        match facts.channel {
            None => Decision::refuse(Problem::new(
                ProblemCode::NotReserved,
                format!("no seat is reserved for the computer {name}"),
                format!("reserve one with `distributor clients reserve {name} --channel {channel}`"),
            )),
            Some(follows) if follows == channel => Decision::answer(()),
            Some(_) => match unknown_channel(&channel, &facts.channels) {
                Some(problem) => Decision::refuse(problem),
                None => Decision::answer(()).change(actor, Change::ChannelChanged { name, channel }),
            },
        }
    }
}

query! {
    /// What an enrollment is decided from.
    LoadEnrollment {
        /// The name that it gives.
        pub name: ComputerName,
        /// The key that it shows.
        pub client_key: PublicKey,
    } -> EnrollmentFacts, "read what is known of a computer"
}

/// As [`LoadEnrollment`] says.
#[derive(Debug, Clone)]
pub struct EnrollmentFacts {
    /// The newest setup of the name.
    pub setup: SetupState,
    /// The client that holds the name now.
    pub client: Option<EnrolledClient>,
    /// The newest grants of the serial numbers whose seats it holds.
    pub grants: Vec<SignedDocument>,
    /// Where the ledger stands after restores.
    pub restore: RestoreState,
    /// The list of computers that wait.
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
    /// When it made its last contact, if it made one.
    pub last_contact: Option<Timestamp>,
    /// Whether two computers use its identity.
    pub forked: bool,
    /// Of two computers with its identity, the branch of the one that an admin kept.
    pub kept_copy: Kept,
}

/// Enrolls a computer whose enrollment was verified with the key inside.
#[derive(Debug, Clone)]
pub struct Enroll {
    /// Where the request came from.
    pub source: String,
    /// The enrollment.
    pub enrollment: Enrollment,
    /// What it proves beside its key.
    pub proof: Proof,
    /// The contact of a copy that it proved to be, instead of a code.
    pub copy: Option<ProvenCopy>,
    /// The id that the client gets if this is its first time.
    pub new_id: ClientId,
}

/// What enrollment answers; unsigned: the caller signs after the commit. Ed25519 is deterministic, so a retry gets the
/// same bytes.
#[derive(Debug, Clone)]
pub struct EnrollOutcome {
    /// What to sign.
    pub enrolled: Enrolled,
    /// The grants to send with it.
    pub grants: Vec<SignedDocument>,
}

impl Command for Enroll {
    type Facts = LoadEnrollment;
    type Answer = EnrollOutcome;
    const ATTEMPTED: &'static str = "enroll a computer";

    fn facts(&self) -> LoadEnrollment {
        let Enrollment { computer_name, client_key, .. } = &self.enrollment;
        LoadEnrollment { name: computer_name.clone(), client_key: client_key.clone() }
    }

    fn decide(self, facts: EnrollmentFacts, context: &Context<'_>) -> Decision<EnrollOutcome> {
        let enrollment = &self.enrollment;
        if enrollment.server_id != context.server.server_id {
            return Decision::refuse(enrollment::wrong_server());
        }
        if let Some(copy) = self.copy.clone() {
            return self.go_on(&copy, facts, context);
        }
        match enrollment::decide(&facts.setup, &self.proof, &enrollment.client_key, context.now) {
            Err(refusal) => {
                let refusal = refusal.after(&facts.restore);
                let problem = refusal.problem(&enrollment.computer_name, &enrollment.client_key);
                let decision = Decision::refuse(problem);
                if refusal.waits() { self.wait(decision, &facts.pending, context) } else { decision }
            }
            Ok(EnrollDecision::SameAgain) => self.same_again(facts, context),
            Ok(EnrollDecision::Bind { setup, by }) => self.bind(facts, setup, by, context),
        }
    }
}

impl Enroll {
    fn wait(
        self,
        refused: Decision<EnrollOutcome>,
        waiting: &PendingFacts,
        context: &Context<'_>,
    ) -> Decision<EnrollOutcome> {
        match pending::decide(waiting, context.now) {
            PendingDecision::Known => refused,
            PendingDecision::Full if self.proof == Proof::None => {
                let Enrollment { computer_name: name, client_key, .. } = &self.enrollment;
                Decision::refuse(EnrollRefusal::not_listed(name, client_key))
            }
            PendingDecision::Full => refused,
            PendingDecision::Add { drops } => {
                let source = text::source(&self.source);
                let Enrollment { computer_name: name, client_key, platform, agent_version, .. } =
                    self.enrollment;
                let knocked = ComputerKnocked {
                    name,
                    client_key,
                    source: source.clone(),
                    platform,
                    agent_version: text::agent_version(&agent_version),
                    drops: drops.map(|Waits { name, client_key }| Dropped { name, client_key }),
                };
                refused.change(Actor::Stranger { source }, Change::ComputerKnocked(knocked))
            }
        }
    }

    fn same_again(self, facts: EnrollmentFacts, context: &Context<'_>) -> Decision<EnrollOutcome> {
        let Some(client) = facts.client else { return Decision::refuse(missing("client")) };
        if facts.grants.is_empty() {
            return Decision::refuse(missing("grant"));
        }
        Decision::answer(outcome(client, self.enrollment.computer_name, facts.grants, context))
    }

    fn bind(
        self,
        facts: EnrollmentFacts,
        setup: SetupId,
        by: BoundBy,
        context: &Context<'_>,
    ) -> Decision<EnrollOutcome> {
        if facts.grants.is_empty() {
            return Decision::refuse(missing("grant"));
        }
        // The restored ledger may have lost that another computer proved this code, or was given this seat.
        if let Some(restored) = facts.restore.unconfirmed() {
            return Decision::refuse(unconfirmed_problem("no computer can be enrolled", restored.at));
        }
        let by = match by {
            BoundBy::Code => EnrolledBy::Code,
            BoundBy::Admission => EnrolledBy::Admission,
        };
        self.enrolled_as(facts, setup, by, context)
    }

    /// Lets the copy that an admin kept go on with its new key. The same key gets the same answer again: it signed.
    fn go_on(
        self,
        copy: &ProvenCopy,
        facts: EnrollmentFacts,
        context: &Context<'_>,
    ) -> Decision<EnrollOutcome> {
        let name = &self.enrollment.computer_name;
        let Some(client) = &facts.client else { return Decision::refuse(given_up_problem(Some(name))) };
        if client.client_key == self.enrollment.client_key {
            // Of two computers with this key nobody is told anything by showing it.
            if client.forked {
                return Decision::refuse(undecided_problem(name, None));
            }
            return self.same_again(facts, context);
        }
        if client.client_id != copy.client_id {
            return Decision::refuse(given_up_problem(Some(name)));
        }
        match &client.kept_copy {
            Kept::Undecided => return Decision::refuse(undecided_problem(name, None)),
            Kept::BeforeRestore(_) => return Decision::refuse(decided_before_restore_problem(name, None)),
            Kept::Branch(kept) => {
                let pair = copy.pair.as_ref();
                if !pair.is_some_and(|pair| shows(kept, pair.previous.as_ref(), &pair.next)) {
                    return Decision::refuse(given_up_problem(Some(name)));
                }
            }
        }
        if facts.grants.is_empty() {
            return Decision::refuse(missing("grant"));
        }
        // The restored ledger may have lost that the other one was kept.
        if let Some(restored) = facts.restore.unconfirmed() {
            return Decision::refuse(unconfirmed_problem("no computer gets a new key", restored.at));
        }
        self.enrolled_as(facts, copy.setup.clone(), EnrolledBy::Copy, context)
    }

    fn enrolled_as(
        self,
        facts: EnrollmentFacts,
        setup: SetupId,
        by: EnrolledBy,
        context: &Context<'_>,
    ) -> Decision<EnrollOutcome> {
        let client = EnrolledClient {
            client_id: self.new_id.clone(),
            client_key: self.enrollment.client_key.clone(),
            enrolled_at: context.now,
            last_contact: None,
            forked: false,
            kept_copy: Kept::Undecided,
        };
        let Enrollment { computer_name: name, client_key, sealing_key, platform, agent_version, .. } =
            self.enrollment;
        let client_id = self.new_id;
        let actor = Actor::Client { client_id: client_id.clone(), name: name.clone() };
        let change = Change::ClientEnrolled {
            client_id,
            name: name.clone(),
            client_key,
            sealing_key,
            platform,
            agent_version: text::agent_version(&agent_version),
            setup,
            last_contact: facts.client.as_ref().and_then(|client| client.last_contact),
            replaces: facts.client.map(|client| client.client_id),
            by,
        };
        Decision::answer(outcome(client, name, facts.grants, context)).change(actor, change)
    }
}

fn outcome(
    client: EnrolledClient,
    computer_name: ComputerName,
    grants: Vec<SignedDocument>,
    context: &Context<'_>,
) -> EnrollOutcome {
    let EnrolledClient { client_id, client_key, enrolled_at, .. } = client;
    let server_id = context.server.server_id.clone();
    EnrollOutcome {
        enrolled: Enrolled { client_id, client_key, computer_name, server_id, enrolled_at },
        grants,
    }
}

#[cfg(test)]
mod tests;
