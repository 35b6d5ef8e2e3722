//! Packages in a root without a running systemd, as the image of a computer is made.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Lab, Root};

use super::built::{Built, PACKAGES, require_tools};

/// What stays of a package that was purged: Debian's own records, the users, whose numbers must not be given away, and
/// what a start of the computer makes anew.
const KEPT: [&str; 5] = ["./var/lib/dpkg/", "./var/log/", "./etc/", "./var/tmp/", "./run/"];

/// Everything in the root but what a package system always leaves.
fn files(root: &Root) -> Result<BTreeSet<String>> {
    let found =
        root.run(&["sh", "-c", "cd / && find . -xdev -not -path './proc/*' -printf '%p %m %u\\n'"])?.ok()?;
    let keeps = |line: &&str| !KEPT.iter().any(|kept| line.starts_with(kept));
    Ok(found.lines().filter(keeps).map(str::to_owned).collect())
}

fn dpkg(root: &Root, arguments: &[&str]) -> Result<String> {
    root.run(&[&["dpkg"], arguments].concat())?.ok()
}

fn agent_package<'p>(packages: &[&'p str]) -> Result<&'p str> {
    let mut named = packages.iter().filter(|path| path.contains("sealpost-agent"));
    named.next().copied().context("no package of the agent")
}

#[test]
fn packages_install_upgrade_and_go_without_a_trace_and_state_goes_with_a_purge_only() -> Result<()> {
    require_tools("packages in an image")?;
    let lab = Lab::new()?;
    let root = Root::new(&lab, "image")?;
    let before = files(&root)?;
    let settings_before = fs::read_dir(root.path("etc"))?.count();

    let old = Built::of_version(&lab, "0.1.0")?.lay_into(&root.path("/"))?;
    let old: Vec<&str> = old.iter().map(String::as_str).collect();
    let said = dpkg(&root, &[&["-i"], old.as_slice()].concat())?;
    ensure!(said.matches("nothing runs yet").count() == 3, "{said}");
    for (program, home, user) in
        [("distributor", "sealpost", "sealpost"), ("publisher", "sealpost-publisher", "sealpost-publisher")]
    {
        let version = root.run(&[program, "--version"])?.ok()?;
        ensure!(version.starts_with(program), "{version}");
        let stat = root.run(&["stat", "-c", "%U %a", &format!("/var/lib/{home}")])?.ok()?;
        ensure!(stat.trim() == format!("{user} 700"), "{stat}");
        let shell = root.run(&["sh", "-c", &format!("getent passwd {user} | cut -d: -f7")])?.ok()?;
        ensure!(shell.trim().ends_with("nologin"), "{shell}");
    }
    root.run(&["agent-updater", "--version"])?.ok()?;
    let wanted = root.run(&["sh", "-c", "find /etc/systemd -name 'sealpost*'"])?.ok()?;
    ensure!(wanted.is_empty(), "something is enabled: {wanted}");
    for file in [
        "usr/share/man/man1/publisher-serial-new.1.gz",
        "usr/share/man/man1/agent-updater-run.1.gz",
        "usr/share/bash-completion/completions/distributor",
        "usr/lib/systemd/system/sealpost-distributor.socket",
        "usr/share/doc/sealpost-agent/strict.conf",
    ] {
        ensure!(root.path(file).is_file(), "{file} is missing");
    }
    let units = "systemd-analyze verify --man=no /usr/lib/systemd/system/sealpost-*";
    let said = root.run(&["sh", "-c", units])?;
    ensure!(said.status.success() && said.text().is_empty(), "{}", said.text());
    // A program where a package laid it has no other units written over the package's.
    let next =
        root.run(&["agent-updater", "install-service", "--program", "/usr/bin/agent-updater"])?.ok()?;
    ensure!(next.contains("a package brought the units already"), "{next}");

    // The package lays no home of the agent: that is no slip in a name.
    let fresh = root.run(&["agent-updater", "status"])?;
    ensure!(fresh.status.code() == Some(1), "{}", fresh.text());
    ensure!(fresh.text().contains("not enrolled: `agent-updater enroll --setup FILE`"), "{}", fresh.text());

    // State, settings of the admin, and a product.
    fs::write(root.path("var/lib/sealpost/distributor.toml"), "")?;
    fs::write(root.path("var/lib/sealpost-publisher/vendor.toml"), "")?;
    let agent = root.path("var/lib/sealpost-agent");
    fs::create_dir_all(agent.join("keys"))?;
    fs::write(agent.join("keys/client.key"), "")?;
    fs::create_dir_all(agent.join("products/scanner"))?;
    fs::create_dir_all(agent.join("gate"))?;
    fs::write(root.path("etc/default/sealpost-agent"), "AGENT_RUN=\nSEALPOST_LOG=debug\n")?;

    let new = Built::of_version(&lab, "0.2.0")?.lay_into(&root.path("/"))?;
    let new: Vec<&str> = new.iter().map(String::as_str).collect();
    let said = dpkg(&root, &[&["-i"], new.as_slice()].concat())?;
    ensure!(!said.contains("nothing runs yet"), "{said}");
    let version = dpkg(&root, &["-s", "sealpost-distributor"])?;
    ensure!(version.contains("Version: 0.2.0"), "{version}");
    let settings = fs::read_to_string(root.path("etc/default/sealpost-agent"))?;
    ensure!(settings.contains("debug"), "an upgrade took the admin's settings: {settings}");

    let said = dpkg(&root, &[&["-r"], PACKAGES.as_slice()].concat())?;
    ensure!(said.matches("stays").count() == 3, "{said}");
    for state in
        ["sealpost/distributor.toml", "sealpost-publisher/vendor.toml", "sealpost-agent/keys/client.key"]
    {
        ensure!(root.path("var/lib").join(state).is_file(), "{state} went without a purge");
    }
    ensure!(!root.path("usr/bin/distributor").exists());

    let said = dpkg(&root, &[&["-P"], PACKAGES.as_slice()].concat())?;
    ensure!(said.matches("removing").count() >= 3, "it does not say what it removes: {said}");
    ensure!(
        agent.join("products/scanner").is_dir() && agent.join("gate").is_dir(),
        "products went with the agent"
    );
    ensure!(!agent.join("keys").exists());
    fs::remove_dir_all(&agent)?;

    // Products lie wherever `install_root` says, also in the home; what is mounted there is somebody else's.
    dpkg(&root, &["-i", agent_package(&new)?])?;
    for name in ["apps/scanner/slots", "disk", "keys"] {
        fs::create_dir_all(agent.join(name))?;
    }
    for name in ["apps/.sealpost-install-root", "apps/scanner/slots/engine", "keys/client.key"] {
        fs::write(agent.join(name), "")?;
    }
    let purge = "mount -t tmpfs none /var/lib/sealpost-agent/disk && touch /var/lib/sealpost-agent/disk/kept && \
                 dpkg -P sealpost-agent && ls /var/lib/sealpost-agent/disk && umount /var/lib/sealpost-agent/disk";
    let said = root.run(&["sh", "-c", purge])?.ok()?;
    ensure!(said.contains("kept") && said.contains("removing the computer's identity"), "{said}");
    ensure!(agent.join("apps/scanner/slots/engine").is_file() && !agent.join("keys").exists(), "{said}");
    fs::remove_dir_all(&agent)?;

    // The home may be a link to a larger disk, an older agent may have its products in the home itself, and a bind mount
    // has the device of the home.
    dpkg(&root, &["-i", agent_package(&new)?])?;
    for name in ["srv/real home/keys", "srv/real home/tuf/my data", "srv/elsewhere", "srv/apps"] {
        fs::create_dir_all(root.path(name))?;
    }
    fs::create_dir_all(root.path("srv/real home/hello/slots"))?;
    for name in ["elsewhere/data", "apps/.sealpost-install-root", "real home/.sealpost-install-root"] {
        fs::write(root.path("srv").join(name), "")?;
    }
    let purge = "ln -s '/srv/real home' /var/lib/sealpost-agent && ln -s /srv/apps /var/lib/sealpost-agent/apps && \
                 mount --bind /srv/elsewhere '/srv/real home/tuf/my data' && dpkg -P sealpost-agent && \
                 umount '/srv/real home/tuf/my data'";
    root.run(&["sh", "-c", purge])?.ok()?;
    for name in ["elsewhere/data", "real home/hello/slots", "real home/apps", "apps/.sealpost-install-root"] {
        // A link is looked at itself: it leads somewhere in the image only.
        let kept = fs::symlink_metadata(root.path("srv").join(name));
        kept.with_context(|| format!("{name} went with the agent"))?;
    }
    ensure!(!root.path("srv/real home/keys").exists());
    fs::remove_file(&agent)?;
    for name in ["real home", "elsewhere", "apps"] {
        fs::remove_dir_all(root.path("srv").join(name))?;
    }

    // Products that run elsewhere read the gate beneath the home all the same; an empty home goes whole.
    for (is_gate_used, name) in [(true, "gate"), (false, "products")] {
        dpkg(&root, &["-i", agent_package(&new)?])?;
        fs::create_dir_all(agent.join(name))?;
        if is_gate_used {
            fs::write(agent.join("gate/scanner"), "")?;
        }
        let said = dpkg(&root, &["-P", "sealpost-agent"])?;
        ensure!(agent.join("gate/scanner").is_file() == is_gate_used, "{said}");
        ensure!(agent.exists() == is_gate_used && said.contains("stays, with") == is_gate_used, "{said}");
        ensure!(!said.contains("rmdir"), "a folder that stays is no error: {said}");
        if is_gate_used {
            fs::remove_dir_all(&agent)?;
        }
    }
    let after = files(&root)?;
    let left: Vec<&String> = after.symmetric_difference(&before).collect();
    ensure!(left.is_empty(), "packages left or took: {left:?}");
    ensure!(fs::read_dir(root.path("etc"))?.count() <= settings_before + 2, "settings stay in /etc");
    let audit = dpkg(&root, &["--audit"])?;
    ensure!(audit.is_empty(), "{audit}");
    Ok(())
}
