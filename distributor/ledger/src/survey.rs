//! A look at all computers of a ledger for rollouts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_site::queries::{MAX_PAGE, Recipients};
use sealpost_site::rules::rollouts::plan::Plan;
use sealpost_site::rules::rollouts::progress::{Population, Rollout};
use sealpost_site::rules::rollouts::share::Salt;
use sealpost_site::rules::rollouts::survey::Survey;

use crate::{Ledger, LedgerError};

impl Ledger {
    /// How many computers each ring of these rollouts has, by the number of the rollout; also of one that would only begin. It
    /// reads every computer, a page at a time.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn survey(
        &self,
        plan: &Plan,
        rollouts: &[Rollout],
        now: Timestamp,
    ) -> Result<BTreeMap<u64, Vec<Population>>, LedgerError> {
        let mut survey = Survey::new(plan, rollouts, Salt::of(&self.server_id()), now);
        let page = |after| Recipients { after, running: None, limit: MAX_PAGE };
        self.each(page, |row| row.name.clone(), |row| survey.add(&row)).await?;
        Ok(survey.finish())
    }
}
