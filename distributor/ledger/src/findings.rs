//! What the ledger found when it compared its own tables with its log.
//!
//! Invariant: a finding stays, with the time of the first comparison that had one, until a whole comparison finds nothing.
//! One that could not be made whole clears nothing.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use sealpost_manifests::log::LogHead;
use sealpost_site::changes::chain::{LogCheck, LogDamage};
use sealpost_site::rules::edits::Edits;

use crate::audit::check_log;
use crate::store::{ReadStore, StoreError};
use crate::trusted_log::TrustedLog;

/// How far behind everything else the comparison stands: the whole way.
const NICE: i32 = 19;

/// As the module says.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    found: Mutex<Option<Found>>,
    skipped: Mutex<Option<String>>,
}

/// The last comparison that found something.
#[derive(Debug, Clone)]
struct Found {
    damage: Option<LogDamage>,
    differing: u64,
    first: Option<String>,
    since: Timestamp,
}

impl Findings {
    /// Remembers why the last comparison was not made, or not whole.
    pub(crate) fn skip(&self, why: Option<String>) {
        *self.skipped.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    pub(crate) fn take(&self, check: &LogCheck, now: Timestamp) {
        self.skip(check.tables.skipped.clone());
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if check.damage.is_none() && check.tables.differing == 0 {
            if check.tables.skipped.is_none() {
                *found = None;
            }
            return;
        }
        let first = check.tables.differences.first();
        let since = found.as_ref().map_or(now, |before| before.since);
        *found = Some(Found {
            damage: check.damage.clone(),
            differing: check.tables.differing,
            first: first.map(|first| format!("{} {}", first.table, first.key)),
            since,
        });
    }

    /// The same beside what was found of the log at the start, and of single seats since.
    pub(crate) fn edits(&self, log: &TrustedLog) -> Edits {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let damage = found.as_ref().and_then(|found| found.damage.clone()).or_else(|| log.damage());
        Edits {
            damage: damage.map(|damage| damage.what),
            differing: found.as_ref().map_or(0, |found| found.differing),
            first: found.as_ref().and_then(|found| found.first.clone()),
            skipped: self.skipped.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            since: found.as_ref().map(|found| found.since),
            unknown_seats: log.unknown_seats().into_keys().collect(),
            most_granted: log.most_granted(),
            was_restored: log.was_restored(),
        }
    }
}

/// Compares on a thread of its own, which gets the processor when nobody else wants it.
pub(crate) fn in_idle_time(
    store: &mut (dyn ReadStore + 'static),
    witnessed: Vec<LogHead>,
) -> Result<LogCheck, StoreError> {
    std::thread::scope(|scope| {
        let work = move || {
            // Linux gives each thread a priority of its own. A system that does not let us only makes it quicker.
            let _ = rustix::process::nice(NICE);
            check_log(store, witnessed, &mut |_| ())
        };
        match scope.spawn(work).join() {
            Ok(checked) => checked,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
