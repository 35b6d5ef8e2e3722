//! Checking the whole log of a store, entry by entry.

use sealpost_manifests::lease::LedgerHead;
use sealpost_site::changes::chain::{Check, LogCheck, Next, empty_head};
use sealpost_site::queries::{Head, Server};

use crate::store::{Read, ReadStore, StoreError, Walk};

/// Checks the whole log of a store. `written` is the head that a running server wrote, if one runs.
pub(crate) fn check_log(
    store: &mut (dyn ReadStore + 'static),
    written: Option<LedgerHead>,
) -> Result<LogCheck, StoreError> {
    // A server row that cannot be read is damage too: the first entry is then bound to another server.
    let server = Read::<Server>::read(store, &Server {}).unwrap_or(None);
    let mut check = Check::new(server, written);
    store.entries(&mut |entry| match check.next(&entry) {
        Next::Continue => Walk::Continue,
        Next::Stop => Walk::Stop,
    })?;
    // The hash of a damaged log's newest entry may be unreadable.
    let newest = Read::<Head>::read(store, &Head {}).unwrap_or_else(|_| empty_head());
    Ok(check.finish(newest))
}
