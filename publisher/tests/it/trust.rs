//! The trust document: resets of counters, keys that retire, and whose releases still count.

use std::fs;

use sealpost_keys::SigningKey;
use sealpost_manifests::channels::Withdrawn;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, SignedDocument};
use sealpost_manifests::release::{Encoding, ReleaseManifest};
use sealpost_manifests::trust::{KeyStatus, KeyUse, TrustDocument, TrustedKey};
use sealpost_manifests::version::ReleaseCounter;
use sealpost_publisher::authority::{Authority, Issuer, Terms, verify_registration};
use sealpost_publisher::lint::{Level, lint};
use sealpost_publisher::publication::{Publication, Standing};
use sealpost_publisher::release::ReleaseError;
use sealpost_publisher::trust::{
    CounterWasReset, TrustError, reset_counter, retire_license_key, retire_release_key, set_contact,
};
use sealpost_repository::{RoleName, TargetSource};
use sealpost_test_support::clock::days;
use sealpost_test_support::names::{package, release_id, version};

use crate::support::{Home, now, put, register_request, registration};

fn reset(home: &Home, to: u64) -> Result<CounterWasReset, TrustError> {
    let (vendor, keyring) = (home.vendor(), home.keyring());
    reset_counter(&vendor, &keyring, &package("acme-av"), ReleaseCounter(to), now(), || {})
}

/// What a thief publishes who has every key of the package: release 1.0 again, under another version and counter.
fn publish_stolen(home: &Home, number: &str, counter: u64, key: &SigningKey) {
    let manifest = fs::read(home.target_file("acme-av_1.0_any.manifest")).unwrap();
    let mut manifest: ReleaseManifest = document::read(&manifest).unwrap();
    manifest.release = release_id(&package("acme-av"), number);
    manifest.counter = ReleaseCounter(counter);
    let signed = SignedDocument::sign(&manifest, key).unwrap();
    let payload = fs::read(home.target_file("acme-av_1.0_any.tar.gz")).unwrap();
    let id = &manifest.release;
    let parts = [
        (id.manifest_target().unwrap(), signed.document.into_bytes()),
        (id.minisig_target().unwrap(), signed.minisig.as_str().as_bytes().to_vec()),
        (id.payload_target(Encoding::Gzip).unwrap(), payload),
    ];
    home.sign_anyway(|editor| {
        for (name, bytes) in parts {
            let role = RoleName::Package(package("acme-av"));
            editor.put_target(&role, &name, TargetSource::Bytes(bytes)).unwrap();
        }
    });
}

/// As `publish_stolen`, with a second release key of the package, which the vendor then revokes.
fn revoked_thief(home: &Home, releases: &[(&str, u64)]) {
    let stolen = SigningKey::generate().unwrap();
    let mut trust = home.trust();
    let listed = trust.keys.iter().find(|key| key.key_use == KeyUse::Release).unwrap().clone();
    trust.keys.push(TrustedKey { key: stolen.public().to_base64(), ..listed });
    home.publish_trust(&trust);
    for (number, counter) in releases {
        publish_stolen(home, number, *counter, &stolen);
    }
    trust.keys.last_mut().unwrap().status = KeyStatus::Revoked;
    home.publish_trust(&trust);
}

fn withdraw(home: &Home, number: &str) {
    let mut channels =
        Publication::open(&home.vendor(), || {}).unwrap().channels(&package("acme-av")).unwrap();
    channels.withdrawn.push(Withdrawn {
        version: version(number),
        reason: "stolen".to_owned(),
        platforms: Vec::new(),
    });
    home.sign_anyway(|editor| {
        put(editor, &RoleName::Package(package("acme-av")), "acme-av.channels", &channels);
    });
}

#[tokio::test]
async fn after_a_stolen_key_used_the_highest_counter_a_reset_lets_the_vendor_go_on() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    home.release("acme-av", "1.1", "two").unwrap();
    revoked_thief(&home, &[("6.6", u64::MAX), ("6.7", 3)]);
    let refused = home.release("acme-av", "1.2", "three").unwrap_err();
    assert!(matches!(refused, ReleaseError::Refused { .. }));
    assert!(refused.to_string().contains("publisher trust reset-counter acme-av --to N"), "{refused}");

    let reset = reset(&home, 2).unwrap();
    // The thief has 3, and a counter is used once.
    assert_eq!(
        (reset.reset.number, reset.reset.counter, reset.next),
        (1, ReleaseCounter(2), ReleaseCounter(4))
    );
    let counters = ["1.2", "1.3"].map(|number| home.release("acme-av", number, number).unwrap().counter.0);
    assert_eq!(counters, [4, 5]);
    let trust = home.trust();
    assert_eq!(trust.counter_reset(&package("acme-av")), Some(&reset.reset));
    // What the thief signed is offered to nobody, whatever is asked for.
    let refused = home.release("acme-av", "6.6", "one").unwrap_err().to_string();
    assert!(refused.contains("no longer trusted"), "{refused}");
    let set = home.set_channel("acme-av", "x", "6.6", now());
    assert!(set.unwrap_err().to_string().contains("no longer trusted"));
}

#[test]
fn a_release_that_is_still_offered_is_never_above_a_reset() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    home.release("acme-av", "1.1", "two").unwrap();
    publish_stolen(&home, "6.6", u64::MAX, &home.keyring().release(&package("acme-av")).unwrap());
    let refused = reset(&home, 2).unwrap_err().to_string();
    assert!(refused.contains("acme-av 6.6") && refused.contains("not withdrawn"), "{refused}");
    withdraw(&home, "6.6");
    let refused = reset(&home, 1).unwrap_err().to_string();
    assert!(refused.contains("acme-av 1.1") && refused.contains("give --to 2 or more"), "{refused}");
    let refused = reset(&home, u64::MAX).unwrap_err().to_string();
    assert!(refused.contains("no counter left"), "{refused}");
    assert!(home.trust().counter_resets.is_empty());
    assert_eq!(reset(&home, 2).unwrap().next, ReleaseCounter(3));
    // A release that is withdrawn after the reset keeps its counter: the next one is above it all the same.
    home.release("acme-av", "1.2", "three").unwrap();
    home.release("acme-av", "1.3", "four").unwrap();
    withdraw(&home, "1.2");
    withdraw(&home, "1.3");
    assert_eq!(home.release("acme-av", "1.4", "five").unwrap().counter, ReleaseCounter(5));
    // The number rises by itself, and a site that missed the first reset finds both.
    assert_eq!(reset(&home, 5).unwrap().reset.number, 2);
    let numbers: Vec<u64> = home.trust().counter_resets.iter().map(|reset| reset.number).collect();
    assert_eq!(numbers, [1, 2]);
    let unknown =
        reset_counter(&home.vendor(), &home.keyring(), &package("ghost"), ReleaseCounter(1), now(), || {});
    assert!(unknown.unwrap_err().to_string().contains("no such package"));
}

#[test]
fn a_reset_below_the_minimum_counter_is_refused() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    let mut channels =
        Publication::open(&home.vendor(), || {}).unwrap().channels(&package("acme-av")).unwrap();
    // A thief who has the role key can say so.
    channels.minimum_counter = Some(ReleaseCounter(u64::MAX));
    home.sign_anyway(|editor| {
        put(editor, &RoleName::Package(package("acme-av")), "acme-av.channels", &channels);
    });
    let refused = reset(&home, 1).unwrap_err().to_string();
    assert!(refused.contains("publisher channel minimum acme-av --counter N"), "{refused}");
}

#[tokio::test]
async fn a_release_by_a_key_that_was_never_listed_still_stops_everything() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    publish_stolen(&home, "6.6", 9, &SigningKey::generate().unwrap());
    assert!(matches!(home.release("acme-av", "1.1", "two"), Err(ReleaseError::Publication(_))));
    assert!(matches!(reset(&home, 1), Err(TrustError::Publication(_))));
}

#[test]
fn a_retired_release_key_verifies_what_it_signed_and_what_stays_installable() {
    let home = Home::new();
    for number in ["1.0", "1.1", "1.2", "1.3"] {
        home.release("acme-av", number, number).unwrap();
    }
    withdraw(&home, "1.2");
    let key = home.keyring().release(&package("acme-av")).unwrap();
    let publication = Publication::open(&home.vendor(), || {}).unwrap();
    let mut trust = publication.trust().unwrap();
    let releases = publication.releases(&package("acme-av"), &trust).unwrap();
    let mut channels = publication.channels(&package("acme-av")).unwrap();
    channels.minimum_counter = Some(ReleaseCounter(2));
    drop(publication);
    retire_release_key(&mut trust, &key.public(), &releases, &channels).unwrap();
    let digest = |index: usize| releases[index].digest;
    let entry = trust.keys.iter().find(|key| key.key_use == KeyUse::Release).unwrap();
    assert_eq!(entry.status, KeyStatus::Retired);
    assert_eq!(entry.digests, [digest(1), digest(3)].into());
    let again = retire_release_key(&mut trust, &key.public(), &releases, &channels).unwrap_err();
    assert!(again.to_string().contains("publisher trust show"), "{again}");
    let other = SigningKey::generate().unwrap();
    assert!(retire_release_key(&mut trust, &other.public(), &releases, &channels).is_err());

    home.publish_trust(&trust);
    let publication = Publication::open(&home.vendor(), || {}).unwrap();
    let after = publication.releases(&package("acme-av"), &publication.trust().unwrap()).unwrap();
    let standing: Vec<_> = after.iter().map(|published| published.standing).collect();
    let (trusted, disowned) = (Standing::Trusted, Standing::Disowned);
    assert_eq!(standing, [disowned, trusted, disowned, trusted]);
    drop(publication);
    let refused = home.release("acme-av", "1.4", "five").unwrap_err();
    assert!(format!("{:#}", anyhow::Error::from(refused)).contains("is retired"));
}

#[test]
fn a_retired_license_key_verifies_the_grants_that_have_not_ended() {
    let home = Home::new();
    let key = home.keyring().license().unwrap();
    let mut authority = Authority::open(&home.vendor().license_database()).unwrap();
    let terms = Terms { seats: 1, model: "named".parse().unwrap(), packages: Vec::new() };
    let serial = authority.new_serial(&terms, now()).unwrap();
    let site = SigningKey::generate().unwrap();
    let zone = home.vendor().time_zone();
    let issuer = Issuer { vendor: "Acme", key: &key, grant_days: 366, time_zone: &zone };
    let mut register = |at| {
        let asked = register_request(&registration(&serial, &site), &site);
        authority.register(&verify_registration(&asked).unwrap(), &issuer, at).unwrap().grant.digest()
    };
    let (ended, live) = (register(now()), register(now() + days(400)));
    let mut trust = home.trust();
    let grants = authority.live_grants(&key.public(), now() + days(400)).unwrap();
    retire_license_key(&mut trust, &key.public(), grants).unwrap();
    assert_eq!(trust.license_keys(live), [key.public()]);
    assert!(trust.license_keys(ended).is_empty());
    assert!(trust.license_keys(Sha256Digest::of(b"new")).is_empty());
}

#[tokio::test]
async fn what_the_trust_document_says_is_signed_with_the_time_and_the_same_again_keeps_its_time() {
    let home = Home::new();
    assert_eq!(home.trust().signed_at, now());
    let (vendor, keyring) = (home.vendor(), home.keyring());
    let contact = Some(sealpost_manifests::trust::LicensingContact {
        mail: "licenses@acme.example".to_owned(),
        ..Default::default()
    });
    for (contact, at, signed_at) in
        [(contact.clone(), days(1), days(1)), (contact, days(2), days(1)), (None, days(3), days(3))]
    {
        let said = set_contact(&vendor, &keyring, contact.clone(), now() + at, || {}).unwrap();
        assert_eq!(said, home.trust(), "what is printed is what was published");
        assert_eq!(home.trust().signed_at, now() + signed_at);
        assert_eq!(home.read().await.unwrap().trust.licensing_contact, contact);
    }
}

#[tokio::test]
async fn lint_finds_what_sites_would_make_nothing_of() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    let trust = home.trust();
    let release = trust.keys.iter().find(|key| key.key_use == KeyUse::Release).unwrap().clone();
    type Change = fn(&mut TrustDocument, TrustedKey);
    let cases: &[(&str, Level, Change)] = &[
        ("is no key", Level::Defect, |trust, key| {
            trust.keys.push(TrustedKey { key: "nonsense".to_owned(), ..key });
        }),
        ("names a package, or none", Level::Defect, |trust, key| {
            trust.keys.push(TrustedKey { package: None, ..key });
        }),
        ("lists nothing that it still verifies", Level::Warning, |trust, key| {
            trust.keys.push(TrustedKey { status: KeyStatus::Retired, ..key });
        }),
        ("has the status frozen", Level::Defect, |trust, key| {
            trust.keys.push(TrustedKey { status: "frozen".parse().unwrap(), ..key });
        }),
        ("which this version does not know", Level::Warning, |trust, key| {
            trust.keys.push(TrustedKey { key_use: "brand".parse().unwrap(), ..key });
        }),
        ("with the number 7 stands behind", Level::Defect, |trust, _| {
            let reset = sealpost_manifests::trust::CounterReset {
                package: package("acme-av"),
                counter: ReleaseCounter(1),
                number: 7,
            };
            trust.counter_resets = vec![reset.clone(), reset];
        }),
        ("publisher trust contact", Level::Warning, |trust, _| {
            trust.licensing_contact = Some(Default::default());
        }),
    ];
    for (word, level, change) in cases {
        let mut changed = trust.clone();
        change(&mut changed, release.clone());
        home.publish_trust(&changed);
        let findings = lint(&home.repository(), &home.root(), None, now()).await.unwrap().findings;
        assert!(
            findings.iter().any(|finding| finding.problem.contains(word) && finding.level == *level),
            "{word}: {findings:?}"
        );
    }
    home.publish_trust(&trust);
    assert!(lint(&home.repository(), &home.root(), None, now()).await.unwrap().findings.is_empty());
}
