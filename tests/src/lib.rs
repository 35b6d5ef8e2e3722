//! End-to-end scenarios, faults and the architecture test.

#![expect(clippy::print_stderr, reason = "what a test says goes beside its result")]

pub mod architecture;
pub mod harness;
