//! How the lease of a server stands, as people see it: until when it counts, whether it is renewed, and why there is none.
//!
//! Invariant: nothing is decided here. `status` shows it of the server that serves, `servers list` of each.

use std::fmt::Write as _;

use jiff::Timestamp;
use sealpost_manifests::ids::SerialNumber;
use serde::Serialize;

use crate::domain::time::whole_seconds;
use crate::records::holdings::Holdings;
use crate::records::standing::ServerStanding;

/// The lease, as far as people need it.
#[derive(Debug, Clone, Serialize)]
pub struct LeaseStatus {
    pub live: bool,
    pub not_after: Option<Timestamp>,
    /// When the serial numbers of its seats end, the last of them, if the vendor ends each of them: from then on it is not
    /// renewed.
    pub renewed_until: Option<Timestamp>,
    /// Why it does not count.
    pub problem: Option<String>,
    /// What the server said with its last answer, such as why it gives none or renews none; empty if it said nothing, or did not
    /// answer the last contact.
    pub server_says: Vec<String>,
}

impl LeaseStatus {
    /// Of what is held from a server; nothing is known of a lease whose records cannot be used.
    pub(super) fn of(holdings: Option<&Holdings>, standing: &ServerStanding) -> Self {
        let lease = holdings.map(|held| &held.lease);
        let was_answered = standing.last_contact.as_ref().is_some_and(|contact| contact.problem.is_none());
        Self {
            live: lease.is_some_and(|lease| lease.good().is_some()),
            not_after: lease.and_then(|lease| lease.good()?.not_after()).map(whole_seconds),
            renewed_until: holdings.and_then(renewed_until),
            problem: lease.and_then(|lease| lease.problem("lease")),
            server_says: if was_answered { standing.notices.clone() } else { Vec::new() },
        }
    }

    /// Until when it counts and is renewed, or why there is none, in one line.
    #[must_use]
    pub fn to_line(&self) -> String {
        let mut line = match (self.not_after, &self.problem) {
            (Some(until), _) => format!("lease until {until}"),
            (None, Some(problem)) => format!("no lease: {problem}"),
            (None, None) => "no lease".to_owned(),
        };
        // Writing to a String cannot fail.
        if let Some(end) = self.renewed_until {
            let _ = write!(line, " and not renewed from {end} on, when the vendor ends its serial number");
        }
        for said in &self.server_says {
            let _ = write!(line, " (the server says: {said})");
        }
        line
    }
}

/// When nothing of a lease is renewed any more: when the last of its serial numbers ends, by the newest grants that are held. `None`
/// where one has no end.
fn renewed_until(holdings: &Holdings) -> Option<Timestamp> {
    let lease = holdings.lease.good()?;
    let end_of = |serial: &SerialNumber| {
        let mut grants = holdings.grants.iter().map(|held| &held.grant);
        grants.find(|grant| grant.serial == *serial)?.ends_at
    };
    let ends = lease.entitlements.iter().map(|seat| end_of(&seat.serial)).collect::<Option<Vec<_>>>()?;
    ends.into_iter().max().map(whole_seconds)
}
