//! What became of a rollout on each computer, and what failed.

use clap::Args;
use jiff::Timestamp;
use sealpost_admin_api::content::{ContentAge, ContentView};
use sealpost_admin_api::rollouts::{Delivered, DeliveredPage, Failures, MAX_DELIVERED, Rollout, failures};
use sealpost_manifests::release::PackageKind;
use serde::Serialize;

use super::find::one;
use crate::cli::api::{AdminApi, segment};
use crate::cli::content::lines;
use crate::cli::outcome::Outcome;
use crate::cli::output::{Table, counted, plain, print_json, print_line, seconds, size};

/// Report what became of a rollout on each computer that was told; what failed stands at the top, by reason.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor rollouts report 12
  distributor rollouts report 12 --ring canary
  distributor rollouts report 12 --csv > rollout-12.csv
  distributor rollouts report 12 --json")]
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
    failures: &'a [Failures],
    computers: &'a [Delivered],
    /// How old the signature files of its package are on all computers, and by group.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    content: &'a [ContentAge],
}

pub(super) async fn run(api: &AdminApi, options: &Report) -> anyhow::Result<Outcome> {
    let rollout = one(api, options.number).await?;
    let mut computers = all(api, options.number).await?;
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
    }
    let failures = failures(&computers);
    let mut content = Vec::new();
    if rollout.kind == PackageKind::Signatures {
        let view: ContentView = api.get("/content").await?;
        content = view.content;
        content.retain(|age| age.package == rollout.release.package);
    }
    if options.json {
        let (rollout, failures, computers, content) = (&rollout, &*failures, &*computers, &*content);
        print_json(&Whole { rollout, failures, computers, content })?;
    } else if options.csv {
        print_csv(&rollout, &computers)?;
    } else {
        print(&rollout, &failures, &content, &computers)?;
    }
    Ok(Outcome::Done)
}

async fn all(api: &AdminApi, number: u64) -> anyhow::Result<Vec<Delivered>> {
    let mut computers = Vec::new();
    let mut path = format!("/rollouts/{number}/computers?limit={MAX_DELIVERED}");
    loop {
        let page: DeliveredPage = api.get(&path).await?;
        computers.extend(page.computers);
        let Some(next) = page.next else { return Ok(computers) };
        path = format!("/rollouts/{number}/computers?limit={MAX_DELIVERED}&after={}", segment(next.as_str()));
    }
}

fn print(
    rollout: &Rollout,
    failures: &[Failures],
    content: &[ContentAge],
    computers: &[Delivered],
) -> anyhow::Result<()> {
    let Rollout { number, release, state, .. } = rollout;
    let told = counted(computers.len() as u64, "computer was told", "computers were told");
    print_line(format_args!("rollout {number} ({release}) is {state}; {told}"))?;
    for load in &rollout.links {
        print_line(format_args!("  {}", load.sentence(Timestamp::now())))?;
    }
    for Failures { reason, count, example } in failures {
        let detail =
            if example.detail.is_empty() { String::new() } else { format!(": {}", plain(&example.detail)) };
        print_line(format_args!(
            "  {} with {reason}, for example {}{detail}",
            counted(*count, "failure", "failures"),
            example.computer
        ))?;
    }
    for line in lines(content) {
        print_line(format_args!("  content of {line}"))?;
    }
    let heading =
        ["COMPUTER", "RING", "STATE", "SINCE", "ATTEMPT", "STEP", "WAY", "BYTES", "REASON", "DETAIL"];
    let mut table = Table::new(&heading).with_states(2);
    for one in computers {
        let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.row([
            one.computer.to_string(),
            ring_name(rollout, one.ring),
            one.state.as_str().to_owned(),
            seconds(one.since),
            one.attempt.to_string(),
            dash(one.step.clone()),
            dash(one.way.map(|way| way.to_string())),
            dash(one.bytes.map(size)),
            dash(one.reason.map(|reason| reason.to_string())),
            one.detail.clone(),
        ]);
    }
    table.print()
}

fn ring_name(rollout: &Rollout, ring: u32) -> String {
    let ring = usize::try_from(ring).ok().and_then(|ring| rollout.rings.get(ring));
    ring.map_or_else(|| "?".to_owned(), |ring| ring.name.to_string())
}

fn print_csv(rollout: &Rollout, computers: &[Delivered]) -> anyhow::Result<()> {
    print_line("computer,ring,state,since,told_at,attempt,step,way,bytes,reason,detail")?;
    for one in computers {
        let Delivered { computer, ring, state, since, told_at, attempt, step, way, bytes, reason, detail } =
            one;
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
