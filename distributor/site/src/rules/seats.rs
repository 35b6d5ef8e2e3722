//! Named seats: how many there are, and whether one more name may take one.
//!
//! Invariant: distinct reserved names ≤ granted seats, per serial number and over all of them. A seat is never moved
//! or freed, so nothing here gives one back: after a grant with fewer seats than are used, nothing is taken and nothing
//! new is given. Left out on purpose: floating seats, and escrow for a standby.

use jiff::Timestamp;
use sealpost_manifests::ids::SerialNumber;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

/// The newest grant of one serial number, with the names that hold its seats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedSeats {
    /// The serial number.
    pub serial: SerialNumber,
    /// Seats that the vendor granted.
    pub seats: u32,
    /// Distinct names that hold one.
    pub used: u32,
    /// After it: no new license.
    pub not_after: Timestamp,
    /// When the serial number itself ends, if the vendor said so: no new license after it, and nothing is renewed.
    pub ends_at: Option<Timestamp>,
}

impl GrantedSeats {
    /// Seats that nobody holds, whether they may be given or not.
    #[must_use]
    pub const fn free(&self) -> u32 {
        self.seats.saturating_sub(self.used)
    }

    /// Whether new licenses may come from it.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        now <= self.not_after && self.ended(now).is_none()
    }

    /// When the serial number ended; `None` while it has not.
    #[must_use]
    pub fn ended(&self, now: Timestamp) -> Option<Timestamp> {
        self.ends_at.filter(|end| *end < now)
    }
}

/// Why a name gets no seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeatRefusal {
    /// There is no grant.
    NotUnlocked,
    /// There is no grant for the serial number that was asked for.
    UnknownSerial {
        /// Which.
        serial: SerialNumber,
    },
    /// The vendor ended the serial number that was asked for, or all of them.
    SerialEnded {
        /// The one that was asked for, if one was.
        serial: Option<SerialNumber>,
        /// When, and the last of all if none was asked for.
        at: Timestamp,
    },
    /// There are grants, and the newest of them lapsed then.
    GrantExpired {
        /// When.
        at: Timestamp,
    },
    /// Every seat is held.
    NoSeatFree {
        /// The serial number that was asked for, if it is counted alone.
        serial: Option<SerialNumber>,
        /// Granted by it, or over all serial numbers.
        seats: u64,
        /// Held.
        used: u64,
    },
}

impl SeatRefusal {
    /// As it is answered.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::NotUnlocked => Problem::new(
                ProblemCode::NotUnlocked,
                "no seat can be reserved: this server holds no license yet",
                "run `distributor register SERIAL`, then try again",
            ),
            Self::UnknownSerial { serial } => Problem::new(
                ProblemCode::NotUnlocked,
                format!(
                    "no seat can be reserved: this server holds no license for the serial number {serial}"
                ),
                "see `distributor status` for the serial numbers, or register this one",
            ),
            Self::SerialEnded { serial, at } => {
                let which = serial.as_ref().map_or_else(
                    || "every serial number here".to_owned(),
                    |serial| format!("the serial number {serial}"),
                );
                Problem::new(
                    ProblemCode::SerialEnded,
                    format!("no seat can be reserved: the vendor ended {which} at {at}"),
                    "ask the vendor for another serial number, run `distributor register SERIAL` with it, and name it with --serial; \
                     computers that hold a seat keep it",
                )
            }
            Self::GrantExpired { at } => Problem::new(
                ProblemCode::GrantExpired,
                format!("no seat can be reserved: the grant lapsed at {at}"),
                "run `distributor register SERIAL` to renew it; computers that hold a seat keep it",
            ),
            Self::NoSeatFree { serial, seats, used } => {
                let of = serial.as_ref().map_or_else(String::new, |serial| format!(" of {serial}"));
                Problem::new(
                    ProblemCode::NoSeatFree,
                    format!("no seat{of} is free: {used} of {seats} are used"),
                    "ask the vendor for more seats on the same serial number; a named seat cannot be moved or freed",
                )
            }
        }
    }
}

/// When the last of these serial numbers ended, if each of them has: then nothing is renewed by them. `None` where one goes on, or
/// is not known.
#[must_use]
pub fn all_ended<'s>(
    serials: impl IntoIterator<Item = &'s SerialNumber>,
    ended: impl Fn(&SerialNumber) -> Option<Timestamp>,
) -> Option<Timestamp> {
    serials.into_iter().map(ended).try_fold(None, |last, end| Some(last.max(Some(end?)))).flatten()
}

/// The serial number whose seat one more name takes; `wanted` if one is.
///
/// The first live grant with a free seat, in the order given; and never one more than all grants together allow, so
/// that a grant that shrank below its use is made up for elsewhere first. What has ended gives none, and the free seats of it
/// make up for nothing.
///
/// # Errors
/// [`SeatRefusal`], with the reason that an admin can do something about: an unknown serial number before one that ended, that
/// before a lapsed grant, and that before seats that are all used.
pub fn take<'g>(
    grants: &'g [GrantedSeats],
    wanted: Option<&SerialNumber>,
    now: Timestamp,
) -> Result<&'g SerialNumber, SeatRefusal> {
    let asked = grants.iter().find(|grant| wanted == Some(&grant.serial));
    if let (Some(serial), None) = (wanted, asked) {
        return Err(SeatRefusal::UnknownSerial { serial: serial.clone() });
    }
    if let Some((grant, at)) = asked.and_then(|grant| Some((grant, grant.ended(now)?))) {
        return Err(SeatRefusal::SerialEnded { serial: Some(grant.serial.clone()), at });
    }
    let lasting: Vec<&GrantedSeats> = grants.iter().filter(|grant| grant.ended(now).is_none()).collect();
    let Some(newest_end) = lasting.iter().map(|grant| grant.not_after).max() else {
        let ended = grants.iter().filter_map(|grant| grant.ended(now)).max();
        return Err(
            ended.map_or(SeatRefusal::NotUnlocked, |at| SeatRefusal::SerialEnded { serial: None, at })
        );
    };
    if newest_end < now {
        return Err(SeatRefusal::GrantExpired { at: newest_end });
    }
    // One that is asked for and has none is counted alone.
    if let Some(grant) = asked.filter(|grant| grant.free() == 0) {
        let (seats, used) = (grant.seats.into(), grant.used.into());
        return Err(SeatRefusal::NoSeatFree { serial: Some(grant.serial.clone()), seats, used });
    }
    let none_free = |(seats, used)| SeatRefusal::NoSeatFree { serial: None, seats, used };
    let of_lasting = total(lasting.iter().copied());
    if let Some(full) = [of_lasting, total(grants)].into_iter().find(|(seats, used)| used >= seats) {
        return Err(none_free(full));
    }
    let free = lasting.into_iter().filter(|grant| wanted.is_none_or(|serial| grant.serial == *serial));
    let mut expired = None;
    for grant in free.filter(|grant| grant.free() > 0) {
        if grant.is_live(now) {
            return Ok(&grant.serial);
        }
        expired = expired.max(Some(grant.not_after));
    }
    Err(expired.map_or_else(|| none_free(of_lasting), |at| SeatRefusal::GrantExpired { at }))
}

/// Seats of these grants, and the names that hold one of theirs.
fn total<'g>(grants: impl IntoIterator<Item = &'g GrantedSeats>) -> (u64, u64) {
    grants
        .into_iter()
        .fold((0, 0), |(seats, used), grant| (seats + u64::from(grant.seats), used + u64::from(grant.used)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn grant(id: u8, seats: u32, used: u32, not_after: i64) -> GrantedSeats {
        let (serial, not_after) = (SerialNumber::from_random([id; 19]), at(not_after));
        GrantedSeats { serial, seats, used, not_after, ends_at: None }
    }

    /// One whose serial number ends with it.
    fn ends(id: u8, seats: u32, used: u32, end: i64) -> GrantedSeats {
        GrantedSeats { ends_at: Some(at(end)), ..grant(id, seats, used, end) }
    }

    #[test]
    fn without_a_grant_nothing_can_be_reserved() {
        assert_eq!(take(&[], None, at(0)), Err(SeatRefusal::NotUnlocked));
        assert_eq!(take(&[], None, at(0)).unwrap_err().problem().code, ProblemCode::NotUnlocked);
    }

    #[test]
    fn the_last_seat_is_given_and_the_one_after_it_refused() {
        assert!(take(&[grant(1, 10, 9, 100)], None, at(100)).is_ok());
        assert_eq!(
            take(&[grant(1, 10, 10, 100)], None, at(0)),
            Err(SeatRefusal::NoSeatFree { serial: None, seats: 10, used: 10 })
        );
        assert!(take(&[grant(1, 0, 0, 100)], None, at(0)).is_err());
    }

    #[test]
    fn a_lapsed_grant_gives_no_new_seat_from_the_second_after_its_end() {
        let grants = [grant(1, 10, 0, 100)];
        assert!(take(&grants, None, at(100)).is_ok());
        assert_eq!(take(&grants, None, at(101)), Err(SeatRefusal::GrantExpired { at: at(100) }));
    }

    #[test]
    fn a_live_grant_is_used_when_another_lapsed() {
        let grants = [grant(1, 10, 0, 100), grant(2, 1, 0, 200)];
        assert_eq!(take(&grants, None, at(150)), Ok(&grants[1].serial));
        let full = [grant(1, 10, 0, 100), grant(2, 1, 1, 200)];
        assert_eq!(take(&full, None, at(150)), Err(SeatRefusal::GrantExpired { at: at(100) }));
    }

    #[test]
    fn a_seat_of_a_named_serial_number_comes_from_no_other() {
        let grants = [grant(1, 5, 0, 100), grant(2, 1, 1, 100)];
        assert_eq!(take(&grants, Some(&grants[0].serial), at(0)), Ok(&grants[0].serial));
        assert!(matches!(take(&grants, Some(&grants[1].serial), at(0)), Err(SeatRefusal::NoSeatFree { .. })));
        let unknown = SerialNumber::from_random([3; 19]);
        let refused = take(&grants, Some(&unknown), at(0)).unwrap_err();
        assert_eq!(refused, SeatRefusal::UnknownSerial { serial: unknown });
    }

    #[test]
    fn a_grant_that_shrank_below_its_use_is_made_up_for_elsewhere_first() {
        let grants = [grant(1, 5, 10, 100), grant(2, 5, 0, 100)];
        assert_eq!(
            take(&grants, None, at(0)),
            Err(SeatRefusal::NoSeatFree { serial: None, seats: 10, used: 10 })
        );
        let more = [grant(1, 5, 10, 100), grant(2, 6, 0, 100)];
        assert_eq!(take(&more, None, at(0)), Ok(&more[1].serial));
    }

    #[test]
    fn a_serial_number_that_was_asked_for_and_has_no_seat_free_is_counted_alone() {
        let grants = [grant(1, 100, 150, 9), grant(2, 3, 3, 9)];
        let said = |wanted| take(&grants, wanted, at(0)).unwrap_err().problem().message;
        let serial = &grants[1].serial;
        assert_eq!(said(Some(serial)), format!("no seat of {serial} is free: 3 of 3 are used"));
        assert_eq!(said(None), "no seat is free: 153 of 103 are used");
    }

    #[test]
    fn an_ended_serial_number_gives_no_seat_and_the_others_do() {
        let of = |id: u8| SerialNumber::from_random([id; 19]);
        let none = |serial: Option<u8>, at_second| {
            Err(SeatRefusal::SerialEnded { serial: serial.map(of), at: at(at_second) })
        };
        let no_seat = |seats, used| Err(SeatRefusal::NoSeatFree { serial: None, seats, used });
        let lapsed = |end| Err(SeatRefusal::GrantExpired { at: at(end) });
        let (ended, full, live) = (ends(1, 10, 0, 100), grant(2, 5, 5, 900), grant(3, 5, 0, 900));
        let rows = [
            (vec![ended.clone()], None, 100, Ok(of(1))),
            (vec![ended.clone()], None, 101, none(None, 100)),
            (vec![ended.clone()], Some(1), 101, none(Some(1), 100)),
            (vec![ended.clone(), ends(4, 1, 1, 50)], None, 101, none(None, 100)),
            // Asked for by its number it says that it ended, also where others have seats.
            (vec![ended.clone(), live.clone()], Some(1), 101, none(Some(1), 100)),
            (vec![ended.clone(), live.clone()], None, 101, Ok(of(3))),
            (vec![ended.clone(), full.clone()], None, 101, no_seat(5, 5)),
            (vec![ended.clone(), grant(5, 5, 0, 90)], None, 101, lapsed(90)),
            // Its free seats make up for no grant that shrank below its use, and those that it has too many are made up for.
            (vec![ended.clone(), grant(6, 2, 5, 900), live.clone()], None, 101, Ok(of(3))),
            (vec![ended, grant(6, 2, 7, 900), live.clone()], None, 101, no_seat(7, 7)),
            (vec![ends(1, 10, 15, 100), live], None, 101, no_seat(15, 15)),
        ];
        for (row, (grants, wanted, now, expected)) in rows.into_iter().enumerate() {
            let wanted = wanted.map(of);
            let given = take(&grants, wanted.as_ref(), at(now)).cloned();
            assert_eq!(given, expected, "row {row}: {grants:?}");
        }
    }

    #[test]
    fn the_refusal_of_an_ended_serial_number_says_what_stays() {
        let problem = take(&[ends(1, 10, 0, 100)], None, at(101)).unwrap_err().problem();
        assert_eq!(problem.code, ProblemCode::SerialEnded);
        assert!(problem.message.contains("at 1970-01-01T00:01:40Z"), "{problem}");
        assert!(problem.hint.contains("computers that hold a seat keep it"), "{problem}");
    }
}
