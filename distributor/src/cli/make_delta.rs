//! `distributor make-delta`, hidden: the server starts it as a child process with a memory limit, so that a huge or
//! hostile pair of releases takes down this process and not the server.

use std::ffi::OsString;

use super::outcome::Outcome;
use crate::app;

/// Make one delta, for a server that started this process.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// What the server says: folders, result, and memory limit.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "TASK")]
    task: Vec<OsString>,
}

pub(super) fn run(options: Options) -> anyhow::Result<Outcome> {
    app::make_delta(options.task)?;
    Ok(Outcome::Done)
}
