//! What the server believes of its own log: what it says of admin tokens, of restores and of seats that were granted.
//!
//! Invariants: it is read from the bytes of every entry, not from the columns by which entries are found; each entry is
//! held against its leaf, and the tree of these leaves against the head. That is done once, when the ledger starts; what is
//! appended afterwards is taken as it is written, and given back if it is not committed. Where the log is damaged nothing
//! is believed of tokens, and the ledger counts as restored and not confirmed: what was edited may have been that.
//! Left out on purpose: whether the log as a whole was replaced. Only a head that somebody else holds shows that.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use sealpost_manifests::ids::{ComputerName, SerialNumber};
use sealpost_manifests::log::{Frontier, LogHead, leaf_hash};
use sealpost_manifests::order::Epoch;
use sealpost_site::changes::chain::{LogDamage, ReadEntry, StoredEntry, read};
use sealpost_site::changes::{ActivityEntry, Change};
use sealpost_site::rules::account::TokenId;
use sealpost_site::rules::approvals::people::AccountName;
use sealpost_site::rules::restore::{RestoreState, Restored};

/// Parts of the kinds that tell something. An entry without any of them is not read, only hashed.
const TELLING: [&[u8]; 4] = [b"admin_token_", b"account_", b"ledger_restored", b"grant_accepted"];
/// How JSON can spell a letter otherwise: what has it is read, whatever else stands in it.
const ESCAPED: &[u8] = b"\\u";
/// Most seats that are remembered as found in the log: some 12 MiB at the most.
const MAX_RESERVED: usize = 131_072;
/// Most names that are remembered because the log does not know their seat.
const MAX_UNKNOWN: usize = 1_000;

/// As the module says.
#[derive(Debug, Default)]
pub struct TrustedLog {
    told: RwLock<Arc<Told>>,
    seats: RwLock<Seats>,
}

/// What the log tells.
#[derive(Debug, Default, Clone)]
pub(crate) struct Told {
    damage: Option<LogDamage>,
    tokens: Vec<Change>,
    /// Whose tokens are; those of no account are not here.
    owners: BTreeMap<TokenId, AccountName>,
    disabled: BTreeSet<AccountName>,
    restored: Option<Restored>,
    most_granted: BTreeMap<SerialNumber, u32>,
}

/// Which reserved seats the log knows, as far as somebody asked.
#[derive(Debug, Default)]
struct Seats {
    known: BTreeSet<(ComputerName, SerialNumber)>,
    unknown: BTreeMap<ComputerName, SerialNumber>,
}

impl TrustedLog {
    /// Believes what was read of a whole log; `head` is what stands beside it.
    pub(crate) fn adopt(&self, reading: Reading, head: LogHead) {
        let Reading { log, mut told } = reading;
        if told.damage.is_none() && log.head() != head {
            let what = "the hashes beside the log do not follow from its entries".to_owned();
            told.damage = Some(LogDamage { sequence: log.size(), what });
        }
        self.go_back_to(Arc::new(told));
    }

    /// Takes what an entry tells that is being written.
    pub(crate) fn take(&self, entry: &ActivityEntry) {
        if tells(&entry.change) {
            Arc::make_mut(&mut self.told.write().unwrap_or_else(PoisonError::into_inner)).take(entry);
        }
    }

    /// What is told now, to go back to.
    pub(crate) fn told(&self) -> Arc<Told> {
        Arc::clone(&self.told.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn go_back_to(&self, told: Arc<Told>) {
        *self.told.write().unwrap_or_else(PoisonError::into_inner) = told;
    }

    /// The first thing that was wrong with the log when the ledger started.
    #[must_use]
    pub fn damage(&self) -> Option<LogDamage> {
        self.told().damage.clone()
    }

    /// What the log says of admin tokens, oldest first.
    ///
    /// # Errors
    /// The damage of the log; then nothing of it is believed.
    pub fn token_changes(&self) -> Result<Vec<Change>, LogDamage> {
        let told = self.told();
        match &told.damage {
            Some(damage) => Err(damage.clone()),
            None => Ok(told.tokens.clone()),
        }
    }

    /// The account of a token, if that is disabled: then the token is refused.
    #[must_use]
    pub fn disabled_account_of(&self, token: &TokenId) -> Option<AccountName> {
        let told = self.told();
        told.owners.get(token).filter(|account| told.disabled.contains(*account)).cloned()
    }

    /// The most seats that were ever granted, by serial number.
    #[must_use]
    pub fn most_granted(&self) -> BTreeMap<SerialNumber, u32> {
        self.told().most_granted.clone()
    }

    /// Whether the log ever told of a restore.
    #[must_use]
    pub fn was_restored(&self) -> bool {
        self.told().restored.is_some()
    }

    /// The state of restores that a table holds, or the one of the log where that is stricter.
    #[must_use]
    pub fn stricter(&self, state: RestoreState) -> RestoreState {
        state.held_against(self.told().restored_or_damaged().as_ref())
    }

    /// Whether a seat was found in the log before.
    #[must_use]
    pub fn knows_seat(&self, name: &ComputerName, serial: &SerialNumber) -> bool {
        let seats = self.seats.read().unwrap_or_else(PoisonError::into_inner);
        seats.known.contains(&(name.clone(), serial.clone()))
    }

    /// Remembers whether the log has the entry of a seat that a table holds.
    pub fn seat_looked_up(&self, name: &ComputerName, serial: &SerialNumber, is_logged: bool) {
        let mut seats = self.seats.write().unwrap_or_else(PoisonError::into_inner);
        if is_logged {
            if seats.known.len() >= MAX_RESERVED {
                seats.known.clear();
            }
            seats.known.insert((name.clone(), serial.clone()));
            seats.unknown.remove(name);
        } else if seats.unknown.len() < MAX_UNKNOWN {
            seats.unknown.insert(name.clone(), serial.clone());
        }
    }

    /// Names that came for a seat which a table holds and the log does not know, since the ledger started.
    #[must_use]
    pub fn unknown_seats(&self) -> BTreeMap<ComputerName, SerialNumber> {
        self.seats.read().unwrap_or_else(PoisonError::into_inner).unknown.clone()
    }
}

impl Told {
    fn take(&mut self, entry: &ActivityEntry) {
        match &entry.change {
            Change::AdminTokenMade { .. }
            | Change::AdminTokenUsed { .. }
            | Change::AdminTokenRevoked { .. } => {
                if let Change::AdminTokenMade { token, owner: Some(owner), .. } = &entry.change {
                    self.owners.insert(token.clone(), owner.account.clone());
                }
                self.tokens.push(entry.change.clone());
            }
            Change::AccountAdded(of) | Change::AccountEnabled(of) => _ = self.disabled.remove(&of.account),
            Change::AccountDisabled(of) => _ = self.disabled.insert(of.account.clone()),
            Change::LedgerRestored { epoch, resumes_until, .. } => {
                self.restored = Some(Restored {
                    at: entry.at,
                    epoch: *epoch,
                    resumes_until: *resumes_until,
                    confirmed: false,
                    acknowledged: None,
                });
            }
            Change::GrantAccepted { serial, seats, confirms, .. } => {
                let most = self.most_granted.entry(serial.clone()).or_default();
                *most = (*most).max(*seats);
                if let Some(restored) = self.restored.as_mut().filter(|_| *confirms) {
                    restored.confirmed = true;
                }
            }
            _ => {}
        }
    }

    /// The last restore that the log tells of; where the log is damaged, one that nothing confirms.
    fn restored_or_damaged(&self) -> Option<Restored> {
        if self.damage.is_none() {
            return self.restored.clone();
        }
        let at = self.restored.as_ref().map_or(Timestamp::UNIX_EPOCH, |restored| restored.at);
        Some(Restored {
            at,
            epoch: Epoch(u64::MAX),
            resumes_until: Timestamp::UNIX_EPOCH,
            confirmed: false,
            acknowledged: None,
        })
    }
}

/// Whether a change is one of those that are remembered.
const fn tells(change: &Change) -> bool {
    matches!(
        change,
        Change::AdminTokenMade { .. }
            | Change::AdminTokenUsed { .. }
            | Change::AdminTokenRevoked { .. }
            | Change::AccountAdded(_)
            | Change::AccountDisabled(_)
            | Change::AccountEnabled(_)
            | Change::LedgerRestored { .. }
            | Change::GrantAccepted { .. }
    )
}

/// A whole log on its way through, entry by entry.
#[derive(Debug)]
pub(crate) struct Reading {
    log: Frontier,
    told: Told,
}

impl Reading {
    pub(crate) fn new() -> Self {
        Self { log: Frontier::empty(), told: Told::default() }
    }

    /// Takes the next entry; breaks off at damage.
    pub(crate) fn next(&mut self, stored: &StoredEntry) -> ControlFlow<()> {
        match judge(&mut self.log, stored) {
            Ok(entry) => {
                entry.iter().for_each(|entry| self.told.take(entry));
                ControlFlow::Continue(())
            }
            Err(what) => {
                self.told.damage = Some(LogDamage { sequence: self.log.size(), what });
                ControlFlow::Break(())
            }
        }
    }
}

/// Adds an entry to the tree; gives it if it may tell something.
///
/// # Errors
/// What is wrong with it.
fn judge(log: &mut Frontier, stored: &StoredEntry) -> Result<Option<Box<ActivityEntry>>, String> {
    let expected = log.size().saturating_add(1);
    let leaf = leaf_hash(&stored.bytes);
    log.append(leaf);
    if stored.sequence != expected {
        return Err(format!("entry {expected} is missing; the next one is {}", stored.sequence));
    }
    if stored.leaf != Some(leaf) {
        return Err(format!("entry {expected} was edited: its stored hash is not the hash of its bytes"));
    }
    if !may_tell(&stored.bytes) {
        return Ok(None);
    }
    match read(&stored.bytes) {
        Ok(ReadEntry::Known(entry)) if entry.sequence == expected => Ok(Some(entry)),
        // A newer version wrote it.
        Ok(entry) if entry.sequence() == expected => Ok(None),
        Ok(entry) => {
            Err(format!("in place {expected} stands entry {}: entries were moved", entry.sequence()))
        }
        Err(_) => Err(format!("entry {expected} cannot be read")),
    }
}

fn may_tell(bytes: &[u8]) -> bool {
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    TELLING.iter().any(|part| has(part)) || has(ESCAPED)
}
