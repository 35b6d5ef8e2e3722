//! A vendor: its home, its releases, and its server.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sealpost_test_support::folders::write_folder;
use sealpost_test_support::ports::free_port;

use super::lab::Lab;
use super::program::{Daemon, Output, Programs, run};

/// A vendor.
#[derive(Debug)]
pub struct Vendor {
    programs: Programs,
    home: PathBuf,
    listen: String,
    server: Option<(Daemon, String)>,
}

impl Vendor {
    /// A new vendor, whose keys have no passphrase.
    ///
    /// # Errors
    /// When `publisher init` fails.
    pub fn new(lab: &Lab, name: &str) -> Result<Self> {
        let vendor = Self {
            programs: lab.programs().clone(),
            home: lab.path(name),
            listen: format!("127.0.0.1:{}", free_port()),
            server: None,
        };
        vendor.publisher(&["init", "--vendor", "Acme Ltd", "--no-passphrase"])?.ok()?;
        Ok(vendor)
    }

    /// Its home.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Its published repository.
    #[must_use]
    pub fn repository(&self) -> PathBuf {
        self.home.join("repository")
    }

    /// The root that sites and computers pin.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.home.join("root.json")
    }

    /// Sets the clock of its programs from their next start on, as libfaketime understands it; `None` is the right one.
    pub fn set_clock(&mut self, clock: Option<&str>) {
        self.programs.set_clock(clock);
    }

    /// Runs `publisher`.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub fn publisher(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.programs.command("publisher");
        command.arg("--home").arg(&self.home).args(arguments);
        run(command)
    }

    /// Publishes a folder as a program on channel `stable`.
    ///
    /// # Errors
    /// When it is refused.
    pub fn release_program(&self, folder: &Path, package: &str, version: &str) -> Result<String> {
        self.release(folder, package, version, "program")
    }

    /// Publishes a folder as a revision of a signature package on channel `stable`.
    ///
    /// # Errors
    /// When it is refused.
    pub fn release_signatures(&self, folder: &Path, package: &str, revision: &str) -> Result<String> {
        self.release(folder, package, revision, "signatures")
    }

    /// Publishes a folder as a release of the agent itself on channel `stable`.
    ///
    /// # Errors
    /// When it is refused.
    pub fn release_agent(&self, folder: &Path, version: &str) -> Result<String> {
        self.release(folder, "agent-updater", version, "agent")
    }

    fn release(&self, folder: &Path, package: &str, version: &str, kind: &str) -> Result<String> {
        let folder = folder.to_str().context("a folder name in UTF-8")?;
        let arguments = [
            "release",
            folder,
            "--package",
            package,
            "--version",
            version,
            "--kind",
            kind,
            "--channel",
            "stable",
            "--new-package",
            "--downgrade",
        ];
        self.publisher(&arguments)?.ok()
    }

    /// Publishes files, given as path and content, as a program on channel `stable`. A path below `bin/` is executable.
    ///
    /// # Errors
    /// When it is refused.
    pub fn release_files(&self, package: &str, version: &str, files: &[(&str, &str)]) -> Result<String> {
        let folder = self.home.with_file_name(format!("{package}-{version}.release"));
        write_folder(&folder, files)?;
        self.release_program(&folder, package, version)
    }

    /// Sells seats.
    ///
    /// # Errors
    /// When no serial number is made.
    pub fn serial(&self, seats: u32) -> Result<String> {
        let printed = self.publisher(&["serial", "new", "--seats", &seats.to_string()])?.ok()?;
        Ok(printed.lines().next().context("a serial number")?.to_owned())
    }

    /// Starts its server, and gives the address: the same one each time, since sites know it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn serve(&mut self) -> Result<String> {
        let mut command = self.programs.command("publisher");
        command.arg("--home").arg(&self.home).args(["serve", "--listen", &self.listen]);
        let log = self.home.with_extension("log");
        let (daemon, line) = Daemon::start(command, "publisher serve", &log, "listening on ")?;
        let url = line.trim_start_matches("listening on ").trim().to_owned();
        let port = url.rsplit(':').next().map(|port| port.trim_end_matches('/'));
        self.listen = format!("127.0.0.1:{}", port.context("a port")?);
        self.server = Some((daemon, url.clone()));
        Ok(url)
    }

    /// Where its server listens.
    ///
    /// # Errors
    /// When it does not.
    pub fn url(&self) -> Result<&str> {
        self.server.as_ref().map(|(_, url)| url.as_str()).context("the vendor's server does not run")
    }

    /// Ends its server.
    ///
    /// # Errors
    /// When it does not end cleanly.
    pub fn stop(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), |(daemon, _)| daemon.stop())
    }
}
