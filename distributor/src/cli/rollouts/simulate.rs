//! `distributor rollouts simulate`: what happened here, under another strategy.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{ArgGroup, Args};
use jiff::{SignedDuration, Timestamp};
use sealpost_admin_api::rollouts::{
    Course, Replayed, SimulateRequest, Simulation, SimulationLine, Totals, Wanted,
};
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::word::Word;
use sealpost_site::rules::rollouts::strategy::Strategy;
use sealpost_site::rules::text::span;
use serde::Serialize;

use crate::cli::api::{AdminApi, next_part};
use crate::cli::outcome::Outcome;
use crate::cli::output::{Bar, Table, counted, plain, print_json, print_line, seconds};
use crate::cli::when;

/// Longest file with a strategy, in bytes.
const MAX_FILE: u64 = 256 * 1024;
/// Longest line of the answer, in bytes: one rollout with its rings.
const MAX_LINE: usize = 1024 * 1024;
/// Most rollouts that are held to be shown; a longer history is asked for in parts, or of one package.
const MAX_SHOWN: usize = 100_000;

/// Replay what really happened here under another strategy: when each ring would have opened, when computers would have had a
/// release, and how many would have met a bad one before it was halted.
///
/// It reads the server's log, and decides by the same rules as real rollouts do. What no log tells is assumed, and the
/// assumptions stand at the end of the answer. Nothing is changed.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("wanted").required(true).args(["strategy", "file"]),
    after_help = "\
Examples:
  distributor rollouts simulate careful --history 90d
  distributor rollouts simulate signatures --history 30d --package acme-av-signatures
  distributor rollouts simulate --file strategy.toml --history 90d --json

The file holds one strategy: what `[strategies.NAME]` and `[[strategies.NAME.rings]]` say in a configuration, without
their names."
)]
pub(crate) struct Simulate {
    /// The strategy; `distributor strategies list` shows all.
    #[arg(value_name = "STRATEGY")]
    strategy: Option<Word>,
    /// A strategy that the site does not have, as TOML.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How far back: an age (90d, 12h), a time or a date.
    #[arg(long, value_name = "TIME", default_value = "90d")]
    history: String,
    /// Only rollouts of this package.
    #[arg(long, value_name = "NAME")]
    package: Option<PackageName>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// The answer as JSON.
#[derive(Debug, Serialize)]
struct Whole<'a> {
    simulation: &'a Simulation,
    rollouts: &'a [Replayed],
}

pub(super) async fn run(api: &AdminApi, options: &Simulate) -> anyhow::Result<Outcome> {
    let wanted = wanted(options)?;
    let since = when::parse("--history", &options.history, Timestamp::now())?;
    let request = SimulateRequest { wanted, since, package: options.package.clone() };
    let (rollouts, simulation) = ask(api, &request).await?;
    if options.json {
        print_json(&Whole { simulation: &simulation, rollouts: &rollouts })?;
        return Ok(Outcome::Done);
    }
    print(&simulation, &rollouts)?;
    Ok(Outcome::Done)
}

fn wanted(options: &Simulate) -> anyhow::Result<Wanted> {
    let Some(file) = &options.file else {
        let strategy = options.strategy.context("name a strategy, or give --file")?;
        return Ok(Wanted::Strategy(strategy));
    };
    let cannot = || format!("cannot use the strategy in {}", file.display());
    let bytes = sealpost_files::read_input(file, MAX_FILE).with_context(cannot)?;
    let text = String::from_utf8(bytes).with_context(cannot)?;
    let strategy: Strategy = toml::from_str(&text).with_context(cannot)?;
    Ok(Wanted::Plan(strategy))
}

/// Asks, and reads the answer line by line.
async fn ask(api: &AdminApi, request: &SimulateRequest) -> anyhow::Result<(Vec<Replayed>, Simulation)> {
    const CUT: &str = "the server ended the answer early; look into its log, then try again";
    let bar = Bar::count_of("replaying the log");
    let mut response = api.post_for_stream("/rollouts/simulate", request).await?;
    let (mut rest, mut rollouts, mut end) = (Vec::new(), Vec::new(), None);
    while let Some(chunk) = next_part(&mut response).await.context(CUT)? {
        rest.extend_from_slice(&chunk);
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=at).collect();
            match read(&line)? {
                SimulationLine::Progress { done, of } => bar.at(done, of),
                SimulationLine::Rollout(rollout) if rollouts.len() < MAX_SHOWN => rollouts.push(*rollout),
                SimulationLine::Rollout(_) => {
                    bail!("there are more than {MAX_SHOWN} rollouts: give a shorter --history, or --package")
                }
                SimulationLine::End(simulation) => end = Some(simulation),
            }
        }
        if rest.len() > MAX_LINE {
            bail!("a line of the server's answer is longer than {MAX_LINE} bytes; give up");
        }
    }
    bar.end();
    rollouts.sort_by_key(|rollout: &Replayed| rollout.number);
    Ok((rollouts, end.context(CUT)?))
}

fn read(line: &[u8]) -> anyhow::Result<SimulationLine> {
    // What is wrong with it quotes the answer, which may be a hostile server's.
    serde_json::from_slice(line)
        .map_err(|error| anyhow::anyhow!("{}", plain(&error.to_string())))
        .context("cannot read the server's answer; do this program and the server have the same version?")
}

fn print(simulation: &Simulation, rollouts: &[Replayed]) -> anyhow::Result<()> {
    let Simulation { strategy, since, until, computers, totals, assumptions } = simulation;
    print_line(format_args!(
        "{} from {} to {} under the strategy {strategy}, with the {} of today",
        counted(rollouts.len() as u64, "rollout", "rollouts"),
        seconds(*since),
        seconds(*until),
        counted(*computers, "computer", "computers"),
    ))?;
    if rollouts.is_empty() {
        return print_line("nothing was rolled out in that time: give a longer --history");
    }
    let heading = ["N", "RELEASE", "", "STRATEGY", "ENDED", "TOLD", "HAD IT", "P50", "P95", "LAST", "FAILED"];
    let mut table = Table::new(&heading);
    for rollout in rollouts {
        let then = rollout.strategy.map_or_else(|| "-".to_owned(), |strategy| strategy.to_string());
        table.row(row(
            rollout.number.to_string(),
            rollout.release.to_string(),
            "then",
            then,
            rollout,
            &rollout.then,
        ));
        let name = strategy.to_string();
        table.row(row(String::new(), String::new(), "simulated", name, rollout, &rollout.simulated));
    }
    table.print()?;
    print_rings(rollouts)?;
    for line in words(totals) {
        print_line(line)?;
    }
    let cut = rollouts.iter().filter(|rollout| rollout.cut).count() as u64;
    if cut > 0 {
        print_line(format_args!(
            "of {} not everything was held in memory: what happened late is left out; --package or a shorter --history \
             holds more",
            counted(cut, "rollout", "rollouts")
        ))?;
    }
    print_line("assumed:")?;
    for assumption in assumptions {
        print_line(format_args!("  {}", plain(assumption)))?;
    }
    Ok(())
}

fn row(
    number: String,
    release: String,
    what: &str,
    strategy: String,
    rollout: &Replayed,
    course: &Course,
) -> [String; 11] {
    let after =
        |secs: Option<i64>| secs.map_or_else(|| "-".to_owned(), |secs| span(SignedDuration::from_secs(secs)));
    let ended = match course.ended_at {
        Some(at) => {
            format!("{} after {}", plain(&course.ended), span(at.duration_since(rollout.approved_at)))
        }
        None => plain(&course.ended),
    };
    [
        number,
        release,
        what.to_owned(),
        strategy,
        ended,
        course.told.to_string(),
        course.had_it.to_string(),
        after(course.p50_secs),
        after(course.p95_secs),
        after(course.last_secs),
        course.failed.to_string(),
    ]
}

/// When each ring opened, and would have opened.
fn print_rings(rollouts: &[Replayed]) -> anyhow::Result<()> {
    for rollout in rollouts {
        let opened = |course: &Course| {
            let rings = course.rings.iter().map(|ring| match ring.opened_at {
                Some(at) => format!("{} after {}", ring.name, span(at.duration_since(rollout.approved_at))),
                None => format!("{} never", ring.name),
            });
            rings.collect::<Vec<_>>().join(", ")
        };
        print_line(format_args!("rings of {} ({})", rollout.number, rollout.release))?;
        print_line(format_args!("  then: {}", opened(&rollout.then)))?;
        print_line(format_args!("  simulated: {}", opened(&rollout.simulated)))?;
        if let Some(waits_for) = &rollout.waits_for {
            print_line(format_args!("  it would wait for: {}", plain(waits_for)))?;
        }
        if rollout.unreached > 0 {
            let others = counted(rollout.unreached, "computer", "computers");
            print_line(format_args!("  it was stopped before it reached {others}; these are assumed"))?;
        }
    }
    Ok(())
}

/// What all rollouts come to, in words.
fn words(totals: &Totals) -> Vec<String> {
    let halted = |count: u64| counted(count, "release was halted", "releases were halted");
    let met = |count: u64| counted(count, "computer had been told it", "computers had been told them");
    vec![
        format!("then: {}, after {}", halted(totals.halted_then), met(totals.met_then)),
        format!("simulated: {}, after {}", halted(totals.halted_simulated), met(totals.met_simulated)),
        format!("failed installs: {} then, {} simulated", totals.failed_then, totals.failed_simulated),
        format!(
            "the slowest release was with 95 % of its computers after {} then, {} simulated",
            span(SignedDuration::from_secs(totals.slowest_p95_secs_then)),
            span(SignedDuration::from_secs(totals.slowest_p95_secs_simulated))
        ),
    ]
}
