//! The packages, built from the programs that the other tests use.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Lab, Tool, workspace};

/// The names of the packages.
pub(crate) const PACKAGES: [&str; 3] = ["sealpost-publisher", "sealpost-distributor", "sealpost-agent"];

/// The packages of one version.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) files: Vec<PathBuf>,
}

/// Fails when something is missing that these tests need; root's rights too. They are never skipped: packages that
/// nobody installed are not tested.
pub(crate) fn require_tools(test: &str) -> Result<()> {
    for tool in [Tool::Mmdebstrap, Tool::DpkgShlibdeps] {
        tool.require(test)?;
    }
    Tool::require_root(test)
}

impl Built {
    /// Builds the packages as if the programs were of this version.
    pub(crate) fn of_version(lab: &Lab, version: &str) -> Result<Self> {
        let folder = lab.path(&format!("packages-{version}"));
        let mut build = Command::new(workspace().join("packaging/build"));
        build.arg("--fast").args(["--version", version]).arg("--out").arg(&folder);
        // It may have to build cargo-deb first, which takes longer than other commands.
        build.arg("--programs").arg(lab.programs().folder());
        let said = build.output().context("cannot start packaging/build")?;
        ensure!(said.status.success(), "packaging/build: {}", String::from_utf8_lossy(&said.stderr));
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder)? {
            files.push(entry?.path());
        }
        ensure!(files.len() == PACKAGES.len(), "{files:?}");
        files.sort();
        Ok(Self { files })
    }

    /// Copies them to where a computer sees them, and says where that is, from its inside.
    pub(crate) fn lay_into(&self, root: &std::path::Path) -> Result<Vec<String>> {
        let mut inside = Vec::new();
        for file in &self.files {
            let name = file.file_name().context("a package without a name")?.to_string_lossy().into_owned();
            fs::copy(file, root.join("var/tmp").join(&name))?;
            inside.push(format!("/var/tmp/{name}"));
        }
        Ok(inside)
    }
}
