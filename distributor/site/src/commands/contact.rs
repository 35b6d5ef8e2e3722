//! One contact: nonces, reports, lease, assignment, grant.
//!
//! Invariant: what is answered is noted together with the nonces, so that a retry gets the same answer. A contact
//! without news writes one note. The head that a lease carries is the newest entry before the contact; it leaves the
//! server only after the commit.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName, PackageName, Platform};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::wire::contact::{Contact, InstalledPackage};
use sealpost_manifests::wire::problem::Problem;

use super::decision::{Command, Context, Decision};
use crate::changes::{Actor, Change, ContactAnswer, Note};
use crate::queries::{Query, query};
use crate::rules::assignment::AssignedRelease;
use crate::rules::assignment::{
    AssignmentDecision, AssignmentFacts, Computer, decide, package_assignment, wanted,
};
use crate::rules::contact::{
    LeaseDecision, LeaseFacts, NonceJudgement, NoncePair, check, decide_lease, fork_problem, judge_nonces,
    next_sequence, nonce_problem, unknown_client,
};
use crate::rules::release::KnownRelease;
use crate::rules::{reports, text};

query! {
    /// What a contact is decided from.
    LoadContact {
        /// The client.
        pub client_id: ClientId,
        /// Whether it reports something: only then its reported packages are looked up.
        pub reports: bool,
    } -> ContactFacts, "read a client's contact"
}

/// As [`LoadContact`] says.
#[derive(Debug, Clone)]
pub struct ContactFacts {
    /// The client; `None` when none of this id holds a reservation.
    pub client: Option<ContactClient>,
    /// Every approved release.
    pub approved: Vec<KnownRelease>,
    /// When the vendor's metadata was last found fresh; `None` before the first pull.
    pub metadata_as_of: Option<Timestamp>,
    /// The highest epoch of any grant.
    pub epoch: u64,
}

/// A client that contacts, with everything that was noted of it.
#[derive(Debug, Clone)]
pub struct ContactClient {
    /// The name that holds the seat.
    pub name: ComputerName,
    /// The channel that it follows.
    pub channel: ChannelName,
    /// Its key.
    pub client_key: PublicKey,
    /// Whether two computers use its identity.
    pub forked: bool,
    /// The grant that its seat comes from.
    pub grant: HeldGrantText,
    /// The highest sequence that was issued to it.
    pub sequence: u64,
    /// Whether it ever got a lease.
    pub had_lease: bool,
    /// Whether it ever got an assignment.
    pub had_assignment: bool,
    /// Reports up to this id are in the log.
    pub acknowledged_report: u64,
    /// Its last contact; `None` before the first.
    pub last: Option<LastContact>,
    /// The newest lease that it was sent.
    pub lease: Option<Lease>,
    /// The newest assignment that it was sent.
    pub assignment: Option<Assignment>,
    /// What it said of itself last; `None` before the first contact.
    pub seen: Option<SeenClient>,
    /// Packages that it reported about before; empty unless they were asked for.
    pub reported: BTreeSet<PackageName>,
}

/// A grant with its exact text.
#[derive(Debug, Clone)]
pub struct HeldGrantText {
    /// What it says.
    pub grant: Grant,
    /// Its exact signed text.
    pub document: SignedDocument,
    /// Digest of that text.
    pub digest: Sha256Digest,
}

/// The last contact that was answered.
#[derive(Debug, Clone)]
pub struct LastContact {
    /// Its nonces.
    pub nonces: NoncePair,
    /// What it was answered.
    pub answer: ContactAnswer,
}

/// What a client says of itself at each contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenClient {
    /// Its platform.
    pub platform: Platform,
    /// The version of its agent.
    pub agent_version: String,
    /// What it runs, sorted by package.
    pub installed: Vec<InstalledPackage>,
}

impl SeenClient {
    /// What a contact says, in the form in which it is noted: each package once, sorted; the last one counts.
    #[must_use]
    pub fn of(contact: &Contact) -> Self {
        let by_package: std::collections::BTreeMap<&PackageName, &InstalledPackage> =
            contact.packages.iter().map(|package| (package.package(), package)).collect();
        Self {
            platform: contact.platform.clone(),
            agent_version: text::agent_version(&contact.agent_version),
            installed: by_package.into_values().cloned().collect(),
        }
    }
}

/// A contact whose signature was verified with the client's key.
#[derive(Debug, Clone)]
pub struct AnswerContact {
    /// The contact.
    pub contact: Contact,
}

/// What a contact answers; unsigned: the caller signs after the commit. Ed25519 is deterministic, so a retry gets the
/// same bytes.
#[derive(Debug, Clone)]
pub struct ContactOutcome {
    /// The lease to sign and send, if the client does not hold it.
    pub lease: Option<Lease>,
    /// The assignment to sign and send, if the client does not hold it.
    pub assignment: Option<Assignment>,
    /// The grant to send, if the client does not hold it.
    pub grant: Option<SignedDocument>,
    /// Reports up to this id are on disk.
    pub acknowledged_report: u64,
    /// For the person at the computer.
    pub notice: Option<String>,
    /// Whether this was a retry of the last contact.
    pub retry: bool,
    /// The client's name, for the log.
    pub name: ComputerName,
}

impl Command for AnswerContact {
    type Facts = LoadContact;
    type Answer = ContactOutcome;
    const ATTEMPTED: &'static str = "commit a contact";

    fn facts(&self) -> LoadContact {
        LoadContact { client_id: self.contact.client_id.clone(), reports: !self.contact.reports.is_empty() }
    }

    fn decide(self, facts: ContactFacts, context: &Context<'_>) -> Decision<ContactOutcome> {
        let contact = self.contact;
        if let Err(problem) = check(&contact, &context.server.server_id) {
            return Decision::refuse(problem);
        }
        let Some(client) = &facts.client else { return Decision::refuse(unknown_client()) };
        if client.forked {
            return Decision::refuse(fork_problem());
        }
        let nonces = client.last.as_ref().map(|last| &last.nonces);
        let judgement = judge_nonces(nonces, contact.previous.as_ref(), &contact.next);
        match (judgement, nonce_problem(judgement), &client.last) {
            (_, Some(problem), _) => out_of_order(judgement, problem, &contact, client),
            (NonceJudgement::Retry, None, Some(last)) => Decision::answer(retried(client, &last.answer)),
            _ => Answering { facts: &facts, client, contact: &contact, context, sequence: client.sequence }
                .answer(),
        }
    }
}

/// A fork is worth knowing, so it is written although the contact is refused.
fn out_of_order(
    judgement: NonceJudgement,
    problem: Problem,
    contact: &Contact,
    client: &ContactClient,
) -> Decision<ContactOutcome> {
    let refused = Decision::refuse(problem);
    if judgement != NonceJudgement::Fork {
        return refused;
    }
    let client_id = contact.client_id.clone();
    let actor = Actor::Client { client_id: client_id.clone(), name: client.name.clone() };
    refused.change(actor, Change::ForkDetected { client_id })
}

/// The answer of the last contact again.
fn retried(client: &ContactClient, answer: &ContactAnswer) -> ContactOutcome {
    ContactOutcome {
        lease: client.lease.clone().filter(|_| answer.lease),
        assignment: client.assignment.clone().filter(|_| answer.assignment),
        grant: answer.grant.clone(),
        acknowledged_report: answer.acknowledged_report,
        notice: answer.notice.clone(),
        retry: true,
        name: client.name.clone(),
    }
}

/// A contact in order, on its way to an answer.
struct Answering<'a> {
    facts: &'a ContactFacts,
    client: &'a ContactClient,
    contact: &'a Contact,
    context: &'a Context<'a>,
    /// The highest sequence that was issued, also by this contact.
    sequence: u64,
}

/// A document that the answer may carry.
enum Sent<T> {
    /// The client holds it, or there is none.
    Nothing,
    /// The one that was issued before.
    Again(Box<T>),
    /// A new one, with the change that issues it.
    New(Box<T>, Box<Change>),
}

impl<T: Clone> Sent<T> {
    fn document(&self) -> Option<&T> {
        match self {
            Self::Nothing => None,
            Self::Again(document) | Self::New(document, _) => Some(document),
        }
    }
}

impl Answering<'_> {
    fn answer(mut self) -> Decision<ContactOutcome> {
        let (reported, acknowledged_report) = self.reports();
        let (lease, notice) = self.lease();
        let assignment = if notice.is_some() { Sent::Nothing } else { self.assignment() };
        let (client, contact) = (self.client, self.contact);
        let grant = (contact.grant != Some(client.grant.digest)).then(|| client.grant.document.clone());
        let answer = ContactAnswer {
            lease: lease.document().is_some(),
            assignment: assignment.document().is_some(),
            grant: grant.clone(),
            acknowledged_report,
            notice: notice.clone(),
        };
        let mut decision = Decision::answer(ContactOutcome {
            lease: lease.document().cloned(),
            assignment: assignment.document().cloned(),
            grant,
            acknowledged_report,
            notice,
            retry: false,
            name: client.name.clone(),
        });
        let actor = Actor::Client { client_id: contact.client_id.clone(), name: client.name.clone() };
        for change in reported {
            decision = decision.change(actor.clone(), change);
        }
        if let Sent::New(lease, change) = lease {
            decision = decision.change(actor.clone(), *change).note(Note::LeaseSent { lease: *lease });
        }
        if let Sent::New(assignment, change) = assignment {
            decision = decision.change(actor, *change).note(Note::AssignmentSent { assignment: *assignment });
        }
        let seen = SeenClient::of(contact);
        if client.seen.as_ref() != Some(&seen) {
            let SeenClient { platform, agent_version, installed } = seen;
            let client_id = contact.client_id.clone();
            decision = decision.note(Note::ClientSeen { client_id, platform, agent_version, installed });
        }
        decision.note(Note::ContactAnswered {
            client_id: contact.client_id.clone(),
            previous: contact.previous.clone(),
            next: contact.next.clone(),
            at: self.context.now,
            answer,
        })
    }

    /// Reports that are not in the log yet, oldest first, and the highest id that is then.
    fn reports(&self) -> (Vec<Change>, u64) {
        let fresh = reports::fresh(&self.contact.reports, self.client.acknowledged_report);
        let highest = fresh.keys().next_back().copied().unwrap_or(self.client.acknowledged_report);
        let mut reported = self.client.reported.clone();
        let mut changes = Vec::with_capacity(fresh.len());
        for report in fresh.into_values() {
            let effect = reports::effect(report, &reported);
            if effect != reports::ReportEffect::Unlisted {
                reported.insert(report.release.package.clone());
            }
            let client_id = self.contact.client_id.clone();
            changes.push(Change::StepReported { client_id, report: report.clone(), effect });
        }
        (changes, highest)
    }

    /// The lease to send, and the notice if there is none to be had.
    fn lease(&mut self) -> (Sent<Lease>, Option<String>) {
        let client = self.client;
        let decision = decide_lease(&LeaseFacts {
            now: self.context.now,
            last: client.lease.as_ref(),
            ever: client.had_lease,
            held: self.contact.lease,
            grant: client.grant.digest,
            epoch: self.facts.epoch,
            grant_valid_until: client.grant.grant.valid_until,
        });
        match (decision, &client.lease) {
            (LeaseDecision::Withhold { lapsed_at }, _) => {
                let notice = format!(
                    "this computer gets no lease: the site's license lapsed at {lapsed_at}; its administrator can renew it"
                );
                (Sent::Nothing, Some(notice))
            }
            (LeaseDecision::Issue(_), _) => {
                let lease = self.new_lease();
                let change = Change::LeaseIssued {
                    client_id: lease.client_id.clone(),
                    sequence: lease.sequence,
                    not_after: lease.not_after,
                };
                (Sent::New(Box::new(lease), Box::new(change)), None)
            }
            (LeaseDecision::Resend, Some(lease)) => (Sent::Again(Box::new(lease.clone())), None),
            (LeaseDecision::Resend | LeaseDecision::Keep, _) => (Sent::Nothing, None),
        }
    }

    fn new_lease(&mut self) -> Lease {
        let (client, context) = (self.client, self.context);
        Lease {
            client_id: self.contact.client_id.clone(),
            client_key: client.client_key.clone(),
            computer_name: client.name.clone(),
            server_id: context.server.server_id.clone(),
            epoch: self.facts.epoch,
            sequence: self.raise_sequence(),
            issued_at: context.now,
            not_after: context.after_days(context.terms.lease_days),
            model: client.grant.grant.model,
            packages: client.grant.grant.packages.clone(),
            grant: client.grant.digest,
            ledger_head: context.head.clone(),
        }
    }

    fn assignment(&mut self) -> Sent<Assignment> {
        let (facts, client) = (self.facts, self.client);
        let wanted = wanted(
            &facts.approved,
            &Computer {
                channel: &client.channel,
                platform: &self.contact.platform,
                licensed: &client.grant.grant.packages,
                installed: &self.contact.packages,
            },
        );
        let decision = decide(&AssignmentFacts {
            now: self.context.now,
            last: client.assignment.as_ref(),
            ever: client.had_assignment,
            held: self.contact.assignment,
            wanted: &wanted,
            epoch: facts.epoch,
            metadata_as_of: facts.metadata_as_of,
        });
        match (decision, facts.metadata_as_of, &client.assignment) {
            (AssignmentDecision::Issue(_), Some(as_of), _) => self.new_assignment(&wanted, as_of),
            (AssignmentDecision::Resend, _, Some(assignment)) => Sent::Again(Box::new(assignment.clone())),
            _ => Sent::Nothing,
        }
    }

    fn new_assignment(&mut self, wanted: &[&KnownRelease], metadata_as_of: Timestamp) -> Sent<Assignment> {
        let context = self.context;
        let assignment = Assignment {
            client_id: self.contact.client_id.clone(),
            server_id: context.server.server_id.clone(),
            epoch: self.facts.epoch,
            sequence: self.raise_sequence(),
            issued_at: context.now,
            expires_at: context.after_days(context.terms.assignment_days),
            metadata_as_of,
            packages: wanted.iter().map(|release| package_assignment(release)).collect(),
        };
        let releases = wanted
            .iter()
            .map(|wanted| AssignedRelease { release: wanted.release.clone(), manifest: wanted.manifest })
            .collect();
        let change = Change::AssignmentChanged {
            client_id: assignment.client_id.clone(),
            sequence: assignment.sequence,
            releases,
        };
        Sent::New(Box::new(assignment), Box::new(change))
    }

    fn raise_sequence(&mut self) -> u64 {
        let held = [self.contact.lease, self.contact.assignment];
        self.sequence = next_sequence(self.sequence, self.facts.epoch, held);
        self.sequence
    }
}
