//! Rollouts: from an approval to every computer, ring by ring.

pub mod window;
