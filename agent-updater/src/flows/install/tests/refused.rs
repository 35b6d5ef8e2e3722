//! Installs that are refused: by what was published, by the disk, or by what somebody else changed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use sealpost_files::with_causes;
use sealpost_keys::SigningKey;
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::trust::KeyStatus;
use sealpost_manifests::wire::report::ReasonCode;

use crate::flows::install::{ChangeEnd, NotNow, Terms};

use super::fixture::{Computer, FixedDisk, ONE, Published, TWO, delta, package, reason};

#[test]
fn a_payload_that_is_longer_shorter_or_other_than_signed_changes_nothing() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let before = computer.snapshot();
    let two = computer.publish("2", 2, TWO);
    let longer = [two.payload.as_slice(), b"x"].concat();
    let shorter = two.payload[..two.payload.len() - 1].to_vec();
    let mut flipped = two.payload.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let other = computer.publish("3", 3, "loadable three").payload;
    for payload in [longer, shorter, flipped, other, Vec::new()] {
        let mut bad = two.clone();
        bad.payload = payload;
        let ended = computer.install(&mut bad, 0).unwrap();
        assert_eq!(reason(&ended), ReasonCode::PayloadInvalid);
        assert_eq!(computer.snapshot(), before);
        computer.assert_runs(&one, "after a bad payload");
    }
    // Nothing was given up: the same release, whole, is installed at the next try.
    assert_eq!(computer.install(&mut two.clone(), 0).unwrap(), ChangeEnd::Kept);
}

#[test]
fn a_hostile_tar_changes_nothing_inside_or_outside() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let before = computer.snapshot();
    let outside = computer.root.path().join("outside");
    let two = computer.publish("2", 2, TWO);
    for evil in ["../../../../outside", outside.to_str().unwrap()] {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..evil.len().min(100)].copy_from_slice(&evil.as_bytes()[..evil.len().min(100)]);
        header.set_size(4);
        header.set_mode(0o644);
        header.set_cksum();
        let mut tar = Vec::new();
        tar.extend_from_slice(header.as_bytes());
        tar.extend_from_slice(b"evil");
        tar.resize(4096, 0);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, &tar).unwrap();
        let mut bad = two.clone();
        bad.payload = gzip.finish().unwrap();
        assert_eq!(reason(&computer.install(&mut bad, 0).unwrap()), ReasonCode::PayloadInvalid);
        assert_eq!(computer.snapshot(), before);
        assert!(!outside.exists());
    }
}

#[test]
fn a_manifest_by_a_key_that_is_not_listed_or_is_revoked_is_refused() {
    let mut computer = Computer::new();
    let one = computer.publish("1", 1, ONE);
    let mut forged = one.clone();
    forged.signed = SignedDocument::sign(&one.manifest, &SigningKey::generate().unwrap()).unwrap();
    assert_eq!(computer.vet(&forged).unwrap_err().reason, ReasonCode::ManifestInvalid);
    let mut changed = one.clone();
    changed.signed.document = changed.signed.document.replace("\"counter\":1", "\"counter\":2");
    assert_eq!(computer.vet(&changed).unwrap_err().reason, ReasonCode::ManifestInvalid);
    assert!(computer.vet(&one).is_ok());
    computer.trust.keys[0].status = KeyStatus::Revoked;
    assert_eq!(computer.vet(&one).unwrap_err().reason, ReasonCode::ManifestInvalid);
}

#[test]
fn a_release_below_the_counter_floor_is_refused_also_after_a_local_rollback() {
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    computer.install(&mut two, 0).unwrap();
    assert_eq!(computer.vet(&computer.publish("1.5", 1, ONE)).unwrap_err().reason, ReasonCode::ReleaseTooOld);
    assert_eq!(computer.with_engine(|engine| engine.roll_back(&package())).unwrap(), ChangeEnd::Kept);
    assert_eq!(computer.vet(&computer.publish("1.6", 1, ONE)).unwrap_err().reason, ReasonCode::ReleaseTooOld);
}

#[test]
fn a_folder_of_slots_that_others_can_write_is_not_used() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let mut two = computer.publish("2", 2, TWO);
    for folder in ["acme", "acme/slots"] {
        let folder = computer.host.settings.install_root.join(folder);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(reason(&computer.install(&mut two, 0).unwrap()), ReasonCode::LocalFault);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    assert!(two.fetches.is_empty());
    computer.assert_runs(&one, "after the refusals");
}

#[test]
fn a_parent_that_was_swapped_for_a_link_is_refused_and_what_it_leads_to_is_not_touched() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let elsewhere = computer.root.path().join("elsewhere");
    fs::rename(computer.host.settings.install_root.join("acme/slots"), &elsewhere).unwrap();
    symlink(&elsewhere, computer.host.settings.install_root.join("acme/slots")).unwrap();
    let count = fs::read_dir(&elsewhere).unwrap().count();
    let mut two = computer.publish("2", 2, TWO);
    let ended = computer.install(&mut two, 0).unwrap();
    assert_eq!(reason(&ended), ReasonCode::LocalFault);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), count);
}

#[test]
fn a_damaged_record_stops_installs_and_is_explained() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let two = computer.publish("2", 2, TWO);
    let vetted = computer.vet(&two).unwrap();
    let wanted = computer.assignment(&two, 0);
    let path = computer.host.home.package_record(&package());
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = computer
        .with_engine(|engine| engine.install(&vetted, Terms::unhindered(&wanted), &mut two.clone()))
        .unwrap_err();
    assert!(with_causes(&error).contains("damaged"), "{error}");
    let (current, running) = computer.current_and_running();
    assert_eq!((current.as_deref(), running.as_deref()), (Some(ONE), Some(ONE)));
}
#[test]
fn a_full_disk_is_found_before_anything_is_fetched() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let before = computer.snapshot();
    let mut computer = computer;
    computer.host.disk = Box::new(FixedDisk(1_000_000));
    let mut two = computer.publish("2", 2, TWO);
    assert_eq!(reason(&computer.install(&mut two, 0).unwrap()), ReasonCode::DiskFull);
    assert!(two.fetches.is_empty());
    assert_eq!(computer.snapshot(), before);
}

/// A small file system of its own, unmounted when it is dropped.
pub(super) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(super) fn at(path: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=755"), "tmpfs"]).arg(path);
        let mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        mounted.then(|| Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_fills_up_in_the_middle_of_a_build_is_left_as_it_was() {
    let computer = Computer::new();
    let Some(_disk) = SmallDisk::at(&computer.host.settings.install_root, "60k") else {
        sealpost_test_support::skips::needs("the right to mount").unwrap();
        return;
    };
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let before = computer.snapshot();
    let mut two = computer.publish("2", 2, TWO);
    // The free space that is reported is plenty, as if another program filled the disk meanwhile.
    assert_eq!(reason(&computer.install(&mut two, 0).unwrap()), ReasonCode::DiskFull);
    two.delta = Some(delta(&computer.publish("0", 9, "loadable none"), &two));
    assert_ne!(computer.install(&mut two, 0).unwrap(), ChangeEnd::Kept);
    assert_eq!(computer.snapshot(), before);
    computer.assert_runs(&one, "on a full disk");
    assert!(computer.record().given_up.is_empty(), "it is tried again when there is room");
}

#[test]
fn a_window_that_closes_during_the_download_stops_nothing_and_gives_nothing_up() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let mut two = computer.publish("2", 2, TWO);
    let (vetted, closes_at) = (computer.vet(&two).unwrap(), Timestamp::now() - SignedDuration::from_secs(1));
    let wanted = PackageAssignment { install_until: Some(closes_at), ..computer.assignment(&two, 0) };
    let install = |wanted: &PackageAssignment, time_floor, source: &mut Published| {
        let terms = Terms { time_floor, ..Terms::unhindered(wanted) };
        computer.with_engine(|engine| engine.install(&vetted, terms, source)).unwrap()
    };
    let ended = install(&wanted, Timestamp::UNIX_EPOCH, &mut two);
    assert_eq!(ended, ChangeEnd::NotNow(NotNow::Closed(closes_at)));
    computer.assert_runs(&one, "after the refusal");
    assert!(!computer.record().given_up.iter().any(|past| past.manifest == two.signed.digest()));
    // A clock that was reset does not keep a window open.
    let later =
        PackageAssignment { install_until: Some(Timestamp::now() + SignedDuration::from_hours(1)), ..wanted };
    let ended = install(&later, Timestamp::now() + SignedDuration::from_hours(2), &mut two);
    assert!(matches!(ended, ChangeEnd::NotNow(NotNow::Closed(_))), "{ended:?}");
    assert_eq!(install(&later, Timestamp::UNIX_EPOCH, &mut two), ChangeEnd::Kept);
}
