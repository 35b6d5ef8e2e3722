//! What became of a rollout on each computer, and what failed.

use clap::Args;
use jiff::Timestamp;
use sealpost_admin_api::content::{ContentAge, ContentView};
use sealpost_admin_api::rollouts::{
    Counts, Delivered, DeliveredPage, Failures, MAX_DELIVERED, Ring, Rollout, failures,
};
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::word::Word;
use serde::Serialize;

use super::bar::print_bars;
use super::find::one;
use crate::cli::api::AdminApi;
use crate::cli::content::lines;
use crate::cli::outcome::Outcome;
use crate::cli::output::{Table, counted, plain, print_json, print_line, seconds, seconds_away, size};
use crate::cli::pages;

/// Report what became of a rollout on each computer that was told; what failed stands at the top, by reason.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor rollouts report 12
  distributor rollouts report 12 --ring canary
  distributor rollouts report 12 --csv > rollout-12.csv
  distributor rollouts report 12 --json

NOT TOLD  computers of a ring that were told nothing of it yet; - once every computer gets it
MOVED ON  computers that were told another release before they finished
TRIES     how often a computer tried to install it
BYTES     what traveled for it, in all tries together
REASON    why which step failed last, also when a later try went well")]
pub(crate) struct Report {
    /// The rollout's number, as `distributor rollouts list` shows it.
    #[arg(value_name = "N")]
    number: u64,
    /// Only the computers of this ring.
    #[arg(long, value_name = "NAME")]
    ring: Option<String>,
    /// Print one line for each computer, for spreadsheets.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// A report as JSON.
#[derive(Debug, Serialize)]
struct Whole<'a> {
    rollout: &'a Rollout,
    rings: &'a [RingCounts<'a>],
    failures: &'a [Failures],
    computers: &'a [Delivered],
    /// How old the signature files of its package are on all computers, and by group.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    content: &'a [ContentAge],
}

/// What became of the computers of one ring.
#[derive(Debug, Serialize)]
struct RingCounts<'a> {
    name: &'a Word,
    /// All of the ring; absent once every computer gets the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<u64>,
    /// Those that were told nothing of it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_told: Option<u64>,
    #[serde(flatten)]
    counts: &'a Counts,
}

pub(super) async fn run(api: &AdminApi, options: &Report) -> anyhow::Result<Outcome> {
    let rollout = one(api, options.number).await?;
    let mut computers = all(api, options.number).await?;
    let mut rings: Vec<&Ring> = rollout.rings.iter().collect();
    if let Some(wanted) = &options.ring {
        let index = rollout.rings.iter().position(|ring| ring.name.as_str() == wanted);
        let Some(index) = index.and_then(|index| u32::try_from(index).ok()) else {
            let names: Vec<&str> = rollout.rings.iter().map(|ring| ring.name.as_str()).collect();
            anyhow::bail!(
                "rollout {} has no ring {}: it has {}",
                options.number,
                plain(wanted),
                names.join(", ")
            );
        };
        computers.retain(|one| one.ring == index);
        rings.retain(|ring| ring.name.as_str() == wanted);
    }
    let failures = failures(&computers);
    let mut content = Vec::new();
    if rollout.kind == PackageKind::Signatures {
        let view: ContentView = api.get("/content").await?;
        content = view.content;
        content.retain(|age| age.package == rollout.release.package);
    }
    if options.json {
        let rings: Vec<RingCounts<'_>> = rings.iter().map(|ring| RingCounts::of(ring)).collect();
        let (rollout, rings, failures) = (&rollout, &*rings, &*failures);
        print_json(&Whole { rollout, rings, failures, computers: &computers, content: &content })?;
    } else if options.csv {
        print_csv(&rollout, &computers)?;
    } else {
        print(&rollout, &rings, &failures, &content, &computers)?;
    }
    Ok(Outcome::Done)
}

async fn all(api: &AdminApi, number: u64) -> anyhow::Result<Vec<Delivered>> {
    pages::all::<DeliveredPage>(api, &format!("/rollouts/{number}/computers?limit={MAX_DELIVERED}")).await
}

fn print(
    rollout: &Rollout,
    rings: &[&Ring],
    failures: &[Failures],
    content: &[ContentAge],
    computers: &[Delivered],
) -> anyhow::Result<()> {
    let Rollout { number, release, state, .. } = rollout;
    let told = counted(computers.len() as u64, "computer was told", "computers were told");
    print_line(format_args!("rollout {number} ({release}) is {state}; {told}"))?;
    for Failures { reason, count, example } in failures {
        let detail =
            if example.detail.is_empty() { String::new() } else { format!(": {}", plain(&example.detail)) };
        print_line(format_args!(
            "  {} with {reason}, for example {}{detail}",
            counted(*count, "failure", "failures"),
            example.computer
        ))?;
    }
    print_rings(rings)?;
    print_line(format_args!("  waits for  {}", plain(&rollout.waits_for)))?;
    for load in &rollout.links {
        print_line(format_args!("  {}", load.sentence(Timestamp::now())))?;
    }
    for line in lines(content) {
        print_line(format_args!("  content of {line}"))?;
    }
    print_why(rollout, computers)?;
    let heading = [
        "COMPUTER", "RING", "STATE", "SINCE", "ATTEMPT", "TRIES", "STEP", "WAY", "BYTES", "REASON", "DETAIL",
    ];
    let mut table = Table::new(&heading).with_states(2);
    for one in computers {
        let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.row([
            one.computer.to_string(),
            ring_name(rollout, one.ring),
            one.state.as_str().to_owned(),
            seconds(one.since),
            one.attempt.to_string(),
            one.tries.to_string(),
            dash(one.step.clone()),
            dash(one.way.map(|way| way.to_string())),
            dash(one.bytes.map(size)),
            dash(failed(one)),
            plain(&one.detail),
        ]);
    }
    table.print()
}

/// What became of the computers of each ring.
fn print_rings(rings: &[&Ring]) -> anyhow::Result<()> {
    let heading = [
        "  RING",
        "COMPUTERS",
        "NOT TOLD",
        "TOLD",
        "INSTALLING",
        "SUCCEEDED",
        "FAILED",
        "SILENT",
        "MOVED ON",
    ];
    let mut table = Table::new(&heading);
    for ring in rings {
        let counts = &ring.counts;
        let dash = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        table.row([
            format!("  {}", ring.name),
            dash(ring.members),
            dash(ring.not_told()),
            counts.not_begun().to_string(),
            counts.installing.to_string(),
            counts.succeeded.to_string(),
            counts.failed.to_string(),
            counts.silent.to_string(),
            counts.dropped.to_string(),
        ]);
    }
    table.print()?;
    print_bars(rings.iter().copied())
}

/// What those that have not finished wait for, as far as the server says it; of the others, who says it.
fn print_why(rollout: &Rollout, computers: &[Delivered]) -> anyhow::Result<()> {
    let under_way = computers.iter().filter(|one| one.state.is_under_way());
    let (explained, others): (Vec<&Delivered>, Vec<&Delivered>) =
        under_way.partition(|one| one.why.is_some());
    let now = Timestamp::now();
    for why in explained.iter().filter_map(|one| one.why.as_ref()) {
        let at = why.changes_at.map(|at| format!(" (changes {})", seconds_away(at, now)));
        print_line(format_args!("  {}{}", plain(&why.sentence), at.unwrap_or_default()))?;
    }
    if let Some(first) = others.first() {
        let unfinished = counted(others.len() as u64, "more has not finished", "more have not finished");
        print_line(format_args!(
            "  {unfinished}: `distributor updates why {} {}` says what it waits for",
            first.computer, rollout.release.package
        ))?;
    }
    Ok(())
}

impl<'a> RingCounts<'a> {
    fn of(ring: &'a Ring) -> Self {
        Self { name: &ring.name, members: ring.members, not_told: ring.not_told(), counts: &ring.counts }
    }
}

/// Why which step failed.
fn failed(one: &Delivered) -> Option<String> {
    let at = one.failed_step.as_ref().map(|step| format!(" ({step})")).unwrap_or_default();
    one.reason.map(|reason| format!("{reason}{at}"))
}

fn ring_name(rollout: &Rollout, ring: u32) -> String {
    let ring = usize::try_from(ring).ok().and_then(|ring| rollout.rings.get(ring));
    ring.map_or_else(|| "?".to_owned(), |ring| ring.name.to_string())
}

fn print_csv(rollout: &Rollout, computers: &[Delivered]) -> anyhow::Result<()> {
    print_line("computer,ring,state,since,told_at,attempt,step,way,bytes,reason,detail,tries,failed_step")?;
    for one in computers {
        let Delivered { computer, ring, state, since, told_at, attempt, step, .. } = one;
        let Delivered { way, bytes, reason, detail, tries, failed_step, .. } = one;
        let cells = [
            computer.to_string(),
            ring_name(rollout, *ring),
            state.as_str().to_owned(),
            seconds(*since),
            seconds(*told_at),
            attempt.to_string(),
            step.clone().unwrap_or_default(),
            way.map(|way| way.to_string()).unwrap_or_default(),
            bytes.map(|bytes| bytes.to_string()).unwrap_or_default(),
            reason.map(|reason| reason.to_string()).unwrap_or_default(),
            plain(detail),
            tries.to_string(),
            failed_step.clone().unwrap_or_default(),
        ];
        print_line(cells.map(|cell| quoted(&cell)).join(","))?;
    }
    Ok(())
}

/// A cell of a CSV file (RFC 4180). A text from outside is none that a spreadsheet would take for a formula.
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{cell}") } else { cell.to_owned() };
    let special = formula || text.contains([',', '"', '\n', '\r']);
    if special { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_with_a_comma_or_a_quote_is_quoted_and_no_cell_is_a_formula() {
        for (cell, shown) in [
            ("disk_full", "disk_full"),
            ("", ""),
            ("no space, none", "\"no space, none\""),
            ("said \"no\"", "\"said \"\"no\"\"\""),
            ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
            ("-1+2", "\"'-1+2\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
        ] {
            assert_eq!(quoted(cell), shown);
        }
    }
}
