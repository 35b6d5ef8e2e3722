//! What an install file is to do, where its parts lie, how each step is told, and why it could not.

use std::io;
use std::path::{Path, PathBuf};

use sealpost_hook_runner::ownership::OwnershipError;
use sealpost_manifests::ids::ComputerName;
use sealpost_service::unit::{InstallError, LayoutError};
use serde::Serialize;

use crate::config::ConfigError;
use crate::flows::enroll::EnrollError;
use crate::home::HomeError;
use crate::platform::store::StoreError;

/// The agent's program in the folder that an install file unpacked.
pub(super) const PROGRAM: &str = "agent-updater";
/// The vendor's root there.
pub(super) const ROOT: &str = "root.json";
/// The setup file there.
pub(super) const SETUP: &str = "setup.json";
/// The configuration there, if one came with it.
pub(super) const CONFIG: &str = "agent.toml";
/// The folder of hooks there, if some came with it.
pub(super) const HOOKS: &str = "hooks";
/// Where hooks are installed.
pub(super) const HOOKS_PLACE: &str = "usr/local/lib/sealpost-hooks";
/// Where the program is installed.
pub(super) const PROGRAM_PLACE: &str = "usr/local/bin/agent-updater";
/// Where a package lays it.
pub(super) const PACKAGED: &str = "usr/bin/agent-updater";

/// What is to be done where.
#[derive(Debug, Clone, Copy)]
pub struct Order<'o> {
    /// The folder that the install file unpacked.
    pub from: &'o Path,
    /// The root of the file system: `/`, but in tests.
    pub system: &'o Path,
    /// Whether anything may be changed.
    pub mode: Mode,
}

/// Whether anything may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Whatever is not so yet is changed.
    Do,
    /// It is only looked at what would be.
    DryRun,
}

/// A step, and how it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it is about: `program`, `enrollment` and so on.
    pub what: &'static str,
    /// How that went, so that a second run can be told from a first one.
    pub outcome: Outcome,
    /// A sentence for people.
    pub says: String,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was not so, and is now.
    Done,
    /// It was so already.
    WasSo,
    /// It would be done.
    Would,
    /// A person has to do it.
    ByHand,
}

/// Why an install file could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum FirstInstallError {
    /// The program was not installed yet, and nothing else was done.
    #[error("cannot {attempted} {path}")]
    Io {
        attempted: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{0} is missing in the install file; make it again with `distributor clients setup NAME --installer FILE`"
    )]
    Missing(&'static str),
    /// It is another computer's.
    #[error(
        "this computer is enrolled as {enrolled}, and the install file is that of {asked}: nothing was changed. Use it on \
         {asked}; to give this computer another name, run `agent-updater enroll --setup FILE` with a setup file of that name"
    )]
    OtherName { enrolled: ComputerName, asked: ComputerName },
    /// Root would run what others wrote, and make a service of it.
    #[error("cannot use the agent's program that is there already; make it root's, or remove it")]
    Ownership(#[from] OwnershipError),
    /// Others could put what root runs in the place of what is laid.
    #[error(
        "nothing was changed: root would run {place}, and others could put something else there; let only root write the folder, \
         then run the install file again"
    )]
    Place {
        place: PathBuf,
        #[source]
        source: OwnershipError,
    },
    #[error(
        "the configuration that came with the install file is not good, and nothing was changed; correct it, and make the file \
         again with `distributor clients setup NAME --installer FILE --agent-config FILE`"
    )]
    Config(#[source] ConfigError),
    #[error("cannot enroll this computer")]
    Enroll(#[from] EnrollError),
    #[error("cannot make the agent a service")]
    Layout(#[from] LayoutError),
    #[error("cannot make the agent a service")]
    Service(#[from] InstallError),
    #[error("cannot read what this computer is enrolled with")]
    Records(#[from] StoreError),
    #[error("cannot make the agent's home, or lock it")]
    Home(#[from] HomeError),
    /// A command of the system did not end with 0, or not in time.
    #[error("`{command}` failed: {said}")]
    Command { command: String, said: String },
}

/// An error of a file.
pub(super) fn io_error(attempted: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FirstInstallError {
    move |source| FirstInstallError::Io { attempted, path: path.to_owned(), source }
}
