//! What `distributor clients show` says of a computer's seats, its setup files and its contacts.

use jiff::Timestamp;
use sealpost_admin_api::setup_info::{ContactRule, SetupInfo};
use sealpost_manifests::ids::ComputerName;
use sealpost_site::changes::EnrolledBy;
use sealpost_site::changes::seat_history::{Holder, SetupIssue, SetupOutcome};
use sealpost_site::rules::seats::ended_alone;
use sealpost_site::rules::standing::Gate;
use sealpost_site::rules::text::at_most;

use crate::cli::output::{age, plain, print_line, seconds, seconds_away, span};

/// Setup files and former computers that are shown; `--json` has all of them.
const SHOWN: usize = 5;

/// The serial numbers, and the groups.
pub(super) fn seats(name: &ComputerName, info: &SetupInfo, now: Timestamp) -> anyhow::Result<()> {
    for seat in &info.seats {
        let since = seat.reserved_at.map(|at| format!(", since {}", seconds(at))).unwrap_or_default();
        let end = match (seat.ended, seat.not_after) {
            (Some(ended), _) => format!("the vendor ended it at {}", seconds_away(ended, now)),
            (None, Some(end)) => format!("gives new licenses until {}", seconds_away(end, now)),
            (None, None) => "its grant does not count; see `distributor status`".to_owned(),
        };
        print_line(format_args!("  serial        {}{since}; {end}", seat.serial))?;
    }
    if let Some(said) = ended_alone(name, info.seats.iter().map(|seat| seat.ended)) {
        print_line(format_args!("  no license    {said}"))?;
    }
    if !info.groups.is_empty() {
        let groups: Vec<&str> = info.groups.iter().map(AsRef::as_ref).collect();
        print_line(format_args!("  groups        {}", groups.join(", ")))?;
    }
    if let Some(at) = info.enrolled_at {
        print_line(format_args!("  enrolled at   {} ({})", seconds(at), age(at, now)))?;
        let first = info.first_contact.map_or_else(|| "-".to_owned(), seconds);
        print_line(format_args!("  first license {first}"))?;
    }
    Ok(())
}

/// The install that is planned.
pub(super) fn install(info: &SetupInfo, now: Timestamp) -> anyhow::Result<()> {
    let Some(install) = &info.install else { return Ok(()) };
    let how = if install.over_ssh { "over ssh" } else { "by an install file" };
    print_line(format_args!("  install       planned for {} {how}", seconds_away(install.due_at, now)))?;
    if let Some(at) = install.tried_at {
        let result = match &install.failure {
            Some(failure) if install.reason.is_empty() => format!("failed: {}", plain(failure)),
            Some(failure) => format!("failed: {}: {}", plain(failure), plain(&install.reason)),
            None => "goes on".to_owned(),
        };
        print_line(format_args!("  try {:<9} {} ({}), {result}", install.tries, seconds(at), age(at, now)))?;
    }
    Ok(())
}

/// The gate, and when the computer comes.
pub(super) fn contacts(info: &SetupInfo, now: Timestamp) -> anyhow::Result<()> {
    let gate = match info.gate {
        Gate::Closed => "closed: it was never licensed",
        Gate::Run => "run; upload and remote management wait for its next contact",
        Gate::Open => "run, upload, remote management",
    };
    print_line(format_args!("  gate          {gate}"))?;
    let ContactRule { every_secs, after_failure_secs, due_by, lost_after_secs } = info.contact;
    let due = match due_by {
        Some(due) if due >= now => format!("; the next is due by {}", seconds_away(due, now)),
        Some(due) => format!("; the next was due by {}", seconds_away(due, now)),
        None => String::new(),
    };
    print_line(format_args!(
        "  contacts      every {}, a tenth sooner or later, and {} after one that failed; lost after {} of silence{due}",
        span(every_secs.into()),
        span(after_failure_secs.into()),
        span(lost_after_secs.into()),
    ))
}

/// What it ran before, its setup files, who held its name before, and its server.
pub(super) fn history(info: &SetupInfo, now: Timestamp) -> anyhow::Result<()> {
    for before in &info.before {
        print_line(format_args!("  ran before    {} {}", before.package(), before.release.version))?;
    }
    for issue in info.setups.iter().take(SHOWN) {
        match issue.admitted {
            None => print_line(format_args!("  setup file    {}", setup(issue, "issued", now)))?,
            Some(key) => {
                print_line(format_args!("  by its key    {}; {key}", setup(issue, "admitted", now)))?;
            }
        }
    }
    more(info.setups.len(), "setup files and admissions")?;
    for holder in info.former.iter().take(SHOWN) {
        print_line(format_args!("  before it     {}: {}", holder.client_id, former(holder, now)))?;
    }
    more(info.former.len(), "computers before it")?;
    let server = &info.server;
    let addresses = server.addresses.join(", ");
    print_line(format_args!("  server        {} at {addresses}, port {}", server.server_id, server.port))
}

/// Who it was, and since when and why its key is dead.
fn former(holder: &Holder, now: Timestamp) -> String {
    let key = holder.client_key.as_ref().map(|key| format!("key {}", at_most(&key.fingerprint(), 16)));
    let agent = holder.agent_version.as_deref().map(|agent| format!("agent {}", plain(agent)));
    let last = holder.last_contact.map(|at| format!("last contact {} ({})", seconds(at), age(at, now)));
    let enrolled = holder.enrolled_at.map(|at| format!("enrolled {}", seconds(at)));
    let mut said: Vec<String> = enrolled.into_iter().chain(key).chain(agent).chain(last).collect();
    let by = match holder.replaced_by {
        None | Some(EnrolledBy::Code) => "when another enrolled",
        Some(EnrolledBy::Admission) => "when another one was admitted",
        Some(EnrolledBy::Copy) => "when the copy of it that was kept made a key of its own",
    };
    said.push(holder.replaced_at.map_or_else(
        || "it holds the name no more".to_owned(),
        |at| format!("its key is dead since {} ({}), {by}", seconds(at), age(at, now)),
    ));
    said.join("; ")
}

fn setup(issue: &SetupIssue, done: &str, now: Timestamp) -> String {
    let issued = format!("{done} {}", seconds(issue.issued_at));
    match issue.outcome {
        SetupOutcome::Out => {
            let end = seconds_away(issue.expires_at, now);
            format!("{issued}, out and not used; good until {end}")
        }
        SetupOutcome::Used { at } => format!("{issued}, used {} ({})", seconds(at), age(at, now)),
        SetupOutcome::Voided { at } => {
            format!("{issued}, void since {}, when another was issued or admitted", seconds(at))
        }
        SetupOutcome::Expired => {
            format!("{issued}, expired {} without use", seconds(issue.expires_at))
        }
    }
}

fn more(count: usize, what: &str) -> anyhow::Result<()> {
    match count.checked_sub(SHOWN) {
        None | Some(0) => Ok(()),
        Some(more) => print_line(format_args!("                and {more} more {what}: see `--json`")),
    }
}
