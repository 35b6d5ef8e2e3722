//! What is done, what waits and what is refused: one table of who asks after whom, and the attacks.

use sealpost_keys::Token;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, PackageName, Platform};
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::version::Version;
use sealpost_manifests::word::Word;

use super::*;
use crate::rules::account::TokenId;
use crate::rules::approvals::people::{AccountName, OwnedToken, People, Person, Standing};
use crate::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind, Settings};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn name(text: &str) -> AccountName {
    AccountName::new(text).unwrap()
}

fn id(letter: char) -> TokenId {
    TokenId::of(&format!("{}A", letter.to_string().repeat(42)).parse::<Token>().unwrap().digest())
}

/// An admin with a token that a letter stands for.
fn by(letter: char) -> Actor {
    Actor::Admin { account: Account::token(letter, id(letter)) }
}

fn root() -> Actor {
    Actor::socket("root")
}

/// Anna has the tokens `A` and `B` of her own and `G`, which was given to her; ben has `X`; carl is disabled and has `C`.
fn people() -> People {
    let person = |enabled| Person { enabled, at: NOW, by: root(), comment: String::new() };
    let owned = |account: &str, standing| OwnedToken {
        account: name(account),
        name: account.to_owned(),
        standing,
        ends_at: None,
    };
    People {
        accounts: [(name("anna"), person(true)), (name("ben"), person(true)), (name("carl"), person(false))]
            .into(),
        tokens: [
            (id('A'), owned("anna", Standing::Own)),
            (id('B'), owned("anna", Standing::Own)),
            (id('G'), owned("anna", Standing::Given)),
            (id('X'), owned("ben", Standing::Own)),
            (id('Y'), owned("ben", Standing::Given)),
            (id('C'), owned("carl", Standing::Own)),
            (id('R'), owned("anna", Standing::Revoked)),
        ]
        .into(),
    }
}

fn approve(strategy: &str, manifest: &[u8]) -> Proposed {
    let strategy = Word::new(strategy).unwrap();
    Proposed::ApproveRelease {
        release: ReleaseId {
            package: PackageName::new("acme-av").unwrap(),
            version: Version::new("1.0").unwrap(),
            platform: Platform::any(),
        },
        manifest: Sha256Digest::of(manifest),
        channels: vec![ChannelName::new("stable").unwrap()],
        strategy,
        plan: Settings::default().strategy(&strategy).unwrap(),
        emergency: false,
    }
}

fn careful() -> Proposed {
    approve("careful", b"one")
}

fn proposal(number: u64, what: Proposed, by: Actor, people: &People) -> Proposal {
    let eyes = people.eyes(&by).unwrap();
    let expires_at = NOW + OPEN_FOR;
    Proposal { number, what, by, eyes, at: NOW, expires_at, comment: "first".to_owned() }
}

fn waiting(what: Proposed, first: Actor) -> Approvals {
    let people = people();
    let proposals = [(7, proposal(7, what, first, &people))].into();
    Approvals { people, proposals, ..Approvals::default() }
}

fn ask(approvals: &Approvals, actor: &Actor, what: &Proposed, needs: Needs) -> Door {
    Asked { approvals, actor, what, needs, confirms: None, now: NOW }.decide()
}

/// What is told of a door in one word.
fn word(door: &Door) -> &'static str {
    match door {
        Door::Goes(_) => "goes",
        Door::Waits { .. } => "waits",
        Door::WaitsAlready { .. } => "waits already",
        Door::Refused(Refusal::NotSecond { why, .. }) => match why {
            NotSecond::Local => "not second: local",
            NotSecond::Given(_) => "not second: given",
            NotSecond::Unconfirmed(_) => "not second: unconfirmed",
            NotSecond::Disabled(_) => "not second: disabled",
            NotSecond::Ended(_) => "not second: ended",
            NotSecond::Revoked(_) => "not second: revoked",
        },
        Door::Refused(Refusal::Disabled(_)) => "disabled",
        Door::Refused(Refusal::Revoked(_)) => "revoked",
        Door::Refused(Refusal::NoAccount) => "no account",
        Door::Refused(Refusal::OtherRequest { .. }) => "other request",
        Door::Refused(_) => "refused",
    }
}

#[test]
fn two_pairs_of_eyes_are_two_accounts_whatever_tokens_they_come_with() {
    let service = Actor::socket("sealpost");
    #[rustfmt::skip]
    let table: [(Actor, Actor, &str); 16] = [
        (by('A'), by('X'), "goes"), (by('X'), by('A'), "goes"), (root(), by('A'), "goes"),
        (by('G'), by('X'), "goes"),
        // The same account by two tokens.
        (by('A'), by('A'), "waits already"), (by('A'), by('B'), "waits already"), (by('G'), by('A'), "waits already"),
        // Whoever sits at the server is one account, and never second.
        (root(), service.clone(), "waits already"), (by('A'), root(), "not second: local"),
        (by('A'), service, "not second: local"), (by('A'), Actor::token("ci"), "not second: local"),
        // A token that was made over the socket.
        (by('A'), by('Y'), "not second: given"),
        // What was sent with a token before it was revoked is none of another person's.
        (by('A'), by('R'), "revoked"), (by('X'), by('R'), "revoked"),
        // A disabled account does nothing, and stands behind nothing.
        (by('A'), by('C'), "disabled"), (by('C'), by('A'), "waits"),
    ];
    for (first, second, expected) in table {
        let approvals = waiting(careful(), first.clone());
        let door = ask(&approvals, &second, &careful(), Needs::Two);
        assert_eq!(word(&door), expected, "{first:?} then {second:?}: {door:?}");
    }
}

#[test]
fn nobody_begins_with_a_token_of_no_account_or_one_that_was_revoked() {
    let approvals = Approvals { people: people(), ..Approvals::default() };
    for (actor, expected) in [
        (by('A'), "waits"),
        (by('G'), "waits"),
        (root(), "waits"),
        (by('R'), "revoked"),
        (by('Z'), "no account"),
        (Actor::token("ci"), "no account"),
    ] {
        assert_eq!(word(&ask(&approvals, &actor, &careful(), Needs::Two)), expected, "{actor:?}");
    }
}

#[test]
fn what_the_second_agrees_to_is_what_the_first_asked_for() {
    let approvals = waiting(careful(), by('A'));
    let mut emergency = careful();
    if let Proposed::ApproveRelease { emergency, .. } = &mut emergency {
        *emergency = true;
    }
    let mut elsewhere = careful();
    if let Proposed::ApproveRelease { channels, .. } = &mut elsewhere {
        channels.push(ChannelName::new("beta").unwrap());
    }
    // The strategy has the same name, and is another one by now.
    let mut edited = careful();
    if let Proposed::ApproveRelease { plan, .. } = &mut edited {
        *plan = Settings::default().strategy(&Word::new("everyone-now").unwrap()).unwrap();
    }
    for other in [approve("normal", b"one"), emergency, elsewhere, edited] {
        let door = ask(&approvals, &by('X'), &other, Needs::Two);
        assert_eq!(word(&door), "other request", "{other}");
        // Confirmed by its number, it would have to be what was asked for then.
        let confirms = Some(7);
        let ben = by('X');
        let asked = Asked { confirms, ..asked(&approvals, &ben, &other) };
        assert_eq!(asked.decide(), Door::Refused(Refusal::ChangedSince(7)));
        // Who asked first may ask for something else instead: that waits anew.
        let door = ask(&approvals, &by('B'), &other, Needs::Two);
        let Door::Waits { ends, .. } = &door else { panic!("{door:?}") };
        assert_eq!(ends, &[(7, Ending::Replaced)]);
    }
    // Published again under another digest it is another release, and nobody has approved it.
    let door = ask(&approvals, &by('X'), &approve("careful", b"two"), Needs::Two);
    assert_eq!(door, Door::Waits { eyes: Eyes::Of(name("ben")), expires_at: NOW + OPEN_FOR, ends: vec![] });
}

fn asked<'a>(approvals: &'a Approvals, actor: &'a Actor, what: &'a Proposed) -> Asked<'a> {
    Asked { approvals, actor, what, needs: Needs::Two, confirms: None, now: NOW }
}

#[test]
fn who_agreed_is_named_in_order_and_the_first_ones_words_stay() {
    let approvals = waiting(careful(), by('A'));
    let door = ask(&approvals, &by('X'), &careful(), Needs::Two);
    let account = |letter| Account::token(letter, id(letter));
    assert_eq!(
        door,
        Door::Goes(Behind {
            accounts: vec![account('A'), account('X')],
            comment: Some("first".to_owned()),
            ends: vec![(7, Ending::Confirmed)],
        })
    );
    let alone =
        ask(&Approvals { people: people(), ..Approvals::default() }, &by('A'), &careful(), Needs::One);
    assert_eq!(alone, Door::Goes(Behind { accounts: vec![account('A')], ..Behind::default() }));
    // A rule that was switched off meanwhile: whoever decides now ends what waits.
    let door = ask(&approvals, &by('X'), &approve("normal", b"one"), Needs::One);
    let Door::Goes(behind) = &door else { panic!("{door:?}") };
    assert_eq!(behind.ends, [(7, Ending::Replaced)]);
}

#[test]
fn a_proposal_ends_by_itself_and_then_the_second_is_the_first() {
    let approvals = waiting(careful(), by('A'));
    let what = careful();
    let at = |now| Asked { now, ..asked(&approvals, &by('X'), &what) }.decide();
    assert_eq!(word(&at(NOW + OPEN_FOR - SignedDuration::from_nanos(1))), "goes");
    let late = at(NOW + OPEN_FOR);
    let Door::Waits { ends, .. } = &late else { panic!("{late:?}") };
    assert_eq!(ends, &[(7, Ending::Expired)]);
    let ben = by('X');
    let late = Asked { now: NOW + OPEN_FOR, confirms: Some(7), ..asked(&approvals, &ben, &what) };
    assert_eq!(late.decide(), Door::Refused(Refusal::NoSuchProposal(7)));
}

#[test]
fn who_proposed_does_not_confirm_and_a_server_asks_for_nothing_that_needs_two() {
    let approvals = waiting(careful(), by('A'));
    let what = careful();
    for actor in [by('A'), by('B'), by('G')] {
        let asked = Asked { confirms: Some(7), ..asked(&approvals, &actor, &what) };
        let eyes = Eyes::Of(name("anna"));
        assert_eq!(asked.decide(), Door::Refused(Refusal::SameEyes { number: 7, eyes }));
    }
    let door = ask(&approvals, &Actor::Server, &what, Needs::Two);
    assert_eq!(door, Door::Refused(Refusal::NobodyAsks));
    assert_eq!(ask(&approvals, &Actor::Server, &what, Needs::One), Door::Goes(Behind::default()));
}

#[test]
fn alone_goes_only_local_only_for_the_rules_only_late_and_only_when_nobody_is_left() {
    let rules = Proposed::EnableAccount { account: name("carl") };
    let late = NOW + ALONE_AFTER;
    let early = late - SignedDuration::from_nanos(1);
    let nobody = People {
        tokens: people().tokens.into_iter().filter(|(_, token)| token.standing != Standing::Own).collect(),
        ..people()
    };
    #[rustfmt::skip]
    let table = [
        (rules.clone(), root(), nobody.clone(), late, "goes"),
        (rules.clone(), root(), nobody.clone(), early, "waits already"),
        (rules.clone(), root(), people(), late, "waits already"),
        (rules, by('G'), nobody.clone(), late, "waits already"),
        (careful(), root(), nobody, late, "waits already"),
    ];
    for (what, actor, people, now, expected) in table {
        let proposals = [(7, proposal(7, what.clone(), actor.clone(), &people))].into();
        let approvals = Approvals { people, proposals, ..Approvals::default() };
        let door = Asked { now, ..asked(&approvals, &actor, &what) }.decide();
        assert_eq!(word(&door), expected, "{what} at {now}: {door:?}");
        if let Door::Goes(behind) = door {
            assert_eq!(behind.ends, [(7, Ending::Unopposed)]);
        }
    }
}

#[test]
fn what_waits_is_bounded_in_number_and_size_and_what_has_expired_makes_room() {
    let people = people();
    let manifest = |number: usize| number.to_string().into_bytes();
    let one = |number: usize| {
        let what = approve("careful", &manifest(number));
        (number as u64, proposal(number as u64, what, by('A'), &people))
    };
    let proposals = (1..=MAX_OPEN).map(one).collect();
    let full = Approvals { people: people.clone(), proposals, ..Approvals::default() };
    let what = approve("careful", b"another");
    assert_eq!(asked(&full, &by('X'), &what).decide(), Door::Refused(Refusal::TooMany));
    let later = Asked { now: NOW + OPEN_FOR, ..asked(&full, &by('X'), &what) }.decide();
    let Door::Waits { ends, .. } = &later else { panic!("{later:?}") };
    assert_eq!(ends.len(), MAX_OPEN);

    let of = |bytes: usize| {
        let key = SettingKey { kind: SettingKind::Group, name: "g".to_owned() };
        let changes = vec![SettingChange { key, value: Some("x".repeat(bytes).into()) }];
        Proposed::ChangeSettings { changes, members: Vec::new(), state: None, replaces: None }
    };
    let frame = serde_json::to_vec(&of(0)).unwrap().len();
    let empty = Approvals { people, ..Approvals::default() };
    assert_eq!(word(&asked(&empty, &by('A'), &of(MAX_BYTES - frame)).decide()), "waits");
    let long = asked(&empty, &by('A'), &of(MAX_BYTES - frame + 1)).decide();
    assert_eq!(long, Door::Refused(Refusal::TooLong(MAX_BYTES + 1)));
}
