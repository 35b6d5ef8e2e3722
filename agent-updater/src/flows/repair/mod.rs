//! Repair: a person at the computer has a package put right that is not as it was signed.
//!
//! Order: what an interrupted change left is ended first; then everything that needs no bytes, without a server; then one
//! cycle fetches what is missing, under the conditions of every install. A journal that is damaged, or whose change cannot
//! be ended, is put aside, and then every product is started again: one may be stopped.
//! Invariant: nothing is built that is not assigned, licensed and signed; a record is only made again from manifests whose
//! signatures hold today.
//! Left out on purpose: repairing by itself. What somebody changed may have been changed for a reason.

mod local;
mod record;
mod run;

pub use run::repair;
