//! End-to-end scenarios, faults and the architecture test.

pub mod architecture;
pub mod harness;
