//! One computer: when it is on, what it runs, and what it does with what it is told.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::assignment::{Action, PackageAssignment, Start};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, ComputerName};
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report};
use sealpost_site::commands::contact::ContactClient;
use sealpost_site::rules::rollouts::cadence::Cadence;
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::rollouts::plan::Delivery;

use crate::dice::Dice;

pub(crate) const DAY: i64 = 24 * 60;

/// When a computer is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hours {
    Always,
    /// From 8 to 18 o'clock on working days, so many minutes east of UTC.
    Office(i64),
}

/// What it was told and has not finished.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) told: PackageAssignment,
    /// Not begun before this minute.
    pub(crate) begins: i64,
}

/// A simulated computer. Times are minutes since the beginning of the simulation.
#[derive(Debug)]
pub(crate) struct Computer {
    pub(crate) name: ComputerName,
    pub(crate) id: ClientId,
    pub(crate) position: u64,
    pub(crate) groups: BTreeSet<GroupName>,
    pub(crate) hours: Hours,
    /// It is off from the first to the second minute, whatever its hours say.
    pub(crate) away: (i64, i64),
    /// Minutes between two contacts.
    pub(crate) cadence: i64,
    pub(crate) installed: Vec<InstalledPackage>,
    pub(crate) before: Vec<InstalledPackage>,
    pub(crate) deliveries: Vec<Delivery>,
    /// How long it may be silent, by rollout.
    pub(crate) silences: BTreeMap<u64, SignedDuration>,
    pub(crate) last: Option<i64>,
    /// The same by the server's clock.
    pub(crate) answered_at: Option<Timestamp>,
    /// It enrolled while the simulation ran, with nothing installed.
    pub(crate) late: bool,
    /// When the person there starts what is left to them.
    pub(crate) by_person: BTreeMap<Sha256Digest, i64>,
    /// How long it pauses between contacts.
    pub(crate) pauses: Option<Cadence>,
    pub(crate) work: Vec<Work>,
    pub(crate) reports: Vec<Report>,
    pub(crate) next_report: u64,
    /// Attempts that it made, by manifest: it makes none twice.
    pub(crate) made: BTreeMap<Sha256Digest, u32>,
    pub(crate) dice: Dice,
    /// As the ledger knows it; only of computers that make whole contacts.
    pub(crate) client: Option<Box<ContactClient>>,
    /// Nothing happens at it before this minute.
    pub(crate) wakes: i64,
}

impl Computer {
    pub(crate) fn is_on(&self, minute: i64) -> bool {
        let (from, until) = self.away;
        let away = (from..until).contains(&minute);
        match self.hours {
            Hours::Always => !away,
            Hours::Office(east) => {
                let local = minute + east;
                // The simulation begins on a Monday.
                let (day, hour) = (local.div_euclid(DAY).rem_euclid(7), local.rem_euclid(DAY) / 60);
                !away && day < 5 && (8..18).contains(&hour)
            }
        }
    }

    /// The first minute from `minute` on at which it is on.
    pub(crate) fn next_on(&self, minute: i64) -> i64 {
        let mut at = minute;
        while !self.is_on(at) {
            // Computers switch on at whole hours and some minutes that are their own.
            at = (at / 60 + 1) * 60;
        }
        if at == minute { at } else { at + (self.position % 59) as i64 }
    }

    /// Takes over what an assignment says. What is in it no more is not begun.
    pub(crate) fn obeys(
        &mut self,
        packages: &[PackageAssignment],
        now: i64,
        minute_of: impl Fn(Timestamp) -> i64,
    ) {
        self.work.clear();
        for told in packages {
            let runs = self.installed.iter().any(|runs| runs.manifest == told.manifest);
            let made = self.made.get(&told.manifest).is_some_and(|made| *made >= told.attempt);
            if runs || (made && told.action == Action::Install) {
                continue;
            }
            if told.start == Start::ByPerson {
                let days = self.dice.below(3 * DAY as u64) as i64;
                let begins = *self.by_person.entry(told.manifest).or_insert(now + days);
                self.work.push(Work { told: told.clone(), begins: begins.max(now + 2) });
                continue;
            }
            let late = told.deadline.map(&minute_of).filter(|deadline| *deadline <= now);
            let from = told.install_from.map_or(now, &minute_of).max(now);
            let from = told.deadline.map(&minute_of).map_or(from, |deadline| deadline.max(now).min(from));
            self.work.push(Work { told: told.clone(), begins: late.map_or(from, |_| now) + 2 });
        }
    }

    /// Does what is due. Answers what it began.
    pub(crate) fn works(
        &mut self,
        now: i64,
        at: Timestamp,
        fails: impl Fn(&mut Dice, Sha256Digest) -> bool,
        package: impl Fn(Sha256Digest) -> InstalledPackage,
    ) -> Vec<PackageAssignment> {
        let (due, later) = std::mem::take(&mut self.work).into_iter().partition(|work| work.begins <= now);
        self.work = later;
        let due: Vec<Work> = due;
        let mut began = Vec::new();
        for Work { told, .. } in due {
            // Whose window closed while it was off waits for the next one, which its next contact brings.
            let overdue = told.deadline.is_some_and(|deadline| deadline <= at);
            if told.install_until.is_some_and(|until| until <= at) && !overdue {
                continue;
            }
            let back = told.action == Action::Rollback;
            let failed = !back && fails(&mut self.dice, told.manifest);
            self.made.insert(told.manifest, told.attempt);
            let (step, outcome, reason) = match (back, failed) {
                (true, _) => (InstallStep::RollBack, Outcome::Ok, ReasonCode::AskedBySite),
                (false, true) => (InstallStep::RollBack, Outcome::Ok, ReasonCode::HookFailed),
                (false, false) => (InstallStep::Keep, Outcome::Ok, ReasonCode::Done),
            };
            if !failed {
                self.runs(package(told.manifest));
            }
            self.report(&told, at, (step, outcome, reason));
            began.push(told);
        }
        began
    }

    fn runs(&mut self, new: InstalledPackage) {
        let of_package = |one: &InstalledPackage| one.package() == new.package();
        if let Some(old) = self.installed.iter().position(of_package) {
            let old = std::mem::replace(&mut self.installed[old], new.clone());
            self.before.retain(|one| !of_package(one));
            self.before.push(old);
        } else {
            self.installed.push(new);
            self.installed.sort_by(|one, other| one.package().cmp(other.package()));
        }
    }

    fn report(
        &mut self,
        told: &PackageAssignment,
        at: Timestamp,
        (step, outcome, reason): (InstallStep, Outcome, ReasonCode),
    ) {
        self.next_report += 1;
        self.reports.push(Report {
            id: self.next_report,
            at,
            release: told.release.clone(),
            manifest: told.manifest,
            rollout: told.rollout,
            attempt: told.attempt,
            step,
            outcome,
            reason,
            detail: String::new(),
            ring: told.ring.clone(),
            way: None,
            bytes: None,
            duration_ms: None,
        });
    }
}
