//! What the programs do when nobody can hear them: standard error on a full disk or with a reader that does not read,
//! standard output that cannot be written, and a server whose disk is full.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, ensure};
use sealpost_test_support::skips::skip;
use sealpost_tests::harness::{Computer, Lab, Programs, wait_until, write_executable};

/// Takes nothing: each write ends with `ENOSPC`.
fn full() -> Result<File> {
    Ok(File::options().write(true).open("/dev/full")?)
}

/// A command of a program with its home.
fn command(programs: &Programs, name: &str, home: &Path, arguments: &[&str]) -> Command {
    let mut command = programs.command(name);
    command.arg("--home").arg(home).args(arguments);
    command
}

/// Runs a command whose standard error takes nothing; what it printed, if it ended with 0.
fn unheard(mut command: Command) -> Result<String> {
    let output = command.stdout(Stdio::piped()).stderr(full()?).output()?;
    ensure!(output.status.success(), "{command:?} ended with {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A running program that is killed when it is dropped.
struct Running(Child);

impl Running {
    /// Starts it, and waits for the beginning of a line in `log`, to which its standard output goes.
    fn start(
        mut command: Command,
        log: &Path,
        ready: &str,
        stderr: impl Into<Stdio>,
    ) -> Result<(Self, String)> {
        let mut running = Self(command.stdout(File::create(log)?).stderr(stderr).spawn()?);
        let mut line = String::new();
        wait_until(&format!("{command:?} says {ready:?}"), || {
            let text = fs::read_to_string(log)?;
            line = text.lines().find(|line| line.starts_with(ready)).unwrap_or_default().to_owned();
            let ended = running.0.try_wait()?;
            ensure!(ended.is_none(), "{command:?} ended with {ended:?}: {text}");
            Ok(!line.is_empty())
        })?;
        Ok((running, line))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A product whose hooks complain a lot.
fn with_hooks(lab: &Lab, computer: &Computer) -> Result<PathBuf> {
    let (hooks, running) = (lab.path("hooks"), lab.path("running"));
    let shown = running.display();
    write_executable(&hooks.join("stop"), format!("#!/bin/sh\necho stops >&2\nrm -f {shown}\n"))?;
    write_executable(&hooks.join("start"), format!("#!/bin/sh\necho starts >&2\necho yes > {shown}\n"))?;
    let hook = |hook: &str| format!("{hook} = [\"{}\"]\n", hooks.join(hook).display());
    computer.configure(&format!("[packages.scanner]\n{}{}", hook("stop"), hook("start")))?;
    Ok(running)
}

#[test]
fn vendor_server_and_agent_whose_standard_error_takes_nothing_publish_serve_and_install_as_ever() -> Result<()>
{
    let lab = Lab::new()?;
    let (vendor, mut site) = lab.vendor_and_site(5)?;
    let computer = Computer::enrolled(&lab, &site, "pc-1", &vendor.root())?;
    let running = with_hooks(&lab, &computer)?;
    let programs = lab.programs();
    site.kill_9()?;
    let listen = format!("127.0.0.1:{}", computer_port(&computer)?);
    let serve = command(programs, "distributor", site.home(), &["serve", "--listen", &listen]);
    let (_server, _) = Running::start(serve, &lab.path("server.out"), "listening on ", full()?)?;

    for version in ["1.0", "1.1"] {
        let folder = lab.path(&format!("build-{version}"));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("VERSION"), version)?;
        let folder = folder.to_str().context("a file name in UTF-8")?;
        let named = ["release", folder, "--package", "scanner", "--version", version];
        let release = [&named[..], &["--kind", "program", "--channel", "stable", "--new-package"]].concat();
        unheard(command(programs, "publisher", vendor.home(), &release))?;
        for step in [
            vec!["pull"],
            vec!["updates", "approve", &format!("scanner:{version}"), "--yes", "--strategy", "everyone-now"],
        ] {
            unheard(command(programs, "distributor", site.home(), &step))?;
        }
        unheard(command(programs, "agent-updater", computer.home(), &["check"]))?;
        let installed = computer.installed("scanner", "VERSION");
        ensure!(installed.as_deref() == Some(version), "{installed:?} runs instead of {version}");
        ensure!(running.exists(), "the product runs");
    }
    Ok(())
}

/// Where the setup file of a computer leads.
fn computer_port(computer: &Computer) -> Result<u64> {
    let setup: serde_json::Value = serde_json::from_slice(&fs::read(computer.setup())?)?;
    setup["servers"][0]["server"]["port"].as_u64().context("a port")
}

#[test]
fn an_agent_that_was_killed_with_its_product_stopped_starts_it_though_nobody_can_be_told() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(5)?;
    let computer = Computer::enrolled(&lab, &site, "pc-1", &vendor.root())?;
    let running = with_hooks(&lab, &computer)?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    computer.check()?.ok()?;
    vendor.release_files("scanner", "1.1", &[("VERSION", "1.1")])?;
    site.pull_and_approve("scanner:1.1")?;
    let killed = computer.agent_with(
        "agent-updater-faults",
        &[("SEALPOST_FAULT_EXIT_AT", "after-stopped")],
        &["check"],
    )?;
    ensure!(
        !killed.status.success() && !running.exists(),
        "killed with its product stopped: {}",
        killed.text()
    );
    unheard(command(lab.programs(), "agent-updater", computer.home(), &["check"]))?;
    ensure!(running.exists(), "the product runs again");
    Ok(())
}

#[test]
fn a_reader_that_does_not_read_the_log_holds_up_no_install() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(5)?;
    let computer = Computer::enrolled(&lab, &site, "pc-1", &vendor.root())?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    // A pipe that is full from the beginning.
    let (_unread, mut pipe) = std::io::pipe()?;
    pipe.write_all(&[b'#'; 65_536])?;
    let mut check = command(lab.programs(), "agent-updater", computer.home(), &["check"]);
    let mut child = check.stdout(Stdio::null()).stderr(pipe).spawn()?;
    let mut ended = None;
    wait_until("the check ends", || {
        ended = child.try_wait()?;
        Ok(ended.is_some())
    })?;
    ensure!(ended.is_some_and(|status: ExitStatus| status.success()), "{ended:?}");
    ensure!(computer.installed("scanner", "VERSION").is_some(), "it was installed");
    Ok(())
}

#[test]
fn a_result_that_cannot_be_printed_is_a_failure_and_one_whose_reader_has_left_is_a_quiet_one() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(5)?;
    let computer = Computer::enrolled(&lab, &site, "pc-1", &vendor.root())?;
    let status = [
        ("publisher", vendor.home().to_owned()),
        ("distributor", site.home().to_owned()),
        ("agent-updater", computer.home().to_owned()),
    ];
    for (name, home) in &status {
        for arguments in
            [&["status"][..], &["status", "--json"], &["--help"], &["completions", "bash"], &["man"]]
        {
            let run = |out: Stdio| {
                command(lab.programs(), name, home, arguments).stdout(out).stderr(Stdio::piped()).output()
            };
            let output = run(full()?.into())?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.code() == Some(1), "{name} {arguments:?}: {}", output.status);
            ensure!(said.contains("cannot write to standard output"), "{name} {arguments:?}: {said}");
            let (reader, closed) = std::io::pipe()?;
            drop(reader);
            let output = run(closed.into())?;
            ensure!(output.status.code() == Some(1), "{name} {arguments:?}: {}", output.status);
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(!said.contains("error"), "{name} {arguments:?} tells nobody: {said}");
        }
    }
    Ok(())
}

#[test]
fn a_server_whose_disk_is_full_is_alive_and_not_ready_until_there_is_room_again() -> Result<()> {
    let may_mount = Command::new("unshare").args(["--mount", "--map-root-user", "true"]).status();
    if !may_mount.is_ok_and(|status| status.success()) {
        return Ok(skip("a full disk of a server: it needs a mount namespace; run it as root")?);
    }
    let lab = Lab::new()?;
    let (_vendor, mut site) = lab.vendor_and_site(5)?;
    site.kill_9()?;
    let disk = lab.path("disk");
    fs::create_dir(&disk)?;
    // The process that mounts becomes the server, so its number leads to what it sees.
    let script = "mount -t tmpfs -o size=64m none \"$1\" && cp -a \"$2\" \"$1/home\" || exit 77
        exec \"$3\" --home \"$1/home\" serve --listen 127.0.0.1:0";
    let mut serve = Command::new("unshare");
    serve.args(["--mount", "--map-root-user", "sh", "-c", script, "sh"]);
    serve.arg(&disk).arg(site.home()).arg(lab.programs().path("distributor"));
    let log = File::create(lab.path("full.err"))?;
    let (server, _) = Running::start(serve, &lab.path("full.out"), "listening on ", log)?;
    let seen = PathBuf::from(format!("/proc/{}/root", server.0.id())).join(disk.strip_prefix("/")?);
    let socket = lab.path("s");
    std::os::unix::fs::symlink(seen.join("home/admin.sock"), &socket)?;
    let answers = |path: &str, begins: &str| -> Result<String> {
        let mut answer = String::new();
        wait_until(&format!("{path} answers {begins}"), || {
            answer = ask(&socket, path)?;
            Ok(answer.contains(begins))
        })?;
        Ok(answer)
    };
    answers("/readyz", "ready\n")?;
    let mut filled = File::create(seen.join("filled"))?;
    while filled.write_all(&[b'#'; 4096]).is_ok() {}
    let said = answers("/readyz", "not ready")?;
    ensure!(said.contains(" 503 ") && said.contains("not ready: the disk of the ledger"), "{said}");
    ensure!(said.contains("is full"), "{said}");
    ensure!(ask(&socket, "/healthz")?.contains("alive"), "a full disk ends nobody");
    fs::remove_file(seen.join("filled"))?;
    drop(filled);
    answers("/readyz", "\r\n\r\nready\n")?;
    Ok(())
}

/// What the server answers on its admin socket.
fn ask(socket: &Path, path: &str) -> Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
