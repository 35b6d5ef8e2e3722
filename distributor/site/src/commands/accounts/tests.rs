//! Accounts and their tokens, while a rule needs two people and while none does.

use jiff::Timestamp;
use sealpost_keys::{KeyId, PublicKey, Token, TokenDigest};
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::log::Frontier;
use sealpost_manifests::word::Word;

use super::*;
use crate::changes::TokenOwner;
use crate::commands::Terms;
use crate::commands::tokens::{MakeTokens, NewToken, Origin, RenewToken, RevokeToken};
use crate::rows::ServerIdentity;
use crate::rules::account::Account;
use crate::rules::approvals::people::{OwnedToken, Person};
use crate::rules::approvals::proposal::Proposal;
use crate::rules::approvals::rule::ApprovalRule;
use crate::rules::rollouts::outages::Outages;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn decide<C: Command>(command: C, facts: <C::Facts as crate::queries::Query>::Answer) -> Decision<C::Answer> {
    let site_key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
    let server = ServerIdentity { server_id: ServerId::of_site_key(&site_key), site_key };
    let context = Context {
        now: NOW,
        server: &server,
        terms: &Terms::default(),
        log: &Frontier::empty(),
        outages: Outages::none(),
    };
    command.decide(facts, &context)
}

fn name(text: &str) -> AccountName {
    AccountName::new(text).unwrap()
}

fn digest(letter: char) -> TokenDigest {
    format!("{}A", letter.to_string().repeat(42)).parse::<Token>().unwrap().digest()
}

fn id(letter: char) -> TokenId {
    TokenId::of(&digest(letter))
}

fn by(letter: char) -> Actor {
    Actor::Admin { account: Account::token(letter, id(letter)) }
}

/// Anna has the token `A` of her own, ben the token `X`; a rule needs two if it is said so.
fn plan(two: bool) -> Plan {
    let mut plan = Plan::default();
    let people = &mut plan.approvals.people;
    for (account, letter) in [("anna", 'A'), ("ben", 'X')] {
        let person = Person { enabled: true, at: NOW, by: Actor::socket("root"), comment: String::new() };
        people.accounts.insert(name(account), person);
        let (account, ends_at) = (name(account), None);
        let token = OwnedToken { account, name: letter.to_string(), standing: Standing::Own, ends_at };
        people.tokens.insert(id(letter), token);
    }
    if two {
        let rule = ApprovalRule { needs: Needs::Two, ..ApprovalRule::default() };
        plan.settings.approvals.insert(Word::new("all").unwrap(), rule);
    }
    plan
}

fn waiting(mut plan: Plan, number: u64, what: Proposed, by: Actor) -> Plan {
    let (eyes, expires_at) = (plan.approvals.people.eyes(&by).unwrap(), Timestamp::MAX);
    let proposal = Proposal { number, what, by, eyes, at: NOW, expires_at, comment: String::new() };
    plan.approvals.proposals.insert(number, proposal);
    plan
}

fn kinds<T>(decision: &Decision<T>) -> Vec<&'static str> {
    decision.changes.iter().map(|(_, change)| crate::changes::summary::kind(change)).collect()
}

fn add(actor: Actor, account: &str) -> AddAccount {
    AddAccount { actor, account: name(account), comment: "new".to_owned(), confirms: None }
}

#[test]
fn an_account_is_added_alone_until_a_rule_needs_two() {
    let alone = decide(add(Actor::socket("root"), "carl"), Arc::new(plan(false)));
    assert_eq!((alone.answer.clone().unwrap(), kinds(&alone)), (Outcome::Done(()), vec!["account_added"]));
    let first = decide(add(Actor::socket("root"), "carl"), Arc::new(plan(true)));
    assert_eq!((first.answer.clone().unwrap(), kinds(&first)), (Outcome::Waits(1), vec!["proposal_made"]));
    let what = Proposed::AddAccount { account: name("carl") };
    let waiting = Arc::new(waiting(plan(true), 1, what, Actor::socket("root")));
    let again = decide(add(Actor::socket("sealpost"), "carl"), Arc::clone(&waiting));
    assert_eq!((again.answer.clone().unwrap(), kinds(&again)), (Outcome::Waits(1), vec![]), "one account");
    let second = decide(add(by('A'), "carl"), Arc::clone(&waiting));
    assert_eq!(second.answer.clone().unwrap(), Outcome::Done(()));
    assert_eq!(kinds(&second), ["proposal_ended", "account_added"]);
    let other = decide(add(by('A'), "dora"), waiting);
    assert_eq!(kinds(&other), ["proposal_made"], "another account is another proposal");
    let there = decide(add(by('A'), "ben"), Arc::new(plan(true)));
    assert_eq!((there.answer.clone().unwrap(), kinds(&there)), (Outcome::Done(()), vec![]));
}

#[test]
fn disabling_is_done_alone_and_ends_what_the_account_asked_for() {
    let what = Proposed::AddAccount { account: name("carl") };
    let plan = waiting(plan(true), 5, what.clone(), by('X'));
    let plan = Arc::new(waiting(plan, 6, what, by('A')));
    let (account, comment) = (name("ben"), "left".to_owned());
    let decision = decide(DisableAccount { actor: by('A'), account, comment }, plan);
    assert_eq!(kinds(&decision), ["account_disabled", "proposal_ended"]);
    let (_, Change::ProposalEnded(ended)) = &decision.changes[1] else { panic!("{decision:?}") };
    assert_eq!((ended.number, ended.how), (5, Ending::Void));
    let unknown = DisableAccount { actor: by('A'), account: name("nobody"), comment: String::new() };
    let unknown = decide(unknown, Arc::default());
    assert_eq!(unknown.answer.unwrap_err().code, ProblemCode::NotFound);
}

#[test]
fn a_disabled_account_is_enabled_by_two_while_a_rule_needs_two_and_is_not_added_again() {
    let mut disabled = plan(true);
    disabled.approvals.people.accounts.get_mut(&name("ben")).unwrap().enabled = false;
    let disabled = Arc::new(disabled);
    let comment = String::new;
    let enable = |actor| EnableAccount { actor, account: name("ben"), comment: comment(), confirms: None };
    assert_eq!(kinds(&decide(enable(by('A')), Arc::clone(&disabled))), ["proposal_made"]);
    let itself = decide(enable(by('X')), Arc::clone(&disabled));
    assert_eq!((itself.answer.unwrap_err().code, itself.changes.len()), (ProblemCode::Forbidden, 0));
    let added = decide(add(by('A'), "ben"), disabled);
    assert_eq!(added.answer.unwrap_err().code, ProblemCode::WrongState);
}

fn make(account: &str) -> MakeTokens {
    let (name, account) = ("laptop".to_owned(), Some(name(account)));
    let tokens = vec![NewToken { name, digest: digest('N'), ends_at: None, account }];
    MakeTokens { actor: Actor::socket("root"), tokens, origin: Origin::Made }
}

fn owner<T>(decision: &Decision<T>) -> TokenOwner {
    let made = decision.changes.iter().find_map(|(_, change)| match change {
        Change::AdminTokenMade { owner, .. } => owner.clone(),
        _ => None,
    });
    made.unwrap()
}

#[test]
fn a_token_from_the_server_never_counts_and_while_a_rule_needs_two_it_waits_for_a_second_account() {
    let first = decide(make("anna"), Arc::new(plan(false)));
    assert_eq!(owner(&first).standing, Standing::Given);
    assert_eq!(kinds(&first), ["admin_token_made"]);
    let first = decide(make("anna"), Arc::new(plan(true)));
    assert_eq!(owner(&first).standing, Standing::Unconfirmed);
    assert_eq!(kinds(&first), ["admin_token_made", "proposal_made"]);
    assert_eq!(first.answer, Ok(Some(2)), "the number of the second entry");

    let mut unconfirmed = plan(true);
    let (account, standing) = (name("anna"), Standing::Unconfirmed);
    let token = OwnedToken { account, name: "laptop".to_owned(), standing, ends_at: None };
    unconfirmed.approvals.people.tokens.insert(id('N'), token);
    let what = Proposed::ConfirmToken { account: name("anna"), token: id('N'), name: "laptop".to_owned() };
    let plan = Arc::new(waiting(unconfirmed, 2, what, Actor::socket("root")));
    let renewed = decide(renew('N'), Arc::clone(&plan));
    assert_eq!((renewed.answer.unwrap_err().code, renewed.changes.len()), (ProblemCode::Forbidden, 0));
    let confirm = |actor| ConfirmToken { actor, token: id('N'), comment: String::new(), confirms: Some(2) };
    for actor in [Actor::socket("root"), by('N')] {
        let refused = decide(confirm(actor.clone()), Arc::clone(&plan));
        assert_eq!(refused.answer.unwrap_err().code, ProblemCode::Forbidden, "{actor:?}");
        assert!(refused.changes.is_empty(), "{actor:?}");
    }
    let confirmed = decide(confirm(by('X')), plan);
    assert_eq!(kinds(&confirmed), ["proposal_ended", "admin_token_confirmed"]);
}

fn renew(before: char) -> RenewToken {
    let (name, digest) = ("laptop".to_owned(), digest('R'));
    RenewToken { actor: by(before), before: id(before), name, digest, ends_at: None }
}

#[test]
fn who_renews_a_token_has_one_that_counts_and_the_one_before_is_revoked() {
    let mut given = plan(true);
    given.approvals.people.tokens.get_mut(&id('A')).unwrap().standing = Standing::Given;
    let decision = decide(renew('A'), Arc::new(given));
    assert_eq!(kinds(&decision), ["admin_token_made", "admin_token_revoked"]);
    let owner = owner(&decision);
    assert_eq!((owner.standing, owner.renews, owner.account), (Standing::Own, Some(id('A')), name("anna")));

    let of_no_account = decide(renew('Q'), Arc::new(plan(true)));
    assert_eq!(of_no_account.answer.unwrap_err().code, ProblemCode::WrongState);
    let mut disabled = plan(true);
    disabled.approvals.people.accounts.get_mut(&name("anna")).unwrap().enabled = false;
    assert_eq!(decide(renew('A'), Arc::new(disabled)).answer.unwrap_err().code, ProblemCode::Forbidden);
}

#[test]
fn a_token_is_made_only_for_an_account_that_is_there_and_enabled() {
    let unknown = decide(make("nobody"), Arc::new(plan(false)));
    assert_eq!((unknown.answer.unwrap_err().code, unknown.changes.len()), (ProblemCode::NotFound, 0));
    let mut disabled = plan(false);
    disabled.approvals.people.accounts.get_mut(&name("anna")).unwrap().enabled = false;
    let refused = decide(make("anna"), Arc::new(disabled));
    assert_eq!((refused.answer.unwrap_err().code, refused.changes.len()), (ProblemCode::Forbidden, 0));
}

#[test]
fn a_revoked_token_takes_what_was_asked_for_with_it_along() {
    let what = Proposed::AddAccount { account: name("carl") };
    let about = Proposed::ConfirmToken { account: name("ben"), token: id('X'), name: "X".to_owned() };
    let mut two = waiting(plan(true), 5, what.clone(), by('X'));
    two = waiting(two, 6, what, by('A'));
    two = waiting(two, 7, about, Actor::socket("root"));
    let revoke = RevokeToken { actor: Actor::socket("root"), name: "X".to_owned(), token: id('X') };
    let decision = decide(revoke, Arc::new(two));
    let ended: Vec<u64> = decision
        .changes
        .iter()
        .filter_map(|(_, change)| match change {
            Change::ProposalEnded(ended) => Some(ended.number),
            _ => None,
        })
        .collect();
    assert_eq!((kinds(&decision)[0], ended), ("admin_token_revoked", vec![5, 7]));
}
