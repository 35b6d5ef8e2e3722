//! What a contact is decided from, what a client shows with it, and what it is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::assignment::{Action, Assignment};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{
    ChannelName, ClientId, ComputerName, EraId, PackageName, Platform, SerialNumber, Tag,
};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::{Epoch, Order, Ordered};
use sealpost_manifests::server_list::ServerList;
use sealpost_manifests::wire::contact::{Contact, Drift, InstalledPackage, MAX_DRIFT, Postponed, WaitsFor};
use sealpost_manifests::wire::report::ReasonCode;

use crate::changes::ContactAnswer;
use crate::commands::undoing::BELIEVED_ABOVE;
use crate::queries::{Query, query};
use crate::rows::{KnownServerList, ServerIdentity};
use crate::rules::came_by::CameBy;
use crate::rules::contact::{Claim, NoncePair, held};
use crate::rules::copies::Kept;
use crate::rules::release::KnownRelease;
use crate::rules::restore::{NameHolder, Progress, Receipt, RestoreState};
use crate::rules::rollouts::cadence::Cadence;
use crate::rules::rollouts::groups::GroupName;
use crate::rules::rollouts::plan::{Delivery, LiveRings, Plan};
use crate::rules::text;

query! {
    /// What a contact is decided from.
    LoadContact {
        /// The client.
        pub client_id: ClientId,
        /// Whether it reports something: only then its reported packages are looked up.
        pub reports: bool,
        /// Manifests of what it runs: only if one of them is to be left, what it ran before is looked up.
        pub runs: Vec<Sha256Digest>,
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
    pub approved: Arc<Vec<KnownRelease>>,
    /// Manifests of releases above a counter that the vendor reset.
    pub voided: BTreeSet<Sha256Digest>,
    /// Releases that it runs and that a person halted so that computers go back from them.
    pub left: Vec<KnownRelease>,
    /// Releases that it ran before; only where it runs one that is to be left.
    pub kept: Vec<KnownRelease>,
    /// When the vendor's metadata was last found fresh; `None` before the first pull.
    pub metadata_as_of: Option<Timestamp>,
    /// Whether the vendor's trust document is here. Without it no grant can be checked: that says nothing of what the client
    /// is entitled to, so it is told nothing new.
    pub has_trust: bool,
    /// The highest epoch of any grant.
    pub epoch: Epoch,
    /// Of grants with several epochs one of the highest, whichever its serial number: the server's documents are of that epoch,
    /// and who holds a seat of another serial number has to see that the vendor raised it.
    pub raised: Option<RaisedGrant>,
    /// Where the ledger stands after restores.
    pub restore: RestoreState,
    /// The newest server list, if one was announced.
    pub server_list: Option<KnownServerList>,
    /// What may have been lost; only when something is shown.
    pub lost: Option<LostFacts>,
    /// Settings and rollouts.
    pub plan: Arc<Plan>,
    /// How far their rings are.
    pub live: Arc<LiveRings>,
}

/// What the ledger knows beside what a client shows.
#[derive(Debug, Clone)]
pub struct LostFacts {
    /// Whether the client's id was replaced by a later enrollment that the ledger has.
    pub was_replaced: bool,
    /// Whether that was by the copy of it which an admin kept.
    pub given_up: bool,
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
    /// The branches of those that showed themselves, while two use it; in no order.
    pub copies: Vec<Sha256Digest>,
    /// The branch that an admin kept.
    pub kept_copy: Kept,
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
    /// Whether a table held a seat for its name that the log does not know; it is none of `seats`.
    pub not_reserved: bool,
    /// Whether it was resumed since the last restore.
    pub resumed: bool,
    /// The head that it reported last as not extending the one that it holds.
    pub log_fork: Option<LogHead>,
    /// What it said last is not as it was signed, sorted by package.
    pub drift: Vec<Drift>,
    /// Attempts of its own, by manifest.
    pub attempts: BTreeMap<Sha256Digest, u32>,
    /// The groups that list it by name.
    pub listed: BTreeSet<GroupName>,
    /// What became of the rollouts that it was told, the newest of each package.
    pub deliveries: Vec<Delivery>,
    /// Releases that a person at the computer left by a rollback, if that is the last that it reported of the package: the
    /// attempt in which it gave each up, by manifest.
    pub left_locally: BTreeMap<Sha256Digest, u32>,
}

impl ContactClient {
    /// Attempts in which the computer obeys when it is told to go back. What a person there left by a rollback it takes again
    /// only in a later attempt than that; and what it was told so stays as it was told, also while it reports its steps.
    pub(super) fn back(&self) -> BTreeMap<Sha256Digest, u32> {
        let told = self.assignment.iter().flat_map(|told| &told.packages);
        let told = told.filter(|package| package.action == Action::Rollback);
        let mut back: BTreeMap<Sha256Digest, u32> =
            told.map(|package| (package.manifest, package.attempt)).collect();
        for (manifest, given_up) in &self.left_locally {
            let known = self.attempts.get(manifest).copied().max(back.get(manifest).copied()).unwrap_or(1);
            // The computer's own word counts at most so far.
            let next = (*given_up).min(known.saturating_add(BELIEVED_ABOVE)).saturating_add(1);
            let attempt = back.entry(*manifest).or_insert(next);
            *attempt = next.max(*attempt);
        }
        back
    }
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
    /// Whether a computer of this name had a lease with this seat before.
    pub leased: bool,
    /// How many names hold seats of its serial number; counted only where `leased` is false.
    pub used: Option<u32>,
}

/// A grant by which the vendor raised the server's epoch.
#[derive(Debug, Clone)]
pub struct RaisedGrant {
    /// Its exact signed text.
    pub document: SignedDocument,
    /// Digest of that text.
    pub digest: Sha256Digest,
}

/// The last contact that was answered.
#[derive(Debug, Clone)]
pub struct LastContact {
    /// When it was.
    pub at: Timestamp,
    /// Its nonces.
    pub nonces: NoncePair,
    /// What it was answered.
    pub answer: ContactAnswer,
    /// How far the client had come with it.
    pub progress: Progress,
    /// How long it paused before.
    pub cadence: Option<Cadence>,
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
    /// What it ran before of the packages that it runs, where it was another release, sorted by package.
    pub before: Vec<InstalledPackage>,
    /// The tags of its configuration, sorted.
    pub tags: Vec<Tag>,
    /// What is put off there, sorted by package.
    pub postponed: Vec<Postponed>,
    /// How its last contact came; `None` if nobody knows.
    pub came_by: Option<CameBy>,
}

impl SeenClient {
    /// What a contact says, in the form in which it is noted: each package once, sorted; the last one counts. `last` is
    /// what the client said before. What it reports as not kept it cannot go back to, and it counts as ran before no more.
    #[must_use]
    pub fn of(contact: &Contact, came_by: Option<CameBy>, last: Option<&Self>) -> Self {
        let by_package: BTreeMap<&PackageName, &InstalledPackage> =
            contact.packages.iter().map(|package| (package.package(), package)).collect();
        let find = |list: &[InstalledPackage], package: &PackageName| {
            list.iter().find(|one| one.package() == package).cloned()
        };
        let not_kept = |manifest: &Sha256Digest| {
            let mut reports = contact.reports.iter();
            reports.any(|report| report.reason == ReasonCode::NotKept && report.manifest == *manifest)
        };
        let before = by_package.iter().filter_map(|(package, runs)| {
            let last = last?;
            let ran = find(&last.installed, package).filter(|ran| ran.manifest != runs.manifest);
            ran.or_else(|| find(&last.before, package).filter(|before| !not_kept(&before.manifest)))
        });
        let before = before.collect();
        Self {
            platform: contact.platform.clone(),
            agent_version: text::agent_version(&contact.agent_version),
            instance: contact.instance,
            hostname: contact.hostname.as_deref().map(text::stored),
            installed: by_package.into_values().cloned().collect(),
            before,
            tags: contact.tags.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect(),
            postponed: postponed(contact),
            came_by: came_by.or_else(|| last?.came_by),
        }
    }
}

/// What a contact says is put off: each package once, sorted.
fn postponed(contact: &Contact) -> Vec<Postponed> {
    let by_package: BTreeMap<&PackageName, &Postponed> =
        contact.postponed.iter().map(|postponed| (&postponed.package, postponed)).collect();
    by_package.into_values().cloned().collect()
}

/// What a client shows of what this server signed for it. Every signature was checked with the site key, and every
/// document names this server and this client.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its lease.
    pub lease: Lease,
    /// Its assignment.
    pub assignment: Option<Assignment>,
    /// The lease that carries the head which it witnesses, where that is another one.
    pub witness: Option<Lease>,
    /// What the receipt in the contact says, if this server made it.
    pub receipt: Option<Receipt>,
    /// The era that begins if this shows that the ledger lost something.
    pub new_era: EraId,
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
    /// The server list to sign and send, if the client does not hold it.
    pub server_list: Option<ServerList>,
    /// The size of the head that the client witnessed: a proof to the head in the lease starts there.
    pub held_head: Option<u64>,
    /// Reports up to this id are on disk.
    pub acknowledged_report: u64,
    /// For the person at the computer.
    pub notice: Option<String>,
    /// Why it does not run what it may have; noted nowhere.
    pub waits: Vec<WaitsFor>,
    /// What the receipt for this contact says.
    pub receipt: Receipt,
    /// Whether this was a retry of the last contact.
    pub retry: bool,
    /// The client's name, for the log.
    pub name: ComputerName,
}

/// The grants that a client does not hold: of its seats, and the one that shows the epoch of what it is sent, where none of its
/// seats does.
pub(super) fn not_held(
    facts: &ContactFacts,
    client: &ContactClient,
    contact: &Contact,
) -> Vec<SignedDocument> {
    let of_seats = client.seats.iter().map(|seat| (&seat.document, &seat.digest));
    let show_it = client.seats.iter().any(|seat| seat.grant.epoch == facts.epoch);
    let raised = facts.raised.as_ref().filter(|_| !show_it).map(|raised| (&raised.document, &raised.digest));
    let missing = of_seats.chain(raised).filter(|(_, digest)| !contact.grants.contains(digest));
    missing.map(|(document, _)| document.clone()).collect()
}

/// The newest server list, if the client does not say that it holds it. Its word decides nothing else. In which epoch it
/// is to be is not known without the vendor's trust document.
pub(super) fn server_list(
    facts: &ContactFacts,
    contact: &Contact,
    server: &ServerIdentity,
) -> Option<ServerList> {
    let known = facts.server_list.as_ref().filter(|_| facts.has_trust)?;
    let newer = held(&contact.highest, Claim::ServerList) < Some(known.order(facts.epoch));
    newer.then(|| known.document(server, facts.epoch))
}

/// What a contact says of changed packages, in the form in which it is noted: each package once, sorted.
pub(super) fn drift(contact: &Contact) -> Vec<Drift> {
    let by_package: BTreeMap<&PackageName, &Drift> =
        contact.drift.iter().take(MAX_DRIFT).map(|drift| (&drift.package, drift)).collect();
    by_package.into_values().cloned().collect()
}

/// The order of the next document: above what was issued and what was shown, in the highest epoch of all.
pub(super) fn next_order(epoch: Epoch, before: impl IntoIterator<Item = Option<Order>>) -> Order {
    let highest = before.into_iter().flatten().fold(None, |highest: Option<(Epoch, u64)>, order| {
        let (epoch, sequence) = highest.unwrap_or_default();
        Some((epoch.max(order.epoch), sequence.max(order.sequence)))
    });
    let (before, sequence) = highest.unwrap_or_default();
    // Nothing follows the last number of an epoch, and the first number of a higher epoch is above it.
    let next = if epoch > before { sequence.checked_add(1).unwrap_or(1) } else { sequence.saturating_add(1) };
    Order { epoch: epoch.max(before), sequence: next }
}

/// The order of a document, if there is one.
pub(super) fn order_of<T: Ordered>(document: Option<&T>) -> Option<Order> {
    document.map(Ordered::order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_order_is_above_all_before_it_also_where_a_sequence_is_used_up() {
        let order = |vendor, sequence| Order { epoch: Epoch::of(vendor, 0), sequence };
        let before = [Some(order(1, 7)), None, Some(order(2, 3))];
        assert_eq!(next_order(Epoch::of(1, 0), before), order(2, 8));
        assert_eq!(next_order(Epoch::of(3, 0), before), order(3, 8));
        // Whoever stole a site key signed the last number; the vendor's higher epoch begins anew.
        assert_eq!(next_order(Epoch::of(2, 0), [Some(order(1, u64::MAX))]), order(2, 1));
    }
}
