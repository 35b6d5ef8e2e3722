//! `distributor accounts list|add|disable|enable`.

use clap::{Args, Subcommand};
use sealpost_admin_api::approvals::{AccountRequest, AccountView, AccountsChanged, AccountsView};
use sealpost_site::changes::summary;
use sealpost_site::rules::approvals::people::AccountName;

use super::api::AdminApi;
use super::outcome::Outcome;
use super::output::{Table, plain, print_json, print_line, seconds, tell};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(List),
    Add(Add),
    Disable(Disable),
    Enable(Enable),
}

/// List the accounts with their tokens, and who counts as second eyes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor accounts list
  distributor accounts list --json

TOKENS   each with who knows it: own (its owner made it, so it counts as second eyes), given (somebody at the
         server made it), unconfirmed (the same, and a second account has to confirm it)
SECOND   whether the account counts as second eyes now")]
pub(super) struct List {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Add an account. While a rule of approvals needs two people, a second account has to confirm it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor accounts add anna --why \"the day desk\"")]
pub(super) struct Add {
    #[command(flatten)]
    of: Named,
}

/// Disable an account at once: its tokens are refused, and what it asked for is void.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor accounts disable anna --why \"left\"")]
pub(super) struct Disable {
    #[command(flatten)]
    of: Named,
}

/// Enable a disabled account again. While a rule of approvals needs two people, a second account has to confirm it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor accounts enable anna --why \"is back\"")]
pub(super) struct Enable {
    #[command(flatten)]
    of: Named,
}

#[derive(Debug, Args)]
struct Named {
    /// Its name: a-z, 0-9, '-', '_', '.' and '@'.
    #[arg(value_name = "ACCOUNT")]
    account: AccountName,
    /// Why, for whoever reads the log later.
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: AdminApi, command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::List(options) => list(&api, &options).await,
        Command::Add(Add { of }) => change(&api, "/accounts", "is enabled", of).await,
        Command::Disable(Disable { of }) => change(&api, "/accounts/disable", "is disabled", of).await,
        Command::Enable(Enable { of }) => change(&api, "/accounts/enable", "is enabled", of).await,
    }
}

async fn list(api: &AdminApi, options: &List) -> anyhow::Result<Outcome> {
    let view: AccountsView = api.get("/accounts").await?;
    if options.json {
        print_json(&view)?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&["NAME", "STATE", "SECOND", "TOKENS", "SINCE", "BY", "WHY"]);
    for AccountView { name, enabled, can_be_second, at, by, comment, tokens } in &view.accounts {
        let tokens: Vec<String> = tokens
            .iter()
            .map(|token| format!("{} ({})", plain(&token.name), token.standing.as_str()))
            .collect();
        table.row([
            name.to_string(),
            if *enabled { "enabled" } else { "disabled" }.to_owned(),
            if *can_be_second { "yes" } else { "no" }.to_owned(),
            if tokens.is_empty() { "-".to_owned() } else { tokens.join(", ") },
            seconds(*at),
            plain(&summary::actor(by)).to_string(),
            plain(comment).to_string(),
        ]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

async fn change(api: &AdminApi, path: &str, what: &str, of: Named) -> anyhow::Result<Outcome> {
    let Named { account, why, json } = of;
    let request = AccountRequest { account, comment: why };
    let changed: AccountsChanged = api.post(path, &request).await?;
    if json {
        print_json(&changed)?;
    }
    match changed.waits {
        Some(number) => tell(format_args!(
            "nothing is changed yet: a second account confirms it with `distributor approvals confirm {number}`"
        )),
        None if !json => print_line(format_args!("the account {} {what}", request.account))?,
        None => {}
    }
    Ok(Outcome::Done)
}
