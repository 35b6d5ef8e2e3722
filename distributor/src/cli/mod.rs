//! The command line: one file per subcommand; results on standard output, everything else on standard error.
//!
//! All commands but `init`, `serve`, `restore`, `ledger rebuild` and `firewall` are clients of the admin API, over the Unix socket in the
//! home or with `--server`; `token` and `backup` over the socket only, and also without a server. Exit status: 0 done, 1 failed or refused, 2 usage; `status --check` has its own, which monitors know.

mod accounts;
mod address;
mod api;
mod approvals;
mod backup;
mod certificate;
mod clients;
mod colors;
mod config_file;
mod content;
mod firewall;
mod folder;
mod groups;
mod init;
mod ledger;
mod links;
mod log;
mod log_export;
mod log_proofs;
mod log_verify;
mod make_delta;
mod outcome;
mod output;
mod pages;
mod permanence;
mod properties;
mod pull;
mod reach;
mod reference;
mod register;
mod rollouts;
mod run_hook;
mod serve;
mod service;
mod status;
mod storage;
mod strategies;
mod token;
mod unlock;
mod updates;
mod when;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use sealpost_keys::FingerprintError;
use sealpost_manifests::ids::NameError;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_service::arguments::parse;
use sealpost_service::logging::{self, Modules};
use sealpost_service::output::{reader_has_left, tell};
use sealpost_service::owner::{Presence, act_as_owner_of};

use self::api::AdminApi;
use self::outcome::Outcome;
use self::reach::Reach;
use self::when::Mistyped;
use crate::home::HomeError;

/// The site's Primary Server: licenses, verifies, stages, lets an admin review, delivers and logs.
#[derive(Debug, Parser)]
#[command(name = "distributor", version, max_term_width = 110)]
#[command(after_help = "\
Examples:
  distributor --home /srv/sealpost init --vendor-url https://updates.acme.example --root root.json
  distributor --home /srv/sealpost serve
  distributor --home /srv/sealpost register ABCDE-FGHJK-MNPQR-STVWX
  distributor --home /srv/sealpost clients reserve reception-1
  distributor --home /srv/sealpost updates approve acme-av:1.0.0")]
struct Arguments {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Options),
    Serve(serve::Options),
    Register(register::Options),
    Unlock(unlock::Options),
    Pull(pull::Options),
    /// See what the vendor released, and decide about it.
    #[command(
        subcommand,
        after_help = "\
Examples:
  distributor --home /srv/sealpost updates list
  distributor --home /srv/sealpost updates show acme-av:1.0.0
  distributor --home /srv/sealpost updates approve acme-av:1.0.0"
    )]
    Updates(updates::Command),
    /// See how releases go out ring by ring, and pause, go on with, or end that.
    #[command(
        subcommand,
        after_help = "\
Examples:
  distributor --home /srv/sealpost rollouts list
  distributor --home /srv/sealpost rollouts show 12
  distributor --home /srv/sealpost rollouts pause 12 --why \"the support desk is closed today\""
    )]
    Rollouts(rollouts::Command),
    /// See the strategies by which releases go out.
    #[command(
        subcommand,
        after_help = "\
Examples:
  distributor --home /srv/sealpost strategies list
  distributor --home /srv/sealpost strategies show normal"
    )]
    Strategies(strategies::Command),
    /// Put computers into groups.
    #[command(
        subcommand,
        after_help = "\
Examples:
  distributor --home /srv/sealpost groups list
  distributor --home /srv/sealpost groups add canary --why \"the laboratory takes everything first\"
  distributor --home /srv/sealpost groups members canary --add lab-1 lab-2"
    )]
    Groups(groups::Command),
    /// See what goes over the lines that several computers share.
    #[command(
        subcommand,
        after_help = "\
Examples:
  distributor --home /srv/sealpost links list
  distributor --home /srv/sealpost links show branch-north"
    )]
    Links(links::Command),
    /// See and set how all computers get updates.
    #[command(
        subcommand,
        after_help = "\
Examples:
  distributor --home /srv/sealpost properties show
  distributor --home /srv/sealpost properties set delivery poll --why \"computers come by themselves\""
    )]
    Properties(properties::Command),
    /// Keep everything that the site sets in one file.
    #[command(
        subcommand,
        after_help = "\
Examples:
  distributor --home /srv/sealpost config show block pin
  distributor --home /srv/sealpost config export site.toml
  distributor --home /srv/sealpost config plan site.toml
  distributor --home /srv/sealpost config apply site.toml --why \"change 4711\""
    )]
    Config(config_file::Command),
    /// Reserve seats, and set computers up.
    #[command(
        subcommand,
        after_help = "\
Examples:
  distributor --home /srv/sealpost clients reserve reception-1
  distributor --home /srv/sealpost clients setup reception-1
  distributor --home /srv/sealpost clients show reception-1"
    )]
    Clients(clients::Command),
    Status(status::Options),
    /// See and renew the certificate by which computers know the server.
    #[command(
        subcommand,
        after_help = "\
Examples:
  distributor --home /srv/sealpost certificate show
  distributor --home /srv/sealpost certificate renew"
    )]
    Certificate(certificate::Command),
    /// See where computers reach the server, while that is being changed.
    #[command(
        subcommand,
        after_help = "\
Examples:
  distributor --home /srv/sealpost address show
  distributor --home /srv/sealpost address finish"
    )]
    Address(address::Command),
    /// See what the server stores, and remove what nothing needs.
    #[command(
        subcommand,
        after_help = "\
Examples:
  distributor --home /srv/sealpost storage show
  distributor --home /srv/sealpost storage clean"
    )]
    Storage(storage::Command),
    /// Serve computers without a network, by files.
    #[command(
        subcommand,
        after_help = "\
Examples:
  distributor --home /srv/sealpost folder answer pc-1.contact.json --out answers
  distributor --home /srv/sealpost folder sync /media/stick"
    )]
    Folder(folder::Command),
    /// See, open and close the server's port in the packet filter of this computer.
    #[command(
        subcommand,
        after_help = "\
Examples:
  distributor --home /srv/sealpost firewall show
  distributor --home /srv/sealpost firewall open --from 10.2.0.0/16
  distributor --home /srv/sealpost firewall close"
    )]
    Firewall(firewall::Command),
    Log(log::Options),
    Backup(backup::BackupOptions),
    Restore(backup::RestoreOptions),
    /// Say that somebody has looked into a restored ledger, or make a damaged one again from its log.
    #[command(
        subcommand,
        after_help = "\
Examples:
  distributor --home /srv/sealpost ledger acknowledge --comment \"the disk was replaced, ticket 4711\"
  distributor --home /srv/sealpost ledger rebuild"
    )]
    Ledger(ledger::Command),
    /// Let admins in over the network.
    #[command(
        subcommand,
        after_help = "\
Examples:
  distributor --home /srv/sealpost token new ada
  distributor --home /srv/sealpost token list"
    )]
    Token(token::Command),
    /// Add, disable and enable accounts of people.
    #[command(
        subcommand,
        after_help = "\
Examples:
  distributor --home /srv/sealpost accounts add anna --why \"the day desk\"
  distributor --home /srv/sealpost accounts list"
    )]
    Accounts(accounts::Command),
    /// See what waits for a second person, decide it, and set the rules of approvals.
    #[command(
        subcommand,
        after_help = "\
Examples:
  distributor --home /srv/sealpost approvals list
  distributor --home /srv/sealpost approvals rules"
    )]
    Approvals(approvals::Command),
    #[command(flatten)]
    Service(service::Command),
    #[command(hide = true)]
    MakeDelta(make_delta::Options),
    /// Run a program that loads a release, for a server that started this process.
    #[command(hide = true)]
    RunHook,
}

impl Command {
    /// Whether it works on the files of a home, and asks no server.
    const fn is_local(&self) -> bool {
        if let Self::Token(command) = self {
            return command.is_local();
        }
        matches!(
            self,
            Self::Init(_)
                | Self::Serve(_)
                | Self::Service(_)
                | Self::Firewall(_)
                | Self::Backup(_)
                | Self::Restore(_)
                | Self::Ledger(ledger::Command::Rebuild(_))
                | Self::MakeDelta(_)
                | Self::RunHook
        )
    }
}

#[must_use]
pub fn run() -> ExitCode {
    let arguments: Arguments = match parse() {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    if matches!(arguments.command, Command::RunHook) {
        return run_hook::execute();
    }
    // Every command that answers with JSON has this flag, and then fails with JSON too.
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    logging::start(tracing::Level::INFO, Modules::Named);
    // Fails only when a provider is installed already, and then that one is ours.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match dispatch(arguments) {
        Ok(outcome) => ExitCode::from(outcome.exit_status()),
        // Whoever read the result has enough, as `head` does.
        Err(error) if reader_has_left(error.chain()) => ExitCode::FAILURE,
        Err(error) => {
            tell(told(&error, wants_json));
            if is_mistyped(&error) { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}

/// The parser, for completions, man pages and whoever checks what messages advise.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// What is said of an error: a sentence, or for programs an object with a stable code.
fn told(error: &anyhow::Error, wants_json: bool) -> String {
    if !wants_json {
        return format!("error: {}", output::plain_lines(&format!("{error:#}")));
    }
    let told = match error.downcast_ref::<Problem>() {
        Some(Problem { code, message, hint }) => {
            serde_json::json!({ "code": code, "message": message, "hint": hint })
        }
        // Not the server's word: what was typed cannot be meant, or the server could not be asked, or not understood.
        None => {
            let code =
                if is_mistyped(error) { ProblemCode::BadRequest.to_string() } else { "failed".to_owned() };
            serde_json::json!({ "code": code, "message": format!("{error:#}"), "hint": "" })
        }
    };
    output::harmless_json(&told.to_string())
}

/// How a command ends that cannot be understood, as clap says it too.
const USAGE: u8 = 2;

/// Whether a name, a serial number, a time or the like that was typed is none.
fn is_mistyped(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.is::<NameError>() || cause.is::<Mistyped>() || cause.is::<FingerprintError>())
}

fn dispatch(arguments: Arguments) -> anyhow::Result<Outcome> {
    let reach = arguments.reach;
    if reach.server.is_some() && arguments.command.is_local() {
        anyhow::bail!(
            "this command works on the home of this computer, and --server names another one; leave --server out, or run \
             it there"
        );
    }
    // They write into the home, which the server reads as another user.
    if matches!(arguments.command, Command::Ledger(ledger::Command::Rebuild(_))) {
        let presence = act_as_owner_of(&reach.home)?;
        if presence == Presence::Absent {
            return Err(HomeError::NoServer { path: reach.home }.into());
        }
    }
    match arguments.command {
        Command::Init(options) => block_on(init::run(&reach.home, options)),
        Command::Serve(options) => serve::run(&reach.home, options),
        Command::Token(command) => token::run(&reach, command),
        Command::Service(command) => service::run(&reach.home, &Arguments::command(), command),
        Command::Firewall(command) => block_on(firewall::run(&reach.home, command)),
        Command::Backup(options) => block_on(backup::make(&reach, &options)),
        Command::Restore(options) => block_on(backup::restore(&reach.home, &options)),
        Command::Ledger(command) => block_on(ledger::run(&reach, &command)),
        Command::MakeDelta(options) => make_delta::run(options),
        // It was done before a second thread.
        Command::RunHook => Ok(Outcome::Done),
        Command::Register(options) => block_on(register::run(AdminApi::open(&reach)?, options)),
        Command::Unlock(options) => block_on(unlock::run(AdminApi::open(&reach)?, options)),
        Command::Pull(options) => block_on(pull::run(AdminApi::open(&reach)?, options)),
        Command::Updates(command) => block_on(updates::run(AdminApi::open(&reach)?, command)),
        Command::Rollouts(command) => block_on(rollouts::run(AdminApi::open(&reach)?, command)),
        Command::Strategies(command) => block_on(strategies::run(AdminApi::open(&reach)?, command)),
        Command::Groups(command) => block_on(groups::run(AdminApi::open(&reach)?, command)),
        Command::Links(command) => block_on(links::run(AdminApi::open(&reach)?, command)),
        Command::Properties(command) => block_on(properties::run(AdminApi::open(&reach)?, command)),
        Command::Config(command) => block_on(config_file::run(AdminApi::open(&reach)?, command)),
        Command::Accounts(command) => block_on(accounts::run(AdminApi::open(&reach)?, command)),
        Command::Approvals(command) => block_on(approvals::run(AdminApi::open(&reach)?, command)),
        Command::Clients(command) => block_on(clients::run(AdminApi::open(&reach)?, command)),
        Command::Status(options) => block_on(status::run(AdminApi::open(&reach), options)),
        Command::Certificate(command) => block_on(certificate::run(AdminApi::open(&reach)?, command)),
        Command::Address(command) => block_on(address::run(AdminApi::open(&reach)?, command)),
        Command::Storage(command) => block_on(storage::run(AdminApi::open(&reach)?, command)),
        Command::Folder(command) => block_on(folder::run(AdminApi::open(&reach)?, command)),
        Command::Log(options) => block_on(log::run(reach, options)),
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<Outcome>>) -> anyhow::Result<Outcome> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn every_command_has_an_example() {
        fn walk(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            if command.get_subcommands().next().is_none() && !command.is_hide_set() {
                let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(text.contains("Examples:"), "{path} has no example");
            }
            command.get_subcommands().for_each(|sub| walk(sub, &path));
        }
        Arguments::command().debug_assert();
        walk(&Arguments::command(), "");
    }
}
