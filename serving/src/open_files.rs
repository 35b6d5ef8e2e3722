//! How many connections the system gives this process files for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that a server needs besides its connections.
const FILES_BESIDES: u64 = 256;
/// As few connections are tried whatever the limit is.
const FEWEST: usize = 16;

/// How many connections the limit on open files allows, after raising it as far as the system lets us. A connection may have a
/// file open that it sends, so it counts twice.
#[must_use]
pub fn connections_that_files_allow() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // Absent means that there is no limit.
    let places = current.map_or(u64::MAX, |files| files.saturating_sub(FILES_BESIDES) / 2);
    usize::try_from(places).unwrap_or(usize::MAX).max(FEWEST)
}
