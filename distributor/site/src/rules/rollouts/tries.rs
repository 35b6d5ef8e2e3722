//! What is known of how a computer tried a release: kept with what became of the release there, also when others follow.
//!
//! Left out on purpose: how it comes about. That follows from the entries alone, see [`crate::changes::tries`].

use sealpost_manifests::wire::report::{InstallStep, ReasonCode, Way};

/// What is known of the tries of a release on one computer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tries {
    /// How many there were, as far as they were reported.
    pub count: u32,
    /// How the release came last.
    pub way: Option<Way>,
    /// Bytes that traveled for it, in all tries together.
    pub bytes: Option<u64>,
    /// The step that failed last, also when a later try went well.
    pub failed: Option<FailedStep>,
}

/// A step that failed, or was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedStep {
    /// Which.
    pub step: InstallStep,
    /// Why, as a stable code.
    pub reason: ReasonCode,
    /// Why, for people, cut to a bound. Text from outside.
    pub detail: String,
}
