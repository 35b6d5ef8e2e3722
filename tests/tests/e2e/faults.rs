//! The kernel refuses what the real programs ask of it, one call of a sample after the other: what was told is true, and
//! without the fault everything goes on.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sealpost_test_support::skips::skip;
use sealpost_tests::harness::{Computer, Daemon, Lab, Output, Site, Tool, Vendor, run, write_executable};

/// Fixed, so that a failure can be repeated; the sample is a different one with another seed.
const SEED: u64 = 8_014;
/// Refusals of a sample that must make a program say no; else nothing was tried.
const ENOUGH: usize = 4;
/// What files are written with; and what is printed too.
const WRITES: &str = "write,pwrite64";
/// Whether writes are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writes {
    Pass,
    Refused,
}

/// Calls that are refused, how, and up to which one of a thread.
const REFUSALS: [(&str, &str, u64); 5] = [
    (WRITES, "ENOSPC", 30),
    ("fsync,fdatasync", "EIO", 20),
    ("rename,renameat,renameat2", "EIO", 15),
    ("openat,openat2", "ENOSPC", 80),
    ("pread64", "EIO", 30),
];

/// A small generator (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// A program whose `nth` call of each thread of one of these is refused; from there on, all of them, if `stays`.
struct Refusal {
    calls: &'static str,
    error: &'static str,
    nth: u64,
    stays: bool,
}

impl Refusal {
    /// A sample, of rising numbers: the first calls and later ones.
    fn sample(seed: u64, count: u64) -> Vec<Self> {
        let mut chance = Chance(seed);
        let each = |at: u64| {
            let (calls, error, most) = REFUSALS[usize::try_from(at).unwrap_or(0) % REFUSALS.len()];
            Self { calls, error, nth: 1 + chance.below(most), stays: chance.below(2) == 0 }
        };
        (0..count).map(each).collect()
    }

    fn writes(&self) -> Writes {
        if self.calls == WRITES { Writes::Refused } else { Writes::Pass }
    }

    fn name(&self) -> String {
        let Self { calls, error, nth, stays } = self;
        format!(
            "seed {SEED}: {calls} refused with {error} at call {nth}{}",
            if *stays { " and after" } else { "" }
        )
    }

    /// The command, with its calls refused. What children of it do is not.
    fn of(&self, command: &Command) -> Command {
        let Self { calls, error, nth, stays } = self;
        let mut traced = Command::new("strace");
        let when = format!("{nth}{}", if *stays { "+" } else { "" });
        // The program is this process's child, and the tracer is not; it leaves hooks alone.
        traced
            .args(["-D", "-f", "-b", "execve", "-qq", "-o", "/dev/null", "-e"])
            .arg(format!("trace={calls}"));
        traced.arg("-e").arg(format!("inject={calls}:error={error}:when={when}"));
        traced.arg(command.get_program()).args(command.get_args());
        traced.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        traced.stdin(std::process::Stdio::null());
        traced
    }
}

/// Time after which a program whose writes are refused is killed, for it may sleep for ever.
const KILLED_AFTER_SECS: &str = "30";

impl Refusal {
    /// Runs the command with its calls refused. A thread whose wake-up was refused, which is a write too, sleeps on, and a
    /// program that waits for it never ends: it is killed then, as whoever waits for it would do.
    fn run(&self, command: &Command) -> Result<Output> {
        let refused = self.of(command);
        if self.writes() == Writes::Pass {
            return run(refused);
        }
        let mut killed = Command::new("timeout");
        killed.args(["-s", "KILL", KILLED_AFTER_SECS]).arg(refused.get_program()).args(refused.get_args());
        killed.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        killed.stdin(std::process::Stdio::null());
        run(killed)
    }
}

/// It said no, or did it; it did not fall over. Refused writes may end it in any way: they also hit what it prints, and
/// how its threads wake each other, which no disk refuses.
fn ended_with_a_word(output: &Output, writes: Writes) -> Result<()> {
    ensure!(!output.stderr.contains("strace: "), "nothing could be refused: {}", output.stderr);
    if writes == Writes::Refused {
        return Ok(());
    }
    let code = output.status.code().with_context(|| format!("{}: {}", output.status, output.text()))?;
    // A program that may not read its own libraries is ended by the loader with 127.
    ensure!(code <= 2 || code == 127, "{}: {}", output.status, output.text());
    ensure!(!output.text().contains("panicked"), "{}", output.text());
    Ok(())
}

/// A computer whose product runs what its start hook wrote down.
fn computer_with_product(lab: &Lab, site: &Site, vendor: &Vendor) -> Result<Computer> {
    let computer = Computer::enrolled(lab, site, "pc", &vendor.root())?;
    let (hooks, runs) = (lab.path("hooks"), lab.path("running"));
    let runs = runs.display();
    write_executable(&hooks.join("stop"), format!("#!/bin/sh\nrm -f {runs}\n"))?;
    let start =
        format!("#!/bin/sh\ncat {}/products/scanner/current/VERSION > {runs}\n", computer.home().display());
    write_executable(&hooks.join("start"), start)?;
    let hook = |hook: &str| format!("{hook} = [\"{}\"]\n", hooks.join(hook).display());
    computer.configure(&format!("[packages.scanner]\n{}{}", hook("stop"), hook("start")))?;
    Ok(computer)
}

fn runs(lab: &Lab) -> String {
    fs::read_to_string(lab.path("running")).unwrap_or_default().trim().to_owned()
}

fn update(vendor: &Vendor, site: &Site, version: &str) -> Result<()> {
    vendor.release_files("scanner", version, &[("VERSION", version), ("bin/run", "#!/bin/sh\n")])?;
    site.pull_and_approve(&format!("scanner:{version}"))
}

#[test]
fn an_agent_whose_calls_are_refused_has_the_old_or_the_new_release_whole_and_running() -> Result<()> {
    if !Tool::Strace.is_here("an agent whose calls are refused")? {
        return Ok(());
    }
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(5)?;
    update(&vendor, &site, "1.0")?;
    let computer = computer_with_product(&lab, &site, &vendor)?;
    computer.check()?.ok()?;
    let (mut old, mut said_no) = ("1.0".to_owned(), 0);
    for (number, refusal) in Refusal::sample(SEED, 15).into_iter().enumerate() {
        let new = format!("1.{}", number + 1);
        update(&vendor, &site, &new)?;
        let mut check = lab.programs().command("agent-updater");
        check.arg("--home").arg(computer.home()).arg("check");
        let said = refusal.run(&check)?;
        let name = format!("{}: it said {} with {}", refusal.name(), said.text(), said.status);
        ended_with_a_word(&said, refusal.writes()).with_context(|| name.clone())?;
        comes_to(&lab, &computer, &old, &new).with_context(|| name)?;
        said_no += usize::from(!said.status.success());
        old = new;
    }
    ensure!(said_no >= ENOUGH, "only {said_no} refusals were noticed");
    site.verify_log()
}

/// Right after a fault one of both is there; after some more looks the new one runs, whole.
fn comes_to(lab: &Lab, computer: &Computer, old: &str, new: &str) -> Result<()> {
    let now = computer.installed("scanner", "VERSION").context("something is installed")?;
    ensure!([old, new].contains(&now.as_str()), "{now} is installed");
    for attempt in 0..4 {
        let said = if attempt == 2 { computer.agent(&["retry", "scanner"])? } else { computer.check()? };
        ended_with_a_word(&said, Writes::Pass)?;
        let now = computer.installed("scanner", "VERSION").context("something is installed")?;
        ensure!(runs(lab) == now, "{:?} runs, {now} is installed: {}", runs(lab), said.text());
        if now == new {
            computer.no_leftovers("scanner")?;
            return computer.audit();
        }
    }
    bail!("{new} is not installed in the end")
}

#[test]
fn a_release_whose_calls_are_refused_is_published_whole_or_not_and_can_be_made_again() -> Result<()> {
    if !Tool::Strace.is_here("a release whose calls are refused")? {
        return Ok(());
    }
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(5)?;
    update(&vendor, &site, "1.0")?;
    let mut said_no = 0;
    for (number, refusal) in Refusal::sample(SEED + 1, 15).into_iter().enumerate() {
        let version = format!("1.{}", number + 1);
        let folder = lab.path("draft");
        sealpost_test_support::folders::write_folder(&folder, &[("VERSION", version.as_str())])?;
        let folder = folder.to_str().context("a path in UTF-8")?;
        let arguments =
            ["release", folder, "--package", "scanner", "--version", &version, "--kind", "program"];
        let arguments = [&arguments[..], &["--channel", "stable"]].concat();
        let mut release = lab.programs().command("publisher");
        release.arg("--home").arg(vendor.home()).args(&arguments);
        let said = refusal.run(&release)?;
        let name = format!("{}: it said {} with {}", refusal.name(), said.text(), said.status);
        ended_with_a_word(&said, refusal.writes()).with_context(|| name.clone())?;
        said_no += usize::from(!said.status.success());
        // Whatever stayed, sites can follow.
        site.pull().with_context(|| name.clone())?;
        let again = vendor.publisher(&arguments)?;
        site.pull().with_context(|| name.clone())?;
        let approved = site.approve(&format!("scanner:{version}"));
        approved.with_context(|| format!("{name}; again: {}", again.text()))?;
    }
    ensure!(said_no >= ENOUGH, "only {said_no} refusals were noticed");
    site.verify_log()
}

#[test]
fn a_server_whose_calls_are_refused_keeps_what_it_answered_and_goes_on() -> Result<()> {
    if !Tool::Strace.is_here("a server whose calls are refused")? {
        return Ok(());
    }
    let lab = Lab::new()?;
    let (vendor, mut site) = lab.vendor_and_site(1_000)?;
    update(&vendor, &site, "1.0")?;
    let computer = computer_with_product(&lab, &site, &vendor)?;
    computer.check()?.ok()?;
    let port = site.port()?;
    site.stop()?;
    let mut answered = Vec::new();
    for (number, refusal) in Refusal::sample(SEED + 2, 15).into_iter().enumerate() {
        served_with(&lab, &site, &computer, &refusal, (number, port), &mut answered)
            .with_context(|| refusal.name())?;
        site.serve().with_context(|| format!("without a fault again, after {}", refusal.name()))?;
        let listed = site.json(&["clients", "list"])?.to_string();
        for name in &answered {
            ensure!(listed.contains(&format!("\"{name}\"")), "{name} was answered: {}", refusal.name());
        }
        site.verify_log().with_context(|| refusal.name())?;
        computer.check()?.ok().with_context(|| refusal.name())?;
        site.stop()?;
    }
    Ok(())
}

/// The server works with refused calls for a while, if it starts at all, and is killed.
fn served_with(
    lab: &Lab,
    site: &Site,
    computer: &Computer,
    refusal: &Refusal,
    (number, port): (usize, u16),
    answered: &mut Vec<String>,
) -> Result<()> {
    let mut serve = lab.programs().command("distributor");
    serve.arg("--home").arg(site.home()).args(["serve", "--listen", &format!("127.0.0.1:{port}")]);
    let log = lab.path("refused.log");
    let Ok((server, _)) = Daemon::start(refusal.of(&serve), "distributor serve", &log, "listening on ")
    else {
        return did_not_fall_over(&log, refusal);
    };
    for seat in 0..6 {
        let name = format!("extra-{number}-{seat}");
        if site.distributor(&["clients", "reserve", &name])?.status.success() {
            answered.push(name);
        }
        if seat % 3 == 0 {
            ended_with_a_word(&computer.check()?, Writes::Pass)?;
        }
    }
    drop(server);
    did_not_fall_over(&log, refusal)
}

fn did_not_fall_over(log: &Path, refusal: &Refusal) -> Result<()> {
    let said = fs::read_to_string(log).unwrap_or_default();
    ensure!(refusal.writes() == Writes::Refused || !said.contains("panicked"), "{said}");
    Ok(())
}

const IN_NAMESPACE: &str = "SEALPOST_TEST_SMALL_DISK";

#[test]
fn a_site_and_a_computer_on_a_small_disk_that_fills_go_on_when_there_is_room_again() -> Result<()> {
    if std::env::var_os(IN_NAMESPACE).is_some() {
        return on_a_small_disk();
    }
    let may_mount = Command::new("unshare").args(["--mount", "true"]).status();
    if !may_mount.is_ok_and(|status| status.success()) {
        return Ok(skip("a small disk that fills: it needs a mount namespace; run it as root")?);
    }
    let small = tempfile::tempdir()?;
    let name = "faults::a_site_and_a_computer_on_a_small_disk_that_fills_go_on_when_there_is_room_again";
    let mut inside = Command::new("unshare");
    let line =
        "mount -t tmpfs -o size=64m,mode=755 none \"$TMPDIR\" && exec \"$0\" --exact \"$1\" --nocapture";
    inside.args(["--mount", "sh", "-euc", line]).arg(std::env::current_exe()?).arg(name);
    inside.env("TMPDIR", small.path()).env(IN_NAMESPACE, "1");
    let said = run(inside)?;
    ensure!(said.status.success() && said.stdout.contains("1 passed"), "{}", said.text());
    Ok(())
}

fn on_a_small_disk() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(1_000)?;
    // Less than what a server usually keeps free.
    site.configure("[limits]\nkeep_free_mib = 0\n")?;
    update(&vendor, &site, "1.0")?;
    let computer = computer_with_product(&lab, &site, &vendor)?;
    computer.check()?.ok()?;
    let mut old = "1.0".to_owned();
    let mut answered = Vec::new();
    // From no byte on, up to as much as an install needs.
    for (number, free) in [0, 4_096, 16_384, 65_536, 262_144].into_iter().enumerate() {
        let new = format!("1.{}", number + 1);
        update(&vendor, &site, &new)?;
        let filler = lab.path("filler");
        fill(&lab, &filler, free)?;
        for seat in 0..3 {
            let name = format!("extra-{number}-{seat}");
            let said = site.distributor(&["clients", "reserve", &name])?;
            ended_with_a_word(&said, Writes::Pass)?;
            if said.status.success() {
                answered.push(name);
            }
        }
        let said = computer.check()?;
        ended_with_a_word(&said, Writes::Pass)?;
        fs::remove_file(filler)?;
        comes_to(&lab, &computer, &old, &new).with_context(|| format!("with {free} bytes free"))?;
        old = new;
        site.distributor(&["clients", "reserve", &format!("room-{number}")])?.ok()?;
    }
    let listed = site.json(&["clients", "list"])?.to_string();
    for name in &answered {
        ensure!(listed.contains(&format!("\"{name}\"")), "{name} was answered");
    }
    site.verify_log()
}

/// Fills the disk but for so many bytes.
fn fill(lab: &Lab, filler: &Path, free: u64) -> Result<()> {
    let mut df = Command::new("df");
    df.args(["--output=avail", "-B1"]).arg(lab.folder());
    let said = run(df)?.ok()?;
    let available: u64 = said.lines().nth(1).context("a number")?.trim().parse()?;
    let block = vec![7; usize::try_from(available.saturating_sub(free))?];
    Ok(fs::write(filler, block)?)
}
