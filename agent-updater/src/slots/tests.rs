use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use sealpost_deltas::TargetWriter;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::RelativePath;
use sealpost_manifests::release::{Blob, FileEntry, FileKind, Payload, ReleaseManifest};
use sealpost_manifests::version::Version;
use sealpost_test_support::names::{self, release_id};
use sealpost_test_support::release;

use super::*;

fn package() -> PackageName {
    names::package("acme")
}

fn manifest(files: &[(&str, bool, &[u8])], links: &[(&str, &str)]) -> ReleaseManifest {
    let blob = Blob { sha256: Sha256Digest::of(b""), length: 1 << 20 };
    let mut entries: Vec<FileEntry> = files
        .iter()
        .map(|(path, executable, bytes)| FileEntry {
            path: RelativePath::new(path).unwrap(),
            kind: FileKind::File {
                executable: *executable,
                length: bytes.len() as u64,
                sha256: Sha256Digest::of(bytes),
            },
        })
        .chain(links.iter().map(|(path, target)| FileEntry {
            path: RelativePath::new(path).unwrap(),
            kind: FileKind::Symlink { target: (*target).to_owned() },
        }))
        .collect();
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    let payload = Payload { tar: blob, encodings: BTreeMap::new() };
    release::manifest(release_id(&package(), "1"), 1, payload, entries)
}

fn slot(name: &str) -> SlotId {
    SlotId::of(&Version::new(name).unwrap(), &Sha256Digest::of(name.as_bytes()))
}

struct Fixture {
    root: tempfile::TempDir,
    slots: Slots,
    manifest: ReleaseManifest,
}

fn built() -> Fixture {
    let root = tempfile::tempdir().unwrap();
    let slots = Slots::open(root.path(), &package()).unwrap();
    let files: &[(&str, bool, &[u8])] =
        &[("bin/run", true, b"#!/bin/sh\n"), ("lib/deep/data", false, b"data")];
    let links = &[("lib/link", "deep/data")];
    let mut builder = slots.begin(&slot("1")).unwrap();
    for (path, executable, bytes) in files {
        builder.write_file(path, *executable, bytes.len() as u64, &mut &bytes[..]).unwrap();
    }
    builder.write_link("lib/link", "deep/data").unwrap();
    builder.finish().unwrap();
    Fixture { root, slots, manifest: manifest(files, links) }
}

fn differences(fixture: &Fixture) -> Vec<String> {
    match fixture.slots.check(&slot("1"), &fixture.manifest) {
        Ok(()) => Vec::new(),
        Err(SlotFault::Differs { differences, .. }) => differences.iter().map(ToString::to_string).collect(),
        Err(SlotFault::Unreadable(error)) => panic!("{error}"),
    }
}

#[test]
fn a_damaged_slot_that_cannot_be_removed_does_not_come_back_when_it_is_replaced_again() {
    let fixture = built();
    let good = fixture.slots.path_of(&slot("1"));
    let beside = good.with_file_name(format!("{}{BUILDING}", slot("1")));
    fs::rename(&good, &beside).unwrap();
    make_too_deep(&good);
    for _ in 0..2 {
        assert!(fixture.slots.replace(&slot("1"), &fixture.manifest).unwrap());
        assert_eq!(differences(&fixture), Vec::<String>::new());
    }
}

/// Deeper than anything that is removed.
fn make_too_deep(folder: &Path) {
    let mut deep = folder.to_owned();
    deep.extend(std::iter::repeat_n("d", 600));
    fs::create_dir_all(&deep).unwrap();
}

/// A name that is no text.
fn no_text() -> &'static OsStr {
    OsStr::from_bytes(b"bad\xffname")
}

/// The names among the slots, sorted.
fn slot_names(fixture: &Fixture) -> Vec<String> {
    let entries = fs::read_dir(fixture.slots.path()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_replacement_that_was_cut_off_anywhere_ends_with_the_whole_slot_in_its_place_whatever_cannot_be_removed()
{
    type Cut = fn(&Path, &Path, &Path);
    let rename = |from: &Path, to: &Path| fs::rename(from, to).unwrap();
    let cuts: &[(&str, Cut)] = &[
        ("before anything", |_, _, _| ()),
        ("after the exchange", |good, beside, away| {
            fs::rename(good, away).unwrap();
            fs::rename(beside, good).unwrap();
            fs::rename(away, beside).unwrap();
        }),
        ("after the exchange and the rename", |good, beside, away| {
            fs::rename(good, away).unwrap();
            fs::rename(beside, good).unwrap();
        }),
        ("between the renames of a file system without an exchange", |good, _, away| {
            fs::rename(good, away).unwrap();
        }),
    ];
    for (what, cut) in cuts {
        let fixture = built();
        let good = fixture.slots.path_of(&slot("1"));
        let named = |suffix: &str| good.with_file_name(format!("{}{suffix}", slot("1")));
        let beside = named(BUILDING);
        rename(&good, &beside);
        make_too_deep(&good);
        make_too_deep(&named(REPLACED));
        cut(&good, &beside, &named(".replaced-1"));
        for _ in 0..3 {
            fixture.slots.replace(&slot("1"), &fixture.manifest).unwrap();
            assert_eq!(differences(&fixture), Vec::<String>::new(), "{what}");
            assert!(!fixture.slots.has_beside(&slot("1")).unwrap(), "{what}");
        }
        fixture.slots.remove_others(&|name| name == slot("1").as_str()).unwrap();
        let left: Vec<String> =
            ["", ".replaced", ".replaced-1"].map(|suffix| format!("{}{suffix}", slot("1"))).into();
        assert_eq!(slot_names(&fixture), left, "{what}");
    }
}

#[test]
fn what_lies_beside_and_is_not_whole_is_never_put_in_a_place() {
    let fixture = built();
    let beside = fixture.slots.path().join(format!("{}{BUILDING}", slot("1")));
    fs::create_dir(&beside).unwrap();
    assert!(!fixture.slots.replace(&slot("1"), &fixture.manifest).unwrap());
    assert_eq!((differences(&fixture), slot_names(&fixture).len()), (Vec::new(), 1));
    // Also when there is nothing in the place.
    fixture.slots.remove(&slot("1")).unwrap();
    fs::create_dir(&beside).unwrap();
    assert!(!fixture.slots.replace(&slot("1"), &fixture.manifest).unwrap());
    assert_eq!(slot_names(&fixture), Vec::<String>::new());
}

#[test]
fn a_name_that_is_no_text_is_named_by_a_look_and_removed_with_its_slot() {
    let fixture = built();
    let path = fixture.slots.path_of(&slot("1"));
    let before = fixture.slots.footprint(&slot("1")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(path.join(no_text())).unwrap();
    fs::write(path.join(no_text()).join(no_text()), b"x").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).unwrap();
    assert_ne!(fixture.slots.footprint(&slot("1")).unwrap(), before);
    assert_eq!(
        differences(&fixture),
        [r"bad\xffname/bad\xffname was not signed", r"bad\xffname is a folder that was not signed"]
    );
    // The same among the slots holds back nothing, and is removed.
    fs::create_dir(fixture.slots.path().join(no_text())).unwrap();
    assert_eq!(fixture.slots.left_over(&|_| false).unwrap().len(), 1);
    fixture.slots.remove_others(&|_| false).unwrap();
    assert_eq!(slot_names(&fixture), Vec::<String>::new());
}

#[test]
fn a_link_whose_target_is_no_text_is_a_link_that_the_agent_did_not_set() {
    let fixture = built();
    symlink(no_text(), fixture.slots.current_path()).unwrap();
    assert_eq!(fixture.slots.find_current().unwrap(), Current::OtherLink);
    fixture.slots.switch(Some(&slot("1"))).unwrap();
    let link = fixture.slots.path_of(&slot("1")).join("lib/link");
    fs::set_permissions(link.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(&link).unwrap();
    symlink(no_text(), &link).unwrap();
    fs::set_permissions(link.parent().unwrap(), fs::Permissions::from_mode(0o555)).unwrap();
    assert_eq!(differences(&fixture), ["lib/link has another target"]);
}

#[test]
fn what_cannot_be_removed_is_out_of_the_way_of_the_next_build_and_is_named() {
    let fixture = built();
    let path = fixture.slots.path_of(&slot("1"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    make_too_deep(&path);
    make_too_deep(&fixture.slots.path().join(format!("{}{BUILDING}", slot("1"))));
    fixture.slots.remove(&slot("1")).unwrap();
    fixture.slots.begin(&slot("1")).unwrap().finish().unwrap();
    assert!(fixture.slots.has(&slot("1")).unwrap());
    let keep = |name: &str| name == slot("1").as_str();
    for _ in 0..3 {
        fixture.slots.remove_others(&keep).unwrap();
        let left = fixture.slots.left_over(&keep).unwrap();
        assert_eq!(left.len(), 2, "{left:?}");
        assert!(left[0].ends_with(".replaced") || left[1].ends_with(".replaced"), "{left:?}");
    }
}

#[test]
fn removing_a_slot_changes_no_file_that_somebody_linked_into_it() {
    let fixture = built();
    let path = fixture.slots.path_of(&slot("1"));
    let others = fixture.root.path().join("others");
    fs::write(&others, b"x").unwrap();
    fs::set_permissions(&others, fs::Permissions::from_mode(0o4640)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    fs::hard_link(&others, path.join("linked")).unwrap();
    fixture.slots.remove(&slot("1")).unwrap();
    assert!(!path.exists());
    assert_eq!(fs::metadata(&others).unwrap().permissions().mode() & 0o7777, 0o4640);
    assert_eq!(fs::read(&others).unwrap(), b"x");
}

#[test]
fn a_slot_is_read_only_and_is_what_was_signed() {
    let fixture = built();
    assert_eq!(differences(&fixture), Vec::<String>::new());
    let path = fixture.slots.path_of(&slot("1"));
    let mode = |name: &str| fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(
        [mode("bin/run"), mode("lib/deep/data"), mode("lib/deep"), mode(".")],
        [0o555, 0o444, 0o555, 0o555]
    );
}

#[test]
fn every_way_in_which_a_slot_can_differ_is_found() {
    type Tamper = fn(&Path);
    fn rewrite(path: &Path, bytes: &[u8]) {
        let mode = fs::metadata(path).unwrap().permissions();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, mode).unwrap();
    }
    let cases: &[(&str, Tamper)] = &[
        ("lib/deep/data has another content", |slot| rewrite(&slot.join("lib/deep/data"), b"dAta")),
        ("lib/deep/data has another content", |slot| rewrite(&slot.join("lib/deep/data"), b"data2")),
        ("lib/deep/data has another content and another mode", |slot| {
            rewrite(&slot.join("lib/deep/data"), b"dAta");
            fs::set_permissions(slot.join("lib/deep/data"), fs::Permissions::from_mode(0o644)).unwrap();
        }),
        ("bin/run has another mode", |slot| {
            fs::set_permissions(slot.join("bin/run"), fs::Permissions::from_mode(0o4555)).unwrap();
        }),
        ("bin/run has a second hard link, by which it could be changed", |slot| {
            fs::hard_link(slot.join("bin/run"), slot.join("../../other-name")).unwrap();
        }),
        ("bin/run has another content, and has a second hard link, by which it could be changed", |slot| {
            rewrite(&slot.join("bin/run"), b"#!/bin/sh\nexit 7");
            fs::hard_link(slot.join("bin/run"), slot.join("../../other-name")).unwrap();
        }),
        ("lib/link has another target", |slot| {
            fs::remove_file(slot.join("lib/link")).unwrap();
            symlink("/etc/passwd", slot.join("lib/link")).unwrap();
        }),
        ("bin/run is missing", |slot| fs::remove_file(slot.join("bin/run")).unwrap()),
        ("bin/extra was not signed", |slot| fs::write(slot.join("bin/extra"), b"").unwrap()),
        ("empty is a folder that was not signed", |slot| fs::create_dir(slot.join("empty")).unwrap()),
        ("lib/deep/data is of another type", |slot| {
            fs::remove_file(slot.join("lib/deep/data")).unwrap();
            symlink("x", slot.join("lib/deep/data")).unwrap();
        }),
        ("lib can be written to", |slot| {
            fs::set_permissions(slot.join("lib"), fs::Permissions::from_mode(0o755)).unwrap();
        }),
    ];
    for (expected, tamper) in cases {
        let fixture = built();
        let path = fixture.slots.path_of(&slot("1"));
        // Root may write into read-only folders; others must open them first, and close them again.
        let folders = ["", "bin", "lib", "lib/deep"];
        for folder in folders {
            fs::set_permissions(path.join(folder), fs::Permissions::from_mode(0o755)).unwrap();
        }
        tamper(&path);
        for folder in
            folders.into_iter().filter(|folder| !expected.starts_with("lib can") || *folder != "lib")
        {
            fs::set_permissions(path.join(folder), fs::Permissions::from_mode(0o555)).unwrap();
        }
        assert!(
            differences(&fixture).contains(&(*expected).to_owned()),
            "{expected}: {:?}",
            differences(&fixture)
        );
    }
}

#[test]
fn current_is_switched_by_rename_and_never_dangles() {
    let fixture = built();
    assert_eq!(fixture.slots.current().unwrap(), None);
    fixture.slots.switch(Some(&slot("1"))).unwrap();
    assert_eq!(fixture.slots.current().unwrap(), Some(slot("1")));
    assert!(fixture.slots.switch(Some(&slot("2"))).is_err());
    assert_eq!(fixture.slots.current().unwrap(), Some(slot("1")));
    assert!(fixture.slots.current_path().join("bin/run").exists());
    fixture.slots.switch(None).unwrap();
    assert_eq!(fixture.slots.current().unwrap(), None);
}

#[test]
fn a_current_link_that_does_not_lead_to_a_slot_is_refused() {
    let fixture = built();
    symlink("/etc", fixture.slots.current_path()).unwrap();
    assert!(fixture.slots.current().is_err());
}

#[test]
fn a_file_that_is_longer_or_shorter_than_signed_is_not_accepted() {
    let root = tempfile::tempdir().unwrap();
    let slots = Slots::open(root.path(), &package()).unwrap();
    let mut builder = slots.begin(&slot("1")).unwrap();
    let longer = builder.write_file("a", false, 2, &mut &b"abc"[..]).unwrap_err();
    assert_eq!(longer.kind(), io::ErrorKind::InvalidData);
    let shorter = builder.write_file("b", false, 4, &mut &b"abc"[..]).unwrap_err();
    assert_eq!(shorter.kind(), io::ErrorKind::UnexpectedEof);
    assert!(!slots.has(&slot("1")).unwrap());
}

#[test]
fn a_file_is_read_back_while_building_and_a_link_in_its_place_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let slots = Slots::open(root.path(), &package()).unwrap();
    let mut builder = slots.begin(&slot("1")).unwrap();
    builder.write_file("lib/a", false, 3, &mut &b"abc"[..]).unwrap();
    let read = |builder: &mut SlotBuilder<'_>, path: &str| {
        let mut text = String::new();
        builder.reopen(path)?.read_to_string(&mut text).map(|_| text)
    };
    assert_eq!(read(&mut builder, "lib/a").unwrap(), "abc");
    assert_eq!(read(&mut builder, "lib/b").unwrap_err().kind(), io::ErrorKind::NotFound);
    let building = root.path().join("acme/slots").join(format!("{}.building", slot("1")));
    fs::rename(building.join("lib/a"), building.join("lib/moved")).unwrap();
    symlink("moved", building.join("lib/a")).unwrap();
    assert!(read(&mut builder, "lib/a").is_err());
}

#[test]
fn what_an_interrupted_build_left_is_removed_by_the_next_one() {
    let root = tempfile::tempdir().unwrap();
    let slots = Slots::open(root.path(), &package()).unwrap();
    let mut builder = slots.begin(&slot("1")).unwrap();
    builder.write_file("old/a", false, 1, &mut &b"a"[..]).unwrap();
    drop(builder);
    let mut builder = slots.begin(&slot("1")).unwrap();
    builder.write_file("b", false, 1, &mut &b"b"[..]).unwrap();
    builder.finish().unwrap();
    let names: Vec<_> =
        fs::read_dir(slots.path_of(&slot("1"))).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["b"]);
}

#[test]
fn a_parent_that_is_swapped_for_a_link_while_building_is_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    let root = tempfile::tempdir().unwrap();
    let slots = Slots::open(root.path(), &package()).unwrap();
    let mut builder = slots.begin(&slot("1")).unwrap();
    builder.write_file("lib/a", false, 1, &mut &b"a"[..]).unwrap();
    let building = root.path().join("acme/slots").join(format!("{}.building", slot("1")));
    fs::rename(building.join("lib"), building.join("moved")).unwrap();
    symlink(outside.path(), building.join("lib")).unwrap();
    assert!(builder.write_file("lib/b", false, 1, &mut &b"b"[..]).is_err());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn slots_that_nobody_needs_are_removed() {
    let fixture = built();
    drop(fixture.slots.begin(&slot("2")).unwrap());
    let keep = slot("1");
    fixture.slots.remove_others(&|name| name == keep.as_str()).unwrap();
    let names: Vec<_> = fs::read_dir(fixture.root.path().join("acme/slots"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, [keep.as_str()]);
    fixture.slots.remove(&keep).unwrap();
    assert!(!fixture.slots.has(&keep).unwrap());
}

#[test]
fn an_install_root_that_cannot_be_looked_at_is_not_taken_for_missing() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Slots::find(&folder.path().join("missing"), &package()).unwrap().is_none());
    let turning = folder.path().join("turning");
    symlink("turning", &turning).unwrap();
    assert!(Slots::find(&turning, &package()).is_err());
}
