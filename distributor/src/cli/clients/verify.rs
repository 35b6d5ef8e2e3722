//! `distributor clients verify`: calls computers, and says for each whether its license was verified.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use jiff::Timestamp;
use sealpost_admin_api::verifying::{
    MAX_VERIFIED, MAX_WAIT_SECS, VerifiedComputer, VerifiedMany, VerifyOutcome, VerifyRequest, WAIT_SECS,
};
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_site::rules::names::canonical;
use sealpost_site::rules::rollouts::groups::GroupName;

use super::reserve::entries;
use crate::cli::api::AdminApi;
use crate::cli::groups::listed;
use crate::cli::outcome::Outcome;
use crate::cli::output::{age, print_json, print_line, seconds, seconds_away};
use crate::cli::when;

/// How often a server that has no place is asked again.
const MAX_TURNS: u32 = 24;
/// After how long it is asked again.
const TURN: Duration = Duration::from_secs(5);

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
  distributor clients verify --group lab
  distributor clients verify --from computers.csv
  distributor clients verify reception-1 --json")]
pub(in crate::cli) struct Options {
    /// The computers' names.
    #[arg(value_name = "NAME", required_unless_present_any = ["from", "group"])]
    names: Vec<String>,
    /// A file with more names, or `-` for standard input, as `clients reserve` takes it; only its names count here.
    #[arg(long, value_name = "FILE|-")]
    from: Option<PathBuf>,
    /// Those that this group lists by name, too.
    #[arg(long)]
    group: Option<GroupName>,
    /// How long to wait for those that are called, at most 30s [default: 10s].
    #[arg(long, value_name = "TIME")]
    wait: Option<String>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: &AdminApi, options: Options) -> anyhow::Result<Outcome> {
    let attempted = "cannot verify computers";
    let wait_secs = options.wait.as_ref().map(|text| when::seconds_of("--wait", text)).transpose()?;
    let wait_secs = wait_secs.unwrap_or(WAIT_SECS);
    if wait_secs > MAX_WAIT_SECS {
        bail!("{attempted}: --wait is at most {MAX_WAIT_SECS}s");
    }
    let names = names(api, &options).await.context(attempted)?;
    let mut all = Vec::new();
    for names in names.chunks(MAX_VERIFIED) {
        let request = VerifyRequest { names: names.to_vec(), wait_secs: Some(wait_secs) };
        let answered = in_turn(api, &request).await?;
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

/// The names, each once, in the order in which they came.
async fn names(api: &AdminApi, options: &Options) -> anyhow::Result<Vec<ComputerName>> {
    let mut names = options.names.iter().map(ComputerName::new).collect::<Result<Vec<_>, _>>()?;
    if let Some(from) = &options.from {
        for line in entries(from).with_context(|| format!("cannot read the names in {}", from.display()))? {
            let number = line.number;
            names.push(
                line.entry.map_err(|flaw| anyhow!("line {number} of {}: {flaw}", from.display()))?.name,
            );
        }
    }
    if let Some(group) = &options.group {
        names.extend(listed(api, group).await?);
    }
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(canonical(name)));
    if names.is_empty() {
        bail!("no computer is named");
    }
    Ok(names)
}

/// Asks when it is this command's turn: the server has few places, and whoever verifies many comes again soon.
async fn in_turn(api: &AdminApi, request: &VerifyRequest) -> anyhow::Result<VerifiedMany> {
    for _ in 0..MAX_TURNS {
        let answered: anyhow::Result<VerifiedMany> = api.post("/clients/verify", request).await;
        let is_busy = |error: &anyhow::Error| {
            error.downcast_ref::<Problem>().is_some_and(|problem| problem.code == ProblemCode::Busy)
        };
        match answered {
            Err(error) if is_busy(&error) => tokio::time::sleep(TURN).await,
            answered => return answered,
        }
    }
    api.post("/clients/verify", request).await
}

fn said(computer: &VerifiedComputer, wait_secs: u32, now: Timestamp) -> String {
    let name = &computer.name;
    match computer.outcome {
        VerifyOutcome::Verified => match computer.lease_until {
            Some(end) => format!(
                "verified; its lease is good until {}{}",
                seconds_away(end, now),
                not_renewed(computer)
            ),
            None => format!("it came, and has no lease; `distributor clients show {name}` says why"),
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

/// What is said of a lease that runs out.
fn not_renewed(computer: &VerifiedComputer) -> String {
    let said = |ended| {
        format!(
            ", and is not renewed: the vendor ended the serial number of its seat at {}; give it a seat of another one: \
             `distributor clients reserve {} --serial SERIAL`",
            seconds(ended),
            computer.name
        )
    };
    computer.serial_ended.map(said).unwrap_or_default()
}
