//! Which of its servers serves this computer: whose lease and whose contact its license rests on.
//!
//! A request goes to the primaries first, in their order, and to the secondaries if none of them answers or none has a free
//! license. A server that is asked before the one that serves takes its place back once it has answered for a hold, and
//! at least twice, so that a server which comes and goes is not switched to each time. One that fails is left at once.
//! Invariants: only a server that this computer is enrolled with serves. Who serves says nothing about updates: they come
//! from the first server alone, whatever happens to it, because the halts of two servers cannot be told from each other's.
//! Left out on purpose: taking a seat. An outage takes none anywhere.

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::setup::ServerRole;
use sealpost_manifests::wire::problem::ProblemCode;
use serde::{Deserialize, Serialize};

/// For how long a server that comes back must answer before it serves again, in seconds.
pub const HOLD_SECS: u32 = 15 * 60;
/// How often in that time, at the least.
pub const GOOD_ANSWERS: u32 = 2;
/// How often a server is asked that is not needed: so that its lease is a live one when it is.
pub const COURTESY: SignedDuration = SignedDuration::from_hours(24);

/// What came of a server in one cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    NotAsked,
    /// By none of its ways.
    Failed,
    /// It answered, and refused this computer.
    Refused,
    /// It has no license for this computer.
    NoFreeLicense,
    /// It answered, and this computer holds a lease of it.
    Licensed,
}

/// A server that this computer is enrolled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub server: ServerId,
    pub tried: Tried,
}

/// Why a server serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It is the first.
    Preferred,
    /// The one before it did not answer.
    NoAnswer,
    /// The one before it answered, and refused this computer.
    Refused,
    /// The one before it had no license for this computer.
    NoFreeLicense,
    /// It had failed, and answers again.
    CameBack,
}

/// The server that serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    pub server: ServerId,
    pub since: Timestamp,
    pub why: Why,
    /// The server that answers again and waits for its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Back>,
}

/// A server that failed and answers again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Back {
    pub server: ServerId,
    /// Since its first answer.
    pub since: Timestamp,
    pub answers: u32,
}

impl Back {
    /// From when on it serves, if it goes on answering.
    #[must_use]
    pub fn held_until(&self, hold: SignedDuration) -> Timestamp {
        self.since.saturating_add(hold).unwrap_or(Timestamp::MAX)
    }
}

/// What a cycle changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServingDecision {
    Stay,
    /// Nobody serves: contact is lost. The last one keeps its place.
    Lost,
    /// A server that is asked earlier answers again; it serves from then on if it goes on doing so.
    Hold {
        until: Timestamp,
    },
    Switch {
        why: Why,
    },
}

impl Serving {
    /// A server that serves because it is the first.
    #[must_use]
    pub const fn preferred(server: ServerId, now: Timestamp) -> Self {
        Self { server, since: now, why: Why::Preferred, back: None }
    }
}

/// Decides by what came of the servers, in the order of [`order`]; `None` if there is none. `hold` is how long one that comes
/// back must answer before it serves again.
#[must_use]
pub fn decide(
    serving: Option<&Serving>,
    candidates: &[Candidate],
    hold: SignedDuration,
    now: Timestamp,
) -> Option<(ServingDecision, Serving)> {
    let first = candidates.first()?;
    let serving = serving.cloned().unwrap_or_else(|| Serving::preferred(first.server.clone(), now));
    let place = candidates.iter().position(|candidate| candidate.server == serving.server);
    // One that was removed serves nobody.
    let (place, serving) = match place {
        Some(place) => (place, serving),
        None => (0, Serving::preferred(first.server.clone(), now)),
    };
    let why_left = match candidates.get(place).map(|candidate| candidate.tried) {
        Some(Tried::Failed) => Why::NoAnswer,
        Some(Tried::Refused) => Why::Refused,
        Some(Tried::NoFreeLicense) => Why::NoFreeLicense,
        Some(Tried::Licensed | Tried::NotAsked) | None => {
            return Some(held(serving, candidates, (place, hold), now));
        }
    };
    let licensed = candidates.iter().position(|candidate| candidate.tried == Tried::Licensed);
    let Some((to, candidate)) = licensed.and_then(|to| Some((to, candidates.get(to)?))) else {
        return Some((ServingDecision::Lost, Serving { back: None, ..serving }));
    };
    let why = if to < place { Why::CameBack } else { why_left };
    let switched = Serving { server: candidate.server.clone(), since: now, why, back: None };
    Some((ServingDecision::Switch { why }, switched))
}

/// The one that serves is good: whether one that is asked before it takes its place.
fn held(
    serving: Serving,
    candidates: &[Candidate],
    (place, hold): (usize, SignedDuration),
    now: Timestamp,
) -> (ServingDecision, Serving) {
    let before = candidates.get(..place).unwrap_or(&[]);
    let Some(good) = before.iter().find(|candidate| candidate.tried == Tried::Licensed) else {
        // Of one that was not asked nothing new is known.
        let is_open = |back: &Back| {
            before
                .iter()
                .any(|candidate| candidate.server == back.server && candidate.tried == Tried::NotAsked)
        };
        let back = serving.back.clone().filter(is_open);
        return (ServingDecision::Stay, Serving { back, ..serving });
    };
    let known = serving.back.as_ref().filter(|back| back.server == good.server);
    let back = match known {
        Some(known) => Back {
            // A clock that was set back makes the wait no longer than it is.
            since: known.since.min(now),
            answers: known.answers.saturating_add(1),
            server: known.server.clone(),
        },
        None => Back { server: good.server.clone(), since: now, answers: 1 },
    };
    if back.answers >= GOOD_ANSWERS && now >= back.held_until(hold) {
        let why = Why::CameBack;
        let switched = Serving { server: back.server, since: now, why, back: None };
        return (ServingDecision::Switch { why }, switched);
    }
    let until = back.held_until(hold);
    (ServingDecision::Hold { until }, Serving { back: Some(back), ..serving })
}

/// The order in which servers are asked: the first, which decides about updates; then the other primaries and the
/// secondaries, each in the order that they are listed in.
#[must_use]
pub fn order(listed: &[(ServerId, ServerRole)]) -> Vec<ServerId> {
    let mut ordered: Vec<(bool, &ServerId)> = listed
        .iter()
        .enumerate()
        .map(|(place, (server, role))| (place > 0 && *role != ServerRole::Primary, server))
        .collect();
    ordered.sort_by_key(|(is_later, _)| *is_later);
    ordered.into_iter().map(|(_, server)| server.clone()).collect()
}

/// Whether a server is asked in this cycle: until one has a license, up to the one that serves, and now and then without
/// need. `place` and `serving` are places in the order.
#[must_use]
pub fn is_asked(
    place: usize,
    serving: usize,
    before: &[Candidate],
    last: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    let has_license = before.iter().any(|candidate| candidate.tried == Tried::Licensed);
    // By a clock that was set back the last contact may lie ahead.
    let is_courtesy_due = last.is_none_or(|last| now.duration_since(last).abs() >= COURTESY);
    place <= serving || !has_license || is_courtesy_due
}

/// What a refused contact says of a license.
#[must_use]
pub const fn tried(refused: Option<ProblemCode>) -> Tried {
    match refused {
        Some(
            ProblemCode::NoSeatFree
            | ProblemCode::NotUnlocked
            | ProblemCode::GrantExpired
            | ProblemCode::SerialEnded,
        ) => Tried::NoFreeLicense,
        Some(_) => Tried::Refused,
        None => Tried::Failed,
    }
}

#[cfg(test)]
mod tests;
