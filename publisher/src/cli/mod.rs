//! The command line: one file per subcommand; results on standard output, everything else on standard error.
//!
//! Exit status: 0 done, 1 failed or refused, or what was looked at is not as it should be, 2 usage.

mod channel;
mod clear_key;
mod contact;
mod delta;
mod ends;
mod failure;
mod init;
mod lint;
mod output;
mod passphrase;
mod refresh;
mod release;
mod releases;
mod role;
mod root;
mod serial;
mod serial_end;
mod serve;
mod service;
mod status;
mod trust;
mod withdraw;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use sealpost_service::arguments::parse;
use sealpost_service::logging::{self, Modules};
use sealpost_service::output::reader_has_left;
use sealpost_service::owner::{Presence, act_as_owner_of};

use self::output::Ending;
use crate::home::HomeError;

/// Sign and publish a vendor's releases, sell seats and answer registrations.
#[derive(Debug, Parser)]
#[command(name = "publisher", version, max_term_width = 110)]
#[command(after_help = "\
Examples:
  publisher --home acme init --vendor \"Acme Security\" --no-passphrase
  publisher --home acme release build/acme-av --package acme-av --version 1.0.0 --kind program --channel stable
  publisher --home acme serial new --seats 10
  publisher --home acme serve
  publisher --home acme status")]
struct Arguments {
    /// The vendor's home.
    #[arg(long, global = true, value_name = "HOME", env = "SEALPOST_PUBLISHER_HOME", default_value = ".")]
    home: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Options),
    Release(release::Options),
    /// List and show what was released.
    #[command(
        subcommand,
        after_help = "\
Examples:
  publisher --home acme releases list
  publisher --home acme releases show acme-av 1.0.1"
    )]
    Releases(releases::Command),
    Withdraw(withdraw::Options),
    /// Point channels at versions, and say below which release nothing is installed.
    #[command(
        subcommand,
        after_help = "\
Examples:
  publisher --home acme channel show
  publisher --home acme channel set acme-av stable 1.0.1
  publisher --home acme channel minimum acme-av --version 1.0.1"
    )]
    Channel(channel::Command),
    /// Show and change what sites trust: keys, release counters, the licensing contact.
    #[command(
        subcommand,
        after_help = "\
Examples:
  publisher --home acme trust show
  publisher --home acme trust reset-counter acme-av --to 41
  publisher --home acme trust contact --contact-mail licenses@acme.example"
    )]
    Trust(trust::Command),
    Refresh(refresh::Options),
    Status(status::Options),
    /// Renew the root before it ends, with the keys from the safe.
    #[command(
        subcommand,
        after_help = "\
Examples:
  publisher --home acme root renew --root-keys /media/safe"
    )]
    Root(root::Command),
    /// Renew the top-level targets and the roles of packages before they end.
    #[command(
        subcommand,
        after_help = "\
Examples:
  publisher --home acme role renew targets
  publisher --home acme role renew acme-av"
    )]
    Role(role::Command),
    /// Sell seats: make, list, show and change serial numbers, answer registration codes.
    #[command(
        subcommand,
        after_help = "\
Examples:
  publisher --home acme serial new --seats 10
  publisher --home acme serial list
  publisher --home acme serial show ABCDE-FGHJK-MNPQR-STVWX
  publisher --home acme serial unlock registration-code.txt"
    )]
    Serial(serial::Command),
    ClearKey(clear_key::Options),
    Serve(serve::Options),
    Lint(lint::Options),
    /// Make, apply and show patches between two files or folders, without keys or a server.
    #[command(
        subcommand,
        after_help = "\
Examples:
  publisher delta make acme-1.0.tar acme-1.1.tar acme.delta
  publisher delta apply acme-1.0.tar acme.delta acme-1.1.tar
  publisher delta show acme.delta"
    )]
    Delta(delta::Command),
    #[command(flatten)]
    Service(service::Command),
}

#[must_use]
pub fn run() -> ExitCode {
    let arguments = match parse() {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    logging::start(tracing::Level::INFO, Modules::Named);
    match dispatch(arguments) {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::DefectsFound) => ExitCode::FAILURE,
        // Whoever read the result has enough, as `head` does.
        Err(error) if reader_has_left(error.chain()) => ExitCode::FAILURE,
        Err(error) => {
            failure::tell_failure(&error);
            ExitCode::FAILURE
        }
    }
}

/// The parser, for completions, man pages and whoever checks what messages advise.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

impl Command {
    /// Whether all that the command does is done as the home's owner, if root types it: the server must be able to read what
    /// it makes, and a link that the owner lays must not lead root out of the home.
    const fn is_the_owners(&self) -> bool {
        // Units are root's; root keys are read before the rights are given up; deltas have nothing to do with a home.
        !matches!(self, Self::Service(_) | Self::Root(_) | Self::Delta(_))
    }
}

fn dispatch(arguments: Arguments) -> anyhow::Result<Ending> {
    let home = &arguments.home;
    if arguments.command.is_the_owners() {
        let presence = act_as_owner_of(home)?;
        if presence == Presence::Absent && !matches!(arguments.command, Command::Init(_)) {
            return Err(HomeError::NotAHome { home: home.clone() }.into());
        }
    }
    match arguments.command {
        Command::Init(options) => init::run(home, options),
        Command::Release(options) => release::run(home, options),
        Command::Releases(command) => releases::run(home, command),
        Command::Withdraw(options) => withdraw::run(home, options),
        Command::ClearKey(options) => clear_key::run(home, options),
        Command::Channel(command) => channel::run(home, command),
        Command::Trust(command) => trust::run(home, command),
        Command::Refresh(options) => refresh::run(home, options),
        Command::Status(options) => status::run(home, options),
        Command::Root(command) => root::run(home, command),
        Command::Role(command) => role::run(home, command),
        Command::Serial(command) => serial::run(home, command),
        Command::Serve(options) => serve::run(home, options),
        Command::Lint(options) => lint::run(home, options),
        Command::Delta(command) => delta::run(command),
        Command::Service(command) => service::run(home, &Arguments::command(), command),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn every_command_has_an_example() {
        fn walk(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(text.contains("Examples:"), "{path} has no example");
            command.get_subcommands().for_each(|sub| walk(sub, &path));
        }
        Arguments::command().debug_assert();
        walk(&Arguments::command(), "");
    }
}
