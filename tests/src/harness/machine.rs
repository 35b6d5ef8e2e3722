//! Computers with a Debian of their own: a root folder made by mmdebstrap from this machine's own package sources, and
//! systemd as the first process in it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::lab::Lab;
use super::program::{Output, run};
use super::wait::wait_until;
use super::workspace::{lock, target_folder, workspace};

/// What the computers have beside a minimal system.
const PACKAGES: &str = "ca-certificates,openssh-server,systemd,systemd-sysv";
/// What a package would start at each start of a computer; the one test that wants it starts it.
const NOT_STARTED: &str = "chroot \"$1\" systemctl disable ssh.service";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where a computer's first process hears what happens.
const CONSOLE: &str = "console.log";

/// A folder with a whole Debian, in which commands run without its own systemd.
#[derive(Debug)]
pub struct Root {
    folder: PathBuf,
}

/// A running computer. It ends when this is dropped.
#[derive(Debug)]
pub struct Machine {
    root: Root,
    keeper: Child,
    init: String,
    group: String,
}

impl Root {
    /// A new one in the lab.
    ///
    /// # Errors
    /// When this machine's package sources do not give one.
    pub fn new(lab: &Lab, name: &str) -> Result<Self> {
        let image = image()?;
        let folder = lab.path(name);
        fs::create_dir(&folder)?;
        let mut unpack = Command::new("tar");
        unpack.args(["--extract", "--preserve-permissions", "--numeric-owner", "--file"]).arg(image);
        unpack.arg("--directory").arg(&folder);
        run(unpack)?.ok().context("cannot unpack the root")?;
        Ok(Self { folder })
    }

    /// The path of a file of it, from outside.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.join(inside.trim_start_matches('/'))
    }

    /// Runs a command inside.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new("chroot");
        command.arg(&self.folder).args(arguments);
        run(plain(command))
    }

    /// Starts it as a computer, and waits until it is up.
    ///
    /// # Errors
    /// When it does not come up; with what its console said.
    pub fn boot(self) -> Result<Machine> {
        // The lab's own name: several computers may run for one process of tests.
        let lab = self.folder.parent().and_then(Path::file_name).context("a root without a lab")?;
        let group = lab.to_string_lossy().into_owned();
        let console = self.folder.with_extension(CONSOLE);
        let output = File::create(&console)?;
        let mut command = Command::new(workspace().join("tests/boot-machine"));
        command.arg(&self.folder).arg(&group).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let keeper = command.spawn().context("cannot start tests/boot-machine")?;
        let mut machine = Machine { root: self, keeper, init: String::new(), group };
        let said = || fs::read_to_string(&console).unwrap_or_default();
        wait_until("the computer is up", || {
            if let Some(status) = machine.keeper.try_wait()? {
                bail!("the computer ended with {status}: {}", said());
            }
            machine.init = machine.first_process();
            Ok(!machine.init.is_empty() && machine.is_up())
        })
        .with_context(said)?;
        Ok(machine)
    }
}

impl Machine {
    /// The process number of its first process, as this machine sees it.
    #[must_use]
    pub fn init(&self) -> &str {
        &self.init
    }

    /// Runs a command on the computer, as root.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init, "--all", "--"]).args(arguments);
        run(plain(command))
    }

    /// Runs a line of shell on the computer, and returns what it printed, without the end of the last line.
    ///
    /// # Errors
    /// When it does not end with 0.
    pub fn shell(&self, line: &str) -> Result<String> {
        Ok(self.run(&["bash", "-euo", "pipefail", "-c", line])?.ok()?.trim_end().to_owned())
    }

    /// Enables and starts units.
    ///
    /// # Errors
    /// When one does not start; with what each said last.
    pub fn enable(&self, units: &[&str]) -> Result<()> {
        let started = self.shell(&format!("systemctl enable --now {}", units.join(" ")));
        started.map(drop).with_context(|| units.iter().map(|unit| self.about(unit)).collect::<String>())
    }

    /// A property of a unit.
    ///
    /// # Errors
    /// When systemd does not answer.
    pub fn property(&self, unit: &str, property: &str) -> Result<String> {
        self.shell(&format!("systemctl show --value --property {property} {unit}"))
    }

    /// Waits until a unit is active, and fails when it has failed.
    ///
    /// # Errors
    /// When it is not; with the end of its journal.
    pub fn wait_until_active(&self, unit: &str) -> Result<()> {
        wait_until(&format!("{unit} is active"), || match self.property(unit, "ActiveState")?.as_str() {
            "active" => Ok(true),
            "failed" => bail!("{unit} has failed"),
            _ => Ok(false),
        })
        .with_context(|| self.about(unit))
    }

    fn journal(&self, unit: &str) -> String {
        self.shell(&format!("journalctl --no-pager --lines 40 --unit {unit}")).unwrap_or_default()
    }

    /// What systemd says of a unit now, and what it said last.
    #[must_use]
    pub fn about(&self, unit: &str) -> String {
        let status = self.run(&["systemctl", "--no-pager", "status", unit]);
        format!("{}{}", status.map(|said| said.stdout).unwrap_or_default(), self.journal(unit))
    }

    /// The path of a file of the computer, from outside.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        self.root.path(inside)
    }

    /// The process number of systemd, as this machine sees it; empty as long as there is none.
    fn first_process(&self) -> String {
        let keeper = self.keeper.id();
        let children =
            fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).unwrap_or_default();
        children.split_whitespace().next().unwrap_or_default().to_owned()
    }

    fn is_up(&self) -> bool {
        // Before it has its root, the process is still the script.
        let is_systemd = fs::read_link(format!("/proc/{}/exe", self.init))
            .is_ok_and(|program| program.ends_with("systemd"));
        is_systemd
            && self.run(&["systemctl", "is-system-running"]).is_ok_and(|said| said.stdout.trim() == "running")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With the keeper its first process is killed, and with that every other one.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        let _ = wait_until("the computer is gone", || Ok(!Path::new("/proc").join(&self.init).exists()));
        for hierarchy in ["", "systemd", "unified"] {
            remove_groups(&Path::new("/sys/fs/cgroup").join(hierarchy).join(&self.group));
        }
    }
}

/// Control groups are removed from the innermost on; they are folders without files that could be.
fn remove_groups(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}

/// Without the environment of this process.
fn plain(mut command: Command) -> Command {
    command.env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive");
    command.stdin(Stdio::null());
    command
}

/// The packed root, made anew when this machine's package sources are others.
fn image() -> Result<PathBuf> {
    let _one_at_a_time = lock("debian-root")?;
    let sources = sources()?;
    let tar = target_folder().join("debian-root.tar");
    let made_of = target_folder().join("debian-root.sources");
    let names: Vec<String> = sources.iter().map(|path| path.display().to_string()).collect();
    let mut texts = format!("{PACKAGES} {NOT_STARTED} {}\n", names.join(" "));
    for path in &sources {
        texts.push_str(&fs::read_to_string(path)?);
    }
    if tar.is_file() && fs::read_to_string(&made_of).is_ok_and(|old| old == texts) {
        return Ok(tar);
    }
    let unfinished = target_folder().join("debian-root.unfinished.tar");
    let mut make = Command::new("mmdebstrap");
    make.args(["--quiet", "--mode=root", "--variant=minbase"]).arg(format!("--include={PACKAGES}"));
    make.arg(format!("--customize-hook={NOT_STARTED}"));
    make.arg(release()?).arg(&unfinished).args(&sources).stdin(Stdio::null());
    // It takes longer than a command that a test waits for.
    let made = make.output().context("cannot start mmdebstrap")?;
    ensure!(made.status.success(), "mmdebstrap makes no root: {}", String::from_utf8_lossy(&made.stderr));
    fs::rename(unfinished, &tar)?;
    fs::write(made_of, texts)?;
    Ok(tar)
}

/// This machine's Debian, by its code name.
fn release() -> Result<String> {
    let about = BufReader::new(File::open("/etc/os-release")?);
    for line in about.lines() {
        if let Some(name) = line?.strip_prefix("VERSION_CODENAME=") {
            return Ok(name.to_owned());
        }
    }
    bail!("/etc/os-release has no VERSION_CODENAME; is this Debian?")
}

/// The files with this machine's sources of Debian packages; others than Debian's are not needed.
fn sources() -> Result<Vec<PathBuf>> {
    let release = release()?;
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    for entry in fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten() {
        files.push(entry?.path());
    }
    files.retain(|path| {
        let is_read = path.extension().is_some_and(|end| end == "list" || end == "sources");
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        is_read && lines.flat_map(str::split_whitespace).any(|word| word == release)
    });
    files.sort();
    ensure!(!files.is_empty(), "no file of /etc/apt names {release}");
    Ok(files)
}
