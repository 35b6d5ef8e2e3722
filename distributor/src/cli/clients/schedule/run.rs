//! `distributor clients schedule run`: installs what is due, over ssh, with the credential of whoever runs it.
//!
//! Invariants: a try is begun at the server first, so that of two programs one runs it, and its end is noted there, also when this
//! one is stopped. The server says where the computers are, and is believed only where this account said so itself: what it has
//! not planned or confirmed is asked about, and left alone where nobody answers.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use sealpost_admin_api::schedules::{InstallAnswer, InstallRequest, ScheduleLine, SchedulesPage};
use sealpost_keys::PublicKey;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_service::signals::{Signal, Signals};
use sealpost_site::rules::account::named;
use sealpost_site::rules::names::canonical;
use sealpost_site::rules::schedule::{InstallOutcome, SshAccess};
use sealpost_site::rules::standing::ComputerState;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::timeout;

use super::file::fetch;
use super::hosts::{Hosts, Pinned, fingerprint};
use super::ssh::{Ended, Ssh};
use crate::cli::api::{AdminApi, segment};
use crate::cli::clients::schedules;
use crate::cli::outcome::Outcome;
use crate::cli::output::{
    Bar, ask, can_ask, counted, plain, print_json, print_line, seconds, seconds_away, tell,
};

/// How long the server may take to say what is planned.
const LISTED_WITHIN: Duration = Duration::from_secs(10 * 60);
/// How long the server may take to let a try begin.
const CLAIMED_WITHIN: Duration = Duration::from_secs(60);
/// How long the server may take to hear what became of an install.
const NOTED_WITHIN: Duration = Duration::from_secs(60);

/// Install over ssh what is due, with your own ssh: its agent, its keys, its configuration. The server sees no credential.
///
/// A computer is installed only on a host that this account planned or confirmed, with the key that was pinned; for others it
/// asks. As a timer under your own account it installs by itself. If one fails, the command ends with 1.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor clients schedule run
  distributor clients schedule run --dry-run
  distributor clients schedule run lab-7 lab-8 --identity ~/.ssh/install --parallel 8")]
pub(super) struct Options {
    /// Only these computers, and also those of them whose last try failed a moment ago.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// A private key, without the others of your agent.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// How many computers are installed at the same time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    parallel: u8,
    /// Say what would be installed where, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask: install also on hosts that others planned. Then the server says where your credential is used.
    #[arg(long)]
    yes: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// A computer that is due.
#[derive(Debug)]
struct Due {
    line: ScheduleLine,
    ssh: SshAccess,
    pinned: Pinned,
}

/// What is printed of a computer with `--json`.
#[derive(Debug, Serialize)]
struct Printed {
    name: ComputerName,
    target: String,
    host_key: String,
    sudo: bool,
    /// Absent for one that was left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<InstallOutcome>,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
}

/// What became of a computer.
#[derive(Debug)]
enum Ran {
    Ended(Ended),
    /// It was not begun: another program has it, or it is planned otherwise by now.
    LeftAlone(String),
    /// It was not begun, which is a failure.
    NotBegun(String),
}

pub(super) async fn run(api: &AdminApi, options: Options) -> anyhow::Result<Outcome> {
    let names = options.names.iter().map(ComputerName::new).collect::<Result<Vec<_>, _>>();
    let names: Vec<_> = names.context("cannot install")?.iter().map(canonical).collect();
    // Before anything is begun.
    let ssh = Ssh::find(std::env::var_os("PATH").as_deref(), options.identity.as_deref())?;
    let page = listed(schedules::all(api)).await?;
    let unknown = unknown(&names, &page);
    for name in &unknown {
        tell(format_args!("{name}: no install is planned; see `distributor clients schedules`"));
    }
    let site_key = page.site_key.clone();
    let due = due(page, &names);
    if options.dry_run {
        return shows(&due, &options);
    }
    let (confirmed, left) = confirmed(due, &options)?;
    let failed = !unknown.is_empty() || !left.is_empty();
    let ran = install(api, &ssh, &site_key, confirmed, &options).await?;
    let failed = failed || ran.iter().any(|(_, ran)| !matches!(ran, Ran::LeftAlone(_)) && !is_installed(ran));
    if options.json {
        let left = left.into_iter().map(|due| (due, Ran::NotBegun(NOT_CONFIRMED.to_owned())));
        let printed: Vec<_> = ran.into_iter().chain(left).map(|(due, ran)| printed(&due, ran)).collect();
        print_json(&printed)?;
    }
    Ok(if failed { Outcome::Damage } else { Outcome::Done })
}

const NOT_CONFIRMED: &str = "this account has neither planned nor confirmed it";

/// What is planned, if the server says it in time: a timer has to end, or it never runs again.
async fn listed(page: impl Future<Output = anyhow::Result<SchedulesPage>>) -> anyhow::Result<SchedulesPage> {
    let within = LISTED_WITHIN.as_secs();
    timeout(LISTED_WITHIN, page)
        .await
        .unwrap_or_else(|_| bail!("cannot read what is planned: the server did not say it within {within} s"))
}

fn unknown(names: &[ComputerName], page: &SchedulesPage) -> Vec<ComputerName> {
    let is_planned = |name: &&ComputerName| page.schedules.iter().any(|line| canonical(&line.name) == **name);
    names.iter().filter(|name| !is_planned(name)).cloned().collect()
}

/// What is due; of the others it is said when they are, if they were named or nothing is due.
fn due(page: SchedulesPage, names: &[ComputerName]) -> Vec<Due> {
    let SchedulesPage { site_key, now, schedules, .. } = page;
    let (mut due, mut next) = (Vec::new(), None::<(Timestamp, ComputerName)>);
    let planned = !schedules.is_empty();
    for line in schedules {
        let is_named = names.contains(&canonical(&line.name));
        if !names.is_empty() && !is_named {
            continue;
        }
        let is_due = if is_named {
            line.schedule.at <= now && line.stands.install_state != ComputerState::Installing
        } else {
            line.stands.next_try_at.is_some_and(|at| at <= now)
        };
        match (&line.schedule.ssh, is_due) {
            (Some(ssh), true) => {
                let (ssh, pinned) = (ssh.clone(), Pinned::new(&site_key, &line.name, ssh));
                due.push(Due { line, ssh, pinned });
            }
            _ => {
                if is_named {
                    tell(format_args!("{}: {}", line.name, not_due(&line, now)));
                }
                let at = line.stands.next_try_at.filter(|at| *at > now);
                let sooner = |at: &Timestamp| next.as_ref().is_none_or(|(soonest, _)| at < soonest);
                if let Some(at) = at.filter(sooner) {
                    next = Some((at, line.name));
                }
            }
        }
    }
    if due.is_empty() {
        match next {
            Some((at, name)) => {
                tell(format_args!("nothing is due; the next is {name}, {}", seconds_away(at, now)))
            }
            None if planned => tell("nothing is due over ssh; see `distributor clients schedules`"),
            None => tell("no install is planned"),
        }
    }
    due
}

fn not_due(line: &ScheduleLine, now: Timestamp) -> String {
    if line.schedule.ssh.is_none() {
        return format!(
            "it is installed by its install file; make it with `distributor clients setup {} --installer FILE`",
            line.name
        );
    }
    if line.stands.install_state == ComputerState::Installing {
        return format!(
            "it is being installed since {}",
            line.stands.tried_at.map_or_else(String::new, seconds)
        );
    }
    format!("it is planned for {}", seconds_away(line.schedule.at, now))
}

fn shows(due: &[Due], options: &Options) -> anyhow::Result<Outcome> {
    let hosts = Hosts::of_this_account();
    let knows = |due: &Due| hosts.as_ref().is_ok_and(|hosts| hosts.knows(&due.pinned));
    if options.json {
        let printed: Vec<_> = due
            .iter()
            .map(|due| {
                let reason = if knows(due) { "" } else { NOT_CONFIRMED };
                printed(due, Ran::LeftAlone(reason.to_owned()))
            })
            .collect();
        print_json(&printed)?;
        return Ok(Outcome::Done);
    }
    for due in due {
        let note = if knows(due) { String::new() } else { format!("; {NOT_CONFIRMED}") };
        print_line(format_args!("{}: would be installed {}{note}", due.line.name, way(&due.ssh)))?;
    }
    Ok(Outcome::Done)
}

/// Where it goes, in one sentence: what somebody has to look at before agreeing.
fn way(ssh: &SshAccess) -> String {
    let SshAccess { target, host_key, sudo } = ssh;
    let root = if *sudo { ", by sudo" } else { "" };
    format!("over ssh on {target}, host key {}{root}", fingerprint(host_key))
}

/// Those that this account planned or confirms now, and the others.
fn confirmed(due: Vec<Due>, options: &Options) -> anyhow::Result<(Vec<Due>, Vec<Due>)> {
    let (mut confirmed, mut left) = (Vec::new(), Vec::new());
    if options.yes {
        return Ok((due, left));
    }
    let mut hosts = Hosts::of_this_account();
    for due in due {
        if hosts.as_ref().is_ok_and(|hosts| hosts.knows(&due.pinned)) {
            confirmed.push(due);
            continue;
        }
        let name = &due.line.name;
        if !can_ask() {
            tell(format_args!(
                "{name}: not installed {}: {NOT_CONFIRMED}; run `distributor clients schedule run {name}` once at a \
                 terminal, or with --yes",
                way(&due.ssh)
            ));
            left.push(due);
            continue;
        }
        let by = named(&due.line.planned_by);
        tell(format_args!("{name} is to be installed {}; planned by {by}", way(&due.ssh)));
        if !ask("Is that the computer, and is that its key?")? {
            tell(format_args!("{name}: left alone"));
            left.push(due);
            continue;
        }
        if let Err(error) = hosts
            .as_mut()
            .map_err(|error| anyhow::anyhow!("{error:#}"))
            .and_then(|hosts| hosts.confirm(due.pinned.clone()))
        {
            tell(format_args!("this account will be asked again before it installs there: {error:#}"));
        }
        confirmed.push(due);
    }
    Ok((confirmed, left))
}

/// Installs them, a few at the same time, and says of each what became of it as it ends.
async fn install(
    api: &AdminApi,
    ssh: &Ssh,
    site_key: &PublicKey,
    due: Vec<Due>,
    options: &Options,
) -> anyhow::Result<Vec<(Due, Ran)>> {
    let total = due.len() as u64;
    let mut all = Vec::with_capacity(due.len());
    if due.is_empty() {
        return Ok(all);
    }
    let mut signals = Signals::listen().context("cannot listen to signals")?;
    let (stop, stops) = watch::channel(false);
    // That nobody reads what became of them is no reason to break installs off: the server is told of each.
    let mut printed = Ok(());
    let bar = Bar::count_of("installing");
    bar.at(0, total);
    let mut running = stream::iter(due)
        .map(|due| {
            let stops = stops.clone();
            async {
                let ran = one(api, ssh, site_key, &due, stops).await;
                (due, ran)
            }
        })
        .buffer_unordered(usize::from(options.parallel));
    loop {
        tokio::select! {
            biased;
            signal = signals.next() => match (stop.send_replace(true), signal) {
                // Also when the terminal is closed: there is nothing to read again.
                (false, _) => bar.hide(|| {
                    tell("stopping: what goes on is broken off, and the server is told; a second signal does not wait for it");
                }),
                // A session that ends sends both kinds at once.
                (true, Signal::Reload) => {}
                (true, Signal::Stop) => bail!(
                    "stopped without waiting: the server was not told what became of what was under way, and takes it for failed \
                     after a while; see `distributor clients schedules`"
                ),
            },
            next = running.next() => {
                let Some((due, ran)) = next else { break };
                if !options.json && printed.is_ok() {
                    bar.hide(|| printed = print_line(said(&due, &ran)));
                }
                all.push((due, ran));
                bar.at(all.len() as u64, total);
            }
        }
    }
    bar.end();
    let installed = all.iter().filter(|(_, ran)| is_installed(ran)).count() as u64;
    tell(format_args!(
        "{} installed, {} not",
        counted(installed, "computer is", "computers are"),
        total - installed
    ));
    printed?;
    Ok(all)
}

/// One computer, from the claim to the note.
async fn one(api: &AdminApi, ssh: &Ssh, site_key: &PublicKey, due: &Due, stop: watch::Receiver<bool>) -> Ran {
    if *stop.borrow() {
        return Ran::LeftAlone("it was not begun: stopped before".to_owned());
    }
    let name = &due.line.name;
    let path = format!("/clients/{}/install", segment(name.as_str()));
    let begin = InstallRequest::default();
    let claimed = match claim(api.post::<InstallAnswer>(&path, &begin), stop.clone()).await {
        Claim::Answered(Ok(claimed)) => claimed,
        Claim::Unanswered(why) => return Ran::NotBegun(why),
        Claim::Answered(Err(error)) => {
            let why = format!("{error:#}");
            return match error.downcast_ref::<Problem>() {
                Some(problem) if problem.code == ProblemCode::WrongState => Ran::LeftAlone(why),
                _ => Ran::NotBegun(why),
            };
        }
    };
    let ended = if claimed.schedule.as_ref() == Some(&due.line.schedule) {
        let mut stopped = stop.clone();
        let fetched = tokio::select! {
            fetched = fetch(api, name, site_key) => fetched,
            _ = stopped.wait_for(|stop| *stop) => Err(anyhow::anyhow!("it was broken off")),
        };
        match fetched {
            Ok(file) => ssh.install(&due.ssh, file, stop).await,
            Err(error) => Ended::failed(format!("{error:#}")),
        }
    } else {
        Ended::failed("it was planned anew meanwhile; run it again")
    };
    let Ended { outcome, reason } = ended.clone();
    let request = InstallRequest { attempt: Some(claimed.attempt), outcome: Some(outcome), reason };
    let noted = timeout(NOTED_WITHIN, api.post::<InstallAnswer>(&path, &request)).await;
    let unheard = match noted {
        Ok(Ok(_)) => return Ran::Ended(ended),
        Ok(Err(error)) => format!("{error:#}"),
        Err(_) => "it does not answer".to_owned(),
    };
    tell(format_args!("{name}: the server could not be told what became of it: {}", plain(&unheard)));
    Ran::Ended(ended)
}

/// What became of the request to begin.
enum Claim<T> {
    Answered(anyhow::Result<T>),
    /// Whether the server counts a try is unknown, and so is its number: nothing may be installed.
    Unanswered(String),
}

/// Waits for the answer to a claim: not for ever, and no longer than until this program is stopped.
async fn claim<T>(
    answer: impl Future<Output = anyhow::Result<T>>,
    mut stop: watch::Receiver<bool>,
) -> Claim<T> {
    let why = tokio::select! {
        answer = timeout(CLAIMED_WITHIN, answer) => match answer {
            Ok(answer) => return Claim::Answered(answer),
            Err(_) => format!("the server did not answer within {} s", CLAIMED_WITHIN.as_secs()),
        },
        _ = stop.wait_for(|stop| *stop) => "stopped before the server answered".to_owned(),
    };
    Claim::Unanswered(format!(
        "{why}: nothing was installed; the server may count a try all the same, which fails by itself"
    ))
}

fn is_installed(ran: &Ran) -> bool {
    matches!(ran, Ran::Ended(Ended { outcome: InstallOutcome::Installed, .. }))
}

fn said(due: &Due, ran: &Ran) -> String {
    let (name, way) = (&due.line.name, way(&due.ssh));
    match ran {
        Ran::Ended(Ended { outcome, reason }) => match outcome {
            InstallOutcome::Installed => format!("{name}: installed {way}"),
            InstallOutcome::HostKeyChanged => format!(
                "{name}: host key changed, and not installed {way}: {reason}; ask whoever runs the host, and plan it anew with \
                 its key"
            ),
            InstallOutcome::Unreachable => format!("{name}: unreachable {way}: {}", plain(reason)),
            InstallOutcome::Failed | InstallOutcome::Started => {
                format!("{name}: failed {way}: {}", plain(reason))
            }
        },
        Ran::LeftAlone(why) => format!("{name}: left alone: {}", plain(why)),
        Ran::NotBegun(why) => format!("{name}: not begun: {}", plain(why)),
    }
}

fn printed(due: &Due, ran: Ran) -> Printed {
    let (outcome, reason) = match ran {
        Ran::Ended(Ended { outcome, reason }) => (Some(outcome), reason),
        Ran::LeftAlone(why) | Ran::NotBegun(why) => (None, why),
    };
    let SshAccess { target, host_key, sudo } = &due.ssh;
    Printed {
        name: due.line.name.clone(),
        target: target.to_string(),
        host_key: fingerprint(host_key),
        sudo: *sudo,
        outcome,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a claim without an answer.
    async fn unanswered(stop: watch::Receiver<bool>) -> String {
        match claim(std::future::pending::<anyhow::Result<()>>(), stop).await {
            Claim::Unanswered(why) => why,
            Claim::Answered(_) => panic!("nobody answered"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_is_not_answered_ends_by_itself_and_by_a_stop_and_installs_nothing() {
        let (stop, stops) = watch::channel(false);
        let said = unanswered(stops.clone()).await;
        assert!(said.starts_with("the server did not answer within 60 s: nothing was installed"), "{said}");
        stop.send_replace(true);
        let said = unanswered(stops).await;
        assert!(said.starts_with("stopped before the server answered: nothing was installed"), "{said}");
        let said = listed(std::future::pending()).await.unwrap_err().to_string();
        assert_eq!(said, "cannot read what is planned: the server did not say it within 600 s");
    }
}
