//! `distributor clients verify`: calls computers, and says for each whether its license was verified.

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use sealpost_admin_api::verifying::{
    MAX_VERIFIED, MAX_WAIT_SECS, VerifiedComputer, VerifiedMany, VerifyOutcome, VerifyRequest, WAIT_SECS,
};
use sealpost_manifests::ids::ComputerName;

use crate::cli::api::AdminApi;
use crate::cli::outcome::Outcome;
use crate::cli::output::{age, print_json, print_line, seconds, seconds_away};
use crate::cli::when;

/// Have computers verify their licenses now, and say for each whether it came.
///
/// A computer that is connected is called, makes a contact at once, and so verifies its license. One that is not connected is not
/// waited for: it comes by itself, every four hours, or every hour after a contact that failed. If one did not come, the command
/// ends with 1.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor clients verify reception-1
  distributor clients verify lab-7 lab-8 --wait 30s
  distributor clients verify reception-1 --json")]
pub(in crate::cli) struct Options {
    /// The computers' names.
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// How long to wait for those that are called, at most 30s [default: 10s].
    #[arg(long, value_name = "TIME")]
    wait: Option<String>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: &AdminApi, options: Options) -> anyhow::Result<Outcome> {
    let attempted = "cannot verify computers";
    let names =
        options.names.iter().map(ComputerName::new).collect::<Result<Vec<_>, _>>().context(attempted)?;
    let wait_secs = options.wait.map(|text| when::seconds_of("--wait", &text)).transpose()?;
    let wait_secs = wait_secs.unwrap_or(WAIT_SECS);
    if wait_secs > MAX_WAIT_SECS {
        bail!("{attempted}: --wait is at most {MAX_WAIT_SECS}s");
    }
    let mut all = Vec::new();
    for names in names.chunks(MAX_VERIFIED) {
        let request = VerifyRequest { names: names.to_vec(), wait_secs: Some(wait_secs) };
        let answered: VerifiedMany = api.post("/clients/verify", &request).await?;
        let now = Timestamp::now();
        for computer in answered.computers {
            if !options.json {
                print_line(format_args!("{}: {}", computer.name, said(&computer, wait_secs, now)))?;
            }
            all.push(computer);
        }
    }
    let all_came = all.iter().all(|computer| computer.outcome == VerifyOutcome::Verified);
    if options.json {
        print_json(&VerifiedMany { computers: all })?;
    }
    Ok(if all_came { Outcome::Done } else { Outcome::Damage })
}

fn said(computer: &VerifiedComputer, wait_secs: u32, now: Timestamp) -> String {
    let name = &computer.name;
    match computer.outcome {
        VerifyOutcome::Verified => match computer.lease_until {
            Some(end) => format!("verified; its license is good until {}", seconds_away(end, now)),
            None => format!("it came, and has no license; `distributor clients show {name}` says why"),
        },
        VerifyOutcome::Silent => {
            let since = match computer.last_contact {
                Some(at) => format!("silent since {} ({})", seconds(at), age(at, now)),
                None => "silent since it enrolled".to_owned(),
            };
            if computer.listens {
                format!("{since}: it was called, and did not come within {wait_secs} seconds")
            } else {
                format!("{since}: it is not connected, and comes by itself")
            }
        }
        VerifyOutcome::NotEnrolled => {
            format!("not enrolled yet: carry a setup file of `distributor clients setup {name}` to it")
        }
        VerifyOutcome::NotReserved => {
            format!("not reserved: take a seat with `distributor clients reserve {name}`")
        }
        VerifyOutcome::TwoComputers => format!(
            "refused, because two computers use its identity: `distributor clients show {name}` shows both, and `distributor \
             clients resolve {name} --keep CONTACT` says which one goes on"
        ),
    }
}
