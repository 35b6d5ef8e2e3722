//! Other people's tools read what the vendor published: the original minisign, and python-tuf.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sealpost_keys::PassphraseSource;
use sealpost_keys::key_file;
use sealpost_tests::harness::{Lab, Output, Tool, Vendor, files_beneath, python_with_tuf, run, workspace};

/// The published file of a target; its name has the digest before it.
fn published(vendor: &Vendor, target: &str) -> Result<PathBuf> {
    let files = files_beneath(&vendor.repository().join("targets"))?;
    let found = files.into_iter().find(|path| path.to_string_lossy().ends_with(&format!(".{target}")));
    found.with_context(|| format!("{target} is not published"))
}

fn minisign(message: &Path, signature: &Path, key: &str) -> Result<Output> {
    let mut command = Command::new("minisign");
    command.args(["-V", "-H", "-P", key, "-m"]).arg(message).arg("-x").arg(signature);
    run(command)
}

#[test]
fn minisign_accepts_a_manifest_and_refuses_a_tampered_one() -> Result<()> {
    if !Tool::Minisign.is_here("minisign")? {
        return Ok(());
    }
    let lab = Lab::new()?;
    let vendor = Vendor::new(&lab, "vendor")?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
    let key_path = vendor.home().join("keys/packages/scanner.release.key");
    let key = key_file::read_secret(&key_path, &PassphraseSource::None)?.public().to_base64();
    let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    let manifest = published(&vendor, &format!("scanner_1.0_{platform}.manifest"))?;
    let signature = published(&vendor, &format!("scanner_1.0_{platform}.manifest.minisig"))?;

    let said = minisign(&manifest, &signature, &key)?.ok()?;
    ensure!(said.contains(&format!("release package=scanner version=1.0 platform={platform}")), "{said}");

    let tampered = lab.path("tampered");
    let mut bytes = fs::read(&manifest)?;
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    fs::write(&tampered, bytes)?;
    minisign(&tampered, &signature, &key)?.refused()?;

    let signature_text = fs::read_to_string(&signature)?;
    let renamed = lab.path("renamed.minisig");
    fs::write(&renamed, signature_text.replace("version=1.0", "version=9.0"))?;
    minisign(&manifest, &renamed, &key)?.refused()?;
    Ok(())
}

#[test]
fn python_tuf_walks_the_repository_from_its_root_and_downloads_a_target() -> Result<()> {
    if !Tool::Python.is_here("python-tuf")? {
        return Ok(());
    }
    let python = python_with_tuf()?;
    let lab = Lab::new()?;
    let mut vendor = Vendor::new(&lab, "vendor")?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
    vendor.release_files("scanner", "1.1", &[("VERSION", "1.1")])?;
    let url = vendor.serve()?;
    let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    let target = format!("scanner_1.1_{platform}.tar.gz");
    let downloaded = lab.path("downloaded");
    let walk = |root: &Path| -> Result<Output> {
        let mut command = Command::new(&python);
        command.arg(workspace().join("tests/scenarios/tuf_walk.py")).arg(root);
        command.args([&format!("{url}/metadata"), &format!("{url}/targets"), &target]).arg(&downloaded);
        run(command)
    };
    walk(&vendor.root())?.ok()?;
    ensure!(fs::read(&downloaded)? == fs::read(published(&vendor, &target)?)?, "the same bytes");

    // The root of another vendor leads nowhere.
    let other = Vendor::new(&lab, "other")?;
    walk(&other.root())?.refused()?;
    vendor.stop()
}
