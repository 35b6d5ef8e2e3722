//! What happens in one round, and what goes wrong meanwhile.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sealpost_test_support::folders::{make_writable, set_mode};
use sealpost_tests::harness::{self, copy_tree, files_beneath};

use super::chance::Chance;
use super::rings;
use super::scene::{MOMENT, PACKAGE, Scene, text};

/// Bytes that a full disk still has.
const REST: u64 = 8 * 1024;

/// One round; what it was, in words.
pub(crate) fn run(scene: &mut Scene, chance: &mut Chance) -> Result<String> {
    match chance.below(10) {
        0 => release_with_kills(scene, chance),
        1 => approval_with_kills(scene, chance),
        2 | 3 => agents_with_kills(scene, chance),
        4 => reservations_while_the_server_is_killed(scene, chance),
        5 => a_bad_release(scene, chance),
        6 => full_disk(scene, chance),
        7 => rings::a_good_release(scene, chance),
        8 => rings::a_bad_release(scene, chance),
        _ => flipped_bits(scene, chance),
    }
}

/// The vendor's release is killed, and made again.
fn release_with_kills(scene: &mut Scene, chance: &mut Chance) -> Result<String> {
    let (version, folder) = scene.draft(true)?;
    let home = scene.vendor.home().to_owned();
    let arguments = [
        "--home",
        text(&home)?,
        "release",
        text(&folder)?,
        "--package",
        PACKAGE,
        "--version",
        &version,
        "--kind",
        "program",
        "--channel",
        "stable",
    ];
    for _ in 0..=chance.below(3) {
        let child = scene.start("publisher", &arguments)?;
        scene.kill_after(child, chance.moment(MOMENT))?;
    }
    // A killed release is there whole, or is made now; then it is refused only because it is there.
    let again = scene.vendor.publisher(&arguments[2..])?;
    scene.site.pull().with_context(|| format!("{version}, released again: {}", again.text()))?;
    scene.site.approve(&format!("{PACKAGE}:{version}")).with_context(|| again.text())?;
    scene.is_approved(version.clone());
    fs::remove_dir_all(folder)?;
    Ok(format!("release of {version} with kills"))
}

/// The server is killed while it pulls and while an admin approves.
fn approval_with_kills(scene: &mut Scene, chance: &mut Chance) -> Result<String> {
    let version = scene.release(true)?;
    let home = scene.site.home().to_owned();
    let reference = format!("{PACKAGE}:{version}");
    let commands: [&[&str]; 2] =
        [&["pull"], &["updates", "approve", &reference, "--yes", "--strategy", "everyone-now"]];
    for command in commands {
        for _ in 0..=chance.below(2) {
            let arguments = [&["--home", text(&home)?], command].concat();
            let mut child = scene.start("distributor", &arguments)?;
            std::thread::sleep(chance.moment(MOMENT));
            scene.site.kill_9()?;
            scene.kills += 1;
            child.wait()?;
            scene.site.serve().context("after a kill")?;
        }
    }
    scene.site.pull()?;
    scene.site.approve(&reference)?;
    scene.is_approved(version);
    Ok(format!("approval of {reference} with kills of the server"))
}

/// Agents install a new version, each killed some times.
fn agents_with_kills(scene: &mut Scene, chance: &mut Chance) -> Result<String> {
    let version = scene.update()?;
    let homes: Vec<PathBuf> = scene.computers.iter().map(|computer| computer.home().to_owned()).collect();
    for _ in 0..=chance.below(3) {
        let mut children = Vec::new();
        for home in &homes {
            children.push(scene.start("agent-updater", &["--home", text(home)?, "check"])?);
        }
        for child in children {
            scene.kill_after(child, chance.moment(MOMENT))?;
        }
        if chance.one_in(3) {
            scene.site.kill_9()?;
            scene.kills += 1;
            scene.site.serve().context("after a kill")?;
        }
    }
    Ok(format!("install of {version} with kills of agents"))
}

fn reservations_while_the_server_is_killed(scene: &mut Scene, chance: &mut Chance) -> Result<String> {
    let home = scene.site.home().to_owned();
    let mut children = Vec::new();
    let first = scene.reserved.len();
    for number in 0..4 + chance.below(6) {
        let name = format!("extra-{first}-{number}");
        let child = scene.start("distributor", &["--home", text(&home)?, "clients", "reserve", &name])?;
        children.push((name, child));
    }
    std::thread::sleep(chance.moment(MOMENT));
    scene.site.kill_9()?;
    scene.kills += 1;
    for (name, mut child) in children {
        if child.wait()?.success() {
            scene.reserved.insert(name);
        }
    }
    scene.site.serve().context("after a kill")?;
    Ok(format!("{} reservations were answered before a kill", scene.reserved.len() - first))
}

/// An approved release fails its health check everywhere: all stay with the one before.
fn a_bad_release(scene: &mut Scene, chance: &mut Chance) -> Result<String> {
    let version = scene.release(false)?;
    let reference = format!("{PACKAGE}:{version}");
    scene.site.pull_and_approve(&reference)?;
    let homes: Vec<PathBuf> = scene.computers.iter().map(|computer| computer.home().to_owned()).collect();
    for home in &homes {
        let child = scene.start("agent-updater", &["--home", text(home)?, "check"])?;
        let moment = chance.moment(MOMENT * 2);
        scene.kill_after(child, moment)?;
    }
    scene.site.distributor(&["updates", "halt", &reference, "--reason", "it is bad"])?.ok()?;
    // What was interrupted on trial is ended by the next look.
    for computer in &scene.computers {
        computer.check()?;
    }
    let version = scene.update()?;
    Ok(format!("{reference} is bad and halted, then {version}"))
}

/// The disk is full while everybody works, and has room again.
fn full_disk(scene: &mut Scene, chance: &mut Chance) -> Result<String> {
    if std::env::var_os("SEALPOST_SMALL_DISK").is_none() {
        return agents_with_kills(scene, chance);
    }
    let version = scene.update()?;
    let filler = scene.lab.path("filler");
    let leaves = REST + chance.below(200_000);
    fill(&filler, scene.free_bytes()?.saturating_sub(leaves))?;
    scene.full_disks += 1;
    let mut answered = Vec::new();
    for number in 0..1 + chance.below(3) {
        let name = format!("full-{}-{number}", scene.reserved.len());
        if scene.site.distributor(&["clients", "reserve", &name])?.status.success() {
            answered.push(name);
        }
    }
    for computer in &scene.computers {
        let said = computer.check()?;
        ensure!(said.status.code().is_some_and(|code| code < 100), "on a full disk: {}", said.text());
    }
    let restarts = chance.one_in(2);
    if restarts {
        scene.site.kill_9()?;
        scene.kills += 1;
    }
    fs::remove_file(filler)?;
    if restarts {
        scene.site.serve().context("after a kill on a full disk")?;
    }
    scene.reserved.extend(answered);
    Ok(format!("install of {version} on a disk that is full but for {leaves} bytes"))
}

fn fill(path: &Path, bytes: u64) -> Result<()> {
    let mut file = fs::File::create(path)?;
    let block = vec![7; 64 * 1024];
    let mut left = bytes;
    while left > 0 {
        let now = usize::try_from(left.min(block.len() as u64))?;
        file.write_all(&block[..now])?;
        left -= now as u64;
    }
    Ok(())
}

/// Bits flip in copies of homes that nobody uses: programs say what is damaged, and never fall over it.
fn flipped_bits(scene: &mut Scene, chance: &mut Chance) -> Result<String> {
    let copy = scene.lab.path("copy");
    let is_site = chance.one_in(3);
    let from = match is_site {
        true => {
            scene.site.stop()?;
            scene.site.home().to_owned()
        }
        false => scene.computers[chance.index(scene.computers.len())].home().to_owned(),
    };
    copy_tree(&from, &copy)?;
    if is_site {
        scene.site.serve()?;
    }
    let flipped = flip(&copy, chance)?;
    scene.flips += 1;
    let commands: &[(&str, &[&str])] = match is_site {
        true => &[("distributor", &["log", "verify"]), ("distributor", &["status"])],
        false => &[("agent-updater", &["status"]), ("agent-updater", &["audit"])],
    };
    for (program, arguments) in commands {
        let mut command = scene.lab.programs().command(program);
        command.arg("--home").arg(&copy).args(*arguments);
        let ended = harness::run(command)?;
        let place = format!("with a flipped bit in {}: {}", flipped.display(), ended.text());
        ensure!(
            ended.status.code().is_some_and(|code| code < 100),
            "{program} {arguments:?} fell over {place}"
        );
        ensure!(!ended.text().contains("panicked"), "{program} {arguments:?} fell over {place}");
        if *arguments == ["audit"] && is_of_the_product(&copy, &flipped) {
            ensure!(!ended.status.success(), "the audit finds nothing {place}");
        }
    }
    make_writable(&copy);
    fs::remove_dir_all(&copy)?;
    let flipped = flipped.strip_prefix(&copy).unwrap_or(&flipped);
    Ok(format!("a flipped bit in {} of a copy", flipped.display()))
}

fn flip(copy: &Path, chance: &mut Chance) -> Result<PathBuf> {
    let is_candidate =
        |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() > 0);
    let files: Vec<PathBuf> = files_beneath(copy)?.into_iter().filter(is_candidate).collect();
    let chosen = files.get(chance.index(files.len())).context("a file")?.clone();
    let mut bytes = fs::read(&chosen)?;
    let at = chance.index(bytes.len());
    bytes[at] ^= 1 << chance.below(8);
    let mode = fs::metadata(&chosen)?.permissions();
    set_mode(&chosen, 0o600)?;
    fs::write(&chosen, bytes)?;
    fs::set_permissions(&chosen, mode)?;
    Ok(chosen)
}

/// Whether a file is one of the release that is installed.
fn is_of_the_product(home: &Path, file: &Path) -> bool {
    let link = home.join("products").join(PACKAGE).join("current");
    let Ok(slot) = fs::read_link(&link) else { return false };
    file.starts_with(link.parent().unwrap_or(home).join(slot))
}
