//! A site: its Primary Server, and what an admin types there.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sealpost_test_support::folders::write_file;
use sealpost_test_support::ports::free_port;
use serde_json::Value;

use super::lab::Lab;
use super::program::{Daemon, Output, Programs, run};
use super::wait::wait_until;

/// A site.
#[derive(Debug)]
pub struct Site {
    programs: Programs,
    home: PathBuf,
    listen: String,
    server: Option<(Daemon, u16)>,
    serial: Option<String>,
}

impl Site {
    /// A new site that buys from the vendor at `vendor_url`; its server does not run yet.
    ///
    /// # Errors
    /// When `distributor init` fails.
    pub fn new(lab: &Lab, name: &str, vendor_url: &str, root: &Path) -> Result<Self> {
        let programs = lab.programs().clone();
        let site = Self {
            programs,
            home: lab.path(name),
            listen: format!("127.0.0.1:{}", free_port()),
            server: None,
            serial: None,
        };
        let root = root.to_str().context("a file name in UTF-8")?;
        site.distributor(&["init", "--vendor-url", vendor_url, "--root", root, "--address", "127.0.0.1"])?
            .ok()?;
        Ok(site)
    }

    /// The same site in another home, into which its backup was restored. Its server does not run; the first one's may
    /// not run any more.
    ///
    /// # Errors
    /// When the backup is refused.
    pub fn restored(&self, lab: &Lab, name: &str, backup: &Path) -> Result<Self> {
        let site = Self {
            programs: self.programs.clone(),
            home: lab.path(name),
            listen: self.listen.clone(),
            server: None,
            serial: self.serial.clone(),
        };
        site.distributor(&["restore", backup.to_str().context("a file name in UTF-8")?])?.ok()?;
        Ok(site)
    }

    /// Unlocks a serial number.
    ///
    /// # Errors
    /// When it is refused.
    pub fn register(&mut self, serial: &str) -> Result<String> {
        self.serial = Some(serial.to_owned());
        self.distributor(&["register", serial])?.ok()
    }

    /// Registers its serial number again, as an admin does after a restore.
    ///
    /// # Errors
    /// When it is refused, or nothing was unlocked before.
    pub fn register_again(&self) -> Result<String> {
        self.distributor(&["register", self.serial.as_deref().context("no serial number")?])?.ok()
    }

    /// Its home.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Sets the clock of its programs from their next start on, as libfaketime understands it; `None` is the right one.
    pub fn set_clock(&mut self, clock: Option<&str>) {
        self.programs.set_clock(clock);
    }

    /// Runs `distributor`.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub fn distributor(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.programs.command("distributor");
        command.arg("--home").arg(&self.home).args(arguments);
        run(command)
    }

    /// Runs a command of the Primary Server that finds a file on its standard input.
    ///
    /// # Errors
    /// When the file cannot be read, or the command cannot be started or does not end.
    pub fn distributor_reading(&self, arguments: &[&str], input: &Path) -> Result<Output> {
        let mut command = self.programs.command("distributor");
        command.arg("--home").arg(&self.home).args(arguments).stdin(File::open(input)?);
        run(command)
    }

    /// Starts the Primary Server. It listens on the same port each time, since setup files name it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn serve(&mut self) -> Result<()> {
        let listen = self.listen.clone();
        self.serve_with(&["--listen", &listen])
    }

    /// Starts the Primary Server where its configuration says.
    ///
    /// # Errors
    /// When it does not start.
    pub fn serve_as_configured(&mut self) -> Result<()> {
        self.serve_with(&[])
    }

    fn serve_with(&mut self, arguments: &[&str]) -> Result<()> {
        let mut command = self.programs.command("distributor");
        command.arg("--home").arg(&self.home).arg("serve").args(arguments);
        let log = self.home.with_extension("log");
        let (daemon, line) = Daemon::start(command, "distributor serve", &log, "listening on ")?;
        let port = line.rsplit(':').next().and_then(|port| port.trim().trim_end_matches('/').parse().ok());
        let port: u16 = port.with_context(|| format!("no port in {line:?}"))?;
        self.listen = format!("127.0.0.1:{port}");
        self.server = Some((daemon, port));
        Ok(())
    }

    /// Writes settings that replace those of `distributor.toml`, and tells a running server to read them.
    ///
    /// # Errors
    /// When they cannot be written, or the server is gone.
    pub fn configure(&self, text: &str) -> Result<()> {
        write_file(&self.home.join("distributor.d/test.toml"), text)?;
        self.server.as_ref().map_or(Ok(()), |(daemon, _)| daemon.reload())
    }

    /// The port of the running server.
    ///
    /// # Errors
    /// When it does not run.
    pub fn port(&self) -> Result<u16> {
        self.server.as_ref().map(|(_, port)| *port).context("the Primary Server does not run")
    }

    /// What the running server said so far.
    ///
    /// # Errors
    /// When it does not run.
    pub fn log_text(&self) -> Result<String> {
        self.server.as_ref().context("the Primary Server does not run")?.0.log()
    }

    /// Ends the server.
    ///
    /// # Errors
    /// When it does not end cleanly.
    pub fn stop(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), |(daemon, _)| daemon.stop())
    }

    /// Kills the server.
    ///
    /// # Errors
    /// When it was gone.
    pub fn kill_9(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), |(daemon, _)| daemon.kill_9())
    }

    /// The program, for callers that outlive a borrow of the site.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.programs.path("distributor")
    }

    /// Anonymous memory of the server, in KiB.
    ///
    /// # Errors
    /// When it does not run.
    pub fn anonymous_kib(&self) -> Result<u64> {
        self.server.as_ref().context("the Primary Server does not run")?.0.anonymous_kib()
    }

    /// Pulls now.
    ///
    /// # Errors
    /// When it is refused.
    pub fn pull(&self) -> Result<String> {
        self.distributor(&["pull"])?.ok()
    }

    /// Approves a release, `PACKAGE:VERSION`, without looking at it.
    ///
    /// # Errors
    /// When it is refused.
    pub fn approve(&self, reference: &str) -> Result<String> {
        self.distributor(&["updates", "approve", reference, "--yes", "--strategy", "everyone-now"])?.ok()
    }

    /// Pulls, and approves a release.
    ///
    /// # Errors
    /// When either is refused.
    pub fn pull_and_approve(&self, reference: &str) -> Result<()> {
        self.pull()?;
        self.approve(reference)?;
        Ok(())
    }

    /// What `command --json` prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn json(&self, command: &[&str]) -> Result<Value> {
        self.distributor(&[command, &["--json"]].concat())?.json()
    }

    /// Every activity entry, as one JSON value each.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn activity(&self) -> Result<Vec<Value>> {
        let printed = self.distributor(&["log", "--json"])?.ok()?;
        entries(&printed)
    }

    /// The activity entries of one kind, for example `step_reported`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn activity_of(&self, kind: &str) -> Result<Vec<Value>> {
        let printed = self.distributor(&["log", "--kind", kind, "--json"])?.ok()?;
        entries(&printed)
    }

    /// Waits for an activity entry of a kind whose JSON holds every one of some texts, and gives it as text.
    ///
    /// # Errors
    /// When none comes.
    pub fn wait_for_activity(&self, kind: &str, texts: &[&str]) -> Result<String> {
        let mut found = None;
        wait_until(&format!("an entry {kind} with {texts:?}"), || {
            let entries = self.activity_of(kind)?;
            found = entries
                .iter()
                .map(Value::to_string)
                .find(|entry| texts.iter().all(|text| entry.contains(text)));
            Ok(found.is_some())
        })?;
        found.context("an entry")
    }

    /// Checks the activity log's chain.
    ///
    /// # Errors
    /// When it does not hold.
    pub fn verify_log(&self) -> Result<()> {
        self.distributor(&["log", "verify"])?.ok().map(drop)
    }
}

/// `--json` lists are either one array or one value a line; both are understood.
fn entries(printed: &str) -> Result<Vec<Value>> {
    if printed.trim_start().starts_with('[') {
        return serde_json::from_str(printed).context("an array of entries");
    }
    let mut entries = Vec::new();
    for value in serde_json::Deserializer::from_str(printed).into_iter::<Value>() {
        match value? {
            Value::Object(mut object) => match object.remove("entries") {
                Some(Value::Array(inner)) => entries.extend(inner),
                _ => entries.push(Value::Object(object)),
            },
            Value::Array(inner) => entries.extend(inner),
            other => bail!("{other} is no entry"),
        }
    }
    Ok(entries)
}
