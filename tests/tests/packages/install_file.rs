//! An install file on a computer with systemd that has no agent yet: it brings the agent up, a second run changes nothing, and it
//! takes itself back.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Lab, Machine, Root, wait_until, write_executable};

use super::built::{PACKAGES, require_tools};
use super::line::{DISTRIBUTOR, PUBLISHER, with_a_server};

const SERVICE: &str = "sealpost-agent.service";
/// What an install file may change, with what lies there.
const TREE: &str = "find /etc /usr /opt /root /var/lib /run/systemd/system -xdev -path '/var/lib/sealpost' -prune -o \
    -path '/var/lib/sealpost-publisher' -prune -o -path '/var/lib/systemd' -prune -o -printf '%p %y %m %s %T@\\n' | sort | sha256sum";
/// The file's path on the computer, in a temporary folder from which nothing may be executed.
const FILE: &str = "/tmp/install-pc-1.sh";

/// The agent's own program, approved as a release.
fn approve_an_agent(lab: &Lab, machine: &Machine) -> Result<()> {
    let program = machine.path("/srv/agent/agent-updater");
    write_executable(&program, fs::read(lab.programs().folder().join("agent-updater"))?)?;
    // Without what a debugger needs, if that can be had.
    drop(Command::new("strip").arg(&program).status());
    machine.shell("chmod -R a+rX /srv/agent")?;
    machine.shell(&format!(
        "{PUBLISHER} release /srv/agent --package agent-updater --version 0.1.0 --kind agent --channel stable"
    ))?;
    machine
        .shell(&format!("{DISTRIBUTOR} pull && {DISTRIBUTOR} updates approve agent-updater:0.1.0 --yes"))?;
    Ok(())
}

/// How each step went, by its first word: `program done`.
fn steps(said: &str) -> Vec<String> {
    let words = |line: &str| {
        let mut words = line.split_whitespace();
        let what = words.next().unwrap_or_default().to_owned();
        let how = words.take_while(|word| ["done", "was", "so", "would", "do", "by", "hand"].contains(word));
        format!("{what} {}", how.collect::<Vec<_>>().join(" "))
    };
    said.lines().map(words).collect()
}

#[test]
fn an_install_file_brings_a_computer_up_and_takes_itself_back() -> Result<()> {
    require_tools("an install file on a computer")?;
    let lab = Lab::new()?;
    let machine = with_a_server(&lab, Root::new(&lab, "computer")?, &PACKAGES[..2])?;
    approve_an_agent(&lab, &machine)?;
    machine.shell("mount -t tmpfs -o noexec,mode=1777 tmpfs /tmp")?;
    let made = machine.shell(&format!("{DISTRIBUTOR} clients setup pc-1 --installer {FILE} --json"))?;
    let made: serde_json::Value = serde_json::from_str(&made)?;
    let key = made["site_key"].as_str().context("a key")?;
    ensure!(machine.shell(&format!("stat -c %a {FILE}"))? == "700");

    // Whoever checks it has it from elsewhere: the computer's /tmp is seen from its inside alone.
    let (file, signature) = (lab.path("install.sh"), lab.path("install.sh.minisig"));
    for (inside, outside) in [(FILE.to_owned(), &file), (format!("{FILE}.minisig"), &signature)] {
        machine.shell(&format!("cp {inside} /srv/copied"))?;
        fs::copy(machine.path("/srv/copied"), outside)?;
    }
    let verifies = || -> Result<bool> {
        Ok(Command::new("minisign").args(["-V", "-q", "-P", key, "-m"]).arg(&file).status()?.success())
    };
    ensure!(verifies()?, "minisign refuses the install file");
    let mut changed = fs::read(&file)?;
    changed[40] ^= 1;
    fs::write(&file, changed)?;
    ensure!(!verifies()?, "minisign takes a changed install file");

    let before = machine.shell(TREE)?;
    let said = machine.shell(&format!("sh {FILE} --dry-run"))?;
    ensure!(
        steps(&said) == ["program would do", "enrollment would do", "service would do", "start would do"],
        "{said}"
    );
    ensure!(machine.shell(TREE)? == before, "a dry run changed something: {said}");

    let said = machine.shell(&format!("sh {FILE}"))?;
    ensure!(steps(&said) == ["program done", "enrollment done", "service done", "start done"], "{said}");
    machine.wait_until_active(SERVICE)?;
    wait_until("the server has heard the computer", || {
        Ok(machine
            .shell(&format!("{DISTRIBUTOR} clients list --json"))?
            .contains("\"agent_version\": \"0.1.0\"")
            || machine
                .shell(&format!("{DISTRIBUTOR} clients show pc-1 --json"))?
                .contains("\"last_contact\""))
    })
    .with_context(|| machine.about(SERVICE))?;
    // The code stands in no log and in no list of processes.
    let code = machine.shell(&format!(
        "at=$(sed -n 's/^payload_at=//p' {FILE} | head -n 1); tail -c +$at {FILE} | tar -xzOf - setup.json | \
         grep -o '\"enrollment_code\":\"[^\"]*' | cut -d '\"' -f 4"
    ))?;
    ensure!(code.len() > 20, "{code}");
    let leaks = machine.shell(&format!(
        "journalctl --no-pager | grep -c '{code}' || true; grep -rl '{code}' /var/log /run 2>/dev/null || true"
    ))?;
    ensure!(leaks == "0", "the code leaked: {leaks}");

    let after = machine.shell(
        TREE.split_once(" /var/lib")
            .map_or(TREE, |_| "find /etc /usr -xdev -printf '%p %T@\\n' | sort | sha256sum"),
    )?;
    let said = machine.shell(&format!("sh {FILE}"))?;
    ensure!(
        steps(&said) == ["program was so", "enrollment was so", "service was so", "start was so"],
        "a second run: {said}"
    );
    ensure!(machine.shell("find /etc /usr -xdev -printf '%p %T@\\n' | sort | sha256sum")? == after, "{said}");

    machine.shell(
        "mkdir -p /var/lib/sealpost-agent/products/mine && touch /var/lib/sealpost-agent/products/mine/file",
    )?;
    let said = machine.shell(&format!("sh {FILE} --uninstall"))?;
    ensure!(steps(&said) == ["service done", "program done", "home was so"], "{said}");
    ensure!(said.contains("/var/lib/sealpost-agent stays"), "{said}");
    machine.shell(
        "test ! -e /usr/local/bin/agent-updater && test -e /var/lib/sealpost-agent/products/mine/file && \
         test -z \"$(find /etc/systemd -name 'sealpost-agent*')\"",
    )?;
    ensure!(machine.property(SERVICE, "ActiveState")? == "inactive");
    let said = machine.shell(&format!("sh {FILE} --uninstall"))?;
    ensure!(steps(&said) == ["service was so", "program was so", "home was so"], "{said}");

    // What it brought comes back, and the computer is the same.
    let said = machine.shell(&format!("sh {FILE}"))?;
    ensure!(steps(&said) == ["program done", "enrollment was so", "service done", "start done"], "{said}");
    machine.wait_until_active(SERVICE)?;
    ensure!(machine.shell("find /var/lib /run /usr/local/lib -name '.sealpost-install*'")?.is_empty());
    Ok(())
}
