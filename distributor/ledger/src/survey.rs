//! A look at all computers of a ledger for rollouts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_site::queries::{MAX_PAGE, Recipients};
use sealpost_site::rows::ReleaseRow;
use sealpost_site::rules::rollouts::links::load::LinkLoad;
use sealpost_site::rules::rollouts::plan::Plan;
use sealpost_site::rules::rollouts::progress::{Population, Rollout};
use sealpost_site::rules::rollouts::share::Salt;
use sealpost_site::rules::rollouts::survey::Survey;
use sealpost_site::rules::rollouts::what_if::{RingLook, WhatIf};

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
        let survey = Survey::new(plan, rollouts, Salt::of(&self.server_id()), now);
        Ok(self.look(survey).await?.0)
    }

    /// How many computers each ring of one rollout has, and what still travels over each link for its release.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn survey_with_links(
        &self,
        plan: &Plan,
        rollout: &Rollout,
        release: &ReleaseRow,
        now: Timestamp,
    ) -> Result<(Vec<Population>, Vec<LinkLoad>), LedgerError> {
        let salt = Salt::of(&self.server_id());
        let survey = Survey::new(plan, std::slice::from_ref(rollout), salt, now);
        let survey = survey.weighing(rollout.number, release.payload_bytes, &release.deltas);
        let (mut found, links) = self.look(survey).await?;
        Ok((found.remove(&rollout.number).unwrap_or_default(), links))
    }

    /// What each ring of a rollout that would begin now has, with how many computers a look found there: it reads every
    /// computer twice, a page at a time, and keeps the first names of each ring.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn what_if(
        &self,
        plan: &Plan,
        rollout: Rollout,
        release: &ReleaseRow,
        now: Timestamp,
    ) -> Result<Vec<RingLook>, LedgerError> {
        let mut found = self.survey(plan, std::slice::from_ref(&rollout), now).await?;
        let populations = found.remove(&rollout.number).unwrap_or_default();
        let salt = Salt::of(&self.server_id());
        let mut what_if = WhatIf::new(plan, rollout, &populations, release, salt, now);
        let page = |after| Recipients { after, running: None, limit: MAX_PAGE };
        self.each(page, |row| row.name.clone(), |row| what_if.add(&row)).await?;
        Ok(what_if.finish())
    }

    async fn look(
        &self,
        mut survey: Survey<'_>,
    ) -> Result<(BTreeMap<u64, Vec<Population>>, Vec<LinkLoad>), LedgerError> {
        let page = |after| Recipients { after, running: None, limit: MAX_PAGE };
        self.each(page, |row| row.name.clone(), |row| survey.add(&row)).await?;
        Ok(survey.finish())
    }
}
