//! How many connections this process may hold: what is configured, and no more than the system gives it files for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sealpost_serving::ConnectionLimits;

use crate::config::Limits;

/// Files that the server needs besides its connections.
const FILES_BESIDES: u64 = 256;

/// The configured limits, and no more than the system's limit on open files allows.
#[must_use]
pub fn connection_limits(limits: &Limits) -> ConnectionLimits {
    let wanted = usize::try_from(limits.max_connections).unwrap_or(usize::MAX);
    let per_source = usize::try_from(limits.max_connections_per_address).unwrap_or(usize::MAX);
    let connections = wanted.min(files_for_connections());
    if connections < wanted {
        tracing::warn!(
            wanted,
            connections,
            "the system's limit on open files allows fewer connections than configured"
        );
    }
    // Half of them is kept for computers that were here before, however many strangers come.
    let unproven = connections.div_ceil(2);
    ConnectionLimits { connections, unproven, per_source, ..ConnectionLimits::default() }
}

/// How many connections the limit on open files allows, after raising it as far as the system lets us.
fn files_for_connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // A connection may have a file open that it sends. Absent means that there is no limit.
    let places = current.map_or(u64::MAX, |files| files.saturating_sub(FILES_BESIDES) / 2);
    usize::try_from(places).unwrap_or(usize::MAX).clamp(16, tokio::sync::Semaphore::MAX_PERMITS)
}
