//! Setup files: for how long their codes are good, and where each stands.
//!
//! Invariant: a code is a secret that lies around on sticks and in mails, so it is good for days and once; a name has one that
//! is good at the most, the newest.

use jiff::Timestamp;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::setup::ServerRole;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use serde::{Deserialize, Serialize};

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
    fn a_code_is_good_for_a_week_unless_somebody_says_otherwise_and_never_for_ever() {
        assert_eq!(days(None).unwrap(), 7);
        assert_eq!((days(Some(1)).unwrap(), days(Some(366)).unwrap()), (1, 366));
        for days_wanted in [0, 367] {
            let problem = days(Some(days_wanted)).unwrap_err();
            assert!(problem.message.contains(&format!("{days_wanted} days")), "{problem:?}");
        }
    }
}
