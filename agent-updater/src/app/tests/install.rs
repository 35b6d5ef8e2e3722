//! Installs that succeed, and every way in which one is refused or rolled back.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::Ordering;

use sealpost_keys::SigningKey;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::trust::KeyStatus;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};

use super::super::engine::Ended;
use super::fixture::{Computer, delta, package, read};

const ONE: &str = "loadable one";
const TWO: &str = "loadable two";

fn reason(ended: &Ended) -> ReasonCode {
    match ended {
        Ended::Refused(refusal) => refusal.reason,
        Ended::RolledBack(reason) => *reason,
        Ended::Kept => ReasonCode::Done,
    }
}

#[test]
fn a_first_release_is_installed_from_its_payload_and_every_step_is_reported() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    assert_eq!(computer.install(&mut one, 0).unwrap(), Ended::Kept);
    computer.assert_runs(&one, "first");
    assert_eq!(one.fetches, ["payload"]);
    let steps: Vec<_> = computer.reports().into_iter().map(|(step, ..)| step).collect();
    use InstallStep::{Build, Check, Download, Health, Keep, Start, Switch, TestLoad};
    assert_eq!(steps, [Check, Download, Build, TestLoad, Switch, Start, Health, Keep]);
    assert_eq!(read(&computer.root.path().join("log")), "start\n", "there was nothing to stop");
}

#[test]
fn an_update_comes_by_delta_and_the_slot_before_the_last_is_removed() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let mut two = computer.publish("2", 2, TWO);
    two.delta = Some(delta(&one, &two));
    assert_eq!(computer.install(&mut two, 0).unwrap(), Ended::Kept);
    computer.assert_runs(&two, "second");
    assert_eq!(two.fetches, ["delta"]);
    assert!(computer.reports().contains(&(InstallStep::Download, Outcome::Ok, ReasonCode::ByDelta)));
    let mut three = computer.publish("3", 3, "loadable three");
    computer.install(&mut three, 0).unwrap();
    let record = computer.record();
    let slots = fs::read_dir(computer.settings.install_root.join("acme/slots")).unwrap().count();
    assert_eq!(slots, 2);
    assert_eq!(record.previous.unwrap().manifest, two.signed.digest());
    assert_eq!(fs::read_dir(computer.home.manifests(&package())).unwrap().count(), 4);
}

#[test]
fn a_delta_that_leads_anywhere_else_falls_back_to_the_payload() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let other = computer.publish("other", 7, "loadable other");
    let good = delta(&one, &computer.publish("x", 8, TWO));
    let mut cases = vec![delta(&one, &other), b"garbage".to_vec(), Vec::new(), vec![0; 100_000]];
    cases.push(good[..good.len() - 1].to_vec());
    for (number, bad) in cases.into_iter().enumerate() {
        let mut next =
            computer.publish(&format!("2.{number}"), 10 + number as u64, &format!("{TWO} {number}"));
        next.delta = Some(bad);
        assert_eq!(computer.install(&mut next, 0).unwrap(), Ended::Kept, "{number}");
        assert_eq!(next.fetches, ["delta", "payload"]);
        computer.assert_runs(&next, "after the fall-back");
    }
}

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
    assert_eq!(computer.install(&mut two.clone(), 0).unwrap(), Ended::Kept);
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
    computer.trust.release_keys.get_mut(&package()).unwrap()[0].status = KeyStatus::Revoked;
    assert_eq!(computer.vet(&one).unwrap_err().reason, ReasonCode::ManifestInvalid);
}

#[test]
fn a_release_below_the_counter_floor_is_refused_also_after_a_local_rollback() {
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    computer.install(&mut two, 0).unwrap();
    assert_eq!(computer.vet(&computer.publish("1.5", 1, ONE)).unwrap_err().reason, ReasonCode::ReleaseTooOld);
    assert_eq!(computer.with_engine(|engine| engine.roll_back(&package())).unwrap(), Ended::Kept);
    assert_eq!(computer.vet(&computer.publish("1.6", 1, ONE)).unwrap_err().reason, ReasonCode::ReleaseTooOld);
}

#[test]
fn a_release_that_the_product_cannot_load_never_becomes_current() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let before = computer.snapshot();
    let log = read(&computer.root.path().join("log"));
    let mut broken = computer.publish("2", 2, "broken");
    let ended = computer.install(&mut broken, 3).unwrap();
    assert!(matches!(&ended, Ended::Refused(why) if why.detail.contains("cannot load")), "{ended:?}");
    assert_eq!(computer.snapshot(), before);
    assert_eq!(read(&computer.root.path().join("log")), log, "the product was not touched");
    computer.assert_runs(&one, "after the refusal");
    assert!(computer.reports().contains(&(InstallStep::TestLoad, Outcome::Refused, ReasonCode::HookFailed)));
    assert_eq!(computer.record().given_up[0].attempt, 3);
}

#[test]
fn a_release_that_fails_its_health_check_is_rolled_back_and_remembered() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let before = computer.snapshot();
    let mut sick = computer.publish("2", 2, "loadable but sick");
    assert_eq!(computer.install(&mut sick, 5).unwrap(), Ended::RolledBack(ReasonCode::HookFailed));
    assert_eq!(computer.snapshot(), before);
    computer.assert_runs(&one, "after the roll-back");
    assert_eq!(read(&computer.root.path().join("log")), "start\nstop\nstart\nstop\nstart\n");
    let given_up = &computer.record().given_up[0];
    assert_eq!((given_up.manifest, given_up.attempt), (sick.signed.digest(), 5));
    assert_eq!(computer.record().counter_floor.unwrap().0, 1, "what was not kept raises no floor");
    let reports = computer.reports();
    assert!(reports.contains(&(InstallStep::Health, Outcome::Failed, ReasonCode::HookFailed)));
    assert_eq!(reports.last(), Some(&(InstallStep::RollBack, Outcome::Ok, ReasonCode::HookFailed)));
}

#[test]
fn a_sick_first_release_leaves_nothing_behind() {
    let computer = Computer::new();
    let mut sick = computer.publish("1", 1, "loadable but sick");
    assert!(matches!(computer.install(&mut sick, 0).unwrap(), Ended::RolledBack(_)));
    assert_eq!(computer.slots().current().unwrap(), None);
    assert_eq!(fs::read_dir(computer.settings.install_root.join("acme/slots")).unwrap().count(), 0);
    assert_eq!(computer.record().current, None);
}

#[test]
fn a_stop_hook_that_fails_leaves_the_old_release_started() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let runs = computer.root.path().join("runs");
    fs::write(computer.root.path().join("stop"), format!("#!/bin/sh\nrm -f {}\nexit 4\n", runs.display()))
        .unwrap();
    let mut two = computer.publish("2", 2, TWO);
    assert_eq!(computer.install(&mut two, 0).unwrap(), Ended::RolledBack(ReasonCode::HookFailed));
    computer.assert_runs(&one, "after the failed stop");
}

#[test]
fn a_hook_that_others_can_write_stops_the_install_before_anything_changes() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let before = computer.snapshot();
    let hook = computer.root.path().join("test_load");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o777)).unwrap();
    let mut two = computer.publish("2", 2, TWO);
    assert_eq!(reason(&computer.install(&mut two, 0).unwrap()), ReasonCode::HookRefused);
    assert_eq!(computer.snapshot(), before);
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(computer.install(&mut two, 0).unwrap(), Ended::Kept, "a refused hook gives nothing up");
}

#[test]
fn no_product_is_stopped_that_its_hooks_could_not_start_again() {
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    computer.install(&mut two, 0).unwrap();
    let before = computer.snapshot();
    let log = read(&computer.root.path().join("log"));
    let mut three = computer.publish("3", 3, "loadable three");
    for name in ["stop", "start", "health"] {
        let hook = computer.root.path().join(name);
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o775)).unwrap();
        assert_eq!(reason(&computer.install(&mut three, 0).unwrap()), ReasonCode::HookRefused, "{name}");
        let back = computer.with_engine(|engine| engine.roll_back(&package())).unwrap();
        assert_eq!(reason(&back), ReasonCode::HookRefused, "{name}");
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    }
    assert!(three.fetches.is_empty(), "nothing is fetched for a product that cannot be switched");
    assert_eq!(computer.snapshot(), before);
    assert_eq!(read(&computer.root.path().join("log")), log, "the product was not touched");
    computer.assert_runs(&two, "with hooks that others can change");
}

#[test]
fn nothing_is_fetched_that_the_user_of_the_test_load_hook_could_not_reach() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: needs root");
        return;
    }
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    fs::set_permissions(computer.root.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(reason(&computer.install(&mut one, 0).unwrap()), ReasonCode::HookRefused);
    assert!(one.fetches.is_empty());
    fs::set_permissions(computer.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(computer.install(&mut one, 0).unwrap(), Ended::Kept);
}

#[test]
fn a_start_hook_that_becomes_unsafe_during_the_install_is_found_before_the_product_is_stopped() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let log = read(&computer.root.path().join("log"));
    let start = computer.root.path().join("start");
    let text = format!("#!/bin/sh\nchmod 777 {}\n", start.display());
    fs::write(computer.root.path().join("test_load"), text).unwrap();
    let computer = computer.test_loading_as_root();
    let mut two = computer.publish("2", 2, TWO);
    assert_eq!(reason(&computer.install(&mut two, 0).unwrap()), ReasonCode::HookRefused);
    assert_eq!(read(&computer.root.path().join("log")), log, "the product was not touched");
    computer.assert_runs(&one, "after the refusal");
}

#[test]
fn a_folder_of_slots_that_others_can_write_is_not_used() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let mut two = computer.publish("2", 2, TWO);
    for folder in ["acme", "acme/slots"] {
        let folder = computer.settings.install_root.join(folder);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(reason(&computer.install(&mut two, 0).unwrap()), ReasonCode::LocalFault);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    assert!(two.fetches.is_empty());
    computer.assert_runs(&one, "after the refusals");
}

#[test]
fn a_slot_that_belongs_to_another_user_is_not_taken_for_the_signed_one() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: needs root");
        return;
    }
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    computer.install(&mut two, 0).unwrap();
    let slot = computer.slots().path_of(&computer.record().previous.unwrap().slot);
    for path in [slot.clone(), slot.join("lib"), slot.join("bin/run")] {
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        let back = computer.with_engine(|engine| engine.roll_back(&package())).unwrap();
        assert!(matches!(&back, Ended::Refused(why) if why.detail.contains("another user")), "{back:?}");
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    }
    computer.assert_runs(&two, "after the refusals");
}

#[test]
fn a_test_load_hook_that_changes_the_slot_is_found() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let before = computer.snapshot();
    // As root the hook runs as nobody and cannot write at all; here it is played by a hook of the agent's own user.
    let text = "#!/bin/sh\nchmod u+w \"$SEALPOST_SLOT/lib\" \"$SEALPOST_SLOT/lib/same\" && echo x >> \"$SEALPOST_SLOT/lib/same\"\n";
    fs::write(computer.root.path().join("test_load"), text).unwrap();
    let computer = computer.test_loading_as_root();
    let mut two = computer.publish("2", 2, TWO);
    assert_eq!(reason(&computer.install(&mut two, 0).unwrap()), ReasonCode::PayloadInvalid);
    assert_eq!(computer.snapshot(), before);
}

#[test]
fn a_full_disk_is_found_before_anything_is_fetched() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let before = computer.snapshot();
    let computer = Computer { disk: super::fixture::PlayedDisk(1_000_000), ..computer };
    let mut two = computer.publish("2", 2, TWO);
    assert_eq!(reason(&computer.install(&mut two, 0).unwrap()), ReasonCode::DiskFull);
    assert!(two.fetches.is_empty());
    assert_eq!(computer.snapshot(), before);
}

/// A file system of its own, small; gone with its holder.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn at(path: &std::path::Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=60k,mode=755", "tmpfs"]).arg(path);
        let mounted = mount.stderr(std::process::Stdio::null()).status().is_ok_and(|status| status.success());
        mounted.then(|| Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_fills_up_in_the_middle_of_a_build_is_left_as_it_was() {
    let computer = Computer::new();
    let Some(_disk) = SmallDisk::at(&computer.settings.install_root) else {
        eprintln!("SKIPPED: needs the right to mount");
        return;
    };
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let before = computer.snapshot();
    let mut two = computer.publish("2", 2, TWO);
    // Free disk is played as plenty, as if somebody else filled it meanwhile.
    assert_eq!(reason(&computer.install(&mut two, 0).unwrap()), ReasonCode::DiskFull);
    two.delta = Some(delta(&computer.publish("0", 9, "loadable none"), &two));
    assert_ne!(computer.install(&mut two, 0).unwrap(), Ended::Kept);
    assert_eq!(computer.snapshot(), before);
    computer.assert_runs(&one, "on a full disk");
    assert!(computer.record().given_up.is_empty(), "it is tried again when there is room");
}

#[test]
fn a_rollback_by_a_person_goes_to_the_release_before_and_gives_the_newer_one_up() {
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    let nothing_before = computer.with_engine(|engine| engine.roll_back(&package())).unwrap();
    assert_eq!(reason(&nothing_before), ReasonCode::LocalFault);
    computer.assert_runs(&one, "no earlier release");
    computer.install(&mut two, 2).unwrap();
    assert_eq!(computer.with_engine(|engine| engine.roll_back(&package())).unwrap(), Ended::Kept);
    computer.assert_runs(&one, "after the rollback");
    let given_up = &computer.record().given_up[0];
    assert_eq!((given_up.manifest, given_up.attempt), (two.signed.digest(), 2));
    assert_eq!(given_up.reason, ReasonCode::AskedLocally);
    assert_eq!(
        computer.reports().last(),
        Some(&(InstallStep::RollBack, Outcome::Ok, ReasonCode::AskedLocally))
    );
    // A raised attempt brings it back, without fetching what is still there.
    two.fetches.clear();
    assert_eq!(computer.install(&mut two, 3).unwrap(), Ended::Kept);
    assert!(two.fetches.is_empty());
    computer.assert_runs(&two, "after the retry");
}

#[test]
fn a_rollback_to_a_slot_that_was_changed_is_refused() {
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    computer.install(&mut two, 0).unwrap();
    let slot = computer.slots().path_of(&computer.record().previous.unwrap().slot);
    fs::set_permissions(slot.join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(slot.join("bin/run"), "loadable evil").unwrap();
    let ended = computer.with_engine(|engine| engine.roll_back(&package())).unwrap();
    assert_eq!(reason(&ended), ReasonCode::LocalFault);
    computer.assert_runs(&two, "after the refusal");
}

#[test]
fn a_rollback_by_a_kept_manifest_that_was_changed_is_refused() {
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    computer.install(&mut two, 0).unwrap();
    let (manifest, _) = computer.home.manifest(&package(), &computer.record().previous.unwrap().slot);
    // Still a sound manifest of the same files: only its digest tells.
    fs::write(&manifest, format!("{} ", read(&manifest))).unwrap();
    let ended = computer.with_engine(|engine| engine.roll_back(&package())).unwrap();
    assert_eq!(reason(&ended), ReasonCode::LocalFault);
    computer.assert_runs(&two, "after the refusal");
}

#[test]
fn a_slot_that_stands_there_already_is_used_only_if_it_is_what_was_signed() {
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    computer.install(&mut two, 0).unwrap();
    computer.with_engine(|engine| engine.roll_back(&package())).unwrap();
    let slot = computer.slots().path_of(&computer.record().previous.unwrap().slot);
    fs::set_permissions(slot.join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(slot.join("bin/run"), "loadable evil").unwrap();
    let mut again = two.clone();
    again.fetches.clear();
    assert_eq!(computer.install(&mut again, 1).unwrap(), Ended::Kept);
    assert!(!again.fetches.is_empty(), "it was fetched anew");
    computer.assert_runs(&two, "after the slot was built anew");
}

#[test]
fn an_agent_that_is_stopping_does_not_touch_the_product() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    computer.stop.store(true, Ordering::SeqCst);
    let mut two = computer.publish("2", 2, TWO);
    assert_eq!(reason(&computer.install(&mut two, 0).unwrap()), ReasonCode::Interrupted);
    computer.assert_runs(&one, "while stopping");
}

#[test]
fn a_parent_that_was_swapped_for_a_link_is_refused_and_what_it_leads_to_is_not_touched() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let elsewhere = computer.root.path().join("elsewhere");
    fs::rename(computer.settings.install_root.join("acme/slots"), &elsewhere).unwrap();
    symlink(&elsewhere, computer.settings.install_root.join("acme/slots")).unwrap();
    let count = fs::read_dir(&elsewhere).unwrap().count();
    let mut two = computer.publish("2", 2, TWO);
    let ended = computer.install(&mut two, 0).unwrap();
    assert_eq!(reason(&ended), ReasonCode::LocalFault);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), count);
}

#[test]
fn a_current_link_that_somebody_else_moved_is_not_built_upon() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    computer.slots().switch(None).unwrap();
    let mut two = computer.publish("2", 2, TWO);
    assert_eq!(reason(&computer.install(&mut two, 0).unwrap()), ReasonCode::LocalFault);
}

#[test]
fn a_damaged_record_stops_installs_and_is_explained() {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let two = computer.publish("2", 2, TWO);
    let vetted = computer.vet(&two).unwrap();
    let wanted = computer.assignment(&two, 0);
    let path = computer.home.package_record(&package());
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error =
        computer.with_engine(|engine| engine.install(&vetted, &wanted, &mut two.clone())).unwrap_err();
    assert!(super::super::with_causes(&error).contains("damaged"), "{error}");
    let (current, running) = computer.current_and_running();
    assert_eq!((current.as_deref(), running.as_deref()), (Some(ONE), Some(ONE)));
}
