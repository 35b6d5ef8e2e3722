//! Renewal: what is due is signed again, what is not is left alone.

use std::fs;

use sealpost_publisher::renewal::{Urgency, renew};
use sealpost_repository::RoleName;
use sealpost_test_support::clock::days;
use sealpost_test_support::names::package;

use crate::support::{Home, now, read};

#[tokio::test]
async fn a_day_old_timestamp_is_renewed_and_a_fresh_one_is_left_alone() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    let (vendor, keyring) = (home.vendor(), home.keyring());
    let before = home.read().await.unwrap();
    let renewed = renew(&vendor, &keyring, Urgency::WhenDue, now(), || {}).unwrap();
    assert!(renewed.roles.is_empty());
    assert_eq!(home.read().await.unwrap(), before);

    let later = now() + days(6);
    let renewed = renew(&vendor, &keyring, Urgency::WhenDue, later, || {}).unwrap();
    let roles: Vec<&RoleName> = renewed.roles.iter().map(|(role, _)| role).collect();
    assert_eq!(roles, [&RoleName::Snapshot, &RoleName::Timestamp]);
    read(&home.repository(), &home.root(), now() + days(12)).await.unwrap();
    let again = renew(&vendor, &keyring, Urgency::WhenDue, later, || {}).unwrap();
    assert!(again.roles.is_empty(), "twice is once");
}

#[tokio::test]
async fn an_expired_repository_is_brought_back_by_a_refresh() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    let later = now() + days(360);
    assert!(read(&home.repository(), &home.root(), later).await.is_err());
    let renewed = renew(&home.vendor(), &home.keyring(), Urgency::Now, later, || {}).unwrap();
    assert!(renewed.roles.iter().any(|(role, _)| *role == RoleName::Package(package("acme-av"))));
    assert!(renewed.roles.iter().any(|(role, _)| *role == RoleName::Targets));
    // The root is near its end too, and only its keys can help.
    assert!(
        renewed.warnings.iter().any(|warning| warning.contains("the root expires in 5 days")),
        "{renewed:?}"
    );
    read(&home.repository(), &home.root(), later).await.unwrap();
}

#[tokio::test]
async fn a_role_whose_key_is_elsewhere_is_a_warning_and_the_others_go_on() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    fs::remove_file(home.path().join("keys/packages/acme-av.role.key")).unwrap();
    let renewed = renew(&home.vendor(), &home.keyring(), Urgency::WhenDue, now() + days(300), || {}).unwrap();
    assert!(renewed.warnings.iter().any(|warning| warning.contains("role acme-av")), "{renewed:?}");
    assert!(renewed.roles.iter().any(|(role, _)| *role == RoleName::Timestamp));
    read(&home.repository(), &home.root(), now() + days(301)).await.unwrap();
}
