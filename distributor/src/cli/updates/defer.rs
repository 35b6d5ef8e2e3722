//! The decision about a release is put off.

use clap::Args;
use jiff::Timestamp;
use sealpost_admin_api::approvals::DeferRequest;
use sealpost_admin_api::updates::Update;

use super::find;
use crate::cli::api::AdminApi;
use crate::cli::outcome::Outcome;
use crate::cli::output::{plain, print_json, print_line, seconds};
use crate::cli::when;

/// Put the decision about a release off until a time. It ends by itself; until then rules do not approve the release either, and
/// who approves it all the same says so with --now.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor updates defer acme-av:1.0.1 --until 2026-12-24 --why \"no changes before the holidays\"
  distributor updates defer acme-av:1.0.1 --until 3d --why \"the vendor looks at a crash\"")]
pub(crate) struct Defer {
    /// PACKAGE:VERSION[:PLATFORM], or 12 or more digits of the manifest digest.
    #[arg(value_name = "REF")]
    reference: String,
    /// Until when: a time (2026-12-24, or \"2026-12-24 08:00\", in UTC), or from now on (3d, 12h).
    #[arg(long, value_name = "TIME")]
    until: String,
    /// Why, for whoever reads it later.
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: &AdminApi, options: Defer) -> anyhow::Result<Outcome> {
    let Defer { reference, until, why, json } = options;
    let until = when::to_come("--until", &until, Timestamp::now())?;
    let manifest = find::one(api, &reference).await?.manifest;
    let request = DeferRequest { manifest, until, comment: why };
    let row: Update = api.post("/updates/defer", &request).await?;
    if json {
        print_json(&row)?;
    } else {
        let release = plain(&row.release.to_string());
        print_line(format_args!("the decision about {release} is deferred until {}", seconds(until)))?;
    }
    Ok(Outcome::Done)
}
