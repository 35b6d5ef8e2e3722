//! Checking the whole log of a store, entry by entry.

use sealpost_manifests::log::LogHead;
use sealpost_site::changes::chain::{Check, LogCheck, Next};
use sealpost_site::queries::Server;

use crate::store::{Read, ReadStore, StoreError, Walk};

/// Checks the whole log of a store. `witnessed` are heads that the log is known to have had: the one that a running
/// server wrote, and those that others hold.
pub(crate) fn check_log(
    store: &mut (dyn ReadStore + 'static),
    witnessed: Vec<LogHead>,
) -> Result<LogCheck, StoreError> {
    // A server row that cannot be read is damage too: the first entry is then bound to another server.
    let server = Read::<Server>::read(store, &Server {}).unwrap_or(None);
    let mut check = Check::new(server, witnessed);
    store.entries(&mut |entry| match check.next(&entry) {
        Next::Continue => Walk::Continue,
        Next::Stop => Walk::Stop,
    })?;
    Ok(check.finish())
}
