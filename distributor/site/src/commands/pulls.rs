//! Pulls from the vendor.

use jiff::Timestamp;
use sealpost_manifests::license_time::VendorStatement;

use super::decision::{Command, Context, Decision};
use crate::changes::{Actor, Change, Note};
use crate::queries::{Query, query};
use crate::rules::text;
use crate::rules::vendor_time::{self, GrantedTimes};

/// Versions of the top-level roles after a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PulledVersions {
    /// Version of the root role.
    pub root: u64,
    /// Version of the timestamp role.
    pub timestamp: u64,
    /// Version of the snapshot role.
    pub snapshot: u64,
}

query! {
    /// What the log says of the last pull.
    LoadPull {} -> PullFacts, "read the last pull"
}

/// As [`LoadPull`] says.
#[derive(Debug, Clone, Default)]
pub struct PullFacts {
    /// Versions of the last pull that brought something.
    pub versions: Option<PulledVersions>,
    /// The failure that stands since.
    pub failure: Option<String>,
    /// The times of all grants that count.
    pub granted: Vec<GrantedTimes>,
}

/// A pull found the vendor's metadata fresh. Its versions are chained when they changed or a failure is over.
#[derive(Debug, Clone, Copy)]
pub struct PullSucceeded {
    /// What it found.
    pub versions: PulledVersions,
    /// What the vendor said of the time with it.
    pub statement: VendorStatement,
    /// The time that this statement brings about, where an earlier one was ahead and the metadata was judged by it. Otherwise
    /// the metadata is fresh as of the time of the note.
    pub corrected_to: Option<Timestamp>,
}

impl Command for PullSucceeded {
    type Facts = LoadPull;
    type Answer = ();
    const ATTEMPTED: &'static str = "note a pull";

    fn facts(&self) -> LoadPull {
        LoadPull {}
    }

    fn decide(self, before: PullFacts, context: &Context<'_>) -> Decision<()> {
        let as_of = self.corrected_to.unwrap_or(context.now);
        let decision =
            Decision::answer(()).note(Note::PullTried { at: as_of }).note(Note::MetadataFresh { as_of });
        // Only metadata of a higher version is a newer statement.
        let newer = before.versions.is_none_or(|before| before.timestamp < self.versions.timestamp);
        let decision = if newer {
            let statement = vendor_time::with_metadata(self.statement, &before.granted);
            decision.note(Note::VendorStatement { statement })
        } else {
            decision
        };
        if before.failure.is_none() && before.versions == Some(self.versions) {
            return decision;
        }
        let PulledVersions { root, timestamp, snapshot } = self.versions;
        let change = Change::MetadataPulled {
            timestamp_version: timestamp,
            snapshot_version: snapshot,
            root_version: root,
        };
        decision.change(Actor::Server, change)
    }
}

/// A pull failed. Chained when the reason is another one than before.
#[derive(Debug, Clone)]
pub struct PullFailed {
    /// Why.
    pub reason: String,
}

impl Command for PullFailed {
    type Facts = LoadPull;
    type Answer = ();
    const ATTEMPTED: &'static str = "note a failed pull";

    fn facts(&self) -> LoadPull {
        LoadPull {}
    }

    fn decide(self, before: PullFacts, context: &Context<'_>) -> Decision<()> {
        let decision = Decision::answer(()).note(Note::PullTried { at: context.now });
        let reason = text::stored(&self.reason);
        if before.failure.as_ref() == Some(&reason) {
            return decision;
        }
        decision.change(Actor::Server, Change::PullFailed { reason })
    }
}

#[cfg(test)]
mod tests {
    use sealpost_keys::{KeyId, PublicKey};
    use sealpost_manifests::ids::ServerId;
    use sealpost_manifests::log::Frontier;

    use super::*;
    use crate::commands::Terms;
    use crate::rows::ServerIdentity;
    use crate::rules::rollouts::outages::Outages;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(day * 24 * 3600).unwrap()
    }

    const fn versions(timestamp: u64) -> PulledVersions {
        PulledVersions { root: 1, timestamp, snapshot: timestamp }
    }

    fn pulled(timestamp: u64, before: PullFacts) -> Decision<()> {
        found(timestamp, None, before)
    }

    fn found(timestamp: u64, corrected_to: Option<Timestamp>, before: PullFacts) -> Decision<()> {
        let site_key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
        let server = ServerIdentity { server_id: ServerId::of_site_key(&site_key), site_key };
        let context = Context {
            now: at(10),
            server: &server,
            terms: &Terms::default(),
            log: &Frontier::empty(),
            outages: Outages::none(),
        };
        let statement = VendorStatement::new(at(9), at(16));
        PullSucceeded { versions: versions(timestamp), statement, corrected_to }.decide(before, &context)
    }

    fn states_the_time(decision: &Decision<()>) -> bool {
        decision.notes.iter().any(|note| matches!(note, Note::VendorStatement { .. }))
    }

    #[test]
    fn metadata_that_corrects_the_time_is_fresh_as_of_the_time_that_it_brings_about() {
        let fresh = |decision: Decision<()>| {
            let noted = |note: &Note| match note {
                Note::MetadataFresh { as_of } => Some(*as_of),
                _ => None,
            };
            decision.notes.iter().find_map(noted).unwrap()
        };
        // License time is ahead still: it goes back by the same command.
        assert_eq!(fresh(found(2, Some(at(3)), PullFacts::default())), at(3));
        assert_eq!(fresh(found(2, None, PullFacts::default())), at(10));
    }

    #[test]
    fn only_metadata_of_a_higher_version_says_anew_what_time_it_is() {
        let held = |timestamp| PullFacts { versions: Some(versions(timestamp)), ..PullFacts::default() };
        assert!(states_the_time(&pulled(1, PullFacts::default())));
        assert!(states_the_time(&pulled(8, held(7))));
        for timestamp in [7, 6] {
            assert!(!states_the_time(&pulled(timestamp, held(7))), "replayed metadata moves no time");
        }
        assert!(pulled(7, held(7)).changes.is_empty());
        let failed = PullFacts { failure: Some("no route".to_owned()), ..held(7) };
        assert_eq!(pulled(7, failed).changes.len(), 1, "the end of a failure is chained");
    }
}
