//! A contact of a client of which there are two: refused, and noted once for each of them.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::contact::Contact;

use super::facts::{ContactClient, ContactOutcome, SeenClient};
use crate::changes::{Actor, Change, CopySeen};
use crate::commands::decision::{Context, Decision};
use crate::rules::came_by::CameBy;
use crate::rules::contact::NoncePair;
use crate::rules::copies::{
    CopyDecision, CopyFacts, CopyNotes, CopyStanding, MAX_COPY_PACKAGES, decide,
    decided_before_restore_problem, found, given_up_problem, kept_problem, of_neither_problem,
    undecided_problem,
};

/// A contact that comes from one of two computers.
pub(super) struct OfTwo<'a> {
    pub(super) client: &'a ContactClient,
    pub(super) contact: &'a Contact,
    /// How the contact came, where that is known.
    pub(super) came_by: Option<CameBy>,
    pub(super) context: &'a Context<'a>,
}

impl OfTwo<'_> {
    /// A contact of a client that is known to be two.
    pub(super) fn answer(self) -> Decision<ContactOutcome> {
        let Contact { previous, next, .. } = self.contact;
        let name = &self.client.name;
        match decide(&self.facts(), previous.as_ref(), next) {
            CopyDecision::OfNeither => Decision::refuse(of_neither_problem(name, &self.client.copies)),
            CopyDecision::Of { branch, notes, standing } => {
                let problem = match standing {
                    CopyStanding::Undecided => undecided_problem(name, Some(&branch)),
                    CopyStanding::BeforeRestore => decided_before_restore_problem(name, Some(&branch)),
                    CopyStanding::Kept => kept_problem(name),
                    CopyStanding::GivenUp => given_up_problem(Some(name)),
                };
                self.noted(Decision::refuse(problem), notes)
            }
        }
    }

    /// The contact that shows that there are two; by its nonces, or by what it shows of a restored ledger. That is worth
    /// knowing, so it is written although the contact is refused.
    pub(super) fn are_found(self) -> Decision<ContactOutcome> {
        let (facts, Contact { previous, next, client_id, .. }) = (self.facts(), self.contact);
        let by_nonces = match decide(&facts, previous.as_ref(), next) {
            CopyDecision::Of { branch, notes, .. } => Some((branch, notes)),
            CopyDecision::OfNeither => found(&facts, next),
        };
        let name = &self.client.name;
        let problem = match &by_nonces {
            Some((branch, _)) => undecided_problem(name, Some(branch)),
            None => of_neither_problem(name, facts.noted),
        };
        let refused = Decision::refuse(problem);
        let refused = refused.change(self.actor(), Change::ForkDetected { client_id: client_id.clone() });
        self.noted(refused, by_nonces.map(|(_, notes)| notes).unwrap_or_default())
    }

    fn facts(&self) -> CopyFacts<'_> {
        let ContactClient { last, copies, kept_copy, .. } = self.client;
        let last: Option<&NoncePair> = last.as_ref().map(|last| &last.nonces);
        CopyFacts { last, noted: copies, kept: kept_copy }
    }

    fn noted(&self, decision: Decision<ContactOutcome>, notes: CopyNotes) -> Decision<ContactOutcome> {
        let answered = notes.answered.and_then(|branch| self.of_the_answered(branch));
        let this = notes.this.map(|branch| {
            let seen = SeenClient::of(self.contact, self.came_by, None);
            self.seen(branch, &seen, self.context.now)
        });
        answered
            .into_iter()
            .chain(this)
            .fold(decision, |decision, seen| decision.change(self.actor(), Change::CopySeen(seen)))
    }

    /// The computer that was answered last, as it was noted. After its ledger was rebuilt nothing is: it shows itself.
    fn of_the_answered(&self, branch: Sha256Digest) -> Option<CopySeen> {
        let (last, seen) = (self.client.last.as_ref()?, self.client.seen.as_ref()?);
        Some(self.seen(branch, seen, last.at))
    }

    fn seen(&self, branch: Sha256Digest, seen: &SeenClient, seen_at: jiff::Timestamp) -> CopySeen {
        CopySeen {
            client_id: self.contact.client_id.clone(),
            branch,
            seen_at,
            came_by: seen.came_by,
            hostname: seen.hostname.clone(),
            instance: seen.instance,
            agent_version: seen.agent_version.clone(),
            packages: seen.installed.iter().take(MAX_COPY_PACKAGES).cloned().collect(),
        }
    }

    fn actor(&self) -> Actor {
        Actor::Client { client_id: self.contact.client_id.clone(), name: self.client.name.clone() }
    }
}
