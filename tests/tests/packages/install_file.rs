//! An install file on a computer with systemd that has no agent yet: it brings the agent up, a second run changes nothing, and it
//! takes itself back. The computer has its own root folder, mounts and network.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Lab, Machine, Root, Tool, wait_until, write_executable};

use super::built::{PACKAGES, require_tools};
use super::line::{DISTRIBUTOR, PUBLISHER, with_a_server};

pub(crate) const SERVICE: &str = "sealpost-agent.service";
/// All that an install file may change, but for what others write meanwhile.
const TREE: &str = "find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /srv -o -path /var/lib/sealpost \
    -o -path /var/lib/sealpost-publisher -o -path /var/lib/systemd -o -path /var/log \\) -prune \
    -o -printf '%p %y %m %U %s %T@ %l\\n' | sort | sha256sum";
/// The file's path on the computer, in a temporary folder from which nothing may be executed.
const FILE: &str = "/tmp/install-pc-1.sh";
/// What an install file leaves nowhere.
pub(crate) const LEFT: &str = "find /var /run /usr /tmp -xdev -name '.sealpost-bootstrap*'";

/// The agent's own program as a release that waits for its approval.
pub(crate) fn release_an_agent(lab: &Lab, machine: &Machine) -> Result<()> {
    let program = machine.path("/srv/agent/agent-updater");
    write_executable(&program, fs::read(lab.programs().folder().join("agent-updater"))?)?;
    // Without what a debugger needs, if that can be had.
    drop(Command::new("strip").arg(&program).status());
    machine.shell("chmod -R a+rX /srv/agent")?;
    machine.shell(&format!(
        "{PUBLISHER} release /srv/agent --package agent-updater --version 0.1.0 --kind agent --channel stable \
         --new-package"
    ))?;
    machine.shell(&format!("{DISTRIBUTOR} pull"))?;
    Ok(())
}

/// How each step went, by its first words: `program done`.
fn steps(said: &str) -> Vec<String> {
    let words = |line: &str| {
        let mut words = line.split_whitespace();
        let what = words.next().unwrap_or_default().to_owned();
        let how =
            words.take_while(|word| ["done", "already", "so", "would", "do", "by", "hand"].contains(word));
        format!("{what} {}", how.collect::<Vec<_>>().join(" "))
    };
    said.lines().map(words).collect()
}

/// Brings what lies on the computer to where this machine sees it: the computer's /tmp is seen from its inside alone.
fn copied(lab: &Lab, machine: &Machine, inside: &str, name: &str) -> Result<PathBuf> {
    machine.shell(&format!("cp {inside} /srv/copied"))?;
    let outside = lab.path(name);
    fs::copy(machine.path("/srv/copied"), &outside)?;
    Ok(outside)
}

/// The line that is printed to check the file, typed on this machine, takes it, and does not take a changed one.
fn is_checked_by_minisign(lab: &Lab, machine: &Machine, told: &str) -> Result<()> {
    let file = copied(lab, machine, FILE, "install.sh")?;
    copied(lab, machine, &format!("{FILE}.minisig"), "install.sh.minisig")?;
    let line = told.lines().find(|line| line.starts_with("minisign -V -P ")).context("a line to check it")?;
    let line = line.replace(FILE, file.to_str().context("a path in UTF-8")?);
    let verifies = || -> Result<bool> { Ok(Command::new("sh").args(["-c", &line]).status()?.success()) };
    ensure!(verifies()?, "minisign refuses the install file");
    let mut changed = fs::read(&file)?;
    changed[40] ^= 1;
    fs::write(&file, changed)?;
    ensure!(!verifies()?, "minisign takes a changed install file");
    Ok(())
}

/// The code in an install file, which nobody may read elsewhere.
pub(crate) fn code_in(machine: &Machine, file: &str) -> Result<String> {
    let code = machine.shell(&format!(
        "at=$(sed -n 's/^payload_at=//p' {file} | head -n 1); tail -c +$at {file} | tar -xzOf - setup.json | \
         grep -o '\"enrollment_code\":\"[^\"]*' | cut -d '\"' -f 4"
    ))?;
    ensure!(code.len() > 20, "{code}");
    Ok(code)
}

/// The code stands nowhere on the computer but in the file: in no log, and of no process among its words.
pub(crate) fn code_is_nowhere_else(machine: &Machine, code: &str) -> Result<()> {
    // In a file, so that no word of this look has it.
    fs::write(machine.path("/srv/code"), format!("{code}\n"))?;
    let found = machine.shell(
        "journalctl --no-pager --output=export | grep -cFf /srv/code || true
         grep -rlFf /srv/code /etc ~root /run /usr/local /var --exclude-dir=sealpost 2>/dev/null || true
         for process in /proc/[0-9]*; do
           if cat $process/cmdline $process/environ 2>/dev/null | grep -qaFf /srv/code; then echo $process; fi
         done",
    )?;
    ensure!(found == "0", "the code leaked: {found}");
    Ok(())
}

/// Runs the install file with every program that it starts written down, with all words and their environment.
fn runs_watched(lab: &Lab, machine: &Machine, code: &str) -> Result<String> {
    let trace = lab.path("started");
    let mut command = Command::new("strace");
    command.args(["-f", "-q", "-v", "-s", "1000000", "-e", "trace=execve,execveat", "-o"]).arg(&trace);
    command.args(["nsenter", "--target", machine.init(), "--all", "--", "sh", "-c"]);
    // With whatever umask.
    command.arg(format!("umask 000; exec dash {FILE}")).env_clear().env("PATH", "/usr/bin:/bin");
    let said = command.output().context("cannot start strace")?;
    let out = String::from_utf8_lossy(&said.stdout).into_owned();
    ensure!(said.status.success(), "{out}{}", String::from_utf8_lossy(&said.stderr));
    let started = fs::read_to_string(&trace)?;
    ensure!(started.contains("\"install-file\", \"--from\""), "nothing was watched: {started}");
    ensure!(!started.contains(code), "the code stands in what a program was started with");
    ensure!(!out.contains(code) && !String::from_utf8_lossy(&said.stderr).contains(code), "{out}");
    Ok(out)
}

/// The agent that the install file brought is the approved release: it is in force without a trial, and was not fetched once more.
fn is_the_approved_release(machine: &Machine) -> Result<()> {
    let status = || -> Result<serde_json::Value> {
        let said = machine.run(&["agent-updater", "status", "--json"])?;
        Ok(serde_json::from_str(&said.stdout)?)
    };
    let told = || machine.shell(&format!("{DISTRIBUTOR} log --kind step_reported --json"));
    wait_until("the agent is in force that the install file brought", || {
        ensure!(status()?["agent"]["on_trial"].is_null(), "it is on trial: {}", status()?);
        Ok(status()?["agent"]["why"] == "confirmed")
    })
    .with_context(|| format!("{}{}", told().unwrap_or_default(), machine.about(SERVICE)))?;
    let checked = machine.run(&["agent-updater", "check"])?;
    ensure!(checked.status.success(), "{checked:?}");
    wait_until("the server heard it", || Ok(told()?.contains("\"keep\"")))?;
    let steps = told()?;
    ensure!(!steps.contains("\"download\"") && !steps.contains("\"switch\""), "{steps}");
    Ok(())
}

/// A computer with a server, and an install file for it in a temporary folder from which nothing may be executed.
fn with_an_install_file(lab: &Lab) -> Result<Machine> {
    let machine = with_a_server(lab, Root::new(lab, "computer")?, &PACKAGES[..2])?;
    release_an_agent(lab, &machine)?;
    machine.shell("mount -t tmpfs -o noexec,mode=1777 tmpfs /tmp")?;
    let make = format!("{DISTRIBUTOR} clients setup pc-1 --installer {FILE}");
    let refused = machine.run(&["bash", "-c", &make])?;
    ensure!(
        refused.stderr.contains("no release of agent-updater is approved")
            && refused.stderr.contains("distributor updates list"),
        "an agent that nobody approved: {refused:?}"
    );
    machine.shell(&format!("test ! -e {FILE}; {DISTRIBUTOR} updates approve agent-updater:0.1.0 --yes"))?;
    let made = machine.run(&["bash", "-c", &make])?;
    ensure!(made.status.success(), "{made:?}");
    ensure!(machine.shell(&format!("stat -c %a {FILE}"))? == "700");
    is_checked_by_minisign(lab, &machine, &made.stderr)?;
    Ok(machine)
}

#[test]
fn an_install_file_brings_a_computer_up_and_takes_itself_back() -> Result<()> {
    require_tools("an install file on a computer")?;
    Tool::Minisign.require("an install file on a computer")?;
    Tool::Strace.require("an install file on a computer")?;
    let lab = Lab::new()?;
    let machine = with_an_install_file(&lab)?;
    let code = code_in(&machine, FILE)?;

    let before = machine.shell(TREE)?;
    for shell in ["sh", "dash", "bash"] {
        let said = machine.run(&[shell, FILE, "--dry-run"])?;
        ensure!(
            steps(&said.stdout)
                == ["program would do", "enrollment would do", "service would do", "start would do"],
            "{said:?}"
        );
        ensure!(!said.stdout.contains(&code) && !said.stderr.contains(&code), "{said:?}");
    }
    ensure!(machine.shell(TREE)? == before, "a dry run changed something");
    ensure!(machine.shell(LEFT)?.is_empty());
    let said = machine.run(&[
        "bash",
        "-c",
        &format!("install -o nobody {FILE} /srv/theirs; runuser -u nobody -- sh /srv/theirs"),
    ])?;
    ensure!(said.status.code() == Some(1) && said.stderr.contains("run it as root"), "{said:?}");

    // What a run left that was killed is removed; what belongs to one that goes on stays.
    machine.shell("cd /var/lib; mkdir .sealpost-bootstrap.4999999.a .sealpost-bootstrap.1.b")?;
    let said = runs_watched(&lab, &machine, &code)?;
    ensure!(steps(&said) == ["program done", "enrollment done", "service done", "start done"], "{said}");
    ensure!(machine.shell(LEFT)? == "/var/lib/.sealpost-bootstrap.1.b");
    machine.shell("rmdir /var/lib/.sealpost-bootstrap.1.b")?;
    machine.wait_until_active(SERVICE)?;
    let modes = machine.shell(
        "stat -c %a /usr/local/bin /usr/local/bin/agent-updater /etc/systemd/system/sealpost-agent.service /var/lib/sealpost-agent",
    )?;
    ensure!(modes == "755\n755\n644\n755" || modes == "755\n755\n644\n700", "{modes}");
    let listed = || machine.shell(&format!("{DISTRIBUTOR} clients list --json"));
    wait_until("the server has heard the computer", || {
        let page: serde_json::Value = serde_json::from_str(&listed()?)?;
        Ok(page["clients"][0]["last_contact"].is_string())
    })
    .with_context(|| format!("{}{}", listed().unwrap_or_default(), machine.about(SERVICE)))?;
    code_is_nowhere_else(&machine, &code)?;
    is_the_approved_release(&machine)?;

    // A second run, and two at the same time.
    let after = "find /etc /usr -xdev -printf '%p %T@\\n' | sort | sha256sum";
    let tree = machine.shell(after)?;
    let second = ["program already so", "enrollment already so", "service already so", "start already so"];
    let said = machine.shell(&format!("sh {FILE}"))?;
    ensure!(steps(&said) == second, "a second run: {said}");
    let both =
        machine.shell(&format!("sh {FILE} >/run/one & sh {FILE}; wait $!; cat /run/one; rm /run/one"))?;
    ensure!(steps(&both) == [second, second].concat(), "two at the same time: {both}");
    ensure!(machine.shell(after)? == tree, "a second run changed something: {said}");

    machine.shell(
        "mkdir -p /var/lib/sealpost-agent/products/mine && touch /var/lib/sealpost-agent/products/mine/file",
    )?;
    let said = machine.shell(&format!("sh {FILE} --uninstall --dry-run"))?;
    ensure!(steps(&said) == ["service would do", "program would do", "home already so"], "{said}");
    machine.wait_until_active(SERVICE)?;
    let said = machine.shell(&format!("sh {FILE} --uninstall"))?;
    ensure!(steps(&said) == ["service done", "program done", "home already so"], "{said}");
    ensure!(
        said.contains("/var/lib/sealpost-agent stays, with this computer's identity and its products"),
        "{said}"
    );
    machine.shell(
        "test ! -e /usr/local/bin/agent-updater && test -e /var/lib/sealpost-agent/products/mine/file && \
         test -z \"$(find /etc/systemd -name 'sealpost-agent*')\"",
    )?;
    ensure!(machine.property(SERVICE, "ActiveState")? == "inactive");
    let said = machine.shell(&format!("sh {FILE} --uninstall"))?;
    ensure!(steps(&said) == ["service already so", "program already so", "home already so"], "{said}");

    // What it brought comes back, by two at the same time, and the computer is the same.
    let both =
        machine.shell(&format!("sh {FILE} >/run/one & sh {FILE}; wait $!; cat /run/one; rm /run/one"))?;
    let mut both = steps(&both);
    both.sort();
    ensure!(
        both == [
            "enrollment already so",
            "enrollment already so",
            "program already so",
            "program done",
            "service already so",
            "service done",
            "start already so",
            "start done"
        ],
        "{both:?}"
    );
    machine.wait_until_active(SERVICE)?;
    ensure!(machine.shell(LEFT)?.is_empty());

    // Where a package brings the agent, that one is used, and stays.
    machine.shell(&format!("sh {FILE} --uninstall && dpkg -i /var/tmp/sealpost-agent*.deb"))?;
    let said = machine.shell(&format!("sh {FILE}"))?;
    ensure!(
        steps(&said) == ["program already so", "enrollment already so", "service already so", "start done"],
        "{said}"
    );
    machine.wait_until_active(SERVICE)?;
    let said = machine.shell(&format!("sh {FILE} --uninstall"))?;
    ensure!(steps(&said) == ["program by hand"] && said.contains("package manager"), "{said}");
    machine.wait_until_active(SERVICE)?;
    Ok(())
}
