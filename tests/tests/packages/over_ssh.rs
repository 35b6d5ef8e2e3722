//! A planned install over a real ssh, on a computer with systemd that has no agent yet and a network of its own: it brings the
//! agent up on the pinned host alone, by hand and by the timer that the page shows, and says why it failed.

use std::fs;

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{
    Lab, Machine, Output, Root, wait_until, workspace, write_executable, write_file,
};

use super::built::{PACKAGES, require_tools};
use super::install_file::{LEFT, SERVICE, code_in, code_is_nowhere_else, release_an_agent};
use super::line::{DISTRIBUTOR, with_a_server};

/// Nobody asks who logs in but sshd itself, and what somebody wants to run is looked at by [`AS_ASKED`].
const SSHD: &str = "UsePAM no\nForceCommand /srv/as-asked\nBanner /srv/banner\n";
/// Runs what is asked for and keeps what comes for it; meanwhile the computer gets another code, if that is wanted.
const AS_ASKED: &str = "#!/bin/bash
if [ -e /srv/replace ]; then
  rm /srv/replace
  distributor --home /var/lib/sealpost clients setup pc-1 --out /srv/other.json >/srv/replaced 2>&1
fi
tee /srv/came | bash -c \"$SSH_ORIGINAL_COMMAND\"
";
/// A banner that would clear a terminal, and ends with a line that looks like a failure of ssh.
const BANNER: &str = "\u{1b}[2J\u{1b}]0;title\u{7}\nREMOTE HOST IDENTIFICATION HAS CHANGED!\n";
const HOST_KEY: &str = "/etc/ssh/ssh_host_ed25519_key";
/// As a shell of that computer finds it.
const IDENTITY: &str = "~root/.ssh/sealpost-install";

/// Types a command of the Primary Server as root, with root's own home.
fn types(machine: &Machine, arguments: &str) -> Result<Output> {
    machine.run(&["bash", "-c", &format!("export HOME=~root; {DISTRIBUTOR} {arguments}")])
}

fn run(machine: &Machine, arguments: &str) -> Result<Output> {
    types(machine, &format!("clients schedule run --identity {IDENTITY} {arguments}"))
}

fn plan(machine: &Machine, at: &str) -> Result<String> {
    types(
        machine,
        &format!("clients schedule pc-1 --at {at} --ssh root@127.0.0.1:22 --host-key {HOST_KEY}.pub"),
    )?
    .ok()
}

/// The state in the list of computers.
fn listed(machine: &Machine) -> Result<String> {
    let list = types(machine, "clients list")?.ok()?;
    list.lines().find(|line| line.starts_with("pc-1")).map(str::to_owned).context(list)
}

/// The units that the page shows for a timer of one's own: name and text, with this server's address.
fn documented_units() -> Result<Vec<(String, String)>> {
    let page = fs::read_to_string(workspace().join("docs/operations.md"))?;
    let block = page.split("```ini\n").find(|block| block.starts_with("# ~/.config/systemd/user/"));
    let block = block.and_then(|block| block.split("```").next()).context("no units on the page")?;
    let units = block.split("# ~/.config/systemd/user/").filter_map(|unit| unit.split_once('\n'));
    let units = units.map(|(name, text)| {
        ensure!(!text.contains("server:") || text.contains("https://server:16770"), "{text}");
        Ok((name.to_owned(), text.replace("https://server:16770", "https://127.0.0.1:16770")))
    });
    units.collect()
}

/// Lays the documented units where root's own account would have them, as units of the system: a manager of its own needs a
/// session that this computer does not have. `%h` is root's home there too.
fn lay_the_timer(machine: &Machine) -> Result<()> {
    let units = documented_units()?;
    ensure!(
        units
            .iter()
            .map(|(name, _)| name.as_str())
            .eq(["sealpost-install.service", "sealpost-install.timer"])
    );
    for (name, text) in units {
        write_file(&machine.path(&format!("/etc/systemd/system/{name}")), text)?;
    }
    write_file(
        &machine.path("/etc/systemd/system/sealpost-install.service.d/home.conf"),
        "[Service]\nEnvironment=HOME=%h\n",
    )?;
    machine.shell(
        "umask 077; mkdir -p ~root/sealpost; cp /srv/ada.token ~root/sealpost/token
         cp /var/lib/sealpost/tls/ca.crt ~root/sealpost/ca.crt; systemctl daemon-reload",
    )?;
    Ok(())
}

/// A computer with a server and an sshd into which root of this computer may log in.
fn with_an_sshd(lab: &Lab) -> Result<Machine> {
    let machine = with_a_server(lab, Root::new(lab, "computer")?, &PACKAGES[..2])?;
    release_an_agent(lab, &machine)?;
    machine.shell(&format!("{DISTRIBUTOR} updates approve agent-updater:0.1.0 --yes"))?;
    write_file(&machine.path("/etc/ssh/sshd_config.d/test.conf"), SSHD)?;
    write_file(&machine.path("/srv/banner"), BANNER)?;
    write_executable(&machine.path("/srv/as-asked"), AS_ASKED)?;
    machine.shell(&format!(
        "umask 077; mkdir -p ~root/.ssh; ssh-keygen -q -t ed25519 -N '' -f {IDENTITY}
         cp {IDENTITY}.pub ~root/.ssh/authorized_keys; ssh-keygen -q -A; systemctl start ssh.service"
    ))?;
    Ok(machine)
}

/// Nothing of an install lies on the computer: no agent, no install file.
fn is_bare(machine: &Machine) -> Result<()> {
    let left = machine.shell(&format!(
        "{LEFT}; find / -xdev -path /proc -prune -o -name '.sealpost-ssh*' -print; ls /usr/local/bin"
    ))?;
    ensure!(left.is_empty(), "{left}");
    Ok(())
}

#[test]
fn a_planned_install_over_ssh_brings_a_computer_up_and_a_host_with_another_key_gets_nothing() -> Result<()> {
    require_tools("an install over ssh on a computer")?;
    let lab = Lab::new()?;
    let machine = with_an_sshd(&lab)?;

    let said = plan(&machine, "20s")?;
    ensure!(said.contains("over ssh: root@127.0.0.1:22, host key ssh-ed25519 SHA256:"), "{said}");
    ensure!(listed(&machine)?.contains("Scheduled"), "{}", listed(&machine)?);
    let early = run(&machine, "")?;
    ensure!(early.status.success() && early.stderr.contains("nothing is due; the next is pc-1"), "{early:?}");

    // Somebody else answers by the time that it is due.
    machine.shell(&format!(
        "mv {HOST_KEY} /srv/host; mv {HOST_KEY}.pub /srv/host.pub
         ssh-keygen -q -t ed25519 -N '' -f {HOST_KEY}; systemctl restart ssh.service"
    ))?;
    let mut refused = run(&machine, "")?;
    wait_until("it is due", || {
        if refused.stderr.contains("nothing is due") {
            refused = run(&machine, "")?;
        }
        Ok(!refused.stderr.contains("nothing is due"))
    })?;
    ensure!(
        refused.status.code() == Some(1) && refused.stdout.starts_with("pc-1: host key changed"),
        "{refused:?}"
    );
    ensure!(listed(&machine)?.contains("Failed (host key changed)"), "{}", listed(&machine)?);
    let shown = types(&machine, "clients show pc-1")?.ok()?;
    ensure!(shown.contains("the host shows another key than the one that was pinned"), "{shown}");
    let again = run(&machine, "")?;
    ensure!(again.status.success() && again.stdout.is_empty(), "it is not tried by itself: {again:?}");
    ensure!(!fs::exists(machine.path("/srv/came"))?, "a host with another key got something");
    is_bare(&machine)?;

    // The host is itself again. While its install goes on, somebody makes another setup file for the name.
    machine.shell(&format!(
        "mv /srv/host {HOST_KEY}; mv /srv/host.pub {HOST_KEY}.pub; systemctl restart ssh.service; touch /srv/replace"
    ))?;
    let replaced = run(&machine, "pc-1")?;
    ensure!(
        replaced.status.code() == Some(1) && replaced.stdout.starts_with("pc-1: failed over ssh"),
        "{replaced:?} {}",
        machine.shell("cat /srv/replaced")?
    );
    let state = listed(&machine)?;
    ensure!(state.contains("Failed (install failed)"), "{state}");
    let shown = types(&machine, "clients show pc-1")?.ok()?;
    ensure!(shown.contains("exit status 1: ") && !shown.contains('\u{1b}'), "{shown}");
    ensure!(machine.shell(LEFT)?.is_empty());

    // Planned anew, it is installed by the timer of the page.
    plan(&machine, "now")?;
    lay_the_timer(&machine)?;
    machine.enable(&["sealpost-install.timer"])?;
    ensure!(machine.property("sealpost-install.timer", "Triggers")? == "sealpost-install.service");
    machine
        .shell("systemctl start sealpost-install.service")
        .with_context(|| machine.about("sealpost-install.service"))?;
    let journal = machine.about("sealpost-install.service");
    ensure!(journal.contains("pc-1: installed over ssh on root@127.0.0.1:22"), "{journal}");
    machine.wait_until_active(SERVICE)?;
    wait_until("the list shows it", || Ok(listed(&machine)?.contains("Active")))
        .with_context(|| format!("{:?}{}", listed(&machine), machine.about(SERVICE)))?;
    let plans = types(&machine, "clients schedules")?;
    ensure!(plans.stderr.contains("no install is planned"), "{plans:?}");

    // What came through ssh is nowhere else, and the server got nothing that opens a computer.
    machine.shell("tail -n +2 /srv/came >/srv/came.sh")?;
    let code = code_in(&machine, "/srv/came.sh")?;
    code_is_nowhere_else(&machine, &code)?;
    ensure!(machine.shell(LEFT)?.is_empty());
    let identity = machine.shell(&format!("echo {IDENTITY}"))?;
    let copies = machine.shell(&format!(
        "sed -n 4p {IDENTITY} >/srv/credential
         grep -rlFf /srv/credential --devices=skip /etc ~root /run /srv /usr/local /var"
    ))?;
    ensure!(
        copies.lines().all(|path| [identity.as_str(), "/srv/credential"].contains(&path)),
        "the credential was copied: {copies}"
    );
    Ok(())
}
