//! Deciding the gate of every package that is installed or assigned, and writing what changed.

use std::collections::BTreeSet;
use std::io;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::ids::{PackageName, ServerId};

use crate::domain::cadence::{Standing, contact_good_for};
use crate::domain::gate::{GateFacts, Opening, RanBefore, decide};
use crate::domain::gate_file::{Permission, is_open, to_text};
use crate::domain::policy::Entitlement;
use crate::records::gate::{read, write};
use crate::records::holdings::Holdings;
use crate::records::packages;
use crate::records::progress::Progress;

use super::context::Host;

/// Updates the gate files. `holdings` are those of the first server, which says what is assigned; `None` if they cannot be
/// used. A live seat at any server opens a gate; without one nothing opens, and an open `run` stays open. `serving` is the
/// server whose contact counts; `None` for the first.
///
/// # Errors
/// The system's, once every file was tried.
pub(super) fn update(
    host: &Host,
    progress: &mut Progress,
    holdings: Option<&Holdings>,
    serving: Option<&ServerId>,
) -> io::Result<()> {
    let (now, boot) = (host.now(), host.boot());
    let license_now = progress.license_time(now);
    let contact_good_for = good_for(host, progress, serving, now);
    let others = held_from_others(host, progress, now);
    let mut result = Ok(());
    for package in packages_with_a_gate(host, progress, holdings) {
        let written = read(&host.home, &package);
        let held = holdings.into_iter().chain(&others);
        let entitlements = held.map(|holdings| holdings.entitlement(&package, license_now));
        let facts = GateFacts {
            ran_before: ran_before(progress, &package, written.as_deref()),
            entitled_for: entitlements.filter_map(|entitlement| time_left(entitlement, license_now)).max(),
            contact_good_for,
            now,
            boot: boot.as_ref(),
        };
        let gate = decide(&facts);
        if gate.run != Opening::Closed {
            let _ = progress.computer.ran.insert(package.clone());
        }
        let text = to_text(&package, boot.as_ref().map(|boot| &boot.boot), &gate);
        if written.as_ref() == Some(&text) {
            continue;
        }
        match write(&host.home, &package, &text) {
            Ok(()) => tracing::debug!(%package, ?gate, "gate"),
            Err(error) => result = Err(error),
        }
    }
    result
}

/// For how long contact counts as good from now on.
fn good_for(
    host: &Host,
    progress: &Progress,
    serving: Option<&ServerId>,
    now: Timestamp,
) -> Option<SignedDuration> {
    let standing = serving.map_or(&progress.standing, |serving| progress.of(serving));
    // One cycle contacts all of them.
    let next = progress.standing.next_contact.filter(|_| standing.standing == Standing::Licensed)?;
    Some(contact_good_for(&host.settings.cadence, now, next))
}

/// What is held from the servers beside the first, as far as it can be used.
fn held_from_others(host: &Host, progress: &Progress, now: Timestamp) -> Vec<Holdings> {
    let others = progress.servers().iter().skip(1);
    others.filter_map(|server| Holdings::of(&host.home, server, progress, now).ok()).collect()
}

fn packages_with_a_gate(
    host: &Host,
    progress: &Progress,
    holdings: Option<&Holdings>,
) -> BTreeSet<PackageName> {
    let assigned = holdings.and_then(|holdings| holdings.assignment.good());
    let assigned = assigned.into_iter().flat_map(|assignment| &assignment.packages);
    // A record that is damaged is that of an installed package all the same.
    let recorded = packages::load_all(&host.home).unwrap_or_default().into_keys();
    recorded
        .chain(assigned.map(|wanted| wanted.release.package.clone()))
        .chain(progress.computer.ran.iter().cloned())
        // The agent itself asks for no permission.
        .filter(|package| !package.is_agent())
        .collect()
}

/// Whether `run` was open before, by what was recorded or by the file itself.
fn ran_before(progress: &Progress, package: &PackageName, written: Option<&str>) -> RanBefore {
    // An open `run` that has no end is open at every moment.
    let is_open_for_good = |text| is_open(text, Permission::Run, i64::MAX, "", u64::MAX);
    if progress.computer.ran.contains(package) || written.is_some_and(is_open_for_good) {
        RanBefore::Yes
    } else {
        RanBefore::No
    }
}

fn time_left(entitlement: Entitlement, license_now: Timestamp) -> Option<SignedDuration> {
    match entitlement {
        Entitlement::Until(until) => Some(until.duration_since(license_now)),
        Entitlement::NoLease | Entitlement::NotCovered => None,
    }
}
