//! Loading a release on the server again, or letting it through without that.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use sealpost_admin_api::updates::{Review, TestLoadRequest, TestLoadView};
use sealpost_site::rules::test_load::TestOutcome;
use tokio::time::sleep;

use super::find;
use crate::cli::api::AdminApi;
use crate::cli::outcome::Outcome;
use crate::cli::output::{plain, print_json, print_line};

/// Between two looks whether a load has ended.
const AGAIN: Duration = Duration::from_millis(500);

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
    let update = find::one(api, &options.reference).await?;
    let (manifest, release) = (update.manifest, &update.release);
    let request = TestLoadRequest { manifest, override_why: options.why.clone() };
    let mut view: TestLoadView = api.post("/updates/test-load", &request).await?;
    while view.under_way {
        sleep(AGAIN).await;
        let Review { update, .. } = api.get(&format!("/updates/{manifest}")).await?;
        view = update
            .test_load
            .context("the release is loaded by no program any more; the configuration changed")?;
    }
    if options.json {
        print_json(&view)?;
    } else {
        print_line(format_args!("{release}: {}", plain(&view.sentence)))?;
    }
    Ok(if view.outcome.is_some_and(TestOutcome::lets_through) { Outcome::Done } else { Outcome::Damage })
}
