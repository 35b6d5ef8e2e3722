//! The vendor's repository goes wrong, by accident or by attack, between it and the Primary Server.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use sealpost_manifests::release::ReleaseManifest;
use sealpost_manifests::version::ReleaseCounter;
use sealpost_tests::harness::{
    Computer, Forgery, Lab, ManifestSigner, Site, Vendor, copy_tree, files_beneath, flip_a_bit, replace_tree,
};

/// A vendor and a site at which scanner 1.0 is approved and installed, and 1.1 is staged.
struct Scene {
    vendor: Vendor,
    site: Site,
    computer: Computer,
    lab: Lab,
}

impl Scene {
    fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let (vendor, site) = lab.vendor_and_site(2)?;
        vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
        site.pull_and_approve("scanner:1.0")?;
        let computer = Computer::enrolled(&lab, &site, "pc", &vendor.root())?;
        computer.check()?.ok()?;
        let scene = Self { vendor, site, computer, lab };
        scene.still_runs("1.0")?;
        Ok(scene)
    }

    fn still_runs(&self, version: &str) -> Result<()> {
        let installed = self.computer.installed("scanner", "VERSION");
        ensure!(installed.as_deref() == Some(version), "{installed:?} runs");
        self.computer.audit()
    }

    /// What a reviewer is offered, by state.
    fn offered(&self) -> Result<String> {
        self.site.distributor(&["updates", "list"])?.ok()
    }

    /// A pull is refused, says something that holds one of these words, and changes nothing that a reviewer sees.
    fn pull_is_refused(&self, words: &[&str]) -> Result<()> {
        let before = self.offered()?;
        let said = self.site.distributor(&["pull"])?.refused()?;
        let lower = said.to_lowercase();
        ensure!(words.iter().any(|word| lower.contains(word)), "none of {words:?} in: {said}");
        ensure!(self.offered()? == before, "a refused pull changed what is offered");
        self.computer.check()?.ok()?;
        self.still_runs("1.0")
    }

    fn metadata(&self, name: &str) -> PathBuf {
        self.vendor.repository().join("metadata").join(name)
    }

    /// The file of the newest version of a role.
    fn newest(&self, role: &str) -> Result<(u64, PathBuf)> {
        let files = files_beneath(&self.vendor.repository().join("metadata"))?;
        let versions = files.iter().filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            name.strip_suffix(&format!(".{role}.json"))?.parse::<u64>().ok()
        });
        let newest = versions.max().with_context(|| format!("no {role}"))?;
        Ok((newest, self.metadata(&format!("{newest}.{role}.json"))))
    }
}

#[test]
fn metadata_that_is_rolled_back_is_refused_and_nothing_changes() -> Result<()> {
    let scene = Scene::new()?;
    let old = scene.lab.path("old-repository");
    copy_tree(&scene.vendor.repository(), &old)?;
    scene.vendor.release_files("scanner", "1.1", &[("VERSION", "1.1")])?;
    scene.site.pull()?;
    let new = scene.lab.path("new-repository");
    copy_tree(&scene.vendor.repository(), &new)?;
    replace_tree(&old, &scene.vendor.repository())?;
    scene.pull_is_refused(&["roll", "older", "lower", "version"])?;
    replace_tree(&new, &scene.vendor.repository())?;
    scene.site.pull_and_approve("scanner:1.1")?;
    scene.computer.check()?.ok()?;
    scene.still_runs("1.1")
}

#[test]
fn metadata_that_is_mixed_from_two_publications_is_refused() -> Result<()> {
    let scene = Scene::new()?;
    for role in ["snapshot", "scanner"] {
        let (_, older) = scene.newest(role)?;
        scene.vendor.release_files("scanner", &format!("2.0-{role}"), &[("VERSION", "2.0")])?;
        let (_, newer) = scene.newest(role)?;
        ensure!(older != newer, "a release makes a new {role}");
        let sound = fs::read(&newer)?;
        fs::copy(&older, &newer)?;
        scene.pull_is_refused(&[role, "digest", "hash", "version", "length"])?;
        fs::write(&newer, sound)?;
        scene.site.pull()?;
    }
    Ok(())
}

#[test]
fn metadata_without_enough_signatures_is_refused() -> Result<()> {
    let scene = Scene::new()?;
    scene.vendor.release_files("scanner", "1.1", &[("VERSION", "1.1")])?;
    let path = scene.metadata("timestamp.json");
    let sound = fs::read(&path)?;
    let mut timestamp: serde_json::Value = serde_json::from_slice(&sound)?;
    timestamp["signatures"] = serde_json::json!([]);
    fs::write(&path, timestamp.to_string())?;
    scene.pull_is_refused(&["signature", "signed", "threshold"])?;
    fs::write(&path, sound)?;
    scene.site.pull()?;
    Ok(())
}

#[test]
fn a_payload_on_the_vendors_server_that_is_longer_shorter_or_other_than_signed_is_refused() -> Result<()> {
    let scene = Scene::new()?;
    scene.vendor.release_files("scanner", "1.1", &[("VERSION", "1.1")])?;
    let targets = files_beneath(&scene.vendor.repository().join("targets"))?;
    let payload = targets.iter().find(|path| {
        path.to_string_lossy().contains("scanner_1.1_") && path.to_string_lossy().ends_with(".tar.gz")
    });
    let payload = payload.context("a payload")?;
    let sound = fs::read(payload)?;
    let longer = [sound.as_slice(), b"and more"].concat();
    let shorter = sound[..sound.len() - 5].to_vec();
    let mut other = sound.clone();
    let middle = other.len() / 2;
    other[middle] ^= 1;
    for (what, bytes) in [("longer", longer), ("other", other), ("shorter", shorter)] {
        fs::write(payload, bytes)?;
        let output = scene.site.distributor(&["pull"])?;
        ensure!(!scene.offered()?.contains("1.1"), "a {what} payload was staged: {}", output.text());
        ensure!(!output.status.success(), "a pull with a {what} payload succeeded: {}", output.text());
        scene.still_runs("1.0")?;
    }
    fs::write(payload, sound)?;
    scene.site.pull_and_approve("scanner:1.1")?;
    scene.computer.check()?.ok()?;
    scene.still_runs("1.1")
}

fn same(payload: Vec<u8>) -> Vec<u8> {
    payload
}

/// A forged release must never become something that can be approved, and the site must say why.
fn forgery_is_refused(forgery: &Forgery<'_>, words: &[&str]) -> Result<()> {
    let scene = Scene::new()?;
    scene.vendor.forge(forgery)?;
    let output = scene.site.distributor(&["pull"])?;
    let refused = scene.site.activity_of("release_refused")?;
    let said = format!("{}{refused:?}{}", output.text(), scene.offered()?).to_lowercase();
    ensure!(words.iter().any(|word| said.contains(word)), "none of {words:?} in: {said}");
    ensure!(scene.site.activity_of("release_staged")?.len() == 1, "only 1.0 was ever staged: {said}");
    let reference = format!("scanner:{}", forgery.version);
    let approve =
        scene.site.distributor(&["updates", "approve", &reference, "--yes", "--strategy", "everyone-now"])?;
    ensure!(!approve.status.success(), "a forgery was approved");
    scene.computer.check()?.ok()?;
    scene.still_runs("1.0")?;
    // The vendor repairs it with a newer release.
    scene.site.verify_log()
}

#[test]
fn a_manifest_signed_by_a_key_that_trust_json_does_not_list_is_refused() -> Result<()> {
    forgery_is_refused(
        &Forgery {
            package: "scanner",
            from: "1.0",
            version: "6.6",
            signer: ManifestSigner::Stranger,
            edit: |_| {},
            payload: same,
        },
        &["signature", "key"],
    )
}

/// A manifest under good signatures that says something else than its place does.
fn mislabeled_manifest_is_refused(edit: fn(&mut ReleaseManifest), word: &str) -> Result<()> {
    let signer = ManifestSigner::Vendor;
    let forgery = Forgery { package: "scanner", from: "1.0", version: "6.6", signer, edit, payload: same };
    forgery_is_refused(&forgery, &[word])
}

#[test]
fn a_manifest_of_another_package_under_good_signatures_is_refused() -> Result<()> {
    let edit = |manifest: &mut ReleaseManifest| {
        if let Ok(other) = "printer".parse() {
            manifest.release.package = other;
        }
    };
    mislabeled_manifest_is_refused(edit, "printer")
}

#[test]
fn a_manifest_of_another_version_under_good_signatures_is_refused() -> Result<()> {
    let edit = |manifest: &mut ReleaseManifest| {
        if let Ok(other) = "7.7".parse() {
            manifest.release.version = other;
        }
    };
    mislabeled_manifest_is_refused(edit, "7.7")
}

#[test]
fn a_manifest_of_another_platform_under_good_signatures_is_refused() -> Result<()> {
    let edit = |manifest: &mut ReleaseManifest| {
        if let Ok(other) = "plan9-mips".parse() {
            manifest.release.platform = other;
        }
    };
    mislabeled_manifest_is_refused(edit, "plan9-mips")
}

#[test]
fn a_payload_that_is_other_than_the_manifest_says_is_refused_under_good_signatures() -> Result<()> {
    for payload in [
        (|mut bytes: Vec<u8>| {
            bytes.push(0);
            bytes
        }) as fn(Vec<u8>) -> Vec<u8>,
        |mut bytes: Vec<u8>| {
            bytes.truncate(bytes.len() - 1);
            bytes
        },
        |mut bytes: Vec<u8>| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            bytes
        },
    ] {
        forgery_is_refused(
            &Forgery {
                package: "scanner",
                from: "1.0",
                version: "6.6",
                signer: ManifestSigner::Vendor,
                edit: |_| {},
                payload,
            },
            &["payload", "length", "bytes", "digest"],
        )?;
    }
    Ok(())
}

#[test]
fn an_older_release_under_a_new_number_is_refused_by_its_counter() -> Result<()> {
    let scene = Scene::new()?;
    scene.vendor.release_files("scanner", "1.1", &[("VERSION", "1.1")])?;
    scene.site.pull()?;
    scene.vendor.forge(&Forgery {
        package: "scanner",
        from: "1.0",
        version: "6.6",
        signer: ManifestSigner::Vendor,
        // That of 1.0, the package's first: 1.1 has a higher one.
        edit: |manifest| manifest.counter = ReleaseCounter(1),
        payload: same,
    })?;
    let output = scene.site.distributor(&["pull"])?;
    let staged: Vec<String> =
        scene.site.activity_of("release_staged")?.iter().map(ToString::to_string).collect();
    ensure!(
        !staged.iter().any(|entry| entry.contains("6.6")),
        "an old counter was staged: {}",
        output.text()
    );
    scene.still_runs("1.0")
}

#[test]
fn a_forged_release_is_found_by_the_vendors_own_lint() -> Result<()> {
    let lab = Lab::new()?;
    let vendor = Vendor::new(&lab, "vendor")?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
    vendor.publisher(&["lint"])?.ok()?;
    vendor.forge(&Forgery {
        package: "scanner",
        from: "1.0",
        version: "6.6",
        signer: ManifestSigner::Stranger,
        edit: |_| {},
        payload: |mut bytes| {
            bytes.push(0);
            bytes
        },
    })?;
    let said = vendor.publisher(&["lint"])?;
    ensure!(said.status.code() == Some(1), "{}", said.text());
    // Every defect at once, and not only the first.
    ensure!(said.text().contains("minisig") || said.text().contains("signature"), "{}", said.text());
    ensure!(said.text().contains("tar.gz") || said.text().contains("payload"), "{}", said.text());
    Ok(())
}

#[test]
fn a_bit_flipped_in_the_servers_cached_metadata_stops_its_pulls_and_nothing_else() -> Result<()> {
    let mut scene = Scene::new()?;
    let cached = files_beneath(&scene.site.home().join("tuf"))?;
    ensure!(cached.len() >= 4, "root, timestamp, snapshot …: {cached:?}");
    let mut refused = String::new();
    for (index, path) in cached.iter().enumerate() {
        let (name, version) = (path.display(), format!("2.{index}"));
        scene.site.stop()?;
        let sound = fs::read(path)?;
        flip_a_bit(path)?;
        let damaged = fs::read(path)?;
        scene.vendor.release_files("scanner", &version, &[("VERSION", &version)])?;
        scene.site.serve()?;
        let output = scene.site.distributor(&["pull"])?;
        // What is fetched anew may be damaged without harm; what guards against going back may not.
        if !output.status.success() {
            let said = output.refused().with_context(|| format!("with a bit flipped in {name}"))?;
            ensure!(said.contains(&name.to_string()), "which file is damaged? {said}");
            ensure!(!scene.offered()?.contains(&version), "{version} was staged with {name} damaged");
            refused.push_str(&format!("{name} "));
        }
        scene.computer.check()?.ok()?;
        scene.still_runs("1.0")?;
        scene.site.stop()?;
        if fs::read(path)? == damaged {
            fs::write(path, sound)?;
        }
        scene.site.serve()?;
        scene.site.pull()?;
        ensure!(scene.offered()?.contains(&version), "{version} is staged once {name} is sound");
    }
    for guard in ["tuf/timestamp", "tuf/snapshot"] {
        ensure!(refused.contains(guard), "a damaged {guard} was accepted; refused were {refused}");
    }
    scene.site.verify_log()
}
