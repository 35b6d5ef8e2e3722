//! `distributor status`.

use sealpost_admin_api::status::{Status, WarningView};
use sealpost_site::rules::expiries::Level;

use super::api::AdminApi;
use super::colors::state;
use super::outcome::Outcome;
use super::output::{Table, age, counted, plain, print_json, print_line, seconds, size, span};

/// Ends that are shown without being asked for.
const ENDS_SHOWN: usize = 5;

/// Show the License Summary, the last pull, who is connected, what ends when, and what needs attention.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor status
  distributor status --ends
  distributor status --json

Exit status 1 if something is urgent: it has ended, ends within days, or does not work.")]
pub(super) struct Options {
    /// Show everything that ends, and what to do about it.
    #[arg(long)]
    ends: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: AdminApi, options: Options) -> anyhow::Result<Outcome> {
    let view: Status = api.get("/status").await?;
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
    print_line("License Summary")?;
    let mut table = Table::new(&["SERIAL", "LICENSES", "USED", "ACTIVE", "RESERVED", "MODEL", "VALID UNTIL"]);
    for license in &view.licenses {
        table.row([
            license.serial.to_string(),
            license.licenses.to_string(),
            license.used.to_string(),
            license.active.to_string(),
            license.reserved.to_string(),
            license.model.to_string(),
            seconds(license.not_after),
        ]);
    }
    table.print()?;
    print_line("")?;
    print_line("What ends first (all with `distributor status --ends`)")?;
    print_ends(&view, ENDS_SHOWN)?;
    for WarningView { level, message, .. } in &view.warnings {
        print_line(format_args!("{}: {}", state(&plain(level)), plain(message)))?;
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
