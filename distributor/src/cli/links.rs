//! `distributor links list|show`.

use clap::{Args, Subcommand};
use sealpost_admin_api::links::{Downloading, LinkDetail, LinkView, LinksView, Waits};
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::word::Word;

use super::api::AdminApi;
use super::outcome::Outcome;
use super::output::{Table, counted, plain, print_json, print_line, size, span, tell};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(List),
    Show(Show),
}

/// List the links: what goes over each now, what waits for it, and how long it needs for that.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor links list
  distributor links list --json

A link is set in a configuration file; see `distributor config apply`.")]
pub(super) struct List {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Show a link: which computers download over it now, and which wait for their turn.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor links show branch-north
  distributor links show branch-north --json")]
pub(super) struct Show {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: Word,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: AdminApi, command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::List(options) => list(&api, &options).await,
        Command::Show(options) => show(&api, &options).await,
    }
}

async fn list(api: &AdminApi, options: &List) -> anyhow::Result<Outcome> {
    let view: LinksView = api.get("/links").await?;
    if options.json {
        print_json(&view)?;
        return Ok(Outcome::Done);
    }
    let mut table =
        Table::new(&["NAME", "RATE", "TURNS", "DOWNLOADING", "WAITING", "LEFT", "NEEDS", "24 HOURS"]);
    for link in &view.links {
        table.row([
            link.name.to_string(),
            link.rate.to_string(),
            format!("{} of {}", link.downloading, link.concurrent),
            (link.downloading + link.short_downloading).to_string(),
            (link.waiting + link.short_waiting).to_string(),
            size(link.left_bytes),
            span(i64::try_from(link.needs_secs).unwrap_or(i64::MAX)),
            size(link.day_bytes),
        ]);
    }
    table.print()?;
    if view.links.is_empty() {
        tell("the site has set no link; see `distributor config apply`");
    }
    Ok(Outcome::Done)
}

async fn show(api: &AdminApi, options: &Show) -> anyhow::Result<Outcome> {
    let detail: LinkDetail = api.get(&format!("/links/{}", options.name)).await?;
    if options.json {
        print_json(&detail)?;
        return Ok(Outcome::Done);
    }
    for line in lines(&detail) {
        print_line(plain(&line))?;
    }
    Ok(Outcome::Done)
}

/// A link in words.
fn lines(detail: &LinkDetail) -> Vec<String> {
    let LinkDetail { link, downloads, line } = detail;
    let LinkView { name, subnets, rate, concurrent, downloading, waiting, .. } = link;
    let subnets: Vec<String> = subnets.iter().map(ToString::to_string).collect();
    let mut lines = vec![
        format!("{name}: {rate} for all, {concurrent} at a time"),
        format!("  subnets      {}", subnets.join(", ")),
        format!("  sent         {} in the last 24 hours", size(link.day_bytes)),
        format!(
            "  left         {}, which take {}",
            size(link.left_bytes),
            span(i64::try_from(link.needs_secs).unwrap_or(i64::MAX))
        ),
        format!(
            "  small files  {} under way, {}",
            link.short_downloading,
            counted(link.short_waiting, "computer waits", "computers wait")
        ),
        format!("  downloads    {downloading}"),
    ];
    let computer = |name: &Option<ComputerName>| {
        name.as_ref().map_or_else(|| "a computer without a seat".to_owned(), ToString::to_string)
    };
    lines.extend(downloads.iter().map(|one| {
        let Downloading { computer: name, bytes, left_bytes, for_secs } = one;
        let since = span(i64::try_from(*for_secs).unwrap_or(i64::MAX));
        format!("    {}: {} of {} left, for {since}", computer(name), size(*left_bytes), size(*bytes))
    }));
    lines.extend(more(*downloading, downloads.len()));
    lines.push(format!("  waiting      {waiting}"));
    lines.extend(
        line.iter()
            .map(|Waits { computer: name, bytes }| format!("    {}: {}", computer(name), size(*bytes))),
    );
    lines.extend(more(*waiting, line.len()));
    lines
}

/// That there are more than were named.
fn more(all: u64, named: usize) -> Option<String> {
    let more = all.saturating_sub(named as u64);
    (more > 0).then(|| format!("    and {more} more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_says_who_downloads_who_waits_and_how_long_it_needs() {
        let computer = |name: &str| Some(ComputerName::new(name).unwrap());
        let link = LinkView {
            name: Word::known("branch-north"),
            subnets: vec!["10.2.0.0/16".parse().unwrap()],
            rate: "2 MB/s".parse().unwrap(),
            concurrent: 2,
            downloading: 2,
            waiting: 3,
            short_downloading: 4,
            short_waiting: 1,
            left_bytes: 1_200_000_000,
            needs_secs: 600,
            day_bytes: 2048,
            sent_bytes: 4096,
        };
        let downloads = vec![
            Downloading { computer: computer("pc-1"), bytes: 4096, left_bytes: 1024, for_secs: 61 },
            Downloading { computer: None, bytes: 10, left_bytes: 10, for_secs: 1 },
        ];
        let line = vec![Waits { computer: computer("pc-2"), bytes: 1024 }];
        let detail = LinkDetail { link, downloads, line };
        assert_eq!(
            lines(&detail),
            [
                "branch-north: 2 MB/s for all, 2 at a time",
                "  subnets      10.2.0.0/16",
                "  sent         2.0 KiB in the last 24 hours",
                "  left         1.1 GiB, which take 10 minutes",
                "  small files  4 under way, 1 computer waits",
                "  downloads    2",
                "    pc-1: 1.0 KiB of 4.0 KiB left, for 1 minute",
                "    a computer without a seat: 10 B of 10 B left, for 1 second",
                "  waiting      3",
                "    pc-2: 1.0 KiB",
                "    and 2 more",
            ]
        );
        let json = serde_json::to_value(&detail).unwrap();
        assert_eq!(serde_json::from_value::<LinkDetail>(json).unwrap(), detail);
    }
}
