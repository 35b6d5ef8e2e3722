//! The release manifest: every defect is named, and a hostile manifest costs no more than is looked at.

use sealpost_manifests::ids::RelativePath;
use sealpost_manifests::release::{Blob, FileEntry, FileKind, PackageKind, ReleaseManifest, Security};
use sealpost_manifests::version::Revision;
use sealpost_manifests::word::Word;

use crate::values::{digest, manifest, release};

fn security(manifest: &mut ReleaseManifest) -> &mut Security {
    manifest.security.as_mut().unwrap()
}

#[test]
fn a_release_of_the_agent_has_the_agents_name_and_its_program_and_no_other_kind_has_that_name() {
    let file = |path: &str, executable| FileEntry {
        path: RelativePath::new(path).unwrap(),
        kind: FileKind::File { executable, length: 1, sha256: digest("x") },
    };
    let agent = |package: &str, kind, files: Vec<FileEntry>| {
        let mut manifest = manifest();
        manifest.release = release(package, "2.0", "any");
        (manifest.kind, manifest.revision, manifest.files) = (kind, None, files);
        manifest.attachments.clear();
        manifest.requires.clear();
        manifest.check()
    };
    assert_eq!(agent("agent-updater", PackageKind::Agent, vec![file("agent-updater", true)]), [""; 0]);
    for (package, kind, files, problem) in [
        ("acme-agent", PackageKind::Agent, vec![file("agent-updater", true)], "of the package agent-updater"),
        ("agent-updater", PackageKind::Agent, vec![file("agent-updater", false)], "executable file"),
        ("agent-updater", PackageKind::Agent, vec![file("bin/agent-updater", true)], "executable file"),
        ("agent-updater", PackageKind::Program, vec![file("agent-updater", true)], "--kind agent"),
    ] {
        let found = agent(package, kind, files);
        assert!(found.len() == 1 && found[0].contains(problem), "{found:?}");
    }
}

#[test]
fn a_sound_manifest_has_no_problems_and_each_defect_is_named() {
    assert_eq!(manifest().check(), Vec::<String>::new());
    type Defect = (&'static str, fn(&mut ReleaseManifest));
    let defects: &[Defect] = &[
        ("revision", |manifest| manifest.revision = Some(Revision(1))),
        ("no files", |manifest| manifest.files.clear()),
        ("not sorted", |manifest| manifest.files.reverse()),
        ("stands twice", |manifest| manifest.files.insert(1, manifest.files[1].clone())),
        ("leads out", |manifest| {
            manifest.files[2].kind = FileKind::Symlink { target: "../../etc/passwd".to_owned() };
        }),
        ("not a folder", |manifest| {
            manifest.files[2].path = RelativePath::new("daily.ndb/x").unwrap();
        }),
        ("do not fit", |manifest| manifest.payload.tar.length = 3),
        ("gzip", |manifest| manifest.payload.encodings.clear()),
        ("encodings", |manifest| {
            let blob = Blob { sha256: digest("x"), length: 1 };
            manifest.payload.encodings.extend((0..16).map(|number| (number.to_string(), blob)));
        }),
        ("more than 64", |manifest| {
            let required = manifest.requires[0].clone();
            manifest.requires.extend(vec![required; 64]);
        }),
        ("twice, or itself", |manifest| manifest.requires.push(manifest.requires[0].clone())),
        ("twice, or itself", |manifest| {
            manifest.requires[0].package = manifest.release.package.clone();
        }),
        ("the kind holograms", |manifest| {
            manifest.kind = PackageKind::Other(Word::new("holograms").unwrap());
        }),
        ("kind agent has no revision", |manifest| manifest.kind = PackageKind::Agent),
        ("attachments are more than 32", |manifest| {
            manifest.attachments = vec![manifest.attachments[0].clone(); 33];
        }),
        ("sbom.cdx.json stands twice", |manifest| {
            manifest.attachments.push(manifest.attachments[0].clone());
        }),
        ("is not named after its release", |manifest| {
            let other = release("acme-av-signatures", "27002", "any");
            manifest.attachments[0].target = other.attachment_target("sbom.cdx.json").unwrap();
        }),
        ("is not named after its release", |manifest| {
            manifest.attachments[0].target = manifest.release.manifest_target().unwrap();
        }),
        ("over the limit of 67108864", |manifest| manifest.attachments[0].blob.length = (64 << 20) + 1),
        ("1001 fixes", |manifest| security(manifest).fixes = vec!["CVE-2026-1".to_owned(); 1001]),
        ("no id of a vulnerability", |manifest| {
            security(manifest).fixes.push("CVE-2026-1\u{1b}[2K".to_owned());
        }),
        ("no id of a vulnerability", |manifest| security(manifest).fixes.push(String::new())),
        ("no plain web address", |manifest| {
            security(manifest).advisory_url = Some("javascript:alert(1)".to_owned());
        }),
        ("no plain web address", |manifest| {
            security(manifest).advisory_url = Some(format!("https://{}", "a".repeat(1000)));
        }),
        ("65537 bytes", |manifest| manifest.notes = "n".repeat(65_537)),
        ("control character", |manifest| manifest.notes = "all is well\u{1b}[2K\rforged".to_owned()),
    ];
    for (text, break_it) in defects {
        let mut broken = manifest();
        break_it(&mut broken);
        let problems = broken.check();
        assert!(problems.iter().any(|problem| problem.contains(text)), "{text}: {problems:?}");
    }
}

#[test]
fn the_list_of_problems_of_a_hostile_manifest_is_bounded() {
    let mut hostile = manifest();
    // Each path lies beneath five hundred others that are files, and the list is not sorted.
    let deep = |depth: usize| RelativePath::new(["a"; 500][..depth].join("/")).unwrap();
    hostile.files = (1..=500)
        .rev()
        .map(|depth| FileEntry {
            path: deep(depth),
            kind: FileKind::File { executable: false, length: u64::MAX, sha256: digest("a") },
        })
        .collect();
    let problems = hostile.check();
    assert!(problems.len() <= 210, "{}", problems.len());
    assert!(problems.iter().any(|problem| problem.contains("do not fit")));
}
