//! The changes of the golden log that came with accounts and approvals.

use jiff::Timestamp;
use sealpost_keys::{Token, TokenDigest};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_site::changes::{
    AccountChanged, Actor, Change, ProposalEnded, ProposalMade, ReleaseDeferred, TokenConfirmed, TokenOwner,
    TokenRevoked,
};
use sealpost_site::rules::account::{Account, TokenId};
use sealpost_site::rules::approvals::people::{AccountName, Standing};
use sealpost_site::rules::approvals::proposal::{Ending, Proposed, Steering};
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::rollouts::settings::{MembersChange, SettingChange, SettingKey, SettingKind};
use sealpost_site::rules::rollouts::strategy::{Strategy, everyone_now};
use sealpost_test_support::world::{DAY, World, admin, channel, computer_name};

use super::values::{manifest, release, staged};

fn account(name: &str) -> AccountName {
    AccountName::new(name).unwrap()
}

fn digest(letter: char) -> TokenDigest {
    format!("{}A", letter.to_string().repeat(42)).parse::<Token>().unwrap().digest()
}

fn id(letter: char) -> TokenId {
    TokenId::of(&digest(letter))
}

fn anna() -> Actor {
    Actor::Admin { account: Account::token("anna-laptop", id('B')) }
}

fn made(letter: char, name: &str, standing: Standing, renews: Option<TokenId>) -> Change {
    let owner = TokenOwner { account: account(name), standing, renews };
    Change::AdminTokenMade {
        token: id(letter),
        digest: digest(letter),
        name: format!("{name}-laptop"),
        ends_at: None,
        found: false,
        owner: Some(owner),
    }
}

fn changed(name: &str, comment: &str) -> AccountChanged {
    AccountChanged { account: account(name), comment: comment.to_owned() }
}

fn proposal(number: u64, proposed: Proposed, by: Option<&str>, expires_at: Timestamp) -> Change {
    let (account, comment) = (by.map(account), "tried; \"ticket\" 4711 ü".to_owned());
    Change::ProposalMade(ProposalMade { number, proposed, account, expires_at, comment })
}

/// A rule of approvals, and a member of a group.
fn settings(state: Option<Sha256Digest>) -> Proposed {
    let key = SettingKey { kind: SettingKind::Approval, name: "programs".to_owned() };
    let rule = r#"{"package":"acme-*","kind":"program","channel":"stable","severity":"high","needs":"two",
        "min_age_hours":24,"description":"the CAD computers"}"#;
    let value = Some(serde_json::from_str(rule).unwrap());
    let add: Vec<ComputerName> = vec![computer_name("pc-1")];
    let group = GroupName::new("pilots").unwrap();
    Proposed::ChangeSettings {
        changes: vec![SettingChange { key, value }],
        members: vec![MembersChange { group, add, remove: Vec::new() }],
        state,
        replaces: None,
    }
}

/// What is proposed, one of each kind.
fn proposed() -> Vec<(Option<&'static str>, Proposed)> {
    let (strategy, plan) = (everyone_now(), Strategy::everyone_now());
    let edit = Steering::Edit { strategy, plan: plan.clone(), emergency: true };
    let steer =
        |how| Proposed::SteerRollout { rollout: 73, release: release(73), manifest: manifest(73), how };
    let approve = |number, emergency| Proposed::ApproveRelease {
        release: release(number),
        manifest: manifest(number),
        channels: vec![channel("stable")],
        strategy,
        plan: plan.clone(),
        emergency,
    };
    vec![
        (Some("anna"), approve(75, true)),
        (Some("anna"), approve(76, false)),
        (Some("ben"), steer(edit)),
        (Some("ben"), steer(Steering::Next { ring: 1 })),
        (None, steer(Steering::Resume)),
        (None, settings(None)),
        (None, Proposed::AddAccount { account: account("dora") }),
        (None, Proposed::EnableAccount { account: account("carl") }),
        (
            None,
            Proposed::ConfirmToken { account: account("ben"), token: id('C'), name: "ben-laptop".to_owned() },
        ),
    ]
}

/// A configuration that waits, with what it was compared with.
pub(super) fn based_changes(world: &World) -> Vec<(Actor, Change)> {
    let made = ProposalMade {
        number: 900,
        proposed: settings(Some(manifest(90))),
        account: Some(account("anna")),
        expires_at: world.at(400 * DAY),
        comment: "ticket 4711".to_owned(),
    };
    vec![(anna(), Change::ProposalMade(made))]
}

/// Single settings that wait, with what they replace.
pub(super) fn replacing_changes(world: &World) -> Vec<(Actor, Change)> {
    let proposed = match settings(None) {
        Proposed::ChangeSettings { changes, members, state, .. } => {
            Proposed::ChangeSettings { changes, members, state, replaces: Some(manifest(91)) }
        }
        other => other,
    };
    let made = ProposalMade {
        number: 901,
        proposed,
        account: Some(account("anna")),
        expires_at: world.at(400 * DAY),
        comment: "ticket 4711".to_owned(),
    };
    vec![(anna(), Change::ProposalMade(made))]
}

/// Accounts, their tokens, what waits, and what is put off.
pub(super) fn approval_changes(world: &World) -> Vec<(Actor, Change)> {
    let deferred = |number| {
        Change::ReleaseDeferred(ReleaseDeferred {
            release: release(number),
            manifest: manifest(number),
            until: world.at(400 * DAY),
            comment: "the exam week".to_owned(),
        })
    };
    let ended =
        |number, how| Change::ProposalEnded(ProposalEnded { number, how, comment: "it is good".to_owned() });
    let confirmed = TokenConfirmed { token: id('C'), name: "ben-laptop".to_owned(), account: account("ben") };
    let revoked = Change::AdminTokenRevoked(TokenRevoked { token: id('A'), name: "anna-laptop".to_owned() });
    let mut all = vec![
        (admin(), Change::AccountAdded(changed("anna", "the day desk"))),
        (admin(), Change::AccountAdded(changed("ben", "the night desk"))),
        (admin(), Change::AccountAdded(changed("carl", "helps"))),
        (admin(), made('A', "anna", Standing::Given, None)),
        (anna(), made('B', "anna", Standing::Own, Some(id('A')))),
        (anna(), revoked),
        (admin(), made('C', "ben", Standing::Unconfirmed, None)),
        (admin(), made('D', "ben", Standing::Unconfirmed, None)),
        (anna(), Change::AdminTokenConfirmed(confirmed)),
        (anna(), Change::AccountDisabled(changed("carl", "left"))),
        (anna(), Change::AccountEnabled(changed("carl", "is back"))),
        (anna(), Change::AccountDisabled(changed("carl", "left again"))),
        (Actor::Server, staged(75)),
        (Actor::Server, staged(76)),
        (Actor::Server, staged(77)),
        (admin(), deferred(76)),
        (admin(), deferred(77)),
    ];
    let expires_at = world.at(420 * DAY);
    for (number, (by, what)) in (1_001..).zip(proposed()) {
        all.push((if by.is_some() { anna() } else { admin() }, proposal(number, what, by, expires_at)));
    }
    all.extend([
        (anna(), ended(1_003, Ending::Confirmed)),
        (
            admin(),
            Change::ReleaseRejected {
                release: release(76),
                manifest: manifest(76),
                reason: "it was put off for too long".to_owned(),
            },
        ),
    ]);
    all
}
