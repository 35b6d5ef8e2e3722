//! What people with accounts do, command by command; [`people_happen`](crate::people_happen) does all of it in order.

use sealpost_keys::{Token, TokenDigest};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_site::changes::Actor;
use sealpost_site::commands::accounts::{AddAccount, ConfirmToken, DisableAccount, EnableAccount};
use sealpost_site::commands::approvals::DeferRelease;
use sealpost_site::commands::releases::ApproveRelease;
use sealpost_site::commands::settings::ChangeSettings;
use sealpost_site::commands::tokens::{MakeTokens, NewToken, Origin, RenewToken};
use sealpost_site::rules::account::{Account, TokenId};
use sealpost_site::rules::approvals::people::AccountName;
use sealpost_site::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind};

use super::{DAY, World, admin};

fn account(name: &str) -> AccountName {
    AccountName::new(name).unwrap()
}

fn digest(letter: char) -> TokenDigest {
    format!("{}A", letter.to_string().repeat(42)).parse::<Token>().unwrap().digest()
}

/// The id of a token that a letter stands for.
#[must_use]
pub fn token_id(letter: char) -> TokenId {
    TokenId::of(&digest(letter))
}

/// Whoever comes with such a token.
#[must_use]
pub fn holder(letter: char) -> Actor {
    Actor::Admin { account: Account::token(letter, token_id(letter)) }
}

/// An admin at the server adds an account.
#[must_use]
pub fn add(name: &str) -> AddAccount {
    AddAccount { actor: admin(), account: account(name), comment: "a desk".to_owned(), confirms: None }
}

/// An admin at the server disables an account.
#[must_use]
pub fn disable(name: &str) -> DisableAccount {
    DisableAccount { actor: admin(), account: account(name), comment: "left".to_owned() }
}

/// An admin at the server enables an account.
#[must_use]
pub fn enable(name: &str) -> EnableAccount {
    let comment = "is back".to_owned();
    EnableAccount { actor: admin(), account: account(name), comment, confirms: None }
}

/// An admin at the server makes a token of an account.
#[must_use]
pub fn make(name: &str, letter: char) -> MakeTokens {
    let (named, account) = (format!("{name}-{letter}"), Some(account(name)));
    let tokens = vec![NewToken { name: named, digest: digest(letter), ends_at: None, account }];
    MakeTokens { actor: admin(), tokens, origin: Origin::Made }
}

/// Its owner renews it.
#[must_use]
pub fn renew(before: char, letter: char) -> RenewToken {
    let (name, digest) = (format!("token {before}"), digest(letter));
    RenewToken { actor: holder(before), before: token_id(before), name, digest, ends_at: None }
}

/// Somebody lets a token be one of its account.
#[must_use]
pub fn confirm(by: char, letter: char) -> ConfirmToken {
    ConfirmToken { actor: holder(by), token: token_id(letter), comment: String::new(), confirms: None }
}

/// An admin at the server wants two people for everything.
#[must_use]
pub fn two_are_needed() -> ChangeSettings {
    let key = SettingKey { kind: SettingKind::Approval, name: "all".to_owned() };
    let value = Some(r#"{"needs":"two"}"#.parse().unwrap());
    let (actor, comment) = (admin(), "in May".to_owned());
    let changes = vec![SettingChange { key, value }];
    ChangeSettings { actor, changes, comment, expected: None, confirms: None }
}

impl World {
    /// Somebody with a token approves a release.
    #[must_use]
    pub fn approve_by(&self, letter: char, manifest: Sha256Digest) -> ApproveRelease {
        ApproveRelease { actor: holder(letter), ..self.approve(manifest) }
    }

    /// An admin puts a decision off.
    #[must_use]
    pub fn defer(&self, manifest: Sha256Digest, days: i64) -> DeferRelease {
        let (until, comment) = (self.at(days * DAY), "the exam week".to_owned());
        DeferRelease { actor: admin(), manifest, until, comment }
    }
}

/// Accounts, their tokens, a rule that needs two people, and releases of which one is approved by two, one waits for the second
/// and one is put off; and further tokens, of which one is confirmed. `$run!` carries a command out.
#[macro_export]
macro_rules! people_happen {
    ($world:expr, $run:ident, $day:expr) => {{
        use $crate::world::people;
        for name in ["anna", "ben", "carl"] {
            $run!(people::add(name));
        }
        for (name, given, own) in [("anna", 'B', 'C'), ("ben", 'D', 'E')] {
            $run!(people::make(name, given));
            $run!(people::renew(given, own));
        }
        $run!(people::disable("carl"));
        $run!(people::enable("carl"));
        $run!(people::two_are_needed());
        $run!(people::make("ben", 'F'));
        $run!(people::confirm('C', 'F'));
        $run!(people::make("anna", 'G'));
        $run!(people::disable("carl"));
        let releases = [901, 902, 903].map(|counter| $world.staged("acme-av", counter, &["stable"]));
        for release in releases.clone() {
            $run!(release);
        }
        let [both, one, later] = releases.map(|release| release.manifest);
        $run!($world.approve_by('C', both));
        $run!($world.approve_by('E', both));
        $run!($world.approve_by('E', one));
        $run!($world.defer(later, $day));
    }};
}
