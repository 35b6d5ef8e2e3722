//! `publisher completions|man|install-service`

use std::path::Path;

use clap::Subcommand;
use sealpost_service::subcommands::{Completions, InstallService, ManPages};
use sealpost_service::unit::{Program, Strict};

use super::output::Ending;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the completion script for a shell.
    #[command(after_help = "\
Examples:
  publisher completions bash > /etc/bash_completion.d/publisher
  publisher completions zsh > /usr/local/share/zsh/site-functions/_publisher")]
    Completions(Completions),
    /// Print the man page, or write those of all commands.
    #[command(after_help = "\
Examples:
  publisher man | man -l -
  publisher man --dir /usr/local/share/man/man1")]
    Man(ManPages),
    /// Lay the systemd units of the server and of the refresh timer, and say what comes next. Enables nothing.
    #[command(after_help = "\
Examples:
  publisher install-service --print
  publisher --home /srv/acme install-service

Without --home the services use /var/lib/sealpost-publisher. They run as the user sealpost-publisher, which root makes by
this, with its home.")]
    InstallService(InstallService),
}

pub(super) fn run(home: &Path, parser: &clap::Command, command: Command) -> anyhow::Result<Ending> {
    match command {
        Command::Completions(options) => options.run(parser)?,
        Command::Man(options) => options.run(parser)?,
        Command::InstallService(options) => options.run(Program::Publisher, home, Strict::No)?,
    }
    Ok(Ending::Done)
}
