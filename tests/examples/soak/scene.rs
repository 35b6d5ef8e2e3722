//! Who is there, what was answered, and what must hold whatever went wrong.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sealpost_tests::harness::{Computer, Lab, Site, Vendor, copy_tree, write_executable};

/// The product.
pub(crate) const PACKAGE: &str = "scanner";
/// How often a computer may look before it has what is approved.
const MOST_CHECKS: usize = 4;
/// Longest that a command runs before it is killed: most take less.
pub(crate) const MOMENT: Duration = Duration::from_millis(400);

/// A site, its vendor and its computers.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(crate) vendor: Vendor,
    pub(crate) site: Site,
    pub(crate) computers: Vec<Computer>,
    /// The version that everybody is to have in the end.
    pub(crate) newest: String,
    /// Every version that was ever approved and is good.
    pub(crate) approved: BTreeSet<String>,
    /// Names of which it was answered that they hold a seat.
    pub(crate) reserved: BTreeSet<String>,
    /// Versions that the vendor released so far.
    pub(crate) released: u32,
    pub(crate) kills: u32,
    pub(crate) flips: u32,
    pub(crate) full_disks: u32,
}

impl Scene {
    pub(crate) fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let (vendor, site) = lab.vendor_and_site(10_000)?;
        let mut scene = Self {
            lab,
            vendor,
            site,
            computers: Vec::new(),
            newest: String::new(),
            approved: BTreeSet::new(),
            reserved: BTreeSet::new(),
            released: 0,
            kills: 0,
            flips: 0,
            full_disks: 0,
        };
        // The disk here is smaller than what a server usually keeps free.
        scene.site.configure("[limits]\nkeep_free_mib = 0\n")?;
        let version = scene.release(true)?;
        scene.site.pull_and_approve(&format!("{PACKAGE}:{version}"))?;
        scene.is_approved(version);
        for number in 1..=3 {
            let computer = scene.computer(&format!("pc-{number}"))?;
            scene.computers.push(computer);
        }
        scene.check().context("before anything went wrong")?;
        Ok(scene)
    }

    /// A computer whose product runs what its start hook wrote down.
    fn computer(&mut self, name: &str) -> Result<Computer> {
        let computer = Computer::enrolled(&self.lab, &self.site, name, &self.vendor.root())?;
        self.reserved.insert(name.to_owned());
        let (hooks, runs) = (self.lab.path(&format!("{name}.hooks")), self.runs(name));
        let (runs, home) = (runs.display(), computer.home().display());
        write_executable(&hooks.join("stop"), format!("#!/bin/sh\nrm -f {runs}\n"))?;
        let start = format!("#!/bin/sh\ncat {home}/products/{PACKAGE}/current/VERSION > {runs}\n");
        write_executable(&hooks.join("start"), start)?;
        write_executable(&hooks.join("health"), "#!/bin/sh\nexec \"$SEALPOST_SLOT/bin/check\"\n")?;
        let hook = |hook: &str| format!("{hook} = [\"{}\"]\n", hooks.join(hook).display());
        computer.configure(&format!(
            "[packages.{PACKAGE}]\n{}{}{}",
            hook("stop"),
            hook("start"),
            hook("health")
        ))?;
        Ok(computer)
    }

    /// What the product of a computer that runs wrote down; nothing while it is stopped.
    pub(crate) fn running(&self, name: &str) -> String {
        fs::read_to_string(self.runs(name)).unwrap_or_default().trim().to_owned()
    }

    fn runs(&self, name: &str) -> PathBuf {
        self.lab.path(&format!("{name}.running"))
    }

    /// The next version's folder, to be released; one that is not good fails its health check.
    pub(crate) fn draft(&mut self, is_good: bool) -> Result<(String, PathBuf)> {
        self.released += 1;
        let version = format!("1.{}", self.released);
        let folder = self.lab.path(&format!("release-{version}"));
        let check = format!("#!/bin/sh\nexit {}\n", u8::from(!is_good));
        let noise: String = (0..4_000).map(|line| format!("{version} {line}\n")).collect();
        let files = [("VERSION", version.as_str()), ("bin/check", &check), ("lib/noise", &noise)];
        sealpost_test_support::folders::write_folder(&folder, &files)?;
        Ok((version, folder))
    }

    pub(crate) fn release(&mut self, is_good: bool) -> Result<String> {
        let (version, folder) = self.draft(is_good)?;
        self.vendor.release_program(&folder, PACKAGE, &version)?;
        fs::remove_dir_all(folder)?;
        Ok(version)
    }

    /// A new version is released and approved for all at once, without a fault.
    pub(crate) fn update(&mut self) -> Result<String> {
        let version = self.release(true)?;
        self.site.pull_and_approve(&format!("{PACKAGE}:{version}"))?;
        self.is_approved(version.clone());
        Ok(version)
    }

    pub(crate) fn is_approved(&mut self, version: String) {
        self.approved.insert(version.clone());
        self.newest = version;
    }

    /// A program that runs beside others, and may be killed. Its output goes nowhere.
    pub(crate) fn start(&self, program: &str, arguments: &[&str]) -> Result<Child> {
        let mut command = self.lab.programs().command(program);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().with_context(|| format!("cannot start {program} {arguments:?}"))
    }

    /// Kills a program after a moment, unless it has ended. Whether it ended by itself, and well.
    pub(crate) fn kill_after(&mut self, mut child: Child, moment: Duration) -> Result<bool> {
        // The moment is what is tried out here; nothing is waited for.
        std::thread::sleep(moment);
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        self.kills += 1;
        child.kill()?;
        child.wait()?;
        Ok(false)
    }

    /// What must hold in any case. Everything runs again, and there is room.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.site.verify_log()?;
        let listed = self.site.json(&["clients", "list"])?.to_string();
        for name in &self.reserved {
            ensure!(listed.contains(&format!("\"{name}\"")), "{name} was answered a seat and has none");
        }
        for computer in &self.computers {
            self.converges(computer).with_context(|| computer.name().to_owned())?;
        }
        Ok(())
    }

    /// A computer comes to what is approved, and never has anything else.
    fn converges(&self, computer: &Computer) -> Result<()> {
        let mut said = String::new();
        for attempt in 0..MOST_CHECKS {
            let now = computer.installed(PACKAGE, "VERSION");
            if let Some(now) = &now {
                ensure!(self.approved.contains(now), "{now} is installed and was never approved, or is bad");
            }
            said = match attempt {
                // What failed for a cause of the computer was given up; its person says that the cause is gone.
                3 => computer.agent(&["retry", PACKAGE])?.text(),
                _ => computer.check()?.text(),
            };
            ensure!(!said.contains("panicked"), "{said}");
            if computer.installed(PACKAGE, "VERSION").as_ref() == Some(&self.newest) {
                let runs = self.running(computer.name());
                ensure!(runs == self.newest, "{runs:?} runs, {} is installed: {said}", self.newest);
                computer.no_leftovers(PACKAGE)?;
                return computer.audit();
            }
        }
        let now = computer.installed(PACKAGE, "VERSION");
        bail!("{} is approved, and after {MOST_CHECKS} checks it has {now:?}: {said}", self.newest)
    }

    /// Copies what is there to the folder that `SEALPOST_KEEP` names.
    pub(crate) fn keep(&self) {
        let Some(to) = std::env::var_os("SEALPOST_KEEP") else { return };
        match copy_tree(self.lab.folder(), &PathBuf::from(&to).join("soak")) {
            Ok(()) => eprintln!("soak: a copy of everything is in {}", to.display()),
            Err(error) => eprintln!("soak: nothing could be kept: {error}"),
        }
    }

    /// Space that is still free where everything lies, in bytes.
    pub(crate) fn free_bytes(&self) -> Result<u64> {
        let mut df = Command::new("df");
        df.args(["--output=avail", "-B1"]).arg(self.lab.folder());
        let said = sealpost_tests::harness::run(df)?.ok()?;
        said.lines().nth(1).context("a number")?.trim().parse().context("a number of bytes")
    }

    pub(crate) fn counts(&self) -> String {
        let Self { kills, flips, full_disks, reserved, released, .. } = self;
        format!(
            "{kills} kills, {flips} flipped bits, {full_disks} full disks, {} reservations, {released} releases",
            reserved.len()
        )
    }
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}
