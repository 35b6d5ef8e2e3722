//! Settings of the site, and which computers its groups list by name.
//!
//! Invariant: a change is taken whole or not at all, and after it nothing names what is not there. A group that a live rollout
//! names stays as long as that rollout is live.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::word::Word;

use super::decision::{Command, Context, Decision};
use super::second_eyes::{Outcome, Request, ask, too_long};
use crate::changes::{Actor, Change};
use crate::queries::{Query, query};
use crate::rules::approvals::people::{OwnedToken, Standing};
use crate::rules::approvals::proposal::Proposed;
use crate::rules::approvals::rule::{ApprovalRule, Needs, need_two};
use crate::rules::configuration::fingerprint_of;
use crate::rules::rollouts::groups::GroupName;
use crate::rules::rollouts::plan::Plan;
use crate::rules::rollouts::settings::{
    MAX_SETTINGS, MAX_VALUE_BYTES, MembersChange, SettingChange, Settings,
};
use crate::rules::text;

/// Most settings or names in one command.
pub const MAX_CHANGES: usize = 1_000;
/// Most computers in one entry of the log: an entry stays small.
const NAMES_PER_ENTRY: usize = 500;
/// Problems that a refusal names.
const MAX_NAMED: usize = 5;

query! {
    /// What a change of settings is decided from.
    LoadPlan {} -> Arc<Plan>, "read the settings"
}

/// Changes settings; or waits for a second person, where the rules of approvals change and one of them needs two. Again: the
/// same answer, and nothing is written. Answers how many changed.
#[derive(Debug, Clone)]
pub struct ChangeSettings {
    /// Who does.
    pub actor: Actor,
    /// Each with its new value, or without one to remove it.
    pub changes: Vec<SettingChange>,
    /// Why, for whoever reads the log later; may be empty.
    pub comment: String,
    /// The version of the plan that was looked at; the change is refused when it is another one by now.
    pub expected: Option<u64>,
    /// The proposal that is confirmed by it.
    pub confirms: Option<u64>,
}

impl Command for ChangeSettings {
    type Facts = LoadPlan;
    type Answer = Outcome<u64>;
    const ATTEMPTED: &'static str = "change settings";

    fn facts(&self) -> LoadPlan {
        LoadPlan {}
    }

    fn decide(self, plan: Arc<Plan>, context: &Context<'_>) -> Decision<Outcome<u64>> {
        self.decide_with(&[], None, &plan, context)
    }
}

impl ChangeSettings {
    /// Decides, together with whom groups list from then on, which waits too if the settings do.
    pub(super) fn decide_with(
        self,
        members: &[MembersChange],
        state: Option<Sha256Digest>,
        plan: &Plan,
        context: &Context<'_>,
    ) -> Decision<Outcome<u64>> {
        if let Some(problem) = self.refused(plan) {
            return Decision::refuse(problem);
        }
        let mut settings = plan.settings.clone();
        let mut changed = Vec::new();
        for change in self.changes {
            let before = settings.clone();
            if let Err(error) = settings.set(&change) {
                return Decision::refuse(invalid(&[error.to_string()]));
            }
            if settings != before {
                changed.push(change);
            }
        }
        if let Some(problem) = does_not_fit(plan, &settings) {
            return Decision::refuse(problem);
        }
        let count = changed.len() as u64;
        // What a second person agrees to is asked for also where nothing is left of it to do.
        if changed.is_empty() && self.confirms.is_none() {
            return Decision::answer(Outcome::Done(0));
        }
        let (before, after) = (&plan.settings.approvals, &settings.approvals);
        if let Some(problem) = nobody_second(plan, after, context) {
            return Decision::refuse(problem);
        }
        let needs = if before != after && need_two(before) { Needs::Two } else { Needs::One };
        let done = |comment: &str, changes| {
            let comment = text::comment(comment);
            Decision::answer(Outcome::Done(count))
                .change(self.actor.clone(), Change::SettingsChanged { changes, comment })
        };
        if needs == Needs::One && self.confirms.is_none() {
            return done(&self.comment, changed);
        }
        let (actor, confirms, comment) = (&self.actor, self.confirms, self.comment.as_str());
        let replaced = || fingerprint_of(&plan.settings, changed.iter().map(|change| &change.key));
        let replaces = (state.is_none() && !confirms_any_value(plan, confirms)).then(replaced);
        let (changes, members) = (changed.clone(), members.to_vec());
        let what = Proposed::ChangeSettings { changes, members, state, replaces };
        match ask(Request { plan, actor, what, needs, confirms, comment }, 0, context) {
            Ok(mut agreed) => {
                let comment = agreed.comment.clone();
                agreed.before(actor, done(&comment, changed))
            }
            Err(stop) => stop.decision(actor),
        }
    }

    fn refused(&self, plan: &Plan) -> Option<Problem> {
        if self.expected.is_some_and(|expected| expected != plan.version) {
            return Some(changed_meanwhile("the settings or a rollout"));
        }
        if let Some(problem) = too_long(&self.comment) {
            return Some(problem);
        }
        let long = |change: &SettingChange| {
            change.value.as_ref().is_some_and(|value| value.to_string().len() > MAX_VALUE_BYTES)
        };
        if self.changes.len() > MAX_CHANGES {
            let found = self.changes.len();
            return Some(invalid(&[format!(
                "{found} settings are too many for one change: {MAX_CHANGES} at most"
            )]));
        }
        let long = self.changes.iter().find(|change| long(change))?;
        Some(invalid(&[format!("{}: its value is longer than {MAX_VALUE_BYTES} bytes", long.key)]))
    }
}

/// Whether what is confirmed says nothing of the values that it replaces: an earlier program proposed it.
fn confirms_any_value(plan: &Plan, confirms: Option<u64>) -> bool {
    let confirmed = confirms.and_then(|number| plan.approvals.proposals.get(&number));
    matches!(confirmed.map(|proposal| &proposal.what), Some(Proposed::ChangeSettings { replaces: None, .. }))
}

/// Something is not any more as it was when somebody looked.
pub(super) fn changed_meanwhile(what: &str) -> Problem {
    Problem::new(
        ProblemCode::WrongState,
        format!("{what} were changed by somebody else since you looked"),
        "nothing was changed; look again (a file: `distributor config plan FILE`, a group: `distributor groups list`), then repeat it",
    )
}

fn does_not_fit(plan: &Plan, settings: &Settings) -> Option<Problem> {
    let known = plan.settings.problems();
    let problems: Vec<String> = settings
        .problems()
        .into_iter()
        .filter(|problem| !known.contains(problem))
        .map(|problem| problem.to_string())
        .collect();
    if !problems.is_empty() {
        return Some(invalid(&problems));
    }
    let count = settings.groups.len()
        + settings.strategies.len()
        + settings.windows.len()
        + settings.packages.len()
        + settings.blocks.len()
        + settings.pins.len()
        + settings.links.len()
        + settings.approvals.len();
    if count > MAX_SETTINGS {
        return Some(invalid(&[format!(
            "a site has at most {MAX_SETTINGS} settings, and these are {count}"
        )]));
    }
    let live = plan.rollouts.iter().filter(|rollout| rollout.state.is_live());
    let missing = live.flat_map(|rollout| {
        let groups = rollout.strategy.rings().iter().filter_map(|ring| ring.takes.group());
        groups.filter(|group| !settings.groups.contains_key(*group)).map(|group| (rollout.number, group))
    });
    missing.into_iter().next().map(|(number, group)| {
        Problem::new(
            ProblemCode::WrongState,
            format!("the group {group} cannot be removed: rollout {number} takes its computers in a ring"),
            format!("wait until it is complete, or edit it first with `distributor rollouts edit {number}`"),
        )
    })
}

/// A rule that needs two people is switched on only where two could agree: otherwise nobody could switch it off again.
fn nobody_second(
    plan: &Plan,
    after: &BTreeMap<Word, ApprovalRule>,
    context: &Context<'_>,
) -> Option<Problem> {
    if need_two(&plan.settings.approvals) || !need_two(after) {
        return None;
    }
    let people = &plan.approvals.people;
    let enabled = people.accounts.values().filter(|person| person.enabled).count();
    let able = people.who_can_be_second(context.now).len();
    // A token that others know could become somebody's eyes later, in nobody's sight.
    let given = people
        .tokens
        .values()
        .find(|token| token.standing == Standing::Given && token.ends_at.is_none_or(|end| end > context.now));
    if let (true, Some(token)) = (able >= 2, given) {
        let OwnedToken { account, name, .. } = token;
        return Some(Problem::new(
            ProblemCode::WrongState,
            format!(
                "the token {name} of {account} was made by somebody else and not renewed, so another could become {account}"
            ),
            format!(
                "its owner runs `distributor token renew`, or revoke it: `distributor token revoke {name}`"
            ),
        ));
    }
    (able < 2).then(|| {
        Problem::new(
            ProblemCode::WrongState,
            format!(
                "a rule that needs two people needs two enabled accounts with a token of their own: {} enabled, and {able} with such a token",
                text::counted(enabled as u64, "account is", "accounts are")
            ),
            "`distributor accounts add ACCOUNT --why TEXT`, `distributor token new NAME --account ACCOUNT`, and each owner runs `distributor token renew`",
        )
    })
}

fn invalid(problems: &[String]) -> Problem {
    let more = problems.len().saturating_sub(MAX_NAMED);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    let shown: Vec<&str> = problems.iter().take(MAX_NAMED).map(String::as_str).collect();
    Problem::new(
        ProblemCode::BadRequest,
        format!("these settings cannot be taken: {}{more}", shown.join("; ")),
        "nothing was changed; correct it and try again",
    )
}

query! {
    /// What a change of the computers that a group lists is decided from.
    LoadMembers {
        /// The group.
        pub group: GroupName,
        /// The computers that are to be listed, or not any more.
        pub names: Vec<ComputerName>,
    } -> MemberFacts, "read who is in a group"
}

/// As [`LoadMembers`] says.
#[derive(Debug, Clone)]
pub struct MemberFacts {
    /// Settings and rollouts.
    pub plan: Arc<Plan>,
    /// Those of the computers that are listed.
    pub listed: BTreeSet<ComputerName>,
}

/// Lists computers in a group by name, or takes them from its list. A name needs no reservation: it counts from the first
/// contact on. Answers how many changed.
#[derive(Debug, Clone)]
pub struct ChangeMembers {
    /// Who does.
    pub actor: Actor,
    /// The group.
    pub group: GroupName,
    /// To be listed.
    pub add: Vec<ComputerName>,
    /// Not to be listed any more.
    pub remove: Vec<ComputerName>,
    /// Why, for whoever reads the log later; may be empty.
    pub comment: String,
}

impl Command for ChangeMembers {
    type Facts = LoadMembers;
    type Answer = u64;
    const ATTEMPTED: &'static str = "change who is in a group";

    fn facts(&self) -> LoadMembers {
        let names = self.add.iter().chain(&self.remove).take(2 * MAX_CHANGES).cloned().collect();
        LoadMembers { group: self.group.clone(), names }
    }

    fn decide(self, facts: MemberFacts, _: &Context<'_>) -> Decision<u64> {
        let Self { actor, group, add, remove, comment } = self;
        if add.len() > MAX_CHANGES || remove.len() > MAX_CHANGES {
            return Decision::refuse(invalid(&[format!("at most {MAX_CHANGES} names go into one change")]));
        }
        if let Some(problem) = too_long(&comment) {
            return Decision::refuse(problem);
        }
        let comment = text::comment(&comment);
        if !facts.plan.settings.groups.contains_key(&group) {
            return Decision::refuse(Problem::new(
                ProblemCode::NotFound,
                format!("there is no group named {group}"),
                format!("make it with `distributor groups add {group} --why TEXT`"),
            ));
        }
        let remove: BTreeSet<ComputerName> =
            remove.into_iter().filter(|name| facts.listed.contains(name)).collect();
        let add: BTreeSet<ComputerName> =
            add.into_iter().filter(|name| !facts.listed.contains(name) && !remove.contains(name)).collect();
        let count = (add.len() + remove.len()) as u64;
        let changes = |names: BTreeSet<ComputerName>| -> Vec<Vec<ComputerName>> {
            let names: Vec<ComputerName> = names.into_iter().collect();
            names.chunks(NAMES_PER_ENTRY).map(<[_]>::to_vec).collect()
        };
        let added = changes(add).into_iter().map(|added| (added, Vec::new()));
        let removed = changes(remove).into_iter().map(|removed| (Vec::new(), removed));
        added.chain(removed).fold(Decision::answer(count), |decision, (added, removed)| {
            let (group, comment) = (group.clone(), comment.clone());
            decision.change(actor.clone(), Change::GroupMembersChanged { group, added, removed, comment })
        })
    }
}
