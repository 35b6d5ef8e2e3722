//! `distributor groups list|show|add|members|remove`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use sealpost_admin_api::groups::{Group, GroupsView, MAX_MEMBERS, MembersPage, MembersRequest};
use sealpost_admin_api::settings::{ChangeRequest, Changed, SettingsView};
use sealpost_manifests::ids::{ChannelName, ComputerName, PackageName, Platform, SerialNumber, Tag};
use sealpost_manifests::version::Version;
use sealpost_site::rules::rollouts::delivery::{Content, Delivery};
use sealpost_site::rules::rollouts::glob::NamePattern;
use sealpost_site::rules::rollouts::groups::{AnyOf, Criteria, Description, GroupName, GroupRule, Runs};
use sealpost_site::rules::rollouts::settings::{GroupSettings, SettingChange, SettingKey, SettingKind};
use sealpost_site::rules::text::more_than;
use serde::Deserialize as _;

use super::api::AdminApi;
use super::outcome::Outcome;
use super::output::{Table, counted, plain, print_json, print_line, tell};
use super::pages;

/// Names in one request: the server takes so many in one change.
const NAMES_AT_ONCE: usize = 500;
/// Longest file of names, in bytes.
const MAX_NAMES_FILE: u64 = 16 * 1024 * 1024;
/// Computers that a line names.
const MAX_SHOWN: usize = 20;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(List),
    Show(Show),
    Add(Add),
    Members(Members),
    Remove(Remove),
}

/// List the groups with how many computers belong to each.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor groups list
  distributor groups list --json")]
pub(super) struct List {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Show a group: its rule, whom it lists, and which computers belong to it now.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor groups show canary
  distributor groups show canary --json")]
pub(super) struct Show {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: GroupName,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Make a group, or give it another rule.
///
/// A computer belongs to it that is listed with `groups members`, or that has everything which is asked for here; of several
/// values of one option one is enough. Of a group that is there, what is not given stays as it is; of a new one without any of
/// these only listed computers belong to it. Refused when somebody else changed a setting at the same time.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor groups add canary --why \"the laboratory takes everything first\"
  distributor groups add cad --name 'cad-*' --platform linux-x86_64 --why \"graphics drivers\"
  distributor groups add old-engine --runs acme-engine:1.4 --runs acme-engine:1.5 --why \"the update needs care\"
  distributor groups add wards --tag ward --tag operating-room --delivery manual --why \"nurses decide\"
  distributor groups add servers --tag server --content delayed:4 --why \"desktops have new signature files first\"")]
pub(super) struct Add {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: GroupName,
    /// Computers whose configuration has this tag; may be given more than once.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Computers whose names fit this pattern, in which * is any text; may be given more than once.
    #[arg(long = "name", value_name = "PATTERN")]
    names: Vec<String>,
    /// Computers of this platform; may be given more than once.
    #[arg(long = "platform", value_name = "PLATFORM")]
    platforms: Vec<String>,
    /// Computers that follow this channel; may be given more than once.
    #[arg(long = "channel", value_name = "CHANNEL")]
    channels: Vec<String>,
    /// Computers that hold a seat of this serial number; may be given more than once.
    #[arg(long = "serial", value_name = "SERIAL")]
    serials: Vec<String>,
    /// Computers that run this package, in this version or in any; may be given more than once.
    #[arg(long, value_name = "PACKAGE[:VERSION]")]
    runs: Vec<String>,
    /// How its computers get updates: push, poll, window:NAME, manual, or folder [default: as the property says].
    #[arg(long, value_name = "METHOD")]
    delivery: Option<Delivery>,
    /// When its computers get signature files: early, general, paused, or delayed:HOURS [default: as the package says].
    #[arg(long, value_name = "POLICY")]
    content: Option<Content>,
    /// Of several groups of a computer the one with the highest rank counts [default: 0].
    #[arg(long, value_name = "RANK")]
    rank: Option<u16>,
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

/// See which computers a group lists by name, list more, or take some from its list. A name needs no seat.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor groups members canary
  distributor groups members canary --add lab-1 lab-2 --why \"they were moved to the laboratory\"
  distributor groups members canary --remove lab-2
  distributor groups members canary --from names.txt

FILE has one name in each line; empty lines and what stands behind a # do not count.")]
pub(super) struct Members {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: GroupName,
    /// List these computers.
    #[arg(long, value_name = "COMPUTER", num_args = 1..)]
    add: Vec<String>,
    /// Take these computers from the list.
    #[arg(long, value_name = "COMPUTER", num_args = 1..)]
    remove: Vec<String>,
    /// List the computers that this file names.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Why the list changes, for whoever reads the log later.
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Remove a group with its list. One that a live rollout, a strategy, a block or a pin names stays.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor groups remove canary --why \"the laboratory was closed\"")]
pub(super) struct Remove {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: GroupName,
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
        Command::Show(options) => show(&api, &options).await,
        Command::Add(options) => add(&api, options).await,
        Command::Members(options) => members(&api, &options).await,
        Command::Remove(options) => remove(&api, options).await,
    }
}

/// Every computer that a group lists by name.
pub(super) async fn listed(api: &AdminApi, group: &GroupName) -> anyhow::Result<Vec<ComputerName>> {
    pages::all::<MembersPage>(api, &format!("/groups/{group}/members?limit={MAX_MEMBERS}")).await
}

async fn list(api: &AdminApi, options: &List) -> anyhow::Result<Outcome> {
    let view: GroupsView = api.get("/groups").await?;
    if options.json {
        print_json(&view)?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&["NAME", "COMPUTERS", "RULE", "DELIVERY", "CONTENT", "RANK", "DESCRIPTION"]);
    for Group { name, settings, computers } in &view.groups {
        table.row([
            name.to_string(),
            computers.count.to_string(),
            settings.rule.as_ref().map_or_else(|| "listed only".to_owned(), rule),
            settings.delivery.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            settings.content.map_or_else(|| "-".to_owned(), |content| content.to_string()),
            settings.rank.to_string(),
            settings.description.as_str().to_owned(),
        ]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

/// What a rule asks for, in one line.
fn rule(rule: &GroupRule) -> String {
    let Criteria { channels, platforms, names, tags, serials, runs } = rule.criteria();
    let of = |what: &str, values: Option<String>| values.map(|values| format!("{what} {values}"));
    let parts = [
        of("channel", channels.as_ref().map(ToString::to_string)),
        of("platform", platforms.as_ref().map(ToString::to_string)),
        of("name", names.as_ref().map(ToString::to_string)),
        of("tag", tags.as_ref().map(ToString::to_string)),
        of("serial", serials.as_ref().map(ToString::to_string)),
        of("runs", runs.as_ref().map(ToString::to_string)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

async fn show(api: &AdminApi, options: &Show) -> anyhow::Result<Outcome> {
    let group = one(api, &options.name).await?;
    if options.json {
        print_json(&group)?;
        return Ok(Outcome::Done);
    }
    let listed = listed(api, &options.name).await?;
    let Group { name, settings, computers } = &group;
    print_line(format_args!("{name}: {}", counted(computers.count, "computer", "computers")))?;
    if !settings.description.is_empty() {
        print_line(format_args!("  about      {}", plain(settings.description.as_str())))?;
    }
    let asks =
        settings.rule.as_ref().map_or_else(|| "none: only listed computers belong to it".to_owned(), rule);
    print_line(format_args!("  rule       {}", plain(&asks)))?;
    if let Some(delivery) = &settings.delivery {
        print_line(format_args!("  delivery   {delivery}"))?;
    }
    if let Some(content) = &settings.content {
        print_line(format_args!("  content    {content}"))?;
    }
    print_line(format_args!("  rank       {}", settings.rank))?;
    let named = more_than(MAX_SHOWN, &listed, listed.len() as u64);
    print_line(format_args!("  lists      {}: {named}", counted(listed.len() as u64, "name", "names")))?;
    let now = more_than(MAX_SHOWN, &computers.names, computers.count);
    print_line(format_args!("  computers  {now}"))?;
    Ok(Outcome::Done)
}

async fn one(api: &AdminApi, name: &GroupName) -> anyhow::Result<Group> {
    let view: GroupsView = api.get("/groups").await?;
    let found = view.groups.into_iter().find(|group| group.name == *name);
    found.with_context(|| format!("there is no group named {name}; see `distributor groups list`"))
}

async fn add(api: &AdminApi, options: Add) -> anyhow::Result<Outcome> {
    let Add { name, tags, names, platforms, channels, serials, runs, .. } = options;
    let Add { delivery, content, rank, description, why, json, .. } = options;
    let criteria = Criteria {
        channels: any_of(channels, ChannelName::new).context("cannot use --channel")?,
        platforms: any_of(platforms, Platform::new).context("cannot use --platform")?,
        names: any_of(names, |text| NamePattern::new(&text)).context("cannot use --name")?,
        tags: any_of(tags, Tag::new).context("cannot use --tag")?,
        serials: any_of(serials, SerialNumber::new).context("cannot use --serial")?,
        runs: packages(&runs).context("cannot use --runs")?,
    };
    let rule = if criteria == Criteria::default() { None } else { Some(GroupRule::try_from(criteria)?) };
    let description =
        description.map(Description::try_from).transpose().context("cannot use --description")?;
    // What no option names, and what somebody else sets at the same time, is not overwritten.
    let view: SettingsView = api.get("/settings").await?;
    let is_group = |set: &&SettingChange| set.key.kind == SettingKind::Group && set.key.name == name.as_str();
    let before = view.settings.iter().find(is_group).and_then(|set| set.value.as_ref());
    let before = before.map(GroupSettings::deserialize).transpose().context("cannot read the group")?;
    let before: GroupSettings = before.unwrap_or_default();
    let settings = GroupSettings {
        description: description.unwrap_or(before.description),
        rule: rule.or(before.rule),
        delivery: delivery.or(before.delivery),
        content: content.or(before.content),
        rank: rank.unwrap_or(before.rank),
    };
    let key = SettingKey { kind: SettingKind::Group, name: name.to_string() };
    let value = Some(serde_json::to_value(&settings)?);
    let changes = vec![SettingChange { key, value }];
    let expected = Some(view.version);
    let request = ChangeRequest { changes, members: Vec::new(), comment: why, expected };
    let changed: Changed = api.post("/settings", &request).await?;
    let group = one(api, &name).await?;
    if json {
        print_json(&group)?;
        return Ok(Outcome::Done);
    }
    let computers = counted(group.computers.count, "computer belongs", "computers belong");
    let changed = if changed.changed == 0 { "; nothing changed" } else { "" };
    print_line(format_args!("{computers} to the group {name}{changed}"))?;
    if settings.rule.is_none() {
        tell(format_args!("list computers with `distributor groups members {name} --add COMPUTER`"));
    }
    Ok(Outcome::Done)
}

fn any_of<T, E>(texts: Vec<String>, read: impl Fn(String) -> Result<T, E>) -> anyhow::Result<Option<AnyOf<T>>>
where
    E: std::error::Error + Send + Sync + 'static,
{
    if texts.is_empty() {
        return Ok(None);
    }
    let values = texts.into_iter().map(read).collect::<Result<Vec<T>, E>>()?;
    Ok(Some(AnyOf::try_from(values)?))
}

/// Packages, each with the versions that stand beside it. A package that is named alone is meant in every version.
fn packages(texts: &[String]) -> anyhow::Result<Option<AnyOf<Runs>>> {
    let mut found: BTreeMap<PackageName, Option<Vec<Version>>> = BTreeMap::new();
    for text in texts {
        let Some((package, version)) = text.split_once(':') else {
            found.insert(PackageName::new(text)?, None);
            continue;
        };
        let versions = found.entry(PackageName::new(package)?).or_insert_with(|| Some(Vec::new()));
        if let Some(versions) = versions {
            versions.push(Version::new(version)?);
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    let runs = found.into_iter().map(|(package, versions)| {
        Ok(Runs { package, versions: versions.map(AnyOf::try_from).transpose()? })
    });
    Ok(Some(AnyOf::try_from(runs.collect::<anyhow::Result<Vec<Runs>>>()?)?))
}

async fn members(api: &AdminApi, options: &Members) -> anyhow::Result<Outcome> {
    let Members { name, add, remove, from, why, json } = options;
    let mut add = computers(add).context("cannot use --add")?;
    let remove = computers(remove).context("cannot use --remove")?;
    if let Some(file) = from {
        let attempted = || format!("cannot read the names in {}", file.display());
        let bytes = sealpost_files::read_input(file, MAX_NAMES_FILE).with_context(attempted)?;
        let text = String::from_utf8(bytes).with_context(attempted)?;
        add.extend(names_of(&text).with_context(attempted)?);
    }
    let mut changed = 0;
    let mut parts: Vec<MembersRequest> = Vec::new();
    let part = |add: &[ComputerName], remove: &[ComputerName]| MembersRequest {
        add: add.to_vec(),
        remove: remove.to_vec(),
        comment: why.clone(),
    };
    parts.extend(add.chunks(NAMES_AT_ONCE).map(|add| part(add, &[])));
    parts.extend(remove.chunks(NAMES_AT_ONCE).map(|remove| part(&[], remove)));
    let steps = parts.len();
    for (done, part) in parts.iter().enumerate() {
        let answer: anyhow::Result<Changed> = api.post(&format!("/groups/{name}/members"), part).await;
        changed += match answer {
            Err(error) if done > 0 => {
                let taken = "parts of the list were taken before; the same command takes the rest";
                return Err(error.context(format!("{done} of {steps} {taken}")));
            }
            answer => answer?.changed,
        };
    }
    let listed = listed(api, name).await?;
    if *json {
        print_json(&MembersPage { members: listed, next: None })?;
        return Ok(Outcome::Done);
    }
    if steps > 0 {
        let now = counted(listed.len() as u64, "name", "names");
        print_line(format_args!(
            "{} changed; the group {name} lists {now}",
            counted(changed, "name", "names")
        ))?;
        return Ok(Outcome::Done);
    }
    for computer in listed {
        print_line(plain(computer.as_str()))?;
    }
    Ok(Outcome::Done)
}

fn computers(texts: &[String]) -> anyhow::Result<Vec<ComputerName>> {
    Ok(texts.iter().map(ComputerName::new).collect::<Result<_, _>>()?)
}

/// The names in a file, one in each line.
fn names_of(text: &str) -> anyhow::Result<Vec<ComputerName>> {
    let mut names = Vec::new();
    for (line, text) in text.lines().enumerate() {
        let name = text.split('#').next().unwrap_or_default().trim();
        if !name.is_empty() {
            names.push(ComputerName::new(name).with_context(|| format!("line {}", line + 1))?);
        }
    }
    if names.is_empty() {
        bail!("it names no computer");
    }
    Ok(names)
}

async fn remove(api: &AdminApi, options: Remove) -> anyhow::Result<Outcome> {
    let Remove { name, why, json } = options;
    let key = SettingKey { kind: SettingKind::Group, name: name.to_string() };
    let changes = vec![SettingChange { key, value: None }];
    let request = ChangeRequest { changes, members: Vec::new(), comment: why, expected: None };
    let changed: Changed = api.post("/settings", &request).await?;
    if json {
        print_json(&changed)?;
    } else {
        print_line(format_args!("the group {name} is removed"))?;
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_with_versions_or_alone_and_alone_means_every_version() {
        let of = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            packages(&texts).map(|runs| serde_json::to_value(&runs).unwrap())
        };
        let both = serde_json::json!([
            { "package": "acme-engine", "versions": ["1.4", "1.5"] },
            { "package": "acme-sigs" },
        ]);
        assert_eq!(of(&["acme-engine:1.4", "acme-sigs", "acme-engine:1.5"]).unwrap(), both);
        let every = serde_json::json!([{ "package": "acme-engine" }]);
        assert_eq!(of(&["acme-engine:1.4", "acme-engine"]).unwrap(), every);
        assert_eq!(of(&["acme-engine", "acme-engine:1.4"]).unwrap(), every);
        assert_eq!(of(&[]).unwrap(), serde_json::Value::Null);
        for wrong in ["", ":1.4", "acme-engine:", "no package"] {
            assert!(of(&[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_of_names_may_have_empty_lines_and_remarks_and_a_wrong_name_is_named_by_its_line() {
        let names = names_of("pc-1\n\n  pc-2  # the laboratory\n# nobody\n").unwrap();
        assert_eq!(names.iter().map(ComputerName::as_str).collect::<Vec<_>>(), ["pc-1", "pc-2"]);
        let refused = names_of("pc-1\nno name at all\n").unwrap_err();
        assert!(format!("{refused:#}").starts_with("line 2"), "{refused:#}");
        assert!(names_of("# nobody\n").is_err());
    }
}
