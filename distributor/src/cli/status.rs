//! `distributor status`.

use sealpost_admin_api::status::Status;

use super::api::AdminApi;
use super::outcome::Outcome;
use super::output::{Table, plain, print_json, print_line, seconds, seconds_or_dash};

/// Show the License Summary, the last pull, who is connected, and what needs attention.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor status
  distributor status --json")]
pub(super) struct Options {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: AdminApi, options: Options) -> anyhow::Result<Outcome> {
    let view: Status = api.get("/status").await?;
    if options.json {
        print_json(&view)?;
        return Ok(Outcome::Done);
    }
    print_line(format_args!("server      {} (version {})", view.server_id, view.version))?;
    print_line(format_args!("reached at  {}, port {}", view.addresses.join(", "), view.port))?;
    print_line(format_args!("connected   {} computers", view.connected_clients))?;
    print_line(format_args!("last pull   {}", seconds_or_dash(view.last_pull.metadata_as_of)))?;
    let releases: Vec<String> =
        view.releases.iter().map(|(state, count)| format!("{count} {state}")).collect();
    print_line(format_args!(
        "updates     {}",
        if releases.is_empty() { "none".to_owned() } else { releases.join(", ") }
    ))?;
    print_line(format_args!("log         {} entries", view.ledger_head.size))?;
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
    for warning in &view.warnings {
        print_line(format_args!("warning: {}", plain(warning)))?;
    }
    Ok(Outcome::Done)
}
