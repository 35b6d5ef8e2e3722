//! What a purge removes and what it keeps: the scripts of the packages alone, with a home beneath a folder of the test, in
//! a mount namespace of their own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::workspace;

const MARK: &str = ".sealpost-install-root";

/// A folder in which a purge is tried: the home, and what lies around it.
struct Ground {
    folder: tempfile::TempDir,
    script: String,
}

impl Ground {
    /// `package` is the folder of the scripts, `home` the line of its script that names the home.
    fn new(package: &str, home: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = workspace().join("packaging/debian").join(package).join("postrm");
        let text = fs::read_to_string(path)?;
        let line = format!("home={home}\n");
        ensure!(text.contains(&line), "the script has no line {line}");
        // There may be a service manager here, which is none of the test's business.
        let script = text
            .replace(&line, &format!("home='{}'\n", folder.path().join("home").display()))
            .replace("/run/systemd/system", "/nonexistent");
        fs::create_dir(folder.path().join("home"))?;
        Ok(Self { folder, script })
    }

    fn of_agent() -> Result<Self> {
        let ground = Self::new("agent-updater", "/var/lib/sealpost-agent")?;
        ground.lay(&["home/keys/client.key", "home/agent.toml", "home/state/vendor.json"])?;
        Ok(ground)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes files, and the folders that they are in.
    fn lay(&self, files: &[&str]) -> Result<()> {
        for file in files {
            let path = self.path(file);
            fs::create_dir_all(path.parent().context("a file in no folder")?)?;
            fs::write(path, "kept")?;
        }
        Ok(())
    }

    /// Purges; before it, the folders on the left are bound over those on the right. Prints what it said.
    fn purge(&self, mounts: &[(&str, &str)]) -> Result<String> {
        let mut script = String::from("set -e\n");
        for (from, to) in mounts {
            script += &format!("mount --bind \"{from}\" \"{to}\"\n");
        }
        script += "exec sh postrm purge";
        fs::write(self.path("postrm"), &self.script)?;
        let said = Command::new("unshare")
            .args(["--mount", "--map-root-user", "sh", "-c", &script])
            .current_dir(self.folder.path())
            .output()
            .context("cannot start unshare")?;
        let text =
            format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        ensure!(said.status.success(), "the purge failed: {text}");
        Ok(text)
    }

    fn ensure(&self, kept: &[&str], gone: &[&str]) -> Result<()> {
        let is_there = |name: &&&str| fs::symlink_metadata(self.path(name)).is_ok();
        let lost: Vec<_> = kept.iter().filter(|name| !is_there(name)).collect();
        let left: Vec<_> = gone.iter().filter(is_there).collect();
        ensure!(lost.is_empty() && left.is_empty(), "lost: {lost:?}, left: {left:?}");
        Ok(())
    }
}

fn is_gone(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err()
}

#[test]
fn a_purge_of_the_agent_takes_what_it_made_and_nothing_else() -> Result<()> {
    let ground = Ground::of_agent()?;
    ground.lay(&[
        "home/notes.txt",
        "home/.hidden",
        "home/apps/a",
        "home/.unfinished-1",
        "home/self/watch.lock",
    ])?;
    let said = ground.purge(&[])?;
    ground.ensure(
        &["home/notes.txt", "home/.hidden", "home/apps/a"],
        &["home/keys", "home/agent.toml", "home/state", "home/self", "home/.unfinished-1"],
    )?;
    ensure!(said.contains("removing the computer's identity") && said.contains("stays, with"), "{said}");
    // With nothing else in it, the home goes too.
    let ground = Ground::of_agent()?;
    ground.purge(&[])?;
    ensure!(is_gone(&ground.path("home")), "an empty home stays");
    Ok(())
}

#[test]
fn a_purge_of_the_agent_never_empties_what_is_mounted_in_its_home() -> Result<()> {
    for at in ["my data", "tuf", "tuf/my data", "tuf/a\ttab", "tuf/back\\040slash"] {
        let ground = Ground::of_agent()?;
        ground.lay(&["elsewhere/data"])?;
        fs::create_dir_all(ground.path("home").join(at))?;
        ground.purge(&[("elsewhere", &format!("home/{}", at.replace('\\', "\\\\")))])?;
        ground.ensure(&["elsewhere/data"], &["home/keys", "home/state"]).context(at)?;
    }
    // The home itself may be mounted, or have a name that the kernel writes by numbers.
    let ground = Ground::of_agent()?;
    ground.lay(&["disk/keys/client.key", "disk/other"])?;
    ground.purge(&[("disk", "home")])?;
    ground.ensure(&["disk/other", "home/keys/client.key"], &["disk/keys"])
}

#[test]
fn a_home_that_is_a_link_is_purged_where_it_lies_and_mounts_in_it_are_kept() -> Result<()> {
    for real in ["real", "real home", "real\\home"] {
        let ground = Ground::of_agent()?;
        ground.lay(&["elsewhere/data"])?;
        fs::rename(ground.path("home"), ground.path(real))?;
        symlink(real, ground.path("home"))?;
        fs::create_dir_all(ground.path("home/tuf/deep"))?;
        ground.purge(&[("elsewhere", "home/tuf/deep")])?;
        ground.ensure(&["elsewhere/data", "home/tuf/deep"], &["home/keys", "home/state"]).context(real)?;
        // Without the mount it goes, and the link with it.
        ground.purge(&[])?;
        ground.ensure(&["elsewhere/data"], &["home", real])?;
    }
    Ok(())
}

#[test]
fn the_key_of_a_further_server_is_the_computers_identity_too_and_goes_with_the_others() -> Result<()> {
    let ground = Ground::of_agent()?;
    fs::remove_file(ground.path("home/keys/client.key"))?;
    ground.lay(&["home/keys/server-of-the-test.key"])?;
    let said = ground.purge(&[])?;
    ensure!(said.contains("removing the computer's identity"), "{said}");
    ground.ensure(&[], &["home"])
}

#[test]
fn products_stay_wherever_the_install_root_of_an_older_agent_is() -> Result<()> {
    // The home itself, with a product that has the name of one of the agent's folders.
    let ground = Ground::of_agent()?;
    let home = [&format!("home/{MARK}"), "home/hello/slots/1/engine", "home/self/slots/1/engine"];
    ground.lay(&home)?;
    ground.purge(&[])?;
    ground.ensure(&home, &["home/keys", "home/state"])?;
    // One of the agent's own folders, also as a link.
    let ground = Ground::of_agent()?;
    let inside = [&format!("home/state/{MARK}"), "home/state/hello/slots/1/engine"];
    ground.lay(&inside)?;
    ground.lay(&[&format!("disk/{MARK}"), "disk/hello/current"])?;
    symlink("../disk", ground.path("home/downloads"))?;
    symlink("../disk", ground.path("home/apps"))?;
    ground.purge(&[])?;
    ground.ensure(&inside, &["home/keys"])?;
    ground.ensure(&["disk/hello/current", "home/downloads/hello", "home/apps/hello"], &[])
}

#[test]
fn a_purge_of_a_server_or_a_vendor_takes_its_home_but_nothing_that_is_mounted_in_it() -> Result<()> {
    for (package, home, settings) in [
        ("distributor", "/var/lib/sealpost", "distributor.toml"),
        ("publisher", "/var/lib/sealpost-publisher", "vendor.toml"),
    ] {
        let settings = format!("home/{settings}");
        let ground = Ground::new(package, home)?;
        ground.lay(&[&settings, "home/keys/a.key", "home/.hidden", "elsewhere/data"])?;
        fs::create_dir(ground.path("home/my data"))?;
        let said = ground.purge(&[("elsewhere", "home/my data")])?;
        ensure!(said.contains("something is mounted in it"), "{said}");
        ground.ensure(&["elsewhere/data", &settings, "home/keys/a.key"], &[])?;
        fs::rename(ground.path("home"), ground.path("real home"))?;
        symlink("real home", ground.path("home"))?;
        let said = ground.purge(&[])?;
        ensure!(said.contains("removing"), "{said}");
        ground.ensure(&["elsewhere/data"], &["home", "real home"])?;

        // A disk of its own is emptied; a folder that was never made a home is not.
        let ground = Ground::new(package, home)?;
        ground.lay(&[&settings.replace("home", "disk"), "disk/ledger.db"])?;
        ground.purge(&[("disk", "home")])?;
        ground.ensure(&["disk", "home"], &["disk/ledger.db"])?;
        let ground = Ground::new(package, home)?;
        ground.lay(&["home/other"])?;
        ground.purge(&[])?;
        ground.ensure(&["home/other"], &[])?;
    }
    Ok(())
}
