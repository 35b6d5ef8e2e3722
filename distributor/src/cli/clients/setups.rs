//! `distributor clients setups`: which setup files are out.

use std::collections::BTreeSet;

use clap::Args;
use jiff::Timestamp;
use sealpost_admin_api::client_lines::ClientLinesPage;
use sealpost_admin_api::setups::{MAX_SETUPS, SetupLine, SetupsPage};
use sealpost_manifests::ids::ComputerName;
use sealpost_site::rules::setups::{CodeState, Holds, taken_over};
use sealpost_site::rules::standing::ComputerState;

use crate::cli::api::AdminApi;
use crate::cli::outcome::Outcome;
use crate::cli::output::{Table, age, counted, name_of, print_json, seconds_away, tell};
use crate::cli::pages::{self, Pages};

/// List the newest setup file of each computer: which are out and not used, and since when. Earlier ones of a name are void.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor clients setups --unused
  distributor clients setups --expired
  distributor clients setups --json")]
pub(in crate::cli) struct Options {
    /// Only those whose code nobody used and which is still good.
    #[arg(long, group = "state")]
    unused: bool,
    /// Only those with which a computer enrolled.
    #[arg(long, group = "state")]
    used: bool,
    /// Only those whose code nobody used in time.
    #[arg(long, group = "state")]
    expired: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Options {
    const fn state(&self) -> Option<(CodeState, &'static str)> {
        match (self.unused, self.used, self.expired) {
            (true, _, _) => Some((CodeState::Out, "out")),
            (_, true, _) => Some((CodeState::Used, "used")),
            (_, _, true) => Some((CodeState::Expired, "expired")),
            _ => None,
        }
    }
}

pub(in crate::cli) async fn run(api: &AdminApi, options: &Options) -> anyhow::Result<Outcome> {
    let state = options.state();
    let query = state.map(|(_, word)| format!("&state={word}")).unwrap_or_default();
    let setups = pages::all::<SetupsPage>(api, &format!("/setups?limit={MAX_SETUPS}{query}")).await?;
    if options.json {
        print_json(&SetupsPage { setups, next: None })?;
        return Ok(Outcome::Done);
    }
    if setups.is_empty() {
        match state {
            Some((_, word)) => tell(format_args!("no setup file is {word}")),
            None => tell("no setup file was issued yet; issue one with `distributor clients setup NAME`"),
        }
        return Ok(Outcome::Done);
    }
    let now = Timestamp::now();
    let mut table = Table::new(&["NAME", "SETUP FILE", "ISSUED", "CODE GOOD UNTIL"]).with_states(1);
    for SetupLine { name, state, issued_at, expires_at } in &setups {
        let until = match state {
            CodeState::Used => "-".to_owned(),
            CodeState::Out | CodeState::Expired => seconds_away(*expires_at, now),
        };
        table.row([name.to_string(), name_of(*state), age(*issued_at, now), until]);
    }
    table.print()?;
    let of = |state| setups.iter().filter(move |setup| setup.state == state);
    if let Some(oldest) = of(CodeState::Out).map(|setup| setup.issued_at).min() {
        let files = counted(of(CodeState::Out).count() as u64, "setup file is", "setup files are");
        tell(format_args!("{files} out and not used, the oldest issued {}", age(oldest, now)));
    }
    tell_of_two(api, of(CodeState::Out)).await?;
    let expired = of(CodeState::Expired).count() as u64;
    if expired > 0 {
        let files = counted(expired, "setup file", "setup files");
        tell(format_args!("{files} ended unused: issue new ones with `distributor clients setup NAME`"));
    }
    Ok(Outcome::Done)
}

/// Says what happens if setup files are used under whose names there are two computers.
async fn tell_of_two(api: &AdminApi, out: impl Iterator<Item = &SetupLine>) -> anyhow::Result<()> {
    let out: BTreeSet<&ComputerName> = out.map(|setup| &setup.name).collect();
    if out.is_empty() {
        return Ok(());
    }
    let path = format!("/client-lines?state={}", ComputerState::TwoComputers.word());
    let mut pages = Pages::<ClientLinesPage>::of(api, &path);
    let (mut first, mut count) = (None, 0);
    while let Some(page) = pages.next().await? {
        for line in page.clients.into_iter().filter(|line| out.contains(&line.name)) {
            first.get_or_insert(line.name);
            count += 1;
        }
    }
    if let Some(said) = taken_over(Holds::Two, first.as_ref(), count) {
        tell(said);
    }
    Ok(())
}
