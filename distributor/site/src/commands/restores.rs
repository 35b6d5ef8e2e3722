//! Restores: what shows from outside of any contact that the ledger is older than what it answered.

use sealpost_manifests::ids::EraId;
use sealpost_manifests::order::Epoch;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::decision::{Command, Context, Decision};
use crate::changes::{Actor, Change, summary};
use crate::queries::{Query, query};
use crate::rules::restore::{Acknowledged, RestoreCause, RestoreState, Restored};

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

query! {
    /// What an acknowledgement is decided from.
    LoadAcknowledgement {} -> RestoreState, "read whether the ledger was restored"
}

/// Longest comment of an acknowledgement, in characters.
pub const MAX_COMMENT_CHARS: usize = 1_000;

/// Notes for good who has seen that the ledger was restored, cut or rewritten, and what they found. It ends the alarm; new
/// licenses still wait for the vendor.
#[derive(Debug, Clone)]
pub struct AcknowledgeRestore {
    /// Who.
    pub actor: Actor,
    /// What was found.
    pub comment: String,
}

impl Command for AcknowledgeRestore {
    type Facts = LoadAcknowledgement;
    type Answer = Restored;
    const ATTEMPTED: &'static str = "note an acknowledgement";

    fn facts(&self) -> LoadAcknowledgement {
        LoadAcknowledgement {}
    }

    fn decide(self, facts: RestoreState, context: &Context<'_>) -> Decision<Restored> {
        let Self { actor, comment } = self;
        let comment = comment.trim();
        if comment.is_empty() || comment.chars().count() > MAX_COMMENT_CHARS {
            return Decision::refuse(Problem::new(
                ProblemCode::BadRequest,
                format!("the comment must have 1 to {MAX_COMMENT_CHARS} characters"),
                "say with --comment what was found, for example: --comment \"restored from Monday's backup, ticket 4711\"",
            ));
        }
        let Some(restored) = facts.restored else {
            return Decision::refuse(Problem::new(
                ProblemCode::WrongState,
                "there is nothing to acknowledge: the ledger was never found to be restored, cut or rewritten",
                "`distributor status` shows what wants attention",
            ));
        };
        if let Some(before) = &restored.acknowledged {
            return Decision::refuse(Problem::new(
                ProblemCode::WrongState,
                format!("{} acknowledged it already, at {}", summary::actor(&before.by), before.at),
                "`distributor log --kind restore_acknowledged` shows what was said",
            ));
        }
        let comment = comment.to_owned();
        let acknowledged = Acknowledged { at: context.now, by: actor.clone(), comment: comment.clone() };
        let answer = Restored { acknowledged: Some(acknowledged), ..restored };
        Decision::answer(answer).change(actor, Change::RestoreAcknowledged { era: facts.era, comment })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use sealpost_keys::{KeyId, PublicKey};
    use sealpost_manifests::ids::ServerId;
    use sealpost_manifests::log::{Frontier, LogHead};

    use super::*;
    use crate::commands::Terms;
    use crate::rows::ServerIdentity;
    use crate::rules::rollouts::outages::Outages;

    #[test]
    fn a_declared_restore_names_the_epoch_that_has_to_be_raised_and_ends_with_one_lease_term() {
        let site_key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
        let server = ServerIdentity { server_id: ServerId::of_site_key(&site_key), site_key };
        let at = |day: i64| Timestamp::from_second(day * 24 * 3600).unwrap();
        let terms = Terms { lease_days: 20, ..Terms::default() };
        let context = Context {
            now: at(5),
            server: &server,
            terms: &terms,
            log: &Frontier::empty(),
            outages: Outages::none(),
        };
        let command = DeclareRestore {
            actor: Actor::Server,
            cause: RestoreCause::BackupRestored { head: LogHead::empty() },
            new_era: EraId::from_random([1; 16]),
        };
        let decision = command.decide(RestoreFacts { epoch: Epoch::of(3, 0) }, &context);
        let [(_, Change::LedgerRestored { epoch, resumes_until, lost_era, .. })] =
            decision.changes.as_slice()
        else {
            panic!("{:?}", decision.changes)
        };
        assert_eq!((*epoch, *resumes_until), (Epoch::of(3, 0), at(25)));
        assert_eq!(lost_era, &None);
    }
}
