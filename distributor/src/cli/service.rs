//! `distributor completions|man|install-service`.

use std::path::Path;

use clap::Subcommand;
use sealpost_service::subcommands::{Completions, InstallService, ManPages};
use sealpost_service::unit::{Program, Strict};

use super::outcome::Outcome;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the completion script for a shell.
    #[command(after_help = "\
Examples:
  distributor completions bash > /etc/bash_completion.d/distributor
  distributor completions zsh > /usr/local/share/zsh/site-functions/_distributor")]
    Completions(Completions),
    /// Print the man page, or write those of all commands.
    #[command(after_help = "\
Examples:
  distributor man | man -l -
  distributor man --dir /usr/local/share/man/man1")]
    Man(ManPages),
    /// Lay the systemd units of the server and its port, and say what comes next. Enables nothing.
    #[command(after_help = "\
Examples:
  distributor install-service --print
  distributor --home /srv/sealpost install-service

Without --home the service uses /var/lib/sealpost. It runs as the user sealpost, which root makes by this, with its home.")]
    InstallService(InstallService),
}

pub(super) fn run(home: &Path, parser: &clap::Command, command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Completions(options) => options.run(parser)?,
        Command::Man(options) => options.run(parser)?,
        Command::InstallService(options) => options.run(Program::Distributor, home, Strict::No)?,
    }
    Ok(Outcome::Done)
}
