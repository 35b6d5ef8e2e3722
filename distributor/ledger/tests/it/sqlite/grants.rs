//! Grants whose rows somebody edited: the signed text counts, and what does not verify gives nothing and is named.

use rusqlite::Connection;
use sealpost_ledger::Ledger;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{PackageName, ServerId};
use sealpost_manifests::order::Epoch;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::queries::{ExplainClient, Recipients, RefusedGrants};
use sealpost_site::rules::grants::GrantFlaw;
use sealpost_site::rules::warnings::{WarningCode, refused_grants};
use sealpost_test_support::world::{Computer, DAY, World, reserve, serial};

use crate::bench::{Bench, SqliteBench};
use crate::fixture::{WorldExt, licenses, refused, restores};

/// A ledger with 2 seats for one package, of which one is used by a computer that had its lease.
struct Site {
    world: World,
    bench: SqliteBench,
    computer: Computer,
}

impl Site {
    async fn new() -> Self {
        let world = World::new();
        let bench = SqliteBench::new(&world);
        let ledger = bench.open();
        let packages = vec![PackageName::new("acme-av").unwrap()];
        world.accept(&ledger, Grant { packages, ..world.grant(1, 2) }).await.unwrap();
        world.pull(&ledger, 4).await;
        for package in ["acme-av", "acme-cad"] {
            world.approved(&ledger, package, 1, &["stable"]).await;
        }
        let mut computer = world.enrolled(&ledger, "pc-1").await;
        let answer = world.contacts(&ledger, &mut computer, 10).await;
        assert_eq!(answer.assignment.unwrap().packages.len(), 1, "only what was bought");
        ledger.close().await.unwrap();
        Self { world, bench, computer }
    }

    /// The closed file is edited, and the server started again.
    fn edited(&self, edit: impl FnOnce(&Connection)) -> Ledger {
        let connection = Connection::open(self.bench.path()).unwrap();
        edit(&connection);
        drop(connection);
        self.bench.open()
    }

    fn edited_by(&self, sql: &str) -> Ledger {
        self.edited(|connection| connection.execute_batch(sql).unwrap())
    }

    /// So many more names get a seat.
    async fn seats_to_be_had(&self, ledger: &Ledger) -> u32 {
        let mut taken = 0;
        for number in 2..60 {
            let name = format!("pc-{number}");
            match ledger.execute(self.world.at(20), reserve(&name)).await {
                Ok(_) => taken += 1,
                Err(_) => break,
            }
        }
        taken
    }
}

/// The flaw of the only grant that the status warns of.
async fn flaw(ledger: &Ledger) -> GrantFlaw {
    let rows = ledger.query(RefusedGrants {}).await.unwrap();
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    let warnings = refused_grants(&rows);
    assert!(warnings.iter().all(|warning| warning.code == WarningCode::GrantRefused), "{warnings:?}");
    assert!(warnings[0].message.contains(&row.serial), "{warnings:?}");
    row.flaw.clone()
}

#[tokio::test]
async fn a_column_that_was_edited_beside_the_grant_gives_nothing_more_and_is_named() {
    for (column, value) in [
        ("seats", "50"),
        ("not_after", "9000000000000000"),
        ("generation", "0"),
        ("epoch", "42949672960"),
        ("vendor_time", "1"),
        ("model", "'floating'"),
        ("digest", "'00'"),
    ] {
        let site = Site::new().await;
        let ledger = site.edited_by(&format!("UPDATE grants SET {column} = {value}, used = 0, active = 0"));
        let GrantFlaw::Edited { column: named, .. } = flaw(&ledger).await else { panic!("{column}") };
        assert_eq!(named, column);
        let row = licenses(&ledger).await.remove(0);
        let signed = site.world.grant(1, 2);
        let said = (row.licenses, row.used, row.not_after, row.generation, row.epoch);
        assert_eq!(said, (2, 1, signed.not_after, 1, signed.epoch), "{column}");
        assert_eq!(site.seats_to_be_had(&ledger).await, 1, "{column}: one of two was free");
        // The grant itself entered once more puts its row right.
        let again = Grant { packages: vec![PackageName::new("acme-av").unwrap()], ..signed };
        site.world.accept(&ledger, again).await.unwrap();
        assert_eq!(ledger.query(RefusedGrants {}).await.unwrap(), [], "{column}");
    }
}

#[tokio::test]
async fn an_older_grant_is_refused_also_where_the_generation_beside_the_newer_one_was_lowered() {
    let site = Site::new().await;
    let ledger = site.bench.open();
    site.world.accept(&ledger, site.world.grant(3, 1)).await.unwrap();
    ledger.close().await.unwrap();
    let ledger = site.edited_by("UPDATE grants SET generation = 0, epoch = 0");
    let older = site.world.accept(&ledger, site.world.grant(2, 9)).await;
    assert_eq!(refused(older), ProblemCode::GrantRefused);
}

/// Replaces the text of the grant by one that somebody signed.
fn replaced(site: &Site, document: &SignedDocument) -> Ledger {
    let text = serde_json::to_string(document).unwrap();
    site.edited(|connection| {
        connection.execute("UPDATE grants SET document = ?1", [text]).unwrap();
    })
}

/// No seat, package or lease comes of the grant.
async fn gives_nothing(site: &mut Site, ledger: &Ledger) {
    assert_eq!(licenses(ledger).await, []);
    assert_eq!(site.seats_to_be_had(ledger).await, 0);
    let name = site.computer.name.clone();
    assert_eq!(ledger.query(ExplainClient { name }).await.unwrap().unwrap().grants, []);
    let recipients = Recipients { after: None, running: None, limit: 9 };
    assert_eq!(ledger.query(recipients).await.unwrap()[0].grants, []);
    // The lease is not renewed, and nothing wider is signed in its place.
    let answer = site.world.contacts(ledger, &mut site.computer, 2 * DAY).await;
    assert!(answer.lease.is_none() && answer.grants.is_empty(), "{answer:?}");
    let told = answer.assignment.map(|told| told.packages.len()).unwrap_or_default();
    assert_eq!(told, 0, "nothing that was not bought");
}

#[tokio::test]
async fn a_grant_that_the_vendor_did_not_sign_so_gives_nothing() {
    let mut site = Site::new().await;
    let forger = World::new();
    let wider = Grant { seats: 50, packages: Vec::new(), ..site.world.grant(1, 2) };
    let forged = SignedDocument::sign(&wider, &forger.vendor).unwrap();
    let ledger = replaced(&site, &forged);
    assert!(matches!(flaw(&ledger).await, GrantFlaw::Unsigned { .. }));
    gives_nothing(&mut site, &ledger).await;
    ledger.close().await.unwrap();

    // The text widened, with the vendor's signature of the narrower one.
    let mut site = Site::new().await;
    let signed = SignedDocument::sign(&site.world.grant(1, 2), &site.world.vendor).unwrap();
    let widened =
        SignedDocument { document: signed.document.replace("\"seats\":2", "\"seats\":50"), ..signed };
    let ledger = replaced(&site, &widened);
    assert!(matches!(flaw(&ledger).await, GrantFlaw::Unsigned { .. }));
    gives_nothing(&mut site, &ledger).await;
    ledger.close().await.unwrap();

    let mut site = Site::new().await;
    let ledger = site.edited_by("UPDATE grants SET document = CAST(x'7bff' AS TEXT)");
    assert!(matches!(flaw(&ledger).await, GrantFlaw::Unreadable { .. }));
    assert_eq!(licenses(&ledger).await, []);
    assert_eq!(site.seats_to_be_had(&ledger).await, 0);
    ledger.close().await.unwrap();
    let ledger = site.edited_by("UPDATE grants SET document = 'no grant'");
    assert!(matches!(flaw(&ledger).await, GrantFlaw::Unreadable { .. }));
    gives_nothing(&mut site, &ledger).await;
}

#[tokio::test]
async fn a_grant_of_another_vendor_server_site_key_or_serial_number_that_is_pasted_in_gives_nothing() {
    type Change = fn(&mut Grant, &World);
    type Expected = fn(&GrantFlaw) -> bool;
    let of = |site: &Site, change: fn(&mut Grant, &World)| {
        let mut grant = Grant { seats: 50, ..site.world.grant(1, 2) };
        change(&mut grant, &World::new());
        SignedDocument::sign(&grant, &site.world.vendor).unwrap()
    };
    let cases: [(Change, Expected); 4] = [
        (
            |grant, other| grant.server_id = ServerId::of_site_key(&other.site.public()),
            |flaw| *flaw == GrantFlaw::OtherServer,
        ),
        (|grant, other| grant.site_key = other.site.public(), |flaw| *flaw == GrantFlaw::OtherSiteKey),
        (|grant, _| grant.serial = serial(7), |flaw| *flaw == GrantFlaw::OtherSerial { signed: serial(7) }),
        (|grant, _| grant.epoch = Epoch::of(1, 1), |flaw| *flaw == GrantFlaw::Term),
    ];
    for (change, expected) in cases {
        let mut site = Site::new().await;
        let ledger = replaced(&site, &of(&site, change));
        let found = flaw(&ledger).await;
        assert!(expected(&found), "{found:?}");
        gives_nothing(&mut site, &ledger).await;
        ledger.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_row_that_was_copied_under_another_serial_number_gives_no_second_set_of_seats() {
    let site = Site::new().await;
    let copy = format!(
        "INSERT INTO grants SELECT '{}', generation, epoch, seats, model, not_after, vendor_time, digest, document, \
         accepted_sequence + 1, 0, 0 FROM grants",
        serial(7)
    );
    let ledger = site.edited_by(&copy);
    assert_eq!(flaw(&ledger).await, GrantFlaw::OtherSerial { signed: serial(1) });
    assert_eq!(licenses(&ledger).await.len(), 1);
    assert_eq!(site.seats_to_be_had(&ledger).await, 1);
}

#[tokio::test]
async fn without_the_vendors_trust_document_no_grant_counts_until_it_is_pulled() {
    let mut site = Site::new().await;
    let ledger = Ledger::start(site.bench.store(), crate::bench::settings()).unwrap();
    assert_eq!(flaw(&ledger).await, GrantFlaw::NoTrust);
    assert!(
        refused_grants(&ledger.query(RefusedGrants {}).await.unwrap())[0]
            .message
            .contains("distributor pull")
    );
    gives_nothing(&mut site, &ledger).await;
    // And takes nothing away: what the computer was told stays as it was.
    let told = site.world.contacts(&ledger, &mut site.computer, 2 * DAY).await;
    assert!(told.assignment.is_none() && told.notice.unwrap().contains("no trust document"));
    // A revoked license key verifies nothing any more, and the next trust document counts at once.
    let mut revoked = site.world.trust();
    revoked.keys.iter_mut().for_each(|key| key.status = sealpost_manifests::trust::KeyStatus::Revoked);
    for (trust, count) in [(site.world.trust(), 1), (revoked, 0), (site.world.trust(), 1)] {
        ledger.adopt_trust(std::sync::Arc::new(trust));
        assert_eq!(licenses(&ledger).await.len(), count);
    }
    assert_eq!(site.seats_to_be_had(&ledger).await, 1);
}

#[tokio::test]
async fn a_noted_lease_that_was_widened_is_not_signed_again() {
    for edit in [
        "json_set(lease, '$.entitlements[0].packages', json('[\"acme-av\",\"acme-cad\"]'))",
        "json_set(lease, '$.entitlements[0].packages', json('[]'))",
        "json_set(lease, '$.entitlements[0].not_after', '2099-01-01T00:00:00Z')",
        "json_set(lease, '$.computer_name', 'pc-2')",
    ] {
        let mut site = Site::new().await;
        let good = site.computer.lease.clone().unwrap();
        let ledger = site.edited_by(&format!("UPDATE sent SET lease = {edit}"));
        // It says that it does not hold the lease, so the noted one would be sent again.
        site.computer.lease = None;
        let answer = site.world.contacts(&ledger, &mut site.computer, 20).await;
        let lease = answer.lease.unwrap();
        assert_eq!(lease.entitlements[0].packages, good.entitlements[0].packages, "{edit}");
        assert_eq!(lease.computer_name, good.computer_name, "{edit}");
        assert!(lease.not_after().unwrap() <= site.world.at(20 + 31 * DAY), "{edit}");
        ledger.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_restore_that_is_only_marked_as_confirmed_waits_for_the_vendor() {
    let site = Site::new().await;
    let ledger = site.edited_by(
        "UPDATE server SET restored_at = 1, restored_epoch = 4294967296, resumes_until = 9, confirmed = 1",
    );
    assert!(restores(&ledger).await.unconfirmed().is_some(), "no grant of a higher epoch is here");
    let refusal = ledger.execute(site.world.at(20), reserve("pc-2")).await;
    assert_eq!(refused(refusal), ProblemCode::Unconfirmed);
}

#[tokio::test]
async fn a_grant_whose_bytes_are_no_text_gives_nothing_and_fails_no_contact() {
    let mut site = Site::new().await;
    let ledger = site.edited_by("UPDATE grants SET document = CAST(x'ff00fe' AS TEXT)");
    gives_nothing(&mut site, &ledger).await;
    assert!(matches!(ledger.query(RefusedGrants {}).await.unwrap().as_slice(), [_]));
}
