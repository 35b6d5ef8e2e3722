//! What the log says of times in which no server ran over the ledger.
//!
//! Invariant: an entry says so of the time before it, and of no other. Left out on purpose: how a start that writes no entry
//! learns of such a time; that is [`Signs`](crate::rules::rollouts::outages::Signs).

use jiff::Timestamp;

use super::activity::Change;
use super::entry::ActivityEntry;
use crate::rules::restore::RestoreCause;
use crate::rules::rollouts::outages::Outage;
use crate::rules::text::span;

/// The kinds of entries that say it, as the log names them: a start, and a restore.
pub const SAYING: [&str; 2] = ["server_started", RESTORED];

/// The kind of the entry with which a restore begins.
pub const RESTORED: &str = "ledger_restored";

/// The time in which no server ran over this ledger, as far as this entry knows; `before` is the time of the entry before it.
///
/// What a restored ledger lost counts as such a time too: the newest entry of a backup says that it is made, and nothing is known
/// of who came since. Not so where a client showed it: then a server was there, and the entry before says nothing.
#[must_use]
pub fn outage(entry: &ActivityEntry, before: Option<Timestamp>) -> Option<Outage> {
    match &entry.change {
        Change::ServerStarted { last_sign } => Outage::between(*last_sign, entry.at),
        Change::LedgerRestored { cause: RestoreCause::ClientKnowsMore { .. }, .. } => None,
        Change::LedgerRestored { .. } => before.and_then(|before| Outage::between(before, entry.at)),
        _ => None,
    }
}

/// A start in one line for people.
pub(super) fn started(last_sign: Timestamp, at: Timestamp) -> String {
    let second = |time: Timestamp| Timestamp::from_second(time.as_second()).unwrap_or(time);
    format!(
        "listens again; this ledger has no sign of a running server from {} to {} ({})",
        second(last_sign),
        second(at),
        span(at.duration_since(last_sign))
    )
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::ids::{ClientId, EraId};
    use sealpost_manifests::log::LogHead;
    use sealpost_manifests::order::{Epoch, Order};

    use super::*;
    use crate::changes::Actor;
    use crate::changes::activity::ENTRY_VERSION;
    use crate::changes::summary;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn entry(at: &str, change: Change) -> ActivityEntry {
        ActivityEntry { version: ENTRY_VERSION, sequence: 7, at: time(at), actor: Actor::Server, change }
    }

    fn restored(cause: RestoreCause) -> ActivityEntry {
        let (era, resumes_until) = (EraId::from_random([1; 16]), time("2026-12-22T09:00:00Z"));
        let change =
            Change::LedgerRestored { era, cause, epoch: Epoch::of(1, 0), resumes_until, lost_era: None };
        entry("2026-11-22T09:00:00Z", change)
    }

    #[test]
    fn a_start_says_for_how_long_no_server_ran_in_whole_seconds() {
        let last_sign = time("2026-11-20T14:00:00.123Z");
        let entry = entry("2026-11-22T09:10:00.456Z", Change::ServerStarted { last_sign });
        let said = "the server: listens again; this ledger has no sign of a running server from 2026-11-20T14:00:00Z to \
                    2026-11-22T09:10:00Z (1 d 19 h)";
        assert_eq!(summary::summary(&entry), said);
        assert_eq!(outage(&entry, None), Outage::between(last_sign, entry.at));
        assert!(SAYING.contains(&summary::kind(&entry.change)));
    }

    #[test]
    fn of_the_time_that_a_restore_lost_nothing_is_known_unless_a_server_was_there() {
        let (head, before) = (LogHead::empty(), time("2026-11-15T18:00:00Z"));
        let lost = Outage::between(before, time("2026-11-22T09:00:00Z"));
        for cause in [
            RestoreCause::BackupRestored { head },
            RestoreCause::Rebuilt { head },
            RestoreCause::MarkerDiffers { marker: head },
        ] {
            let entry = restored(cause);
            assert_eq!(outage(&entry, Some(before)), lost);
            assert_eq!(outage(&entry, None), None);
            assert_eq!(summary::kind(&entry.change), RESTORED);
        }
        let lease = Order { epoch: Epoch::of(1, 0), sequence: 4 };
        let client_id = ClientId::from_random([3; 16]);
        let showed = RestoreCause::ClientKnowsMore { client_id, lease, head, contacts: 9 };
        assert_eq!(outage(&restored(showed), Some(before)), None);
    }
}
