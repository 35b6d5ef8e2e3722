//! `distributor clients group`: the groups that list a computer, as `distributor groups members` from the other side.

use anyhow::{Context, bail};
use clap::Args;
use sealpost_admin_api::clients::Client;
use sealpost_admin_api::groups::{GroupsView, MembersRequest};
use sealpost_admin_api::settings::Changed;
use sealpost_manifests::ids::ComputerName;
use sealpost_site::rules::rollouts::groups::GroupName;
use serde::Serialize;

use crate::cli::api::{AdminApi, segment};
use crate::cli::outcome::Outcome;
use crate::cli::output::{print_json, print_line, tell};

/// See which groups list a computer by name, list it in more, or take it from some. Groups by rule are in `updates why`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor clients group lab-7
  distributor clients group lab-7 --add canary --why \"it is watched\"
  distributor clients group lab-7 --remove canary --add lab")]
pub(in crate::cli) struct Options {
    /// The computer's name.
    #[arg(value_name = "NAME")]
    name: String,
    /// Groups that list it from now on; they must be there.
    #[arg(long, value_name = "GROUP", num_args = 1..)]
    add: Vec<GroupName>,
    /// Groups that list it no more.
    #[arg(long, value_name = "GROUP", num_args = 1..)]
    remove: Vec<GroupName>,
    /// Why, for whoever reads the log later.
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Groups<'g> {
    name: &'g ComputerName,
    groups: &'g [GroupName],
}

pub(in crate::cli) async fn run(api: &AdminApi, options: &Options) -> anyhow::Result<Outcome> {
    let Options { name, add, remove, why, json } = options;
    let name = ComputerName::new(name).context("cannot change the groups of a computer")?;
    // A group lists any name: one that holds no seat is a mistyped one here.
    let held: Client = api.get(&of(&name)).await?;
    if !(add.is_empty() && remove.is_empty()) {
        // All of them before the first is changed.
        let GroupsView { groups } = api.get("/groups").await?;
        if let Some(unknown) =
            add.iter().chain(remove).find(|name| groups.iter().all(|group| group.name != **name))
        {
            bail!(
                "cannot change the groups of {name}: there is no group named {unknown}; see `distributor groups list`"
            );
        }
        if let Some(both) = add.iter().find(|name| remove.contains(name)) {
            bail!("cannot change the groups of {name}: {both} is to be added and removed");
        }
    }
    for (groups, adds) in [(add, true), (remove, false)] {
        for group in groups {
            let names = vec![held.name.clone()];
            let (add, remove) = if adds { (names, Vec::new()) } else { (Vec::new(), names) };
            let request = MembersRequest { add, remove, comment: why.clone() };
            let _: Changed = api.post(&format!("/groups/{group}/members"), &request).await?;
        }
    }
    let Client { name, groups, .. } = api.get(&of(&held.name)).await?;
    if *json {
        print_json(&Groups { name: &name, groups: &groups })?;
        return Ok(Outcome::Done);
    }
    if groups.is_empty() {
        tell(format_args!("no group lists {name} by name"));
    }
    for group in groups {
        print_line(group)?;
    }
    Ok(Outcome::Done)
}

fn of(name: &ComputerName) -> String {
    format!("/clients/{}", segment(name.as_str()))
}
