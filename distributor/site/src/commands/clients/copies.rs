//! Two computers with one identity: an admin says which one goes on, and that one proves that it is the one.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, ComputerName, SetupId};

use crate::changes::{Actor, Change, CopyResolved};
use crate::commands::decision::{Command, Context, Decision};
use crate::commands::second_eyes::too_long;
use crate::queries::CopiesOf;
use crate::rows::CopiesRow;
use crate::rules::contact::NoncePair;
use crate::rules::copies::{Kept, meant, not_two};
use crate::rules::text;

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
        if row.kept == Kept::Branch(keep) {
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
