//! The gate: what the product on this computer may do.
//!
//! `run` is false until the computer is licensed for the first time, and stays true from then on: losing contact never
//! stops a named product. `upload` and `remote_management` are true only while contact is good. The gate never blocks
//! a rollback; no code of an install reads it. Left out: floating licenses, where `run` can end.

use serde::{Deserialize, Serialize};

use super::cadence::Standing;

/// What the product may do; the gate file is this as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    pub run: bool,
    /// If false, uploads wait.
    pub upload: bool,
    pub remote_management: bool,
}

impl Gate {
    /// Closed: nothing is known, or never licensed.
    pub const CLOSED: Self = Self { run: false, upload: false, remote_management: false };
}

/// What is known about the lease at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseNow {
    /// Held, verified and not past its end.
    Live,
    /// None, refused, or past its end.
    NotLive,
}

/// Decides the gate. `was` is the gate before: an open `run` is never closed.
#[must_use]
pub const fn decide(was: Gate, standing: Standing, lease: LeaseNow) -> Gate {
    let live = matches!(lease, LeaseNow::Live);
    let run = was.run || (live && !matches!(standing, Standing::Unlicensed));
    let contact_is_good = live && matches!(standing, Standing::Licensed);
    Gate { run, upload: run && contact_is_good, remote_management: run && contact_is_good }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_may_not_run_before_the_first_lease() {
        for lease in [LeaseNow::Live, LeaseNow::NotLive] {
            assert_eq!(decide(Gate::CLOSED, Standing::Unlicensed, lease), Gate::CLOSED);
        }
    }

    #[test]
    fn losing_contact_or_the_lease_never_stops_a_named_product() {
        let open = decide(Gate::CLOSED, Standing::Licensed, LeaseNow::Live);
        assert_eq!(open, Gate { run: true, upload: true, remote_management: true });
        for standing in [Standing::Unlicensed, Standing::Licensed, Standing::LostContact] {
            assert!(decide(open, standing, LeaseNow::NotLive).run);
        }
    }

    #[test]
    fn uploads_and_remote_management_wait_while_contact_is_lost() {
        let open = Gate { run: true, upload: true, remote_management: true };
        let lost = decide(open, Standing::LostContact, LeaseNow::Live);
        assert!(lost.run && !lost.upload && !lost.remote_management);
        let back = decide(lost, Standing::Licensed, LeaseNow::Live);
        assert_eq!(back, open);
    }
}
