//! The client: verifies, installs, gates and reports.
pub mod app;
pub mod config;
pub mod domain;
pub mod home;
pub mod hooks;
pub mod journal;
pub mod platform;
pub mod ports;
pub mod slots;
pub mod spool;
pub mod store;
