//! One contact: nonces, reports, lease, assignment, grants.
//!
//! Invariant: what is answered is noted together with the nonces, so that a retry gets the same answer. A contact
//! without news writes one note. The head that a lease carries is the newest entry before the contact; it leaves the
//! server only after the commit. A client that shows more than this ledger has is resumed (see [`resume`]).

mod answer;
mod resume;

use std::collections::BTreeSet;

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{
    ChannelName, ClientId, ComputerName, EraId, PackageName, Platform, SerialNumber,
};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::{Epoch, HighestOrders, Order, Ordered};
use sealpost_manifests::wire::contact::{Contact, InstalledPackage};
use sealpost_manifests::wire::problem::Problem;

use self::answer::Answering;
use super::decision::{Command, Context, Decision};
use crate::changes::{Actor, Change, ContactAnswer};
use crate::queries::{Query, query};
use crate::rules::contact::{
    Claim, NonceJudgement, NoncePair, check, claims, fork_problem, judge_nonces, ledger_behind,
    nonce_problem, unknown_client,
};
use crate::rules::release::KnownRelease;
use crate::rules::restore::{NameHolder, Progress, Receipt, RestoreState};
use crate::rules::text;

query! {
    /// What a contact is decided from.
    LoadContact {
        /// The client.
        pub client_id: ClientId,
        /// Whether it reports something: only then its reported packages are looked up.
        pub reports: bool,
        /// What it shows, if it shows something: only then what may have been lost is looked up.
        pub shown: Option<ShownKey>,
    } -> ContactFacts, "read a client's contact"
}

/// By what is looked up what the ledger may have lost.
#[derive(Debug, Clone)]
pub struct ShownKey {
    /// The name in the lease that is shown.
    pub name: ComputerName,
    /// The serial numbers in it.
    pub serials: Vec<SerialNumber>,
    /// The head in it.
    pub head: LogHead,
}

/// As [`LoadContact`] says.
#[derive(Debug, Clone)]
pub struct ContactFacts {
    /// The client; `None` when none of this id holds a reservation.
    pub client: Option<ContactClient>,
    /// Every approved release.
    pub approved: Vec<KnownRelease>,
    /// Manifests of releases above a counter that the vendor reset.
    pub voided: BTreeSet<Sha256Digest>,
    /// When the vendor's metadata was last found fresh; `None` before the first pull.
    pub metadata_as_of: Option<Timestamp>,
    /// The highest epoch of any grant.
    pub epoch: Epoch,
    /// Where the ledger stands after restores.
    pub restore: RestoreState,
    /// What may have been lost; only when something is shown.
    pub lost: Option<LostFacts>,
}

/// What the ledger knows beside what a client shows.
#[derive(Debug, Clone)]
pub struct LostFacts {
    /// Whether the client's id was replaced by a later enrollment that the ledger has.
    pub was_replaced: bool,
    /// Who holds the name now.
    pub holder: Option<NameHolder>,
    /// The serial numbers whose seats the name holds.
    pub reserved: BTreeSet<SerialNumber>,
    /// The newest grants of the serial numbers that are shown.
    pub seats: Vec<HeldGrantText>,
    /// Whether the head that is shown is one of this log.
    pub head_is_known: bool,
}

/// A client that contacts, with everything that was noted of it.
#[derive(Debug, Clone)]
pub struct ContactClient {
    /// The name that holds the seats.
    pub name: ComputerName,
    /// The channel that it follows.
    pub channel: ChannelName,
    /// Its key.
    pub client_key: PublicKey,
    /// Whether two computers use its identity.
    pub forked: bool,
    /// The newest grant of each serial number whose seat its name holds, by serial number.
    pub seats: Vec<HeldGrantText>,
    /// The order of the newest lease that was issued to it.
    pub lease_order: Option<Order>,
    /// The order of the newest assignment that was issued to it.
    pub assignment_order: Option<Order>,
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
    /// Whether it was resumed since the last restore.
    pub resumed: bool,
    /// The head that it reported last as not extending the one that it holds.
    pub log_fork: Option<LogHead>,
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
    /// How far the client had come with it.
    pub progress: Progress,
}

/// What a client says of itself at each contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenClient {
    /// Its platform.
    pub platform: Platform,
    /// The version of its agent.
    pub agent_version: String,
    /// Digest of its machine's and boot's ids.
    pub instance: Option<Sha256Digest>,
    /// The name that it gives itself.
    pub hostname: Option<String>,
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
            instance: contact.instance,
            hostname: contact.hostname.as_deref().map(text::stored),
            installed: by_package.into_values().cloned().collect(),
        }
    }
}

/// What a client shows of what this server signed for it. Every signature was checked with the site key, and every
/// document names this server and this client.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its lease.
    pub lease: Lease,
    /// Its assignment.
    pub assignment: Option<Assignment>,
    /// What the receipt in the contact says, if this server made it.
    pub receipt: Option<Receipt>,
    /// The era that begins if this shows that the ledger lost something.
    pub new_era: EraId,
}

/// A contact whose signature was verified with the client's key.
#[derive(Debug, Clone)]
pub struct AnswerContact {
    /// The contact.
    pub contact: Contact,
    /// What the client shows with it.
    pub shown: Option<Shown>,
}

/// What a contact answers; unsigned: the caller signs after the commit. Ed25519 is deterministic, so a retry gets the
/// same bytes.
#[derive(Debug, Clone)]
pub struct ContactOutcome {
    /// The grants to send: those that the client does not hold.
    pub grants: Vec<SignedDocument>,
    /// The lease to sign and send, if the client does not hold it.
    pub lease: Option<Lease>,
    /// The assignment to sign and send, if the client does not hold it.
    pub assignment: Option<Assignment>,
    /// The size of the head that the client witnessed: a proof to the head in the lease starts there.
    pub held_head: Option<u64>,
    /// Reports up to this id are on disk.
    pub acknowledged_report: u64,
    /// For the person at the computer.
    pub notice: Option<String>,
    /// What the receipt for this contact says.
    pub receipt: Receipt,
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
        LoadContact {
            client_id: self.contact.client_id.clone(),
            reports: !self.contact.reports.is_empty(),
            shown: self.shown.as_ref().map(|shown| ShownKey {
                name: shown.lease.computer_name.clone(),
                serials: shown.lease.entitlements.iter().map(|seat| seat.serial.clone()).collect(),
                head: shown.lease.ledger_head,
            }),
        }
    }

    fn decide(self, facts: ContactFacts, context: &Context<'_>) -> Decision<ContactOutcome> {
        let Self { contact, shown } = self;
        if let Err(problem) = check(&contact, &context.server.server_id) {
            return Decision::refuse(problem);
        }
        let Some(client) = &facts.client else {
            return match shown {
                Some(shown) => resume::lost_client(&facts, &contact, &shown, context),
                None => Decision::refuse(unknown_client()),
            };
        };
        if client.forked {
            return Decision::refuse(fork_problem());
        }
        let nonces = client.last.as_ref().map(|last| &last.nonces);
        let judgement = judge_nonces(nonces, contact.previous.as_ref(), &contact.next);
        match (judgement, nonce_problem(judgement), &client.last, shown) {
            (NonceJudgement::Unknown, _, _, Some(shown)) => {
                resume::known_client(&facts, client, &contact, &shown, context)
            }
            (_, Some(problem), _, _) => out_of_order(judgement, problem, &contact, client),
            (NonceJudgement::Retry, None, Some(last), _) => Decision::answer(retried(client, &contact, last)),
            (_, None, _, shown) if claims_more(&contact.highest, client) => match shown {
                Some(shown) => resume::known_client(&facts, client, &contact, &shown, context),
                None => Decision::refuse(ledger_behind()),
            },
            _ => Answering::in_order(&facts, client, &contact, context).answer(),
        }
    }
}

/// Whether a client claims documents that were never issued here.
fn claims_more(highest: &HighestOrders, client: &ContactClient) -> bool {
    claims(highest, Claim::Lease, client.lease_order)
        || claims(highest, Claim::Assignment, client.assignment_order)
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
fn retried(client: &ContactClient, contact: &Contact, last: &LastContact) -> ContactOutcome {
    ContactOutcome {
        grants: not_held(&client.seats, contact),
        lease: client.lease.clone().filter(|_| last.answer.lease),
        assignment: client.assignment.clone().filter(|_| last.answer.assignment),
        held_head: last.answer.held_head,
        acknowledged_report: last.answer.acknowledged_report,
        notice: last.answer.notice.clone(),
        receipt: last.progress.last.clone(),
        retry: true,
        name: client.name.clone(),
    }
}

/// The grants that a client does not hold.
fn not_held(seats: &[HeldGrantText], contact: &Contact) -> Vec<SignedDocument> {
    let missing = seats.iter().filter(|seat| !contact.grants.contains(&seat.digest));
    missing.map(|seat| seat.document.clone()).collect()
}

/// The order of the next document: above what was issued and what was shown, in the highest epoch of all.
fn next_order(epoch: Epoch, before: impl IntoIterator<Item = Option<Order>>) -> Order {
    let highest = before.into_iter().flatten().fold(None, |highest: Option<(Epoch, u64)>, order| {
        let (epoch, sequence) = highest.unwrap_or_default();
        Some((epoch.max(order.epoch), sequence.max(order.sequence)))
    });
    let (before, sequence) = highest.unwrap_or_default();
    Order { epoch: epoch.max(before), sequence: sequence.saturating_add(1) }
}

/// The order of a document, if there is one.
fn order_of<T: Ordered>(document: Option<&T>) -> Option<Order> {
    document.map(Ordered::order)
}

#[cfg(test)]
mod tests;
