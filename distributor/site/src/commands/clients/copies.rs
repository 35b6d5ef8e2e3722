//! Two computers with one identity: an admin says which one goes on, and that one proves that it is the one.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, ComputerName, SetupId};

use crate::changes::{Actor, Change, CopyResolved, EnrolledBy};
use crate::commands::decision::{Command, Context, Decision, missing};
use crate::commands::second_eyes::too_long;
use crate::queries::CopiesOf;
use crate::rows::CopiesRow;
use crate::rules::contact::NoncePair;
use crate::rules::copies::{given_up_problem, meant, not_two, shows, undecided_problem};
use crate::rules::restore::unconfirmed_problem;
use crate::rules::text;

use super::{Enroll, EnrollOutcome, EnrolledClient, EnrollmentFacts};

/// Says which of two computers with one identity goes on. It can be said anew until that one came. Answers its branch.
#[derive(Debug, Clone)]
pub struct ResolveCopies {
    /// Who says so.
    pub actor: Actor,
    /// The name.
    pub name: ComputerName,
    /// The branch that goes on, or its first digits.
    pub keep: String,
    /// Why.
    pub comment: String,
}

impl Command for ResolveCopies {
    type Facts = CopiesOf;
    type Answer = Sha256Digest;
    const ATTEMPTED: &'static str = "say which computer goes on";

    fn facts(&self) -> CopiesOf {
        CopiesOf { name: self.name.clone() }
    }

    fn decide(self, facts: Option<CopiesRow>, _: &Context<'_>) -> Decision<Sha256Digest> {
        let Self { actor, name, keep, comment } = self;
        let Some(row) = facts.filter(|row| row.forked) else { return Decision::refuse(not_two(&name)) };
        if let Some(problem) = too_long(&comment) {
            return Decision::refuse(problem);
        }
        let copies: Vec<Sha256Digest> = row.copies.iter().map(|copy| copy.branch).collect();
        let keep = match meant(&copies, &keep) {
            Ok(keep) => keep,
            Err(refusal) => return Decision::refuse(refusal.problem(&name, &copies)),
        };
        let decision = Decision::answer(keep);
        if row.kept == Some(keep) {
            return decision;
        }
        let comment = text::comment(&comment);
        let change = Change::CopyResolved(CopyResolved { client_id: row.client_id, name, keep, comment });
        decision.change(actor, change)
    }
}

/// A contact that a computer signed with the key of its client as it is now, and with the key that it enrolls with inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenCopy {
    /// The client.
    pub client_id: ClientId,
    /// The pair of the contact; `None` where it signed with the key that the client has already.
    pub pair: Option<NoncePair>,
    /// Stands for the enrollment in the log; nobody has a code of it.
    pub setup: SetupId,
}

impl Enroll {
    /// Lets the copy that an admin kept go on with its new key. The same key gets the same answer again: it signed.
    pub(super) fn go_on(
        self,
        copy: &ProvenCopy,
        facts: EnrollmentFacts,
        context: &Context<'_>,
    ) -> Decision<EnrollOutcome> {
        let name = &self.enrollment.computer_name;
        let Some(client) = &facts.client else { return Decision::refuse(given_up_problem(Some(name))) };
        if client.client_key == self.enrollment.client_key {
            return self.same_again(facts, context);
        }
        if client.client_id != copy.client_id {
            return Decision::refuse(given_up_problem(Some(name)));
        }
        match &client.kept_copy {
            None => return Decision::refuse(undecided_problem(name, None)),
            Some(kept) => {
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
}

/// The client that an enrollment makes.
pub(super) fn new_client(enroll: &Enroll, context: &Context<'_>) -> EnrolledClient {
    EnrolledClient {
        client_id: enroll.new_id.clone(),
        client_key: enroll.enrollment.client_key.clone(),
        enrolled_at: context.now,
        last_contact: None,
        kept_copy: None,
    }
}
