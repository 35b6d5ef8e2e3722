//! Whose eyes somebody's are, and who counts as second eyes.

use jiff::SignedDuration;
use sealpost_keys::Token;

use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn name(text: &str) -> AccountName {
    AccountName::new(text).unwrap()
}

fn token_id(seed: u8) -> TokenId {
    let text = format!("{}A", char::from(b'A' + seed).to_string().repeat(42));
    TokenId::of(&text.parse::<Token>().unwrap().digest())
}

fn person(enabled: bool) -> Person {
    Person { enabled, at: NOW, by: Actor::socket("root"), comment: String::new() }
}

fn owned(account: &str, standing: Standing, ends_at: Option<Timestamp>) -> OwnedToken {
    OwnedToken { account: name(account), name: format!("{account}-laptop"), standing, ends_at }
}

fn with(id: &TokenId) -> Actor {
    Actor::Admin { account: Account::token("whatever", id.clone()) }
}

#[test]
fn only_an_enabled_account_with_a_good_token_of_its_own_is_second_eyes() {
    let later = NOW + SignedDuration::from_secs(1);
    #[rustfmt::skip]
    let table = [
        (owned("anna", Standing::Own, None), true, None),
        (owned("anna", Standing::Own, Some(later)), true, None),
        (owned("anna", Standing::Own, Some(NOW)), true, Some(NotSecond::Ended(name("anna")))),
        (owned("anna", Standing::Given, None), true, Some(NotSecond::Given(name("anna")))),
        (owned("anna", Standing::Revoked, None), true, Some(NotSecond::Revoked(name("anna")))),
        (owned("anna", Standing::Unconfirmed, None), true, Some(NotSecond::Unconfirmed(name("anna")))),
        (owned("anna", Standing::Own, None), false, Some(NotSecond::Disabled(name("anna")))),
    ];
    for (token, enabled, why_not) in table {
        let people = People {
            accounts: [(name("anna"), person(enabled))].into(),
            tokens: [(token_id(0), token.clone())].into(),
        };
        let expected = why_not.map_or_else(|| Ok(name("anna")), Err);
        assert_eq!(people.second(&with(&token_id(0)), NOW), expected, "{token:?} {enabled}");
        assert_eq!(people.who_can_be_second(NOW).len(), usize::from(expected.is_ok()), "{token:?} {enabled}");
        // Whatever it counts for, its eyes are those of its account.
        assert_eq!(people.eyes(&with(&token_id(0))), Some(Eyes::Of(name("anna"))));
    }
}

#[test]
fn the_socket_and_tokens_of_no_account_are_one_account_that_is_never_second() {
    let people = People {
        accounts: [(name("anna"), person(true))].into(),
        tokens: [(token_id(0), owned("anna", Standing::Own, None))].into(),
    };
    // One that no account ever had.
    let nobodys = with(&token_id(1));
    for actor in [Actor::socket("root"), Actor::socket("sealpost"), Actor::token("anna"), nobodys] {
        assert_eq!(people.eyes(&actor), Some(Eyes::Local), "{actor:?}");
        assert_eq!(people.second(&actor, NOW), Err(NotSecond::Local), "{actor:?}");
    }
    for actor in [Actor::Server, Actor::Stranger { source: "192.0.2.1".to_owned() }] {
        assert_eq!(people.eyes(&actor), None, "{actor:?}");
        assert_eq!(people.second(&actor, NOW), Err(NotSecond::Local), "{actor:?}");
    }
}

#[test]
fn a_token_whose_account_is_in_no_table_is_refused_as_of_a_disabled_one() {
    let people = People {
        accounts: BTreeMap::new(),
        tokens: [(token_id(0), owned("anna", Standing::Own, None))].into(),
    };
    assert_eq!(people.second(&with(&token_id(0)), NOW), Err(NotSecond::Disabled(name("anna"))));
}

#[test]
fn names_that_look_alike_or_mean_the_socket_are_no_names_of_accounts() {
    for good in ["anna", "anna@example.com", "a", &"a".repeat(64)] {
        assert!(AccountName::new(good).is_ok(), "{good}");
    }
    for bad in ["", LOCAL, "Anna", "änna", "anna b", "anna/b", "anna\n", &"a".repeat(65)] {
        assert!(AccountName::new(bad).is_err(), "{bad:?}");
        assert!(serde_json::from_value::<AccountName>(bad.into()).is_err(), "{bad:?}");
    }
}
