//! The vendor's side: signs and publishes releases, sells seats, answers registrations.
//!
//! Floor 2: depends on `keys` and `manifests`, and on none of the other programs. A release goes through
//! [`release`] into the repository by way of [`publication`], which knows the crash-safe order; [`server`] hands the
//! files out; [`authority`] sells seats; [`lint`] distrusts all of it and reads it as a stranger would.
//!
//! Invariant: whatever is killed at whatever moment, the published repository verifies as it was before or as it is
//! after, and running the same command again completes it.

pub mod authority;
mod chain;
pub mod cli;
pub mod init;
pub mod lint;
pub mod payload;
pub mod publication;
pub mod release;
pub mod renewal;
pub mod server;
pub mod vendor;
