//! What the tests of several crates share, written once.
//!
//! Each module is a feature of its own, so that a crate compiles only what its tests use. Only tests name this crate:
//! `dev-dependencies`, and the crate of end-to-end tests. Left out on purpose: everything that needs one of the
//! programs; their own tests keep that.

#![warn(missing_docs)]

#[cfg(feature = "certificates")]
#[expect(clippy::unwrap_used, reason = "a fixture stops at the first surprise, as a test does")]
pub mod certificates;
#[cfg(feature = "clock")]
#[expect(clippy::unwrap_used, reason = "a fixture stops at the first surprise, as a test does")]
pub mod clock;
#[cfg(feature = "computer")]
#[expect(clippy::unwrap_used, reason = "a fixture stops at the first surprise, as a test does")]
pub mod computer;
#[cfg(feature = "delta")]
#[expect(clippy::unwrap_used, reason = "a fixture stops at the first surprise, as a test does")]
pub mod delta;
#[cfg(feature = "folders")]
pub mod folders;
#[cfg(feature = "license")]
#[expect(clippy::unwrap_used, reason = "a fixture stops at the first surprise, as a test does")]
pub mod license;
#[cfg(feature = "names")]
#[expect(clippy::unwrap_used, reason = "a fixture stops at the first surprise, as a test does")]
pub mod names;
#[cfg(feature = "release")]
#[expect(clippy::unwrap_used, reason = "a fixture stops at the first surprise, as a test does")]
pub mod release;
#[cfg(feature = "vendor")]
#[expect(clippy::unwrap_used, reason = "a fixture stops at the first surprise, as a test does")]
pub mod vendor;
#[cfg(feature = "vendor-server")]
#[expect(clippy::unwrap_used, reason = "a fixture stops at the first surprise, as a test does")]
pub mod vendor_server;
#[cfg(feature = "wait")]
pub mod wait;
#[cfg(feature = "web")]
#[expect(clippy::unwrap_used, reason = "a fixture stops at the first surprise, as a test does")]
pub mod web;
