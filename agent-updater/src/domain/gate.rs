//! The gate: what the product of one package may do, and until when.
//!
//! `run` is false until a live seat covers the package for the first time, and has no end from then on: losing contact
//! never stops a named product. `upload` and `remote_management` are true only while contact is good, and end by
//! themselves, so that an agent that died holds nothing open. The gate never blocks a rollback; no code of an install
//! reads it. Left out: floating licenses, where `run` has an end too.

use jiff::{SignedDuration, Timestamp};

use super::boot::BootMoment;

/// When a permission ends: past either end it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Seconds on the boot clock; `None` if that cannot be read.
    pub until_boot: Option<u64>,
    /// Unix seconds on the computer's clock.
    pub until_wall: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    Closed,
    Open,
    Until(End),
}

/// What the product of one package may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    pub run: Opening,
    /// If closed, uploads wait.
    pub upload: Opening,
    pub remote_management: Opening,
}

/// Whether `run` was open at any time before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RanBefore {
    Yes,
    No,
}

/// What the gate of a package is decided from.
#[derive(Debug, Clone, Copy)]
pub struct GateFacts<'a> {
    pub ran_before: RanBefore,
    /// For how long a live seat still covers the package; `None` if none does.
    pub entitled_for: Option<SignedDuration>,
    /// For how long contact counts as good from now on; `None` if it does not now.
    pub contact_good_for: Option<SignedDuration>,
    /// This moment on the computer's clock and on its boot clock.
    pub now: Timestamp,
    pub boot: Option<&'a BootMoment>,
}

#[must_use]
pub fn decide(facts: &GateFacts<'_>) -> Gate {
    let run = match (facts.ran_before, facts.entitled_for) {
        (RanBefore::No, None) => Opening::Closed,
        (RanBefore::Yes, _) | (RanBefore::No, Some(_)) => Opening::Open,
    };
    let while_in_contact = match (facts.entitled_for, facts.contact_good_for) {
        (Some(entitled), Some(contact)) => Opening::Until(end_after(entitled.min(contact), facts)),
        _ => Opening::Closed,
    };
    Gate { run, upload: while_in_contact, remote_management: while_in_contact }
}

fn end_after(duration: SignedDuration, facts: &GateFacts<'_>) -> End {
    let secs = duration.as_secs().max(0);
    let in_boot = |boot: &BootMoment| boot.secs.saturating_add(secs.unsigned_abs());
    End { until_boot: facts.boot.map(in_boot), until_wall: facts.now.as_second().saturating_add(secs) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::boot::BootId;

    fn boot() -> BootMoment {
        BootMoment { boot: BootId::new("8f7e9a34-1111-4a2b-9c3d-000000000001").unwrap(), secs: 500 }
    }

    fn facts(boot: &BootMoment) -> GateFacts<'_> {
        GateFacts {
            ran_before: RanBefore::No,
            entitled_for: None,
            contact_good_for: None,
            now: Timestamp::from_second(1_000_000).unwrap(),
            boot: Some(boot),
        }
    }

    const HOUR: SignedDuration = SignedDuration::from_hours(1);
    const DAY: SignedDuration = SignedDuration::from_hours(24);

    #[test]
    fn the_product_may_not_run_before_a_seat_covers_it_for_the_first_time() {
        let boot = boot();
        let closed =
            Gate { run: Opening::Closed, upload: Opening::Closed, remote_management: Opening::Closed };
        assert_eq!(decide(&facts(&boot)), closed);
        assert_eq!(decide(&GateFacts { contact_good_for: Some(HOUR), ..facts(&boot) }), closed);
    }

    #[test]
    fn losing_contact_or_the_lease_never_stops_a_named_product() {
        let boot = boot();
        let facts = GateFacts { ran_before: RanBefore::Yes, ..facts(&boot) };
        for (entitled_for, contact_good_for) in [(None, None), (None, Some(HOUR)), (Some(HOUR), None)] {
            let gate = decide(&GateFacts { entitled_for, contact_good_for, ..facts });
            assert_eq!((gate.run, gate.upload), (Opening::Open, Opening::Closed));
        }
    }

    #[test]
    fn uploads_and_remote_management_end_by_themselves_with_contact_or_with_the_seat() {
        let boot = boot();
        let licensed = GateFacts { entitled_for: Some(DAY), contact_good_for: Some(HOUR), ..facts(&boot) };
        let end = End { until_boot: Some(4_100), until_wall: 1_003_600 };
        let gate = decide(&licensed);
        assert_eq!(
            gate,
            Gate { run: Opening::Open, upload: Opening::Until(end), remote_management: Opening::Until(end) }
        );
        let ends_soon = GateFacts { entitled_for: Some(SignedDuration::from_secs(5)), ..licensed };
        let end = End { until_boot: Some(505), until_wall: 1_000_005 };
        assert_eq!(decide(&ends_soon).upload, Opening::Until(end));
        let without_boot_clock = decide(&GateFacts { boot: None, ..licensed });
        let end = End { until_boot: None, until_wall: 1_003_600 };
        assert_eq!(without_boot_clock.upload, Opening::Until(end));
    }
}
