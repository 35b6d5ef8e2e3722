//! Setup files: for how long their codes are good, and where each stands.
//!
//! Invariant: a code is a secret that lies around on sticks and in mails, so it is good for days and once; a name has one that
//! is good at the most, the newest.

use jiff::Timestamp;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::setup::ServerRole;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use serde::{Deserialize, Serialize};

use crate::rules::text::counted;

/// Days for which a code is good, unless an admin says otherwise.
pub const SETUP_DAYS: u16 = 7;
/// Most days for which one can be good.
pub const MAX_SETUP_DAYS: u16 = 366;

/// Where the newest setup file of a name stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeState {
    /// Nobody used its code, which is still good.
    Out,
    /// A computer enrolled with it.
    Used,
    /// Nobody used its code in time.
    Expired,
}

/// Setup files that nobody used and that are still good: the one that ends first, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndingSetup {
    /// The computer that it is for.
    pub name: ComputerName,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Its end.
    pub expires_at: Timestamp,
    /// Those that are out, with it.
    pub count: u64,
}

impl CodeState {
    /// As the facts say at `now`.
    #[must_use]
    pub fn of(used: bool, expires_at: Timestamp, now: Timestamp) -> Self {
        if used {
            Self::Used
        } else if now > expires_at {
            Self::Expired
        } else {
            Self::Out
        }
    }
}

/// The days for which a code is to be good.
///
/// # Errors
/// With [`ProblemCode::BadRequest`] when no code can be good for so long.
pub fn days(wanted: Option<u16>) -> Result<u16, Problem> {
    let days = wanted.unwrap_or(SETUP_DAYS);
    if days == 0 || days > MAX_SETUP_DAYS {
        return Err(Problem::new(
            ProblemCode::BadRequest,
            format!("a setup file cannot be good for {days} days"),
            format!("give 1 to {MAX_SETUP_DAYS} days"),
        ));
    }
    Ok(days)
}

/// The part that this server is to play for the computers.
///
/// # Errors
/// With [`ProblemCode::BadRequest`] for one that this program does not know.
pub fn role(wanted: Option<ServerRole>) -> Result<ServerRole, Problem> {
    match wanted.unwrap_or(ServerRole::Primary) {
        ServerRole::Other(role) => Err(Problem::new(
            ProblemCode::BadRequest,
            format!("no setup file can be issued with the role {role}, which this server does not know"),
            "use the role primary or secondary",
        )),
        known => Ok(known),
    }
}

/// Who holds a seat for which a setup file is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// A computer, which whoever uses the file takes the place of.
    One,
    /// Two computers with one identity.
    Two,
}

impl Holds {
    /// Of a name whose computers are forked or not; `None` of one that none has enrolled with.
    #[must_use]
    pub fn of(forked: Option<bool>) -> Option<Self> {
        forked.map(|forked| if forked { Self::Two } else { Self::One })
    }

    /// The word for it, in the API. Words stay.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Two => "two",
        }
    }

    /// The inverse of [`Holds::word`].
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::One, Self::Two].into_iter().find(|holds| holds.word() == word)
    }
}

/// What is to be known before setup files of names are used that computers are enrolled under, or two of each: `first` is one of
/// the `count` names. `None` of no name.
#[must_use]
pub fn taken_over(holds: Holds, first: Option<&ComputerName>, count: u64) -> Option<String> {
    let first = first.filter(|_| count > 0)?;
    let of_several = || format!("of {} (first {first})", counted(count, "name", "names"));
    Some(match (holds, count) {
        (Holds::One, 1) => format!(
            "a computer is enrolled as {first}: once this file is used, its key is dead, and whoever used the file holds the \
             same seat; what the other one runs goes on running"
        ),
        (Holds::One, _) => format!(
            "computers are enrolled under {count} of these names (first {first}): once a file is used, the key of the computer \
             before is dead, and whoever used the file holds the same seat; what the other one runs goes on running"
        ),
        (Holds::Two, 1) => format!(
            "two computers use the identity of {first}: once this file is used, both are refused for good; so that one of them \
             goes on, leave the file and run `distributor clients resolve {first} --keep CONTACT` (`distributor clients show \
             {first}` shows both)"
        ),
        (Holds::Two, _) => format!(
            "two computers use the identity {}: once such a file is used, both are refused for good; so that one of them goes \
             on, leave the file and run `distributor clients resolve NAME --keep CONTACT` (`distributor clients list --state \
             two-computers` lists them)",
            of_several()
        ),
    })
}

/// The refusal of a setup file for computers that come and go: they would take a permanent seat each.
#[must_use]
pub fn no_floating_seats() -> Problem {
    Problem::new(
        ProblemCode::NotEntitled,
        "no setup file for ephemeral computers can be issued: they take floating seats only, which end with their use, and the \
         grants of this server give named seats, which are for good",
        "reserve a seat for a computer that stays with `distributor clients reserve NAME`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_out_until_it_is_used_or_ends() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let rows = [
            (false, 10, 9, CodeState::Out),
            (false, 10, 10, CodeState::Out),
            (false, 10, 11, CodeState::Expired),
            (true, 10, 9, CodeState::Used),
            (true, 10, 11, CodeState::Used),
        ];
        for (used, expires, now, expected) in rows {
            assert_eq!(CodeState::of(used, at(expires), at(now)), expected, "{used} {expires} {now}");
        }
    }

    #[test]
    fn what_a_file_takes_over_is_said_of_one_and_of_many() {
        let name = ComputerName::new("pc-1").unwrap();
        let said = |holds, count| taken_over(holds, Some(&name), count).unwrap();
        assert!(
            said(Holds::One, 1)
                .starts_with("a computer is enrolled as pc-1: once this file is used, its key is dead")
        );
        assert!(
            said(Holds::One, 7).starts_with("computers are enrolled under 7 of these names (first pc-1)")
        );
        assert!(said(Holds::Two, 1).contains("run `distributor clients resolve pc-1 --keep CONTACT`"));
        assert!(said(Holds::Two, 2).contains("of 2 names (first pc-1)"));
        assert_eq!((taken_over(Holds::Two, None, 0), taken_over(Holds::One, Some(&name), 0)), (None, None));
        assert_eq!((Holds::of(None), Holds::from_word("three")), (None, None));
        for (forked, holds) in [(false, Holds::One), (true, Holds::Two)] {
            assert_eq!((Holds::of(Some(forked)), Holds::from_word(holds.word())), (Some(holds), Some(holds)));
        }
    }

    #[test]
    fn a_code_is_good_for_a_week_unless_somebody_says_otherwise_and_never_for_ever() {
        assert_eq!(days(None).unwrap(), 7);
        assert_eq!((days(Some(1)).unwrap(), days(Some(366)).unwrap()), (1, 366));
        for days_wanted in [0, 367] {
            let problem = days(Some(days_wanted)).unwrap_err();
            assert!(problem.message.contains(&format!("{days_wanted} days")), "{problem:?}");
        }
    }
}
