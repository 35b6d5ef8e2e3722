//! Prints what one update moves between an agent and its server, both ways, TLS and metadata included.
//!
//!     SEALPOST_PROGRAMS=target/release cargo run --release -p sealpost-tests --example update OLD.tar NEW.tar [--json]
//!
//! The tars hold a release each. `tests/bench/updates` runs it on pinned pairs of real packages. Nothing here is a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sealpost_tests::harness::{Computer, Connection, Lab, Relay};

/// The package; its releases are taken for signature files, which need no hooks.
const PACKAGE: &str = "measured";

#[expect(clippy::print_stdout, reason = "the figures are this program's output")]
fn main() -> Result<()> {
    let (flags, tars): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let [old, new] = tars.as_slice() else { bail!("give two tars: OLD.tar NEW.tar [--json]") };
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(1)?;
    let release = |tar: &str, revision: &str| -> Result<PathBuf> {
        let folder = unpacked(Path::new(tar), &lab.path(&format!("release-{revision}")))?;
        vendor.release_signatures(&folder, PACKAGE, revision)?;
        site.pull_and_approve(&format!("{PACKAGE}:{revision}"))?;
        Ok(folder)
    };
    release(old, "1")?;
    let relay = Relay::before(site.port()?)?;
    let computer = Computer::reserved(&lab, &site, "pc", &vendor.root())?;
    computer.lead_through(relay.port())?;
    computer.enroll()?.ok()?;
    computer.check()?.ok()?;
    let first: u64 = relay.take().iter().map(Connection::total).sum();
    release(new, "2")?;
    drop(relay.take());
    computer.check()?.ok()?;
    let update: u64 = relay.take().iter().map(Connection::total).sum();
    let came = site.wait_for_activity("step_reported", &["\"by_delta\"", PACKAGE])?;
    let way = came.split_once("\"way\":\"").and_then(|(_, rest)| rest.split('"').next());
    let way = way.context("the report names the way")?;
    ensure!(update < first, "an update moves {update} bytes, and the first install {first}");
    if flags.iter().any(|flag| flag == "--json") {
        println!("{}", serde_json::json!({ "first_bytes": first, "update_bytes": update, "way": way }));
    } else {
        println!("the first install moves {first} bytes, the update {update}, by {way}");
    }
    Ok(())
}

fn unpacked(tar: &Path, folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let status = Command::new("tar").arg("-xf").arg(tar).arg("-C").arg(folder).status().context("run tar")?;
    ensure!(status.success(), "tar cannot unpack {}", tar.display());
    Ok(folder.to_owned())
}
