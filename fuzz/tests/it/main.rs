//! What is done with the seeds on a stable compiler: each of them, and some hundred changes of each, goes through its
//! target. And the rules for seeds: which there are, and how large.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod folder;
mod mutations;
mod replay;
mod seeds;
