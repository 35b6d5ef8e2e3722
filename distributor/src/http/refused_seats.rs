//! Seats that were asked for and refused since the server started, for the License Summary.
//!
//! Invariant: bounded, and in memory alone. What strangers or scripts ask for must not fill the log.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use sealpost_admin_api::licenses::RefusedSeats;
use sealpost_manifests::grant::MAX_SERIALS;
use sealpost_manifests::ids::SerialNumber;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

/// Counts refusals, by the serial number that was asked for.
#[derive(Debug, Default)]
pub(crate) struct SeatRefusals(Mutex<BTreeMap<Option<SerialNumber>, RefusedSeats>>);

impl SeatRefusals {
    /// Counts a refusal if it is one for want of a seat. More serial numbers than a site can have count as none in particular.
    pub(crate) fn note(&self, problem: &Problem, serial: Option<&SerialNumber>, now: Timestamp) {
        if !is_for_want_of_a_seat(problem.code) {
            return;
        }
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let serial = serial
            .filter(|serial| counted.len() <= MAX_SERIALS || counted.contains_key(&Some((*serial).clone())));
        let refused = counted.entry(serial.cloned()).or_insert(RefusedSeats { count: 0, last: now });
        refused.count = refused.count.saturating_add(1);
        refused.last = now;
    }

    /// What was refused of a serial number; of none in particular with `None`.
    pub(crate) fn of(&self, serial: Option<&SerialNumber>) -> Option<RefusedSeats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&serial.cloned()).copied()
    }

    /// What was refused of serial numbers that are not among these.
    pub(crate) fn of_others<'s>(
        &self,
        known: impl IntoIterator<Item = &'s SerialNumber>,
    ) -> Option<RefusedSeats> {
        let known: std::collections::BTreeSet<&SerialNumber> = known.into_iter().collect();
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let others =
            counted.iter().filter(|(serial, _)| serial.as_ref().is_none_or(|serial| !known.contains(serial)));
        others.map(|(_, refused)| *refused).reduce(|one, other| RefusedSeats {
            count: one.count.saturating_add(other.count),
            last: one.last.max(other.last),
        })
    }
}

const fn is_for_want_of_a_seat(code: ProblemCode) -> bool {
    matches!(
        code,
        ProblemCode::NoSeatFree
            | ProblemCode::SerialEnded
            | ProblemCode::GrantExpired
            | ProblemCode::NotUnlocked
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn refusal(code: ProblemCode) -> Problem {
        Problem::new(code, "no", "ask")
    }

    #[test]
    fn refusals_for_want_of_a_seat_are_counted_by_serial_number_with_the_last() {
        let counted = SeatRefusals::default();
        let [one, other] = [1, 2].map(|id| SerialNumber::from_random([id; 19]));
        assert_eq!(counted.of(Some(&one)), None);
        for (code, serial, second) in [
            (ProblemCode::NoSeatFree, Some(&one), 1),
            (ProblemCode::SerialEnded, Some(&one), 5),
            (ProblemCode::GrantExpired, None, 6),
            (ProblemCode::NotUnlocked, Some(&other), 7),
            (ProblemCode::WrongState, Some(&one), 8),
            (ProblemCode::Unconfirmed, None, 9),
        ] {
            counted.note(&refusal(code), serial, at(second));
        }
        assert_eq!(counted.of(Some(&one)), Some(RefusedSeats { count: 2, last: at(5) }));
        assert_eq!(counted.of_others([&one]), Some(RefusedSeats { count: 2, last: at(7) }));
        assert_eq!(counted.of_others([&one, &other]), Some(RefusedSeats { count: 1, last: at(6) }));
    }

    #[test]
    fn serial_numbers_without_end_take_no_memory_without_end() {
        let counted = SeatRefusals::default();
        for id in 0..=u16::MAX {
            // The letters of a serial number are taken from the five low bits of each byte.
            let digit = |at: usize| u8::try_from((u32::from(id) >> (5 * (at % 4))) & 31).unwrap();
            let bytes: [u8; 19] = std::array::from_fn(digit);
            counted.note(&refusal(ProblemCode::NoSeatFree), Some(&SerialNumber::from_random(bytes)), at(1));
        }
        assert!(counted.0.lock().unwrap().len() <= MAX_SERIALS + 2);
    }
}
