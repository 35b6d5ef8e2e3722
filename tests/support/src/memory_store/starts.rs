//! When servers ran over a ledger.

use jiff::Timestamp;
use sealpost_ledger::store::{Read, StoreError};
use sealpost_site::changes::outages::{RESTORED, SAYING, outage};
use sealpost_site::changes::summary::{self, kinds_of_a_server};
use sealpost_site::changes::{ActivityEntry, Note};
use sealpost_site::commands::starts::{LOOKED_BACK, LoadStart};
use sealpost_site::rules::rollouts::outages::{MOST, Outage, Signs};

use super::state::State;
use super::store::{Handle, Holds};

impl State {
    /// Entries of a kind, the newest first.
    fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = &ActivityEntry> {
        let entries = self.log.values().rev().map(|logged| &logged.linked.entry);
        entries.filter(move |entry| summary::kind(&entry.change) == kind)
    }

    fn last_sign(&self, now: Timestamp) -> Option<Timestamp> {
        let contacts = self.notes.values().filter_map(|note| match note {
            Note::ContactAnswered { at, .. } => Some(*at),
            _ => None,
        });
        let entries = kinds_of_a_server().flat_map(|kind| self.of_kind(kind).take(LOOKED_BACK as usize));
        let all = contacts.chain(self.pull_tried_at()).chain(entries.map(|entry| entry.at));
        all.filter(|at| *at <= now).max()
    }

    fn noted_outages(&self) -> Vec<Outage> {
        let entries = SAYING.into_iter().flat_map(|kind| self.of_kind(kind).take(MOST as usize));
        let before = |entry: &ActivityEntry| {
            let sequence = entry.sequence.checked_sub(1)?;
            self.log.get(&sequence).map(|logged| logged.linked.entry.at)
        };
        entries.filter_map(|entry| outage(entry, before(entry))).collect()
    }
}

impl<H: Holds> Read<LoadStart> for Handle<H> {
    fn read(&mut self, query: &LoadStart) -> Result<Signs, StoreError> {
        let state = self.state();
        let newest = state.log.values().next_back().map(|logged| logged.linked.entry.at);
        Ok(Signs {
            last: state.last_sign(query.now),
            newest: newest.max(state.pull_tried_at()),
            restored: state.of_kind(RESTORED).next().map(|entry| entry.at),
            outages: state.noted_outages(),
        })
    }
}
