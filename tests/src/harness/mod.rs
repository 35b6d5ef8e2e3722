//! Starts the real programs as separate processes in a temporary folder, waits for states, and kills.
//!
//! Invariants: loopback and port 0 only; every process that was started is ended, also when a test fails; every wait
//! has an end and says what it waited for. Left out on purpose: knowledge of the programs' insides. What a test may
//! look at is what a person could: exit codes, printed text, `--json`, and files that the documentation names.

mod computer;
mod forger;
mod program;
mod proxy;
mod site;
mod tools;
mod tree;
mod vendor;

pub use computer::Computer;
pub use forger::{Forgery, ManifestSigner};
pub use program::{Daemon, Output, Programs, run};
pub use proxy::{Cut, Proxy};
pub use site::Site;
pub use tools::{Tool, fetched_program, python_with_tuf, workspace};
pub use tree::{copy_tree, files_beneath, flip_a_bit, replace_tree, snapshot, write_executable, write_file};
pub use vendor::Vendor;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Longest wait for any state: far more than anything takes, so that a slow machine fails no test.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks at a state.
const GLANCE: Duration = Duration::from_millis(50);

/// A temporary folder in which a test plays, and the programs to play with.
#[derive(Debug)]
pub struct Lab {
    programs: Programs,
    folder: tempfile::TempDir,
}

impl Lab {
    /// A new, empty one.
    ///
    /// # Errors
    /// When the programs cannot be built or the folder cannot be made.
    pub fn new() -> Result<Self> {
        let programs = Programs::find()?;
        let folder =
            tempfile::Builder::new().prefix("sealpost-test-").tempdir().context("a temporary folder")?;
        // Hooks run as `nobody` and must be able to reach the slots in here.
        tree::set_mode(folder.path(), 0o755)?;
        Ok(Self { programs, folder })
    }

    /// The programs.
    #[must_use]
    pub const fn programs(&self) -> &Programs {
        &self.programs
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A vendor that serves its repository, and a site with its running Primary Server that has unlocked `seats`.
    ///
    /// # Errors
    /// When any of the commands fails.
    pub fn vendor_and_site(&self, seats: u32) -> Result<(Vendor, Site)> {
        let mut vendor = Vendor::new(self, "vendor")?;
        vendor.serve()?;
        let site = self.site(&vendor, "site", seats)?;
        Ok((vendor, site))
    }

    /// Another site of a vendor, running and unlocked.
    ///
    /// # Errors
    /// When any of the commands fails.
    pub fn site(&self, vendor: &Vendor, name: &str, seats: u32) -> Result<Site> {
        let mut site = Site::new(self, name, vendor.url()?, &vendor.root())?;
        site.serve()?;
        site.distributor(&["register", &vendor.serial(seats)?])?.ok()?;
        Ok(site)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Slots are read-only; the folder could not be removed otherwise.
        tree::make_writable(self.folder.path());
    }
}

/// Looks until `state` says yes.
///
/// # Errors
/// When it says no for too long, or fails.
pub fn wait_until(what: &str, mut state: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        if state().with_context(|| format!("while waiting: {what}"))? {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("waited {} s in vain: {what}", PATIENCE.as_secs());
        }
        std::thread::sleep(GLANCE);
    }
}
