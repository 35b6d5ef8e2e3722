//! The site's Primary Server: holds the license, verifies clients, pulls the vendor's updates, lets an admin review
//! them, delivers them to licensed clients, and logs all of it.

pub mod activity_file;
pub mod app;
mod approvals;
pub mod authority;
pub mod backup;
pub mod blobs;
pub mod cli;
pub mod clock;
pub mod config;
pub mod disks;
pub mod doors;
mod failures;
pub mod firewall;
pub mod folder;
pub mod home;
pub mod http;
pub mod installer;
pub mod ledger_check;
pub mod ledger_marker;
pub mod ledger_rebuild;
mod licenses;
pub mod listeners;
mod log_export;
pub mod open_files;
pub mod ports;
pub mod presence;
pub mod push;
pub mod rollouts;
pub mod staging;
pub mod syslog;
pub mod tasks;
pub mod test_load;
pub mod upstream;
