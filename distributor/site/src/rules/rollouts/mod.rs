//! Rollouts: from an approval to every computer, ring by ring.

pub mod glob;
pub mod groups;
pub mod share;
pub mod window;
