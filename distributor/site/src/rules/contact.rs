//! A contact: what a pair of nonces means, and whether the answer brings a lease.
//!
//! Invariant: the pair is committed before the answer leaves, so a lost answer is asked for again with the same pair
//! and found; one previous nonce with two next ones is a cloned disk. Neither clone loses `run`: only a person decides.

use std::collections::BTreeSet;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use sealpost_keys::PublicKey;
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::Document;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName, Nonce, ServerId};
use sealpost_manifests::lease::{Entitlement, Lease};
use sealpost_manifests::order::{Epoch, HighestOrders, MAX_ORDERED_TYPES, Order, Ordered, Signer};
use sealpost_manifests::server_list::ServerList;
use sealpost_manifests::wire::contact::{
    Contact, MAX_GRANTS, MAX_HOSTNAME_BYTES, MAX_PACKAGES, MAX_POSTPONED, MAX_RECEIPT_BYTES, MAX_REPORTS,
    MAX_TAGS,
};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::report::{MAX_DETAIL_BYTES, MAX_RING_BYTES, Report};
use sealpost_manifests::word::Word;
use serde::{Deserialize, Serialize};

/// A lease is renewed when it is a day old, so that a computer that comes daily always holds nearly the whole term.
const RENEW_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// How long a lease may reach beyond the end of its serial number: the term that a site has unless it says otherwise.
const AFTER_THE_END: SignedDuration = SignedDuration::from_hours(30 * 24);

/// State of a reservation, as the admin's list names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientState {
    /// A seat is taken; the computer has not come yet.
    Reserved,
    /// Enrolled, in contact.
    Active,
    /// Two computers use its identity.
    Forked,
}

/// Highest report id that is accepted: counting up, no agent gets beyond it.
const MAX_REPORT_ID: u64 = 1 << 48;

/// Whether a verified contact is meant for this server and within the bounds; later it is only decided from.
///
/// # Errors
/// The problem to answer.
pub fn check(contact: &Contact, server_id: &ServerId) -> Result<(), Problem> {
    if contact.server_id != *server_id {
        return Err(Problem::new(
            ProblemCode::WrongServer,
            "the contact is meant for another server",
            "check the computer's server addresses",
        ));
    }
    if contact.reports.len() > MAX_REPORTS || contact.packages.len() > MAX_PACKAGES {
        return Err(Problem::new(
            ProblemCode::TooLarge,
            format!("a contact takes {MAX_REPORTS} reports and {MAX_PACKAGES} packages at most"),
            "send the rest with the next contact",
        ));
    }
    if contact.reports.iter().any(|report| report.detail.len() > MAX_DETAIL_BYTES) {
        return Err(Problem::new(
            ProblemCode::TooLarge,
            format!("the detail of a report is longer than {MAX_DETAIL_BYTES} bytes"),
            "update the computer's agent, which cuts details before it sends them",
        ));
    }
    if contact.tags.len() > MAX_TAGS || contact.postponed.len() > MAX_POSTPONED {
        return Err(Problem::new(
            ProblemCode::TooLarge,
            format!("a contact takes {MAX_TAGS} tags and {MAX_POSTPONED} packages that are put off at most"),
            "give the computer fewer `tags` in its agent.toml",
        ));
    }
    let ring = |report: &Report| report.ring.as_ref().map_or(0, String::len);
    if contact.reports.iter().any(|report| ring(report) > MAX_RING_BYTES) {
        return Err(Problem::new(
            ProblemCode::TooLarge,
            format!("the ring of a report is longer than {MAX_RING_BYTES} bytes"),
            "update the computer's agent",
        ));
    }
    let receipt = contact.receipt.as_ref().map_or(0, String::len);
    let hostname = contact.hostname.as_ref().map_or(0, String::len);
    if contact.grants.len() > MAX_GRANTS
        || contact.highest.len() > MAX_ORDERED_TYPES
        || receipt > MAX_RECEIPT_BYTES
        || hostname > MAX_HOSTNAME_BYTES
    {
        return Err(Problem::new(
            ProblemCode::TooLarge,
            format!(
                "a contact takes {MAX_GRANTS} grants, {MAX_ORDERED_TYPES} types of documents, a receipt of \
                 {MAX_RECEIPT_BYTES} bytes and a host name of {MAX_HOSTNAME_BYTES} bytes at most"
            ),
            "update the computer's agent",
        ));
    }
    if contact.reports.iter().any(|report| report.id > MAX_REPORT_ID) {
        return Err(Problem::new(
            ProblemCode::BadRequest,
            format!("a report's id is above {MAX_REPORT_ID}, which no agent reaches by counting"),
            "enroll the computer with a new setup file; its record is damaged",
        ));
    }
    Ok(())
}

/// The refusal of a contact whose client is not known here.
#[must_use]
pub fn unknown_client() -> Problem {
    Problem::new(
        ProblemCode::UnknownComputer,
        "no computer of this id holds a reservation here; it may have been enrolled again",
        "enroll the computer with its newest setup file",
    )
}

/// The refusal of a first lease for a seat that the log does not know.
#[must_use]
pub fn not_reserved(name: &ComputerName) -> Problem {
    Problem::new(
        ProblemCode::NotReserved,
        format!(
            "the server's tables hold a seat for {name}, and its log knows of no reservation: the ledger was edited"
        ),
        "the site's administrator can run `distributor log verify`, and then restore the ledger from its log",
    )
}

/// The pair of the last contact that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoncePair {
    /// What the client knew before.
    pub previous: Option<Nonce>,
    /// What it knows since.
    pub next: Nonce,
}

/// What a pair of nonces means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceJudgement {
    /// The next contact in order.
    New,
    /// The last one again: its answer was lost.
    Retry,
    /// Somebody else with the same past.
    Fork,
    /// A past that this server does not know.
    Unknown,
}

/// Judges a pair against the last one that was committed.
#[must_use]
pub fn judge_nonces(known: Option<&NoncePair>, previous: Option<&Nonce>, next: &Nonce) -> NonceJudgement {
    let Some(known) = known else {
        return if previous.is_none() { NonceJudgement::New } else { NonceJudgement::Unknown };
    };
    if previous == Some(&known.next) {
        return if *next == known.next { NonceJudgement::Unknown } else { NonceJudgement::New };
    }
    if previous == known.previous.as_ref() {
        return if *next == known.next { NonceJudgement::Retry } else { NonceJudgement::Fork };
    }
    NonceJudgement::Unknown
}

/// The refusal of a contact whose nonces are not in order; `None` when they are.
#[must_use]
pub fn nonce_problem(judgement: NonceJudgement) -> Option<Problem> {
    match judgement {
        NonceJudgement::New | NonceJudgement::Retry => None,
        NonceJudgement::Fork => Some(fork_problem()),
        NonceJudgement::Unknown => Some(Problem::new(
            ProblemCode::NonceUnknown,
            "this contact does not follow the last one that this server answered",
            "the computer or the server may have been restored from a backup; issue a new setup file and enroll again",
        )),
    }
}

/// The refusal while two computers use one identity.
#[must_use]
pub fn fork_problem() -> Problem {
    Problem::new(
        ProblemCode::ContactForked,
        "two computers use this client's identity, for example a cloned disk",
        "the administrator sees both with `distributor clients show NAME`, and says which one goes on with `distributor clients \
         resolve NAME --keep CONTACT`",
    )
}

/// The refusal of a client that claims documents which were never issued here: it is to show them.
#[must_use]
pub fn ledger_behind() -> Problem {
    Problem::new(
        ProblemCode::LedgerBehind,
        "this computer claims documents or a head of the log that this server does not know; it has to show what was signed",
        "the agent shows them by itself; if it cannot, issue a new setup file and enroll it again",
    )
}

/// A type of document of which a contact claims to hold one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The lease.
    Lease,
    /// The assignment.
    Assignment,
    /// The server list.
    ServerList,
}

/// The order that a contact claims to hold of a type.
#[must_use]
pub fn held(highest: &HighestOrders, of: Claim) -> Option<Order> {
    let kind = match of {
        Claim::Lease => Lease::TYPE,
        Claim::Assignment => Assignment::TYPE,
        Claim::ServerList => ServerList::TYPE,
    };
    highest.get(&Word::new(kind).ok()?).copied()
}

/// Whether a contact claims a later document than was issued.
#[must_use]
pub fn claims(highest: &HighestOrders, of: Claim, issued: Option<Order>) -> bool {
    held(highest, of).map(as_noted) > issued
}

/// An order as a ledger notes it, whose numbers are signed. Nothing counts up to there; but a stolen site key may sign an
/// order above, and a client that shows it once would claim more than was noted ever after.
fn as_noted(order: Order) -> Order {
    const HIGHEST: u64 = i64::MAX.unsigned_abs();
    Order { epoch: Epoch(order.epoch.0.min(HIGHEST)), sequence: order.sequence.min(HIGHEST) }
}

/// A seat of the computer's name.
#[derive(Debug, Clone, Copy)]
pub struct SeatInLease<'a> {
    /// Its newest grant.
    pub grant: &'a Grant,
    /// Digest of the grant's text.
    pub digest: Sha256Digest,
    /// Whether a computer of this name had a lease with this seat before: what is set up again takes no new license.
    pub leased: bool,
    /// How many names hold seats of its serial number; counted only where `leased` is false.
    pub used: Option<u32>,
}

impl SeatInLease<'_> {
    /// Names that hold seats of its serial number and the seats that it has, if there are more names and this one never had a
    /// lease with it: nothing new is given then, and nothing taken.
    fn overused(&self) -> Option<(u32, u32)> {
        self.used.filter(|used| *used > self.grant.seats).map(|used| (used, self.grant.seats))
    }
}

/// What a lease is decided from.
#[derive(Debug, Clone, Copy)]
pub struct LeaseFacts<'a> {
    /// License time.
    pub now: Timestamp,
    /// The newest lease, if its text is known.
    pub last: Option<&'a Lease>,
    /// Whether the client ever got one.
    pub ever: bool,
    /// The order of the lease that the client says it holds.
    pub held: Option<Order>,
    /// The seats that a new lease would name.
    pub seats: &'a [SeatInLease<'a>],
    /// The channel that the computer follows.
    pub channel: &'a ChannelName,
    /// Epoch of a new lease.
    pub epoch: Epoch,
    /// When the ledger was found to be restored, while the vendor has not confirmed it.
    pub unconfirmed_since: Option<Timestamp>,
    /// Whether the client was resumed since: it gets one term, and no more before the vendor confirms.
    pub resumed: bool,
}

/// Whether the answer brings a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseDecision {
    /// The client holds the newest.
    Keep,
    /// The newest is fresh, but the client does not hold it: send it again.
    Resend,
    /// A new one.
    Issue(LeaseReason),
    /// None, for this reason.
    Withhold(Withheld),
}

/// Why a client gets no lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
    /// No grant can be checked. What the client holds stays as it is, also its assignment.
    NoTrust,
    /// The grants lapsed before the first lease of this computer's seats.
    Lapsed {
        /// When the last one did.
        at: Timestamp,
    },
    /// The vendor ended the serial numbers of this computer's seats. What a lease says of them runs out.
    Ended {
        /// When the last one did.
        at: Timestamp,
    },
    /// More names hold seats of its serial number than it has, and this computer never had a lease.
    Overused {
        /// So many names.
        used: u32,
        /// So many seats.
        seats: u32,
    },
    /// The ledger holds no grant for the seats of this computer.
    NoGrant,
    /// A first lease is a new license, and the ledger is not confirmed.
    Unconfirmed {
        /// When it was found to be restored.
        since: Timestamp,
    },
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTrust => f.write_str(
                "the server has no trust document of the vendor: the license and what is assigned stay as they were; its \
                 administrator can run `distributor pull`",
            ),
            Self::Lapsed { at } => write!(
                f,
                "this computer gets no lease: the site's grant lapsed at {at}; its administrator can renew it"
            ),
            Self::Ended { at } => write!(
                f,
                "this computer gets no lease: the vendor ended the serial number of its seat at {at}; what is installed \
                 goes on running, and its administrator can reserve a seat of another serial number for it: `distributor clients \
                 reserve NAME --serial SERIAL`"
            ),
            Self::Overused { used, seats } => write!(
                f,
                "this computer gets no lease: {used} of {seats} seats of its serial number are used, so nobody gets a first one; \
                 its administrator can buy seats and run `distributor register SERIAL --more-seats`, or reserve a seat of another \
                 serial number for it: `distributor clients reserve NAME --serial SERIAL`"
            ),
            Self::NoGrant => f.write_str(
                "this computer gets no lease: the server holds no grant for its seat; its administrator can register \
                 the serial number again",
            ),
            Self::Unconfirmed { since } => write!(
                f,
                "this computer gets no lease: the server was restored (found at {since}), and the vendor has not \
                 confirmed it yet; its administrator can register again"
            ),
        }
    }
}

/// Why a new lease is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseReason {
    /// None was issued before.
    First,
    /// The newest is old enough.
    Age,
    /// The seats or their grants, and with them what is covered, changed.
    GrantChanged,
    /// The vendor raised the epoch.
    EpochChanged,
    /// The computer was moved to another channel.
    ChannelChanged,
    /// Its text is not known here any more.
    TextUnknown,
}

/// The end that a lease gives a seat: that of its term, and no more than a month beyond the end of its serial number,
/// however long a term the site has.
#[must_use]
pub fn seat_end(grant: &Grant, end_of_term: Timestamp) -> Timestamp {
    let longest = grant.ends_at.map(|end| end.checked_add(AFTER_THE_END).unwrap_or(Timestamp::MAX));
    longest.map_or(end_of_term, |longest| longest.min(end_of_term))
}

/// What a lease says of one seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due<'a> {
    /// By its newest grant, for a whole term.
    Renewed {
        /// That grant.
        grant: &'a Grant,
        /// Digest of its text.
        digest: Sha256Digest,
    },
    /// As the lease before said it, up to the same end: its serial number has ended.
    Carried(&'a Entitlement),
}

/// The seats that a lease names: those that a computer of this name had a lease with before, and those of live grants.
/// What lapsed before anybody had it gives nothing, nor does what more names hold than there are seats. Without the last lease's text all seats of a client that had one
/// count. What ended is only carried, and not past the end that the last lease gave it.
pub fn seats_due<'s>(
    seats: &'s [SeatInLease<'s>],
    last: Option<&'s Lease>,
    ever: bool,
    now: Timestamp,
) -> impl Iterator<Item = Due<'s>> {
    seats.iter().filter_map(move |seat| {
        let SeatInLease { grant, digest, leased, .. } = seat;
        let named = last.and_then(|last| last.entitlements.iter().find(|seat| seat.serial == grant.serial));
        if grant.ended(now).is_some() {
            return named.filter(|seat| now <= seat.not_after).map(Due::Carried);
        }
        let had = *leased || named.is_some() || (last.is_none() && ever);
        (had || (now <= grant.not_after && seat.overused().is_none()))
            .then_some(Due::Renewed { grant, digest: *digest })
    })
}

/// Decides about a lease.
#[must_use]
pub fn decide_lease(facts: &LeaseFacts<'_>) -> LeaseDecision {
    if let Some(withheld) = withheld(facts) {
        return LeaseDecision::Withhold(withheld);
    }
    if !facts.ever {
        return LeaseDecision::Issue(LeaseReason::First);
    }
    let Some(last) = facts.last else {
        // An empty lease would take away what the client holds; and who was resumed gets one term.
        return if gets_no_more(facts) {
            LeaseDecision::Keep
        } else {
            LeaseDecision::Issue(LeaseReason::TextUnknown)
        };
    };
    match needs_new(facts, last) {
        Some(reason) => LeaseDecision::Issue(reason),
        None if facts.held == Some(last.order()) => LeaseDecision::Keep,
        None => LeaseDecision::Resend,
    }
}

fn withheld(facts: &LeaseFacts<'_>) -> Option<Withheld> {
    let LeaseFacts { seats, now, .. } = *facts;
    let Some(newest_end) = seats.iter().map(|seat| seat.grant.not_after).max() else {
        // What a client holds is good to its end, whatever became of the grant.
        return (!facts.ever).then_some(Withheld::NoGrant);
    };
    let ended = seats.iter().filter_map(|seat| seat.grant.ended(now)).max();
    if let Some(at) = ended
        && seats_due(seats, facts.last, facts.ever, now).next().is_none()
    {
        return Some(Withheld::Ended { at });
    }
    if facts.ever {
        return None;
    }
    // A computer that is set up again holds the seat that it had.
    if newest_end < now && !seats.iter().any(|seat| seat.leased) {
        return Some(Withheld::Lapsed { at: newest_end });
    }
    let overused = seats.iter().find_map(SeatInLease::overused);
    if let Some((used, seats_of_it)) = overused
        && seats_due(seats, None, false, now).next().is_none()
    {
        return Some(Withheld::Overused { used, seats: seats_of_it });
    }
    facts.unconfirmed_since.map(|since| Withheld::Unconfirmed { since })
}

fn gets_no_more(facts: &LeaseFacts<'_>) -> bool {
    facts.seats.is_empty() || (facts.resumed && facts.unconfirmed_since.is_some())
}

fn needs_new(facts: &LeaseFacts<'_>, last: &Lease) -> Option<LeaseReason> {
    if gets_no_more(facts) {
        return None;
    }
    if last.epoch != facts.epoch {
        return Some(LeaseReason::EpochChanged);
    }
    let named: BTreeSet<_> =
        last.entitlements.iter().map(|seat| (&seat.serial, seat.grant, &seat.packages)).collect();
    let mut is_renewed = false;
    let due = seats_due(facts.seats, Some(last), facts.ever, facts.now).map(|due| match due {
        Due::Renewed { grant, digest } => {
            is_renewed = true;
            (&grant.serial, digest, &grant.packages)
        }
        Due::Carried(seat) => (&seat.serial, seat.grant, &seat.packages),
    });
    let wanted: BTreeSet<_> = due.collect();
    if named != wanted {
        return Some(LeaseReason::GrantChanged);
    }
    if last.channel != *facts.channel {
        return Some(LeaseReason::ChannelChanged);
    }
    let end = last.not_after().unwrap_or(last.issued_at);
    let life = end.duration_since(last.issued_at);
    let renew_after = RENEW_AFTER.min(life.checked_div(3).unwrap_or(SignedDuration::ZERO));
    // What is only carried gets no older.
    (is_renewed && facts.now.duration_since(last.issued_at) > renew_after).then_some(LeaseReason::Age)
}

/// What a lease may say that is signed again.
#[derive(Debug, Clone, Copy)]
pub struct Resigning<'a> {
    /// The client.
    pub client_id: &'a ClientId,
    /// Its key.
    pub client_key: &'a PublicKey,
    /// The name that holds the seats.
    pub name: &'a ComputerName,
    /// This server.
    pub server_id: &'a ServerId,
    /// The order of the newest lease that was issued to it.
    pub order: Option<Order>,
    /// The seats of its name whose grants count.
    pub seats: &'a [SeatInLease<'a>],
    /// The end that a lease of now would have.
    pub latest_end: Timestamp,
}

/// Whether the noted text of a lease may be signed again. Notes are not in the log, so the text is no proof of what was
/// issued: it must say nothing that would not be issued now.
#[must_use]
pub fn may_sign_again(lease: &Lease, resigning: &Resigning<'_>) -> bool {
    let is_covered = |entitlement: &Entitlement| {
        let seat = resigning.seats.iter().find(|seat| seat.grant.serial == entitlement.serial);
        seat.is_some_and(|SeatInLease { grant, .. }| {
            let all = grant.packages.is_empty();
            let within = entitlement.packages.iter().all(|package| grant.packages.contains(package));
            entitlement.model == grant.model
                && entitlement.not_after <= resigning.latest_end
                && (all || (!entitlement.packages.is_empty() && within))
        })
    };
    lease.client_id == *resigning.client_id
        && lease.client_key == *resigning.client_key
        && lease.computer_name == *resigning.name
        && lease.server_id == *resigning.server_id
        && lease.signer == Signer::SiteKey
        && Some(lease.order()) == resigning.order
        && lease.entitlements.iter().all(is_covered)
}

#[cfg(test)]
mod tests;
