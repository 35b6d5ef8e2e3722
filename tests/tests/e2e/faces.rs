//! What people see: help with an example for every command, secrets that stay secret, and the README's first release.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::ReasonCode;
use sealpost_tests::harness::{Lab, files_beneath, run, workspace};

/// The commands that `--help` lists below `Commands:`.
fn listed_commands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let commands = lines
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && *word != "help";
    commands.filter(is_name).map(str::to_owned).collect()
}

#[test]
fn every_command_has_help_with_an_example() -> Result<()> {
    let lab = Lab::new()?;
    let mut seen = BTreeSet::new();
    for program in ["publisher", "distributor", "agent-updater"] {
        let mut waiting: Vec<Vec<String>> = vec![Vec::new()];
        while let Some(path) = waiting.pop() {
            let mut command = lab.programs().command(program);
            command.args(&path).arg("--help");
            let help = run(command)?.ok()?;
            ensure!(help.contains("Examples:"), "{program} {path:?} has no example:\n{help}");
            for name in listed_commands(&help) {
                waiting.push([path.clone(), vec![name]].concat());
            }
            seen.insert(format!("{program} {}", path.join(" ")));
        }
    }
    for command in [
        "publisher init",
        "publisher release",
        "publisher channel set",
        "publisher refresh",
        "publisher serial new",
        "publisher serial list",
        "publisher serve",
        "publisher lint",
        "distributor init",
        "distributor serve",
        "distributor register",
        "distributor unlock",
        "distributor pull",
        "distributor updates list",
        "distributor updates show",
        "distributor updates approve",
        "distributor updates reject",
        "distributor clients list",
        "distributor clients show",
        "distributor clients reserve",
        "distributor clients setup",
        "distributor clients setups",
        "distributor clients group",
        "distributor status",
        "distributor log",
        "distributor log verify",
        "distributor log checkpoint",
        "distributor log prove",
        "distributor log check-proof",
        "distributor firewall show",
        "distributor firewall open",
        "distributor firewall close",
        "distributor backup",
        "distributor restore",
        "distributor ledger rebuild",
        "agent-updater enroll",
        "agent-updater run",
        "agent-updater check",
        "agent-updater status",
        "agent-updater rollback",
        "agent-updater audit",
    ] {
        ensure!(seen.contains(command), "{command} is missing among {seen:?}");
    }
    Ok(())
}

#[test]
fn a_wrong_usage_is_told_apart_from_a_refusal() -> Result<()> {
    let lab = Lab::new()?;
    for program in ["publisher", "distributor", "agent-updater"] {
        let mut command = lab.programs().command(program);
        command.arg("no-such-command");
        let output = run(command)?;
        ensure!(output.status.code() == Some(2), "{program}: {}", output.status);
    }
    Ok(())
}

#[test]
fn secrets_are_readable_by_their_owner_only_and_stand_in_no_log() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site, computer) = lab.vendor_site_and_computer()?;
    computer.check()?.ok()?;
    let setup: serde_json::Value = serde_json::from_slice(&fs::read(computer.setup())?)?;
    let code = setup["servers"][0]["enrollment_code"].as_str().context("a code")?.to_owned();
    for home in [vendor.home(), site.home(), computer.home()] {
        for path in files_beneath(home)? {
            let is_key = path.extension().is_some_and(|extension| extension == "key");
            if is_key {
                let mode = fs::metadata(&path)?.permissions().mode() & 0o777;
                ensure!(mode & 0o077 == 0, "{} has mode {mode:o}", path.display());
            }
        }
    }
    let mode = fs::metadata(computer.setup())?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "the setup file has mode {mode:o}");
    let log = site.log_text()?;
    let activity = site.distributor(&["log", "--json"])?.ok()?;
    ensure!(!log.contains(&code) && !activity.contains(&code), "the enrollment code stands in a log");
    Ok(())
}

#[test]
fn health_and_metrics_answer_and_give_nothing_away() -> Result<()> {
    let lab = Lab::new()?;
    let (_vendor, site) = lab.vendor_and_site(1)?;
    let mut python = Command::new("python3");
    python.args([
        "-c",
        "import ssl, sys, urllib.request as r\n\
         c = ssl._create_unverified_context()\n\
         for p in ('healthz', 'readyz', 'metrics'):\n    print(p, r.urlopen(sys.argv[1] + p, context=c).status)\n\
         for p in ('agent/v1/tuf/metadata/timestamp.json', 'agent/v1/wake', 'api/v1/status'):\n    \
         try:\n        print(p, r.urlopen(sys.argv[1] + p, context=c).status)\n    \
         except r.HTTPError as e:\n        print(p, e.code)",
        &format!("https://127.0.0.1:{}/", site.port()?),
    ]);
    let printed = run(python)?.ok()?;
    for line in ["healthz 200", "readyz 200", "metrics 200"] {
        ensure!(printed.contains(line), "{printed}");
    }
    for path in ["timestamp.json", "wake", "status"] {
        let line = printed.lines().find(|line| line.contains(&format!("/{path} "))).context("an answer")?;
        let code: u16 = line.rsplit(' ').next().unwrap_or_default().parse()?;
        ensure!((401..=404).contains(&code), "{line}");
    }
    Ok(())
}

#[test]
fn an_admin_elsewhere_needs_a_token_and_the_log_names_it() -> Result<()> {
    let lab = Lab::new()?;
    let (_vendor, site) = lab.vendor_and_site(2)?;
    let printed = site.distributor(&["token", "new", "ada"])?.ok()?;
    let token = lab.path("ada.token");
    sealpost_tests::harness::write_file(&token, printed.lines().next().context("a token")?)?;
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600))?;
    let elsewhere = |token: &std::path::Path, arguments: &[&str]| {
        let mut command = lab.programs().command("distributor");
        command.args(["--server", &format!("https://127.0.0.1:{}", site.port()?)]);
        command
            .arg("--token-file")
            .arg(token)
            .arg("--ca")
            .arg(site.home().join("tls/ca.crt"))
            .args(arguments);
        run(command)
    };
    elsewhere(&token, &["clients", "reserve", "pc"])?.ok()?;
    let reserved = site.wait_for_activity("seat_reserved", &["\"pc\""])?;
    ensure!(reserved.contains("ada"), "who did it? {reserved}");

    let text = fs::read_to_string(&token)?;
    let forged = lab.path("forged.token");
    let swapped = if text.starts_with('A') { text.replacen('A', "B", 1) } else { format!("A{}", &text[1..]) };
    sealpost_tests::harness::write_file(&forged, &swapped)?;
    fs::set_permissions(&forged, fs::Permissions::from_mode(0o600))?;
    let said = elsewhere(&forged, &["clients", "reserve", "other"])?.refused()?;
    ensure!(said.contains("unauthenticated"), "{said}");
    ensure!(site.activity_of("seat_reserved")?.len() == 1, "a seat was taken without a token");
    Ok(())
}

/// The block below a heading of the README.
fn block_below(heading: &str) -> Result<Vec<String>> {
    let readme = fs::read_to_string(workspace().join("README.md"))?;
    let (_, rest) = readme.split_once(heading).with_context(|| format!("no {heading:?} in the README"))?;
    let (_, rest) = rest.split_once("```sh\n").context("no block")?;
    let (block, _) = rest.split_once("```").context("an open block")?;
    Ok(block.lines().map(str::to_owned).filter(|line| !line.trim().is_empty()).collect())
}

#[test]
fn the_readmes_first_release_works_as_it_is_typed() -> Result<()> {
    let lab = Lab::new()?;
    let lines = block_below("## Your first release")?;
    ensure!(lines.len() == 10, "ten lines, and not {}", lines.len());
    let programs = lab.programs().path("");
    let mut shell = Command::new("bash")
        .args(["--noprofile", "--norc"])
        .env_clear()
        .env("PATH", format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default()))
        .env("HOME", lab.folder())
        .current_dir(lab.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut keyboard = shell.stdin.take().context("a keyboard")?;
    let mut screen = BufReader::new(shell.stdout.take().context("a screen")?).lines();
    writeln!(keyboard, "exec 2>&1")?;
    let mut seen = String::new();
    let mut typed = || -> Result<()> {
        // The usual ports may be taken on this machine: each server takes a free one and says which.
        let mut vendor_port = "8080".to_owned();
        for line in &lines {
            let serves = line.trim_end().ends_with("serve &");
            let line = line.replace("serve &", "serve --listen 127.0.0.1:0 &").replace("8080", &vendor_port);
            writeln!(keyboard, "{line}")?;
            writeln!(keyboard, "echo \"typed-and-done $?\"")?;
            // Whoever types sees that a server listens before typing on.
            let (mut done, mut listening) = (false, !serves);
            while !(done && listening) {
                let answer = screen.next().context("the shell ended")??;
                seen.push_str(&answer);
                seen.push('\n');
                if let Some(status) = answer.strip_prefix("typed-and-done ") {
                    ensure!(status == "0", "{line}\nended with {status}:\n{seen}");
                    done = true;
                } else if let Some(address) = answer.strip_prefix("listening on ") {
                    listening = true;
                    if let Some(port) = address.strip_prefix("http://127.0.0.1:") {
                        port.clone_into(&mut vendor_port);
                    }
                }
            }
        }
        Ok(())
    };
    let outcome = typed();
    writeln!(keyboard, "kill $(jobs -p); wait")?;
    drop(keyboard);
    shell.wait()?;
    outcome?;
    if !seen.lines().any(|line| line == "1.0") {
        bail!("the last line was to print the installed version:\n{seen}");
    }
    Ok(())
}

#[test]
fn the_operators_page_explains_every_code_that_a_program_can_send() -> Result<()> {
    let page = fs::read_to_string(workspace().join("docs/operations.md"))?;
    let (_, page) = page.split_once("## What refusals mean").context("the part on refusals")?;
    let (server, agent) = page.split_once("### From an agent").context("the part on agents")?;
    for code in ProblemCode::KNOWN {
        ensure!(server.contains(&format!("| `{code}` |")), "{code} is not explained");
    }
    for code in ReasonCode::KNOWN {
        ensure!(agent.contains(&format!("| `{code}` |")), "{code} is not explained");
    }
    Ok(())
}
