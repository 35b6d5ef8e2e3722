//! Withdrawing a version, and how it is shown from then on.

use sealpost_publisher::lint::lint;
use sealpost_publisher::release::{
    ReleaseError, Withdrawal, WithdrawnNow, list_releases, show_release, withdraw,
};
use sealpost_test_support::names::{channel, package};

use crate::process::{Bench, strs};
use crate::support::{Home, now};

fn take_back(home: &Home, version: &str, reason: &str) -> Result<WithdrawnNow, ReleaseError> {
    let (vendor, keyring) = (home.vendor(), home.keyring());
    let (package, version) = (package("acme-av"), version.parse().unwrap());
    let withdrawal = Withdrawal { package: &package, version: &version, platforms: &[], reason };
    withdraw(&vendor, &keyring, withdrawal, now(), || {})
}

#[tokio::test]
async fn a_withdrawn_version_is_offered_by_no_channel_and_stays_withdrawn() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    home.release("acme-av", "2.0", "two").unwrap();
    let withdrawn = take_back(&home, "2.0", " deletes files ").unwrap();
    assert_eq!((withdrawn.reason.as_str(), withdrawn.platforms.len()), ("deletes files", 1));
    assert_eq!(withdrawn.channels, [channel("stable")]);

    let seen = home.read().await.unwrap();
    let channels = &seen.channels[&package("acme-av")];
    assert!(channels.channels.is_empty());
    assert_eq!(channels.withdrawn_everywhere(&"2.0".parse().unwrap()), Some("deletes files"));
    assert_eq!(channels.signed_at, now());
    assert_eq!(seen.releases.len(), 2, "what was released stays published");
    let report = lint(&home.repository(), &home.root(), None, now()).await.unwrap();
    assert!(report.is_sound(), "{report:?}");

    let set = |version: &str| home.set_channel("acme-av", "stable", version, now());
    assert!(set("2.0").unwrap_err().to_string().contains("withdrawn"));
    set("1.0").unwrap();
    assert!(home.release("acme-av", "2.0", "two").unwrap_err().to_string().contains("withdrawn"));
}

#[tokio::test]
async fn what_cannot_be_withdrawn_is_refused_and_nothing_changes() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    take_back(&home, "1.0", "first reason").unwrap();
    let before = home.read().await.unwrap();
    for (version, reason, words) in [
        ("3.0", "why", "`publisher releases list acme-av`"),
        ("1.0", "another reason", "first reason"),
        ("1.0", " ", "one line"),
        ("1.0", "two\nlines", "one line"),
        ("1.0", &"x".repeat(501), "one line"),
    ] {
        let error = take_back(&home, version, reason).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(home.read().await.unwrap(), before);
}

#[test]
fn releases_are_listed_with_their_channels_and_what_was_withdrawn() {
    let home = Home::new();
    for version in ["1.0", "2.0"] {
        home.release("acme-av", version, version).unwrap();
    }
    take_back(&home, "1.0", "old").unwrap();
    let all = list_releases(&home.vendor(), &[]).unwrap();
    let seen: Vec<_> = all
        .iter()
        .map(|entry| (entry.release.version.as_str(), entry.channels.len(), entry.withdrawn.as_deref()))
        .collect();
    assert_eq!(seen, [("2.0", 1, None), ("1.0", 0, Some("old"))]);
    assert!(all.iter().all(|entry| entry.trusted && !entry.below_minimum && entry.payload_bytes > 0));
    let shown = show_release(&home.vendor(), &package("acme-av"), &"1.0".parse().unwrap()).unwrap();
    assert_eq!(shown[0].manifest.notes, "news");
    let absent = show_release(&home.vendor(), &package("acme-av"), &"9".parse().unwrap());
    assert!(matches!(absent, Err(ReleaseError::NoSuchVersion { .. })));
}

#[test]
fn the_program_withdraws_and_shows_it_everywhere() {
    let bench = Bench::ready();
    bench.ok(&strs(&bench.release("1.0")));
    let output = bench.run(&["withdraw", "acme-av", "1.0", "--reason", "loses logs", "--json"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && said.contains("`publisher channel set acme-av stable VERSION`"),
        "{said}"
    );
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["channels"][0], "stable");
    for command in [
        ["releases", "list"].as_slice(),
        &["releases", "show", "acme-av", "1.0"],
        &["channel", "list"],
        &["channel", "show"],
    ] {
        let said = bench.ok(command);
        assert!(said.contains("withdrawn") && said.contains("loses logs"), "{command:?}: {said}");
        let json: serde_json::Value =
            serde_json::from_str(&bench.ok(&[command, ["--json"].as_slice()].concat())).unwrap();
        assert!(json.to_string().contains("loses logs"), "{command:?}: {json}");
    }
    bench.fails(&["withdraw", "nosuch", "1.0", "--reason", "x"], &["no package nosuch"]);
    bench.fails(&["releases", "show", "acme-av", "7"], &["was not released"]);
}

#[tokio::test]
async fn a_version_can_be_withdrawn_on_one_platform_and_stays_offered_on_the_others() {
    let home = Home::new();
    let release = |platform: &str| {
        let mut order = home.order("acme-av", "1.0", platform);
        order.release.platform = platform.parse().unwrap();
        home.publish(&order).unwrap().release
    };
    let (arm, intel) = (release("linux-aarch64"), release("linux-x86_64"));
    let take_back = |platforms: &[&str], reason: &str| {
        let (vendor, keyring) = (home.vendor(), home.keyring());
        let platforms: Vec<_> = platforms.iter().map(|platform| platform.parse().unwrap()).collect();
        let withdrawal =
            Withdrawal { package: &arm.package, version: &arm.version, platforms: &platforms, reason };
        withdraw(&vendor, &keyring, withdrawal, now(), || {})
    };
    let error = take_back(&["linux-arm"], "x").unwrap_err().to_string();
    assert!(error.contains("not released for linux-arm, but for"), "{error}");
    assert!(take_back(&["linux-aarch64"], "does not start").unwrap().channels.is_empty());
    let seen = home.read().await.unwrap();
    let channels = &seen.channels[&package("acme-av")];
    assert_eq!(channels.withdrawn_reason(&arm), Some("does not start"));
    assert_eq!((channels.withdrawn_reason(&intel), channels.channels.len()), (None, 1));
    assert!(lint(&home.repository(), &home.root(), None, now()).await.unwrap().is_sound());
    assert!(take_back(&["linux-aarch64"], "again").unwrap_err().to_string().contains("does not start"));

    // On the last platform it is on no channel any more; on all, also of platforms that may come.
    assert_eq!(take_back(&["linux-x86_64"], "nor here").unwrap().channels, [channel("stable")]);
    take_back(&[], "everywhere").unwrap();
    assert!(take_back(&[], "again").is_err());
}

#[test]
fn a_channel_that_a_withdrawal_emptied_is_warned_of_with_the_command_and_listed_as_empty() {
    let bench = Bench::ready();
    bench.ok(&strs(&bench.release("1.0")));
    bench.ok(&["withdraw", "acme-av", "1.0", "--reason", "deletes files"]);
    let said = bench.ok(&["status"]);
    assert!(said.contains("warning: the channel stable of acme-av points at nothing"), "{said}");
    assert!(said.contains("`publisher channel set acme-av stable VERSION`"), "{said}");
    assert!(!said.contains("nothing is to be done"), "{said}");
    let listed = bench.ok(&["channel", "list"]);
    let words: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["PACKAGE", "CHANNEL", "VERSION", "STATE"]);
    assert_eq!(words[1][..4], ["acme-av", "stable", "-", "empty:"]);
    assert_eq!(words[2], ["acme-av", "-", "1.0", "withdrawn:", "deletes", "files"]);
}
