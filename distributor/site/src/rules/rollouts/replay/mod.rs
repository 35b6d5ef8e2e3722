//! What a strategy would have made of rollouts that really happened.
//!
//! `past` is what the log tells of one rollout, `simulation` runs it under another strategy, `outcome` is what both are
//! compared by. Decided is by the functions that decide real rollouts: `progress::advance`, `gate::admit`, `share`.
//!
//! What is assumed, because no log tells it: [`ASSUMPTIONS`]. Left out on purpose: reading a log, which is
//! `changes::past`'s.

pub mod outcome;
pub mod past;
pub mod simulation;

/// What a simulation takes for granted, for people.
pub const ASSUMPTIONS: [&str; 7] = [
    "a computer comes as soon after its ring opens as it did then; one that was away comes when it came back then",
    "a computer takes as long as it did then, and fails where it failed then",
    "computers that a stopped release never reached come and take as long as the median of the others, and as large a \
     share of them fails",
    "the server runs all the time, and nobody pauses, resumes, edits or pushes a rollout",
    "a person who halted a release halts it at the same time, and a newer release takes over at the same time",
    "groups, content policies and places are those of today; blocks and pins are left out",
    "computers that are not reserved any more are left out",
];

#[cfg(test)]
mod tests;
