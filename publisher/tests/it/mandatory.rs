//! Mandatory versions: what computers pass through, and what they cannot.

use sealpost_publisher::release::{
    Mandatory, MandatorySet, Minimum, ReleaseError, Withdrawal, set_mandatory, set_minimum, withdraw,
};
use sealpost_test_support::clock::days;
use sealpost_test_support::names::{package, version};

use crate::support::{Home, now};

fn mark(home: &Home, number: &str, wanted: Mandatory) -> Result<MandatorySet, ReleaseError> {
    let (package, version) = (package("acme-av"), version(number));
    set_mandatory(&home.vendor(), &home.keyring(), &package, &version, wanted, now() + days(1), || {})
}

async fn mandatory(home: &Home) -> Vec<String> {
    let seen = home.read().await.unwrap();
    seen.channels[&package("acme-av")].mandatory.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_version_is_marked_also_later_and_sites_see_it_in_the_order_of_the_counters() {
    let home = Home::new();
    for (number, content) in [("1.0", "one"), ("1.1", "two"), ("1.2", "three")] {
        home.release("acme-av", number, content).unwrap();
    }
    let set = mark(&home, "1.2", Mandatory::Pass).unwrap();
    assert!(set.changed && set.later.is_empty(), "{set:?}");
    let later = mark(&home, "1.1", Mandatory::Pass).unwrap();
    assert_eq!(later.later, ["stable"], "who runs 1.2 stays with it");
    assert_eq!(mandatory(&home).await, ["1.1", "1.2"]);
    let seen = home.read().await.unwrap();
    let again = mark(&home, "1.1", Mandatory::Pass).unwrap();
    assert!(!again.changed && again.mandatory.len() == 2);
    assert_eq!(home.read().await.unwrap(), seen, "the same again says nothing new");
    assert!(mark(&home, "1.2", Mandatory::Ordinary).unwrap().changed);
    assert_eq!(mandatory(&home).await, ["1.1"]);
    assert!(!mark(&home, "1.2", Mandatory::Ordinary).unwrap().changed);
}

#[tokio::test]
async fn what_nobody_can_install_is_not_made_mandatory() {
    let home = Home::new();
    for (number, content) in [("1.0", "one"), ("1.1", "two"), ("1.2", "three")] {
        home.release("acme-av", number, content).unwrap();
    }
    let minimum = Minimum::Version(version("1.1"));
    set_minimum(&home.vendor(), &home.keyring(), &package("acme-av"), &minimum, now(), || {}).unwrap();
    let withdrawal = Withdrawal {
        package: &package("acme-av"),
        version: &version("1.1"),
        platforms: &[],
        reason: "loses logs",
    };
    withdraw(&home.vendor(), &home.keyring(), withdrawal, now(), || {}).unwrap();
    let before = home.read().await.unwrap();
    for (number, why) in [
        ("9.9", "publisher releases list acme-av"),
        ("1.0", "publisher channel minimum"),
        ("1.1", "loses logs"),
    ] {
        let refused = mark(&home, number, Mandatory::Pass).unwrap_err().to_string();
        assert!(refused.contains(why), "{number}: {refused}");
    }
    let (vendor, keyring) = (home.vendor(), home.keyring());
    let other =
        set_mandatory(&vendor, &keyring, &package("no-such"), &version("1"), Mandatory::Pass, now(), || {});
    assert!(matches!(other, Err(ReleaseError::NoSuchPackage { .. })), "{other:?}");
    assert_eq!(home.read().await.unwrap(), before);
}
