//! The command line: one file per subcommand, each of which calls [`crate::app`] and prints the result.

mod audit;
mod check;
mod contact;
mod enroll;
mod hold;
mod install;
mod install_file;
mod output;
mod paint;
mod repair;
mod retry;
mod rollback;
mod run;
mod run_hook;
mod runtime;
mod servers;
mod service;
mod status;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use sealpost_service::arguments::parse;
use sealpost_service::logging::{self, Modules};
use sealpost_service::output::{print_line, reader_has_left, tell};

use crate::app::Agent;
use crate::home::Home;
use crate::ports::{fault_points, self_update_points};
use crate::records::holdings::HoldingsError;

/// Where a computer has its agent, if nobody says otherwise. The package lays no home.
const DEFAULT_HOME: &str = "/var/lib/sealpost-agent";

/// Keep a licensed computer at the releases that its site approved and its vendor signed.
#[derive(Debug, Parser)]
#[command(
    name = "agent-updater",
    version,
    about,
    after_help = "\
Examples:
  agent-updater enroll --setup pc-1.setup.json --root root.json
  agent-updater run
  agent-updater status
  agent-updater check
  agent-updater repair acme-av"
)]
pub struct Cli {
    /// The agent's home folder.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "SEALPOST_AGENT_HOME",
        default_value = DEFAULT_HOME
    )]
    home: PathBuf,
    /// The configuration file [default: HOME/agent.toml].
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Enroll(enroll::Enroll),
    Run(run::Run),
    Check(check::Check),
    Contact(Box<contact::Contact>),
    Status(status::Status),
    #[command(subcommand)]
    Servers(servers::Servers),
    Rollback(rollback::Rollback),
    Repair(repair::Repair),
    Retry(retry::Retry),
    Hold(hold::Hold),
    Install(install::Install),
    Audit(audit::Audit),
    #[command(flatten)]
    Service(service::Command),
    #[command(hide = true)]
    InstallFile(install_file::InstallFile),
    /// Run one hook, for an agent that started this process.
    #[command(hide = true)]
    RunHook,
    /// Print the points of an install at which a build for tests can be ended.
    #[command(hide = true)]
    InstallSteps,
    /// Print the points of an update of the agent itself at which a build for tests can be ended.
    #[command(hide = true)]
    SelfUpdateSteps,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(status) => return status,
    };
    // Every command that answers with JSON has this flag, and then fails with JSON too.
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    logging::start(level(), Modules::Unnamed);
    match execute(cli) {
        Ok(code) => code,
        // Whoever read the result has enough, as `head` does.
        Err(error) if reader_has_left(error.chain()) => ExitCode::FAILURE,
        Err(error) => {
            tell(output::told(&error, wants_json));
            ExitCode::FAILURE
        }
    }
}

/// The parser, for completions, man pages and whoever checks what messages advise.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

fn execute(cli: Cli) -> anyhow::Result<ExitCode> {
    if matches!(cli.command, Command::RunHook) {
        return run_hook::execute();
    }
    let points = match cli.command {
        Command::InstallSteps => fault_points(),
        Command::SelfUpdateSteps => self_update_points(),
        _ => Vec::new(),
    };
    if !points.is_empty() {
        for point in points {
            print_line(point)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::Service(command) = &cli.command {
        return command.execute(&cli.home, &Cli::command());
    }
    let runtime = runtime::start()?;
    let home = Home::at(&cli.home)?;
    match &cli.command {
        // Only an enrollment makes a home, and the status makes nothing.
        Command::Enroll(_) | Command::InstallFile(_) => {}
        Command::Contact(contact) if contact.enrolls() => {}
        Command::Status(_) if is_fresh(&home) => {}
        _ if is_fresh(&home) => return Err(HoldingsError::NotEnrolled.into()),
        _ => home.ensure_there()?,
    }
    let agent = match &cli.command {
        Command::InstallFile(_) => Agent::of_install_file(home, runtime.handle().clone()),
        _ => Agent::new(home, cli.config.as_deref(), runtime.handle().clone())?,
    };
    let code = match cli.command {
        Command::Enroll(command) => command.execute(agent, &runtime),
        Command::Run(command) => command.execute(agent, cli.config.as_deref(), &runtime),
        Command::Check(command) => command.execute(agent, &runtime),
        Command::Contact(command) => command.execute(agent, &runtime),
        Command::Status(command) => command.execute(&agent),
        Command::Servers(command) => command.execute(agent, &runtime),
        Command::Rollback(command) => command.execute(agent, &runtime),
        Command::Repair(command) => command.execute(agent, &runtime),
        Command::Retry(command) => command.execute(agent, &runtime),
        Command::Hold(command) => command.execute(agent, &runtime),
        Command::Install(command) => command.execute(agent, &runtime),
        Command::InstallFile(command) => command.execute(agent, &runtime),
        Command::Audit(command) => command.execute(&agent),
        Command::Service(_) | Command::RunHook | Command::InstallSteps | Command::SelfUpdateSteps => {
            Ok(ExitCode::SUCCESS)
        }
    };
    runtime.shutdown_background();
    code
}

/// Whether nobody enrolled this computer yet: there is no slip in a name that nobody typed.
fn is_fresh(home: &Home) -> bool {
    home.path() == Path::new(DEFAULT_HOME) && matches!(home.path().try_exists(), Ok(false))
}

fn level() -> tracing::Level {
    match std::env::var("SEALPOST_LOG").as_deref() {
        Ok("debug") => tracing::Level::DEBUG,
        Ok("warn") => tracing::Level::WARN,
        Ok("error") => tracing::Level::ERROR,
        _ => tracing::Level::INFO,
    }
}

#[cfg(test)]
mod tests;
