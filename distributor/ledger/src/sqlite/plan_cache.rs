//! The plan that a connection read last.
//!
//! Invariant: it is forgotten by whoever undoes something, because what a transaction undid may come again under the same
//! version.

use std::cell::RefCell;
use std::sync::Arc;

use sealpost_site::rules::rollouts::plan::Plan;

/// As the module says.
#[derive(Debug, Default)]
pub(super) struct PlanCache(RefCell<Option<Arc<Plan>>>);

impl PlanCache {
    /// Forgets it.
    pub(super) fn clear(&self) {
        self.0.replace(None);
    }

    /// The plan, if it is of this version.
    pub(super) fn of(&self, version: u64) -> Option<Arc<Plan>> {
        self.0.borrow().as_ref().filter(|plan| plan.version == version).map(Arc::clone)
    }

    /// Keeps a plan in the place of the one before.
    pub(super) fn keep(&self, plan: &Arc<Plan>) {
        self.0.replace(Some(Arc::clone(plan)));
    }
}
