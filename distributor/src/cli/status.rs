//! `distributor status`, and `status --check` for monitors.

use std::cmp::Reverse;
use std::time::Duration;

use anyhow::anyhow;
use jiff::Timestamp;
use sealpost_admin_api::folder::FolderStatus;
use sealpost_admin_api::licenses::{RefusedSeats, Standing};
use sealpost_admin_api::status::{Status, WarningView};
use sealpost_manifests::wire::problem::Problem;
use sealpost_site::rules::expiries::Level;
use sealpost_site::rules::text::first_names;

use super::api::AdminApi;
use super::colors::state;
use super::content;
use super::outcome::Outcome;
use super::output::{Table, age, counted, plain, print_json, print_line, seconds, size, span};

/// How long a check waits for the server, in all.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Ends that are shown without being asked for.
const ENDS_SHOWN: usize = 5;

/// Show the License Summary, the last pull, who is connected, what ends when, and what needs attention.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor status
  distributor status --ends
  distributor status --json
  distributor status --check

Exit status 1 if something is urgent: it has ended, ends within days, or does not work.

With --check, as monitors expect it: 0 nothing is wrong, 1 there is a warning, 2 something is urgent, 3 nobody knows, since \
the server cannot be asked.")]
pub(super) struct Options {
    /// Show everything that ends, and what to do about it.
    #[arg(long)]
    ends: bool,
    /// Print one line for each thing that is wrong and more than a notice; the exit status says how bad it is.
    #[arg(long, conflicts_with = "ends")]
    check: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// What `--check --json` prints.
#[derive(Debug, serde::Serialize)]
struct Checked<'a> {
    /// `ok`, `warning`, `urgent` or `unknown`.
    level: &'a str,
    /// Why it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// The most urgent first, without notices.
    problems: Vec<&'a WarningView>,
}

pub(super) async fn run(api: anyhow::Result<AdminApi>, options: Options) -> anyhow::Result<Outcome> {
    if options.check {
        let asked = async { api?.get::<Status>("/status").await };
        let late = || Err(anyhow!("the server did not answer within {} seconds", ANSWER_WITHIN.as_secs()));
        let view = tokio::time::timeout(ANSWER_WITHIN, asked).await.unwrap_or_else(|_| late());
        return checked(view, options.json);
    }
    let view: Status = api?.get("/status").await?;
    let is_urgent = |level: &String| level == Level::Urgent.as_str();
    let ends_now = view.expiries.iter().any(|ending| ending.level.as_ref().is_some_and(is_urgent));
    let is_urgent = ends_now || view.warnings.iter().any(|warning| is_urgent(&warning.level));
    let outcome = if is_urgent { Outcome::Damage } else { Outcome::Done };
    if options.json {
        print_json(&view)?;
        return Ok(outcome);
    }
    if options.ends {
        print_ends(&view, usize::MAX)?;
        return Ok(outcome);
    }
    print_line(format_args!("server      {} (version {})", view.server_id, plain(&view.version)))?;
    print_line(format_args!("reached at  {}, port {}", plain(&view.addresses.join(", ")), view.port))?;
    print_line(format_args!("connected   {}", counted(view.connected_clients, "computer", "computers")))?;
    let last_pull = view.last_pull.metadata_as_of;
    let last_pull =
        last_pull.map_or_else(|| "-".to_owned(), |at| format!("{} ({})", seconds(at), age(at, view.now)));
    print_line(format_args!("last pull   {last_pull}"))?;
    let releases: Vec<String> =
        view.releases.iter().map(|(state, count)| format!("{count} {}", plain(state))).collect();
    print_line(format_args!(
        "updates     {}",
        if releases.is_empty() { "none".to_owned() } else { releases.join(", ") }
    ))?;
    for line in content::lines(&view.content) {
        print_line(format_args!("content     {line}"))?;
    }
    if let Some(folder) = &view.folder {
        print_line(format_args!("folder      {}", plain(&folder_line(folder, view.now))))?;
    }
    if let Some(stored) = &view.storage {
        print_line(format_args!(
            "stored      {}, {} of it not needed; {} free",
            size(stored.bytes),
            size(stored.unneeded_bytes),
            size(stored.free_bytes)
        ))?;
        let kinds = stored.kinds.iter().map(|kind| format!("{} {}", plain(&kind.kind), size(kind.bytes)));
        let kinds: Vec<String> = kinds.collect();
        print_line(format_args!("            {} (bounds: `distributor storage show`)", kinds.join(", ")))?;
    }
    print_line(format_args!("log         {}", counted(view.ledger_head.size, "entry", "entries")))?;
    print_line("")?;
    print_summary(&view)?;
    print_line("")?;
    print_line("What ends first (all with `distributor status --ends`)")?;
    print_ends(&view, ENDS_SHOWN)?;
    for warning in by_level(&view.warnings) {
        let WarningView { level, message, .. } = warning;
        print_line(format_args!("{}: {}", state(&plain(level)), plain(message)))?;
        if let Some(said) = since_and_next(warning, view.now) {
            print_line(format_args!("        {said}"))?;
        }
    }
    Ok(outcome)
}

/// The License Summary: a line per serial number, then what is to be known of them in words.
fn print_summary(view: &Status) -> anyhow::Result<()> {
    print_line("License Summary")?;
    let mut table = Table::new(&[
        "SERIAL",
        "LICENSES",
        "USED",
        "ACTIVE",
        "RESERVED",
        "FREE",
        "REFUSED",
        "MODEL",
        "VALID UNTIL",
    ]);
    for license in &view.licenses {
        table.row([
            license.serial.to_string(),
            license.licenses.to_string(),
            license.used.to_string(),
            license.active.to_string(),
            license.reserved.to_string(),
            license.free.to_string(),
            license.refused.map_or(0, |refused| refused.count).to_string(),
            license.model.to_string(),
            seconds(license.not_after),
        ]);
    }
    table.print()?;
    for license in &view.licenses {
        for Standing { message, .. } in &license.standing {
            print_line(format_args!("{}: {}", license.serial, plain(message)))?;
        }
    }
    let since = view.started.map(|started| format!(" since the server started at {}", seconds(started)));
    let since = since.unwrap_or_default();
    let said = |what: &str, refused: &RefusedSeats| {
        let count = counted(refused.count, "seat was refused", "seats were refused");
        let last = format!("the last {} ({})", seconds(refused.last), age(refused.last, view.now));
        print_line(format_args!("{what}{count}{since}, {last}"))
    };
    for license in &view.licenses {
        if let Some(refused) = &license.refused {
            said(&format!("{}: ", license.serial), refused)?;
        }
    }
    view.refused_seats.iter().try_for_each(|refused| said("of no serial number in particular: ", refused))
}

/// The most urgent first, whatever order the server has.
fn by_level(warnings: &[WarningView]) -> Vec<&WarningView> {
    let mut sorted: Vec<&WarningView> = warnings.iter().collect();
    sorted.sort_by_key(|warning| Reverse(rank(&warning.level)));
    sorted
}

/// A level that this program does not know counts as urgent.
fn rank(level: &str) -> Level {
    let known = [Level::Notice, Level::Warning].into_iter().find(|known| known.as_str() == level);
    known.unwrap_or(Level::Urgent)
}

fn since_and_next(warning: &WarningView, now: Timestamp) -> Option<String> {
    let since = warning.since.map(|since| format!("since {} ({})", seconds(since), age(since, now)));
    let next = warning.next.as_ref().map(|next| format!("next: {}", plain(next)));
    let parts: Vec<String> = since.into_iter().chain(next).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Tells a monitor what is wrong. Whatever keeps the answer away is told in the same way.
fn checked(view: anyhow::Result<Status>, json: bool) -> anyhow::Result<Outcome> {
    let view = match view {
        Ok(view) => view,
        Err(error) => {
            let message = match error.downcast_ref::<Problem>() {
                Some(Problem { code, message, hint }) => format!("{message} [{code}]; {hint}"),
                None => format!("{error:#}"),
            };
            if json {
                print_json(&Checked { level: "unknown", message: Some(message), problems: Vec::new() })?;
            } else {
                print_line(format_args!("unknown: {}", plain(&message)))?;
            }
            return Ok(Outcome::Unknown);
        }
    };
    let mut problems = by_level(&view.warnings);
    problems.retain(|warning| rank(&warning.level) > Level::Notice);
    let (level, outcome) = match problems.first().map(|first| rank(&first.level)) {
        None | Some(Level::Notice) => ("ok", Outcome::Done),
        Some(Level::Warning) => ("warning", Outcome::Damage),
        Some(Level::Urgent) => ("urgent", Outcome::Urgent),
    };
    if json {
        print_json(&Checked { level, message: None, problems })?;
        return Ok(outcome);
    }
    if problems.is_empty() {
        print_line("ok: nothing is wrong")?;
    }
    for warning in problems {
        let since = warning.since.map(|since| format!(" [since {}]", seconds(since))).unwrap_or_default();
        print_line(format_args!("{}: {}{since}", plain(&warning.level), plain(&warning.message)))?;
    }
    Ok(outcome)
}

fn print_ends(view: &Status, most: usize) -> anyhow::Result<()> {
    let mut table = Table::new(&["ENDS", "IN", "LEVEL", "WHAT", "RENEWED BY"]).with_states(2);
    for ending in view.expiries.iter().take(most) {
        let renewed = match (ending.renewed_by_itself, most == usize::MAX) {
            (true, false) => "itself".to_owned(),
            (true, true) => format!("itself; else {}", ending.remedy),
            (false, _) => ending.remedy.clone(),
        };
        let left = if ending.seconds_left > 0 { span(ending.seconds_left) } else { "ended".to_owned() };
        let level = ending.level.clone().unwrap_or_else(|| "-".to_owned());
        table.row([seconds(ending.at), left, level, ending.what.clone(), renewed]);
    }
    table.print()
}
/// The configured folder in one line: how many computers come by it, and whose contact waits there.
fn folder_line(folder: &FolderStatus, now: Timestamp) -> String {
    let FolderStatus { path, looked_at, computers, waiting, failure } = folder;
    let looked = format!("{}, looked into {}", path.display(), age(*looked_at, now));
    if let Some(failure) = failure {
        return format!("{looked}: {failure}");
    }
    let computers = counted(u64::from(*computers), "computer", "computers");
    match waiting.len() {
        0 => format!("{looked}: {computers}, all answered"),
        count => format!(
            "{looked}: {computers}; contacts wait without an answer, or were refused, of {}: see `distributor folder sync`",
            first_names(waiting, count as u64)
        ),
    }
}
