//! What ends first: leases of computers, and setup codes that nobody has used; and whom the end of a serial number concerns.

use sealpost_ledger::store::{Read, StoreError};
use sealpost_site::queries::{Endings, HeldAlone};
use sealpost_site::rows::{ComputersRow, EndingsRow};
use sealpost_site::rules::setups::EndingSetup;

use super::store::{Handle, Holds};

impl<H: Holds> Read<Endings> for Handle<H> {
    fn read(&mut self, query: &Endings) -> Result<EndingsRow, StoreError> {
        let state = self.state();
        let mut leases: Vec<_> = state
            .clients
            .values()
            .filter_map(|client| Some((client.lease_until?, client.name.clone())))
            .collect();
        leases.sort();
        let ended = leases.iter().filter(|(end, _)| *end <= query.now).count();
        let mut setups: Vec<_> = state
            .setups
            .iter()
            .filter(|(_, setup)| setup.used_by.is_none() && setup.admitted_key.is_none())
            .map(|(name, setup)| (state.end_of(setup), name.clone(), setup.issued_at))
            .filter(|(end, ..)| *end > query.now)
            .collect();
        setups.sort();
        let count = setups.len() as u64;
        Ok(EndingsRow {
            lease: leases.into_iter().next().map(|(end, name)| (name, end)),
            leases_ended: ended as u64,
            setup: setups.into_iter().next().map(|(expires_at, name, issued_at)| EndingSetup {
                name,
                issued_at,
                expires_at,
                count,
            }),
        })
    }
}

impl<H: Holds> Read<HeldAlone> for Handle<H> {
    fn read(&mut self, query: &HeldAlone) -> Result<ComputersRow, StoreError> {
        let mut row = ComputersRow::default();
        for (name, computer) in &self.state().computers {
            if computer.serials.contains(&query.serial) && computer.serials.is_disjoint(&query.others) {
                row.add(name.clone(), None);
            }
        }
        Ok(row)
    }
}
