//! Computers that knock, copies of one computer, and installs at a time: what changes do, and what is answered.

use std::collections::BTreeMap;
use std::ops::Bound;

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_ledger::store::{Read, StoreError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, ComputerName};
use sealpost_site::changes::{
    ActivityEntry, Change, ComputerAdmitted, ComputerKnocked, CopyResolved, CopySeen, Dropped,
    ScheduleChanged,
};
use sealpost_site::commands::clients::{
    AdmissionFacts, LoadAdmission, LoadSchedule, LoadSeats, NameFacts, ScheduleFacts,
};
use sealpost_site::queries::{CopiesOf, GivenUpCopy, Schedules, Waiting};
use sealpost_site::rows::{CopiesRow, CopyRow, KnockRow, PlannedRow, ScheduleRow, TriedRow, WaitingRow};
use sealpost_site::rules::pending::{PendingFacts, Waits};

use super::seat_rows::{Knock, Planned};
use super::state::{Setup, State};
use super::store::{Handle, Holds};

impl State {
    /// Applies such a change; any other does nothing here.
    pub(super) fn project_seats(&mut self, entry: &ActivityEntry) {
        match &entry.change {
            Change::ComputerKnocked(knocked) => self.computer_knocked(entry, knocked),
            Change::ComputerAdmitted(ComputerAdmitted { name, client_key, setup, expires_at }) => {
                self.seats.knocks.retain(|(waits, _), _| waits != name);
                let setup = Setup {
                    setup: setup.clone(),
                    issued_at: entry.at,
                    expires_at: *expires_at,
                    used_by: None,
                    admitted_key: Some(client_key.clone()),
                    before_restore: false,
                };
                self.setups.insert(name.clone(), setup);
            }
            Change::CopySeen(seen) => {
                let key: (ClientId, Sha256Digest) = (seen.client_id.clone(), seen.branch);
                self.seats.copies.insert(key, seen.clone());
            }
            Change::CopyResolved(CopyResolved { client_id, keep, .. })
                if self.clients.contains_key(client_id) =>
            {
                self.seats.kept.insert(client_id.clone(), (*keep, false));
            }
            Change::ScheduleChanged(ScheduleChanged { name, schedule: None }) => {
                self.seats.schedules.remove(name);
            }
            Change::ScheduleChanged(ScheduleChanged { name, schedule: Some(schedule) }) => {
                let (planned_at, planned_by) = (entry.at, entry.actor.clone());
                let planned = Planned { schedule: schedule.clone(), planned_at, planned_by, tried: None };
                self.seats.schedules.insert(name.clone(), planned);
            }
            Change::InstallTried(tried) => {
                if let Some(planned) = self.seats.schedules.get_mut(&tried.name) {
                    planned.tried = Some((tried.clone(), entry.at));
                }
            }
            _ => {}
        }
    }

    /// Each name under which somebody waits, and since when.
    pub(super) fn first_asked(&self) -> BTreeMap<ComputerName, Timestamp> {
        let knocks = self.seats.knocks.iter().map(|((name, _), knock)| (name, knock.seen_at));
        let pending = self.pending.iter().map(|(name, pending)| (name, pending.seen_at));
        let mut first: BTreeMap<ComputerName, Timestamp> = BTreeMap::new();
        for (name, seen_at) in knocks.chain(pending) {
            let since = first.entry(name.clone()).or_insert(seen_at);
            *since = seen_at.min(*since);
        }
        first
    }

    pub(super) fn pending_facts(&self, name: &ComputerName, client_key: &PublicKey) -> PendingFacts {
        let knocks = self.seats.knocks.values().map(|Knock { knocked, seen_at, sequence }| {
            let waits = Waits { name: knocked.name.clone(), client_key: Some(knocked.client_key.clone()) };
            (*sequence, (waits, *seen_at))
        });
        let mut knocks: Vec<_> = knocks.collect();
        knocks.sort_by_key(|(sequence, _)| *sequence);
        let mut of_name = knocks.iter().filter(|(_, (waits, _))| waits.name == *name);
        let pending = self.pending.iter().map(|(name, pending)| {
            (pending.sequence, (Waits { name: name.clone(), client_key: None }, pending.seen_at))
        });
        let all = knocks.iter().cloned().chain(pending);
        PendingFacts {
            waiting: (self.seats.knocks.len() + self.pending.len()) as u64,
            known: self.seats.knocks.contains_key(&key_of(name, client_key)),
            of_name: of_name.clone().count() as u64,
            without_key: self.pending.contains_key(name),
            oldest_of_name: of_name.next().map(|(_, oldest)| oldest.clone()),
            oldest: all.min_by_key(|(sequence, _)| *sequence).map(|(_, oldest)| oldest),
        }
    }

    fn computer_knocked(&mut self, entry: &ActivityEntry, knocked: &ComputerKnocked) {
        match &knocked.drops {
            Some(Dropped { name, client_key: Some(key) }) => {
                self.seats.knocks.remove(&key_of(name, key));
            }
            Some(Dropped { name, client_key: None }) => {
                self.pending.remove(name);
            }
            None => {}
        }
        // It was noted without its key before, if it came then.
        self.pending.remove(&knocked.name);
        let (seen_at, sequence) = (entry.at, entry.sequence);
        let knock = Knock { knocked: knocked.clone(), seen_at, sequence };
        self.seats.knocks.insert(key_of(&knocked.name, &knocked.client_key), knock);
    }
}

impl<H: Holds> Read<LoadAdmission> for Handle<H> {
    fn read(&mut self, query: &LoadAdmission) -> Result<AdmissionFacts, StoreError> {
        let seats = self.read(&LoadSeats { names: query.names.clone() })?;
        let state = self.state();
        let of = |name: &ComputerName| {
            let mut waiting: Vec<_> =
                state.seats.knocks.values().filter(|knock| knock.knocked.name == *name).collect();
            waiting.sort_by_key(|knock| knock.sequence);
            NameFacts {
                setup: state.setup_of(name),
                enrolled: state.client_named(name).map(|(_, client)| client.client_key.clone()),
                waiting: waiting.into_iter().map(|knock| knock.knocked.client_key.clone()).collect(),
            }
        };
        let names = query.names.iter().map(|name| (name.clone(), of(name)));
        Ok(AdmissionFacts { seats, names: names.collect() })
    }
}

impl<H: Holds> Read<Waiting> for Handle<H> {
    fn read(&mut self, query: &Waiting) -> Result<Vec<WaitingRow>, StoreError> {
        let state = self.state();
        let row = |name: &ComputerName, source: &str, seen_at, sequence, knock| WaitingRow {
            name: name.clone(),
            source: source.to_owned(),
            seen_at,
            sequence,
            knock,
            reserved: state.computers.contains_key(name),
            enrolled: state.client_of.contains_key(name),
        };
        let knocks = state.seats.knocks.values().map(|Knock { knocked, seen_at, sequence }| {
            let ComputerKnocked { name, client_key, source, platform, agent_version, .. } = knocked;
            let (client_key, platform) = (client_key.clone(), platform.clone());
            let knock = KnockRow { client_key, platform, agent_version: agent_version.clone() };
            row(name, source, *seen_at, *sequence, Some(knock))
        });
        let pending = state.pending.iter();
        let pending = pending.map(|(name, seen)| row(name, &seen.source, seen.seen_at, seen.sequence, None));
        let after = query.after.unwrap_or(0);
        let mut rows: Vec<_> = knocks.chain(pending).filter(|row| row.sequence > after).collect();
        rows.sort_by_key(|row| row.sequence);
        rows.truncate(query.limit as usize);
        Ok(rows)
    }
}

impl<H: Holds> Read<CopiesOf> for Handle<H> {
    fn read(&mut self, query: &CopiesOf) -> Result<Option<CopiesRow>, StoreError> {
        let state = self.state();
        let row = state.client_named(&query.name).map(|(client_id, client)| {
            let copies = state.seats.copies.values().filter(|copy| copy.client_id == *client_id);
            let mut copies: Vec<_> = copies.cloned().map(copy).collect();
            copies.sort_by_key(|copy| (copy.seen_at, copy.branch.to_string()));
            CopiesRow {
                client_id: client_id.clone(),
                forked: client.forked,
                kept: state.kept_of(client_id),
                copies,
            }
        });
        Ok(row)
    }
}

impl<H: Holds> Read<GivenUpCopy> for Handle<H> {
    fn read(&mut self, query: &GivenUpCopy) -> Result<Option<ComputerName>, StoreError> {
        Ok(self.state().seats.given_up.get(&query.client_id).cloned())
    }
}

impl<H: Holds> Read<Schedules> for Handle<H> {
    fn read(&mut self, query: &Schedules) -> Result<Vec<ScheduleRow>, StoreError> {
        let after = query.after.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.state();
        let planned = state.seats.schedules.range((after, Bound::Unbounded));
        Ok(planned.map(|(name, planned)| row_of(name, planned)).take(query.limit as usize).collect())
    }
}

impl<H: Holds> Read<LoadSchedule> for Handle<H> {
    fn read(&mut self, query: &LoadSchedule) -> Result<ScheduleFacts, StoreError> {
        let (state, name) = (self.state(), &query.name);
        Ok(ScheduleFacts {
            reserved: state.computers.contains_key(name),
            enrolled: state.client_of.contains_key(name),
            planned: state.seats.schedules.get(name).map(|planned| row_of(name, planned)),
        })
    }
}

impl State {
    /// What is planned for a name, in the list of computers.
    pub(super) fn planned(&self, name: &ComputerName) -> Option<PlannedRow> {
        self.seats.schedules.get(name).map(|planned| {
            let ScheduleRow { schedule, tried, .. } = row_of(name, planned);
            PlannedRow { at: schedule.at, over_ssh: schedule.ssh.is_some(), tried }
        })
    }
}

fn row_of(name: &ComputerName, planned: &Planned) -> ScheduleRow {
    ScheduleRow {
        name: name.clone(),
        schedule: planned.schedule.clone(),
        planned_at: planned.planned_at,
        planned_by: planned.planned_by.clone(),
        tried: planned.tried.as_ref().map(|(tried, at)| TriedRow {
            attempt: tried.attempt,
            outcome: tried.outcome,
            reason: tried.reason.clone(),
            at: *at,
        }),
    }
}

fn copy(seen: CopySeen) -> CopyRow {
    let CopySeen { branch, seen_at, came_by, hostname, instance, agent_version, packages, .. } = seen;
    CopyRow { branch, seen_at, came_by, hostname, instance, agent_version, packages }
}

fn key_of(name: &ComputerName, key: &PublicKey) -> (ComputerName, String) {
    (name.clone(), key.to_base64())
}
