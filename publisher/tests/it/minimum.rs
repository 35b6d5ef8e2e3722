//! The minimum counter: what is offered is never below it, and nothing below it is offered again.

use sealpost_manifests::version::ReleaseCounter;
use sealpost_publisher::release::{Minimum, MinimumSet, ReleaseError, set_minimum};
use sealpost_test_support::clock::days;
use sealpost_test_support::names::{channel, package, version};

use crate::support::{Home, now};

fn minimum(home: &Home, wanted: Minimum) -> Result<MinimumSet, ReleaseError> {
    set_minimum(&home.vendor(), &home.keyring(), &package("acme-av"), &wanted, now() + days(1), || {})
}

#[tokio::test]
async fn a_minimum_is_published_with_the_time_and_sites_see_what_it_keeps_out() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    home.release("acme-av", "1.1", "two").unwrap();
    let set = minimum(&home, Minimum::Version(version("1.1"))).unwrap();
    assert_eq!((set.before, set.minimum_counter), (None, Some(ReleaseCounter(2))));
    let seen = home.read().await.unwrap();
    let channels = &seen.channels[&package("acme-av")];
    assert!(channels.is_below_minimum(ReleaseCounter(1)) && !channels.is_below_minimum(ReleaseCounter(2)));
    assert_eq!(channels.signed_at, now() + days(1));
    // The same again says nothing new.
    let again = set_minimum(
        &home.vendor(),
        &home.keyring(),
        &package("acme-av"),
        &Minimum::Counter(ReleaseCounter(2)),
        now() + days(2),
        || {},
    );
    assert_eq!(again.unwrap().before, Some(ReleaseCounter(2)));
    assert_eq!(home.read().await.unwrap().channels[&package("acme-av")].signed_at, now() + days(1));
    assert_eq!(minimum(&home, Minimum::None).unwrap().minimum_counter, None);
}

#[tokio::test]
async fn what_a_channel_offers_is_never_below_the_minimum_and_nothing_below_it_is_offered_again() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    let mut order = home.order("acme-av", "1.1", "two");
    order.channels = vec![channel("early")];
    home.publish(&order).unwrap();
    let before = home.read().await.unwrap();
    let refused = minimum(&home, Minimum::Version(version("1.1"))).unwrap_err().to_string();
    assert!(
        refused.contains("channel stable offers acme-av 1.0") && refused.contains("counter 1"),
        "{refused}"
    );
    for wanted in [Minimum::Version(version("9.9")), Minimum::Counter(ReleaseCounter(u64::MAX))] {
        minimum(&home, wanted).unwrap_err();
    }
    assert_eq!(home.read().await.unwrap(), before);

    let set = |to: &str| home.set_channel("acme-av", "stable", to, now());
    set("1.1").unwrap();
    minimum(&home, Minimum::Version(version("1.1"))).unwrap();
    let before = home.read().await.unwrap();
    let refused = set("1.0").unwrap_err().to_string();
    assert!(refused.contains("publisher channel minimum"), "{refused}");
    // Also not by releasing the same version again.
    let refused = home.release("acme-av", "1.0", "one").unwrap_err().to_string();
    assert!(refused.contains("publisher channel minimum acme-av"), "{refused}");
    assert_eq!(home.read().await.unwrap(), before);
    home.release("acme-av", "1.2", "three").unwrap();
}
