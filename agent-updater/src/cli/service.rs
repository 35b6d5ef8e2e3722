//! `completions`, `man` and `install-service`.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use sealpost_service::subcommands::{Completions, InstallService, ManPages};
use sealpost_service::unit::{Program, Strict};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the completion script for a shell.
    #[command(after_help = "\
Examples:
  agent-updater completions bash > /etc/bash_completion.d/agent-updater
  agent-updater completions zsh > /usr/local/share/zsh/site-functions/_agent-updater")]
    Completions(Completions),
    /// Print the man page, or write those of all commands.
    #[command(after_help = "\
Examples:
  agent-updater man | man -l -
  agent-updater man --dir /usr/local/share/man/man1")]
    Man(ManPages),
    InstallService(Install),
}

/// Lay the systemd unit of the agent, and say what comes next. Enable nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater install-service --print
  agent-updater install-service
  agent-updater install-service --strict")]
pub(super) struct Install {
    /// Confine the agent to its home. Only where each product is a unit of its own: hooks are confined too.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    options: InstallService,
}

impl Command {
    pub(super) fn execute(&self, home: &Path, parser: &clap::Command) -> anyhow::Result<ExitCode> {
        match self {
            Self::Completions(options) => options.run(parser)?,
            Self::Man(options) => options.run(parser)?,
            Self::InstallService(Install { strict, options }) => {
                let strict = if *strict { Strict::Yes } else { Strict::No };
                options.run(Program::Agent, home, strict)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
