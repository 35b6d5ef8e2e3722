//! `distributor properties show|set`.

use anyhow::bail;
use clap::{Args, Subcommand};
use sealpost_admin_api::settings::{ChangeRequest, Changed, Property, SettingsView};
use sealpost_site::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind};

use super::api::AdminApi;
use super::outcome::Outcome;
use super::output::{Table, plain, print_json, print_line};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Show(Show),
    Set(Set),
}

/// Show the Primary Server Properties: what goes for all computers unless a group or a package says otherwise.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor properties show
  distributor properties show --json")]
pub(super) struct Show {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Set one of the Primary Server Properties.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor properties set delivery poll --why \"computers are woken by nobody at night\"
  distributor properties set hold 3x72 --why \"people finish their work first\"
  distributor properties set strategy-programs careful --why \"after the outage of May\"
  distributor properties set hold --default --why \"as the product has it\"")]
pub(super) struct Set {
    /// Its name, as `distributor properties show` has it.
    #[arg(value_name = "NAME")]
    name: String,
    /// The value from now on.
    #[arg(value_name = "VALUE", required_unless_present = "default")]
    value: Option<String>,
    /// The product's default from now on.
    #[arg(long, conflicts_with = "value")]
    default: bool,
    /// Why, for whoever reads the log later.
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: AdminApi, command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Show(options) => show(&api, &options).await,
        Command::Set(options) => set(&api, options).await,
    }
}

async fn show(api: &AdminApi, options: &Show) -> anyhow::Result<Outcome> {
    let view: SettingsView = api.get("/settings").await?;
    if options.json {
        print_json(&view.properties)?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&["NAME", "VALUE", "DEFAULT", "WHAT IT IS FOR"]);
    for Property { name, value, default, about } in view.properties {
        table.row([name, value, default, about]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

async fn set(api: &AdminApi, options: Set) -> anyhow::Result<Outcome> {
    let Set { name, value, default: _, why, json } = options;
    let key = SettingKey { kind: SettingKind::Property, name: name.clone() };
    let changes = vec![SettingChange { key, value: value.map(serde_json::Value::String) }];
    let request = ChangeRequest { changes, members: Vec::new(), comment: why, expected: None };
    let changed: Changed = api.post("/settings", &request).await?;
    let view: SettingsView = api.get("/settings").await?;
    let Some(property) = view.properties.iter().find(|property| property.name == name) else {
        bail!("the server does not show the property {}; see `distributor properties show`", plain(&name));
    };
    if json {
        print_json(property)?;
    } else if changed.changed == 0 {
        print_line(format_args!("{name} is {} already; nothing changed", plain(&property.value)))?;
    } else {
        print_line(format_args!("{name} is {}", plain(&property.value)))?;
    }
    Ok(Outcome::Done)
}
