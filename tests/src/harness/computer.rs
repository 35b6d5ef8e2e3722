//! A computer: its agent, its configuration, and what is installed on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sealpost_test_support::folders::{copy_tree, set_mode, write_file};
use serde_json::Value;

use super::lab::Lab;
use super::program::{Daemon, Output, Programs, run};
use super::site::Site;
use super::wait::wait_until;

/// A computer.
#[derive(Debug)]
pub struct Computer {
    programs: Programs,
    name: String,
    home: PathBuf,
    setup: PathBuf,
    root: PathBuf,
    agent: Option<Daemon>,
}

impl Computer {
    /// A computer whose name holds a seat at the site, with a setup file. It has not enrolled.
    ///
    /// # Errors
    /// When there is no seat.
    pub fn reserved(lab: &Lab, site: &Site, name: &str, root: &Path) -> Result<Self> {
        site.distributor(&["clients", "reserve", name])?.ok()?;
        let setup = lab.path(&format!("{name}.setup.json"));
        let setup_text = setup.to_str().context("a file name in UTF-8")?;
        site.distributor(&["clients", "setup", name, "--out", setup_text])?.ok()?;
        let home = lab.path(name);
        fs::create_dir(&home)?;
        set_mode(&home, 0o755)?;
        let programs = lab.programs().clone();
        Ok(Self { programs, name: name.to_owned(), home, setup, root: root.to_owned(), agent: None })
    }

    /// A computer without a seat, with a setup file that any computer may have. It has not asked.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn knocking(lab: &Lab, setup: &Path, name: &str, root: &Path) -> Result<Self> {
        let home = lab.path(name);
        fs::create_dir(&home)?;
        set_mode(&home, 0o755)?;
        let (programs, setup, root) = (lab.programs().clone(), setup.to_owned(), root.to_owned());
        Ok(Self { programs, name: name.to_owned(), home, setup, root, agent: None })
    }

    /// Asks to be enrolled under a name.
    ///
    /// # Errors
    /// When the command cannot be run.
    pub fn knock(&self, name: &str) -> Result<Output> {
        let setup = self.setup.to_str().context("a file name in UTF-8")?;
        let root = self.root.to_str().context("a file name in UTF-8")?;
        self.agent(&["enroll", "--setup", setup, "--root", root, "--name", name])
    }

    /// A computer that has enrolled.
    ///
    /// # Errors
    /// When there is no seat, or enrollment is refused.
    pub fn enrolled(lab: &Lab, site: &Site, name: &str, root: &Path) -> Result<Self> {
        let computer = Self::reserved(lab, site, name, root)?;
        computer.enroll()?.ok()?;
        Ok(computer)
    }

    /// A computer with a copy of this one's disk.
    ///
    /// # Errors
    /// When the home cannot be copied.
    pub fn cloned(&self, lab: &Lab, name: &str) -> Result<Self> {
        let home = lab.path(name);
        copy_tree(&self.home, &home)?;
        Ok(Self {
            programs: self.programs.clone(),
            name: self.name.clone(),
            home,
            setup: self.setup.clone(),
            root: self.root.clone(),
            agent: None,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The agent's home.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Its setup file.
    #[must_use]
    pub fn setup(&self) -> &Path {
        &self.setup
    }

    /// Rewrites its setup file, for example to lead the agent through a proxy.
    ///
    /// # Errors
    /// When it is not there or is not JSON.
    pub fn edit_setup(&self, edit: impl FnOnce(&mut Value)) -> Result<()> {
        let mut setup: Value = serde_json::from_slice(&fs::read(&self.setup)?)?;
        edit(&mut setup);
        write_file(&self.setup, setup.to_string())?;
        Ok(set_mode(&self.setup, 0o600)?)
    }

    /// Leads the agent to another port.
    ///
    /// # Errors
    /// When the setup file has another shape.
    pub fn lead_through(&self, port: u16) -> Result<()> {
        self.edit_setup(|setup| setup["servers"][0]["server"]["port"] = port.into())
    }

    /// Writes its `agent.toml`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure(&self, text: &str) -> Result<()> {
        Ok(write_file(&self.home.join("agent.toml"), text)?)
    }

    /// Sets the clock of its programs from their next start on, as libfaketime understands it; `None` is the right one.
    pub fn set_clock(&mut self, clock: Option<&str>) {
        self.programs.set_clock(clock);
    }

    /// Runs `agent-updater`.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub fn agent(&self, arguments: &[&str]) -> Result<Output> {
        self.agent_with("agent-updater", &[], arguments)
    }

    /// Runs another build of the agent, with more environment.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub fn agent_with(
        &self,
        program: &str,
        environment: &[(&str, &str)],
        arguments: &[&str],
    ) -> Result<Output> {
        let mut command = self.programs.command(program);
        command.envs(environment.iter().copied()).arg("--home").arg(&self.home).args(arguments);
        run(command)
    }

    /// Enrolls with the setup file.
    ///
    /// # Errors
    /// When the command cannot be run.
    pub fn enroll(&self) -> Result<Output> {
        let setup = self.setup.to_str().context("a file name in UTF-8")?;
        let root = self.root.to_str().context("a file name in UTF-8")?;
        self.agent(&["enroll", "--setup", setup, "--root", root])
    }

    /// Enrolls with a further site too, at which a seat is reserved for its name.
    ///
    /// # Errors
    /// When there is no seat, or the command cannot be run.
    pub fn add_server(&self, lab: &Lab, site: &Site) -> Result<Output> {
        site.distributor(&["clients", "reserve", &self.name])?.ok()?;
        let setup = lab.path(&format!("{}.further.setup.json", self.name));
        let setup = setup.to_str().context("a file name in UTF-8")?;
        site.distributor(&["clients", "setup", &self.name, "--out", setup])?.ok()?;
        self.agent(&["servers", "add", "--setup", setup])
    }

    /// Contacts the server now, and installs what it says.
    ///
    /// # Errors
    /// When the command cannot be run.
    pub fn check(&self) -> Result<Output> {
        self.agent(&["check"])
    }

    /// Starts the agent's daemon.
    ///
    /// # Errors
    /// When it does not start.
    pub fn run(&mut self) -> Result<()> {
        self.run_with("agent-updater", &[])
    }

    /// Starts another build of the agent as the daemon, with more environment.
    ///
    /// # Errors
    /// When it does not start.
    pub fn run_with(&mut self, program: &str, environment: &[(&str, &str)]) -> Result<()> {
        let mut command = self.programs.command(program);
        command.envs(environment.iter().copied()).arg("--home").arg(&self.home).arg("run");
        let log = self.home.with_extension("log");
        let (daemon, _) = Daemon::start(command, &format!("agent of {}", self.name), &log, "running")?;
        self.agent = Some(daemon);
        Ok(())
    }

    /// Anonymous memory of the daemon, in KiB.
    ///
    /// # Errors
    /// When it does not run.
    pub fn anonymous_kib(&self) -> Result<u64> {
        self.agent.as_ref().context("the agent does not run")?.anonymous_kib()
    }

    /// Waits until the daemon ended by itself, or was killed.
    ///
    /// # Errors
    /// When it goes on.
    pub fn wait_for_end(&mut self) -> Result<()> {
        let mut agent = self.agent.take().context("the agent does not run")?;
        wait_until(&format!("the agent of {} ends", self.name), || agent.has_ended())
    }

    /// Kills the daemon as a power cut would.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill_9(&mut self) -> Result<()> {
        self.agent.take().context("the agent does not run")?.kill_9()
    }

    /// Ends the daemon.
    ///
    /// # Errors
    /// When it does not end cleanly.
    pub fn stop(&mut self) -> Result<()> {
        self.agent.take().map_or(Ok(()), Daemon::stop)
    }

    /// `status --json`.
    ///
    /// # Errors
    /// When it fails.
    pub fn status(&self) -> Result<Value> {
        // Exit status 1 says that something needs a person, and the text is whole.
        let text = self.agent(&["status", "--json"])?.stdout;
        serde_json::from_str(&text).with_context(|| format!("status printed no JSON: {text}"))
    }

    /// The `current` link of a package.
    #[must_use]
    pub fn current(&self, package: &str) -> PathBuf {
        self.home.join("products").join(package).join("current")
    }

    /// The content of a file of what is installed; `None` when there is none.
    #[must_use]
    pub fn installed(&self, package: &str, file: &str) -> Option<String> {
        fs::read_to_string(self.current(package).join(file)).ok().map(|text| text.trim().to_owned())
    }

    /// Waits until a file of what is installed has this content.
    ///
    /// # Errors
    /// When it never has.
    pub fn wait_for_installed(&self, package: &str, file: &str, content: &str) -> Result<()> {
        wait_until(&format!("{file} of {package} is {content:?} on {}", self.name), || {
            Ok(self.installed(package, file).as_deref() == Some(content))
        })
    }

    /// Checks that what is installed is whole, as the agent itself re-checks it against the signed manifests.
    ///
    /// # Errors
    /// When it is not.
    pub fn audit(&self) -> Result<()> {
        self.agent(&["audit"])?.ok().map(drop)
    }

    /// Whether a permission (`run`, `upload`, `remote_management`) of a package is open, as a shell reads the gate file.
    ///
    /// # Errors
    /// When there is no gate file, or a shell cannot read it.
    pub fn is_open(&self, package: &str, permission: &str) -> Result<bool> {
        let gate = self.home.join("gate").join(package);
        ensure!(gate.is_file(), "{} is missing", gate.display());
        let mut shell = Command::new("sh");
        shell.args(["-euc", ". \"$1\"; eval \"echo \\$$2\"", "sh"]).arg(gate).arg(permission);
        match run(shell)?.ok()?.trim() {
            "true" => Ok(true),
            "false" => Ok(false),
            other => bail!("{permission}={other} in the gate file of {package}"),
        }
    }

    /// Checks that nothing half-made lies beside the slots.
    ///
    /// # Errors
    /// When something does.
    pub fn no_leftovers(&self, package: &str) -> Result<()> {
        let slots = self.home.join("products").join(package).join("slots");
        for entry in fs::read_dir(&slots).into_iter().flatten() {
            let name = entry?.file_name().to_string_lossy().into_owned();
            ensure!(!name.contains("building"), "{name} was left behind in {}", slots.display());
        }
        Ok(())
    }
}
