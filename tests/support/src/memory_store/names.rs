//! The names that hold a seat.

use std::collections::BTreeSet;

use sealpost_ledger::store::{Read, StoreError};
use sealpost_manifests::ids::ComputerName;
use sealpost_site::queries::{ReservedAmong, ReservedNames, page_limit};

use super::store::{Handle, Holds};

impl<H: Holds> Read<ReservedNames> for Handle<H> {
    fn read(&mut self, query: &ReservedNames) -> Result<Vec<ComputerName>, StoreError> {
        let state = self.state();
        let names = state.computers.keys();
        let after = names.filter(|name| query.after.as_ref().is_none_or(|after| *name > after));
        Ok(after.take(page_limit(Some(query.limit)) as usize).cloned().collect())
    }
}

impl<H: Holds> Read<ReservedAmong> for Handle<H> {
    fn read(&mut self, query: &ReservedAmong) -> Result<BTreeSet<ComputerName>, StoreError> {
        let state = self.state();
        let reserved = query.names.iter().filter(|name| state.computers.contains_key(name));
        Ok(reserved.cloned().collect())
    }
}
