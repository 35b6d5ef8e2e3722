//! What of a changed configuration counts only from the next start.
//!
//! Pure. Everything that is not named here is taken by the running server.

use super::settings::Settings;

/// Keys whose new value waits for a restart, in the order of the sample.
#[must_use]
pub fn needs_a_restart(running: &Settings, new: &Settings) -> Vec<&'static str> {
    let (old, limits) = (&running.limits, &new.limits);
    let keys = [
        ("vendor_url", running.vendor_url != new.vendor_url),
        ("vendor_ca", running.vendor_ca != new.vendor_ca),
        ("license.lease_days", running.lease_days != new.lease_days),
        ("limits.delta_memory_mib", old.delta_memory_bytes != limits.delta_memory_bytes),
        ("limits.delta_time", old.delta_time != limits.delta_time),
        ("limits.max_connections", old.max_connections != limits.max_connections),
        (
            "limits.max_connections_per_address",
            old.max_connections_per_address != limits.max_connections_per_address,
        ),
        ("storage.verify_hours", running.storage.verify_hours != new.storage.verify_hours),
    ];
    keys.into_iter().filter_map(|(key, changed)| changed.then_some(key)).collect()
}
