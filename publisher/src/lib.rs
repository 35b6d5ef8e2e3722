//! The vendor's side: signs and publishes releases, sells seats, answers registrations.
//!
//! A release goes through [`release`] into the repository by way of [`publication`], which knows the crash-safe order;
//! [`trust`] says which keys count; [`renewal`] and [`root`] keep it from expiring, [`expiries`] says what ends when, and
//! [`notice`] how long before; [`server`] hands the files out; [`authority`] sells seats; [`lint`] trusts none of it and
//! reads it as a site does. It knows none of the other programs.
//!
//! Invariant: whatever is killed at whatever moment, the published repository verifies as it was before or as it is
//! after, and running the same command again completes it.

pub mod active_keys;
pub mod authority;
pub mod cli;
pub mod delta;
pub mod expiries;
pub mod home;
pub mod init;
pub mod lint;
pub mod notice;
pub mod payload;
pub mod publication;
pub mod release;
pub mod renewal;
pub mod root;
pub mod server;
pub mod status;
pub mod trust;
