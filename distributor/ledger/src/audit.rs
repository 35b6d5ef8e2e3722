//! Going through the whole log of a store: for what the server believes of it, and to check it and the tables against it.

use std::ops::ControlFlow;

use sealpost_manifests::log::LogHead;
use sealpost_site::changes::chain::{Check, LogCheck, Next};
use sealpost_site::queries::Server;

use crate::store::{Read, ReadStore, StoreError, Walk};
use crate::trusted_log::{Reading, TrustedLog};

/// Reads what the whole log of a store tells; `head` is what stands beside it. Damage is remembered, and is no error.
pub(crate) fn believe_log(
    store: &mut (dyn ReadStore + 'static),
    trusted: &TrustedLog,
    head: LogHead,
) -> Result<(), StoreError> {
    let mut reading = Reading::new();
    store.entries(&mut |stored| match reading.next(&stored) {
        ControlFlow::Continue(()) => Walk::Continue,
        ControlFlow::Break(()) => Walk::Stop,
    })?;
    trusted.adopt(reading, head);
    Ok(())
}

/// Checks the whole log of a store, and its tables. `witnessed` are heads that the log is known to have had: the one that
/// a running server wrote, and those that others hold. `progress` hears how many entries were read.
pub(crate) fn check_log(
    store: &mut (dyn ReadStore + 'static),
    witnessed: Vec<LogHead>,
    progress: &mut dyn FnMut(u64),
) -> Result<LogCheck, StoreError> {
    // A server row that cannot be read is damage too: the first entry is then bound to another server.
    let server = Read::<Server>::read(store, &Server {}).unwrap_or(None);
    let mut check = Check::new(server, witnessed);
    let mut entries = 0u64;
    let tables = store.audit(&mut |entry| {
        entries = entries.saturating_add(1);
        progress(entries);
        match check.next(entry) {
            Next::Continue => Walk::Continue,
            Next::Stop => Walk::Stop,
        }
    })?;
    Ok(LogCheck { tables, ..check.finish() })
}
