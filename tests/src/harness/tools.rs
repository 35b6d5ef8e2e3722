//! Other people's tools: found, installed into `target/`, or loudly missing.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sealpost_test_support::skips::skip;

use super::program::run;
use super::workspace::{lock, target_folder, workspace};

/// python-tuf, pinned.
const PYTHON_TUF: &str = "tuf==7.0.0";

/// A program that the project does not bring along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// ClamAV's scanner.
    Clamscan,
    /// The original minisign.
    Minisign,
    /// Python with `venv`.
    Python,
    /// npm.
    Npm,
    /// A program that starts another one with a wrong clock.
    Faketime,
    /// Checks unit files.
    SystemdAnalyze,
    /// Makes a Debian in a folder.
    Mmdebstrap,
    /// Finds the libraries that a Debian package depends on.
    DpkgShlibdeps,
    /// Makes the kernel refuse a program's system calls.
    Strace,
    /// Rules the kernel's packet filter.
    Nft,
}

impl Tool {
    const fn name(self) -> &'static str {
        match self {
            Self::Clamscan => "clamscan",
            Self::Minisign => "minisign",
            Self::Python => "python3",
            Self::Npm => "npm",
            Self::Faketime => "faketime",
            Self::SystemdAnalyze => "systemd-analyze",
            Self::Mmdebstrap => "mmdebstrap",
            Self::DpkgShlibdeps => "dpkg-shlibdeps",
            Self::Strace => "strace",
            Self::Nft => "nft",
        }
    }

    /// Debian's package that has it.
    const fn package(self) -> &'static str {
        match self {
            Self::Clamscan => "clamav",
            Self::SystemdAnalyze => "systemd",
            Self::DpkgShlibdeps => "dpkg-dev",
            Self::Nft => "nftables",
            other => other.name(),
        }
    }

    /// Whether a comparison with somebody else's tool can run; if not, that is said loudly, and where nothing may be
    /// skipped it is an error. What the product itself is tested with is required instead ([`Tool::require`]).
    ///
    /// # Errors
    /// When it is missing and nothing may be skipped.
    pub fn is_here(self, test: &str) -> Result<bool> {
        if self.is_in_path() {
            return Ok(true);
        }
        skip(&self.absence(test))?;
        Ok(false)
    }

    /// Fails a test that cannot do without it.
    ///
    /// # Errors
    /// When it is missing; with what to install.
    pub fn require(self, test: &str) -> Result<()> {
        ensure!(self.is_in_path(), "{}", self.absence(test));
        Ok(())
    }

    /// Fails a test that needs root's rights.
    ///
    /// # Errors
    /// When it does not have them.
    pub fn require_root(test: &str) -> Result<()> {
        ensure!(rustix::process::geteuid().is_root(), "{test}: it needs root's rights; run it as root");
        Ok(())
    }

    fn is_in_path(self) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(self.name()).is_file())
    }

    fn absence(self, test: &str) -> String {
        let (name, package) = (self.name(), self.package());
        format!(
            "{test}: {name} is not installed; `apt-get install {package}`, or run tests/run as root on Debian"
        )
    }
}

/// A Python that can `import tuf`.
///
/// # Errors
/// When it cannot be installed.
pub fn python_with_tuf() -> Result<PathBuf> {
    let _one_at_a_time = lock("venv-tuf")?;
    let folder = target_folder().join("venv-tuf");
    let python = folder.join("bin/python");
    let ready = folder.join("ready");
    if fs::read_to_string(&ready).is_ok_and(|installed| installed == PYTHON_TUF) {
        return Ok(python);
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    run(make)?.ok().context("cannot make a Python environment; is python3-venv installed?")?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYTHON_TUF]);
    run(install)?.ok().context("cannot install python-tuf")?;
    fs::write(ready, PYTHON_TUF)?;
    Ok(python)
}

/// The folder with the two releases of a real program, fetched if it is not there.
///
/// # Errors
/// When it cannot be fetched.
pub fn fetched_program() -> Result<PathBuf> {
    let _one_at_a_time = lock("corpora")?;
    let folder = target_folder().join("corpora/esbuild");
    let mut fetch = Command::new(workspace().join("tests/corpora/fetch-program"));
    fetch.arg(&folder);
    run(fetch)?.ok().context("cannot fetch the releases of a real program")?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_names_the_package_to_install() {
        let said = Tool::DpkgShlibdeps.absence("packages");
        assert!(
            said.contains("packages: dpkg-shlibdeps is not installed; `apt-get install dpkg-dev`"),
            "{said}"
        );
    }
}
