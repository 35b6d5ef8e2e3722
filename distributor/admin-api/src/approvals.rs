//! `/api/v1/approvals` and `/api/v1/accounts`: what waits for a second person, and who can be one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::word::Word;
use sealpost_site::changes::Actor;
use sealpost_site::rules::account::TokenId;
use sealpost_site::rules::approvals::Deferral;
use sealpost_site::rules::approvals::people::{AccountName, Standing};
use sealpost_site::rules::approvals::proposal::{Proposal, Proposed};
use sealpost_site::rules::approvals::rule::{ApprovalRule, Demands, Needs};
use sealpost_site::rules::rollouts::plan::Plan;
use serde::{Deserialize, Serialize};

/// `GET /api/v1/approvals`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApprovalsView {
    /// What waits for a second person, by number.
    pub waiting: Vec<Waiting>,
    /// The rules, by name.
    pub rules: BTreeMap<Word, ApprovalRule>,
    /// Whether any rule needs two people.
    pub needs_two: bool,
}

impl ApprovalsView {
    /// What is shown of a plan.
    #[must_use]
    pub fn new(plan: &Plan, now: Timestamp) -> Self {
        let rules = plan.settings.approvals.clone();
        Self {
            waiting: plan.approvals.open(now).map(Waiting::from).collect(),
            needs_two: rules.values().any(|rule| rule.needs == Needs::Two),
            rules,
        }
    }
}

/// Something that waits for a second person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its number: that of its entry in the log.
    pub number: u64,
    /// What is proposed, for people.
    pub says: String,
    /// What is proposed, with everything that will be done.
    pub proposed: Proposed,
    /// The account whose eyes the first ones are; `local` for whoever sits at the server.
    pub from: String,
    /// Who asked.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// Why, for the second person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

impl From<&Proposal> for Waiting {
    fn from(proposal: &Proposal) -> Self {
        Self {
            number: proposal.number,
            says: proposal.what.to_string(),
            proposed: proposal.what.clone(),
            from: proposal.eyes.to_string(),
            by: proposal.by.clone(),
            at: proposal.at,
            expires_at: proposal.expires_at,
            comment: proposal.comment.clone(),
        }
    }
}

/// `POST /api/v1/approvals/{number}/confirm` and `…/withdraw`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DecideRequest {
    /// Why, for whoever reads the log later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Also while the decision about the release is put off.
    #[serde(default, skip_serializing_if = "is_false")]
    pub now: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a field by reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// What waited and was decided.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settled {
    /// Its number.
    pub number: u64,
    /// What was proposed, for people.
    pub says: String,
}

/// `GET /api/v1/accounts`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountsView {
    /// By name.
    pub accounts: Vec<AccountView>,
}

/// An account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountView {
    /// Its name.
    pub name: AccountName,
    /// Whether its tokens are admitted.
    pub enabled: bool,
    /// Whether it counts as second eyes now: it is enabled, and has a token of its own.
    pub can_be_second: bool,
    /// When it was added, disabled or enabled last.
    pub at: Timestamp,
    /// By whom.
    pub by: Actor,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Its tokens that were not revoked.
    pub tokens: Vec<AccountToken>,
}

/// A token of an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountToken {
    /// Its id.
    pub id: TokenId,
    /// Its name.
    pub name: String,
    /// Who knows it: only an `own` one counts as second eyes.
    pub standing: Standing,
    /// Its end; absent for one that is good until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
}

impl AccountsView {
    /// What is shown of a plan.
    #[must_use]
    pub fn new(plan: &Plan, now: Timestamp) -> Self {
        let people = &plan.approvals.people;
        let second = people.who_can_be_second(now);
        let accounts = people.accounts.iter().map(|(name, person)| {
            let tokens = people.tokens_of(name);
            let tokens = tokens.map(|(id, token)| AccountToken {
                id: id.clone(),
                name: token.name.clone(),
                standing: token.standing,
                ends_at: token.ends_at,
            });
            AccountView {
                name: name.clone(),
                enabled: person.enabled,
                can_be_second: second.contains(name),
                at: person.at,
                by: person.by.clone(),
                comment: person.comment.clone(),
                tokens: tokens.collect(),
            }
        });
        Self { accounts: accounts.collect() }
    }
}

/// `POST /api/v1/accounts`, `…/disable` and `…/enable`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountRequest {
    /// Its name.
    pub account: AccountName,
    /// Why, for whoever reads the log later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// The accounts after a change, or what waits instead.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountsChanged {
    /// The accounts as they are now.
    #[serde(flatten)]
    pub view: AccountsView,
    /// The proposal that waits for a second person; absent when it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<u64>,
}

/// `POST /api/v1/updates/defer`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeferRequest {
    /// The digest of the manifest.
    pub manifest: Sha256Digest,
    /// Until when.
    pub until: Timestamp,
    /// Why, for whoever reads it later.
    pub comment: String,
}

/// A decision that is put off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deferred {
    /// Until when; it ends by itself.
    pub until: Timestamp,
    /// Since when.
    pub at: Timestamp,
    /// Who put it off.
    pub by: Actor,
    /// Why.
    pub comment: String,
}

impl From<&Deferral> for Deferred {
    fn from(deferral: &Deferral) -> Self {
        let Deferral { until, at, by, comment } = deferral.clone();
        Self { until, at, by, comment }
    }
}

/// What the rules want before a release is approved for all its channels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Whose approval is enough.
    pub needs: Needs,
    /// The rule that needs two people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub two_by: Option<Word>,
    /// From when on it may be approved.
    pub from: Timestamp,
    /// The rule that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_by: Option<Word>,
}

impl Wanted {
    /// What is wanted of a release that lies here since a time.
    #[must_use]
    pub fn new(demands: &Demands, staged_at: Timestamp) -> Self {
        let Demands { needs, two_by, age_by, .. } = *demands;
        Self { needs, two_by, from: demands.from(staged_at), age_by }
    }
}
