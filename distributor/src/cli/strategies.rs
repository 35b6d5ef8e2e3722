//! `distributor strategies list|show`.

use anyhow::bail;
use clap::{Args, Subcommand};
use jiff::SignedDuration;
use sealpost_admin_api::settings::SettingsView;
use sealpost_manifests::word::Word;
use sealpost_site::rules::rollouts::settings::SettingKind;
use sealpost_site::rules::rollouts::strategy::{OnFailure, Ring, Strategy};
use sealpost_site::rules::text::{counted, span};

use super::api::AdminApi;
use super::outcome::Outcome;
use super::output::{Table, print_json, print_line};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(List),
    Show(Show),
}

/// List the strategies by which releases can go out.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor strategies list
  distributor strategies list --json

A site makes its own with `distributor config apply`.")]
pub(super) struct List {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Show what a strategy does, ring by ring.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor strategies show normal
  distributor strategies show careful --json")]
pub(super) struct Show {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: Word,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: AdminApi, command: Command) -> anyhow::Result<Outcome> {
    let view: SettingsView = api.get("/settings").await?;
    match command {
        Command::List(options) => list(&view, &options),
        Command::Show(options) => show(&view, &options),
    }
}

fn list(view: &SettingsView, options: &List) -> anyhow::Result<Outcome> {
    if options.json {
        print_json(&view.strategies)?;
        return Ok(Outcome::Done);
    }
    let is_own = |name: &Word| {
        let mut settings = view.settings.iter();
        settings.any(|set| set.key.kind == SettingKind::Strategy && set.key.name == name.as_str())
    };
    let mut table = Table::new(&["NAME", "FROM", "RINGS", "EVERYONE AFTER", "USED FOR"]);
    for (name, strategy) in &view.strategies {
        let rings: Vec<&str> = strategy.rings().iter().map(|ring| ring.name.as_str()).collect();
        let before = strategy.rings().iter().rev().skip(1).map(Ring::soak);
        let least = before.fold(SignedDuration::ZERO, |sum, soak| sum.saturating_add(soak));
        let uses = view.properties.iter().filter(|property| property.value == name.as_str());
        let uses: Vec<&str> = uses.filter_map(|property| property.name.strip_prefix("strategy-")).collect();
        table.row([
            name.to_string(),
            if is_own(name) { "this site" } else { "every site" }.to_owned(),
            rings.join(", "),
            if least.is_zero() { "at once".to_owned() } else { format!("{} at least", span(least)) },
            if uses.is_empty() { "-".to_owned() } else { uses.join(", ") },
        ]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

fn show(view: &SettingsView, options: &Show) -> anyhow::Result<Outcome> {
    let name = options.name;
    let Some(strategy) = view.strategies.get(&name) else {
        let names: Vec<String> = view.strategies.keys().map(ToString::to_string).collect();
        bail!("there is no strategy named {name}: there are {}", names.join(", "));
    };
    if options.json {
        print_json(strategy)?;
        return Ok(Outcome::Done);
    }
    print_line(format_args!("{name}: {}", counted(strategy.rings().len() as u64, "ring", "rings")))?;
    let last = strategy.rings().len().saturating_sub(1);
    for (index, ring) in strategy.rings().iter().enumerate() {
        for line in words(ring, index == last) {
            print_line(format_args!("  {line}"))?;
        }
    }
    for line in rules(strategy) {
        print_line(format_args!("  {line}"))?;
    }
    Ok(Outcome::Done)
}

/// What a ring does, in words.
fn words(ring: &Ring, last: bool) -> Vec<String> {
    let watched = if ring.soak().is_zero() {
        "it is not watched".to_owned()
    } else {
        format!("it is watched for {}", span(ring.soak()))
    };
    let next = if last { "the rollout is complete" } else { "the next ring opens" };
    let sample = counted(u64::from(ring.minimum_sample), "computer has finished", "computers have finished");
    let mut lines = vec![
        format!("{}: {}; {watched}", ring.name, ring.takes),
        format!("    {next} when {sample} and {} % of those succeeded", ring.success_percent),
        format!(
            "    the release is halted when {} failed, and that is {} % of those that finished",
            counted(u64::from(ring.errors.count), "computer", "computers"),
            ring.errors.percent
        ),
    ];
    if let Some(most) = ring.concurrent {
        lines.push(format!(
            "    at most {} at one time",
            counted(u64::from(most), "computer installs", "computers install")
        ));
    }
    if let Some(most) = ring.per_hour {
        lines.push(format!(
            "    at most {} in one hour",
            counted(u64::from(most), "computer is told", "computers are told")
        ));
    }
    lines
}

fn rules(strategy: &Strategy) -> Vec<String> {
    let halted = match strategy.on_failure() {
        OnFailure::Halt => "when it is halted, computers that run the release keep it",
        OnFailure::RollBack => {
            "when it is halted, computers that run the release go back to what they ran before"
        }
    };
    let mut lines = vec![halted.to_owned()];
    if let Some(deadline) = strategy.deadline() {
        lines.push(format!(
            "{} after it was told a computer installs, whatever its window or its user says",
            span(deadline)
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_says_whom_it_takes_how_long_it_is_watched_and_what_lets_the_next_one_open() {
        let strategy = Strategy::careful();
        let first = words(&strategy.rings()[0], false).join("\n");
        assert!(first.starts_with("canary: 1 computer; it is watched for 1 d\n"), "{first}");
        assert!(
            first.contains("the next ring opens when 1 computer has finished and 1 % of those succeeded")
        );
        let last = words(&strategy.rings()[3], true).join("\n");
        assert!(last.contains("the rollout is complete when"), "{last}");
        assert!(rules(&strategy)[0].contains("go back to what they ran before"));
    }
}
