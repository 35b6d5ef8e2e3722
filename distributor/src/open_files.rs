//! How many connections this process may hold: what is configured, and no more than the system gives it files for.

use sealpost_serving::{ConnectionLimits, connections_that_files_allow};

use crate::config::Limits;

/// The configured limits, and no more than the system's limit on open files allows.
#[must_use]
pub fn connection_limits(limits: &Limits) -> ConnectionLimits {
    let wanted = usize::try_from(limits.max_connections).unwrap_or(usize::MAX);
    let per_source = usize::try_from(limits.max_connections_per_address).unwrap_or(usize::MAX);
    let connections = wanted.min(connections_that_files_allow());
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
