//! The rules, one per file, over plain values: they know neither changes nor commands.

pub mod access;
pub mod account;
pub mod admission;
pub mod assignment;
pub mod attention;
pub mod contact;
pub mod downgrade;
pub mod drift;
pub mod edits;
pub mod enrollment;
pub mod expiries;
pub mod explain;
pub mod grants;
pub mod leaving;
pub mod names;
pub mod pending;
pub mod problems;
pub mod recipients;
pub mod release;
pub mod reports;
pub mod restore;
pub mod review;
pub mod seats;
pub mod text;
pub mod troubles;
pub mod warnings;
