//! Restores: what shows from outside of any contact that the ledger is older than what it answered.

use sealpost_manifests::ids::EraId;
use sealpost_manifests::order::Epoch;

use super::decision::{Command, Context, Decision};
use crate::changes::{Actor, Change};
use crate::queries::{Query, query};
use crate::rules::restore::RestoreCause;

query! {
    /// What the declaration of a restore is decided from.
    LoadRestore {} -> RestoreFacts, "read whether the ledger was restored"
}

/// As [`LoadRestore`] says.
#[derive(Debug, Clone)]
pub struct RestoreFacts {
    /// The highest epoch of any grant.
    pub epoch: Epoch,
}

/// Notes that the ledger was restored, rebuilt, or found to be older than a head that was noted outside of it. From then
/// on it gives no new license, until the vendor confirms.
#[derive(Debug, Clone)]
pub struct DeclareRestore {
    /// Who restored it; the server if it found this by itself.
    pub actor: Actor,
    /// What shows it.
    pub cause: RestoreCause,
    /// The era that begins.
    pub new_era: EraId,
}

impl Command for DeclareRestore {
    type Facts = LoadRestore;
    type Answer = ();
    const ATTEMPTED: &'static str = "note a restore";

    fn facts(&self) -> LoadRestore {
        LoadRestore {}
    }

    fn decide(self, facts: RestoreFacts, context: &Context<'_>) -> Decision<()> {
        let Self { actor, cause, new_era } = self;
        let resumes_until = context.after_days(context.terms.lease_days);
        let epoch = facts.epoch;
        Decision::answer(()).change(
            actor,
            Change::LedgerRestored { era: new_era, cause, epoch, resumes_until, lost_era: None },
        )
    }
}
