//! Loading a release on the server again, or letting it through without that.

use clap::Args;
use sealpost_admin_api::updates::{TestLoadRequest, TestLoadView};

use super::find;
use crate::cli::api::AdminApi;
use crate::cli::outcome::Outcome;
use crate::cli::output::{plain, print_json, print_line};

/// Load a release on the server once more with the program that the configuration names, or let it through without that. Ends
/// with 1 when it did not pass.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor updates test-load acme-sigs:1042
  distributor updates test-load acme-sigs:1042 --override --why \"the scanner there is too old for it\"")]
pub(crate) struct Test {
    /// PACKAGE:VERSION[:PLATFORM], or 12 or more digits of the manifest digest.
    #[arg(value_name = "REF")]
    reference: String,
    /// Let it be approved without a test that passed.
    #[arg(long = "override", requires = "why")]
    overrides: bool,
    /// Why, for whoever reads the log later.
    #[arg(long, value_name = "TEXT", requires = "overrides")]
    why: Option<String>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: &AdminApi, options: &Test) -> anyhow::Result<Outcome> {
    let manifest = find::one(api, &options.reference).await?.manifest;
    let request = TestLoadRequest { manifest, override_why: options.why.clone() };
    let view: TestLoadView = api.post("/updates/test-load", &request).await?;
    if options.json {
        print_json(&view)?;
    } else {
        print_line(format_args!("{}: {}", view.release, plain(&view.sentence)))?;
    }
    Ok(if view.outcome.lets_through() { Outcome::Done } else { Outcome::Damage })
}
