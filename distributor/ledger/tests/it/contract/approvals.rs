//! Contracts of approvals: four eyes, rules, deferrals, and the attacks on them.

use jiff::SignedDuration;
use sealpost_keys::{Token, TokenDigest};
use sealpost_ledger::Ledger;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ChannelName;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::Actor;
use sealpost_site::commands::accounts::{AddAccount, ConfirmToken, DisableAccount, EnableAccount};
use sealpost_site::commands::approvals::{ApproveByRule, DeferRelease, WithdrawProposal};
use sealpost_site::commands::releases::ApproveRelease;
use sealpost_site::commands::rollouts::{Steer, SteerRollout};
use sealpost_site::commands::second_eyes::Outcome;
use sealpost_site::commands::settings::{ChangeSettings, LoadPlan};
use sealpost_site::commands::tokens::{MakeTokens, NewToken, Origin, RenewToken, RevokeToken};
use sealpost_site::commands::undoing::{HaltRelease, WhoRunsIt};
use sealpost_site::rules::account::{Account, TokenId};
use sealpost_site::rules::approvals::people::{AccountName, Standing};
use sealpost_site::rules::approvals::rule::Needs;
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind};
use sealpost_site::rules::test_load::Wanted;
use sealpost_test_support::world::{DAY, World, reject};

use super::rolling::word;
use crate::bench::Bench;
use crate::fixture::{refused, release, sound, unchanged};

fn root() -> Actor {
    Actor::socket("root")
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

fn rule(value: &str) -> Vec<SettingChange> {
    let key = SettingKey { kind: SettingKind::Approval, name: "all".to_owned() };
    vec![SettingChange { key, value: Some(serde_json::from_str(value).unwrap()) }]
}

fn no_rule() -> Vec<SettingChange> {
    let key = SettingKey { kind: SettingKind::Approval, name: "all".to_owned() };
    vec![SettingChange { key, value: None }]
}

fn set(actor: Actor, changes: Vec<SettingChange>) -> ChangeSettings {
    ChangeSettings { actor, changes, comment: "why".to_owned(), expected: None, confirms: None }
}

fn add(actor: Actor, account: &str) -> AddAccount {
    AddAccount { actor, account: name(account), comment: String::new(), confirms: None }
}

fn make(account: &str, letter: char) -> MakeTokens {
    let (token, account) = (letter.to_string(), Some(name(account)));
    let tokens = vec![NewToken { name: token, digest: digest(letter), ends_at: None, account }];
    MakeTokens { actor: root(), tokens, origin: Origin::Made }
}

fn renew(before: char, letter: char) -> RenewToken {
    let (name, digest) = (before.to_string(), digest(letter));
    RenewToken { actor: by(before), before: id(before), name, digest, ends_at: None }
}

/// Anna's own token is `A`, ben's is `B`; the tokens that were made for them at the server are `a` and `b`, revoked since. A
/// rule needs two for every release.
async fn four_eyes(world: &World, ledger: &Ledger) {
    for (account, given, own) in [("anna", 'a', 'A'), ("ben", 'b', 'B')] {
        assert_eq!(ledger.execute(world.at(1), add(root(), account)).await.unwrap(), Outcome::Done(()));
        assert_eq!(ledger.execute(world.at(1), make(account, given)).await.unwrap(), None);
        ledger.execute(world.at(1), renew(given, own)).await.unwrap();
    }
    let on = set(root(), rule(r#"{"needs":"two"}"#));
    assert_eq!(ledger.execute(world.at(2), on).await.unwrap(), Outcome::Done(1));
}

async fn staged(world: &World, ledger: &Ledger, counter: u64) -> Sha256Digest {
    let staged = world.staged("acme-av", counter, &["stable"]);
    let manifest = staged.manifest;
    ledger.execute(world.at(5), staged).await.unwrap();
    manifest
}

fn approve(world: &World, manifest: Sha256Digest, actor: Actor) -> ApproveRelease {
    ApproveRelease { actor, comment: "tried".to_owned(), ..world.approve(manifest) }
}

async fn state(ledger: &Ledger, manifest: Sha256Digest) -> ReleaseState {
    release(ledger, manifest).await.state
}

async fn open(ledger: &Ledger) -> Vec<u64> {
    ledger.query(LoadPlan {}).await.unwrap().approvals.proposals.keys().copied().collect()
}

pub(super) async fn two_accounts_approve_and_neither_alone_by_two_tokens_or_from_the_server(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    four_eyes(world, &ledger).await;
    let manifest = staged(world, &ledger, 1).await;
    let first = ledger.execute(world.at(6), approve(world, manifest, by('A'))).await.unwrap();
    let Outcome::Waits(number) = first else { panic!("{first:?}") };
    assert_eq!(number, ledger.head().size, "the number of its entry");
    let head = ledger.head().size;
    // The same account by another token; whoever sits at the server; a token of nobody.
    ledger.execute(world.at(7), make("anna", 'c')).await.unwrap();
    for actor in [by('A'), by('c')] {
        let again = ledger.execute(world.at(7), approve(world, manifest, actor)).await.unwrap();
        assert_eq!(again, Outcome::Waits(number));
    }
    for actor in [root(), Actor::socket("sealpost"), Actor::token("ci")] {
        let alone = ledger.execute(world.at(7), approve(world, manifest, actor)).await;
        assert_eq!(refused(alone), ProblemCode::Forbidden);
    }
    // A token that was made at the server for the other account.
    ledger.execute(world.at(7), make("ben", 'd')).await.unwrap();
    let given = ledger.execute(world.at(7), approve(world, manifest, by('d'))).await;
    assert_eq!(refused(given), ProblemCode::Forbidden);
    unchanged(&ledger, head + 4);
    assert_eq!(state(&ledger, manifest).await, ReleaseState::Staged);
    drop(ledger);

    // It waits across a restart.
    let ledger = bench.open();
    let second = ledger.execute(world.at(8), approve(world, manifest, by('B'))).await.unwrap();
    assert_eq!(second, Outcome::Done(()));
    let row = release(&ledger, manifest).await;
    assert_eq!((row.state, row.decided.unwrap().actor), (ReleaseState::Approved, by('B')));
    assert!(!open(&ledger).await.contains(&number));
    sound(&ledger).await;
}

pub(super) async fn what_became_of_the_first_person_or_of_the_release_ends_what_waits(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    four_eyes(world, &ledger).await;
    let manifest = staged(world, &ledger, 1).await;
    let ask = async |actor| ledger.execute(world.at(6), approve(world, manifest, actor)).await.unwrap();
    // Disabled between first and second: what the second says is a first word.
    ask(by('A')).await;
    let disable = DisableAccount { actor: root(), account: name("anna"), comment: "left".to_owned() };
    ledger.execute(world.at(7), disable).await.unwrap();
    assert!(open(&ledger).await.is_empty());
    assert!(matches!(ask(by('B')).await, Outcome::Waits(_)));
    // A disabled account does nothing, not even first; and it is enabled by two.
    let refused_to = ledger.execute(world.at(7), approve(world, manifest, by('A'))).await;
    assert_eq!(refused(refused_to), ProblemCode::Forbidden);
    let enable =
        |actor| EnableAccount { actor, account: name("anna"), comment: String::new(), confirms: None };
    assert!(matches!(ledger.execute(world.at(8), enable(root())).await.unwrap(), Outcome::Waits(_)));
    assert_eq!(ledger.execute(world.at(8), enable(by('B'))).await.unwrap(), Outcome::Done(()));
    assert_eq!(state(&ledger, manifest).await, ReleaseState::Staged);
    // A revoked token takes along what was asked for with it.
    let revoke = RevokeToken { actor: root(), name: "b".to_owned(), token: id('B') };
    ledger.execute(world.at(9), revoke).await.unwrap();
    assert!(open(&ledger).await.is_empty());
    assert!(matches!(ask(by('A')).await, Outcome::Waits(_)));
    let revoked = ledger.execute(world.at(9), approve(world, manifest, by('B'))).await;
    assert_eq!(refused(revoked), ProblemCode::Forbidden, "a revoked token is nobody's");
    // A rejection ends what waits, also when it is taken back.
    ledger.execute(world.at(10), reject(manifest, "no")).await.unwrap();
    assert!(open(&ledger).await.is_empty());
    // Anybody takes a proposal back.
    let other = staged(world, &ledger, 2).await;
    let waits = ledger.execute(world.at(11), approve(world, other, by('A'))).await.unwrap();
    let Outcome::Waits(number) = waits else { panic!("{waits:?}") };
    let withdraw = || WithdrawProposal { actor: root(), number, comment: "wait".to_owned() };
    ledger.execute(world.at(12), withdraw()).await.unwrap();
    assert_eq!(refused(ledger.execute(world.at(12), withdraw()).await), ProblemCode::NotFound);
    assert_eq!(state(&ledger, other).await, ReleaseState::Staged);
    sound(&ledger).await;
}

pub(super) async fn another_request_another_digest_or_a_late_second_word_completes_nothing(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    four_eyes(world, &ledger).await;
    let manifest = staged(world, &ledger, 1).await;
    let waits = ledger.execute(world.at(6), approve(world, manifest, by('A'))).await.unwrap();
    let Outcome::Waits(number) = waits else { panic!("{waits:?}") };
    let ben = || approve(world, manifest, by('B'));
    for other in [
        ApproveRelease { strategy: Some(word("careful")), ..ben() },
        ApproveRelease { emergency: true, ..ben() },
    ] {
        assert_eq!(refused(ledger.execute(world.at(7), other).await), ProblemCode::Forbidden);
    }
    let wrong = ApproveRelease { confirms: Some(number + 1), ..ben() };
    assert_eq!(refused(ledger.execute(world.at(7), wrong).await), ProblemCode::Forbidden);
    // Published anew it has another digest, and needs two words of its own.
    let anew = staged(world, &ledger, 2).await;
    let waits = ledger.execute(world.at(8), approve(world, anew, by('B'))).await.unwrap();
    assert!(matches!(waits, Outcome::Waits(_)));
    assert_eq!(state(&ledger, anew).await, ReleaseState::Staged);
    // After two weeks the first word counts no more.
    let late = ledger.execute(world.at(6 + 14 * DAY), ben()).await.unwrap();
    assert!(matches!(late, Outcome::Waits(again) if again != number), "{late:?}");
    assert_eq!(state(&ledger, manifest).await, ReleaseState::Staged);
    let confirm = ApproveRelease { confirms: Some(number), ..approve(world, manifest, by('A')) };
    assert_eq!(refused(ledger.execute(world.at(7 + 14 * DAY), confirm).await), ProblemCode::Forbidden);
    sound(&ledger).await;
}

pub(super) async fn nobody_switches_four_eyes_off_or_makes_the_second_pair_alone(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    // Without two accounts that could agree it cannot be switched on.
    let on = || set(root(), rule(r#"{"needs":"two"}"#));
    assert_eq!(refused(ledger.execute(world.at(1), on()).await), ProblemCode::WrongState);
    ledger.execute(world.at(1), add(root(), "zoe")).await.unwrap();
    ledger.execute(world.at(1), add(root(), "max")).await.unwrap();
    ledger.execute(world.at(1), make("zoe", 'z')).await.unwrap();
    ledger.execute(world.at(1), make("max", 'm')).await.unwrap();
    assert_eq!(refused(ledger.execute(world.at(1), on()).await), ProblemCode::WrongState, "only given ones");
    for (given, own) in [('z', 'Z'), ('m', 'M')] {
        ledger.execute(world.at(1), renew(given, own)).await.unwrap();
    }
    // Whoever made one that nobody renewed could become its owner's second pair of eyes later.
    ledger.execute(world.at(1), make("zoe", 'g')).await.unwrap();
    assert_eq!(
        refused(ledger.execute(world.at(1), on()).await),
        ProblemCode::WrongState,
        "one that another knows"
    );
    for token in ['Z', 'M', 'g'] {
        let revoke = RevokeToken { actor: root(), name: token.to_string(), token: id(token) };
        ledger.execute(world.at(1), revoke).await.unwrap();
    }
    four_eyes(world, &ledger).await;

    let needs_two = async || {
        let plan = ledger.query(LoadPlan {}).await.unwrap();
        plan.settings.approvals.values().any(|rule| rule.needs == Needs::Two)
    };
    for (changes, why) in [
        (no_rule(), "removed"),
        (rule(r#"{"needs":"one"}"#), "weakened"),
        (rule(r#"{"needs":"two","channel":"nightly"}"#), "narrowed"),
    ] {
        for actor in [root(), by('A')] {
            let alone = ledger.execute(world.at(3), set(actor.clone(), changes.clone())).await.unwrap();
            let Outcome::Waits(number) = alone else { panic!("{why}: {alone:?}") };
            assert!(needs_two().await, "{why}");
            let withdraw = WithdrawProposal { actor, number, comment: String::new() };
            ledger.execute(world.at(3), withdraw).await.unwrap();
        }
    }
    // An account of one's own is no second pair: it is added by two, and its token is confirmed by another account.
    assert!(matches!(ledger.execute(world.at(4), add(root(), "eve")).await.unwrap(), Outcome::Waits(_)));
    let waits = ledger.execute(world.at(4), make("ben", 'e')).await.unwrap();
    assert!(waits.is_some());
    assert_eq!(refused(ledger.execute(world.at(4), renew('e', 'E')).await), ProblemCode::Forbidden);
    let confirm = |actor| ConfirmToken { actor, token: id('e'), comment: String::new(), confirms: waits };
    assert_eq!(refused(ledger.execute(world.at(4), confirm(root())).await), ProblemCode::Forbidden);
    assert_eq!(ledger.execute(world.at(4), confirm(by('A'))).await.unwrap(), Outcome::Done(()));
    ledger.execute(world.at(5), renew('e', 'E')).await.unwrap();
    let plan = ledger.query(LoadPlan {}).await.unwrap();
    assert_eq!(plan.approvals.people.tokens[&id('E')].standing, Standing::Own);
    assert!(!plan.approvals.people.accounts.contains_key(&name("eve")));
    // Two switch it off, and then one decides.
    assert!(matches!(ledger.execute(world.at(6), set(root(), no_rule())).await.unwrap(), Outcome::Waits(_)));
    let off = ledger.execute(world.at(6), set(by('E'), no_rule())).await.unwrap();
    assert_eq!(off, Outcome::Done(1));
    let manifest = staged(world, &ledger, 1).await;
    let alone = ledger.execute(world.at(7), approve(world, manifest, root())).await.unwrap();
    assert_eq!(alone, Outcome::Done(()));
    sound(&ledger).await;
}

pub(super) async fn a_second_person_agrees_only_while_what_is_replaced_is_what_it_was(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    four_eyes(world, &ledger).await;
    let group = |name: &str, delivery: &str| SettingChange {
        key: SettingKey { kind: SettingKind::Group, name: name.to_owned() },
        value: Some(serde_json::json!({ "delivery": delivery })),
    };
    ledger.execute(world.at(3), set(root(), vec![group("pilots", "push")])).await.unwrap();
    let wanted = || [no_rule(), vec![group("pilots", "poll")]].concat();
    let ask = async || match ledger.execute(world.at(3), set(by('A'), wanted())).await.unwrap() {
        Outcome::Waits(number) => number,
        done @ Outcome::Done(_) => panic!("{done:?}"),
    };
    let confirm = async |number| {
        let confirms = ChangeSettings { confirms: Some(number), ..set(by('B'), wanted()) };
        ledger.execute(world.at(4), confirms).await
    };
    let number = ask().await;
    // What the first person looked at is another group by now.
    ledger.execute(world.at(3), set(root(), vec![group("pilots", "manual")])).await.unwrap();
    assert_eq!(refused(confirm(number).await), ProblemCode::Forbidden);
    let withdraw = WithdrawProposal { actor: root(), number, comment: String::new() };
    ledger.execute(world.at(3), withdraw).await.unwrap();
    let number = ask().await;
    // A setting that it does not name is of no matter.
    ledger.execute(world.at(3), set(root(), vec![group("others", "push")])).await.unwrap();
    assert_eq!(confirm(number).await.unwrap(), Outcome::Done(2));
    sound(&ledger).await;
}

pub(super) async fn what_two_approved_is_not_hastened_by_one_and_stopped_by_one(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    four_eyes(world, &ledger).await;
    let manifest = staged(world, &ledger, 1).await;
    for actor in [by('A'), by('B')] {
        let careful = ApproveRelease { strategy: Some(word("careful")), ..approve(world, manifest, actor) };
        ledger.execute(world.at(6), careful).await.unwrap();
    }
    let number = release(&ledger, manifest).await.rollout.unwrap();
    let steer =
        |actor, what| SteerRollout { actor, number, what, comment: "a look".to_owned(), confirms: None };
    let hasten = || Steer::Edit { strategy: word("everyone-now"), emergency: true };
    let alone = ledger.execute(world.at(7), steer(by('A'), hasten())).await.unwrap();
    assert!(matches!(alone, Outcome::Waits(_)), "an emergency goes through the same rule");
    let rollout = |plan: &sealpost_site::rules::rollouts::plan::Plan| {
        plan.rollout(number).map(|rollout| (rollout.strategy_name, rollout.emergency)).unwrap()
    };
    let plan = ledger.query(LoadPlan {}).await.unwrap();
    assert_eq!(rollout(&plan), (word("careful"), false));
    let paused = ledger.execute(world.at(8), steer(by('A'), Steer::Pause)).await.unwrap();
    assert_eq!(paused, Outcome::Done(()), "to stop never needs two");
    let resumed = ledger.execute(world.at(8), steer(by('A'), Steer::Resume)).await.unwrap();
    assert_eq!(resumed, Outcome::Done(()), "and goes on as it was agreed");
    let both = ledger.execute(world.at(9), steer(by('B'), hasten())).await.unwrap();
    assert_eq!(both, Outcome::Done(()));
    let plan = ledger.query(LoadPlan {}).await.unwrap();
    assert_eq!(rollout(&plan), (word("everyone-now"), true));
    // A halt is done alone, and ends what waited about it; to go on after it needs two.
    let (reason, runs) = ("it crashes".to_owned(), WhoRunsIt::Keeps);
    ledger.execute(world.at(10), HaltRelease { actor: root(), manifest, reason, runs }).await.unwrap();
    let alone = ledger.execute(world.at(11), steer(by('A'), Steer::Resume)).await.unwrap();
    assert!(matches!(alone, Outcome::Waits(_)));
    assert_eq!(state(&ledger, manifest).await, ReleaseState::Halted);
    let both = ledger.execute(world.at(12), steer(by('B'), Steer::Resume)).await.unwrap();
    assert_eq!(both, Outcome::Done(()));
    assert_eq!(state(&ledger, manifest).await, ReleaseState::Approved);
    sound(&ledger).await;
}

pub(super) async fn a_rule_wants_an_age_and_a_deferral_ends_by_itself(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let aged = set(root(), rule(r#"{"kind":"program","min_age_hours":24}"#));
    ledger.execute(world.at(1), aged).await.unwrap();
    let manifest = staged(world, &ledger, 1).await;
    let early = ledger.execute(world.at(4 + DAY), approve(world, manifest, root())).await;
    assert_eq!(refused(early), ProblemCode::WrongState);
    let urgent = ApproveRelease { emergency: true, ..approve(world, manifest, root()) };
    assert_eq!(refused(ledger.execute(world.at(6), urgent).await), ProblemCode::WrongState, "also this");

    let until = world.at(3 * DAY);
    let defer =
        |comment: &str, until| DeferRelease { actor: root(), manifest, until, comment: comment.to_owned() };
    assert_eq!(refused(ledger.execute(world.at(6), defer(" ", until)).await), ProblemCode::BadRequest);
    for bad in [world.at(6), world.at(6) + SignedDuration::from_hours(24 * 366 + 1)] {
        assert_eq!(refused(ledger.execute(world.at(6), defer("x", bad)).await), ProblemCode::BadRequest);
    }
    ledger.execute(world.at(6), defer("the exam week", until)).await.unwrap();
    let head = ledger.head().size;
    ledger.execute(world.at(6), defer("the exam week", until)).await.unwrap();
    unchanged(&ledger, head);
    let plan = ledger.query(LoadPlan {}).await.unwrap();
    let deferral = plan.approvals.deferred(manifest, world.at(2 * DAY)).unwrap();
    assert_eq!((deferral.until, deferral.comment.as_str()), (until, "the exam week"));
    assert!(plan.approvals.deferred(manifest, until).is_none(), "it ends by itself");
    let plain = ledger.execute(world.at(2 * DAY), approve(world, manifest, root())).await;
    assert_eq!(refused(plain), ProblemCode::WrongState);
    let despite = ApproveRelease { despite_deferral: true, ..approve(world, manifest, root()) };
    ledger.execute(world.at(2 * DAY), despite).await.unwrap();
    let plan = ledger.query(LoadPlan {}).await.unwrap();
    assert!(plan.approvals.deferrals.is_empty(), "it is decided");
    let late = ledger.execute(world.at(2 * DAY), defer("late", until)).await;
    assert_eq!(refused(late), ProblemCode::WrongState);
    sound(&ledger).await;
}

pub(super) async fn a_rule_approves_by_itself_what_it_may_and_nothing_that_needs_two(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let itself = rule(r#"{"channel":"stable","by_itself":true,"min_age_hours":2}"#);
    ledger.execute(world.at(1), set(root(), itself)).await.unwrap();
    let manifest = staged(world, &ledger, 1).await;
    let by_rule = || ApproveByRule {
        manifest,
        trust: Some(std::sync::Arc::new(world.trust())),
        test_load: Wanted::Nothing,
    };
    let now = |seconds| world.at(seconds);
    assert_eq!(ledger.execute(now(4 + 7200), by_rule()).await.unwrap(), None, "it is too young");
    let until = now(DAY);
    let defer = DeferRelease { actor: root(), manifest, until, comment: "exams".to_owned() };
    ledger.execute(now(6), defer).await.unwrap();
    assert_eq!(ledger.execute(now(5 + 7200), by_rule()).await.unwrap(), None, "it is deferred");
    assert_eq!(ledger.execute(until, by_rule()).await.unwrap(), Some(word("all")));
    let row = release(&ledger, manifest).await;
    assert_eq!((row.state, row.decided.unwrap().actor), (ReleaseState::Approved, Actor::Server));
    let head = ledger.head().size;
    assert_eq!(ledger.execute(until, by_rule()).await.unwrap(), None, "again");
    unchanged(&ledger, head);
    sound(&ledger).await;
}

pub(super) async fn one_person_is_not_two_by_what_was_sent_with_a_token_before_it_was_renewed(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    four_eyes(world, &ledger).await;
    let manifest = staged(world, &ledger, 1).await;
    let head = ledger.head().size;
    // Its body came after the renewal: `a` is nobody's second pair of eyes, and none of whoever sits at the server.
    for stale in [by('a'), by('b')] {
        assert_eq!(
            refused(ledger.execute(world.at(6), approve(world, manifest, stale.clone())).await),
            ProblemCode::Forbidden
        );
        assert_eq!(refused(ledger.execute(world.at(6), set(stale, no_rule())).await), ProblemCode::Forbidden);
    }
    // A token of no account is somebody's who may have an account too.
    assert_eq!(
        refused(ledger.execute(world.at(7), approve(world, manifest, by('z'))).await),
        ProblemCode::Forbidden
    );
    unchanged(&ledger, head);
    // What was asked for with a token ends with any later token of its owner.
    ledger.execute(world.at(8), approve(world, manifest, by('A'))).await.unwrap();
    ledger.execute(world.at(9), renew('A', 'C')).await.unwrap();
    assert_eq!(open(&ledger).await.len(), 1, "a renewal is the same person");
    let revoke = RevokeToken { actor: root(), name: "A".to_owned(), token: id('C') };
    ledger.execute(world.at(10), revoke).await.unwrap();
    assert!(open(&ledger).await.is_empty());
    assert_eq!(state(&ledger, manifest).await, ReleaseState::Staged);
    sound(&ledger).await;
}

pub(super) async fn a_channel_in_which_one_decides_is_no_way_into_one_in_which_two_do(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    four_eyes(world, &ledger).await;
    let stable = set(by('A'), rule(r#"{"channel":"stable","needs":"two"}"#));
    let Outcome::Waits(number) = ledger.execute(world.at(3), stable.clone()).await.unwrap() else { panic!() };
    let agrees = ChangeSettings { actor: by('B'), confirms: Some(number), ..stable };
    ledger.execute(world.at(3), agrees).await.unwrap();
    let both = |counter| world.staged("acme-av", counter, &["beta", "stable"]);
    let of = |manifest, actor: char, channels: &[&str], strategy: &str| ApproveRelease {
        channels: Some(channels.iter().map(|name| ChannelName::new(*name).unwrap()).collect()),
        strategy: Some(word(strategy)),
        ..approve(world, manifest, by(actor))
    };
    let done = |outcome: Outcome<()>| assert_eq!(outcome, Outcome::Done(()));
    let waits = |outcome: Outcome<()>| assert!(matches!(outcome, Outcome::Waits(_)), "{outcome:?}");

    // Two agreed to rings in one channel: one does not make an emergency of it by another channel.
    let (one, two, three) = (both(1), both(2), both(3));
    let manifests = [one.manifest, two.manifest, three.manifest];
    for release in [one, two, three] {
        ledger.execute(world.at(5), release).await.unwrap();
    }
    waits(ledger.execute(world.at(6), of(manifests[0], 'A', &["stable"], "careful")).await.unwrap());
    done(ledger.execute(world.at(6), of(manifests[0], 'B', &["stable"], "careful")).await.unwrap());
    let hurry = ApproveRelease { emergency: true, ..of(manifests[0], 'A', &["beta"], "careful") };
    waits(ledger.execute(world.at(7), hurry).await.unwrap());

    // What one began, with rings that one may open, does not go on into the other channel, also not by two.
    done(ledger.execute(world.at(8), of(manifests[1], 'A', &["beta"], "careful")).await.unwrap());
    assert_eq!(
        refused(ledger.execute(world.at(8), of(manifests[1], 'B', &["stable"], "careful")).await),
        ProblemCode::WrongState
    );

    // What was halted goes on in all its channels, so two let it.
    waits(ledger.execute(world.at(9), of(manifests[2], 'A', &["stable"], "everyone-now")).await.unwrap());
    done(ledger.execute(world.at(9), of(manifests[2], 'B', &["stable"], "everyone-now")).await.unwrap());
    done(ledger.execute(world.at(10), of(manifests[2], 'A', &["beta"], "careful")).await.unwrap());
    let number = release(&ledger, manifests[2]).await.rollout.unwrap();
    let halt = HaltRelease {
        actor: by('B'),
        manifest: manifests[2],
        reason: "it crashes".to_owned(),
        runs: WhoRunsIt::Keeps,
    };
    ledger.execute(world.at(11), halt).await.unwrap();
    let resume = SteerRollout {
        actor: by('A'),
        number,
        what: Steer::Resume,
        comment: "it is well".to_owned(),
        confirms: None,
    };
    waits(ledger.execute(world.at(12), resume).await.unwrap());
    assert_eq!(state(&ledger, manifests[2]).await, ReleaseState::Halted);
    // Nobody approves for no channel, which would end what waits.
    assert_eq!(
        refused(ledger.execute(world.at(13), of(manifests[2], 'A', &[], "careful")).await),
        ProblemCode::WrongState
    );
    sound(&ledger).await;
}
