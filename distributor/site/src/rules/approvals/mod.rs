//! Approvals: who decides that a release goes out, and when one person is not enough.
//!
//! `rule` says what a release needs before it is approved (one pair of eyes or two, an age, or nobody at all), `people` are the
//! accounts and which of their tokens count as second eyes, `proposal` is what a first person asked for and what waits for a
//! second, `door` decides whether something that somebody asks for is done, waits, or is refused, `notices` is what
//! an admin should know.
//!
//! ```text
//! asked ── needs one ───────────────────────────────▶ done
//!       └─ needs two ─▶ proposal (14 days) ─┬─ the same, by another account that counts ─▶ done
//!                                           ├─ withdrawn by anybody, or decided otherwise
//!                                           └─ expired
//! ```
//!
//! Invariants: two pairs of eyes are two accounts, whatever tokens they come with; only an enabled account with a token of
//! its own is the second; what the second agrees to is exactly what the first asked for. To stop something never needs two.
//! While a rule needs two, to change the rules, to add or enable an account, and to give an account another token needs two as
//! well.
//! Left out on purpose: root and the service's user, who can replace the program and the ledger; `docs/SECURITY.md` says so.

pub mod door;
pub mod notices;
pub mod people;
pub mod proposal;
pub mod rule;

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::rules::account::Actor;
use people::People;
use proposal::Proposal;

/// What approvals look at besides the rules, all of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approvals {
    /// Accounts and their tokens.
    pub people: People,
    /// What waits for a second person, by number. Some may have expired.
    pub proposals: BTreeMap<u64, Proposal>,
    /// Releases about which somebody decides later.
    pub deferrals: BTreeMap<Sha256Digest, Deferral>,
}

/// A decision about a release that was put off. It ends by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deferral {
    /// Until when.
    pub until: Timestamp,
    /// Since when.
    pub at: Timestamp,
    /// Who put it off.
    pub by: Actor,
    /// Why, for whoever reads it later.
    pub comment: String,
}

impl Approvals {
    /// Proposals that have not expired.
    pub fn open(&self, now: Timestamp) -> impl Iterator<Item = &Proposal> {
        self.proposals.values().filter(move |proposal| !proposal.has_expired(now))
    }

    /// The proposal to approve a release, if one is open.
    #[must_use]
    pub fn waiting_approval(&self, manifest: Sha256Digest, now: Timestamp) -> Option<&Proposal> {
        self.open(now).find(|proposal| proposal.what.approves() == Some(manifest))
    }

    /// The deferral of a release, if it has not ended.
    #[must_use]
    pub fn deferred(&self, manifest: Sha256Digest, now: Timestamp) -> Option<&Deferral> {
        self.deferrals.get(&manifest).filter(|deferral| deferral.until > now)
    }
}
