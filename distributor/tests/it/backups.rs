//! Backups, restores, rebuilds and the marker beside the ledger, on real homes with computers that go on.

use std::io::Read as _;

use jiff::Timestamp;
use sealpost_admin_api::log::LogCheck;
use sealpost_admin_api::status::Status;
use sealpost_distributor::backup::{self, BackupError};
use sealpost_distributor::home::Home;
use sealpost_distributor::ledger_rebuild::rebuild_in_place;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::log::LogProof;
use sealpost_manifests::wire::problem::ProblemCode;

use crate::agent::Agent;
use crate::restored::confirm;
use crate::site::Site;
use crate::vendor::start_vendor;

fn silent(_: u64, _: u64) {}

#[tokio::test]
async fn a_backup_of_a_running_server_is_restored_and_its_computers_go_on() {
    let vendor = start_vendor(10).await;
    let release = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    site.approve(release).await;
    let mut known = Agent::licensed(&site, "pc-1").await;
    let file = site.folder.path().join("sealpost.backup");
    let home = Home::at(site.home());
    let list = backup::make(&home, &file, Timestamp::now(), &mut silent).unwrap();
    assert_eq!(list.head, site.server.ledger().head());
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    known.contact(&site).await;
    let mut later = Agent::licensed(&site, "pc-2").await;

    let site = site
        .between(async |home| {
            let error =
                backup::restore(&Home::at(home), &file, Timestamp::now(), &mut silent).await.unwrap_err();
            assert!(error.to_string().contains("choose an empty folder"), "nothing is written over: {error}");
            std::fs::remove_dir_all(home).unwrap();
            backup::restore(&Home::at(home), &file, Timestamp::now(), &mut silent).await.unwrap();
        })
        .await;
    let status: Status = site.get("/status").await;
    assert!(!status.restored.unwrap().confirmed, "a restored server says so before any computer shows it");
    known.goes_on(&site).await.unwrap();
    later.goes_on(&site).await.unwrap();
    let refused = site.post_refused("/clients", &serde_json::json!({ "name": "pc-3" })).await;
    assert_eq!(refused.code, ProblemCode::Unconfirmed);
    // The payloads were not in the backup; a pull brings them back.
    site.pull().await;
    let target = site.updates().await.updates[0].clone();
    assert_eq!((target.manifest, target.state.as_str()), (release, "approved"));
    let answer = known.contact(&site).await;
    assert!(answer.lease.is_none());
    confirm(&site).await;
    site.reserve("pc-3").await;
}

/// The codes of what the server warns of.
async fn warned(site: &Site) -> Vec<String> {
    let status: Status = site.get("/status").await;
    status.warnings.iter().map(|warning| warning.code.as_str().to_owned()).collect()
}

#[tokio::test]
async fn a_restored_server_has_the_vendors_trust_document_before_it_pulls() {
    let vendor = start_vendor(10).await;
    let release = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    site.approve(release).await;
    let mut known = Agent::licensed(&site, "pc-1").await;
    let file = site.folder.path().join("sealpost.backup");
    backup::make(&Home::at(site.home()), &file, Timestamp::now(), &mut silent).unwrap();
    let site = site
        .between(async |home| {
            std::fs::remove_dir_all(home).unwrap();
            backup::restore(&Home::at(home), &file, Timestamp::now(), &mut silent).await.unwrap();
        })
        .await;
    assert!(!warned(&site).await.contains(&"grant_refused".to_owned()));
    // Half a term later the lease is renewed, which only a grant that counts gives.
    site.clock.forward(jiff::SignedDuration::from_hours(24 * 15));
    let answer = known.goes_on(&site).await.unwrap();
    assert!(answer.lease.is_some() && answer.notice.is_none(), "{answer:?}");
}

#[tokio::test]
async fn a_damaged_trust_document_is_put_right_from_its_copy_and_without_any_computers_keep_what_they_have() {
    let vendor = start_vendor(10).await;
    let release = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    site.approve(release).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let held = agent.holds.assignment.as_ref().unwrap().signed.digest();
    let copy = |home: &std::path::Path| Home::at(home).mirror().join("trust.json");
    let digest = Sha256Digest::of(&std::fs::read(copy(&site.home())).unwrap()).to_string();
    let damage = |home: &std::path::Path| {
        let blob = Home::at(home).blobs().join(&digest[..2]).join(&digest);
        std::fs::remove_file(&blob).unwrap();
        std::fs::write(&blob, b"damaged").unwrap();
        blob
    };
    let site = site.between(async |home| drop(damage(home))).await;
    assert!(!warned(&site).await.contains(&"grant_refused".to_owned()));
    let answer = agent.contact(&site).await;
    assert!(answer.assignment.is_none() && answer.notice.is_none(), "{answer:?}");

    // Both are damaged: nothing new is issued, so nothing is taken away.
    let site = site
        .between(async |home| {
            drop(damage(home));
            std::fs::write(copy(home), b"damaged").unwrap();
        })
        .await;
    assert!(warned(&site).await.contains(&"grant_refused".to_owned()));
    let answer = agent.contact(&site).await;
    assert!(answer.assignment.is_none() && answer.lease.is_none(), "{answer:?}");
    assert!(answer.notice.unwrap().contains("no trust document of the vendor"));
    assert_eq!(agent.holds.assignment.as_ref().unwrap().signed.digest(), held);

    // As soon as a pull has brought it, all is as before.
    site.pull().await;
    assert!(!warned(&site).await.contains(&"grant_refused".to_owned()));
    let answer = agent.contact(&site).await;
    assert!(answer.notice.is_none(), "{answer:?}");
    let packages = &agent.holds.assignment.as_ref().unwrap().document.packages;
    assert_eq!(packages.iter().map(|told| told.manifest).collect::<Vec<_>>(), [release]);
}

#[tokio::test]
async fn a_backup_that_was_cut_changed_or_is_none_restores_nothing() {
    let vendor = start_vendor(1).await;
    let site = Site::licensed(&vendor).await;
    let folder = site.folder.path().to_owned();
    let file = folder.join("good.backup");
    backup::make(&Home::at(site.home()), &file, Timestamp::now(), &mut silent).unwrap();
    let good = std::fs::read(&file).unwrap();
    // Some bits of a compressed file say the same either way, as which of two zeros is copied.
    let content = |bytes: &[u8]| {
        let mut content = Vec::new();
        flate2::read::GzDecoder::new(bytes).read_to_end(&mut content).ok().map(|_| content)
    };
    let flipped = (good.len() / 2..good.len()).find_map(|at| {
        let mut flipped = good.clone();
        flipped[at] ^= 1;
        (content(&flipped) != content(&good)).then_some(flipped)
    });
    let flipped = flipped.unwrap();
    let mut other_sum = good.clone();
    let sum = other_sum.len() - 8;
    other_sum[sum] ^= 1;
    let bad = folder.join("bad.backup");
    for bytes in
        [&good[..good.len() / 2], &flipped, &other_sum, &good[..sum], &good[..10], b"", b"not a backup"]
    {
        std::fs::write(&bad, bytes).unwrap();
        let home = folder.join("restored");
        let restored = backup::restore(&Home::at(&home), &bad, Timestamp::now(), &mut silent).await;
        let error = restored.err().unwrap_or_else(|| panic!("{} of {} bytes", bytes.len(), good.len()));
        assert!(matches!(error, BackupError::Damaged { .. } | BackupError::List { .. }), "{error:?}");
        assert!(Home::open(&home).is_err());
        let left: Vec<_> = std::fs::read_dir(&home).map(|found| found.collect()).unwrap_or_default();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn what_could_not_be_restored_is_not_backed_up_and_nothing_is_waited_for_or_left_behind() {
    let vendor = start_vendor(1).await;
    let site = Site::licensed(&vendor).await;
    let home = Home::at(site.home());
    let beside = site.folder.path().join("backups");
    std::fs::create_dir(&beside).unwrap();
    // What a killed backup left, and what another one works in.
    let (left, busy) = (beside.join(".sealpost-backup-left"), beside.join(".sealpost-backup-busy"));
    for folder in [&left, &busy] {
        std::fs::create_dir(folder).unwrap();
        std::fs::write(folder.join("ledger.db"), b"secret").unwrap();
    }
    let working = sealpost_files::FileLock::try_take_folder(&busy).unwrap();
    let file = beside.join("sealpost.backup");
    let made = || backup::make(&home, &file, Timestamp::now(), &mut silent);
    let found = || {
        let names = std::fs::read_dir(&beside).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    made().unwrap();
    assert_eq!(found(), [".sealpost-backup-busy", "sealpost.backup"]);
    drop(working);
    let root = home.path().join("root.json");
    let elsewhere = site.folder.path().join("elsewhere.json");
    std::fs::rename(&root, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &root).unwrap();
    assert!(matches!(made(), Err(BackupError::Odd { path, .. }) if path == root));
    std::fs::remove_file(&root).unwrap();
    std::fs::rename(&elsewhere, &root).unwrap();
    let pipe = home.path().join("keys/pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(matches!(made(), Err(BackupError::Odd { path, .. }) if path == pipe));
    std::fs::remove_file(&pipe).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&pipe).unwrap();
    assert!(matches!(made(), Err(BackupError::Odd { path, .. }) if path == pipe));
    std::fs::remove_file(&pipe).unwrap();
    let named = home.path().join("tls/a\nb");
    std::fs::write(&named, b"").unwrap();
    assert!(matches!(made(), Err(BackupError::Odd { path, .. }) if path == named));
    std::fs::remove_file(&named).unwrap();
    assert_eq!(found(), ["sealpost.backup"], "a refused backup leaves nothing, and the one before");
    made().unwrap();
}

#[tokio::test]
async fn a_file_that_is_replaced_while_a_backup_is_made_is_in_it_as_it_is_then() {
    let vendor = start_vendor(3).await;
    let site = Site::licensed(&vendor).await;
    let folder = tempfile::tempdir().unwrap();
    let (file, home) = (folder.path().join("site.backup"), Home::at(site.home()));
    let settings = site.home().join("distributor.toml");
    let changed = format!("# changed\n{}", std::fs::read_to_string(&settings).unwrap());
    let mut calls = 0;
    let mut replace = |_, _| {
        calls += 1;
        if calls == 1 {
            std::fs::write(&settings, &changed).unwrap();
        }
    };
    backup::make(&home, &file, Timestamp::now(), &mut replace).unwrap();
    let into = folder.path().join("restored");
    backup::restore(&Home::at(&into), &file, Timestamp::now(), &mut silent).await.unwrap();
    assert_eq!(std::fs::read_to_string(into.join("distributor.toml")).unwrap(), changed);
    // One that is replaced each time is told, and nothing is left.
    let mut again = |done, _| {
        std::fs::write(&settings, format!("# {done} {:?}\n{changed}", std::time::Instant::now())).unwrap()
    };
    let refused = backup::make(&home, &folder.path().join("other.backup"), Timestamp::now(), &mut again);
    assert!(matches!(refused, Err(BackupError::Changed { .. })), "{refused:?}");
    let mut left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["restored", "site.backup"]);
}

#[tokio::test]
async fn a_backup_takes_the_place_of_a_file_and_never_of_a_pipe_a_device_or_a_link() {
    use std::os::unix::fs::MetadataExt;
    let vendor = start_vendor(1).await;
    let site = Site::licensed(&vendor).await;
    let beside = site.folder.path().join("backups");
    std::fs::create_dir(&beside).unwrap();
    let at = |name: &str| beside.join(name);
    rustix::fs::mknodat(rustix::fs::CWD, at("tape"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    std::os::unix::fs::symlink("/dev/null", at("null")).unwrap();
    std::fs::write(at("file"), "an earlier backup").unwrap();
    std::os::unix::fs::symlink(at("file"), at("stdout")).unwrap();
    let nodes = || ["tape", "null", "stdout"].map(|name| at(name).symlink_metadata().unwrap().ino());
    let before = nodes();
    let made = |out: &str| backup::make(&Home::at(site.home()), &at(out), Timestamp::now(), &mut silent);
    for (out, what) in [
        ("tape", "a device, a pipe or a socket, which is not replaced; name a file"),
        ("null", "it is a link"),
        ("stdout", "it is a link, which is not replaced; name the file itself"),
    ] {
        let error = sealpost_files::with_causes(&made(out).unwrap_err());
        assert!(error.contains(what), "{out}: {error}");
    }
    assert_eq!(nodes(), before);
    assert_eq!(std::fs::read(at("file")).unwrap(), b"an earlier backup");
    assert_eq!(std::fs::read_dir(&beside).unwrap().count(), 4, "nothing is left beside them");
    made("file").unwrap();
}

/// A backup with this list, and what else the archive holds before and after it.
fn crafted(
    list: &str,
    before: impl FnOnce(&mut tar::Builder<Zipped>),
    after: impl FnOnce(&mut tar::Builder<Zipped>),
) -> Vec<u8> {
    let mut archive = tar::Builder::new(Zipped::new(Vec::new(), flate2::Compression::fast()));
    before(&mut archive);
    member(&mut archive, tar::EntryType::Regular, "backup.json", list.as_bytes());
    after(&mut archive);
    archive.into_inner().unwrap().finish().unwrap()
}

type Zipped = flate2::write::GzEncoder<Vec<u8>>;

fn member(archive: &mut tar::Builder<Zipped>, kind: tar::EntryType, name: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_entry_type(kind);
    header.set_path(name).unwrap();
    header.set_cksum();
    archive.append(&header, bytes).unwrap();
}

#[tokio::test]
async fn a_crafted_backup_brings_nothing_into_memory_or_onto_the_disk_that_its_list_does_not_name() {
    let vendor = start_vendor(1).await;
    let site = Site::licensed(&vendor).await;
    let folder = site.folder.path().to_owned();
    let file = folder.join("good.backup");
    let long = format!("mirror/{}/{}", "a".repeat(120), "b".repeat(200));
    std::fs::create_dir_all(site.home().join(&long).parent().unwrap()).unwrap();
    std::fs::write(site.home().join(&long), b"a long name").unwrap();
    backup::make(&Home::at(site.home()), &file, Timestamp::now(), &mut silent).unwrap();
    let home = folder.join("good");
    backup::restore(&Home::at(&home), &file, Timestamp::now(), &mut silent).await.unwrap();
    assert_eq!(std::fs::read(home.join(&long)).unwrap(), b"a long name");

    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(std::fs::File::open(&file).unwrap()));
    let first = archive.entries().unwrap().next().unwrap().unwrap();
    let list = std::io::read_to_string(first).unwrap();
    let mut huge: serde_json::Value = serde_json::from_str(&list).unwrap();
    for found in huge["members"].as_array_mut().unwrap() {
        found["length"] = serde_json::json!(u64::MAX / 2);
    }
    // Everything of the good one, under a list that names another server.
    let mut renamed: serde_json::Value = serde_json::from_str(&list).unwrap();
    renamed["server_id"] = serde_json::json!("07".repeat(16));
    let good = std::fs::read(&file).unwrap();
    let rest = |archive: &mut tar::Builder<Zipped>| {
        let mut good = tar::Archive::new(flate2::read::GzDecoder::new(good.as_slice()));
        for entry in good.entries().unwrap().raw(true).skip(1) {
            let entry = entry.unwrap();
            archive.append(&entry.header().clone(), entry).unwrap();
        }
    };
    use tar::EntryType;
    let nothing = |_: &mut tar::Builder<Zipped>| ();
    let megabytes = vec![b'x'; 3 << 20];
    let one = |kind, name: &'static str| {
        let bytes = megabytes.clone();
        move |archive: &mut tar::Builder<Zipped>| member(archive, kind, name, &bytes)
    };
    let cases = [
        ("a name in it has more", crafted(&list, one(EntryType::GNULongName, "././@LongLink"), nothing)),
        ("a name in it has more", crafted(&list, nothing, one(EntryType::GNULongName, "././@LongLink"))),
        ("is no file", crafted(&list, one(EntryType::XHeader, "x"), nothing)),
        ("is no file", crafted(&list, nothing, one(EntryType::GNULongLink, "x"))),
        ("is no file", crafted(&list, nothing, one(EntryType::GNUSparse, "ledger.db"))),
        ("is no file", crafted(&list, nothing, one(EntryType::Symlink, "ledger.db"))),
        ("is not in its list", crafted(&list, nothing, one(EntryType::Regular, "keys/other"))),
        ("is not the file that", crafted(&list, nothing, one(EntryType::Regular, "ledger.db"))),
        ("is missing", crafted(&list, nothing, nothing)),
        ("its ledger is not the one", crafted(&renamed.to_string(), nothing, rest)),
        ("more bytes than there can be", crafted(&huge.to_string(), nothing, nothing)),
    ];
    for (expected, bytes) in cases {
        std::fs::write(&file, bytes).unwrap();
        let home = folder.join("restored");
        let error =
            backup::restore(&Home::at(&home), &file, Timestamp::now(), &mut silent).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{expected}: {error}");
        let left: Vec<_> = std::fs::read_dir(&home).map(|found| found.collect()).unwrap_or_default();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn a_ledger_file_that_was_put_back_alone_is_found_at_the_start() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let copy = site.folder.path().join("ledger.copy");
    let site =
        site.between(async |home| assert!(std::fs::copy(Home::at(home).ledger(), &copy).unwrap() > 0)).await;
    let status: Status = site.get("/status").await;
    assert!(status.restored.is_none(), "a restart is no restore");
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let site = site
        .between(async |home| {
            let ledger = Home::at(home).ledger();
            for companion in ["-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{companion}", ledger.display()));
            }
            std::fs::copy(&copy, ledger).unwrap();
        })
        .await;
    let status: Status = site.get("/status").await;
    assert!(!status.restored.unwrap().confirmed);
    agent.goes_on(&site).await.unwrap();
    // Found once: the marker goes on with the restored ledger.
    let found: Status = site.get("/status").await;
    let site = site.restart().await;
    let again: Status = site.get("/status").await;
    assert_eq!(found.restored.unwrap().at, again.restored.unwrap().at);
}

#[tokio::test]
async fn a_ledger_that_is_rebuilt_from_its_log_has_the_same_rows_and_its_computers_go_on() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    agent.contact(&site).await;
    site.reserve("pc-2").await;
    let before: Status = site.get("/status").await;
    let site = site
        .between(async |home| {
            let rebuilt = rebuild_in_place(&Home::at(home), Timestamp::now(), &mut |_| {}).await.unwrap();
            assert!(rebuilt.before.exists(), "the old ledger stays");
        })
        .await;
    let after: Status = site.get("/status").await;
    let counts = |status: &Status| (status.licenses[0].used, status.licenses[0].active);
    assert_eq!(counts(&before), counts(&after));
    assert!(!after.restored.unwrap().confirmed);
    let check: LogCheck =
        site.post("/log/verify", &serde_json::json!({ "witnessed": [before.ledger_head] })).await;
    assert!(check.damage.is_none(), "{check:?}");
    agent.goes_on(&site).await.unwrap();
    agent.contact(&site).await;
}

#[tokio::test]
async fn a_proof_of_an_entry_is_checked_without_the_log() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    site.reserve("pc-1").await;
    let sequence = site.server.ledger().head().size;
    site.reserve("pc-2").await;
    let text = site.admin(reqwest::Method::GET, &format!("/log/{sequence}/proof"), None).await;
    let text = text.bytes().await.unwrap();
    let key = sealpost_keys::key_file::read_public(&Home::at(site.home()).site_public_key()).unwrap();
    let proven = LogProof::read(&text).unwrap().check(&key).unwrap();
    assert!(proven.entry.contains("seat_reserved") && proven.entry.contains("pc-1"), "{}", proven.entry);
    let absent = site.admin(reqwest::Method::GET, "/log/9999/proof", None).await;
    assert_eq!(absent.status(), reqwest::StatusCode::NOT_FOUND);
}
