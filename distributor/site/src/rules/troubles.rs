//! What can be wrong with computers, and what is said of it: who fails, who is silent, who does not install what it was told
//! to, who is refused, and who knocks without a seat.
//!
//! Invariant: what `clients list` filters by is what the warnings count; stores answer both by the same bounds. Left out on
//! purpose: what each computer should do, which `explain` says.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::wire::problem::ProblemCode;

use crate::rows::{ComputersRow, FailingRow, FleetRow, RefusalRow, ReleaseRow};
use crate::rules::account::Actor;
use crate::rules::expiries::Level;
use crate::rules::explain::waits_for;
use crate::rules::pending::MAX_PENDING;
use crate::rules::release::ReleaseState;
use crate::rules::rollouts::progress::{AdvanceFacts, RingState, Rollout, RolloutState, Waiting, advance};
use crate::rules::text::{counted, escape, first_names};
use crate::rules::warnings::{Unit, Warning, WarningCode};

/// Days without a contact after which an enrolled computer is offline: longer than a week of leave with its weekends.
pub const OFFLINE_DAYS: i64 = 10;
/// Hours after which a computer is outdated that has not installed what it was told to run.
pub const OUTDATED_HOURS: i64 = 24;
/// Hours without any contact of any computer that want somebody: longer than a weekend.
const NOBODY_HOURS: i64 = 72;
/// Minutes after which all computers were to come that lost the server: they try once an hour, a tenth sooner or later.
const NOBODY_AFTER_MOVE_MINUTES: i64 = 75;
/// Hours for which a refused computer is remembered: it tries again within one.
const REFUSED_HOURS: i64 = 3;
/// Requests that are refused in an hour in any site.
const FEW_REFUSALS: u64 = 100;
/// By how much more is refused than before when it is said.
const RISE: u64 = 4;
/// Hours with which the last one is compared.
const COMPARED_HOURS: i64 = 24;
/// A ring of signature files waits for its computers for so long, beside the time in which it is watched.
const USUAL_OF_SIGNATURES: SignedDuration = SignedDuration::from_hours(24);
/// The same for a program: its computers have a window once a week.
const USUAL_OF_PROGRAMS: SignedDuration = SignedDuration::from_hours(8 * 24);
const HOUR_SECS: i64 = 60 * 60;

/// What is wrong with a computer: what `clients list` can be narrowed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Its last report about an approved release says that the install failed, or it is refused because another computer
    /// uses its identity. Without what [`FailingRow`] leaves out.
    Failing,
    /// It is enrolled, and was not heard since [`Bounds::heard`]. After a restore of the ledger it has that long again.
    Offline,
    /// It does not say that it runs what its assignment names; and of the releases that it passes over until there, or
    /// goes back from, one was decided about before [`Bounds::decided`]. Who enrolled has that long from then on.
    Outdated,
}

impl Trouble {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Failing, Self::Offline, Self::Outdated];
}

/// When something counts as wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Who was heard last before this is offline.
    pub heard: Timestamp,
    /// Who does not run what was decided at this time or before is outdated.
    pub decided: Timestamp,
}

impl Bounds {
    /// Those of this time.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { heard: before(now, OFFLINE_DAYS * 24), decided: before(now, OUTDATED_HOURS) }
    }
}

fn before(now: Timestamp, hours: i64) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MIN)
}

/// A warning for each approved release, out of `releases`, whose install fails, and one for the computers that are refused
/// as copies.
#[must_use]
pub fn failing(releases: &[ReleaseRow], failing: &FailingRow, now: Timestamp) -> Vec<Warning> {
    let row_of = |manifest| releases.iter().find(|row| row.manifest == manifest);
    let gave_up = failing.gave_up.iter().filter_map(|(at, who)| Some(gave_up(row_of(*at)?, who, now)));
    let again = failing.again.iter().filter_map(|(at, who)| Some(again(row_of(*at)?, who, now)));
    gave_up.chain(again).chain(copied(&failing.forked)).collect()
}

/// One for each rollout that halted by itself, until a person decides: lets it go on, ends it, or approves something newer.
/// `open` are rollouts that have not ended, `releases` those that are approved among others.
#[must_use]
pub fn halted(open: &[Rollout], releases: &[ReleaseRow]) -> Vec<Warning> {
    let is_decided = |rollout: &Rollout| {
        releases.iter().any(|row| {
            row.state == ReleaseState::Approved
                && row.release.package == rollout.release.package
                && row.counter > rollout.counter
        })
    };
    let by_itself = open.iter().filter_map(|rollout| {
        let change = rollout.changed.as_ref()?;
        let halted = rollout.state == RolloutState::Halted && change.by == Actor::Server;
        (halted && !is_decided(rollout)).then_some((rollout, change))
    });
    let said = by_itself.map(|(rollout, change)| {
        let Rollout { number, release, .. } = rollout;
        let said = format!(
            "rollout {number} of {release} halted by itself: {}; `distributor rollouts report {number}` says what failed; \
             then `distributor rollouts resume {number} --why TEXT` lets it go on, and `distributor rollouts abort \
             {number} --why TEXT` ends it",
            escape(&change.why)
        );
        let failed = rollout.rings.iter().map(|ring| ring.counts.failures()).sum();
        Warning::new(WarningCode::RolloutHalted, said).of(failed, Unit::Computers, &[""; 0]).since(Some(change.at))
    });
    said.collect()
}

/// Rollouts that wait in one ring for longer than is usual, or in which too few succeed: nothing happens there by itself, and no
/// error threshold says so.
#[must_use]
pub fn waiting(open: &[Rollout], now: Timestamp) -> Vec<Warning> {
    let said = open.iter().filter(|rollout| rollout.state == RolloutState::Running).filter_map(|rollout| {
        let ring = rollout.current_ring()?;
        let (plan, progress) = (rollout.strategy.rings().get(ring)?, rollout.rings.get(ring)?);
        let RingState::Open { at } = progress.state else { return None };
        let waiting = advance(rollout, &AdvanceFacts { populations: None, overtaken_by: None }).err()?;
        let usual = if rollout.is_signatures() { USUAL_OF_SIGNATURES } else { USUAL_OF_PROGRAMS };
        let is_late = now.duration_since(at) > plan.soak().saturating_add(usual);
        let counts = &progress.counts;
        let stays = match waiting {
            Waiting::Gate { .. } => is_late || counts.under_way() == 0,
            Waiting::Survey | Waiting::Sample { .. } => {
                is_late && counts.succeeded < plan.minimum_sample.into()
            }
            _ => false,
        };
        let Rollout { number, release, .. } = rollout;
        let name = rollout.ring_name(ring);
        let look = format!("distributor rollouts show {number}");
        let said = format!(
            "rollout {number} of {release} waits in its ring `{name}` since {at}: {}; `{look}` says more",
            waits_for(rollout, Some(waiting))
        );
        stays.then(|| Warning::new(WarningCode::RolloutWaits, said).since(Some(at)).next(look))
    });
    said.collect()
}

fn gave_up(row: &ReleaseRow, who: &ComputersRow, now: Timestamp) -> Warning {
    let (package, version) = (&row.release.package, &row.release.version);
    let (have, them) = (counted(who.count, "computer has", "computers have"), them(who));
    let said = format!(
        "{have} given up {} ({}): `distributor clients show NAME` says why; when the cause is gone, \
         `distributor updates retry {package}:{version} --why TEXT` lets {them} try again",
        row.release,
        first_names(&who.names, who.count)
    );
    of_computers(WarningCode::InstallsFailed, said, who).since(since_on_the_server(row, who, now))
}

fn again(row: &ReleaseRow, who: &ComputersRow, now: Timestamp) -> Warning {
    let cannot = counted(who.count, "computer cannot", "computers cannot");
    let tries = if who.count == 1 { "tries" } else { "try" };
    let said = format!(
        "{cannot} install {} ({}), and {tries} again by {}: `distributor clients show NAME` says why",
        row.release,
        first_names(&who.names, who.count),
        if who.count == 1 { "itself" } else { "themselves" }
    );
    of_computers(WarningCode::InstallsFailing, said, who).since(since_on_the_server(row, who, now))
}

/// Computers say by their own clocks since when they fail; it is not before the approval, and not in the future.
fn since_on_the_server(row: &ReleaseRow, who: &ComputersRow, now: Timestamp) -> Option<Timestamp> {
    let decided = row.decided.as_ref().map_or(Timestamp::MIN, |decided| decided.at);
    who.since.map(|since| since.max(decided).min(now))
}

fn copied(who: &ComputersRow) -> Option<Warning> {
    if who.count == 0 {
        return None;
    }
    let is = counted(who.count, "computer is", "computers are");
    let one = who.names.first().filter(|_| who.count == 1).map_or("NAME", |name| name.as_str());
    let said = format!(
        "{is} refused because another one uses the same identity, as a copied disk does ({}): `distributor clients show {one}` \
         shows both; if it is not decided yet, say with `distributor clients resolve {one} --keep CONTACT` which one goes on",
        first_names(&who.names, who.count)
    );
    Some(of_computers(WarningCode::ClientsForked, said, who))
}

/// Who was not heard for days, who does not install what it was told to, and who knocks without a seat.
#[must_use]
pub fn of_the_fleet(fleet: &FleetRow) -> Vec<Warning> {
    let named = |who: &ComputersRow| first_names(&who.names, who.count);
    let mut said = Vec::new();
    let who = &fleet.offline;
    if who.count > 0 {
        let (was, start) = (counted(who.count, "computer was", "computers were"), them(who));
        let sentence = format!(
            "{was} not heard for more than {OFFLINE_DAYS} days ({}): start {start}, or look there with `agent-updater status`; \
             `distributor clients list --offline` lists them",
            named(who)
        );
        said.push(of_computers(WarningCode::ClientsOffline, sentence, who));
    }
    let who = &fleet.outdated;
    if who.count > 0 {
        let has = counted(who.count, "computer has", "computers have");
        let sentence = format!(
            "{has} not installed for more than {OUTDATED_HOURS} hours what {} told to run ({}): `distributor clients show NAME` \
             says why; `distributor clients list --outdated` lists them",
            if who.count == 1 { "it was" } else { "they were" },
            named(who)
        );
        said.push(of_computers(WarningCode::ClientsOutdated, sentence, who));
    }
    let who = &fleet.pending;
    if who.count > 0 {
        let waits = counted(who.count, "computer waits", "computers wait");
        let sentence = format!(
            "{waits} to be enrolled ({}): `distributor clients pending` shows the keys; if {} of this site, \
             `distributor clients admit NAME --key KEY` lets one in, and a seat with a setup file does too",
            named(who),
            if who.count == 1 { "it is" } else { "they are" }
        );
        let full = if who.count < MAX_PENDING {
            ""
        } else {
            "; the list is full, so whoever comes now is not in it and is told its whole public key, which KEY may be too"
        };
        let sentence = format!("{sentence}{full}");
        said.push(of_computers(WarningCode::ComputersPending, sentence, who));
    }
    said
}

/// Said when computers are enrolled and none of them comes: for days, or since the ways to the server were changed.
/// `started` is when the server began to listen; `connected` are the clients that hold a stream now.
#[must_use]
pub fn nobody(fleet: &FleetRow, connected: u64, started: Timestamp, now: Timestamp) -> Option<Warning> {
    let heard = fleet.heard.filter(|_| connected == 0 && fleet.enrolled > 0)?;
    let silent_for = |since: Timestamp, secs: i64| now.as_second().saturating_sub(since.as_second()) > secs;
    let enrolled = counted(fleet.enrolled, "enrolled computer", "enrolled computers");
    let told = |level, since, sentence: String| {
        let said = Warning { level, ..Warning::new(WarningCode::NobodyContacts, sentence) };
        Some(said.of::<&str>(fleet.enrolled, Unit::Computers, &[]).since(Some(since)))
    };
    let moved = fleet.announced.filter(|announced| *announced > heard);
    let (after, minutes) = (60, NOBODY_AFTER_MOVE_MINUTES);
    if let Some(moved) = moved.filter(|moved| silent_for((*moved).max(started), minutes * after)) {
        return told(
            Level::Urgent,
            moved,
            format!(
                "none of {enrolled} has contacted the server since its address, port or CA changed at {moved}: look whether they \
                 can reach it, with `distributor address show` here and `agent-updater check` on one of them"
            ),
        );
    }
    if !silent_for(heard, NOBODY_HOURS * HOUR_SECS) || !silent_for(started, minutes * after) {
        return None;
    }
    told(
        Level::Warning,
        heard,
        format!(
            "none of {enrolled} has contacted the server since {heard}: look whether they can reach it, with \
             `distributor address show` here and `agent-updater check` on one of them"
        ),
    )
}

/// Said of computers that were refused although they were enrolled once, and were not answered since: what a restore can
/// leave behind. `refusals` are the newest of the log.
#[must_use]
pub fn refused(refusals: &[RefusalRow], now: Timestamp) -> Option<Warning> {
    let recent = before(now, REFUSED_HOURS);
    let mut minutes: BTreeMap<String, BTreeSet<Timestamp>> = BTreeMap::new();
    let (mut who, mut codes) = (BTreeMap::new(), BTreeSet::new());
    for row in refusals.iter().filter(|row| row.minute >= recent && locks_out(row.code)) {
        if row.answered.is_some_and(|answered| answered >= row.minute) {
            continue;
        }
        let name = match &row.computer {
            Some(name) => name.to_string(),
            // One that the ledger lost is refused once, and comes back with what it shows; nobody can tell which it was.
            None => {
                let source = escape(&row.source);
                let seen = minutes.entry(source.clone()).or_default();
                seen.insert(row.minute);
                if seen.len() < 2 {
                    continue;
                }
                source
            }
        };
        codes.insert(row.code.to_string());
        let since = who.entry(name).or_insert(row.minute);
        *since = (*since).min(row.minute);
    }
    if who.is_empty() {
        return None;
    }
    let count = who.len() as u64;
    let names: Vec<&String> = who.keys().collect();
    let codes: Vec<String> = codes.into_iter().collect();
    let said = format!(
        "{} refused and not answered since ({}; {}): `distributor log --kind refused` says when; who cannot go on after a \
         restore needs a new setup file of `distributor clients setup NAME`",
        counted(count, "computer was", "computers were"),
        first_names(&names, count),
        codes.join(", ")
    );
    let since = who.values().min().copied();
    Some(Warning::new(WarningCode::ClientsRefused, said).of(count, Unit::Computers, &names).since(since))
}

/// Whether a code refuses a computer that was enrolled, and that a person may have to help.
const fn locks_out(code: ProblemCode) -> bool {
    matches!(
        code,
        ProblemCode::UnknownComputer
            | ProblemCode::NonceUnknown
            | ProblemCode::LedgerBehind
            | ProblemCode::Displaced
            | ProblemCode::Unconfirmed
    )
}

/// Said when many more requests are refused in the last hour than in those before. `refusals` are the newest of the log, the
/// newest first.
#[must_use]
pub fn rising(refusals: &[RefusalRow], now: Timestamp) -> Option<Warning> {
    let hour_ago = before(now, 1);
    let (last, earlier): (Vec<_>, Vec<_>) = refusals
        .iter()
        .filter(|row| row.minute >= before(now, COMPARED_HOURS))
        .partition(|row| row.minute >= hour_ago);
    let count: u64 = last.iter().map(|row| row.count).sum();
    let was: u64 = earlier.iter().map(|row| row.count).sum();
    // The page may end within the hours that are compared.
    let hours =
        earlier.last().map_or(1, |row| (hour_ago.as_second() - row.minute.as_second()) / HOUR_SECS + 1);
    let usual = was / u64::try_from(hours).unwrap_or(1).max(1);
    if count < FEW_REFUSALS || count <= usual.saturating_mul(RISE) {
        return None;
    }
    let mut sources: BTreeMap<(&str, ProblemCode), u64> = BTreeMap::new();
    for row in &last {
        *sources.entry((&row.source, row.code)).or_default() += row.count;
    }
    let most = sources.iter().max_by_key(|(_, count)| **count);
    let most =
        most.map(|((source, code), most)| format!("; {most} of them with {code} from {}", escape(source)));
    let said = format!(
        "{count} requests were refused in the last hour, and {usual} in an hour before{}: see \
         `distributor log --kind refused --since 1h`",
        most.unwrap_or_default()
    );
    let since = last.last().map(|row| row.minute);
    Some(Warning::new(WarningCode::RefusalsRise, said).of::<&str>(count, Unit::Requests, &[]).since(since))
}

fn of_computers(code: WarningCode, said: String, who: &ComputersRow) -> Warning {
    Warning::new(code, said).of(who.count, Unit::Computers, &who.names).since(who.since)
}

fn them(who: &ComputersRow) -> &'static str {
    if who.count == 1 { "it" } else { "them" }
}

#[cfg(test)]
mod tests;
