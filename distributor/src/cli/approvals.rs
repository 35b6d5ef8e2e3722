//! `distributor approvals list|confirm|withdraw|rules|rule|remove-rule`.

use anyhow::bail;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use sealpost_admin_api::approvals::{ApprovalsView, DecideRequest, Settled, Waiting};
use sealpost_admin_api::settings::{ChangeRequest, Changed};
use sealpost_manifests::word::Word;
use sealpost_site::rules::approvals::proposal::Proposed;
use sealpost_site::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind};

use super::api::AdminApi;
use super::outcome::Outcome;
use super::output::{Table, age, ask, can_ask, plain, print_json, print_line, seconds, tell};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(List),
    Confirm(Confirm),
    Withdraw(Withdraw),
    Rules(Rules),
    Rule(Rule),
    RemoveRule(RemoveRule),
}

/// List what waits for a second person.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor approvals list
  distributor approvals list --json")]
pub(super) struct List {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Agree to what another person proposed: then it is done. Give --server and --token-file, with a token of your own.
///
/// At a terminal it is shown and you are asked; with --yes you are not.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor --server https://server:16770 --ca ca.crt --token-file own.token approvals confirm 4711
  distributor approvals confirm 4711 --yes --comment \"tried on the test computers\"")]
pub(super) struct Confirm {
    /// Its number, as `distributor approvals list` has it.
    #[arg(value_name = "N")]
    number: u64,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Also while the decision about the release is deferred.
    #[arg(long)]
    now: bool,
    /// Why, for whoever reads the log later.
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Take back what waits for a second person. Anybody can.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor approvals withdraw 4711 --why \"the vendor announced another release\"")]
pub(super) struct Withdraw {
    /// Its number, as `distributor approvals list` has it.
    #[arg(value_name = "N")]
    number: u64,
    /// Why, for whoever reads the log later.
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Show the rules of approvals: of several that take a release the strictest counts.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor approvals rules
  distributor approvals rules --json")]
pub(super) struct Rules {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Set a rule of approvals. What is left out takes every release.
///
/// While any rule needs two people, a second account has to confirm each change of the rules.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor approvals rule programs --kind program --two --why \"decided in May\"
  distributor approvals rule quarantine --package 'acme-*' --min-age-hours 48 --why \"let others try first\"
  distributor approvals rule sigs --kind signatures --channel stable --by-itself --why \"they come daily\"")]
pub(super) struct Rule {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: Word,
    /// Packages whose names fit this pattern, in which * is any text.
    #[arg(long, value_name = "PATTERN")]
    package: Option<String>,
    /// Packages of this kind: program, signatures, agent or server.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// What is approved for this channel.
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
    /// Releases that the vendor holds this urgent: low, normal, high or critical.
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<String>,
    /// Two people have to approve them.
    #[arg(long, conflicts_with = "by_itself")]
    two: bool,
    /// They are approved by themselves as soon as they may be.
    #[arg(long)]
    by_itself: bool,
    /// They lie here for so many hours before they can be approved.
    #[arg(long, value_name = "HOURS")]
    min_age_hours: Option<u32>,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Why, for whoever reads the log later.
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Remove a rule of approvals.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor approvals remove-rule quarantine --why \"one person decides from now on\"")]
pub(super) struct RemoveRule {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: Word,
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
        Command::Confirm(options) => confirm(&api, options).await,
        Command::Withdraw(options) => withdraw(&api, options).await,
        Command::Rules(options) => rules(&api, &options).await,
        Command::Rule(options) => set_rule(&api, options).await,
        Command::RemoveRule(options) => remove_rule(&api, options).await,
    }
}

/// What is told of something that waits.
pub(super) fn waits_for_second(waiting: &Waiting) -> String {
    format!(
        "proposal {} waits for a second person until {}: an owner of another enabled account confirms it with \
         `distributor approvals confirm {}`",
        waiting.number,
        seconds(waiting.expires_at),
        waiting.number
    )
}

async fn list(api: &AdminApi, options: &List) -> anyhow::Result<Outcome> {
    let view: ApprovalsView = api.get("/approvals").await?;
    if options.json {
        print_json(&view)?;
        return Ok(Outcome::Done);
    }
    let now = Timestamp::now();
    let mut table = Table::new(&["N", "FROM", "WHAT", "AGE", "UNTIL", "WHY"]);
    for waiting in &view.waiting {
        table.row([
            waiting.number.to_string(),
            plain(&waiting.from).to_string(),
            plain(&waiting.says).to_string(),
            age(waiting.at, now),
            seconds(waiting.expires_at),
            plain(&waiting.comment).to_string(),
        ]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

async fn confirm(api: &AdminApi, options: Confirm) -> anyhow::Result<Outcome> {
    let Confirm { number, yes, now, comment, json } = options;
    if !yes {
        if !can_ask() {
            bail!("there is no terminal to ask at: see `distributor approvals list`, then give --yes");
        }
        let view: ApprovalsView = api.get("/approvals").await?;
        let Some(waiting) = view.waiting.iter().find(|waiting| waiting.number == number) else {
            bail!("no proposal {number} waits; see `distributor approvals list`");
        };
        print_proposed(waiting)?;
        if !ask(&format!("Agree to proposal {number} of {}?", plain(&waiting.from)))? {
            tell("not confirmed; nothing was changed");
            return Ok(Outcome::Damage);
        }
    }
    let request = DecideRequest { comment, now };
    let settled: Settled = api.post(&format!("/approvals/{number}/confirm"), &request).await?;
    told(&settled, "done", json)
}

/// Everything that will be done.
fn print_proposed(waiting: &Waiting) -> anyhow::Result<()> {
    print_line(format_args!("{}: {}", plain(&waiting.from), plain(&waiting.says)))?;
    if !waiting.comment.is_empty() {
        print_line(format_args!("  comment  {}", plain(&waiting.comment)))?;
    }
    if let Proposed::ChangeSettings { changes, members, .. } = &waiting.proposed {
        for SettingChange { key, value } in changes {
            let value = value.as_ref().map_or_else(|| "removed".to_owned(), ToString::to_string);
            print_line(format_args!("  {}  {}", plain(&key.to_string()), plain(&value)))?;
        }
        for change in members {
            let (add, remove) = (change.add.len(), change.remove.len());
            print_line(format_args!(
                "  group {}  lists {add} more, and {remove} not any more",
                change.group
            ))?;
        }
    }
    Ok(())
}

async fn withdraw(api: &AdminApi, options: Withdraw) -> anyhow::Result<Outcome> {
    let Withdraw { number, why, json } = options;
    let request = DecideRequest { comment: why, now: false };
    let settled: Settled = api.post(&format!("/approvals/{number}/withdraw"), &request).await?;
    told(&settled, "withdrawn", json)
}

fn told(settled: &Settled, how: &str, json: bool) -> anyhow::Result<Outcome> {
    if json {
        print_json(settled)?;
    } else {
        print_line(format_args!("{how}: {}", plain(&settled.says)))?;
    }
    Ok(Outcome::Done)
}

async fn rules(api: &AdminApi, options: &Rules) -> anyhow::Result<Outcome> {
    let view: ApprovalsView = api.get("/approvals").await?;
    if options.json {
        print_json(&view.rules)?;
        return Ok(Outcome::Done);
    }
    if view.rules.is_empty() {
        print_line("there is no rule: one person approves each release")?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&["NAME", "RULE", "WHAT IT IS FOR"]);
    for (name, rule) in &view.rules {
        table.row([name.to_string(), rule.to_string(), plain(rule.description.as_str()).to_string()]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

async fn set_rule(api: &AdminApi, options: Rule) -> anyhow::Result<Outcome> {
    let Rule {
        name,
        package,
        kind,
        channel,
        severity,
        two,
        by_itself,
        min_age_hours,
        description,
        why,
        json,
    } = options;
    let mut value = serde_json::Map::new();
    let texts = [
        ("package", package),
        ("kind", kind),
        ("channel", channel),
        ("severity", severity),
        ("description", description),
        ("needs", two.then(|| "two".to_owned())),
    ];
    for (field, text) in texts {
        if let Some(text) = text {
            value.insert(field.to_owned(), text.into());
        }
    }
    if let Some(hours) = min_age_hours {
        value.insert("min_age_hours".to_owned(), hours.into());
    }
    if by_itself {
        value.insert("by_itself".to_owned(), true.into());
    }
    change(api, name, Some(value.into()), why, json).await
}

async fn remove_rule(api: &AdminApi, options: RemoveRule) -> anyhow::Result<Outcome> {
    let RemoveRule { name, why, json } = options;
    let view: ApprovalsView = api.get("/approvals").await?;
    if !view.rules.contains_key(&name) {
        bail!("there is no rule named {name}; see `distributor approvals rules`");
    }
    change(api, name, None, why, json).await
}

async fn change(
    api: &AdminApi,
    name: Word,
    value: Option<serde_json::Value>,
    comment: String,
    json: bool,
) -> anyhow::Result<Outcome> {
    let removed = value.is_none();
    let key = SettingKey { kind: SettingKind::Approval, name: name.to_string() };
    let changes = vec![SettingChange { key, value }];
    let request = ChangeRequest { changes, members: Vec::new(), comment, expected: None };
    let changed: Changed = api.post("/settings", &request).await?;
    if json {
        print_json(&changed)?;
    }
    match (changed.waits, changed.changed) {
        (Some(number), _) => tell(still_waits(number)),
        (None, _) if json => {}
        (None, 0) => print_line(format_args!("the rule {name} says so already; nothing changed"))?,
        (None, _) if removed => print_line(format_args!("removed the rule {name}"))?,
        (None, _) => print_line(format_args!("the rule {name} is set"))?,
    }
    Ok(Outcome::Done)
}

/// What is told of a change of settings that waits.
pub(super) fn still_waits(number: u64) -> String {
    format!(
        "nothing is changed yet: a second account confirms it with `distributor approvals confirm {number}`"
    )
}
