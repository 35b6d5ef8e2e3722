//! What an install file does on a computer: program, configuration, hooks, enrollment, service; and how that is taken back.
//!
//! Invariants: each step looks first, and changes only what is not so yet, so that a second run is harmless and a run that was
//! broken off is simply repeated; of two at the same time the second one waits for the first; what an admin or a package brought is
//! kept. The files that came with it are trusted as whoever
//! ran the install file as root trusted them: they are checked against each other, not against a signature.
//! Left out on purpose: updates of the agent, which come through its own package from then on.

mod remove;
mod steps;
mod system;

use std::io;
use std::path::{Path, PathBuf};

use sealpost_manifests::ids::ComputerName;
use sealpost_service::unit::{InstallError, LayoutError};
use serde::Serialize;

use super::enroll::EnrollError;
use crate::home::HomeError;
use crate::platform::store::StoreError;

pub use remove::remove;
pub use steps::install;

/// The agent's program in the folder that an install file unpacked.
pub const PROGRAM: &str = "agent-updater";
/// The vendor's root there.
const ROOT: &str = "root.json";
/// The setup file there.
const SETUP: &str = "setup.json";
/// The configuration there, if one came with it.
const CONFIG: &str = "agent.toml";
/// The folder of hooks there, if some came with it.
const HOOKS: &str = "hooks";
/// Where hooks are installed.
const HOOKS_PLACE: &str = "usr/local/lib/sealpost-hooks";
/// Where the program is installed.
const PROGRAM_PLACE: &str = "usr/local/bin/agent-updater";
/// Where a package lays it.
const PACKAGED: &str = "usr/bin/agent-updater";

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
    /// All of it.
    Do,
    /// It is only looked at what would be.
    DryRun,
}

/// A step, and how it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it is about: `program`, `enrollment` and so on.
    pub what: &'static str,
    /// How it went.
    pub outcome: Outcome,
    /// A sentence for people.
    pub says: String,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
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
         {asked}; to give this computer another name, see `agent-updater enroll --help`"
    )]
    OtherName { enrolled: ComputerName, asked: ComputerName },
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
    /// systemd said no.
    #[error("`{command}` failed: {said}")]
    Command { command: String, said: String },
}

/// An error of a file.
fn io_error(attempted: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FirstInstallError {
    move |source| FirstInstallError::Io { attempted, path: path.to_owned(), source }
}
