//! Everything that a site sets, as TOML.
//!
//! Invariant: what is written reads back as the same settings, and what cannot be read is refused with its line. Each section is
//! read as the type that the server stores, so that nothing is in a file that the server would refuse later for its form.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};
use sealpost_admin_api::settings::ConfigurationText;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ComputerName, PackageName};
use sealpost_manifests::word::Word;
use sealpost_site::rules::approvals::rule::ApprovalRule;
use sealpost_site::rules::configuration::assertion::Assertion;
use sealpost_site::rules::names::canonical;
use sealpost_site::rules::rollouts::delivery::{Content, Delivery};
use sealpost_site::rules::rollouts::groups::{Description, GroupName, GroupRule};
use sealpost_site::rules::rollouts::links::Link;
use sealpost_site::rules::rollouts::settings::{
    Block, GroupSettings, PROPERTIES, PackageSettings, Pin, SettingChange, SettingKey, SettingKind, Settings,
};
use sealpost_site::rules::rollouts::strategy::Strategy;
use sealpost_site::rules::rollouts::window::Window;
use serde::{Deserialize, Serialize};
use toml::Spanned;

/// What stands at the top of an exported file.
const HEADING: &str = "\
# Everything that this site sets. `distributor config plan FILE` says what a change of this file changes;
# `distributor config apply FILE --why TEXT` makes the site so. What stands here no more is removed.
";

/// How the line begins that says from which configuration a file was written.
const BASED_ON: &str = "based_on = ";
const ABOUT_BASED_ON: &str = "\
# It is not applied over what somebody else changed since; `config apply` writes this line anew.
";

/// The file, section by section.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    based_on: Option<Sha256Digest>,
    #[serde(default)]
    properties: BTreeMap<Spanned<String>, Spanned<toml::Value>>,
    #[serde(default)]
    groups: BTreeMap<GroupName, Group>,
    #[serde(default)]
    strategies: BTreeMap<Word, Strategy>,
    #[serde(default)]
    windows: BTreeMap<Word, Window>,
    #[serde(default)]
    packages: BTreeMap<PackageName, PackageSettings>,
    #[serde(default)]
    blocks: BTreeMap<Word, Block>,
    #[serde(default)]
    pins: BTreeMap<Word, Pin>,
    #[serde(default)]
    links: BTreeMap<Word, Link>,
    #[serde(default)]
    approvals: BTreeMap<Word, ApprovalRule>,
    #[serde(default)]
    assert: Vec<Assertion>,
}

/// A group with the computers that it lists.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[serde(default)]
    members: BTreeSet<ComputerName>,
    #[serde(default)]
    description: Description,
    rule: Option<GroupRule>,
    delivery: Option<Delivery>,
    content: Option<Content>,
    #[serde(default)]
    rank: u16,
}

/// Reads a file as a configuration.
pub(super) fn read(text: &str) -> anyhow::Result<ConfigurationText> {
    let File {
        based_on,
        properties,
        groups,
        strategies,
        windows,
        packages,
        blocks,
        pins,
        links,
        approvals,
        assert,
    } = toml::from_str(text)?;
    let mut settings = Vec::new();
    for (name, value) in properties {
        let line = line_of(text, name.span().start);
        settings.push(property(name.get_ref(), value.into_inner()).with_context(|| format!("line {line}"))?);
    }
    let mut members = BTreeMap::new();
    let mut put = |kind, name: String, value: serde_json::Value| {
        settings.push(SettingChange { key: SettingKey { kind, name }, value: Some(value) });
    };
    for (name, group) in groups {
        let Group { members: listed, description, rule, delivery, content, rank } = group;
        let group = GroupSettings { description, rule, delivery, content, rank };
        put(SettingKind::Group, name.to_string(), serde_json::to_value(&group)?);
        if !listed.is_empty() {
            members.insert(name, listed.iter().map(canonical).collect());
        }
    }
    let mut all = |kind, of: Vec<(String, serde_json::Value)>| {
        of.into_iter().for_each(|(name, value)| put(kind, name, value));
    };
    all(SettingKind::Strategy, values(strategies)?);
    all(SettingKind::Window, values(windows)?);
    all(SettingKind::Package, values(packages)?);
    all(SettingKind::Block, values(blocks)?);
    all(SettingKind::Pin, values(pins)?);
    all(SettingKind::Link, values(links)?);
    all(SettingKind::Approval, values(approvals)?);
    Ok(ConfigurationText { settings, members, assertions: assert, based_on })
}

fn values<K: ToString, T: Serialize>(of: BTreeMap<K, T>) -> anyhow::Result<Vec<(String, serde_json::Value)>> {
    let values = of.into_iter().map(|(name, value)| Ok((name.to_string(), serde_json::to_value(&value)?)));
    values.collect()
}

fn property(name: &str, value: toml::Value) -> anyhow::Result<SettingChange> {
    if !PROPERTIES.iter().any(|(known, _)| *known == name) {
        let names = PROPERTIES.map(|(name, _)| name).join(", ");
        bail!("there is no property {name:?}; there are {names}");
    }
    let value = Some(serde_json::to_value(value)?);
    let change =
        SettingChange { key: SettingKey { kind: SettingKind::Property, name: name.to_owned() }, value };
    Settings::default().set(&change)?;
    Ok(change)
}

fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count() + 1
}

/// Writes a configuration as a file.
pub(super) fn write(configuration: &ConfigurationText) -> anyhow::Result<String> {
    let mut file = toml::Table::new();
    for SettingChange { key, value } in &configuration.settings {
        let Some(value) = value else { continue };
        let mut value = toml::Value::try_from(value).with_context(|| key.to_string())?;
        if key.kind == SettingKind::Group {
            let group = GroupName::new(&key.name)?;
            if let (Some(members), Some(table)) = (configuration.members.get(&group), value.as_table_mut()) {
                table.insert("members".to_owned(), toml::Value::try_from(members)?);
            }
        }
        let section = file.entry(section(key.kind)).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        if let Some(section) = section.as_table_mut() {
            section.insert(key.name.clone(), value);
        }
    }
    if !configuration.assertions.is_empty() {
        file.insert("assert".to_owned(), toml::Value::try_from(&configuration.assertions)?);
    }
    // Before the first section: what stands behind one belongs to it.
    let based_on = configuration.based_on.map(|based_on| format!("{}\n", based_on_line(&based_on)));
    let based_on = based_on.map_or_else(String::new, |line| format!("{ABOUT_BASED_ON}{line}"));
    Ok(format!("{HEADING}{based_on}\n{}", toml::to_string_pretty(&file)?))
}

fn based_on_line(state: &Sha256Digest) -> String {
    format!("{BASED_ON}\"{state}\"")
}

/// The same file, which says from now on that it was written from another configuration; `None` if it says nothing of that in
/// a line of its own.
pub(super) fn based_anew(text: &str, state: &Sha256Digest) -> Option<String> {
    let start = text.lines().position(|line| line.starts_with(BASED_ON))?;
    let mut lines: Vec<&str> = text.split('\n').collect();
    let line = based_on_line(state);
    *lines.get_mut(start)? = &line;
    Some(lines.join("\n"))
}

const fn section(kind: SettingKind) -> &'static str {
    match kind {
        SettingKind::Property => "properties",
        SettingKind::Group => "groups",
        SettingKind::Strategy => "strategies",
        SettingKind::Window => "windows",
        SettingKind::Package => "packages",
        SettingKind::Block => "blocks",
        SettingKind::Pin => "pins",
        SettingKind::Link => "links",
        SettingKind::Approval => "approvals",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const EVERYTHING: &str = r#"
[properties]
delivery = "window:night"
critical = "at_once"
hold = "none"

[groups.canary]
description = "takes everything first"
members = ["lab-1", "lab-2"]

[groups.wards]
delivery = "manual"
content = { delayed = 4 }
rank = 5
rule = { tags = ["ward"], names = ["w-*"], runs = [{ package = "acme-av", versions = ["1.0"] }] }

[strategies.mine]
on_failure = "roll_back"
deadline_hours = 48
rings = [
    { name = "canary", takes = { group = "canary" }, soak_minutes = 10 },
    { name = "some", takes = { share = "2.5 %" }, errors = { count = 2, percent = 3 }, per_hour = 9 },
    { name = "three", takes = { first = 3 }, concurrent = 1 },
    { name = "rest", takes = "everyone" },
]

[windows.night]
days = ["monday", "tuesday"]
from = "22:00"
length_minutes = 240
zone = "Europe/Berlin"

[packages.acme-av]
strategy = "mine"

[blocks.cad]
of = { group = "wards" }
package = "acme-av"
why = "crashes"

[approvals.programs]
kind = "program"
package = "acme-*"
needs = "two"
min_age_hours = 24

[pins.old]
of = { computer = "pc-7" }
package = "acme-av"
version = "1.0"

[links.branch-north]
subnets = ["10.2.0.0/16", "2001:db8:2::/48"]
rate = "2 MB/s"
concurrent = 3

[[assert]]
computer = "lab-1"
in_group = "canary"
ring = "canary"
strategy = "mine"
"#;

    #[test]
    fn a_file_with_everything_reads_fits_together_and_is_written_and_read_again_the_same() {
        let read_once = read(EVERYTHING).unwrap();
        let settings = read_once.configuration().unwrap().settings;
        assert_eq!(settings.problems(), []);
        assert_eq!((settings.groups.len(), settings.strategies.len(), settings.windows.len()), (2, 1, 1));
        assert_eq!((settings.packages.len(), settings.blocks.len(), settings.pins.len()), (1, 1, 1));
        assert_eq!(settings.approvals.len(), 1);
        assert_eq!(read_once.members.values().next().unwrap().len(), 2);
        let before = Sha256Digest::of(b"as it was");
        let written = write(&ConfigurationText { based_on: Some(before), ..read_once.clone() }).unwrap();
        let again = read(&written).unwrap();
        assert_eq!((read_once.based_on, again.based_on), (None, Some(before)));
        let now = Sha256Digest::of(b"as it is");
        let anew = based_anew(&written, &now).unwrap();
        assert_eq!(read(&anew).unwrap().based_on, Some(now));
        assert_eq!(based_anew(&anew, &before).unwrap(), written, "nothing else is another");
        assert_eq!(based_anew(EVERYTHING, &now), None);
        assert_eq!(again.configuration().unwrap(), read_once.configuration().unwrap(), "{written}");
        assert_eq!(again.assertions, read_once.assertions);
    }

    #[test]
    fn a_key_that_nobody_knows_and_a_value_that_is_none_are_refused_with_their_line() {
        for (text, line, what) in [
            ("\n[propertys]\n", 2, "propertys"),
            ("[properties]\n\ndeliveries = \"push\"\n", 3, "deliveries"),
            ("[properties]\ndelivery = \"pigeon\"\n", 2, "pigeon"),
            ("[groups.canary]\nranks = 3\n", 2, "ranks"),
            ("[groups.canary.rule]\ntag = [\"a\"]\n", 2, "tag"),
            (
                "[strategies.mine]\nrings = [\n  { name = \"a\", takes = \"everyone\", soak = 1 },\n]\n",
                3,
                "soak",
            ),
            ("[[assert]]\ncomputer = \"pc-1\"\nin_grup = \"canary\"\n", 3, "in_grup"),
            (
                "[links.a]\nsubnets = [\n  \"10.2.3.4/16\",\n]\nrate = \"2 MB/s\"\nconcurrent = 3\n",
                2,
                "write `10.2.0.0/16`",
            ),
            ("[links.a]\nsubnets = [\"10.2.0.0/16\"]\nrate = \"0 MB/s\"\nconcurrent = 3\n", 3, "is no rate"),
            ("[pins.a]\nof = \"everyone\"\npackage = \"a\"\nversion = \"1\"\nuntil = 3\n", 5, "until"),
        ] {
            let said = format!("{:#}", read(text).unwrap_err());
            assert!(said.contains(&format!("line {line}")) && said.contains(what), "{text}: {said}");
        }
    }

    #[test]
    fn the_example_of_the_page_about_rollouts_can_be_applied() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/rollouts.md");
        let page = std::fs::read_to_string(page).unwrap();
        let blocks = page.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap());
        let of_site = |block: &&str| {
            block.contains("[properties]") || block.contains("[[assert]]") || block.contains("[links.")
        };
        let example: String = blocks.filter(of_site).collect();
        let text = read(&example).unwrap();
        assert_eq!(text.assertions.len(), 1);
        let configuration = text.configuration().unwrap();
        assert_eq!(configuration.settings.problems(), []);
        assert!(!configuration.settings.strategies.is_empty() && !configuration.members.is_empty());
    }

    #[test]
    fn an_empty_file_sets_nothing() {
        let read = read("").unwrap();
        assert!(read.settings.is_empty() && read.members.is_empty() && read.assertions.is_empty());
    }
}
