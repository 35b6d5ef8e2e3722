//! A ledger that is older than what it answered: how that is found, which of its clients go on, and what it may give.
//!
//! A backup, a copied home or a rebuilt log brings back a ledger that lost what came after it. It must serve the
//! computers that it knows, and issue no new license before the vendor confirms: what it lost may have been licenses.
//!
//! Invariants:
//! - Only what this server signed itself shows that the ledger is older: a lease, an assignment or a head that it does
//!   not have, or a receipt for a contact that it does not have. A client's word alone shows nothing.
//! - A client is resumed from a receipt that was made before the restore. The receipt counts its contacts, so that of
//!   two computers with one identity the one that came further wins, also when the other was resumed first, and however
//!   often that one contacted since. Equal receipts are a cloned disk.
//! - What is resumed never exceeds the lease that was shown, ends after one lease term unless the vendor confirms, and
//!   starts above every order that was shown. `run` is never taken: that is the agent's.
//! - A code or an admission from before the restore that nobody used binds nobody any more, also when the vendor has confirmed:
//!   the ledger may have lost that it was used, and by whom the name is held since.
//! - So it is with a decision about which of two computers with one identity goes on: it has to be made again.
//! - Only a grant of a higher epoch confirms. The same grant again, and an admin's word, confirm nothing.

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, EraId};
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::{Epoch, Order};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use serde::{Deserialize, Serialize};

use crate::rules::account::Actor;
use crate::rules::copies::Kept;

/// What showed that the ledger is older than what it answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RestoreCause {
    /// The head that was noted outside of the ledger is not one of this log.
    MarkerDiffers {
        /// The noted head.
        marker: LogHead,
    },
    /// An admin restored a backup.
    BackupRestored {
        /// The head of the backup.
        head: LogHead,
    },
    /// An admin rebuilt the ledger from its log.
    Rebuilt {
        /// The head of the log.
        head: LogHead,
    },
    /// A client showed what this server signed and the ledger does not have.
    ClientKnowsMore {
        /// The client.
        client_id: ClientId,
        /// The order of its lease.
        lease: Order,
        /// The head in its lease.
        head: LogHead,
        /// Its answered contacts.
        contacts: u64,
    },
}

/// Where the ledger stands after restores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreState {
    /// The time since the last restore.
    pub era: EraId,
    /// The times before it, oldest first, and those that are known to be lost.
    pub past: Vec<EraId>,
    /// The last restore; `None` before the first.
    pub restored: Option<Restored>,
}

/// The last restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// When it was found.
    pub at: Timestamp,
    /// The epoch that the vendor has to raise.
    pub epoch: Epoch,
    /// After it no client is resumed.
    pub resumes_until: Timestamp,
    /// Whether the vendor confirmed.
    pub confirmed: bool,
    /// Who has seen it, once somebody said so; only where that is asked for.
    pub acknowledged: Option<Acknowledged>,
}

/// Somebody has seen that the ledger was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: Actor,
    /// What was found.
    pub comment: String,
}

impl Restored {
    /// The last microsecond before it, which is what a ledger can tell apart.
    fn last_before(&self) -> Timestamp {
        self.at.checked_sub(SignedDuration::from_micros(1)).unwrap_or(Timestamp::MIN)
    }
}

impl Default for RestoreState {
    fn default() -> Self {
        Self { era: EraId::first(), past: Vec::new(), restored: None }
    }
}

impl RestoreState {
    /// The same by the grants that count: only a grant above the restore's epoch confirms, whatever else was noted.
    #[must_use]
    pub fn believed(mut self, highest: Epoch) -> Self {
        if let Some(restored) = &mut self.restored {
            restored.confirmed &= highest.vendor() > restored.epoch.vendor();
        }
        self
    }

    /// The same where the log tells of a restore: the stricter of the two. A row is edited more easily than a log.
    #[must_use]
    pub fn held_against(mut self, logged: Option<&Restored>) -> Self {
        let Some(logged) = logged else { return self };
        self.restored = Some(match self.restored {
            None => logged.clone(),
            Some(row) => Restored {
                at: row.at.max(logged.at),
                epoch: row.epoch.max(logged.epoch),
                resumes_until: row.resumes_until.min(logged.resumes_until),
                confirmed: row.confirmed && logged.confirmed,
                acknowledged: row.acknowledged,
            },
        });
        self
    }

    /// The restore that the vendor has not confirmed yet.
    #[must_use]
    pub fn unconfirmed(&self) -> Option<&Restored> {
        self.restored.as_ref().filter(|restored| !restored.confirmed)
    }

    /// Whether a grant of this epoch confirms.
    #[must_use]
    pub fn is_confirmed_by(&self, epoch: Epoch) -> bool {
        self.unconfirmed().is_some_and(|restored| epoch.vendor() > restored.epoch.vendor())
    }

    /// The end of the unused code or admission of a name, which would be good until `expires_at`: the last restore ended
    /// what was issued before it.
    #[must_use]
    pub fn end_of_setup(&self, is_from_before: bool, expires_at: Timestamp) -> Timestamp {
        match &self.restored {
            Some(restored) if is_from_before => expires_at.min(restored.last_before()),
            Some(_) | None => expires_at,
        }
    }

    /// The last restore, if a code that was good until `end` was ended by it.
    #[must_use]
    pub fn that_ended(&self, end: Timestamp) -> Option<&Restored> {
        self.restored.as_ref().filter(|restored| restored.last_before() == end)
    }

    /// What was decided about two computers, where the branch `kept` is noted for them: a decision from before the last restore
    /// lets nobody go on.
    #[must_use]
    pub fn kept(&self, is_from_before: bool, kept: Option<Sha256Digest>) -> Kept {
        match (kept, &self.restored) {
            (None, _) => Kept::Undecided,
            (Some(branch), Some(_)) if is_from_before => Kept::BeforeRestore(branch),
            (Some(branch), Some(_) | None) => Kept::Branch(branch),
        }
    }

    /// Whether this ledger had the era at some time, or knows that it lost it.
    #[must_use]
    pub fn had(&self, era: &EraId) -> bool {
        self.era == *era || self.past.contains(era)
    }
}

/// The refusal of a new license while the ledger is not confirmed.
#[must_use]
pub fn unconfirmed_problem(attempted: &str, since: Timestamp) -> Problem {
    Problem::new(
        ProblemCode::Unconfirmed,
        format!(
            "{attempted}: this server's ledger was restored to an older state (found at {since}), and may have lost \
             licenses that it gave since"
        ),
        "run `distributor register SERIAL`, so that the vendor confirms; computers that hold a license are served",
    )
}

/// What a receipt says, once its seal was checked: this server answered so many contacts of the client up to that era.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The era of the contact.
    pub era: EraId,
    /// How many contacts of the client were answered, with this one.
    pub contacts: u64,
}

/// How far the ledger knows a client to have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The last contact.
    pub last: Receipt,
    /// How many contacts were answered before the era of the last one: what others with the same identity are measured
    /// against in that era.
    pub base: u64,
}

impl Progress {
    /// The progress after one more contact in `era`; `before` is `None` for the first contact that the ledger knows.
    #[must_use]
    pub fn next(before: Option<&Self>, era: &EraId) -> Self {
        let contacts = before.map_or(0, |before| before.last.contacts);
        let base = match before {
            Some(before) if before.last.era == *era => before.base,
            Some(_) | None => contacts,
        };
        Self { last: Receipt { era: era.clone(), contacts: contacts.saturating_add(1) }, base }
    }

    /// Contacts before `era`.
    fn before(&self, era: &EraId) -> u64 {
        if self.last.era == *era { self.base } else { self.last.contacts }
    }
}

/// What a client showed, after its signatures and its receipt were checked.
#[derive(Debug, Clone, Copy)]
pub struct ShownProgress<'a> {
    /// The receipt of its last answered contact; `None` if it has none that this server made.
    pub receipt: Option<&'a Receipt>,
    /// Whether its lease, its assignment or the head in the lease is none that the ledger has.
    pub documents_are_ahead: bool,
}

/// Whether what a client shows proves that the ledger lost something since its last known restore.
#[must_use]
pub fn proves_loss(state: &RestoreState, known: Option<&Progress>, shown: ShownProgress<'_>) -> bool {
    match shown.receipt {
        // Made in the present era: only a contact that the ledger does not have counts further.
        Some(receipt) if receipt.era == state.era => {
            known.map_or(shown.documents_are_ahead, |known| receipt.contacts > known.last.contacts)
        }
        // Of an era whose loss is known already; or of one that this ledger lost altogether.
        Some(receipt) => !state.had(&receipt.era),
        None => shown.documents_are_ahead && state.restored.is_none(),
    }
}

/// What this log says of the head that a contact names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedHead {
    /// It had that head, or the contact names none.
    OfThisLog,
    /// It never had it: the log was cut, rewritten or restored since, or the contact lies.
    OfAnotherLog,
}

/// What a lease that carries a head of another log shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witnessed {
    /// This server signed a head that its log does not have: entries were lost or changed.
    LogDiffers,
    /// That loss is known: the ledger is not confirmed, or the lease is older than what the vendor confirmed.
    Known,
}

/// Judges a lease of this server whose head is none of this log. `granted` is the highest epoch of grants that count.
///
/// While the ledger is not confirmed everybody is warned already. After the vendor confirmed, leases of before carry heads
/// of what was lost: one computer that shows its old lease freezes nothing.
#[must_use]
pub fn judge_witness(state: &RestoreState, lease: Epoch, granted: Epoch) -> Witnessed {
    match &state.restored {
        None => Witnessed::LogDiffers,
        Some(restored) if !restored.confirmed => Witnessed::Known,
        Some(_) if lease.vendor() < granted.vendor() => Witnessed::Known,
        Some(_) => Witnessed::LogDiffers,
    }
}

/// Why a client is not resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeRefusal {
    /// The ledger was never restored, or its window is over.
    NoWindow,
    /// It has no receipt of this server from before the restore.
    NoReceipt,
    /// Another computer with this identity came further, and goes on.
    Displaced,
    /// Another computer with this identity goes on from the very same state: a cloned disk.
    Clone,
    /// The lease that it shows is past its end.
    LeaseEnded {
        /// The end.
        at: Timestamp,
    },
}

/// How a client goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumption {
    /// Contacts that were answered before the restore, as its receipt says.
    pub base: u64,
    /// The base of the computer that went on in its place so far, if one did.
    pub displaces: Option<u64>,
    /// The progress with the contact that resumes it.
    pub progress: Progress,
}

/// Decides whether a client goes on in the present era from what it shows.
///
/// # Errors
/// [`ResumeRefusal`].
pub fn resume(
    state: &RestoreState,
    known: Option<&Progress>,
    receipt: Option<&Receipt>,
    lease_until: Timestamp,
    now: Timestamp,
) -> Result<Resumption, ResumeRefusal> {
    let open = state.restored.as_ref().is_some_and(|restored| now <= restored.resumes_until);
    if !open {
        return Err(ResumeRefusal::NoWindow);
    }
    let receipt = receipt.ok_or(ResumeRefusal::NoReceipt)?;
    if receipt.era == state.era {
        // It was made after the restore, so whoever holds it went on once, and was displaced since.
        return Err(ResumeRefusal::Displaced);
    }
    if lease_until < now {
        return Err(ResumeRefusal::LeaseEnded { at: lease_until });
    }
    let goes_on = known.filter(|known| known.last.era == state.era);
    if let Some(known) = known {
        let base = known.before(&state.era);
        if receipt.contacts < base {
            return Err(ResumeRefusal::Displaced);
        }
        if receipt.contacts == base && goes_on.is_some() {
            return Err(ResumeRefusal::Clone);
        }
    }
    let contacts = known.map_or(0, |known| known.last.contacts).max(receipt.contacts).saturating_add(1);
    Ok(Resumption {
        base: receipt.contacts,
        displaces: goes_on.map(|known| known.base),
        progress: Progress { last: Receipt { era: state.era.clone(), contacts }, base: receipt.contacts },
    })
}

/// Who holds a name in the ledger when another client shows a lease for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameHolder {
    /// The client.
    pub client_id: ClientId,
    /// The era in which it came into the ledger.
    pub era: EraId,
    /// The size of the head in the lease that it came with, if it was resumed and not enrolled.
    pub resumed_head: Option<u64>,
}

/// Whether a client that the ledger lost takes its name back from who holds it.
///
/// The ledger's own holder is older than what the ledger lost. Of two lost clients of one name, the one whose lease
/// saw more of the log is the later one. Who was enrolled since the restore is an admin's newest decision.
#[must_use]
pub fn takes_name(era: &EraId, holder: Option<&NameHolder>, shown_head: u64) -> bool {
    holder
        .is_none_or(|holder| holder.era != *era || holder.resumed_head.is_some_and(|head| head < shown_head))
}

/// The refusal of a client that shows what it holds and is not resumed.
#[must_use]
pub fn resume_problem(refusal: ResumeRefusal) -> Problem {
    match refusal {
        ResumeRefusal::NoWindow | ResumeRefusal::NoReceipt => Problem::new(
            ProblemCode::NonceUnknown,
            "this contact does not follow the last one that this server answered, and nothing shows that the server \
             lost one",
            "the computer may have been restored from a backup; issue a new setup file and enroll it again",
        ),
        ResumeRefusal::Displaced => Problem::new(
            ProblemCode::Displaced,
            "another computer with this client's identity goes on, and came further before the server was restored",
            "if this is the right computer, issue a new setup file and enroll it again; else give it a name and a seat \
             of its own",
        ),
        ResumeRefusal::Clone => super::contact::fork_problem(),
        ResumeRefusal::LeaseEnded { at } => Problem::new(
            ProblemCode::NoLease,
            format!(
                "the server was restored and lost this computer's contacts, and the lease that it shows ended at {at}"
            ),
            "issue a new setup file and enroll the computer again; its product goes on running",
        ),
    }
}

#[cfg(test)]
mod tests;
