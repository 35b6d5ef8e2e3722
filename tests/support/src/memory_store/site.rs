//! Whose ledger it is, its log, its licenses, its pulls and its time.

use sealpost_ledger::store::{Read, StoreError};
use sealpost_manifests::lease::LedgerHead;
use sealpost_site::changes::chain::LoggedEntry;
use sealpost_site::changes::chain::{self, FoundBy, LinkedEntry, empty_head};
use sealpost_site::queries::{Activity, Head, LastPull, Licenses, Server, TimeFloor, page_limit};
use sealpost_site::rows::{LicenseRow, PullRow, ServerIdentity};

use super::store::{Handle, Holds};

impl<H: Holds> Read<Server> for Handle<H> {
    fn read(&mut self, _: &Server) -> Result<Option<ServerIdentity>, StoreError> {
        Ok(self.state().server.clone())
    }
}

impl<H: Holds> Read<Head> for Handle<H> {
    fn read(&mut self, _: &Head) -> Result<LedgerHead, StoreError> {
        let state = self.state();
        Ok(state.log.values().next_back().map_or_else(empty_head, |newest| newest.head()))
    }
}

impl<H: Holds> Read<TimeFloor> for Handle<H> {
    fn read(&mut self, _: &TimeFloor) -> Result<Option<jiff::Timestamp>, StoreError> {
        let state = self.state();
        let signed = state.licenses.values().map(|license| license.grant.vendor_time).max();
        Ok(state.noted_floor().max(signed))
    }
}

impl<H: Holds> Read<Licenses> for Handle<H> {
    fn read(&mut self, _: &Licenses) -> Result<Vec<LicenseRow>, StoreError> {
        let state = self.state();
        let rows = state.licenses.iter().map(|(serial, license)| LicenseRow {
            serial: serial.clone(),
            licenses: license.grant.seats,
            used: license.used,
            active: license.active,
            reserved: license.used.saturating_sub(license.active),
            model: license.grant.model,
            generation: license.grant.generation,
            valid_until: license.grant.valid_until,
        });
        Ok(rows.collect())
    }
}

impl<H: Holds> Read<LastPull> for Handle<H> {
    fn read(&mut self, _: &LastPull) -> Result<PullRow, StoreError> {
        let state = self.state();
        Ok(PullRow {
            metadata_as_of: state.metadata_as_of(),
            tried_at: state.pull_tried_at(),
            failure: state.pull.failure.clone(),
        })
    }
}

impl<H: Holds> Read<Activity> for Handle<H> {
    fn read(&mut self, query: &Activity) -> Result<Vec<LoggedEntry>, StoreError> {
        let state = self.state();
        let wanted = state.log.values().filter(|linked| matches(query, linked));
        let page = wanted.take(page_limit(query.limit) as usize);
        let logged = page.map(|linked| chain::read(&linked.bytes, linked.hash));
        Ok(logged.collect::<Result<_, _>>()?)
    }
}

fn matches(query: &Activity, linked: &LinkedEntry) -> bool {
    let found_by = FoundBy::of(&linked.entry);
    linked.entry.sequence > query.after
        && query.client.as_ref().is_none_or(|name| found_by.computer.as_deref() == Some(name.as_str()))
        && query.kind.as_ref().is_none_or(|kind| found_by.kind == *kind)
        && query.since.is_none_or(|since| linked.entry.at >= since)
}
