//! `distributor token new|renew|list|revoke`. The running server makes and revokes tokens, since it writes the log; where none
//! runs, this does it in the server's place, alone. The list is read from the file.

use std::path::Path;

use anyhow::bail;
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use sealpost_admin_api::tokens::{
    MadeTokenView, MakeTokenRequest, RenewTokenRequest, RevokeTokenRequest, RevokedTokensView,
};
use sealpost_service::owner::{Presence, act_as_owner_of};
use sealpost_serving::Peer;
use sealpost_site::changes::Actor;
use sealpost_site::rules::account::TokenId;
use sealpost_site::rules::approvals::people::AccountName;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::api::AdminApi;
use super::outcome::Outcome;
use super::output::{Table, age, plain, print_json, print_line, seconds, span, tell};
use super::reach::Reach;
use crate::app::StoppedServer;
use crate::home::{Home, HomeError};
use crate::http::admin_tokens::AdminTokens;
use crate::http::token_desk::{MadeToken, WantedToken};

/// Days that a token is good for, unless something else is said: a year and a day.
const DAYS: u32 = 366;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    New(New),
    Renew(Renew),
    List(List),
    Revoke(Revoke),
}

impl Command {
    /// Whether it works on the files of a home. A token is renewed by who has it, over the network.
    pub(super) const fn is_local(&self) -> bool {
        !matches!(self, Self::Renew(_))
    }
}

/// Make a token for an admin who comes over the network. It is printed once and stored nowhere, and ends after a year if
/// nothing else is said; `status` warns before.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  (umask 077; distributor token new anna > anna.token)
  (umask 077; distributor token new anna-laptop --account anna > anna.token)
  (umask 077; distributor token new monitor --forever > monitor.token)
  distributor --server https://server:16770 --ca ca.crt --token-file anna.token status")]
pub(super) struct New {
    /// Whose it is. The log names it with all that is done with it, beside the id of the token.
    name: String,
    /// Days until it ends.
    #[arg(long, value_name = "N", default_value_t = DAYS, value_parser = clap::value_parser!(u32).range(1..=36_600))]
    days: u32,
    /// It is good until it is revoked.
    #[arg(long, conflicts_with = "days")]
    forever: bool,
    /// The account that it is one of. It counts as second eyes only once its owner has renewed it.
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<AccountName>,
}

/// Make a token in the place of the one with which you come: you alone know the new one, so it counts as second eyes. The one
/// before is refused from then on; the end stays the same.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  (umask 077; distributor --server https://server:16770 --ca ca.crt --token-file given.token token renew > own.token)")]
pub(super) struct Renew {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// List tokens by name.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor token list
  distributor token list --json")]
pub(super) struct List {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// A token as `--json` has it: never itself, and never its whole digest.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    id: TokenId,
    created_at: Timestamp,
    /// Absent for one that is good until it is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<Timestamp>,
}

/// Revoke a token; it is refused from now on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor token revoke anna")]
pub(super) struct Revoke {
    /// Its name.
    name: String,
}

pub(super) fn run(reach: &Reach, command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::New(options) => make(reach, options),
        Command::Renew(options) => block_on(renew(reach, &options)),
        Command::List(options) => list(&reach.home, &options),
        Command::Revoke(options) => revoke(reach, &options),
    }
}

async fn renew(reach: &Reach, options: &Renew) -> anyhow::Result<Outcome> {
    if reach.server.is_none() {
        bail!(
            "a token is renewed over the network, by who has it: give --server, --ca and --token-file with the token that is \
             renewed"
        );
    }
    let made: MadeTokenView =
        AdminApi::open(reach)?.post("/tokens/renew", &RenewTokenRequest::default()).await?;
    if options.json {
        print_json(&made)?;
    } else {
        print_line(made.token.as_str())?;
    }
    tell(format_args!(
        "this token is shown once, and the one before is refused from now on; keep it in a file that only you can read. The log \
         names it [{}]",
        made.id
    ));
    Ok(Outcome::Done)
}

fn make(reach: &Reach, New { name, days, forever, account }: New) -> anyhow::Result<Outcome> {
    let request = MakeTokenRequest { name, days: (!forever).then_some(days), account };
    let made: MadeTokenView = match ask_server(reach, "/tokens", &request)? {
        Some(made) => made,
        None => {
            let actor = act_for(&reach.home)?;
            block_on(async {
                let server = StoppedServer::open(&reach.home).await?;
                let created_at = server.now();
                let ends_at =
                    request.days.map(|days| created_at + SignedDuration::from_hours(24 * i64::from(days)));
                let (name, account) = (request.name.clone(), request.account.clone());
                let wanted = WantedToken { name, account, ends_at };
                let made = server.tokens.make(actor, wanted, created_at).await;
                server.close().await?;
                let MadeToken { token, id, waits } = made?;
                anyhow::Ok(MadeTokenView { token, id, created_at, ends_at, waits })
            })?
        }
    };
    if let Err(error) = print_line(made.token.as_str()) {
        tell(take_back(reach, &request.name));
        return Err(error);
    }
    let until = made
        .ends_at
        .map_or_else(|| "until it is revoked".to_owned(), |end| format!("until {}", seconds(end)));
    tell(format_args!(
        "this token is shown once, and good {until}; keep it in a file that only its owner can read. The log names it {} \
         [{}]",
        request.name, made.id
    ));
    if let Some(account) = &request.account {
        let first = made.waits.map_or_else(String::new, |number| {
            format!("another account confirms it first with `distributor approvals confirm {number}`; then ")
        });
        tell(format_args!(
            "it does not count as second eyes yet: {first}{account} runs `distributor token renew` with it"
        ));
    }
    Ok(Outcome::Done)
}

/// Revokes a token that nobody has, since its text could not be printed; says what became of it.
fn take_back(reach: &Reach, name: &str) -> String {
    match revoke_all(reach, name) {
        Ok(_) => {
            format!("the token could not be printed and is revoked again: `distributor token new {name}`")
        }
        Err(error) => format!(
            "the token could not be printed, and nobody has it; revoke it with `distributor token revoke {name}`: {error:#}"
        ),
    }
}

fn revoke(reach: &Reach, Revoke { name }: &Revoke) -> anyhow::Result<Outcome> {
    let ids: Vec<String> = revoke_all(reach, name)?.iter().map(ToString::to_string).collect();
    print_line(format_args!("revoked {name} [{}]", ids.join(", ")))?;
    Ok(Outcome::Done)
}

/// Revokes every token of a name; at least one.
fn revoke_all(reach: &Reach, name: &str) -> anyhow::Result<Vec<TokenId>> {
    let request = RevokeTokenRequest { name: name.to_owned() };
    match ask_server::<RevokedTokensView>(reach, "/tokens/revoke", &request)? {
        Some(revoked) => Ok(revoked.ids),
        None => {
            let actor = act_for(&reach.home)?;
            let ids = block_on(async {
                let server = StoppedServer::open(&reach.home).await?;
                let ids = server.tokens.revoke(actor, name, server.now()).await;
                server.close().await?;
                anyhow::Ok(ids?)
            })?;
            if ids.is_empty() {
                bail!("there is no token named {:?}; see `distributor token list`", plain(name));
            }
            Ok(ids.into_iter().collect())
        }
    }
}

/// What the running server answers; `None` when none runs.
fn ask_server<T: DeserializeOwned>(
    reach: &Reach,
    path: &str,
    request: &impl Serialize,
) -> anyhow::Result<Option<T>> {
    block_on(async {
        let api = AdminApi::open(reach)?;
        if api.is_down().await { Ok(None) } else { api.post(path, request).await.map(Some) }
    })
}

/// Whoever typed this, for the log; and from now on the owner of the home, to whom what is written must belong.
fn act_for(home: &Path) -> anyhow::Result<Actor> {
    let actor = Actor::socket(Peer::of_this_process().source());
    act_as_owner(home)?;
    Ok(actor)
}

fn act_as_owner(home: &Path) -> anyhow::Result<()> {
    if act_as_owner_of(home)? == Presence::Absent {
        return Err(HomeError::NoServer { path: home.to_owned() }.into());
    }
    Ok(())
}

fn list(home: &Path, List { json }: &List) -> anyhow::Result<Outcome> {
    act_as_owner(home)?;
    let tokens = AdminTokens::at(&Home::open(home)?.admin_tokens()).list()?;
    if *json {
        let listed = tokens.into_iter().map(|(name, token)| Listed {
            name,
            id: TokenId::of(&token.digest),
            created_at: token.created_at,
            ends_at: token.ends_at,
        });
        print_json(&serde_json::json!({ "tokens": listed.collect::<Vec<_>>() }))?;
        return Ok(Outcome::Done);
    }
    let (mut table, now) = (Table::new(&["NAME", "ID", "MADE AT", "AGE", "ENDS", "IN"]), Timestamp::now());
    for (name, token) in tokens {
        let (ends, left) = match token.ends_at {
            None => ("never".to_owned(), "-".to_owned()),
            Some(end) if end <= now => (seconds(end), "ended".to_owned()),
            Some(end) => (seconds(end), span(end.as_second() - now.as_second())),
        };
        let id = TokenId::of(&token.digest).to_string();
        table.row([name, id, seconds(token.created_at), age(token.created_at, now), ends, left]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
