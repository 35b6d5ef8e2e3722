//! `distributor config show|export|plan|apply`: everything that a site sets, in lines or as one file.

mod text;

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use sealpost_admin_api::settings::{
    ApplyRequest, Changed, ConfigurationPlan, ConfigurationText, PlannedChange, SettingsView,
};
use sealpost_files::{PRIVATE, Unfinished, refuse_what_is_no_file, sync_parent};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_site::rules::configuration::fingerprint;
use sealpost_site::rules::rollouts::settings::{SettingChange, SettingKind};
use sealpost_site::rules::text::more_than;

use super::api::AdminApi;
use super::approvals::still_waits;
use super::outcome::Outcome;
use super::output::{Table, ask, can_ask, counted, plain, print_json, print_line, tell};

/// Longest configuration file, in bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// The name that stands for standard output.
const STANDARD_OUTPUT: &str = "-";
/// Names that a line of a plan names.
const MAX_SHOWN: usize = 10;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Show(Show),
    Export(Export),
    Plan(Plan),
    Apply(Apply),
}

/// Show what the site sets, one line for each setting: all of it, or what is of some kinds.
///
/// Blocks and pins that stand here are in force. A property that is not named here has the product's default.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor config show
  distributor config show block pin
  distributor config show window --json")]
pub(super) struct Show {
    /// Only of these kinds: property, group, strategy, window, package, block, pin, link, or approval.
    #[arg(value_name = "KIND")]
    kinds: Vec<SettingKind>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Write everything that the site sets into one TOML file: properties, groups with the computers that they list, strategies,
/// windows, packages, blocks and pins.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor config export site.toml
  distributor config export > site.toml
  distributor config export site.toml --force

Applying what was exported changes nothing. The file says from which state of the site it was written, so that it takes back
nothing that somebody else changes meanwhile.")]
pub(super) struct Export {
    /// Where to write it, or `-` for standard output.
    #[arg(value_name = "FILE|-", default_value = STANDARD_OUTPUT)]
    file: PathBuf,
    /// Replace a file of that name.
    #[arg(long)]
    force: bool,
}

/// Compare a file with what the site has: what changes, and for how many computers. Nothing is changed.
///
/// The file says everything that the site sets: what it does not name is removed, or has the product's default from then on.
/// Ends with 1 when it cannot be applied.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor config plan site.toml
  distributor config plan site.toml --json

A file can assert what has to hold of single computers; otherwise it is not applied:
  [[assert]]
  computer = \"lab-1\"
  in_group = \"canary\"
  ring = \"canary\"
  delivery = \"push\"
Also not_in_group, and with ring the strategy that it is a ring of [default: the one of programs].")]
pub(super) struct Plan {
    /// The configuration file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Make the site as a file says: everything in it, or nothing.
///
/// At a terminal the plan is shown and you are asked; with --yes you are not. It is refused when somebody else changed a
/// setting, a rollout or a group's list since the plan was made, or since the file was exported; --force lets a file through
/// that was exported before that. A file that says from which state it was written says the new one afterwards.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor config apply site.toml --why \"change 4711\"
  distributor config apply site.toml --yes --why \"change 4711\"
  distributor config apply site.toml --force --why \"the file is right\"")]
pub(super) struct Apply {
    /// The configuration file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Also take back what was changed since the file was exported.
    #[arg(long)]
    force: bool,
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
        Command::Export(options) => export(&api, &options).await,
        Command::Plan(options) => plan(&api, &options).await,
        Command::Apply(options) => apply(&api, options).await,
    }
}

async fn show(api: &AdminApi, options: &Show) -> anyhow::Result<Outcome> {
    let view: SettingsView = api.get("/settings").await?;
    let wanted = |set: &SettingChange| options.kinds.is_empty() || options.kinds.contains(&set.key.kind);
    let settings: Vec<SettingChange> = view.settings.into_iter().filter(wanted).collect();
    if options.json {
        print_json(&settings)?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&["KIND", "NAME", "VALUE"]);
    for SettingChange { key, value } in &settings {
        let value = value.as_ref().map(ToString::to_string).unwrap_or_default();
        table.row([key.kind.to_string(), key.name.clone(), value]);
    }
    table.print()?;
    if settings.is_empty() {
        tell("the site has set nothing of that");
    }
    Ok(Outcome::Done)
}

async fn export(api: &AdminApi, options: &Export) -> anyhow::Result<Outcome> {
    // In one request: what is read part by part is a state in which the site never was.
    let configuration: ConfigurationText = api.get("/settings/export").await?;
    let text = text::write(&configuration).context("cannot write the configuration")?;
    if options.file.as_os_str() == STANDARD_OUTPUT {
        for line in text.lines() {
            print_line(line)?;
        }
        return Ok(Outcome::Done);
    }
    let out = options.file.as_path();
    save(out, &text, options.force)?;
    print_line(out.display())?;
    Ok(Outcome::Done)
}

fn save(out: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let attempted = || format!("cannot write the configuration {}", out.display());
    if !force && out.symlink_metadata().is_ok() {
        bail!("{}: it is there already; give --force to replace it", attempted());
    }
    refuse_what_is_no_file(out).with_context(attempted)?;
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = Unfinished::new_in(folder).with_context(attempted)?;
    std::io::Write::write_all(file.file_mut(), text.as_bytes()).with_context(attempted)?;
    file.finish(PRIVATE).with_context(attempted)?;
    file.replace(out).with_context(attempted)?;
    sync_parent(out).with_context(attempted)
}

fn read(file: &Path) -> anyhow::Result<ConfigurationText> {
    let attempted = || format!("cannot read the configuration {}", file.display());
    let bytes = sealpost_files::read_input(file, MAX_FILE).with_context(attempted)?;
    let text = String::from_utf8(bytes).with_context(attempted)?;
    text::read(&text).with_context(attempted)
}

async fn plan(api: &AdminApi, options: &Plan) -> anyhow::Result<Outcome> {
    let configuration = read(&options.file)?;
    let plan: ConfigurationPlan = api.post("/settings/plan", &configuration).await?;
    if options.json {
        print_json(&plan)?;
    } else {
        print(&plan)?;
    }
    Ok(if can_be_applied(&plan) && plan.conflict.is_none() { Outcome::Done } else { Outcome::Damage })
}

const fn can_be_applied(plan: &ConfigurationPlan) -> bool {
    plan.problems.is_empty() && plan.failed.is_empty()
}

async fn apply(api: &AdminApi, options: Apply) -> anyhow::Result<Outcome> {
    let Apply { file, yes, force, why, json } = options;
    let configuration = read(&file)?;
    let plan: ConfigurationPlan = api.post("/settings/plan", &configuration).await?;
    if !json && !yes {
        print(&plan)?;
    }
    if can_be_applied(&plan) && plan.is_empty() {
        if json {
            print_json(&Changed { changed: 0, waits: None })?;
        } else {
            print_line("the site is so already; nothing changed")?;
        }
        if let Some(state) =
            plan.state.filter(|state| configuration.based_on.is_some_and(|known| known != *state))
        {
            note_state(&file, &state);
        }
        return Ok(Outcome::Done);
    }
    // What cannot be applied is sent all the same: the server's refusal says why.
    let refused = !can_be_applied(&plan) || (plan.conflict.is_some() && !force);
    if !refused && !yes {
        if !can_ask() {
            bail!(
                "there is no terminal to ask at: look at the plan with `distributor config plan {}`, then give --yes",
                plain(&file.display().to_string())
            );
        }
        let changed = counted(plan.computers.changed, "computer", "computers");
        if !ask(&format!("Apply this? Something changes for {changed}."))? {
            tell("not applied; nothing was changed");
            return Ok(Outcome::Damage);
        }
    }
    let wanted = configuration.configuration().context("cannot read the configuration")?;
    let writes_anew = configuration.based_on.is_some();
    let request =
        ApplyRequest { configuration, comment: why, expected: plan.version, state: plan.state, force };
    let changed: Changed = api.post("/settings/apply", &request).await?;
    if json {
        print_json(&changed)?;
    }
    if let Some(number) = changed.waits {
        tell(still_waits(number));
    } else if !json {
        print_line(format_args!("applied: {}", counted(changed.changed, "change", "changes")))?;
    }
    if writes_anew && changed.waits.is_none() {
        let state = fingerprint(&wanted.settings, &wanted.members);
        note_state(&file, &state);
    }
    Ok(Outcome::Done)
}

/// Has a file say the state of the site. If it cannot, the site is so all the same: only the next `apply` of the file is refused.
fn note_state(file: &Path, state: &Sha256Digest) {
    if let Err(error) = base_anew(file, state) {
        tell(format_args!("{error:#}; write this line into it yourself: based_on = \"{state}\""));
    }
}

/// Has a file say that it was written from the state to which it brought the site.
fn base_anew(file: &Path, state: &Sha256Digest) -> anyhow::Result<()> {
    let attempted = || format!("cannot write the new state into {}", plain(&file.display().to_string()));
    let bytes = sealpost_files::read_input(file, MAX_FILE).with_context(attempted)?;
    let text = String::from_utf8(bytes).with_context(attempted)?;
    let Some(anew) = text::based_anew(&text, state) else {
        bail!("{}: it has no line of its own for it", attempted())
    };
    refuse_what_is_no_file(file).with_context(attempted)?;
    let mode = file.symlink_metadata().with_context(attempted)?.permissions().mode() & 0o777;
    sealpost_files::replace(file, anew.as_bytes(), mode).with_context(attempted)
}

fn print(plan: &ConfigurationPlan) -> anyhow::Result<()> {
    for line in lines(plan) {
        print_line(plain(&line))?;
    }
    Ok(())
}

/// A plan in words.
fn lines(plan: &ConfigurationPlan) -> Vec<String> {
    let mut lines: Vec<String> = plan.changes.iter().map(change).collect();
    for members in &plan.members {
        let mut line = format!("~ group {}:", members.group);
        for (verb, names) in [("lists also", &members.add), ("lists no more", &members.remove)] {
            if !names.is_empty() {
                // Writing into a String cannot fail.
                let _ = write!(line, " {verb} {};", more_than(MAX_SHOWN, names, names.len() as u64));
            }
        }
        lines.push(line.trim_end_matches(';').to_owned());
    }
    if lines.is_empty() {
        lines.push("nothing changes: the site is so already".to_owned());
    }
    if !plan.is_empty() && plan.problems.is_empty() {
        let all = counted(plan.computers.all, "computer", "computers");
        lines.push(format!("something changes for {} of {all}", plan.computers.changed));
        let by_setting = plan.computers.by_setting().into_iter();
        lines.extend(by_setting.map(|(setting, what, count)| {
            format!("  {setting}: {} ({what})", counted(count, "computer", "computers"))
        }));
        if plan.changes.iter().any(|change| change.key.kind == SettingKind::Approval) {
            lines.push(
                "  approvals: no computer (they say what releases need before they are approved)".to_owned(),
            );
        }
    }
    if let Some(conflict) = &plan.conflict {
        lines.push(format!("! applied only with --force: {conflict}"));
    }
    let cannot = plan.problems.iter().chain(&plan.failed);
    lines.extend(cannot.map(|why| format!("! cannot be applied: {why}")));
    lines
}

fn change(change: &PlannedChange) -> String {
    let PlannedChange { key, before, after } = change;
    match (before, after) {
        (None, Some(after)) => format!("+ {key}: {after}"),
        (Some(before), None) => format!("- {key}: {before}"),
        (Some(before), Some(after)) => format!("~ {key}: {before} -> {after}"),
        (None, None) => format!("~ {key}"),
    }
}

#[cfg(test)]
mod tests {
    use sealpost_site::rules::configuration::concerned::Concerned;
    use sealpost_site::rules::rollouts::settings::SettingKey;

    use super::*;

    #[test]
    fn a_plan_says_what_is_new_what_goes_what_is_another_for_how_many_and_what_stops_it() {
        let key = |kind, name: &str| SettingKey { kind, name: name.to_owned() };
        let (was, is) = (serde_json::json!("push"), serde_json::json!("poll"));
        let plan = ConfigurationPlan {
            version: 3,
            changes: vec![
                PlannedChange {
                    key: key(SettingKind::Property, "delivery"),
                    before: Some(was.clone()),
                    after: Some(is.clone()),
                },
                PlannedChange { key: key(SettingKind::Window, "night"), before: Some(was), after: None },
                PlannedChange { key: key(SettingKind::Group, "canary"), before: None, after: Some(is) },
            ],
            members: Vec::new(),
            computers: Concerned { all: 10, changed: 4, groups: 1, pins: 3, ..Concerned::default() },
            problems: Vec::new(),
            state: None,
            conflict: Some("the site was changed".to_owned()),
            failed: vec!["pc-1 is not in the group canary: it is in no group".to_owned()],
        };
        let said = lines(&plan);
        assert_eq!(said[0], "~ property delivery: \"push\" -> \"poll\"");
        assert_eq!(said[1], "- window night: \"push\"");
        assert_eq!(said[2], "+ group canary: \"poll\"");
        assert_eq!(said[3], "something changes for 4 of 10 computers");
        assert_eq!(said[4], "  groups: 1 computer (in other groups)");
        assert_eq!(said[5], "  pins: 3 computers (other versions are kept)");
        assert!(said[6].starts_with("! applied only with --force: the site was changed"), "{said:?}");
        assert!(said[7].starts_with("! cannot be applied: pc-1 is not in the group"), "{said:?}");
        assert!(!can_be_applied(&plan));
    }
}
