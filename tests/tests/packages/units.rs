//! The unit files as `install-service` writes them, judged by systemd.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use sealpost_tests::harness::{Lab, Tool, run};

/// How exposed a service may be, in tenths, as systemd counts: 0 is not at all, 100 is wholly.
const MOST_EXPOSED: [(&str, u32); 4] = [
    ("sealpost-distributor.service", 16),
    ("sealpost-publisher.service", 16),
    ("sealpost-publisher-refresh.service", 6),
    // Root, and with no view of the files of its own: products inherit what is taken from it.
    ("sealpost-agent.service", 88),
];
/// Of the agent where no product inherits anything.
const MOST_EXPOSED_STRICT: u32 = 32;

fn analyze(arguments: &[&str]) -> Command {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments);
    command
}

#[test]
fn systemd_finds_no_fault_in_the_units_and_they_are_confined() -> Result<()> {
    Tool::SystemdAnalyze.require("units")?;
    let lab = Lab::new()?;
    let root = lab.path("computer");
    let root_text = root.to_string_lossy().into_owned();
    for program in ["publisher", "distributor", "agent-updater"] {
        let mut install = lab.programs().command(program);
        // A program that is there, since systemd looks.
        install.args(["install-service", "--root", &root_text, "--program", "/bin/true"]);
        let said = run(install)?.ok()?;
        ensure!(
            said.contains("nothing was enabled or started") && said.contains("systemctl enable --now"),
            "{said}"
        );
    }
    let folder = root.join("etc/systemd/system");
    let mut units = BTreeMap::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        units.insert(name, path.to_string_lossy().into_owned());
    }
    ensure!(units.len() == 7, "{units:?}");
    let all: Vec<&str> = units.values().map(String::as_str).collect();
    let said = run(analyze(&[&["verify", "--man=no"], all.as_slice()].concat()))?;
    ensure!(said.status.success() && said.text().is_empty(), "{}", said.text());

    for (name, most) in MOST_EXPOSED {
        let threshold = format!("--threshold={most}");
        let said = run(analyze(&["security", "--offline=true", "--no-pager", &threshold, &units[name]]))?;
        ensure!(said.status.success(), "{name} is more exposed than {most} tenths:\n{}", said.text());
    }

    let mut strict = lab.programs().command("agent-updater");
    strict.args(["install-service", "--strict", "--root", &root_text, "--program", "/bin/true"]);
    run(strict)?.ok()?;
    let agent = &units["sealpost-agent.service"];
    run(analyze(&["verify", "--man=no", agent]))?.ok()?;
    let threshold = format!("--threshold={MOST_EXPOSED_STRICT}");
    run(analyze(&["security", "--offline=true", "--no-pager", &threshold, agent]))?.ok()?;
    Ok(())
}

#[test]
fn a_service_says_what_comes_next_and_what_cannot_be_one_is_refused() -> Result<()> {
    let lab = Lab::new()?;
    let root = lab.path("computer").to_string_lossy().into_owned();
    let mut print = lab.programs().command("distributor");
    print.args(["--home", "/srv/site", "install-service", "--print", "--program", "/opt/distributor"]);
    let printed = run(print)?.ok()?;
    ensure!(printed.contains("ExecStart=/opt/distributor --home /srv/site serve"), "{printed}");
    ensure!(printed.contains("ListenStream=16770"), "{printed}");

    let mut hidden = lab.programs().command("publisher");
    hidden.args(["--home", "/run/user/acme", "install-service", "--root", &root, "--program", "/bin/true"]);
    let said = run(hidden)?.refused()?;
    ensure!(said.contains("choose a home below /var/lib or /srv"), "{said}");
    ensure!(!lab.path("computer").exists(), "something was written");
    Ok(())
}

#[test]
fn each_program_prints_its_completions_and_its_man_pages() -> Result<()> {
    let lab = Lab::new()?;
    for program in ["publisher", "distributor", "agent-updater"] {
        for shell in ["bash", "zsh", "fish"] {
            let mut completions = lab.programs().command(program);
            completions.args(["completions", shell]);
            let script = lab.path(&format!("{program}.{shell}"));
            fs::write(&script, run(completions)?.ok()?)?;
            if shell == "bash" {
                let mut check = Command::new("bash");
                check.arg("-n").arg(&script);
                run(check)?.ok()?;
            }
        }
        let folder = lab.path(&format!("{program}-man"));
        let mut pages = lab.programs().command(program);
        pages.args(["man", "--dir"]).arg(&folder);
        run(pages)?.ok()?;
        let page = fs::read_to_string(folder.join(format!("{program}-install-service.1")))?;
        ensure!(page.contains("Examples:") && page.contains("install\\-service"), "{page}");
        ensure!(folder.join(format!("{program}.1")).is_file());
    }
    Ok(())
}
