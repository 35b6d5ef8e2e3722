//! A whole configuration at once: settings, and whom groups list.
//!
//! Invariant: everything is taken, or nothing; and nothing, if settings or lists are other ones by now than those that were
//! looked at. Left out on purpose: what is different from before, which
//! [`rules::configuration`](crate::rules::configuration) finds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::decision::{Command, Context, Decision};
use super::second_eyes::Outcome;
use super::settings::{ChangeSettings, changed_meanwhile};
use crate::changes::Change;
use crate::queries::{Query, query};
use crate::rules::configuration::{MembersChange, fingerprint};
use crate::rules::rollouts::groups::GroupName;
use crate::rules::rollouts::plan::Plan;
use crate::rules::rollouts::settings::{SettingChange, SettingKind};
use crate::rules::text;

/// Most names in one configuration that are listed or not listed any more.
pub const MAX_NAMES: usize = 100_000;
/// Most computers in one entry of the log: an entry stays small.
const NAMES_PER_ENTRY: usize = 500;

query! {
    /// What a change of the configuration is decided from.
    LoadConfiguration {
        /// Whether whom groups list is wanted, too: it is as long as the site has computers.
        pub lists: bool,
    } -> ConfigurationFacts, "read the configuration"
}

/// As [`LoadConfiguration`] says.
#[derive(Debug, Clone)]
pub struct ConfigurationFacts {
    /// Settings and rollouts.
    pub plan: Arc<Plan>,
    /// The computers that each group lists by name; empty where nobody asked for them.
    pub members: BTreeMap<GroupName, BTreeSet<ComputerName>>,
}

/// Changes settings, and whom groups list. Answers how many settings and names changed.
#[derive(Debug, Clone)]
pub struct ApplyConfiguration {
    /// The settings.
    pub settings: ChangeSettings,
    /// Whom groups list from then on; of a group that goes nobody stays listed.
    pub members: Vec<MembersChange>,
    /// The fingerprint of the configuration that was looked at; the change is refused when it is another one by now.
    pub state: Option<Sha256Digest>,
}

impl Command for ApplyConfiguration {
    type Facts = LoadConfiguration;
    type Answer = Outcome<u64>;
    const ATTEMPTED: &'static str = "apply a configuration";

    fn facts(&self) -> LoadConfiguration {
        let removes =
            |change: &SettingChange| change.key.kind == SettingKind::Group && change.value.is_none();
        LoadConfiguration { lists: self.state.is_some() || self.settings.changes.iter().any(removes) }
    }

    fn decide(self, facts: ConfigurationFacts, context: &Context<'_>) -> Decision<Outcome<u64>> {
        let Self { settings, mut members, state } = self;
        let ConfigurationFacts { plan, members: listed } = facts;
        if state.is_some_and(|state| state != fingerprint(&plan.settings, &listed)) {
            return Decision::refuse(match settings.confirms {
                Some(number) => changed_since_proposed(number),
                None => changed_meanwhile("the settings or the computers that a group lists"),
            });
        }
        let (actor, asked) = (settings.actor.clone(), text::comment(&settings.comment));
        let mut after = plan.settings.clone();
        for change in &settings.changes {
            if let Err(error) = after.set(change) {
                return refuse(error.to_string());
            }
        }
        // A group of the same name that is made later begins with nobody.
        let gone = listed.iter().filter(|(group, _)| {
            plan.settings.groups.contains_key(*group) && !after.groups.contains_key(*group)
        });
        for (group, listed) in gone {
            let remove: Vec<ComputerName> = listed.iter().cloned().collect();
            match members.iter_mut().find(|change| change.group == *group) {
                Some(change) => change.remove = remove,
                None if remove.is_empty() => {}
                None => members.push(MembersChange { group: group.clone(), add: Vec::new(), remove }),
            }
        }
        let count: usize = members.iter().map(|change| change.add.len() + change.remove.len()).sum();
        if count > MAX_NAMES {
            return refuse(format!("{count} names are too many for one change: {MAX_NAMES} at most"));
        }
        let nowhere =
            members.iter().find(|change| !change.add.is_empty() && !after.groups.contains_key(&change.group));
        if let Some(change) = nowhere {
            return refuse(format!("computers are listed in the group {}, which is not there", change.group));
        }
        let mut decision = settings.decide_with(&members, state, &plan, context);
        let Ok(Outcome::Done(changed)) = decision.answer else { return decision };
        // What two people agreed to has the words of both.
        let agreed = decision.changes.iter().find_map(|(_, change)| match change {
            Change::SettingsChanged { comment, .. } => Some(comment.clone()),
            _ => None,
        });
        let comment = agreed.unwrap_or(asked);
        for MembersChange { group, add, remove } in members {
            // Named twice, a computer would be in the group after one entry and not after the next.
            let add: Vec<_> = add.into_iter().filter(|name| !remove.contains(name)).collect();
            let added = add.chunks(NAMES_PER_ENTRY).map(|added| (added.to_vec(), Vec::new()));
            let removed = remove.chunks(NAMES_PER_ENTRY).map(|removed| (Vec::new(), removed.to_vec()));
            for (added, removed) in added.chain(removed) {
                let (group, comment) = (group.clone(), comment.clone());
                let change = Change::GroupMembersChanged { group, added, removed, comment };
                decision = decision.change(actor.clone(), change);
            }
        }
        decision.answer = Ok(Outcome::Done(changed.saturating_add(count as u64)));
        decision
    }
}

/// A second person agrees to what was compared with a site that is another one by now.
fn changed_since_proposed(number: u64) -> Problem {
    Problem::new(
        ProblemCode::WrongState,
        "the settings or the computers that a group lists were changed since this configuration was proposed, and it would \
         take that back",
        format!(
            "nothing was changed; withdraw it with `distributor approvals withdraw {number}`, and look at the file again with \
             `distributor config plan FILE`"
        ),
    )
}

fn refuse(why: String) -> Decision<Outcome<u64>> {
    Decision::refuse(Problem::new(
        ProblemCode::BadRequest,
        format!("this configuration cannot be taken: {why}"),
        "nothing was changed; correct it and try again",
    ))
}

#[cfg(test)]
mod tests;
